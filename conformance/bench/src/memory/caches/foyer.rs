//! The in-memory part of `foyer`. It does not support timeouts, so an expired entry is removed when
//! a lookup finds it.

use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use foyer_memory::{Cache, CacheBuilder, S3FifoConfig};

use super::held::Held;
use super::{SEED, Store};

pub(crate) struct Foyer<V: Held> {
    cache: Cache<String, V, FixedState>,
}

impl<V: Held> Foyer<V> {
    pub(crate) fn new(entries: u64, shards: usize) -> Self {
        let cache = CacheBuilder::new(entries as usize)
            .with_shards(shards)
            .with_eviction_config(S3FifoConfig::default())
            .with_hash_builder(FixedState::with_seed(SEED))
            .build();
        Self { cache }
    }
}

impl<V: Held> Store for Foyer<V> {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        let value = self.cache.get(key)?.value().clone().open();
        if value.is_none() {
            self.cache.remove(key);
        }
        value
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        self.cache.insert(key.to_owned(), V::hold(value, timeout));
    }

    fn entries(&self) -> Option<u64> {
        Some(self.cache.entries() as u64)
    }
}
