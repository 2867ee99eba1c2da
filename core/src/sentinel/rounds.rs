//! Which sentinel to ask next, and when.
//!
//! # Theory of operation
//!
//! Sentinels stand in a queue. The one at its front is asked, and kept as long as its connection
//! lasts. When that ends, the sentinel goes to the back, and the next is asked at once. So none is
//! left out, however the others fail. Once all have failed, one after the other, the next round
//! waits for the backoff. A sentinel that answers and ends before [`Rounds::STABLE`] counts as
//! failed, so that no number of such sentinels causes a storm.
//!
//! The configured sentinels are never given up. The sentinels that one of them names are kept
//! beside them, [`Rounds::MOST`] in all, until another sentinel names others.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::retry::Backoff;
use crate::server::Endpoint;
use crate::time::{Deadline, Instant};

/// The sentinels of a service, in the order in which they are asked.
///
/// ```
/// use async_caches_core::sentinel::{Rounds, RoundsInput};
/// use async_caches_core::server::Endpoint;
/// use async_caches_core::time::Instant;
///
/// let [s1, s2] = ["s1", "s2"].map(|host| Endpoint::Tcp { host: host.into(), port: 26379 });
/// let mut rounds = Rounds::new(vec![s1.clone(), s2.clone()], 42);
/// let now = Instant::ORIGIN;
/// assert_eq!(rounds.poll(now), Some(s1));
/// rounds.handle(RoundsInput::Ended, now); // it was not reached
/// assert_eq!(rounds.poll(now), Some(s2));
/// rounds.handle(RoundsInput::Answered, now);
/// assert!(!rounds.is_in_vain());
/// ```
#[derive(Debug)]
pub struct Rounds {
    /// The first is the next one, or is being asked.
    sentinels: VecDeque<Sentinel>,
    /// The first is being asked: it is dialled or open.
    asking: Option<Asking>,
    /// How many have failed, one after the other.
    failed: usize,
    /// Whether all have failed, one after the other, and none has answered since.
    in_vain: bool,
    backoff: Backoff,
    not_before: Instant,
}

#[derive(Debug)]
struct Sentinel {
    place: Endpoint,
    /// Whether it was configured, and not only named by another.
    given: bool,
}

#[derive(Debug)]
enum Asking {
    Unanswered,
    Answered { at: Instant },
}

/// The outcome of asking a sentinel.
///
/// ```
/// use async_caches_core::sentinel::{Rounds, RoundsInput};
/// use async_caches_core::server::Endpoint;
/// use async_caches_core::time::Instant;
///
/// let [s1, s2] = ["s1", "s2"].map(|host| Endpoint::Tcp { host: host.into(), port: 26379 });
/// let mut rounds = Rounds::new(vec![s1], 42);
/// rounds.poll(Instant::ORIGIN); // the only one is asked
/// rounds.handle(RoundsInput::Named(vec![s2.clone()]), Instant::ORIGIN);
/// assert!(rounds.known().any(|known| *known == s2));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoundsInput {
    /// It named the master.
    Answered,
    /// It named these other sentinels.
    Named(Vec<Endpoint>),
    /// It was not reached, or the connection to it has ended.
    Ended,
}

impl Rounds {
    /// The most sentinels that are kept besides the configured ones.
    pub const MOST: usize = 32;
    /// How long a sentinel must last not to count as failed.
    pub const STABLE: Duration = Duration::from_secs(1);

    /// The configured sentinels, before any is asked; the seed is for the backoff's jitter.
    #[must_use]
    pub fn new(given: Vec<Endpoint>, seed: u64) -> Self {
        let given = given.into_iter().map(|place| Sentinel { place, given: true });
        Self {
            sentinels: given.collect(),
            asking: None,
            failed: 0,
            in_vain: false,
            backoff: Backoff::new(seed),
            not_before: Instant::ORIGIN,
        }
    }

