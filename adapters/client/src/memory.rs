//! The in-memory backend: the core's shards behind a lock each, found by name.

use std::sync::{Arc, Mutex};
use std::thread;

use async_caches_core::command::Command;
use async_caches_core::memory::{self, Bounds, Seed, Shard, Shards};
use async_caches_core::reply::Answer;

use crate::error::Error;
use crate::flights::Desk;
use crate::registry::Registry;
use crate::runtime::Clock;
use crate::sync::lock;

/// One store in memory. It goes when the last cache that uses it disconnects.
#[derive(Debug)]
pub(crate) struct Store {
    shards: Box<[Mutex<Shard>]>,
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
            shards: shards.into_iter().map(Mutex::new).collect(),
            seed: Seed::new(crate::seed()),
            bounds,
            clock: Clock::start(),
            desk: Arc::new(Desk::new()),
        }
    }

    /// Kept apart from the way to a server, which is better off with a small stack.
    #[inline(never)]
    pub(crate) fn execute(&self, command: &Command<'_>) -> Answer {
        memory::execute(self, &self.seed, command, self.clock.now())
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }
}

impl Shards for Store {
    fn count(&self) -> usize {
        self.shards.len()
    }

    fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
        f(&mut lock(&self.shards[index]))
    }
}

static STORES: Registry<Store> = Registry::new();
