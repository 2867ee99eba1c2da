//! `TinyUFO`. It stores hashes instead of keys, and does not support timeouts, so an expired entry
//! is removed when a lookup finds it.

use std::time::Duration;

use bytes::Bytes;
use tinyufo::TinyUfo;

use super::Store;
use super::held::Held;

pub(crate) struct Ufo<V: Held> {
    cache: TinyUfo<&'static str, V>,
}

impl<V: Held> Ufo<V> {
    pub(crate) fn new(entries: u64) -> Self {
        Self { cache: TinyUfo::new(entries as usize, entries as usize) }
    }
}

impl<V: Held> Store for Ufo<V> {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        let value = self.cache.get(&key)?.open();
        if value.is_none() {
            self.cache.remove(&key);
        }
        value
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        self.cache.put(key, V::hold(value, timeout), 1);
    }
}
