//! What the policy hits of a loop, and what it forgets. What it hits beside LRU the store's tests
//! say.

use alloc::collections::BTreeMap;

use super::*;
use crate::memory::slab::Slab;

/// A cache of keys that are numbers.
struct Cache {
    policy: EvictionPolicy,
    all: Slab<Rank>,
    ids: BTreeMap<u32, Id>,
    room: usize,
}

impl Cache {
    fn new(room: u32) -> Self {
        let (all, ids) = (Slab::new(), BTreeMap::new());
        let policy = EvictionPolicy::new(Some(room), u64::MAX);
        Self { policy, all, ids, room: usize::try_from(room).unwrap() }
    }

    fn ask(&mut self, key: u32) -> bool {
        let hash = hash(key);
        if let Some(rank) = self.ids.get(&hash).and_then(|&id| self.all.get(id)) {
            self.policy.hit(rank);
            return true;
        }
        self.policy.miss(hash);
        while self.ids.len() >= self.room {
            let victim = self.policy.victim(&mut self.all, Id::NONE, 1).unwrap();
            self.policy.remove(&mut self.all, victim);
            self.ids.remove(&self.all.remove(victim).unwrap().hash);
        }
        let id = self.all.insert(Rank::new(hash));
        self.policy.insert(&mut self.all, id, 1);
        self.ids.insert(hash, id);
        false
    }
}

fn hash(key: u32) -> u32 {
    u32::try_from(u64::from(key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).unwrap()
}

#[test]
fn a_loop_longer_than_the_room_keeps_hitting() {
    for room in [500, 1000, 3000_u32] {
        let mut cache = Cache::new(room);
        let round = |cache: &mut Cache| (0..room * 6 / 5).filter(|&key| cache.ask(key)).count();
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
    let mut policy = EvictionPolicy::new(Some(10), u64::MAX);
    let mut all = Slab::new();
    let id = all.insert(Rank::new(8));
    policy.insert(&mut all, id, 1);
    let held = |policy: &EvictionPolicy| std::format!("{policy:?}").matches("hash: 8,").count();
    assert_eq!(held(&policy), 3);
    policy.forget(8);
    assert_eq!(held(&policy), 0);
}
