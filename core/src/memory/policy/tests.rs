//! What the policy hits where the share that is learnt would not do, beside LRU.

use alloc::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::memory::slab::Slab;

/// A cache of keys that are numbers.
struct Cache {
    policy: Policy,
    all: Slab<Rank>,
    ids: BTreeMap<u32, Id>,
    room: usize,
}

/// Keys by when they were asked for last.
struct Lru {
    last: BTreeMap<u32, u32>,
    keys: BTreeMap<u32, u32>,
    now: u32,
    room: usize,
}

/// A request: a key, and whether it is stored where it is not there.
type Request = (u32, bool);

impl Cache {
    fn new(room: u32) -> Self {
        let (all, ids) = (Slab::new(), BTreeMap::new());
        let policy = Policy::new(Some(room), u64::MAX);
        Self { policy, all, ids, room: usize::try_from(room).unwrap() }
    }

    fn ask(&mut self, (key, stores): Request) -> bool {
        let hash = hash(key);
        if let Some(rank) = self.ids.get(&hash).and_then(|&id| self.all.get(id)) {
            self.policy.hit(rank);
            return true;
        }
        self.policy.miss(hash);
        if stores {
            while self.ids.len() >= self.room {
                let victim = self.policy.victim(&mut self.all, Id::NONE, 1).unwrap();
                self.policy.remove(&mut self.all, victim);
                self.ids.remove(&self.all.remove(victim).unwrap().hash);
            }
            let id = self.all.insert(Rank::new(hash));
            self.policy.insert(&mut self.all, id, 1);
            self.ids.insert(hash, id);
        }
        false
    }
}

impl Lru {
    fn ask(&mut self, (key, stores): Request) -> bool {
        self.now += 1;
        let was = self.last.get(&key).copied();
        if let Some(was) = was {
            self.keys.remove(&was);
        } else if !stores {
            return false;
        }
        self.last.insert(key, self.now);
        self.keys.insert(self.now, key);
        if self.keys.len() > self.room {
            let (_, oldest) = self.keys.pop_first().unwrap();
            self.last.remove(&oldest);
        }
        was.is_some()
    }
}

fn hash(key: u32) -> u32 {
    u32::try_from(u64::from(key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).unwrap()
}

/// Hits from twelve times the room in requests on: of the policy in hundredths of LRU's.
fn of_lru(room: usize, requests: &[Request]) -> usize {
    let mut cache = Cache::new(u32::try_from(room).unwrap());
    let mut lru = Lru { last: BTreeMap::new(), keys: BTreeMap::new(), now: 0, room };
    let (mut ours, mut hits) = (0, 0);
    for (at, &request) in requests.iter().enumerate() {
        let counts = at >= 12 * room;
        ours += usize::from(cache.ask(request) && counts);
        hits += usize::from(lru.ask(request) && counts);
    }
    assert!(hits > requests.len() / 5, "{hits} of {}", requests.len());
    ours * 100 / hits
}

/// Each key is set, and asked for once more so many requests later.
fn once_more(distance: u32, count: usize, read_through: bool) -> Vec<Request> {
    let apart = (distance / 2).max(1);
    (apart..).flat_map(|key| [(key, true), (key - apart, read_through)]).take(count).collect()
}

/// Sets of so many keys take each other's place, after so many rounds each.
fn sets(size: u32, rounds: u32, count: usize) -> Vec<Request> {
    let set =
        |set| (0..rounds).flat_map(move |_| (set * size..(set + 1) * size).map(|key| (key, true)));
    (0..).flat_map(set).take(count).collect()
}

/// Rooms and nine tenths or less of them: all keys of the smaller are in the sample.
const SIZES: [(usize, u32); 5] = [(100, 20), (100, 70), (100, 90), (300, 200), (1500, 1300)];

#[test]
fn keys_that_come_back_once_after_up_to_nine_tenths_of_the_room_hit_as_with_lru() {
    for (room, distance) in SIZES {
        for read_through in [true, false] {
            let hits = of_lru(room, &once_more(distance, 24 * room, read_through));
            assert!(hits >= 95, "{hits} %: {room}, {distance}, {read_through}");
        }
    }
}

#[test]
fn a_set_of_keys_that_takes_the_place_of_another_hits_as_with_lru() {
    for (room, size) in SIZES {
        let hits = of_lru(room, &sets(size, 4, 30 * room));
        assert!(hits >= 95, "{hits} %: {room}, {size}");
    }
}

#[test]
fn a_loop_longer_than_the_room_keeps_hitting() {
    for room in [500, 1000, 3000_u32] {
        let mut cache = Cache::new(room);
        let round =
            |cache: &mut Cache| (0..room * 6 / 5).filter(|&key| cache.ask((key, true))).count();
        (0..40).for_each(|_| {
            round(&mut cache);
        });
        let hits: usize = (0..20).map(|_| round(&mut cache)).sum();
        let most = 20 * usize::try_from(room).unwrap();
        assert!(hits * 100 >= most * 75, "{hits} of {most}, {room}");
    }
}

#[test]
fn a_key_that_was_removed_is_forgotten_by_the_shadows() {
    let mut policy = Policy::new(Some(10), u64::MAX);
    let mut all = Slab::new();
    let id = all.insert(Rank::new(8));
    policy.insert(&mut all, id, 1);
    let held = |policy: &Policy| std::format!("{policy:?}").matches("hash: 8,").count();
    assert_eq!(held(&policy), 3);
    policy.forget(8);
    assert_eq!(held(&policy), 0);
}
