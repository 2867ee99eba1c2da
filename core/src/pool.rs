//! The pool's decisions: how many links there should be, when to dial and when to close.
//!
//! # Theory of operation
//!
//! A link is dialling, open or closing. The pool keeps `minsize` links and may have `maxsize`, all states
//! counted together. It dials
//!
//! * to reach `minsize`, all that is missing at once while things go well, and
//! * one more at a time when callers found every link busy ([`Input::Demand`]).
//!
//! A link above `minsize` that has idled for [`Pool::IDLE`] is closed. After a dial failed or a
//! link was lost, the next dial waits for the backoff, and until one succeeds again there is only
//! one dial at a time. A link counts as a success only after it has lasted for [`Pool::STABLE`]: a
//! server that accepts and hangs up is no reason for a storm.
//!
//! While there is no open link callers wait, each for its own deadline. Once every dial has failed
//! for longer than the patience given, or the server refused the credentials, waiting is
//! [hopeless](Pool::is_hopeless) and callers are to be failed at once until a link opens again, or
//! until somebody wants one after the pool has been left alone for as long.
//!
//! The pool knows no socket and no caller. It is told what happened (`handle`), says what to do
//! (`poll`, until it answers `None`) and when to ask again (`deadline`).

mod tally;

use alloc::vec::Vec;
use core::time::Duration;

use self::tally::History;
pub use self::tally::Tally;
use crate::planted::{self, Bug};
use crate::retry::Backoff;
use crate::time::{Deadline, Instant};

/// The decisions of one pool of links.
#[derive(Debug)]
pub struct Pool {
    minsize: usize,
    maxsize: usize,
    patience: Duration,
    links: Vec<(LinkId, Phase)>,
    next: u64,
    backoff: Backoff,
    not_before: Instant,
    troubled: bool,
    demand: bool,
    refused: bool,
    /// Since when every dial has failed, or the credentials were refused, and no link was open.
    failing_since: Option<Instant>,
    /// When the server moved last.
    moved_at: Option<Instant>,
    history: History,
}

/// One link's name; never used twice in one pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkId(u64);

#[derive(Clone, Copy, Debug)]
enum Phase {
    Dialling,
    Open {
        since: Instant,
    },
    /// It idled, or its server is no longer the one, and is to close.
    Closing,
}

/// What happened to the pool's links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A dialled link is ready for commands.
    Opened(LinkId),
    /// A link ended: it could not be dialled, or it was open and is lost, or it was to close.
    Ended {
        /// Which.
        link: LinkId,
        /// Whether the server refused the credentials, so that trying again soon is no use.
        refused: bool,
    },
    /// A caller found no link, or every link busy. Of no effect while a link is being dialled:
    /// whoever still wants for one afterwards says so again.
    Demand,
    /// There are other credentials: what was refused may be taken now.
    Renewed,
    /// The server is another one now: all links there are close, others are to be dialled at once,
    /// and what failed before says nothing of them. Where it moves again before [`Pool::STABLE`], as
    /// those may say who do not know, links wait for the backoff as after a failure. Before anything
    /// was dialled it is no move: it is only said where the server is.
    Moved,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Dial a new link under this name.
    Dial(LinkId),
    /// Close this idle link, which takes no more commands. It counts until it has ended.
    Close(LinkId),
}

impl Pool {
    /// How long a link above `minsize` may idle.
    pub const IDLE: Duration = Duration::from_secs(30);
    /// How long a link must last to count as a success.
    pub const STABLE: Duration = Duration::from_secs(1);