    /// Handles an outcome of the sentinel that is being asked; ignored while no sentinel is.
    pub fn handle(&mut self, input: RoundsInput, now: Instant) {
        let Some(asking) = &mut self.asking else { return };
        match input {
            RoundsInput::Answered => {
                if let Asking::Unanswered = asking {
                    *asking = Asking::Answered { at: now };
                }
                self.in_vain = false;
            }
            RoundsInput::Named(others) => self.learn(others),
            RoundsInput::Ended => {
                let lasted = match asking {
                    Asking::Unanswered => false,
                    Asking::Answered { at } => now.since(*at) >= Self::STABLE,
                };
                self.asking = None;
                self.ended(lasted, now);
            }
        }
    }

    /// The sentinel to ask now, if there is one. From then on it is being asked, until it
    /// [ended](RoundsInput::Ended).
    pub fn poll(&mut self, now: Instant) -> Option<Endpoint> {
        if self.asking.is_some() || now < self.not_before {
            return None;
        }
        let place = self.sentinels.front()?.place.clone();
        self.asking = Some(Asking::Unanswered);
        Some(place)
    }

    /// When [`poll`](Self::poll) may return something else without a new outcome.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        let waits = self.asking.is_none() && !self.sentinels.is_empty();
        waits.then_some(Deadline { at: self.not_before, why: "ask a sentinel" })
    }

    /// Whether all have failed, one after the other, and none has answered since.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        self.in_vain
    }

    /// All known sentinels, the next one first.
    pub fn known(&self) -> impl Iterator<Item = &Endpoint> {
        self.sentinels.iter().map(|sentinel| &sentinel.place)
    }

    /// Keeps the configured sentinels, the one that is being asked, and these.
    fn learn(&mut self, others: Vec<Endpoint>) {
        let asked = self.sentinels.front().map(|sentinel| sentinel.place.clone());
        let stays = |one: &Sentinel| one.given || Some(&one.place) == asked.as_ref();
        self.sentinels.retain(|one| stays(one) || others.contains(&one.place));
        let room = Self::MOST + self.sentinels.iter().filter(|one| one.given).count();
        for place in others {
            let known = self.sentinels.iter().any(|one| one.place == place);
            if !known && self.sentinels.len() < room {
                self.sentinels.push_back(Sentinel { place, given: false });
            }
        }
    }

    fn ended(&mut self, lasted: bool, now: Instant) {
        if lasted {
            self.backoff.succeeded();
            self.failed = 0;
        }
        self.failed += 1;
        if let Some(last) = self.sentinels.pop_front() {
            self.sentinels.push_back(last);
        }
        if self.failed >= self.sentinels.len() {
            self.failed = 0;
            self.in_vain = true;
            self.not_before = now + self.backoff.failed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn place(port: u16) -> Endpoint {
        Endpoint::Tcp { host: "s".into(), port }
    }

    fn port(place: &Endpoint) -> u16 {
        let Endpoint::Tcp { port, .. } = place else { panic!("{place}") };
        *port
    }

    fn rounds(count: u16) -> Rounds {
        Rounds::new((1..=count).map(place).collect(), 7)
    }

    fn known(rounds: &Rounds) -> Vec<u16> {
        rounds.known().map(port).collect()
    }

    #[test]
    fn sentinels_are_asked_one_at_a_time_and_in_order() {
        let mut rounds = rounds(3);
        for expected in [1, 2, 3] {
            assert_eq!(rounds.poll(at(0)), Some(place(expected)));
            assert_eq!(rounds.poll(at(0)), None, "one at a time");
            assert_eq!(rounds.deadline(), None);
            rounds.handle(RoundsInput::Ended, at(0));
        }
        assert!(rounds.is_in_vain());
    }

    #[test]
    fn a_failed_round_is_followed_by_a_growing_wait() {
        let mut rounds = rounds(2);
        let (mut now, mut asked) = (at(0), 0);
        while now < at(60_000) {
            while rounds.poll(now).is_some() {
                asked += 1;
                rounds.handle(RoundsInput::Ended, now);
            }
            now = rounds.deadline().unwrap().at;
        }
        assert!((20..160).contains(&asked), "{asked} dials in a minute");
    }

    #[test]
    fn a_sentinel_that_answers_moves_to_the_front() {
        let mut rounds = rounds(3);
        rounds.poll(at(0)).unwrap();
        rounds.handle(RoundsInput::Ended, at(0));
        assert_eq!(rounds.poll(at(0)), Some(place(2)));
        rounds.handle(RoundsInput::Answered, at(0));
        assert!(!rounds.is_in_vain());
        assert_eq!(known(&rounds), [2, 3, 1]);
    }

    #[test]
    fn a_lost_sentinel_is_asked_again_only_after_all_others() {
        let mut rounds = rounds(3);
        rounds.poll(at(0)).unwrap();
        rounds.handle(RoundsInput::Answered, at(0));
        rounds.handle(RoundsInput::Ended, at(5_000));
        assert_eq!(rounds.poll(at(5_000)), Some(place(2)));
        rounds.handle(RoundsInput::Ended, at(5_000));
        assert_eq!(rounds.poll(at(5_000)), Some(place(3)));
        rounds.handle(RoundsInput::Ended, at(5_000));
        assert!(rounds.is_in_vain());
        assert!(rounds.deadline().unwrap().at <= at(5_000) + Backoff::BASE);
    }

    #[test]
    fn sentinels_that_answer_and_hang_up_are_asked_less_and_less_often() {
        let mut rounds = rounds(2);
        let (mut now, mut asked) = (at(0), 0);
        while now < at(60_000) {
            while rounds.poll(now).is_some() {
                asked += 1;
                rounds.handle(RoundsInput::Answered, now);
                rounds.handle(RoundsInput::Ended, now);
            }
            now = rounds.deadline().unwrap().at;
        }
        assert!((20..160).contains(&asked), "{asked} dials in a minute");
    }

    #[test]
    fn no_sentinel_is_skipped_while_others_answer_and_hang_up() {
        let mut rounds = rounds(3);
        let mut asked = Vec::new();
        let mut now = at(0);
        while asked.len() < 6 {
            while let Some(place) = rounds.poll(now) {
                asked.push(port(&place));
                rounds.handle(RoundsInput::Answered, now);
                rounds.handle(RoundsInput::Ended, now);
            }
            now = rounds.deadline().unwrap().at;
        }
        assert_eq!(asked, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn named_sentinels_are_asked_until_another_sentinel_names_others() {
        let mut rounds = rounds(1);
        rounds.poll(at(0)).unwrap();
        rounds.handle(RoundsInput::Answered, at(0));
        rounds.handle(RoundsInput::Named(vec![place(1), place(8), place(9)]), at(0));
        assert_eq!(known(&rounds), [1, 8, 9]);
        rounds.handle(RoundsInput::Ended, at(0));
        assert_eq!(rounds.poll(at(0)), Some(place(8)));
        rounds.handle(RoundsInput::Answered, at(0));
        rounds.handle(RoundsInput::Named(vec![place(5)]), at(0));
        assert_eq!(known(&rounds), [8, 1, 5], "the given and the one that is asked stay");
    }

    #[test]
    fn the_number_of_known_sentinels_is_bounded() {
        let mut rounds = rounds(3);
        for from in [100_u16, 1_000, 10_000] {
            rounds.poll(at(0)).unwrap();
            rounds.handle(RoundsInput::Answered, at(0));
            rounds.handle(RoundsInput::Named((from..from + 500).map(place).collect()), at(0));
            let known = known(&rounds);
            assert_eq!(known.len(), Rounds::MOST + 3);
            assert!([1, 2, 3].iter().all(|given| known.contains(given)));
            rounds.handle(RoundsInput::Ended, at(0));
        }
    }

    #[test]
    fn inputs_without_an_asked_sentinel_are_ignored() {
        let mut rounds = rounds(2);
        rounds.handle(RoundsInput::Ended, at(0));
        rounds.handle(RoundsInput::Named(vec![place(9)]), at(0));
        rounds.handle(RoundsInput::Answered, at(0));
        assert_eq!(known(&rounds), [1, 2]);
        assert_eq!(rounds.poll(at(0)), Some(place(1)));
        let mut none = Rounds::new(Vec::new(), 1);
        assert_eq!((none.poll(at(0)), none.deadline()), (None, None));
    }
}
