//! Shards that threads share, each behind a reader-writer lock; lookups take it for reading.

use std::sync::RwLock;

use async_caches_core::memory::{Shard, Shards};

use crate::sync::{read, write};

/// A shard on cache lines of its own, two at a time as processors fetch them. Taking its lock
/// leaves its neighbours' lines in place.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Locked(RwLock<Shard>);

impl Locked {
    pub(super) fn new(shard: Shard) -> Self {
        Self(RwLock::new(shard))
    }
}

/// The shards of a store, lent out one at a time.
pub(super) struct Lent<'a>(pub(super) &'a [Locked]);

impl Shards for Lent<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn read<R>(&self, index: usize, f: impl FnOnce(&Shard) -> R) -> R {
        f(&read(&self.0[index].0))
    }

    fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
        f(&mut write(&self.0[index].0))
    }
}
