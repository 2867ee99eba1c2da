//! `quick_cache`. It does not support timeouts, so an expired entry is removed when a lookup finds
//! it.

use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::held::Held;
use super::{SEED, Store};

pub(crate) struct QuickCache<V> {
    cache: Cache<String, V, UnitWeighter, FixedState>,
}

impl<V: Held> QuickCache<V> {
    pub(crate) fn new(entries: u64) -> Self {
        let hasher = FixedState::with_seed(SEED);
        let lifecycle = DefaultLifecycle::default();
        let cache = Cache::with(entries as usize, entries, UnitWeighter, hasher, lifecycle);
        Self { cache }
    }
}

impl<V: Held> Store for QuickCache<V> {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        let value = self.cache.get(key)?.open();
        if value.is_none() {
            self.cache.remove_if(key, V::is_over);
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
