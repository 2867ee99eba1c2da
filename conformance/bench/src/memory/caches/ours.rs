//! Our cache at two layers: the raw store, which is the core's shards behind the client's locks and
//! counters, and the public cache.

#[path = "../../../../../adapters/client/src/memory/locked.rs"]
mod locked;
#[allow(dead_code, reason = "it is a module of the client")]
#[path = "../../../../../adapters/client/src/memory/tally.rs"]
mod tally;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::Result;
use async_caches::Cache;
use async_caches::runtime::Clock;
use async_caches_core::memory::{self, Bounds, Lookups, Seed, Shards as _, Stats};
use async_caches_core::ttl::{Expiry, Timeout};
use bytes::Bytes;

use self::locked::{Lent, Locked};
use self::tally::{Lane, Lanes, Tally};
use super::{Room, SEED, Store};

/// The raw store: bytes in, bytes out.
pub(crate) struct Raw {
    shards: Box<[Locked]>,
    tally: Tally,
    seed: Seed,
    clock: Clock,
}

impl Raw {
    /// A store of this capacity.
    pub(crate) fn new(room: Room) -> Self {
        let bounds = Bounds { max_entries: room.entries, max_bytes: None };
        let shards = memory::new_shards(bounds);
        let shards = shards.into_iter().map(Locked::new).collect();
        Self { shards, tally: Tally::new(), seed: Seed::new(SEED), clock: Clock::start() }
    }

    fn stats(&self) -> Stats {
        memory::stats(&Lent(&self.shards), self.tally.sum())
    }
}

impl Store for Raw {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        let key = self.seed.hash(key.as_bytes());
        let shard = key.shard(self.shards.len());
        let value = Lent(&self.shards).read(shard, |shard| shard.get(key, || self.clock.now()));
        LANE.with(|lane| self.tally.add(lane, Lookups::one(value.as_ref())));
        value
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        let now = self.clock.now();
        let key = self.seed.hash(key.as_bytes());
        let expiry = timeout.map_or(Timeout::Never, Timeout::After).resolve(Expiry::Never);
        let expiry = expiry.expect("no timeout here is zero or too long");
        memory::insert(&Lent(&self.shards), key, &value, expiry, now);
    }

    fn entries(&self) -> Option<u64> {
        Some(self.stats().entries)
    }

    fn bytes(&self) -> Option<u64> {
        Some(self.stats().bytes)
    }
}

thread_local! {
    static LANE: Lane<'static> = LANES.take();
}

static LANES: Lanes = Lanes::with(AtomicU64::new(0));

/// The public cache. Its caller polls once, because a store in memory never waits.
pub(crate) struct Public {
    cache: Cache,
}

impl Public {
    /// A cache of its own, of this capacity.
    pub(crate) fn new(room: Room) -> Result<Self> {
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let mut builder = async_caches::builder(&format!("locmem://bench{number}"));
        if let Some(entries) = room.entries {
            builder = builder.max_entries(entries);
        }
        let cache = builder.build()?;
        ready(cache.connect())?;
        Ok(Self { cache })
    }
}

impl Store for Public {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        ready(self.cache.get_raw(key)).expect("the store has no errors")
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        let set = self.cache.set_raw(key, value);
        let set = match timeout {
            Some(timeout) => ready(set.timeout(timeout)),
            None => ready(set),
        };
        set.expect("the store has no errors");
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("what is in memory never waits"),
    }
}

/// Stores are shared by name, so this number gives each cache a store of its own.
static OPENED: AtomicU64 = AtomicU64::new(0);
