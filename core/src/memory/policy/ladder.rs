//! Which rule for the queues would hit most: told by *shadows*, small caches of nothing but hashes,
//! one for each rule, which see a sample of the requests.
//!
//! The sample is by hash: of a key in it all requests are seen, and a shadow has as much less room
//! as there are fewer keys. Where there are no more than [`SAMPLE`] entries all keys are in it.
//!
//! Each shadow has a score. The best of them has none to make up for, and the others are behind by
//! the hits that they had fewer, at most by a third of a shadow's room. The rule whose shadow is as
//! far behind as that yields to the best. So it takes few requests if one rule hits and the other
//! does not, and many if they differ little; and what comes in runs, as the part of a loop that one
//! rule has kept and another has not, decides nothing.
//!
//! A shadow may learn another share than the cache has learnt, as both learn from what they did
//! before. If the cache falls behind the shadow of its own rule by as much, that rule yields too,
//! unless no other comes near it: then the cache takes the share from its shadow once more, and has
//! time to catch up, as after another rule the part of a loop that is kept must be found anew.
//!
//! Lookups only note that they were, in a ring of words that any number of them may write at once.
//! The next writes settle them in their order, two each, and each of them is a step of O(1) for
//! each shadow. What does not fit in the ring is forgotten. It has room for a run of hits of every
//! key in the sample: if the hits of a loop's part that is kept were forgotten, and not the misses
//! of the others, the shadows would take the others for a short loop, which LRU hits.
//!
//! The thoughts are from Waldspurger et al., "Cache modeling and optimization using miniature
//! simulations" (ATC 2017).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::queues::QueueRule;
use super::shadow::Shadow;
use crate::memory::share::QueueShare;

#[derive(Debug)]
pub(super) struct Ladder {
    /// Hashes below this are in the sample.
    below: u32,
    /// How many a shadow may hold.
    room: u32,
    heard: Samples,
    shadows: Option<Box<[Shadow; RULES.len()]>>,
    /// By how much each is behind the best: zero or less.
    scores: [i32; RULES.len()],
    /// How far the cache is behind the shadow of its own rule.
    behind: i32,
    /// Which rule the cache goes by.
    ruling: usize,
    /// Whether the cache is to take over anew what the shadow of its rule has learnt.
    renews: bool,
}

/// Requests that were not settled yet: of each the hash but for its lowest bits, and there what it
/// was.
#[derive(Debug)]
struct Samples {
    /// How many were settled, and how many were noted: a place is one of them, modulo the length.
    settled: usize,
    noted: AtomicUsize,
    words: Box<[AtomicU32]>,
}

impl Samples {
    fn new() -> Self {
        let words: Vec<_> = (0..HEARD).map(|_| AtomicU32::new(0)).collect();
        Self { settled: 0, noted: AtomicUsize::new(0), words: words.into_boxed_slice() }
    }

    fn push(&self, word: u32) {
        let at = self.noted.load(Ordering::Relaxed);
        if at.wrapping_sub(self.settled) < HEARD
            && let Some(place) = self.words.get(at % HEARD)
        {
            place.store(word, Ordering::Relaxed);
            self.noted.store(at.wrapping_add(1), Ordering::Relaxed);
        }
    }

    fn pop(&mut self) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let word = self.words.get_mut(self.settled % HEARD).map(|place| *place.get_mut());
        self.settled = self.settled.wrapping_add(1);
        word
    }

    fn is_empty(&mut self) -> bool {
        *self.noted.get_mut() == self.settled
    }
}

impl Ladder {
    /// For about so many entries, if that is known.
    pub(super) fn new(entries: Option<u32>) -> Self {
        let mut ladder = Self {
            below: u32::MAX,
            room: u32::MAX,
            heard: Samples::new(),
            shadows: None,
            scores: [0; RULES.len()],
            behind: 0,
            ruling: 0,
            renews: false,
        };
        if let Some(entries) = entries {
            ladder.resize(entries);
        }
        ladder
    }

    /// Whether a hash is in the sample.
    #[inline]
    pub(super) fn samples(&self, hash: u32) -> bool {
        hash < self.below
    }

    /// Notes that a hash of the sample was asked for.
    pub(super) fn hear(&self, hash: u32, is_hit: bool) {
        self.heard.push((hash & !KIND) | if is_hit { HIT } else { MISS });
    }

