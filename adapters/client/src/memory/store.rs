//! A store in memory: the core's shards, each behind a lock, found by name.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::key::Key;
use async_caches_core::memory::{self, Bounds, Lookups, Seed, Stats};
use async_caches_core::reply::Answer;
use async_caches_core::shown::{self, Shown};
use async_caches_core::ttl::Expiry;
use bytes::Bytes;

use super::locked::{Lent, Locked};
use super::sweeper::{self, Watched};
use super::tally::{Lane, Lanes, Tally};
use crate::error::Error;
use crate::flights::LoadTable;
use crate::registry::{self, Registry};
use crate::runtime::{Runtime, Time};
use crate::seed;
use crate::sync::AtomicU64;

/// One store in memory. It is dropped when the last cache that uses it disconnects.
#[derive(Debug)]
pub(crate) struct Store {
    shards: Arc<[Locked]>,
    tally: Tally,
    seed: Seed,
    bounds: Bounds,
    time: Time,
    loads: Arc<LoadTable>,
    /// Present if the sweeper frees its expired entries.
    watched: Option<Watched>,
}

impl Store {
    /// Returns the store of this name, opened before or new.
    ///
    /// # Errors
    /// [`Error::BoundsMismatch`] if it is open with bounds that contradict these. A bound left out
    /// contradicts nothing.
    pub(crate) fn named(
        name: &str,
        bounds: Bounds,
        runtime: Option<&Arc<dyn Runtime>>,
    ) -> Result<Arc<Self>, Error> {
        let simulated = runtime.filter(|runtime| runtime.has_own_time());
        let clock = runtime.and_then(|runtime| runtime.manual_clock());
        let name_here = registry::name_at(clock, name);
        let store = STORES.get_or_make(&name_here, || match simulated {
            Some(runtime) => Self::simulated(bounds, runtime),
            None => Self::new(bounds),
        });
        let shown = || Shown(&shown::name(name), Shown::NAME).to_string();
        let other = |option| Error::BoundsMismatch { name: shown(), option };
        if bounds.max_entries.is_some() && bounds.max_entries != store.bounds.max_entries {
            return Err(other("max_entries"));
        }
        if bounds.max_bytes.is_some() && bounds.max_bytes != store.bounds.max_bytes {
            return Err(other("max_bytes"));
        }
        Ok(store)
    }

    fn new(bounds: Bounds) -> Self {
        let mut this = Self::of(bounds, Time::System(sweeper::clock()), seed::new);
        this.watched = Some(sweeper::watch(&this.shards));
        this
    }

    fn simulated(bounds: Bounds, runtime: &Arc<dyn Runtime>) -> Self {
        Self::of(bounds, Time::of(runtime), || runtime.seed())
    }

    fn of(bounds: Bounds, time: Time, seed: impl Fn() -> u64) -> Self {
        let shards = memory::new_shards(bounds);
        Self {
            shards: shards.into_iter().map(Locked::new).collect(),
            tally: Tally::new(),
            seed: Seed::new(seed()),
            bounds,
            loads: Arc::new(LoadTable::new(time.clone(), seed())),
            time,
            watched: None,
        }
    }

    /// Kept out of line: the path to a server is better off with a small stack.
    #[inline(never)]
    pub(crate) fn execute(&self, command: &Command<'_>) -> Answer {
        let now = self.time.now();
        let answer = memory::execute(&Lent(&self.shards), &self.seed, command, now);
        if let Ok(reply) = &answer {
            self.note(Lookups::of(reply));
        }
        if let Expiry::Millis(millis) = command.expiry()
            && let Time::System(_) = self.time
        {
            sweeper::expect(now + Duration::from_millis(millis.get()));
        }
        answer
    }

    /// Returns the value of a key, like [`execute`](Self::execute).
    #[inline]
    pub(crate) fn get(&self, key: &Key<'_>) -> Option<Bytes> {
        let value = memory::get(&Lent(&self.shards), &self.seed, key, || self.time.now());
        self.note(Lookups::one(value.as_ref()));
        value
    }

    pub(crate) fn stats(&self) -> Stats {
        memory::stats(&Lent(&self.shards), self.tally.sum())
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    #[inline]
    fn note(&self, lookups: Lookups) {
        // A thread that is ending has already given its lane back.
        if LANE.try_with(|lane| self.tally.add(lane, lookups)).is_err() {
            self.tally.add(&LANES.shared(), lookups);
        }
    }

    pub(crate) fn loads(&self) -> &Arc<LoadTable> {
        &self.loads
    }
}

thread_local! {
    static LANE: Lane<'static> = LANES.take();
}

static LANES: Lanes = Lanes::with(AtomicU64::new(0));
static STORES: LazyLock<Registry<Store>> = LazyLock::new(Registry::new);
