//! `moka`, with its own timeouts per entry.

use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::FixedState;
use moka::Expiry;
use moka::sync::Cache;

use super::held::Held;
use super::{SEED, Store};

pub(crate) struct Moka<V> {
    cache: Cache<String, V, FixedState>,
}

impl<V: Held> Moka<V> {
    pub(crate) fn new(entries: u64, timeouts: bool) -> Self {
        let builder = Cache::builder().max_capacity(entries);
        let hasher = FixedState::with_seed(SEED);
        let cache = match timeouts {
            true => builder.expire_after(Own).build_with_hasher(hasher),
            false => builder.build_with_hasher(hasher),
        };
        Self { cache }
    }
}

impl<V: Held> Store for Moka<V> {
    fn get(&self, key: &'static str) -> Option<Bytes> {
        self.cache.get(key)?.open()
    }

    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>) {
        self.cache.insert(key.to_owned(), V::hold(value, timeout));
    }

    fn settle(&self) {
        self.cache.run_pending_tasks();
    }

    fn entries(&self) -> Option<u64> {
        Some(self.cache.entry_count())
    }
}

/// An expiry policy that asks the value for its timeout.
struct Own;

impl<V: Held> Expiry<String, V> for Own {
    fn expire_after_create(&self, _: &String, held: &V, _: Instant) -> Option<Duration> {
        held.left()
    }

    fn expire_after_update(
        &self,
        _: &String,
        held: &V,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        held.left()
    }
}
