//! Which entry goes when there is no room: S3-FIFO.
//!
//! Most keys of a real workload are asked for once and never again. So a new entry first passes
//! through a *small* queue of about a tenth of the room. If nobody asked for it by the time it
//! reaches the end, it goes, having cost the others little: a scan flushes the small queue and
//! nothing else. If somebody did, it moves on to the *main* queue, which holds the rest. There,
//! an entry that reaches the end goes around again, once for each time that it was asked for
//! lately (up to three), and is let go only when it comes by unused. A key that was let go from
//! the small queue is remembered for a while as a *ghost*; if it comes back soon after all, the
//! small queue was too short to see its worth, and it enters the main queue at once.
//!
//! The source is Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023). Two
//! things differ. One use in the small queue promotes, not two. And ghosts are a table of
//! fingerprints in which a later one replaces an earlier one, not a queue.
//!
//! A hit writes one small counter and moves nothing. An eviction is O(1) amortised, since every
//! turn of an entry has been paid for by a hit; it is also bounded outright: after
//! [`PATIENCE`] turns the next in line goes, used or not. There is no chance in it: the same calls
//! choose the same victims.
//!
//! Lengths of queues are measured in *weight*, in whichever unit the bound is: one an entry, or
//! its bytes. The policy knows neither keys nor values, nor when there is room.

use core::sync::atomic::{AtomicU8, Ordering};

use super::fifo::{Fifo, Linked, Links};
use super::ghosts::Ghosts;
use super::slab::Id;

/// What the policy keeps of an entry.
#[derive(Debug)]
pub(super) struct Rank {
    /// Of its key's hash what is kept, which its owner may read too.
    pub(super) hash: u32,
    pub(super) links: Links,
    weight: u32,
    queue: Queue,
    /// Counted while others read it too; a use more or less that is lost does no harm.
    uses: AtomicU8,
}

impl Rank {
    pub(super) fn new(hash: u32) -> Self {
        let uses = AtomicU8::new(0);
        Self { hash, links: Links::NONE, weight: 0, queue: Queue::Small, uses }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Queue {
    Small,
    Main,
}

/// Where the ranks of entries are.
pub(super) trait Residents: Linked {
    fn rank(&mut self, id: Id) -> Option<&mut Rank>;
}

#[derive(Debug)]
pub(super) struct Policy {
    small: Line,
    main: Line,
    len: u32,
    ghosts: Ghosts,
}

#[derive(Debug)]
struct Line {
    fifo: Fifo,
    weight: u64,
}

impl Policy {
    pub(super) const fn new() -> Self {
        Self { small: Line::new(), main: Line::new(), len: 0, ghosts: Ghosts::new() }
    }

    /// Takes in an entry whose rank is new.
    pub(super) fn insert(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        rank.weight = narrow(weight);
        let queue = if self.ghosts.take(rank.hash) { Queue::Main } else { Queue::Small };
        self.len += 1;
        self.push(all, id, queue);
    }

    /// Lets go of an entry.
    pub(super) fn remove(&mut self, all: &mut impl Residents, id: Id) {
        self.unlink(all, id);
        self.len = self.len.saturating_sub(1);
    }

    /// Notes that an entry was asked for.
    #[inline]
    pub(super) fn hit(&self, rank: &Rank) {
        let uses = rank.uses.load(Ordering::Relaxed);
        if uses < MOST_USES {
            rank.uses.store(uses + 1, Ordering::Relaxed);
        }
    }

    /// Notes that an entry weighs something else now.
    pub(super) fn reweigh(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        let old = core::mem::replace(&mut rank.weight, narrow(weight));
        let (new, queue) = (rank.weight, rank.queue);
        let line = self.line(queue);
        line.weight = line.weight.saturating_sub(u64::from(old)).saturating_add(u64::from(new));
    }

    /// Chooses the entry that should go next, other than `spared`, and leaves it to the caller to
    /// remove it. None if there is no other.
    pub(super) fn victim(&mut self, all: &mut impl Residents, spared: Id) -> Option<Id> {
        let mut patience = PATIENCE;
        loop {
            let queue = self.longer_than_its_share(spared);
            let id = self.line(queue).fifo.oldest();
            let rank = all.rank(id)?;
            if id == spared && self.len == 1 {
                return None;
            }
            let uses = rank.uses.get_mut();
            if id != spared && (*uses == 0 || patience == 0) {
                if queue == Queue::Small {
                    self.ghosts.note(rank.hash, self.len);
                }
                return Some(id);
            }
            *uses = match queue {
                Queue::Small => 0,
                Queue::Main => uses.saturating_sub(1),
            };
            patience = patience.saturating_sub(1);
            self.unlink(all, id);
            self.push(all, id, Queue::Main);
        }
    }

    /// Main is never the answer while it has none but the spared one.
    fn longer_than_its_share(&self, spared: Id) -> Queue {
        let total = self.small.weight.saturating_add(self.main.weight);
        let small_is_long = self.small.weight.saturating_mul(SMALL_SHARE) >= total;
        let main_has_none = self.main.fifo.is_empty() || self.main.fifo.is_only(spared);
        if main_has_none || (small_is_long && !self.small.fifo.is_empty()) {
            Queue::Small
        } else {
            Queue::Main
        }
    }

    fn push(&mut self, all: &mut impl Residents, id: Id, queue: Queue) {
        let Some(rank) = all.rank(id) else { return };
        rank.queue = queue;
        let weight = u64::from(rank.weight);
        let line = self.line(queue);
        line.weight = line.weight.saturating_add(weight);
        line.fifo.push(all, id);
    }

    fn unlink(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        let (queue, weight) = (rank.queue, u64::from(rank.weight));
        let line = self.line(queue);
        line.weight = line.weight.saturating_sub(weight);
        line.fifo.remove(all, id);
    }

    fn line(&mut self, queue: Queue) -> &mut Line {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        }
    }
}

impl Line {
    const fn new() -> Self {
        Self { fifo: Fifo::new(), weight: 0 }
    }
}

/// A weight past 4 GiB counts as that: it steers the choice, and bounds nothing.
fn narrow(weight: u64) -> u32 {
    u32::try_from(weight).unwrap_or(u32::MAX)
}

/// The small queue is due for eviction from one part in this many of the whole.
const SMALL_SHARE: u64 = 10;
/// How often an entry may go around again without being asked for in between.
const MOST_USES: u8 = 3;
/// How many entries may go around again before one goes in any case.
const PATIENCE: u32 = 64;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use core::ops::Range;

