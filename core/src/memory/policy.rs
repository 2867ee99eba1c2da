//! Chooses the entry to evict when there is no room: S3-FIFO, with a trial before the main queue
//! and a small queue whose length is learnt.
//!
//! Most keys of a real workload are requested once and never again. So a new entry first passes
//! through a *small* queue. If it was not requested by the time it reaches the end, it is evicted,
//! having cost the other entries little: a scan flushes the small queue and nothing else. Its key
//! is remembered for a while as a *ghost*. An entry that was used in the small queue is a
//! *candidate* for the *main* queue, which holds the rest. So is an entry that is stored again
//! while its key is a ghost. When an entry reaches main's end it is looked at. If it has a use
//! left, it pays with one and goes around again; a request adds a use, up to three. An entry
//! without a use makes way.
//!
//! S3-FIFO admits every candidate. Then a loop longer than the room runs through the main queue as
//! well, and each entry is evicted shortly before it is requested. So here a candidate stands
//! trial. It is admitted once an entry at main's end makes way, and refused once three of them have
//! turned out to be in use. Each of the three pays with one use. So main keeps its part of a loop,
//! and that part hits, which is the most that any policy can do. An entry that has a use left but
//! was not requested since the last look is no rival: it pays as well, and the next one is looked
//! at. So when the pattern changes, main resists for one turn, which takes a third as many
//! candidates as it has entries, and gives way from then on.
//!
//! The best length of the small queue depends most on the workload: a hundredth of the room for
//! loops and for keys that stay popular, a half or more for keys that are requested again soon or
//! never. [`QueueShare`](super::share::QueueShare) learns it from the keys that come back. But it
//! lengthens the queue only if the small queue hits already. So it never learns of keys that each
//! come back once, after longer than the queue is. And if one set of keys replaces another, main's
//! entries resist with the uses that they have left. So the learnt share is one of three rules. The
//! others give the small queue half or nine tenths of the room, as LRU would. [`Ladder`] finds out
//! which rule would hit most, with small shadow caches of a sample of the keys, and the queues
//! follow that rule.
//!
//! Without candidates, as in a loop many times longer than the room, main would never fill. So
//! while it is short of its share, one in thirty-two of the unused entries that leave the small
//! queue moves on to main; these are the first to make way.
//!
//! The trial also considers a candidate's size: a *heavy* one may displace only few entries that
//! are in use. A value of more than an eighth of the room is weighed before it is stored at all.
//! The store does that, as such a value displaces entries of all shards. [`Refusals`] counts how
//! often its key was requested since it was refused.
//!
//! A hit writes one small counter and moves nothing, and notes the key if it is in the sample.
//!
//! The policy knows neither keys nor values, nor when there is room.
//!
//! The sources are Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023), for
//! the queues; Einziger et al., "TinyLFU" (ACM ToS 2017), for the idea that a new entry must be
//! worth more than those that it displaces; Qureshi et al., "Adaptive insertion policies" (ISCA
//! 2007), for keeping a part of a working set that does not fit and for admitting one of many; and
//! Waldspurger et al., "Cache modeling and optimization using miniature simulations" (ATC 2017),
//! for the shadows. The trial is our own.

use self::ladder::Ladder;
use self::queues::{QueueRule, Queues};
pub(super) use self::queues::{Rank, Residents};
use self::refusals::Refusals;
use super::slab::Id;

mod ladder;
mod queues;
mod refusals;
mod shadow;
#[cfg(test)]
mod tests;

#[derive(Debug)]
pub(super) struct EvictionPolicy {
    queues: Queues,
    ladder: Ladder,
    refusals: Refusals,
}

impl EvictionPolicy {
    /// Creates the policy of a shard with about this many entries, if the number is known. An entry
    /// of `outsized` weight or more takes a large part of its shard's room.
    pub(super) fn new(entries: Option<u32>, outsized: u64) -> Self {
        let (queues, ladder) = (Queues::new(QueueRule::Learnt, outsized), Ladder::new(entries));
        Self { queues, ladder, refusals: Refusals::new() }
    }

    /// Adds an entry whose rank is new.
    pub(super) fn insert(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        let hash = rank.hash;
        if let Some((rule, share)) = self.ladder.settle() {
            self.queues.follow(rule, share);
        }
        if self.ladder.samples(hash) {
            self.ladder.insert(hash);
        }
        self.queues.insert(all, id, weight);
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, all: &mut impl Residents, id: Id) {
        self.queues.remove(all, id);
    }

    /// Notes that a key was removed or has expired: no policy would have kept it.
    pub(super) fn forget(&mut self, hash: u32) {
        if self.ladder.samples(hash) {
            self.ladder.forget(hash);
        }
    }

    /// Notes that the entry now at `id` had another number before.
    pub(super) fn moved(&mut self, all: &mut impl Residents, id: Id) {
        self.queues.moved(all, id);
    }

    /// Notes that an entry was requested.
    #[inline]
    pub(super) fn hit(&self, rank: &Rank) {
        self.queues.hit(rank);
        if self.ladder.samples(rank.hash) {
            self.ladder.hear(rank.hash, true);
        }
    }

    /// Notes that a key was requested that is not in the store.
    #[inline]
    pub(super) fn miss(&self, hash: u32) {
        if self.ladder.samples(hash) {
            self.ladder.hear(hash, false);
        }
        self.refusals.hear(hash);
    }

    /// The weight of the outsized entries in the main queue.
    pub(super) fn proven(&self) -> u64 {
        self.queues.proven()
    }

    /// Notes that a value was refused for its size. Its key had this many uses before.
    pub(super) fn refuse(&mut self, hash: u32, uses: u8) {
        self.refusals.note(hash, uses);
    }

    /// How often a key was requested since its value was refused.
    pub(super) fn asks(&self, hash: u32) -> u8 {
        self.refusals.asks(hash)
    }

    /// Moves an entry that was refused before, and is stored now, to the main queue.
    pub(super) fn promote(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        self.refusals.forget(rank.hash);
        self.queues.promote(all, id);
    }

    /// Notes that an entry has another weight now.
    pub(super) fn reweigh(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        self.queues.reweigh(all, id, weight);
    }

    /// Chooses the next entry to evict, other than `spared`, for an entry of weight `coming`. The
    /// caller removes it. `None` if there is no other entry.
    pub(super) fn victim(
        &mut self,
        all: &mut impl Residents,
        spared: Id,
        coming: u64,
    ) -> Option<Id> {
        self.ladder.resize(self.queues.len());
        self.queues.victim(all, spared, coming)
    }
}
