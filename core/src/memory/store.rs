//! Many shards as one store: they share one room, and commands are dispatched to them.
//!
//! The number of shards follows from the bounds alone. A store with small bounds has fewer, as a
//! shard's policy works worse among few entries: one shard for [`FEWEST_ENTRIES`] entries or
//! [`FEWEST_BYTES`] bytes, and [`MOST_SHARDS`] at most.
//!
//! A write whose shard holds less than its part of the room while others hold more is
//! [crowded](NoRoom::Crowded) out. Then the others, one at a time, evict entries that exceed their
//! part, and the write is tried again. So at most one shard is lent out at a time, and a write is
//! still one step: until it succeeds it has changed nothing.
//!
//! Commands on one key are atomic. Commands on many run key by key, each atomic by itself.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Add as _;

use bytes::Bytes;

use super::body::Own;
use super::bounds::{Bounds, MOST_SHARDS};
use super::graveyard::Graveyard;
use super::hash::{Hashed, Seed};
use super::room::{Footprint, Room};
use super::shard::{Grant, NoRoom, Shard, Shed, WriteContext, Yield};
use super::stats::{Lookups, Stats};
use crate::command::Command;
use crate::error::{NumberError, ServerError};
use crate::key::Key;
use crate::reply::{Answer, Reply};
use crate::time::{Deadline, Instant};
use crate::ttl::Expiry;

/// Creates the shards of a new store. Their number depends on its bounds, not on the machine.
#[must_use]
pub fn new_shards(bounds: Bounds) -> Vec<Shard> {
    shards_of(bounds, bounds.shards())
}

/// Creates `count` shards that share the room of one store.
pub(super) fn shards_of(bounds: Bounds, count: usize) -> Vec<Shard> {
    let room = Arc::new(Room::new(bounds, count));
    (0..count).map(|_| Shard::sharing(Arc::clone(&room))).collect()
}

/// Shards, lent out by the type that owns and locks them.
///
/// ```
/// use async_caches_core::command::Command;
/// use async_caches_core::key::KeySpace;
/// use async_caches_core::memory::{Bounds, Seed, Shard, Shards, execute, new_shards};
/// use async_caches_core::reply::Reply;
/// use async_caches_core::time::Instant;
/// use async_caches_core::ttl::Expiry;
/// use bytes::Bytes;
/// use std::sync::RwLock;
///
/// struct Locked(Vec<RwLock<Shard>>);
///
/// impl Shards for Locked {
///     fn count(&self) -> usize {
///         self.0.len()
///     }
///
///     fn read<R>(&self, index: usize, f: impl FnOnce(&Shard) -> R) -> R {
///         f(&self.0[index].read().unwrap())
///     }
///
///     fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
///         f(&mut self.0[index].write().unwrap())
///     }
/// }
///
/// let shards = Locked(new_shards(Bounds::default()).into_iter().map(RwLock::new).collect());
/// let (seed, space, now) = (Seed::new(42), KeySpace::default(), Instant::ORIGIN);
/// let (key, value) = (space.scope(None)?.key(b"user:1"), Bytes::from("\"Ada\""));
/// execute(&shards, &seed, &Command::Set { key, value: &value, expiry: Expiry::Never }, now)?;
/// let answer = execute(&shards, &seed, &Command::Get(key), now)?;
/// assert_eq!(answer, Reply::Value(Some(value)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Shards {
    /// How many there are: always the same number, and at least one.
    fn count(&self) -> usize;

    /// Lends out the shard at `index`, which is below [`count`](Self::count), for a lookup: to any
    /// number of callers at once.
    fn read<R>(&self, index: usize, f: impl FnOnce(&Shard) -> R) -> R;

    /// Lends it out for a change: to one caller alone, while no other caller reads.
    fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R;
}

/// Returns the value of a key, as [`Command::Get`] does, without a command and a reply around it.
/// `now` is called only if the key has a timeout.
#[inline]
pub fn get(
    shards: &impl Shards,
    seed: &Seed,
    key: &Key<'_>,
    now: impl Fn() -> Instant,
) -> Option<Bytes> {
    Store { shards, seed }.read(key, |shard, key| shard.get(key, now))
}