    /// Replays a part of the noted requests to the shadows. Returns the rule to go by from now on,
    /// if it is another, and the share that its shadow has learnt; or the same rule with its
    /// shadow's share.
    pub(super) fn settle(&mut self) -> Option<(QueueRule, QueueShare)> {
        let ruling = self.ruling;
        for _ in 0..SETTLED_BY_A_WRITE {
            let Some(word) = self.heard.pop() else { break };
            let (hash, kind) = (word & !KIND, word & KIND);
            if !self.samples(hash) {
                continue;
            }
            match kind {
                STORED => self.store(hash),
                kind => self.request(hash, kind == HIT),
            }
        }
        if !core::mem::take(&mut self.renews) && ruling == self.ruling {
            return None;
        }
        let shadows = self.shadows.as_ref()?;
        Some((*RULES.get(self.ruling)?, shadows.get(self.ruling)?.share()))
    }

    /// Notes that a hash of the sample was stored: after the requests that were heard before.
    pub(super) fn insert(&mut self, hash: u32) {
        if self.heard.is_empty() {
            self.store(hash & !KIND);
        } else {
            self.heard.push((hash & !KIND) | STORED);
        }
    }

    fn store(&mut self, hash: u32) {
        let room = self.room;
        let mut len = 0;
        for shadow in self.shadows() {
            if !shadow.has(hash) {
                shadow.insert(hash, room);
            }
            len = shadow.len();
        }
        if len >= 2 * SAMPLE {
            self.sample(self.below / 2);
        }
    }

    /// Notes that a hash of the sample was removed, or has expired.
    pub(super) fn forget(&mut self, hash: u32) {
        let shadows = self.shadows.iter_mut().flat_map(|shadows| shadows.iter_mut());
        shadows.for_each(|shadow| shadow.forget(hash & !KIND));
    }

    /// Notes that there is room for so many entries.
    pub(super) fn resize(&mut self, entries: u32) {
        let room = self.room_for(entries);
        if room > 2 * SAMPLE || (room < SAMPLE / 4 && self.below < u32::MAX) {
            let below = (u64::from(SAMPLE) << u32::BITS) / u64::from(entries.max(1));
            self.sample(u32::try_from(below).unwrap_or(u32::MAX));
        }
        self.room = self.room_for(entries);
    }

    fn room_for(&self, entries: u32) -> u32 {
        let room = (u64::from(entries) * u64::from(self.below)) >> u32::BITS;
        u32::try_from(room + 1).unwrap_or(u32::MAX)
    }

    /// Begins another sample, of hashes below this.
    fn sample(&mut self, below: u32) {
        self.below = below;
        self.shadows = None;
    }

    fn shadows(&mut self) -> &mut [Shadow; RULES.len()] {
        let chains = self.room.min(SAMPLE);
        self.shadows.get_or_insert_with(|| Box::new(RULES.map(|rule| Shadow::new(rule, chains))))
    }

    fn request(&mut self, hash: u32, is_hit: bool) {
        let room = self.room;
        let mut hits = [0; RULES.len()];
        for (shadow, hit) in self.shadows().iter_mut().zip(&mut hits) {
            let found = shadow.ask(hash);
            *hit = i32::from(found);
            // Of what the cache does not have either, a set tells, if one follows.
            if is_hit && !found {
                shadow.insert(hash, room);
            }
        }
        self.count(hits, is_hit);
    }

    fn count(&mut self, hits: [i32; RULES.len()], is_hit: bool) {
        let most = i32::try_from(self.room.min(SAMPLE) / 3).unwrap_or(i32::MAX).max(FEWEST);
        for (score, hit) in self.scores.iter_mut().zip(hits) {
            *score += hit;
        }
        let own = hits.get(self.ruling).copied().unwrap_or_default();
        self.behind = (self.behind + own - i32::from(is_hit)).max(0);
        if self.behind > most {
            self.behind = 0;
            let highest = self.scores.iter().copied().max().unwrap_or_default();
            let is_rival = |(rule, score): (usize, &i32)| {
                rule != self.ruling && score.saturating_sub(highest) > -most / NEAR
            };
            if !self.scores.iter().enumerate().any(is_rival) {
                self.renews = true;
            } else if let Some(score) = self.scores.get_mut(self.ruling) {
                *score = i32::MIN / 2;
            }
        }
        let highest = self.scores.iter().copied().max().unwrap_or_default();
        self.scores.iter_mut().for_each(|score| *score = (*score - highest).max(-most));
        if self.scores.get(self.ruling).is_some_and(|&score| score <= -most) {
            self.ruling = self.scores.iter().position(|&score| score == 0).unwrap_or_default();
            self.behind = 0;
        }
    }
}

