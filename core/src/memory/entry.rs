//! What a shard keeps of one key.
//!
//! The policy and the wheel thread their lists through the entries themselves, each through a
//! part of its own, and neither sees the other's part nor the key and the value.

use alloc::boxed::Box;

use bytes::Bytes;

use super::fifo::{Linked, Links};
use super::policy::{Rank, Residents};
use super::slab::{Id, Slab};
use super::wheel::{Timer, Timers};

/// What an entry is counted with on top of the bytes of its key and its value: its record, its
/// share of the hash table, and what an allocator adds to two blocks. A round figure, the same on
/// every platform, so that a bound means the same everywhere.
pub const ENTRY_OVERHEAD: u64 = 128;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Box<[u8]>,
    pub(super) value: Bytes,
    pub(super) rank: Rank,
    pub(super) timer: Timer,
}

impl Entry {
    /// What this entry counts towards a bound on bytes.
    pub(super) fn size(&self) -> u64 {
        size(&self.key, &self.value)
    }
}

/// What an entry of `key` and `value` counts towards a bound on bytes.
pub(super) fn size(key: &[u8], value: &[u8]) -> u64 {
    let bytes = key.len().saturating_add(value.len());
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(ENTRY_OVERHEAD)
}

impl Linked for Slab<Entry> {
    fn links(&mut self, id: Id) -> Option<&mut Links> {
        self.get_mut(id).map(|entry| &mut entry.rank.links)
    }
}

impl Residents for Slab<Entry> {
    fn rank(&mut self, id: Id) -> Option<&mut Rank> {
        self.get_mut(id).map(|entry| &mut entry.rank)
    }
}

impl Timers for Slab<Entry> {
    fn timer(&mut self, id: Id) -> Option<&mut Timer> {
        self.get_mut(id).map(|entry| &mut entry.timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_record_fits_in_its_stated_overhead() {
        // A bucket of the hash table takes five bytes, twice that right after it has grown.
        let record = size_of::<Entry>() + 2 * 5;
        let blocks = 2 * size_of::<usize>();
        assert!(record + blocks <= usize::try_from(ENTRY_OVERHEAD).unwrap());
    }
}
