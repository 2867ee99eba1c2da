//! `sieve-cache`. It does not support timeouts, so an expired entry is removed when a lookup finds
//! it.

use std::time::Duration;

use anyhow::{Error, Result};
use bytes::Bytes;
use foldhash::fast::FixedState;
use sieve_cache::ShardedSieveCache;

use super::held::Held;
use super::{SEED, Store};

pub(crate) struct Sieve<V: Held> {
    cache: ShardedSieveCache<String, V, FixedState>,
}

impl<V: Held> Sieve<V> {
    pub(crate) fn new(entries: u64, shards: usize) -> Result<Self> {
        let hasher = FixedState::with_seed(SEED);
        let cache = ShardedSieveCache::with_shards_and_hasher(entries as usize, shards, hasher);
        Ok(Self { cache: cache.map_err(Error::msg)? })
    }
}

impl<V: Held> Store for Sieve<V> {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        let value = self.cache.get(key)?.open();
        if value.is_none() {
            self.cache.remove(key);
        }
        value
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        self.cache.insert(key.to_owned(), V::hold(value, timeout));
    }

    fn entries(&self) -> Option<u64> {
        Some(self.cache.len() as u64)
    }
}