    /// A pool without links, which wants `minsize` of them. `patience` is how long callers may
    /// hope while there is no link; the seed is for the backoff's jitter.
    #[must_use]
    pub fn new(
        minsize: usize,
        maxsize: usize,
        patience: Duration,
        seed: u64,
        now: Instant,
    ) -> Self {
        Self {
            minsize,
            maxsize,
            patience,
            links: Vec::new(),
            next: 0,
            backoff: Backoff::new(seed),
            not_before: now,
            troubled: false,
            demand: false,
            refused: false,
            failing_since: None,
            moved_at: None,
            history: History::default(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Opened(id) => {
                for (link, phase) in &mut self.links {
                    if *link == id {
                        *phase = Phase::Open { since: now };
                        self.history.opened();
                    }
                }
                self.troubled = false;
                self.refused = false;
                self.demand = false;
                self.failing_since = None;
                self.not_before = Instant::ORIGIN;
            }
            Input::Ended { link, refused } => self.ended(link, refused, now),
            Input::Demand => self.demanded(now),
            Input::Renewed if self.refused => {
                self.refused = false;
                self.failing_since = None;
                self.not_before = now;
            }
            Input::Renewed => {}
            Input::Moved => self.moved(now),
        }
    }

    /// What to do next; to be asked until it answers `None`. `idle_since` tells for an open link
    /// since when it has had nothing to do, where it has nothing to do.
    pub fn poll(
        &mut self,
        now: Instant,
        idle_since: impl Fn(LinkId) -> Option<Instant>,
    ) -> Option<Action> {
        if self.wants_dial() && self.not_before <= now {
            self.demand = false;
            let id = LinkId(self.next);
            self.next += 1;
            self.links.push((id, Phase::Dialling));
            return Some(Action::Dial(id));
        }
        if self.open() > self.minsize.max(1) {
            let idle = |id: LinkId| idle_since(id).is_some_and(|at| now.since(at) >= Self::IDLE);
            let tired = self.links.iter().rposition(|&(id, phase)| phase.is_open() && idle(id))?;
            let (id, phase) = self.links.get_mut(tired)?;
            *phase = Phase::Closing;
            return Some(Action::Close(*id));
        }
        None
    }

    /// When [`poll`](Self::poll) may answer otherwise though nothing happened.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Deadline> {
        if self.wants_dial() {
            return Some(Deadline { at: self.not_before, why: "dial" });
        }
        let spare = self.open() > self.minsize.max(1);
        spare.then(|| Deadline { at: now + Self::IDLE / 2, why: "close idle links" })
    }

    /// Whether callers without a link should be failed at once instead of waiting.
    #[must_use]
    pub fn is_hopeless(&self, now: Instant) -> bool {
        self.failing_since.is_some_and(|since| self.refused || now.since(since) >= self.patience)
    }

    /// How many links are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.links.iter().filter(|(_, phase)| phase.is_open()).count()
    }

    /// How many links there are, open or not: never more than `maxsize`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.links.len()
    }

    /// Whether there may be no more links.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.links.len() >= self.maxsize + usize::from(planted::is(Bug::OneLinkTooMany))
    }

    /// Whether it dials though no caller wants a link.
    #[must_use]
    pub fn keeps_links(&self) -> bool {
        self.minsize > 0
    }

    fn is_dialling(&self) -> bool {
        self.links.iter().any(|(_, phase)| matches!(phase, Phase::Dialling))
    }

    /// How many links there are that are not to close.
    fn kept(&self) -> usize {
        self.links.iter().filter(|(_, phase)| !matches!(phase, Phase::Closing)).count()
    }

    fn wants_dial(&self) -> bool {
        if self.is_full() || (self.troubled && self.is_dialling()) {
            return false;
        }
        self.kept() < self.minsize || self.demand
    }

    fn demanded(&mut self, now: Instant) {
        // Where nobody has wanted a link for that long, what failed before says nothing of now.
        let left_alone = self.links.is_empty() && now.since(self.not_before) >= self.patience;
        if left_alone && !planted::is(Bug::OldTroubleKept) {
            self.failing_since = None;
            self.refused = false;
        }
        self.demand |= !self.is_dialling();
    }

    fn moved(&mut self, now: Instant) {
        // Whoever had a link, or waited for one, wants one there.
        self.demand |= !self.links.is_empty();
        self.links.iter_mut().for_each(|(_, phase)| *phase = Phase::Closing);
        // Where nothing was dialled yet it only becomes known where the server is.
        let again = self.next > 0
            && self.moved_at.replace(now).is_some_and(|at| now.since(at) < Self::STABLE);
        if !again {
            self.backoff.succeeded();
        }
        self.troubled = again;
        self.refused = false;
        self.failing_since = None;
        self.not_before = if again { now + self.backoff.failed() } else { now };
    }

    fn ended(&mut self, id: LinkId, refused: bool, now: Instant) {
        let at = self.links.iter().position(|(link, _)| *link == id);
        let Some(at) = at.filter(|_| !planted::is(Bug::EndedLinkCounted)) else { return };
        let (_, phase) = self.links.remove(at);
        self.history.ended(phase);
        match phase {
            Phase::Open { since } if now.since(since) >= Self::STABLE => self.backoff.succeeded(),
            Phase::Open { .. } | Phase::Dialling => {}
            Phase::Closing => return,
        }
        let failed = refused || matches!(phase, Phase::Dialling);
        if failed && self.open() == 0 {
            self.failing_since.get_or_insert(now);
        }
        self.troubled = true;
        self.refused = refused;
        let delay = if refused { self.backoff.refused() } else { self.backoff.failed() };
        self.not_before = now + delay;
    }
}

