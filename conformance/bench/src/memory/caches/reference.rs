//! The references for comparison: plain LRU, and a map without bounds.

use std::hash::BuildHasher as _;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use lru::LruCache;

use super::held::Held;
use super::{SEED, Store};

/// Least recently used: the crate `lru`, split over several locks.
pub(crate) struct Lru<V> {
    shards: Box<[Mutex<LruCache<String, V, FixedState>>]>,
    hasher: FixedState,
}

impl<V: Held> Lru<V> {
    /// With one lock it is exact LRU.
    pub(crate) fn new(entries: u64, shards: usize) -> Self {
        let part =
            NonZeroUsize::new((entries as usize).div_ceil(shards)).unwrap_or(NonZeroUsize::MIN);
        let shard = || Mutex::new(LruCache::with_hasher(part, FixedState::with_seed(SEED)));
        let shards = (0..shards).map(|_| shard()).collect();
        Self { shards, hasher: FixedState::with_seed(SEED + 1) }
    }

    fn with<R>(&self, key: &str, act: impl FnOnce(&mut LruCache<String, V, FixedState>) -> R) -> R {
        let shard = &self.shards[place(&self.hasher, key, self.shards.len())];
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<V: Held> Store for Lru<V> {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        self.with(key, |shard| {
            let held = shard.get(key)?.clone();
            let value = held.open();
            if value.is_none() {
                shard.pop(key);
            }
            value
        })
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        let (owned, held) = (key.to_owned(), V::hold(value, timeout));
        let gone = self.with(key, |shard| shard.push(owned, held));
        drop(gone);
    }
}

/// A map that never evicts: the cost of a cache without its bound.
pub(crate) struct Unbounded<V> {
    shards: Box<[Map<V>]>,
    hasher: FixedState,
}

type Map<V> = RwLock<HashMap<String, V, FixedState>>;

impl<V: Held> Unbounded<V> {
    /// A map split over this many locks.
    pub(crate) fn new(shards: usize) -> Self {
        let shard = || RwLock::new(HashMap::with_hasher(FixedState::with_seed(SEED)));
        let shards = (0..shards).map(|_| shard()).collect();
        Self { shards, hasher: FixedState::with_seed(SEED + 1) }
    }

    fn shard(&self, key: &str) -> &Map<V> {
        &self.shards[place(&self.hasher, key, self.shards.len())]
    }
}

impl<V: Held> Store for Unbounded<V> {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        let shard = self.shard(key);
        let held = shard.read().unwrap_or_else(PoisonError::into_inner).get(key)?.clone();
        let value = held.open();
        if value.is_none() {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have set it again in between.
            if shard.get(key).is_some_and(V::is_over) {
                shard.remove(key);
            }
        }
        value
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        let (owned, held) = (key.to_owned(), V::hold(value, timeout));
        let mut shard = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        let gone = shard.insert(owned, held);
        drop(shard);
        drop(gone);
    }
}

fn place(hasher: &FixedState, key: &str, shards: usize) -> usize {
    ((u128::from(hasher.hash_one(key)) * shards as u128) >> u64::BITS) as usize
}
