//! What the policy keeps, in caches of hashes alone.

use alloc::collections::BTreeMap;
use core::ops::Range;
use std::vec::Vec;

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

/// A cache of keys that are numbers, with room for so much weight.
pub(super) struct Cache {
    pub(super) policy: Queues,
    pub(super) all: Slab<Rank>,
    pub(super) ids: BTreeMap<u32, Id>,
    room: u64,
}

impl Cache {
    pub(super) fn new(room: u64) -> Self {
        Self {
            policy: Queues::new(QueueRule::Learnt, u64::MAX),
            all: Slab::new(),
            ids: BTreeMap::new(),
            room,
        }
    }

    /// Whether it was a hit.
    fn ask(&mut self, key: u32) -> bool {
        self.ask_for(key, 1)
    }

    /// The same for an entry of some weight.
    fn ask_for(&mut self, key: u32, weight: u64) -> bool {
        let is_hit = self.use_one(key);
        if !is_hit {
            while self.policy.total() + weight > self.room {
                let victim = self.victim(None, weight).unwrap();
                self.remove(self.ids[&victim]);
            }
            self.insert(key, weight);
        }
        is_hit
    }

    /// Uses an entry, if it is there.
    pub(super) fn use_one(&mut self, key: u32) -> bool {
        let id = self.ids.get(&key);
        id.inspect(|&&id| self.policy.hit(self.all.get(id).unwrap())).is_some()
    }

    pub(super) fn insert(&mut self, key: u32, weight: u64) {
        let id = self.all.insert(Rank::new(hash(key)));
        self.policy.insert(&mut self.all, id, weight);
        self.ids.insert(key, id);
    }

    pub(super) fn victim(&mut self, spared: Option<u32>, coming: u64) -> Option<u32> {
        let spared = spared.map_or(Id::NONE, |key| self.ids[&key]);
        let victim = self.policy.victim(&mut self.all, spared, coming)?;
        Some(key(self.all.get(victim).unwrap().hash))
    }

    pub(super) fn remove(&mut self, id: Id) {
        self.policy.remove(&mut self.all, id);
        let rank = self.all.remove(id).unwrap();
        assert_eq!(self.ids.remove(&key(rank.hash)), Some(id));
    }

    /// What a queue holds, from its oldest to its newest: key, weight, uses, uses left.
    pub(super) fn entries(&mut self, queue: Queue) -> Vec<(u32, u64, u8, u8)> {
        let mut entries = Vec::new();
        let mut id = self.policy.line(queue).fifo.oldest();
        while let Some(rank) = self.all.get_mut(id) {
            assert_eq!(rank.queue, queue);
            let both = *rank.uses.0.get_mut();
            let (uses, left) = (both & Uses::MOST, both >> 2);
            entries.push((key(rank.hash), rank.weight.get(), uses, left));
            id = rank.links.newer();
        }
        entries
    }

    /// How many of them hit.
    fn ask_all(&mut self, keys: Range<u32>) -> usize {
        keys.filter(|&key| self.ask(key)).count()
    }

    fn queue(&self, key: u32) -> Option<Queue> {
        self.ids.get(&key).map(|&id| self.all.get(id).unwrap().queue)
    }
}

/// Multiplied by an odd number, which is undone by its inverse.
pub(super) fn hash(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1).swap_bytes()
}

fn key(hash: u32) -> u32 {
    hash.swap_bytes().wrapping_mul(0x0E8B_2F51)
}

#[test]
fn a_scan_does_not_flush_entries_in_use() {
    let mut cache = Cache::new(100);
    for _ in 0..3 {
        cache.ask_all(0..50);
    }
    assert_eq!(cache.ask_all(1000..10_000), 0);
    assert_eq!(cache.ask_all(0..50), 50);
}

#[test]
fn a_key_that_returns_soon_after_eviction_enters_the_main_queue() {
    let mut cache = Cache::new(20);
    cache.ask_all(0..20);
    cache.ask(100);
    assert_eq!(cache.queue(0), None);
    cache.ask(0);
    assert_eq!(cache.queue(0), Some(Queue::Main));
    cache.ask_all(200..230);
    assert!(cache.ask(0));
}

#[test]
fn unused_entries_are_evicted_in_insertion_order() {
    let mut cache = Cache::new(4);
    cache.ask_all(0..30);
    let left: Vec<_> = cache.ids.keys().copied().collect();
    assert_eq!(left, [26, 27, 28, 29]);
}

/// A main queue of so many entries, each asked for three times, and nothing else.
fn in_use(count: u32) -> Cache {
    let mut cache = Cache::new(u64::from(count));
    cache.ask_all(0..count);
    for id in cache.ids.values() {
        cache.policy.shift(&mut cache.all, *id, Queue::Main);
    }
    (0..3).for_each(|_| {
        cache.ask_all(0..count);
    });
    cache
}

fn admits(cache: &mut Cache) -> bool {
    cache.policy.admits(&mut cache.all, 1, &mut { PATIENCE })
}

#[test]
fn a_candidate_is_refused_by_three_entries_that_each_pay_with_a_use() {
    let mut cache = in_use(100);
    let uses = |cache: &mut Cache| -> Vec<u8> {
        let used = |key| *cache.all.get_mut(cache.ids[&key]).unwrap().uses.0.get_mut() & Uses::MOST;
        (0..5).map(used).collect()
    };
    assert!(!admits(&mut cache));
    assert_eq!(uses(&mut cache), [2, 2, 2, 3, 3]);
    assert_eq!(cache.policy.main.fifo.oldest(), cache.ids[&3]);
}

