//! Unpredictable numbers, for jitter and for hash tables.

use std::hash::{BuildHasher, RandomState};

/// Returns an unpredictable number.
pub(crate) fn new() -> u64 {
    RandomState::new().hash_one(0)
}