/// Stores a value, over any old one. Returns whether it was stored: `false` if it was
/// [refused](Bounds::max_bytes), and then the old value is removed. The value is copied, so that
/// the entry keeps no larger buffer alive; a large one is copied before the shard is lent out.
pub fn insert(
    shards: &impl Shards,
    key: Hashed<'_>,
    value: &[u8],
    expiry: Expiry,
    now: Instant,
) -> bool {
    let value = Own::of(value);
    write(shards, key, now, |shard, turn| shard.insert(key, &value, expiry, turn)).unwrap_or(false)
}

/// Runs `command` at `now`. The entries that it removes are dropped while no shard is lent out.
///
/// # Errors
/// [`NumberError`](crate::error::NumberError) for [`Command::Incr`]. For the commands of a cluster,
/// the error of a server that is not in one.
pub fn execute(shards: &impl Shards, seed: &Seed, command: &Command<'_>, now: Instant) -> Answer {
    let store = Store { shards, seed };
    Ok(match command {
        Command::Get(key) => Reply::Value(get(shards, seed, key, || now)),
        Command::GetMany(keys) => {
            let get = |key| get(shards, seed, &key, || now);
            Reply::Values(keys.iter().map(get).collect())
        }
        Command::Set { key, value, expiry } => {
            store.insert(key, value, *expiry, now);
            Reply::Done
        }
        Command::Add { key, value, expiry } => {
            let value = Own::of(value);
            let stored = store.write(key, now, |shard, key, turn| {
                shard.insert_if_absent(key, &value, *expiry, turn)
            });
            Reply::Flag(stored.unwrap_or(false))
        }
        Command::SetMany { keys, values, expiry } => {
            for (key, value) in keys.iter().zip(*values) {
                store.insert(&key, value, *expiry, now);
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
        Command::Persist(key) => Reply::Flag(
            store.on(key, |shard, key, dead| shard.touch(key, Expiry::Never, now, dead)),
        ),
        Command::DeleteIf { key, value } => Reply::Flag(
            store.on(key, |shard, key, dead| shard.remove_if(key, value.as_ref(), now, dead)),
        ),
        Command::Incr { key, delta, start } => {
            let sum =
                store.write(key, now, |shard, key, turn| shard.incr(key, *delta, *start, turn));
            // Without room the sum is returned all the same, as for an entry that is too large.
            let refused = || match start {
                Some(start) => start.first(*delta).map(|(sum, _)| sum),
                None => Err(NumberError::KeyNotFound),
            };
            Reply::Number(sum.unwrap_or_else(refused)?)
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

/// Frees memory of expired entries, a bounded part of it in each shard. Returns when there is more
/// to do: at once if that time has passed. Later writes may make it sooner.
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

/// The store's counters and its content: the sum over its shards, each read by itself, and the
/// lookups, which the caller has counted.
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

    fn insert(&self, key: &Key<'_>, value: &[u8], expiry: Expiry, now: Instant) -> bool {
        key.with_bytes(|whole| insert(self.shards, self.seed.hash(whole), value, expiry, now))
    }

    /// Runs a write that needs room; see [`write`].
    fn write<R>(
        &self,
        key: &Key<'_>,
        now: Instant,
        f: impl Fn(&mut Shard, Hashed<'_>, &mut WriteContext<'_>) -> Result<R, NoRoom>,
    ) -> Option<R> {
        key.with_bytes(|whole| {
            let key = self.seed.hash(whole);
            write(self.shards, key, now, |shard, turn| f(shard, key, turn))
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

    /// A cursor is the number of a shard and, in its low half, the position within that shard.
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

/// Runs a write on the shard of `key`, and makes other shards evict entries for it while it is
/// crowded out. Returns `None` if a large value is not worth the entries that it would displace, or
/// if no room can be made because other writers take it each time. The value is then refused, and
/// the old value of the key is removed.
fn write<R>(
    shards: &impl Shards,
    key: Hashed<'_>,
    now: Instant,
    f: impl Fn(&mut Shard, &mut WriteContext<'_>) -> Result<R, NoRoom>,
) -> Option<R> {
    let index = key.shard(shards.count());
    let attempt = |yields, grant| {
        let mut dead = Graveyard::new();
        shards.with(index, |shard| {
            f(shard, &mut WriteContext { now, yields, grant, dead: &mut dead })
        })
    };
    let (mut yields, mut grant) = (Yield::Fairly, Grant::NotYet);
    for _ in 0..MOST_ATTEMPTS {
        match attempt(yields, grant) {
            Ok(result) => return Some(result),
            Err(NoRoom::Crowded(load)) => {
                if relieve(shards, index, load, now) == Shed::None {
                    yields = Yield::Fully;
                }
            }
            Err(NoRoom::Unweighed(bytes)) => {
                grant = weigh(shards, key, bytes, now);
                if grant == Grant::NotYet {
                    break;
                }
                share_out(shards, Footprint { entries: 1, bytes }, now);
            }
        }
    }
    let mut dead = Graveyard::new();
    shards.with(index, |shard| shard.refuse(key, now, &mut dead));
    None
}

/// Weighs a value of more than an eighth of the room against all entries. It looks at each of them,
/// which costs little compared with the copy that was made of the value.
#[cold]
fn weigh(shards: &impl Shards, key: Hashed<'_>, bytes: u64, now: Instant) -> Grant {
    let mut in_use = Footprint { entries: 0, bytes: 0 };
    for index in 0..shards.count() {
        let more = shards.read(index, |shard| shard.in_use(now));
        in_use.entries = in_use.entries.saturating_add(more.entries);
        in_use.bytes = in_use.bytes.saturating_add(more.bytes);
    }
    shards.read(key.shard(shards.count()), |shard| shard.grant(key, bytes, in_use))
}

/// Makes room for a large value: shards that hold more than their part of the room evict entries
/// first, and then all shards evict an equal part of the bytes that are missing.
#[cold]
fn share_out(shards: &impl Shards, load: Footprint, now: Instant) {
    let count = shards.count();
    for yields in [Yield::Fairly, Yield::Fully] {
        let lacks = shards.read(0, |shard| shard.lacks(load));
        let equal = lacks.div_ceil(u64::try_from(count).unwrap_or(u64::MAX).max(1));
        let bytes = if yields == Yield::Fairly { lacks } else { equal };
        for index in 0..count {
            let (mut dead, grant) = (Graveyard::new(), Grant::NotYet);
            let mut turn = WriteContext { now, yields, grant, dead: &mut dead };
            shards
                .with(index, |shard| shard.shed(load, Footprint { entries: 0, bytes }, &mut turn));
        }
    }
}

/// Makes the shards other than the one at `index` evict entries until there is room for `load`:
/// first those that exceed their part, then an equal part from each.
#[cold]
fn relieve(shards: &impl Shards, index: usize, load: Footprint, now: Instant) -> Shed {
    let count = shards.count();
    let others = u64::try_from(count).unwrap_or(u64::MAX).saturating_sub(1).max(1);
    let equal = Footprint { entries: load.entries.min(1), bytes: load.bytes.div_ceil(others) };
    let mut all = Shed::None;
    for (yields, part) in [(Yield::Fairly, load), (Yield::Fully, equal)] {
        for step in 1..count {
            let other = (index + step) % count;
            let mut dead = Graveyard::new();
            let grant = Grant::NotYet;
            let mut turn = WriteContext { now, yields, grant, dead: &mut dead };
            match shards.with(other, |shard| shard.shed(load, part, &mut turn)) {
                Shed::Enough => return Shed::Enough,
                Shed::Some => all = Shed::Some,
                Shed::None => {}
            }
        }
    }
    all
}

fn count<T>(removed: impl Iterator<Item = T>) -> u64 {
    removed.fold(0, |count, _| count + 1)
}

/// How often a write is tried: more than there are shards, all but one of which may be empty.
const MOST_ATTEMPTS: usize = 4 * MOST_SHARDS;