impl Phase {
    fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn pool(minsize: usize, maxsize: usize) -> Pool {
        Pool::new(minsize, maxsize, PATIENCE, 42, at(0))
    }

    fn busy(_: LinkId) -> Option<Instant> {
        None
    }

    fn dials(pool: &mut Pool, now: Instant) -> Vec<LinkId> {
        let mut dialled = vec![];
        while let Some(action) = pool.poll(now, busy) {
            match action {
                Action::Dial(id) => dialled.push(id),
                Action::Close(id) => panic!("closed {id:?}"),
            }
        }
        dialled
    }

    fn ended(link: LinkId) -> Input {
        Input::Ended { link, refused: false }
    }

    #[test]
    fn the_smallest_size_is_dialled_at_once_and_demand_adds_one_at_a_time() {
        let mut pool = pool(2, 4);
        let first = dials(&mut pool, at(0));
        assert_eq!(first.len(), 2);
        for id in first {
            pool.handle(Input::Opened(id), at(1));
        }
        for size in [3, 4] {
            pool.handle(Input::Demand, at(2));
            pool.handle(Input::Demand, at(2));
            let more = dials(&mut pool, at(2));
            assert_eq!((more.len(), pool.size()), (1, size));
            pool.handle(Input::Opened(more[0]), at(3));
        }
        pool.handle(Input::Demand, at(4));
        assert!(dials(&mut pool, at(4)).is_empty(), "never more than maxsize");
    }

    #[test]
    fn a_pool_whose_smallest_size_is_zero_dials_on_demand() {
        let mut pool = pool(0, 1);
        assert!(dials(&mut pool, at(0)).is_empty());
        pool.handle(Input::Demand, at(0));
        assert_eq!(dials(&mut pool, at(0)).len(), 1);
    }

    #[test]
    fn a_spare_link_is_closed_once_it_has_idled_and_the_last_are_kept() {
        let mut pool = pool(1, 3);
        for now in [0, 1, 2] {
            pool.handle(Input::Demand, at(now));
            for id in dials(&mut pool, at(now)) {
                pool.handle(Input::Opened(id), at(now));
            }
        }
        assert_eq!(pool.open(), 3);
        let idle = |_| Some(at(0));
        assert_eq!(pool.poll(at(29_999), idle), None);
        assert!(pool.deadline(at(0)).unwrap().at <= at(30_000));
        assert!(matches!(pool.poll(at(30_000), idle), Some(Action::Close(_))));
        assert!(matches!(pool.poll(at(30_000), idle), Some(Action::Close(_))));
        assert_eq!(pool.poll(at(30_000), idle), None);
        assert_eq!(pool.open(), 1);
    }

    #[test]
    fn a_link_that_closes_counts_until_it_has_ended() {
        let mut pool = pool(1, 2);
        for now in [0, 1] {
            pool.handle(Input::Demand, at(now));
            for id in dials(&mut pool, at(now)) {
                pool.handle(Input::Opened(id), at(now));
            }
        }
        let late = at(40_000);
        pool.handle(Input::Demand, late);
        let Some(Action::Close(id)) = pool.poll(late, |_| Some(at(0))) else { panic!() };
        assert_eq!(pool.poll(late, |_| Some(at(0))), None, "there may not be a third");
        assert_eq!((pool.open(), pool.size()), (1, 2));
        pool.handle(ended(id), late);
        assert!(matches!(pool.poll(late, busy), Some(Action::Dial(_))), "and at once, now");
    }