/// From the small queue that is right for loops and for what is popular to one that is nearly LRU.
const RULES: [QueueRule; 3] = [QueueRule::Learnt, QueueRule::Fixed(50), QueueRule::Fixed(90)];
/// Requests that are kept until they are settled: as many as there may be keys in the sample.
const HEARD: usize = 2 * SAMPLE as usize;
/// How many of them a write settles: few, as the caller waits for it.
const SETTLED_BY_A_WRITE: usize = 2;
/// About how many keys of the sample there is room for in a shadow.
const SAMPLE: u32 = 512;
/// No fewer hits than this decide.
const FEWEST: i32 = 8;
/// A rule comes near another if it is behind by no more than this part of what decides.
const NEAR: i32 = 8;
/// What a word says beside the hash.
const KIND: u32 = 3;
const MISS: u32 = 0;
const HIT: u32 = 1;
const STORED: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_write_settles_at_most_two_requests() {
        let mut ladder = Ladder::new(Some(1000));
        (0..3000).for_each(|hash| ladder.hear(4 * hash, true));
        for settled in (1..=80).map(|writes| 2 * writes) {
            ladder.settle();
            assert_eq!(ladder.shadows().each_ref().map(Shadow::len), [settled; RULES.len()]);
        }
        while ladder.heard.pop().is_some() {}
        ladder.hear(0, true);
        assert_eq!((ladder.heard.pop(), ladder.heard.pop()), (Some(HIT), None));
    }

    #[test]
    fn an_insertion_is_seen_after_earlier_requests() {
        let mut ladder = Ladder::new(Some(1000));
        (0..3).for_each(|hash| ladder.hear(4 * hash, false));
        ladder.settle();
        ladder.insert(4 * 2);
        assert_eq!(ladder.shadows().each_ref().map(Shadow::len), [0; RULES.len()]);
        ladder.settle();
        assert_eq!(ladder.shadows().each_ref().map(Shadow::len), [1; RULES.len()]);
        assert_eq!((ladder.scores, ladder.behind), ([0; RULES.len()], 0));
    }

    #[test]
    fn the_size_of_a_shadow_does_not_depend_on_the_number_of_entries() {
        for entries in [512, 5000, 100_000, 10_000_000] {
            let mut ladder = Ladder::new(Some(entries));
            assert!((500..=1025).contains(&ladder.room), "{entries}: {}", ladder.room);
            (0..entries.min(200_000)).map(|n| n.wrapping_mul(0x9E37_79B1)).for_each(|hash| {
                if ladder.samples(hash) {
                    ladder.insert(hash);
                }
            });
            assert!(ladder.shadows().iter().all(|shadow| shadow.len() <= 1025));
        }
    }

    #[test]
    fn the_sample_adapts_if_the_number_of_entries_is_unknown() {
        let mut ladder = Ladder::new(None);
        (0..100_000_u32).map(|n| n.wrapping_mul(0x9E37_79B1)).for_each(|hash| {
            if ladder.samples(hash) {
                ladder.insert(hash);
            }
        });
        assert!(
            ladder.below <= u32::MAX / 32 && ladder.shadows().iter().all(|one| one.len() <= 1024)
        );
        ladder.resize(100);
        assert_eq!((ladder.below, ladder.room), (u32::MAX, 100));
    }

    #[test]
    fn a_rule_yields_to_one_with_more_hits() {
        let mut ladder = Ladder::new(Some(300));
        let mut requests = 0;
        while ladder.ruling == 0 {
            ladder.count([0, 0, 1], false);
            requests += 1;
        }
        assert_eq!((ladder.ruling, requests), (2, 100));
        // And not back for as few.
        (0..99).for_each(|_| ladder.count([1, 0, 0], true));
        assert_eq!(ladder.ruling, 2);
    }

    #[test]
    fn a_rule_yields_when_the_cache_falls_behind_its_shadow() {
        let mut ladder = Ladder::new(Some(300));
        (0..101).for_each(|_| ladder.count([1, 1, 1], false));
        assert_ne!(ladder.ruling, 0);
    }

    #[test]
    fn a_rule_without_rivals_is_renewed_when_the_cache_falls_behind() {
        let mut ladder = Ladder::new(Some(300));
        ladder.insert(4);
        (0..100).for_each(|_| ladder.count([1, 0, 0], true));
        (0..101).for_each(|_| ladder.count([1, 0, 0], false));
        assert_eq!(ladder.ruling, 0);
        assert_eq!(ladder.settle().map(|(rule, _)| rule), Some(QueueRule::Learnt));
        assert_eq!(ladder.settle().map(|(rule, _)| rule), None);
    }
}
