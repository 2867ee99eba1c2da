//! The policy beside a naive one: the same rules, read from plain lists.
//!
//! What is not modelled is given: which keys the ghosts remember, and how long the small queue's
//! share is, have tests of their own.

use std::vec::Vec;

use proptest::prelude::*;

use super::tests::{Cache, hash};
use super::*;

#[derive(Clone, Copy, Debug)]
struct Plain {
    key: u32,
    weight: u64,
    uses: u8,
    left: u8,
}

/// Queues from the oldest to the newest.
#[derive(Clone, Debug, Default)]
struct Naive {
    small: Vec<Plain>,
    heavy: Vec<Plain>,
    main: Vec<Plain>,
    worn: u64,
    unused: u8,
}

fn weight(queue: &[Plain]) -> u64 {
    queue.iter().map(|plain| plain.weight).sum()
}

impl Naive {
    fn find(&mut self, key: u32) -> Option<&mut Plain> {
        self.all().find(|plain| plain.key == key)
    }

    fn remove(&mut self, key: u32) {
        self.small.retain(|plain| plain.key != key);
        self.heavy.retain(|plain| plain.key != key);
        self.main.retain(|plain| plain.key != key);
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Plain> {
        self.small.iter_mut().chain(&mut self.heavy).chain(&mut self.main)
    }

    fn total(&self) -> u64 {
        weight(&self.small) + weight(&self.heavy) + weight(&self.main)
    }

    fn is_heavy(&self, weight: u64) -> bool {
        let len = self.small.len() + self.heavy.len() + self.main.len();
        weight * u64::try_from(len).unwrap() > 16 * self.total()
    }

    fn admits(&mut self, weight: u64, patience: &mut u32) -> bool {
        let mut rivals = 0;
        if self.is_heavy(weight) {
            let mut displaced = 0;
            for plain in self.main.iter().take(64) {
                if rivals < 3 && displaced < weight {
                    rivals += u32::from(plain.uses > 0);
                    displaced += plain.weight;
                }
            }
            if rivals >= 3 {
                while *patience > 0 && self.main[0].uses > 0 {
                    let mut plain = self.main.remove(0);
                    plain.uses -= 1;
                    plain.left = plain.uses;
                    self.main.push(plain);
                    *patience -= 1;
                }
                return false;
            }
            rivals = 0;
        }
        while rivals < 3 && *patience > 0 {
            if self.main.first().is_none_or(|plain| plain.uses == 0) {
                return true;
            }
            let mut plain = self.main.remove(0);
            rivals += u32::from(plain.uses > plain.left);
            plain.uses -= 1;
            plain.left = plain.uses;
            self.main.push(plain);
            *patience -= 1;
        }
        rivals < 3
    }

    fn wear(&mut self, weight: u64) {
        if !self.heavy.is_empty() {
            self.worn += weight;
        }
    }

    fn victim(&mut self, spared: Option<u32>, coming: u64, share: &QueueShare) -> Option<u32> {
        let coming = if self.is_heavy(coming) { coming } else { 0 };
        let mut patience = PATIENCE;
        loop {
            let total = weight(&self.small) + weight(&self.main);
            let none = |queue: &[Plain]| queue.iter().all(|plain| Some(plain.key) == spared);
            let heavy = weight(&self.heavy) + coming;
            let long = heavy > self.total() / 8 && (coming > 0 || self.heavy.len() != 1);
            let due = long || self.worn > total / 8 || (none(&self.small) && none(&self.main));
            if due && !none(&self.heavy) {
                let mut plain = self.heavy.remove(0);
                if Some(plain.key) == spared {
                    self.heavy.push(plain);
                    continue;
                }
                self.worn = 0;
                self.heavy.insert(0, plain);
                if plain.uses == 0 || patience == 0 {
                    return Some(plain.key);
                }
                (plain.uses, plain.left) = (0, 0);
                let admitted = self.admits(plain.weight, &mut patience);
                self.heavy.remove(0);
                if admitted { &mut self.main } else { &mut self.heavy }.push(plain);
                patience = patience.saturating_sub(1);
                continue;
            }
            let reached = share.is_reached(weight(&self.small), total);
            let main_has_none = self.main.iter().all(|plain| Some(plain.key) == spared);
            if main_has_none || (reached && !self.small.is_empty()) {
                let mut plain = *self.small.first()?;
                if Some(plain.key) == spared {
                    if self.main.is_empty() && self.small.len() == 1 {
                        return None;
                    }
                    self.small.remove(0);
                    self.main.push(plain);
                    continue;
                }
                if patience == 0 {
                    self.wear(plain.weight);
                    return Some(plain.key);
                }
                let used = core::mem::take(&mut plain.uses) > 0;
                self.small[0].uses = 0;
                let moves_on = if used {
                    self.admits(plain.weight, &mut patience)
                } else {
                    let short = share.is_reached(weight(&self.small) - plain.weight, total);
                    self.unused = (self.unused + u8::from(short)) % FILL;
                    short && self.unused == 0
                };
                if !moves_on {
                    self.wear(plain.weight);
                    return Some(plain.key);
                }
                self.small.remove(0);
                self.main.push(plain);
            } else {
                let mut plain = *self.main.first()?;
                if Some(plain.key) == spared {
                    let plain = self.main.remove(0);
                    self.main.push(plain);
                    continue;
                }
                if plain.uses == 0 || patience == 0 {
                    self.wear(plain.weight);
                    return Some(plain.key);
                }
                self.main.remove(0);
                plain.uses -= 1;
                plain.left = plain.uses;
                self.main.push(plain);
            }
            patience = patience.saturating_sub(1);
        }
    }
}

impl Naive {
    fn reweigh(&mut self, key: u32, weight: u64) {
        let plain = self.find(key).unwrap();
        let old = core::mem::replace(&mut plain.weight, weight);
        let plain = Plain { uses: 0, left: 0, ..*plain };
        if weight > old && self.is_heavy(weight) {
            self.remove(key);
            self.heavy.push(plain);
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Ask(u32, u64),
    Remove(u32),
    Reweigh(u32, u64),
    /// Makes room, sparing this key.
    Spare(u32),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let weights = prop_oneof![3 => 1..4_u64, 1 => 10..60_u64];
    let act = prop_oneof![
        12 => (0..60_u32, weights.clone()).prop_map(|(key, weight)| Act::Ask(key, weight)),
        1 => (0..60_u32).prop_map(Act::Remove),
        1 => (0..60_u32, weights).prop_map(|(key, weight)| Act::Reweigh(key, weight)),
        1 => (0..60_u32).prop_map(Act::Spare),
    ];
    proptest::collection::vec(act, 400)
}

struct Pair {
    cache: Cache,
    naive: Naive,
}

impl Pair {
    fn act(&mut self, act: &Act) {
        match *act {
            Act::Ask(key, weight) => self.ask(key, weight),
            Act::Remove(key) => self.remove(key),
            Act::Reweigh(key, weight) => {
                if let Some(&id) = self.cache.ids.get(&key) {
                    self.cache.policy.reweigh(&mut self.cache.all, id, weight);
                    self.naive.reweigh(key, weight);
                }
            }
            Act::Spare(key) if self.cache.ids.contains_key(&key) => {
                if let Some(victim) = self.victim(Some(key), 5) {
                    self.remove(victim);
                }
            }
            Act::Spare(_) => {}
        }
        self.compare();
    }

    fn ask(&mut self, key: u32, weight: u64) {
        if let Some(plain) = self.naive.find(key) {
            plain.uses = Uses::MOST.min(plain.uses + 1);
            assert!(self.cache.use_one(key));
            return;
        }
        while self.cache.policy.total() + weight > ROOM {
            let victim = self.victim(None, weight).unwrap();
            self.remove(victim);
        }
        let is_ghost = self.cache.policy.ghosts.clone().take(hash(key)).is_some();
        self.cache.insert(key, weight);
        let plain = Plain { key, weight, uses: 0, left: 0 };
        let is_heavy = self.naive.is_heavy(weight);
        if is_ghost && self.naive.admits(weight, &mut { PATIENCE }) {
            self.naive.main.push(plain);
        } else if is_heavy {
            self.naive.heavy.push(plain);
        } else {
            self.naive.small.push(plain);
        }
    }

    fn victim(&mut self, spared: Option<u32>, coming: u64) -> Option<u32> {
        let naive = self.naive.victim(spared, coming, &self.cache.policy.share);
        let victim = self.cache.victim(spared, coming);
        assert_eq!(victim, naive);
        victim
    }

    fn remove(&mut self, key: u32) {
        if let Some(&id) = self.cache.ids.get(&key) {
            self.cache.remove(id);
            self.naive.remove(key);
        }
    }

    fn compare(&mut self) {
        let queue = |queue: &[Plain]| -> Vec<_> {
            queue.iter().map(|plain| (plain.key, plain.weight, plain.uses, plain.left)).collect()
        };
        assert_eq!(self.cache.entries(Queue::Small), queue(&self.naive.small));
        assert_eq!(self.cache.entries(Queue::Heavy), queue(&self.naive.heavy));
        assert_eq!(self.cache.entries(Queue::Main), queue(&self.naive.main));
    }
}

proptest! {
    #[test]
    fn the_policy_chooses_as_the_naive_policy_does(acts in acts()) {
        let mut pair = Pair { cache: Cache::new(ROOM), naive: Naive::default() };
        acts.iter().for_each(|act| pair.act(act));
    }
}

const ROOM: u64 = 70;
