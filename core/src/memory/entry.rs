//! What a shard keeps of one key: a record that fits a cache line.
//!
//! The policy and the wheel thread their lists through the records themselves, each through a
//! part of its own, and neither sees the other's part nor the key and the value.

use super::body::{Body, is_near};
use super::fifo::{Linked, Links};
use super::policy::{Rank, Residents};
use super::slab::{Id, Slab};
use super::wheel::{Timer, Timers};

/// What an entry is counted with on top of the bytes of its key and its value: its record, its
/// share of the hash table and of what is remembered of keys that went, the count of who holds its
/// block, and what an allocator adds to that. A value of more than 256 bytes, or one of a key of more than 255, counts it
/// twice, for it takes two blocks more. A round figure, the same on every platform, so that a bound means the
/// same everywhere.
pub const ENTRY_OVERHEAD: u64 = 112;

/// On a cache line of its own, so that a lookup takes one of them.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) body: Body,
    pub(super) timer: Timer,
    pub(super) rank: Rank,
}

impl Entry {
    /// What this entry counts towards a bound on bytes.
    pub(super) fn size(&self) -> u64 {
        let (len, is_near) = self.body.len();
        counted(len, is_near)
    }
}

/// What an entry of `key` and `value` counts towards a bound on bytes.
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
    use crate::memory::slab::Slot;

    /// A bucket of the hash table has eight of them, and there is a spare one for each four at the worst.
    const TABLE: usize = 64 * 5 / 4 / 8;
    /// A fingerprint of a key that went.
    const GHOST: usize = 4;
    /// Of those who hold a block.
    const COUNT: usize = size_of::<usize>();
    /// What an allocator adds to a block: a header, and half a step of sixteen bytes.
    const BLOCK: usize = 16;

    #[test]
    fn a_record_fits_a_cache_line_and_a_slot_adds_nothing_to_it() {
        assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
        assert_eq!(size_of::<Slot<Entry>>(), size_of::<Entry>());
    }

    #[test]
    fn an_entry_fits_in_its_stated_overhead() {
        let record = size_of::<Slot<Entry>>() + TABLE + GHOST;
        let near = record + COUNT + size_of::<u8>() + BLOCK;
        let far = record + size_of::<Far>() + COUNT + 3 * BLOCK;
        let stated = |value: &[u8]| usize::try_from(size(b"", value)).unwrap() - value.len();
        assert!(near <= stated(&[0; 256]), "{near}");
        assert!(far <= stated(&[0; 257]), "{far}");
    }
}