    #[test]
    fn a_link_lost_while_another_closes_is_replaced() {
        let mut pool = pool(2, 4);
        let mut links = dials(&mut pool, at(0));
        links.iter().for_each(|id| pool.handle(Input::Opened(*id), at(0)));
        pool.handle(Input::Demand, at(1));
        links.extend(dials(&mut pool, at(1)));
        pool.handle(Input::Opened(links[2]), at(1));
        let closing = Some(Action::Close(links[2]));
        assert_eq!(pool.poll(at(40_000), |_| Some(at(1))), closing);
        pool.handle(ended(links[0]), at(40_000));
        assert_eq!(dials(&mut pool, at(50_000)).len(), 1, "one open link is too few");
    }

    #[test]
    fn what_failed_before_a_pool_was_left_alone_takes_nobodys_hope() {
        let mut pool = pool(0, 1);
        pool.handle(Input::Demand, at(0));
        let id = dials(&mut pool, at(0))[0];
        pool.handle(ended(id), at(0));
        pool.handle(Input::Demand, at(4_000));
        assert_eq!(dials(&mut pool, at(4_000)).len(), 1);
        assert!(pool.is_hopeless(at(6_000)), "it has failed for all its patience");
        pool.handle(ended(LinkId(1)), at(6_000));
        pool.handle(Input::Demand, at(20_000));
        assert!(!pool.is_hopeless(at(20_000)));
    }

    #[test]
    fn where_the_server_has_moved_links_are_dialled_at_once_whatever_failed_before() {
        let mut pool = pool(2, 2);
        let links = dials(&mut pool, at(0));
        for round in 0..20 {
            let now = at(10_000 * round);
            dials(&mut pool, now).into_iter().chain(links.clone()).for_each(|id| {
                pool.handle(ended(id), now);
            });
        }
        let late = at(190_000);
        assert!(pool.is_hopeless(late));
        pool.handle(Input::Moved, late);
        assert!(!pool.is_hopeless(late));
        assert_eq!(dials(&mut pool, late).len(), 2, "both, and at once");
    }

    #[test]
    fn where_the_server_is_first_said_to_be_is_no_move() {
        let mut pool = pool(8, 8);
        pool.handle(Input::Moved, at(0));
        for id in dials(&mut pool, at(0)) {
            pool.handle(ended(id), at(900));
        }
        pool.handle(Input::Moved, at(950));
        assert_eq!(dials(&mut pool, at(950)).len(), 8, "all, and at once");
    }

    #[test]
    fn who_had_a_link_has_one_where_the_server_has_moved_and_nobody_else() {
        for had_one in [true, false] {
            let mut pool = pool(0, 1);
            if had_one {
                pool.handle(Input::Demand, at(0));
                let id = dials(&mut pool, at(0))[0];
                pool.handle(Input::Opened(id), at(0));
            }
            pool.handle(Input::Moved, at(10));
            // The one that there was still counts, until it has ended.
            if had_one {
                pool.handle(ended(LinkId(0)), at(10));
            }
            assert_eq!(dials(&mut pool, at(10)).len(), usize::from(had_one));
        }
    }

    #[test]
    fn a_server_that_moves_without_end_is_dialled_less_and_less_often() {
        let mut pool = pool(1, 1);
        let (mut now, mut count) = (at(0), 0);
        while now < at(60_000) {
            pool.handle(Input::Moved, now);
            for id in dials(&mut pool, now) {
                count += 1;
                pool.handle(Input::Opened(id), now);
                pool.handle(ended(id), now);
            }
            now = now + Duration::from_millis(100);
        }
        assert!(count < 80, "{count} dials in a minute");
    }

    #[test]
    fn links_to_where_the_server_was_count_until_they_have_ended_and_are_no_failures() {
        let mut pool = pool(1, 2);
        let old = dials(&mut pool, at(0))[0];
        pool.handle(Input::Opened(old), at(0));
        pool.handle(Input::Moved, at(9_000));
        assert_eq!((pool.open(), pool.size()), (0, 1));
        let new = dials(&mut pool, at(9_000));
        assert_eq!((new.len(), pool.size()), (1, 2));
        pool.handle(Input::Opened(new[0]), at(9_001));
        pool.handle(ended(old), at(9_002));
        assert_eq!((pool.open(), pool.size()), (1, 1));
        assert!(!pool.is_hopeless(at(90_000)));
        pool.handle(Input::Demand, at(9_003));
        assert_eq!(dials(&mut pool, at(9_003)).len(), 1, "nothing is to be waited for");
    }

