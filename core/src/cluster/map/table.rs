//! Which shard, or which single node, each slot belongs to.
//!
//! The table is a persistent one: a copy shares all chunks of slots, and a change copies only the
//! chunk that it affects. So a redirect, which makes a new map out of the one that callers are
//! reading, copies 512 bytes and 64 pointers, however many nodes the map has.

use alloc::sync::Arc;

use crate::cluster::slot::Slot;

/// The owner of each of the 16,384 slots, as a number; [`NO_OWNER`] at first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SlotTable([Arc<SlotChunk>; CHUNKS]);

type SlotChunk = [u16; CHUNK];

impl SlotTable {
    /// The number of a slot's owner.
    #[inline]
    pub(super) fn get(&self, slot: Slot) -> u16 {
        let number = usize::from(slot.number());
        let chunk = self.0.get(number / CHUNK);
        chunk.and_then(|chunk| chunk.get(number % CHUNK)).copied().unwrap_or(NO_OWNER)
    }

    /// Sets a slot's owner.
    pub(super) fn set(&mut self, slot: Slot, owner: u16) {
        let number = usize::from(slot.number());
        let chunk = self.0.get_mut(number / CHUNK).map(Arc::make_mut);
        if let Some(entry) = chunk.and_then(|chunk| chunk.get_mut(number % CHUNK)) {
            *entry = owner;
        }
    }

    /// The owners of all slots, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().flat_map(|chunk| chunk.iter().copied())
    }

    /// How many chunks the two tables do not share.
    #[cfg(test)]
    pub(super) fn apart(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).filter(|(one, other)| !Arc::ptr_eq(one, other)).count()
    }
}

impl Default for SlotTable {
    fn default() -> Self {
        let empty = Arc::new([NO_OWNER; CHUNK]);
        Self(core::array::from_fn(|_| Arc::clone(&empty)))
    }
}

/// The number for a slot without an owner.
pub(super) const NO_OWNER: u16 = u16::MAX;

const CHUNK: usize = 256;
const CHUNKS: usize = Slot::COUNT as usize / CHUNK;
