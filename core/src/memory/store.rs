//! Many shards as one store: bounds split among them, commands dispatched to them.
//!
//! Each bound is split so that the parts add up to the whole; a store is within its bounds when
//! every shard is within its own. A store with small bounds has fewer shards, since a part that
//! is too small serves worse than the whole: one shard below [`FEWEST_ENTRIES`] entries or
//! [`FEWEST_BYTES`] bytes twice over.
//!
//! Commands on one key are atomic. Commands on many run key by key, each atomic by itself.

use alloc::vec::Vec;
use core::ops::Add as _;

use bytes::Bytes;

use super::graveyard::Graveyard;
use super::hash::{Hashed, Seed};
use super::shard::Shard;
use super::stats::{Lookups, Stats};
use crate::command::Command;
use crate::error::ServerError;
use crate::key::Key;
use crate::reply::{Answer, Reply};
use crate::time::{Deadline, Instant};

/// How much a store may hold; past it the store lets go of what it thinks is needed least.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// The most entries; none for no bound.
    pub max_entries: Option<u64>,
    /// The most bytes, counting each entry's key, its value and
    /// [`ENTRY_OVERHEAD`](super::ENTRY_OVERHEAD); none for no bound. An entry that is larger than
    /// a shard's part is refused, and a set of one removes what its key held; a store below
    /// 16 MiB is one shard, and no part is smaller than 8 MiB in a larger one.
    pub max_bytes: Option<u64>,
}

impl Bounds {
    /// Into how many shards a store of these bounds is split, for so many threads at once.
    fn shards(self, parallelism: usize) -> usize {
        let wanted = parallelism.clamp(1, MAX_SHARDS).saturating_mul(SHARDS_PER_THREAD);
        let room = |bound: Option<u64>, fewest: u64| {
            bound.map_or(MAX_SHARDS, |bound| usize::try_from(bound / fewest).unwrap_or(MAX_SHARDS))
        };
        let by_entries = room(self.max_entries, FEWEST_ENTRIES);
        let by_bytes = room(self.max_bytes, FEWEST_BYTES);
        wanted.min(MAX_SHARDS).min(by_entries).min(by_bytes).max(1)
    }
}

/// The shards of a new store that about `parallelism` threads will use at once.
#[must_use]
pub fn new_shards(bounds: Bounds, parallelism: usize) -> Vec<Shard> {
    let count = bounds.shards(parallelism);
    (0..count)
        .map(|index| {
            Shard::new(part(bounds.max_entries, index, count), part(bounds.max_bytes, index, count))
        })
        .collect()
}

/// The `index`th of `count` parts of a bound, which differ by one at most.
fn part(bound: Option<u64>, index: usize, count: usize) -> Option<u64> {
    let (index, count) = (u64::try_from(index).ok()?, u64::try_from(count).ok()?);
    let bound = bound?;
    Some(bound.checked_div(count)? + u64::from(index < bound.checked_rem(count)?))
}

/// Shards, lent out by whoever owns and locks them.
pub trait Shards {
    /// How many there are: always the same number, and at least one.
    fn count(&self) -> usize;

    /// Lends out the one at `index`, which is below [`count`](Self::count), for looking something
    /// up: to any number of callers at once.
    fn read<R>(&self, index: usize, f: impl FnOnce(&Shard) -> R) -> R;

    /// Lends it out for changing something: to one caller, and to none that reads.
    fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R;
}

/// The value of a key: what [`Command::Get`] answers, without a command and a reply around it. The
/// time is asked for only where the key has a timeout.
#[inline]
pub fn get(
    shards: &impl Shards,
    seed: &Seed,
    key: &Key<'_>,
    now: impl Fn() -> Instant,
) -> Option<Bytes> {
    Store { shards, seed }.read(key, |shard, key| shard.get(key, now))
}

