//! The keys and values that a shard has removed and not yet dropped.
//!
//! Freeing a large value takes time, and so does freeing many small ones. Neither should happen
//! while other callers wait for the shard. So a shard drops nothing itself: it puts removed keys
//! and values here, and the caller drops them once it has unlocked the shard.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::body::Body;
use super::bucket::Bucket;
use super::entry::Entry;
use super::slab::{Slab, SlabCell};
use super::table::Table;

/// Keys and values that a [`Shard`](super::Shard) has removed. Drop it when the shard is no longer
/// locked.
///
/// The first few fit without an allocation. Most operations remove no more than that.
///
/// ```
/// use async_caches_core::memory::{Graveyard, Seed, Shard};
/// use async_caches_core::time::Instant;
///
/// let (seed, mut shard) = (Seed::new(42), Shard::new(None, None));
/// let mut dead = Graveyard::new();
/// let existed = shard.remove(seed.hash(b"::user:1"), Instant::ORIGIN, &mut dead);
/// assert!(!existed && dead.is_empty());
/// drop(dead); // after the shard was unlocked
/// ```
#[derive(Debug, Default)]
pub struct Graveyard {
    near: [Option<Body>; 2],
    /// Behind one pointer, so that a graveyard with few bodies is cheap to make and to drop.
    far: Option<Box<FarGraves>>,
}

impl Graveyard {
    /// Creates an empty graveyard.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of single keys or values in here, without those that were cleared with a whole
    /// shard.
    #[must_use]
    pub fn len(&self) -> usize {
        self.near.iter().flatten().count() + self.far.as_ref().map_or(0, |far| far.bodies.len())
    }

    /// Whether there is nothing to drop.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
            && self.far.as_ref().is_none_or(|far| far.storages.is_empty() && far.chunks.is_empty())
    }

    pub(super) fn bury_slots(&mut self, slots: Vec<SlabCell<Entry>>) {
        self.far.get_or_insert_default().chunks.push(OldStorage::Slots { _all: slots });
    }

    pub(super) fn bury_buckets(&mut self, buckets: Vec<Bucket>) {
        self.far.get_or_insert_default().chunks.push(OldStorage::Buckets { _all: buckets });
    }

    pub(super) fn bury_storage(&mut self, table: Table, slab: Slab<Entry>) {
        self.far.get_or_insert_default().storages.push(Storage { _table: table, _slab: slab });
    }

    pub(super) fn bury(&mut self, body: Body) {
        match self.near.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(body),
            None => {
                let bodies = &mut self.far.get_or_insert_default().bodies;
                if bodies.capacity() == 0 {
                    bodies.reserve(FAR);
                }
                bodies.push(body);
            }
        }
    }
}

#[derive(Debug, Default)]
struct FarGraves {
    bodies: Vec<Body>,
    storages: Vec<Storage>,
    chunks: Vec<OldStorage>,
}

/// A part of a storage that has become too large for its contents.
#[derive(Debug)]
enum OldStorage {
    Slots { _all: Vec<SlabCell<Entry>> },
    Buckets { _all: Vec<Bucket> },
}

#[derive(Debug)]
struct Storage {
    _table: Table,
    _slab: Slab<Entry>,
}

/// The initial capacity, in bodies of 32 bytes each: more than 1 KiB. glibc's allocator keeps small
/// freed blocks apart, and merges all of them when a program requests 1 KiB. Such a request
/// whenever many bodies are removed keeps the number of blocks to merge small. Without it, merging
/// a million blocks took six milliseconds, in a call that stored one small value.
const FAR: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::body::Own;

    #[test]
    fn bodies_are_counted_and_more_than_a_few_reserve_room_for_many() {
        let mut graveyard = Graveyard::new();
        for count in 1..=3 {
            graveyard.bury(Body::new(b"k", &Own::of(b"")));
            assert_eq!(graveyard.len(), count);
        }
        assert!(graveyard.far.unwrap().bodies.capacity() >= FAR);
    }
}
