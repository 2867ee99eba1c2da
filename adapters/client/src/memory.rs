//! The in-memory backend: the core's shards behind a lock each, found by name.

use std::cell::Cell;
use std::sync::{Arc, RwLock};
use std::thread;

use async_caches_core::command::Command;
use async_caches_core::copies::Copies;
use async_caches_core::key::Key;
use async_caches_core::memory::{self, Bounds, Seed, Shard, Shards, Stats};
use async_caches_core::reply::Answer;
use bytes::Bytes;

use crate::error::Error;
use crate::flights::Desk;
use crate::registry::Registry;
use crate::runtime::Clock;
use crate::sync::{read, write};

/// One store in memory. It goes when the last cache that uses it disconnects.
#[derive(Debug)]
pub(crate) struct Store {
    shards: Box<[Padded]>,
    seed: Seed,
    bounds: Bounds,
    clock: Clock,
    desk: Arc<Desk>,
}

impl Store {
    /// The store of this name, as open already or new.
    ///
    /// # Errors
    /// [`Error::OtherBounds`] where it is open with bounds that contradict these. A bound left out
    /// contradicts nothing.
    pub(crate) fn named(name: &str, bounds: Bounds) -> Result<Arc<Self>, Error> {
        let store = STORES.get_or_make(name.into(), || Self::new(bounds));
        let other = |option| Error::OtherBounds { name: name.into(), option };
        if bounds.max_entries.is_some() && bounds.max_entries != store.bounds.max_entries {
            return Err(other("max_entries"));
        }
        if bounds.max_bytes.is_some() && bounds.max_bytes != store.bounds.max_bytes {
            return Err(other("max_bytes"));
        }
        Ok(store)
    }

    fn new(bounds: Bounds) -> Self {
        let parallelism = thread::available_parallelism().map_or(1, usize::from);
        let shards = memory::new_shards(bounds, parallelism);
        Self {
            shards: shards.into_iter().map(|shard| Padded(RwLock::new(shard))).collect(),
            seed: Seed::new(crate::seed()),
            bounds,
            clock: Clock::start(),
            desk: Arc::new(Desk::new()),
        }
    }

    /// Kept apart from the way to a server, which is better off with a small stack.
    #[inline(never)]
    pub(crate) fn execute(&self, command: &Command<'_>) -> Answer {
        with_copies(|copies| memory::execute(self, &self.seed, command, self.clock.now(), copies))
    }

    /// The value of a key, as [`execute`](Self::execute) would answer it.
    #[inline]
    pub(crate) fn get(&self, key: &Key<'_>) -> Option<Bytes> {
        let now = || self.clock.now();
        with_copies(|copies| memory::get(self, &self.seed, key, now, copies))
    }

    pub(crate) fn stats(&self) -> Stats {
        memory::stats(self)
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }
}

impl Shards for Store {
    fn count(&self) -> usize {
        self.shards.len()
    }

    #[inline]
    fn read<R>(&self, index: usize, f: impl FnOnce(&Shard) -> R) -> R {
        f(&read(&self.shards[index].0))
    }

    fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
        f(&mut write(&self.shards[index].0))
    }
}

/// A shard on cache lines of its own, two at a time as processors fetch them: taking its lock
/// leaves its neighbours' lines where they are.
#[derive(Debug)]
#[repr(align(128))]
struct Padded(RwLock<Shard>);

/// Lends out this thread's blocks for small values, which so are no line that threads contend for.
#[inline]
fn with_copies<R>(act: impl FnOnce(&mut Copies) -> R) -> R {
    // A thread that is ending has given its blocks back already, and takes one for this value.
    let mut copies = COPIES.try_with(Cell::take).unwrap_or_default();
    let result = act(&mut copies);
    let _ = COPIES.try_with(|place| place.set(copies));
    result
}

thread_local! {
    static COPIES: Cell<Copies> = Cell::default();
}

static STORES: Registry<Store> = Registry::new();