/// Runs `command` at `now`. What it removes is dropped while no shard is lent out.
///
/// # Errors
/// [`NumberError`](crate::error::NumberError) for [`Command::Incr`]; and what a server answers that is no
/// cluster, where it is asked about one.
pub fn execute(shards: &impl Shards, seed: &Seed, command: &Command<'_>, now: Instant) -> Answer {
    let store = Store { shards, seed };
    Ok(match command {
        Command::Get(key) => Reply::Value(get(shards, seed, key, || now)),
        Command::GetMany(keys) => {
            let get = |key| get(shards, seed, &key, || now);
            Reply::Values(keys.iter().map(get).collect())
        }
        Command::Set { key, value, expiry } => {
            store.on(key, |shard, key, dead| shard.insert(key, value, *expiry, now, dead));
            Reply::Done
        }
        Command::Add { key, value, expiry } => {
            let add = |shard: &mut Shard, key: Hashed<'_>, dead: &mut Graveyard| {
                shard.insert_if_absent(key, value, *expiry, now, dead)
            };
            Reply::Flag(store.on(key, add))
        }
        Command::SetMany { keys, values, expiry } => {
            for (key, value) in keys.iter().zip(*values) {
                store.on(&key, |shard, key, dead| shard.insert(key, value, *expiry, now, dead));
            }
            Reply::Done
        }
        Command::Delete(keys) => {
            let remove = |key: &Key<'_>| store.on(key, |s, key, dead| s.remove(key, now, dead));
            Reply::Count(count(keys.iter().filter(remove)))
        }
        Command::Clear => {
            store.each(|shard, dead| shard.clear(now, dead));
            Reply::Done
        }
        Command::Scan { stem, cursor } => store.scan(stem, *cursor, now),
        Command::Unlink(keys) => {
            let remove =
                |key: &&Bytes| store.on_whole(key, |s, key, dead| s.remove(key, now, dead));
            Reply::Count(count(keys.iter().filter(remove)))
        }
        Command::Touch { key, expiry } => {
            Reply::Flag(store.on(key, |shard, key, dead| shard.touch(key, *expiry, now, dead)))
        }
        Command::Incr { key, delta } => {
            Reply::Number(store.on(key, |shard, key, dead| shard.incr(key, *delta, now, dead))?)
        }
        Command::Contains(key) => {
            Reply::Flag(store.read(key, |shard, key| shard.contains(key, now)))
        }
        Command::Remaining(key) => {
            Reply::Remaining(store.read(key, |shard, key| shard.remaining(key, now)))
        }
        Command::Ping => Reply::Done,
        Command::Topology(_) | Command::ReadOnly => return Err(ServerError::no_cluster().into()),
    })
}

/// Takes back memory of what has expired, a bounded part of it in each shard, and answers when
/// there will be more to do: right away if that time has passed. Later writes may make it sooner.
pub fn sweep(shards: &impl Shards, now: Instant) -> Option<Deadline> {
    let sweep_one = |index| {
        let mut dead = Graveyard::new();
        shards.with(index, |shard| {
            shard.sweep(now, &mut dead);
            shard.deadline()
        })
    };
    (0..shards.count()).map(sweep_one).fold(None, Deadline::earlier)
}

/// What the store has done and what it holds: the sum over its shards, each looked at by itself, and
/// the lookups that whoever runs them has counted.
pub fn stats(shards: &impl Shards, lookups: Lookups) -> Stats {
    let one = |index| shards.read(index, Shard::stats);
    (0..shards.count()).map(one).fold(lookups.stats(), Stats::add)
}

struct Store<'a, S> {
    shards: &'a S,
    seed: &'a Seed,
}

impl<S: Shards> Store<'_, S> {
    #[inline]
    fn read<R>(&self, key: &Key<'_>, f: impl FnOnce(&Shard, Hashed<'_>) -> R) -> R {
        key.with_bytes(|whole| {
            let key = self.seed.hash(whole);
            self.shards.read(key.shard(self.shards.count()), |shard| f(shard, key))
        })
    }

    fn on<R>(
        &self,
        key: &Key<'_>,
        f: impl FnOnce(&mut Shard, Hashed<'_>, &mut Graveyard) -> R,
    ) -> R {
        key.with_bytes(|whole| self.on_whole(whole, f))
    }

    fn on_whole<R>(
        &self,
        whole: &[u8],
        f: impl FnOnce(&mut Shard, Hashed<'_>, &mut Graveyard) -> R,
    ) -> R {
        let key = self.seed.hash(whole);
        let mut dead = Graveyard::new();
        self.shards.with(key.shard(self.shards.count()), |shard| f(shard, key, &mut dead))
    }

    fn each(&self, mut f: impl FnMut(&mut Shard, &mut Graveyard)) {
        for index in 0..self.shards.count() {
            let mut dead = Graveyard::new();
            self.shards.with(index, |shard| f(shard, &mut dead));
        }
    }

    /// A cursor is the number of a shard and, in its low half, where to go on in it.
    fn scan(&self, stem: &[u8], cursor: u64, now: Instant) -> Reply {
        let mut keys = Vec::new();
        let (shard, from) = (cursor >> u32::BITS, cursor & u64::from(u32::MAX));
        let index = usize::try_from(shard).unwrap_or(usize::MAX);
        if index >= self.shards.count() {
            return Reply::Scanned { cursor: 0, keys };
        }
        let from = u32::try_from(from).unwrap_or(u32::MAX);
        let mut dead = Graveyard::new();
        let next =
            self.shards.with(index, |shard| shard.scan(stem, from, now, &mut dead, &mut keys));
        let cursor = match next {
            Some(next) => (shard << u32::BITS) | u64::from(next),
            None if index + 1 < self.shards.count() => (shard + 1) << u32::BITS,
            None => 0,
        };
        Reply::Scanned { cursor, keys }
    }
}

fn count<T>(removed: impl Iterator<Item = T>) -> u64 {
    removed.fold(0, |count, _| count + 1)
}

const SHARDS_PER_THREAD: usize = 4;
const MAX_SHARDS: usize = 256;
/// No shard of many has a smaller part of the bounds.
const FEWEST_ENTRIES: u64 = 4096;
const FEWEST_BYTES: u64 = 8 << 20;
