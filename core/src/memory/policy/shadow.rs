//! A cache of nothing but hashes, which shows how often a rule would hit. Every operation is O(1),
//! and evicts two hashes at most.

use alloc::vec;
use alloc::vec::Vec;

use super::queues::{QueueRule, Queues, Rank, Residents};
use crate::memory::fifo::{Linked, Links};
use crate::memory::share::QueueShare;
use crate::memory::slab::{Id, Slab};

#[derive(Debug)]
pub(super) struct Shadow {
    queues: Queues,
    seen: Slab<ShadowEntry>,
    /// The first hash of each chain; the low bits of a hash select its chain.
    chains: Vec<Id>,
}

#[derive(Debug)]
struct ShadowEntry {
    rank: Rank,
    next: Id,
}

impl Linked for Slab<ShadowEntry> {
    fn links(&mut self, id: Id) -> Option<&mut Links> {
        self.get_mut(id).map(|seen| &mut seen.rank.links)
    }
}

impl Residents for Slab<ShadowEntry> {
    fn rank(&mut self, id: Id) -> Option<&mut Rank> {
        self.get_mut(id).map(|seen| &mut seen.rank)
    }
}

impl Shadow {
    /// Creates a shadow for about this many hashes.
    pub(super) fn new(rule: QueueRule, chains: u32) -> Self {
        let chains = usize::try_from(chains).unwrap_or(usize::MAX).next_power_of_two();
        Self {
            queues: Queues::new(rule, u64::MAX),
            seen: Slab::new(),
            chains: vec![Id::NONE; chains],
        }
    }

    /// The small queue's share, as learnt so far.
    pub(super) fn share(&self) -> QueueShare {
        self.queues.share()
    }

    /// The number of hashes.
    pub(super) fn len(&self) -> u32 {
        self.seen.len()
    }

    /// Uses a hash, if it is in the shadow. Returns whether it is.
    pub(super) fn ask(&mut self, hash: u32) -> bool {
        let found = self.find(hash).and_then(|id| self.seen.get(id));
        found.inspect(|seen| self.queues.hit(&seen.rank)).is_some()
    }

    /// Adds a hash that is not in the shadow. If there is no room it evicts one first, or two if
    /// the room has become smaller.
    pub(super) fn insert(&mut self, hash: u32, room: u32) {
        for _ in 0..2 {
            if self.seen.len() >= room
                && let Some(id) = self.queues.victim(&mut self.seen, Id::NONE, 1)
            {
                self.remove(id);
            }
        }
        let next = self.chain(hash).map_or(Id::NONE, |first| *first);
        let id = self.seen.insert(ShadowEntry { rank: Rank::new(hash), next });
        if let Some(first) = self.chain(hash) {
            *first = id;
        }
        self.queues.insert(&mut self.seen, id, 1);
    }

    /// Removes a hash, if it is in the shadow.
    pub(super) fn forget(&mut self, hash: u32) {
        if let Some(id) = self.find(hash) {
            self.remove(id);
        }
    }

    /// Whether a hash is in the shadow.
    pub(super) fn has(&self, hash: u32) -> bool {
        self.find(hash).is_some()
    }

    fn find(&self, hash: u32) -> Option<Id> {
        let mut id = *self.chains.get(self.place(hash))?;
        while let Some(seen) = self.seen.get(id) {
            if seen.rank.hash == hash {
                return Some(id);
            }
            id = seen.next;
        }
        None
    }

    fn remove(&mut self, id: Id) {
        self.queues.remove(&mut self.seen, id);
        let Some(ShadowEntry { rank, next }) = self.seen.remove(id) else { return };
        let Some(mut at) = self.chain(rank.hash).copied() else { return };
        if at == id {
            if let Some(first) = self.chain(rank.hash) {
                *first = next;
            }
            return;
        }
        while let Some(seen) = self.seen.get_mut(at) {
            if seen.next == id {
                seen.next = next;
                return;
            }
            at = seen.next;
        }
    }

    fn chain(&mut self, hash: u32) -> Option<&mut Id> {
        let place = self.place(hash);
        self.chains.get_mut(place)
    }

    fn place(&self, hash: u32) -> usize {
        usize::try_from(hash).unwrap_or(usize::MAX) & self.chains.len().wrapping_sub(1)
    }
}
