//! Which entry goes when there is no room: S3-FIFO, with a trial before the main queue and a small
//! queue whose length is learnt.
//!
//! Most keys of a real workload are asked for once and never again. So a new entry first passes
//! through a *small* queue. If nobody asked for it by the time it reaches the end, it goes, having
//! cost the others little: a scan flushes the small queue and nothing else. Its key is remembered
//! for a while as a *ghost*. An entry that was used in the small queue, and one that comes back
//! while it is a ghost, is a *candidate* for the *main* queue, which holds the rest. There, an
//! entry that is looked at goes around again, once for each time that it was asked for (up to
//! three), and makes way when it comes by with no use left.
//!
//! S3-FIFO lets every candidate in. Then a loop longer than the room runs through the main queue
//! as well, and each entry goes shortly before it is asked for. So here a candidate stands trial:
//! it is let in once an entry at main's end makes way, and refused once three of them have
//! turned out to be in use, each having paid with one of its uses. Of a loop main then keeps what
//! it has, and that part hits, which is the most that any policy can do. An entry that has a use
//! left but was not asked for since the last look is no rival: it pays as well, and the next is
//! looked at. So when the pattern changes, main resists for one turn, a third as many candidates
//! as it has entries, and gives way from then on.
//!
//! How long the small queue should be differs most of all: a hundredth of the room is best for
//! loops and for what is popular in the long run, a half or more for what is asked for again
//! soon or never. [`Share`](super::share::Share) learns it from what comes back. But it believes in
//! a longer one only if the small queue hits already, so it never learns of keys that each come
//! back once, after longer than the queue is; and main's entries, with uses left from before, resist
//! a set of keys that takes the place of another. So the learnt share is one rule of three, and the
//! others give the small queue half or nine tenths of the room, as LRU would. [`Ladder`] says which
//! of them would hit most, from small shadow caches of a sample of the keys, and that rule is gone by.
//!
//! Where there are no candidates, as in a loop many times longer than the room, main would never
//! fill. So while it is short of its share, one in thirty-two of the unused that leave the small
//! queue moves on instead; they are the first to make way.
//!
//! What a candidate is worth is asked of its size as well: a *heavy* one is to displace few that are in
//! use. A value that takes more than an eighth of the room is weighed before it is let in at all, by the
//! store, as it displaces entries of all shards: [`Refusals`] says how often it was asked for since.
//!
//! A hit writes one small counter and moves nothing, and notes the key if it is in the sample.
//!
//! The policy knows neither keys nor values, nor when there is room.
//!
//! The sources are Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023), for
//! the queues; Einziger et al., "TinyLFU" (ACM ToS 2017), for the thought that a newcomer must be
//! worth more than whom it displaces; Qureshi et al., "Adaptive insertion policies" (ISCA 2007),
//! for keeping a part of what thrashes and for letting in one of many; and Waldspurger et al., "Cache
//! modeling and optimization using miniature simulations" (ATC 2017), for the shadows. The trial is our
//! own.

use self::ladder::Ladder;
use self::queues::{Queues, Rule};
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
pub(super) struct Policy {
    queues: Queues,
    ladder: Ladder,
    refusals: Refusals,
}

impl Policy {
    /// For about so many entries, if that is known. An entry of `outsized` weight or more is a large part
    /// of what its shard may hold.
    pub(super) fn new(entries: Option<u32>, outsized: u64) -> Self {
        let (queues, ladder) = (Queues::new(Rule::Learnt, outsized), Ladder::new(entries));
        Self { queues, ladder, refusals: Refusals::new() }
    }

    /// Takes in an entry whose rank is new.
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

    /// Lets go of an entry.
    pub(super) fn remove(&mut self, all: &mut impl Residents, id: Id) {
        self.queues.remove(all, id);
    }

    /// Notes that a key was removed or has expired, so that nothing would have kept it.
    pub(super) fn forget(&mut self, hash: u32) {
        if self.ladder.samples(hash) {
            self.ladder.forget(hash);
        }
    }

    /// Notes that the entry at `id` was at another number before.
    pub(super) fn moved(&mut self, all: &mut impl Residents, id: Id) {
        self.queues.moved(all, id);
    }

    /// Notes that an entry was asked for.
    #[inline]
    pub(super) fn hit(&self, rank: &Rank) {
        self.queues.hit(rank);
        if self.ladder.samples(rank.hash) {
            self.ladder.hear(rank.hash, true);
        }
    }

    /// Notes that a key was asked for that is not there.
    #[inline]
    pub(super) fn miss(&self, hash: u32) {
        if self.ladder.samples(hash) {
            self.ladder.hear(hash, false);
        }
        self.refusals.hear(hash);
    }

    /// The weight of outsized entries that are in the main queue.
    pub(super) fn proven(&self) -> u64 {
        self.queues.proven()
    }

    /// Notes that a value was refused for its size, whose key had been used so often before.
    pub(super) fn refuse(&mut self, hash: u32, uses: u8) {
        self.refusals.note(hash, uses);
    }

    /// How often a key was asked for since it was refused.
    pub(super) fn asks(&self, hash: u32) -> u8 {
        self.refusals.asks(hash)
    }

    /// Has an entry that was refused before, and is there now, begin in the main queue.
    pub(super) fn promote(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        self.refusals.forget(rank.hash);
        self.queues.promote(all, id);
    }

    /// Notes that an entry weighs something else now.
    pub(super) fn reweigh(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        self.queues.reweigh(all, id, weight);
    }

    /// Chooses the entry that should go next, other than `spared`, for one of so much weight that is
    /// to come, and leaves it to the caller to remove it. None if there is no other.
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
