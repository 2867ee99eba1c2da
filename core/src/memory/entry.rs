//! The record that a shard keeps of one key. It fits a cache line.
//!
//! The policy and the wheel thread their lists through the records. Each uses a part of its own,
//! and sees neither the other's part nor the key and the value.

use super::body::{Body, is_near};
use super::fifo::{Linked, Links};
use super::policy::{Rank, Residents};
use super::slab::{Id, Slab};
use super::wheel::{Timer, Timers};

/// The number of bytes that an entry counts in addition to its key and its value. This covers its
/// record, its share of the hash table and of the memory of evicted keys, the reference count of
/// its block, and the allocator's overhead. An entry with a value of more than 256 bytes, or a key
/// of more than 255, counts it twice, as it takes two more blocks. It is a round figure and the
/// same on every platform, so that a bound means the same everywhere.
pub const ENTRY_OVERHEAD: u64 = 112;

/// Aligned to a cache line, so that a lookup reads only one of them.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) body: Body,
    pub(super) timer: Timer,
    pub(super) rank: Rank,
}

impl Entry {
    /// The number of bytes that this entry counts towards a bound.
    pub(super) fn size(&self) -> u64 {
        let (len, is_near) = self.body.len();
        counted(len, is_near)
    }
}

/// The number of bytes that an entry of `key` and `value` counts towards a bound.
pub(super) fn size(key: &[u8], value: &[u8]) -> u64 {
    counted(key.len().saturating_add(value.len()), is_near(key, value))
}

fn counted(len: usize, is_near: bool) -> u64 {
    let bytes = u64::try_from(len).unwrap_or(u64::MAX);
    let times = if is_near { 1 } else { 2 };
    bytes.saturating_add(times * ENTRY_OVERHEAD)
}

impl Linked for Slab<Entry> {
    #[inline]
    fn links(&mut self, id: Id) -> Option<&mut Links> {
        self.get_mut(id).map(|entry| &mut entry.rank.links)
    }
}

impl Residents for Slab<Entry> {
    #[inline]
    fn rank(&mut self, id: Id) -> Option<&mut Rank> {
        self.get_mut(id).map(|entry| &mut entry.rank)
    }
}

impl Timers for Slab<Entry> {
    #[inline]
    fn timer(&mut self, id: Id) -> Option<&mut Timer> {
        self.get_mut(id).map(|entry| &mut entry.timer)
    }
}

#[cfg(test)]
#[cfg(target_pointer_width = "64")]
mod tests {
    use super::*;
    use crate::memory::body::Far;
    use crate::memory::slab::SlabCell;

    /// A bucket of the hash table holds eight numbers on average. At worst there is one spare
    /// bucket for each four.
    const TABLE: usize = 64 * 5 / 4 / 8;
    /// The fingerprints of evicted keys: four for each three entries.
    const GHOST: usize = (4 * 4_usize).div_ceil(3);
    /// The reference count of a block.
    const COUNT: usize = size_of::<usize>();
    /// The allocator's overhead of a block: a header, and half of a step of sixteen bytes.
    const BLOCK: usize = 16;

    #[test]
    fn a_record_fits_a_cache_line_and_a_slot_adds_nothing_to_it() {
        assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
        assert_eq!(size_of::<SlabCell<Entry>>(), size_of::<Entry>());
    }

    #[test]
    fn an_entry_fits_in_its_stated_overhead() {
        let record = size_of::<SlabCell<Entry>>() + TABLE + GHOST;
        let near = record + COUNT + size_of::<u8>() + BLOCK;
        let far = record + size_of::<Far>() + COUNT + 3 * BLOCK;
        let stated = |value: &[u8]| usize::try_from(size(b"", value)).unwrap() - value.len();
        assert!(near <= stated(&[0; 256]), "{near}");
        assert!(far <= stated(&[0; 257]), "{far}");
    }
}