    #[test]
    fn after_a_failure_one_dial_at_a_time_waits_for_the_backoff() {
        let mut pool = pool(3, 3);
        for id in dials(&mut pool, at(0)) {
            pool.handle(ended(id), at(0));
        }
        let due = pool.deadline(at(0)).unwrap();
        assert_eq!(due.why, "dial");
        assert!(due.at > at(0));
        assert_eq!(dials(&mut pool, due.at).len(), 1);
    }

    #[test]
    fn a_server_that_accepts_and_hangs_up_is_dialled_less_and_less_often() {
        let mut pool = pool(1, 1);
        let mut now = at(0);
        let mut count = 0;
        while now < at(60_000) {
            for id in dials(&mut pool, now) {
                count += 1;
                pool.handle(Input::Opened(id), now);
                pool.handle(ended(id), now);
            }
            now = pool.deadline(now).unwrap().at;
        }
        assert!((10..80).contains(&count), "{count} dials in a minute");
    }

    #[test]
    fn callers_may_hope_until_their_patience_ends_and_again_after_a_link_opened() {
        let mut pool = pool(1, 1);
        let id = dials(&mut pool, at(0))[0];
        pool.handle(Input::Opened(id), at(10));
        pool.handle(ended(id), at(9_000));
        assert!(!pool.is_hopeless(at(100_000)), "a lost link alone is no reason to give up");
        let id = dials(&mut pool, at(10_000))[0];
        pool.handle(ended(id), at(10_000));
        assert!(!pool.is_hopeless(at(14_999)));
        assert!(pool.is_hopeless(at(15_000)));
        let id = dials(&mut pool, at(15_000))[0];
        pool.handle(Input::Opened(id), at(15_001));
        assert!(!pool.is_hopeless(at(100_000)));
    }

    #[test]
    fn refused_credentials_are_hopeless_at_once_and_tried_again_only_seconds_later() {
        let mut pool = pool(1, 1);
        let link = dials(&mut pool, at(0))[0];
        pool.handle(Input::Ended { link, refused: true }, at(0));
        assert!(pool.is_hopeless(at(0)));
        assert!(pool.deadline(at(0)).unwrap().at >= at(2_500));
    }

    #[test]
    fn an_open_link_that_is_refused_leaves_no_hope_where_it_was_the_last() {
        let mut pool = pool(2, 2);
        let [one, other] = dials(&mut pool, at(0))[..] else { panic!() };
        pool.handle(Input::Opened(one), at(0));
        pool.handle(Input::Opened(other), at(0));
        pool.handle(Input::Ended { link: one, refused: true }, at(5_000));
        assert!(!pool.is_hopeless(at(5_000)), "the other one still serves");
        pool.handle(Input::Ended { link: other, refused: true }, at(5_000));
        assert!(pool.is_hopeless(at(5_000)));
    }

    #[test]
    fn other_credentials_are_tried_at_once_where_the_last_were_refused() {
        let mut pool = pool(1, 2);
        let link = dials(&mut pool, at(0))[0];
        pool.handle(Input::Ended { link, refused: true }, at(0));
        assert_eq!(pool.poll(at(1), busy), None);
        pool.handle(Input::Renewed, at(1));
        assert!(!pool.is_hopeless(at(1)));
        let link = dials(&mut pool, at(1))[0];
        pool.handle(Input::Ended { link, refused: false }, at(1));
        pool.handle(Input::Renewed, at(1));
        assert_eq!(pool.poll(at(1), busy), None, "a server that is away is another matter");
    }

    #[test]
    fn two_hundred_clients_that_lost_one_server_do_not_come_back_together() {
        let mut first_dials: Vec<_> = (0..200)
            .map(|seed| {
                let mut pool = Pool::new(1, 1, PATIENCE, seed, at(0));
                let mut now = at(0);
                for _ in 0..12 {
                    for id in dials(&mut pool, now) {
                        pool.handle(ended(id), now);
                    }
                    now = pool.deadline(now).unwrap().at;
                }
                now.as_nanos() / 100_000_000
            })
            .collect();
        first_dials.sort_unstable();
        let most = first_dials.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap();
        assert!(most <= 12, "{most} of 200 dial within the same 100 ms");
    }
}