#[test]
fn entries_unused_since_the_last_look_are_no_rivals() {
    let mut cache = in_use(99);
    assert!((0..33).all(|_| !admits(&mut cache)));
    assert!((0..33).all(|_| admits(&mut cache)));
}

#[test]
fn entries_that_are_asked_for_between_looks_stay_rivals() {
    let mut cache = in_use(99);
    for _ in 0..10 {
        assert!((0..33).all(|_| !admits(&mut cache)));
        cache.ask_all(0..99);
    }
}

#[test]
fn a_loop_longer_than_the_room_hits_as_often_as_the_room_allows() {
    for (room, length) in [(500_u32, 550), (500, 600), (1000, 1050), (1000, 1200), (1000, 2000)] {
        let mut cache = Cache::new(u64::from(room));
        (0..50).for_each(|_| {
            cache.ask_all(0..length);
        });
        let hits: usize = (0..10).map(|_| cache.ask_all(0..length)).sum();
        let most = 10 * usize::try_from(room).unwrap();
        // More than a small queue of a tenth would leave.
        assert!(hits * 100 >= most * 94, "{hits} of {most}, {room} of {length}");
    }
}

#[test]
fn a_loop_many_times_longer_than_the_room_still_fills_the_main_queue() {
    let mut cache = Cache::new(1000);
    (0..30).for_each(|_| {
        cache.ask_all(0..10_000);
    });
    let hits = cache.ask_all(0..10_000);
    assert!(hits > 800, "{hits}");
}

#[test]
fn after_a_loop_new_keys_replace_it_within_a_few_rounds() {
    let mut cache = Cache::new(1000);
    (0..50).for_each(|_| {
        cache.ask_all(0..1200);
    });
    (0..6).for_each(|_| {
        cache.ask_all(5000..5900);
    });
    let hits = cache.ask_all(5000..5900);
    assert!(hits >= 890, "{hits}");
}

#[test]
fn after_a_loop_the_small_queue_again_keeps_keys_that_return_soon() {
    let mut cache = Cache::new(1000);
    (0..50).for_each(|_| {
        cache.ask_all(0..1200);
    });
    // Each key is asked for twice, with eighty others in between.
    let mut twice = |keys: Range<u32>| {
        keys.filter(|&key| {
            cache.ask(key);
            cache.ask(key - 80)
        })
        .count()
    };
    let learning = twice(10_000..14_000);
    let learnt = twice(14_000..18_000);
    assert!(learning < 4000 && learnt >= 3990, "{learning}, {learnt}");
}

#[test]
fn the_spared_entry_is_never_the_victim() {
    let mut cache = Cache::new(3);
    cache.ask(1);
    assert_eq!((cache.victim(Some(1), 1), cache.victim(None, 1)), (None, Some(1)));
    cache.ask(2);
    assert!((0..10).all(|_| cache.victim(Some(1), 1) == Some(2)));
}

#[test]
fn the_small_entry_is_evicted_if_main_holds_only_the_spared_one() {
    let mut cache = Cache::new(2000);
    cache.ask_for(1, 1000);
    cache.ask_for(2, 1);
    for _ in 0..2 {
        assert_eq!(cache.victim(Some(1), 1), Some(2));
        assert_eq!(cache.queue(1), Some(Queue::Main));
    }
}

#[test]
fn an_empty_policy_has_no_victim() {
    assert_eq!(
        Queues::new(QueueRule::Learnt, u64::MAX).victim(&mut Slab::<Rank>::new(), Id::NONE, 1),
        None
    );
}

#[test]
fn one_eviction_turns_few_entries_even_if_all_are_in_use() {
    // All of them in main, whose oldest is then the key 64 turns after the first.
    let mut cache = in_use(1000);
    assert_eq!(cache.victim(None, 1), Some(PATIENCE));
    // All of them in the small queue, which passes them on until main's entries are its rivals.
    let mut cache = Cache::new(1000);
    (0..4).for_each(|_| {
        cache.ask_all(0..1000);
    });
    assert_eq!(cache.victim(None, 1), Some(PATIENCE));
}

#[test]
fn one_candidate_turns_few_entries_even_without_a_rival() {
    let mut cache = in_use(198);
    assert!((0..66).all(|_| !admits(&mut cache)));
    assert!(admits(&mut cache));
    assert_eq!(cache.policy.main.fifo.oldest(), cache.ids[&PATIENCE]);
}

#[test]
fn weights_follow_their_entries() {
    let mut cache = Cache::new(60);
    for round in 0..2000_u32 {
        cache.ask_for(round * round % 37, u64::from(round % 7));
        if let Some(&id) = cache.ids.get(&(round % 37)) {
            cache.policy.reweigh(&mut cache.all, id, u64::from(round % 5));
        }
        let weight = |queue| -> u64 {
            let ranks = cache.all.range(0..99).filter(|rank| rank.queue == queue);
            ranks.map(|rank| rank.weight.get()).sum()
        };
        assert_eq!(cache.policy.small.weight, weight(Queue::Small));
        assert_eq!(cache.policy.main.weight, weight(Queue::Main));
        assert_eq!(cache.policy.heavy.weight, weight(Queue::Heavy));
        assert_eq!(usize::try_from(cache.policy.len).unwrap(), cache.ids.len());
    }
}