    use super::*;
    use crate::memory::slab::Slab;

    impl Linked for Slab<Rank> {
        fn links(&mut self, id: Id) -> Option<&mut Links> {
            self.get_mut(id).map(|rank| &mut rank.links)
        }
    }

    impl Residents for Slab<Rank> {
        fn rank(&mut self, id: Id) -> Option<&mut Rank> {
            self.get_mut(id)
        }
    }

    /// A cache of hashes alone, of `room` entries.
    struct Cache {
        policy: Policy,
        all: Slab<Rank>,
        ids: BTreeMap<u32, Id>,
        room: usize,
    }

    impl Cache {
        fn new(room: usize) -> Self {
            Self { policy: Policy::new(), all: Slab::new(), ids: BTreeMap::new(), room }
        }

        /// Whether it was a hit.
        fn ask(&mut self, hash: u32) -> bool {
            if let Some(&id) = self.ids.get(&hash) {
                self.policy.hit(self.all.get(id).unwrap());
                return true;
            }
            if self.ids.len() == self.room {
                let victim = self.policy.victim(&mut self.all, Id::NONE).unwrap();
                self.policy.remove(&mut self.all, victim);
                let rank = self.all.remove(victim).unwrap();
                assert_eq!(self.ids.remove(&rank.hash), Some(victim));
            }
            let id = self.all.insert(Rank::new(hash));
            self.policy.insert(&mut self.all, id, 1);
            self.ids.insert(hash, id);
            false
        }

        fn ask_all(&mut self, hashes: Range<u32>) {
            hashes.for_each(|hash| {
                self.ask(hash);
            });
        }
    }

    #[test]
    fn a_scan_does_not_flush_what_is_asked_for_again() {
        let mut cache = Cache::new(100);
        for _ in 0..3 {
            cache.ask_all(0..50);
        }
        (1000..10_000).for_each(|hash| assert!(!cache.ask(hash)));
        let kept = (0..50).filter(|&hash| cache.ask(hash)).count();
        assert_eq!(kept, 50);
    }

    #[test]
    fn a_key_that_comes_back_soon_after_it_went_enters_the_main_queue() {
        let mut cache = Cache::new(20);
        cache.ask_all(0..20);
        cache.ask(100);
        assert!(!cache.ids.contains_key(&0));
        cache.ask(0);
        cache.ask_all(200..300);
        assert!(cache.ask(0));
    }

    #[test]
    fn what_is_never_asked_for_again_goes_in_the_order_it_came() {
        let mut cache = Cache::new(4);
        cache.ask_all(0..100);
        let left: std::vec::Vec<_> = cache.ids.keys().copied().collect();
        assert_eq!(left, [96, 97, 98, 99]);
    }

    #[test]
    fn the_spared_entry_is_never_the_victim() {
        let mut cache = Cache::new(3);
        cache.ask(1);
        let spared = cache.ids[&1];
        assert_eq!(cache.policy.victim(&mut cache.all, spared), None);
        assert_eq!(cache.policy.victim(&mut cache.all, Id::NONE), Some(spared));
        cache.ask(2);
        for _ in 0..10 {
            let victim = cache.policy.victim(&mut cache.all, spared);
            assert_eq!(victim, Some(cache.ids[&2]));
        }
    }

    #[test]
    fn a_heavy_spared_entry_alone_in_main_makes_the_light_one_in_small_go() {
        let mut cache = Cache::new(2);
        cache.ask_all(1..3);
        let (spared, other) = (cache.ids[&1], cache.ids[&2]);
        cache.policy.reweigh(&mut cache.all, spared, 1000);
        for _ in 0..2 {
            assert_eq!(cache.policy.victim(&mut cache.all, spared), Some(other));
        }
    }

    #[test]
    fn an_empty_policy_has_no_victim() {
        assert_eq!(Policy::new().victim(&mut Slab::<Rank>::new(), Id::NONE), None);
    }

    #[test]
    fn one_eviction_turns_a_bounded_number_of_entries_though_all_are_in_use() {
        let mut cache = Cache::new(1000);
        for _ in 0..5 {
            cache.ask_all(0..1000);
        }
        let oldest = cache.policy.small.fifo.oldest();
        let victim = cache.policy.victim(&mut cache.all, Id::NONE).unwrap();
        assert_eq!(victim.number() - oldest.number(), PATIENCE);
    }

    #[test]
    fn weights_follow_their_entries() {
        let mut cache = Cache::new(10);
        for round in 0..2000_u32 {
            cache.ask(round * round % 37);
            if let Some(&id) = cache.ids.get(&(round % 37)) {
                cache.policy.reweigh(&mut cache.all, id, u64::from(round % 5));
            }
            let weight: u64 = cache.all.range(0..99).map(|rank| u64::from(rank.weight)).sum();
            assert_eq!(cache.policy.small.weight + cache.policy.main.weight, weight);
            assert_eq!(usize::try_from(cache.policy.len).unwrap(), cache.ids.len());
        }
    }
}
