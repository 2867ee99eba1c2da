//! The pool's decisions: how many links there should be, when to dial and when to close.
//!
//! # Theory of operation
//!
//! A link is dialling, open or closing. The pool keeps `minsize` links and may have `maxsize`, all states
//! counted together. It dials
//!
//! * to reach `minsize`, up to [`Pool::DIALS`] at a time while things go well, and a few while no link has
//!   proved yet that any opens, and
//! * one more at a time when callers found every link busy ([`Input::Demand`]).
//!
//! A link above `minsize` that has idled for [`Pool::IDLE`] is closed. After a dial failed or a
//! link was lost, the next dial waits for the backoff, and until one succeeds again there is only
//! one dial at a time. A link counts as a success once it has answered a command, however soon it
//! ended, or has lasted for [`Pool::STABLE`]: a server that accepts, greets and hangs up is no reason
//! for a storm, and a server behind a short-lived proxy none for long waits. Links that were dialled before
//! the last failure and end after it count with it as one, as they have one reason.
//!
//! While there is no open link callers wait, each for its own deadline. Once that has lasted for the
//! patience given, counted from the first dial, or the server refused the credentials, waiting is
//! [hopeless](Pool::is_hopeless) and callers are to be failed at once until a link opens again, or
//! until somebody wants one after the pool has been left alone for as long.
//!
//! A server that was [silent](Pool::silent) on one link for all the patience, and was not heard lately on
//! another, is silent on all: no other is to cost its callers the same wait. Then there is no hope but
//! for a moment in which a dial may prove the server alive.
//!
//! With a [greatest age](Pool::limit_age) a link that has reached it is replaced, so that a name that
//! leads elsewhere is followed: another link is dialled first, and only when that is open does the old
//! one take no more commands. If the pool is full there is no room for that: then one old link at a time
//! closes first, and only while dials succeed. Each link draws its age, so that those which were
//! opened together do not close together.
//!
//! The pool knows no socket and no caller. It is told what happened (`handle`), says what to do
//! (`poll`, until it answers `None`) and when to ask again (`deadline`).

mod lanes;
mod links;
mod tally;

use alloc::vec::Vec;
use core::time::Duration;

pub use self::lanes::{Allotment, Lane, allot};
use self::links::Links;
use self::tally::History;
pub use self::tally::Tally;
use crate::planted::{self, Bug};
use crate::retry::{Backoff, Random};
use crate::time::{Deadline, Instant};

/// The decisions of one pool of links.
#[derive(Debug)]
pub struct Pool {
    minsize: usize,
    maxsize: usize,
    patience: Duration,
    links: Links,
    next: u64,
    /// The next link by the last failure. The end of an earlier one is no news.
    next_by_failure: u64,
    /// Which open links were found not to have idled at a time: none from this one on.
    looked: Option<(Instant, LinkId)>,
    backoff: Backoff,
    not_before: Instant,
    troubled: bool,
    demand: bool,
    refused: bool,
    /// From when on callers are failed at once, while no link is open.
    failing_from: Option<Instant>,
    /// Whether no caller has waited for the first link to open.
    unproven: bool,
    max_age: Option<Duration>,
    ages: Random,
    /// The link that is being dialled in the place of one that is too old.
    renewing: Option<LinkId>,
    /// Whether such a link has opened, so that an old one may close.
    renewed: bool,
    /// When the server moved last.
    moved_at: Option<Instant>,
    history: History,
}

/// One link's name; never used twice in one pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(u64);

#[derive(Clone, Copy, Debug)]
enum Phase {
    Dialling,
    Open {
        since: Instant,
        /// When it is too old.
        until: Instant,
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
        /// Whether the server has answered a command on it.
        answered: bool,
    },
    /// A dialled link was hung up on as it greeted, and another one is to be dialled at once that greets
    /// in other words: no failure.
    GreetedAnew(LinkId),
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
    /// How long callers may hope for a dial after a server fell silent.
    pub const GRACE: Duration = Duration::from_millis(100);
    /// How many links are being dialled at the same time, at most.
    pub const DIALS: usize = 64;
    /// The same while none is open: one failure of these is as good as a thousand.
    pub const FIRST_DIALS: usize = 8;
    /// How long a link that has answered nothing must last to count as a success.
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
            links: Links::new(),
            next: 0,
            looked: None,
            backoff: Backoff::new(seed),
            next_by_failure: 0,
            not_before: now,
            troubled: false,
            demand: false,
            refused: false,
            failing_from: None,
            unproven: false,
            max_age: None,
            ages: Random::new(seed ^ AGES),
            renewing: None,
            renewed: false,
            moved_at: None,
            history: History::default(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Opened(id) => {
                let until = now + self.age();
                if self.links.contains(id) {
                    self.links.put(id, Phase::Open { since: now, until });
                    self.history.opened();
                }
                if self.renewing == Some(id) {
                    (self.renewing, self.renewed) = (None, true);
                }
                self.troubled = false;
                self.refused = false;
                self.demand = false;
                self.failing_from = None;
                self.unproven = false;
                self.not_before = Instant::ORIGIN;
            }
            Input::Ended { link, refused, answered } => {
                self.ended(link, refused, answered, now);
            }
            Input::GreetedAnew(id) => {
                self.demand |= self.links.remove(id).is_some();
            }
            Input::Demand => self.demanded(now),
            Input::Renewed if self.refused => {
                self.refused = false;
                self.failing_from = None;
                self.not_before = now;
            }
            Input::Renewed => {}
            Input::Moved => self.moved(now),
        }
    }

    /// Replaces links once they are so old, or up to a quarter younger; never, unless said.
    pub fn limit_age(&mut self, max_age: Option<Duration>) {
        self.max_age = max_age;
    }

    /// Callers come before any link was open: until one is, the first dial that fails leaves them no
    /// hope.
    pub fn begin_lazily(&mut self) {
        self.unproven = true;
    }

    /// An open link is about to end, as nothing was heard on it for as long as a response may take.
    /// Returns the other links that are to close, if nothing was heard on any of them for half as long:
    /// each once what is under way there has ended. They count until they have ended.
    pub fn silent(
        &mut self,
        link: LinkId,
        now: Instant,
        last_heard: impl Fn(LinkId) -> Instant,
    ) -> Vec<LinkId> {
        let mut others: Vec<_> = self.links.open_before(None).filter(|id| *id != link).collect();
        let is_heard = |id| now.since(last_heard(id)) < self.patience / 2;
        if planted::is(Bug::SilenceForgotten) || others.iter().any(|id| is_heard(*id)) {
            return Vec::new();
        }
        // The link may have been closing already, and then its end is no failure of its own.
        self.not_before = self.not_before.max(now);
        let from = now + Self::GRACE.min(self.patience);
        self.failing_from = Some(self.failing_from.map_or(from, |before| before.min(from)));
        others.reverse();
        others.iter().for_each(|id| self.links.put(*id, Phase::Closing));
        others
    }

    /// What to do next; to be asked until it answers `None`. `idle_since` tells for an open link
    /// since when it has had nothing to do, where it has nothing to do.
    pub fn poll(
        &mut self,
        now: Instant,
        idle_since: impl Fn(LinkId) -> Option<Instant>,
    ) -> Option<Action> {
        if let Some(id) = self.next_too_old(now) {
            return Some(Action::Close(id));
        }
        let renews = self.wants_renewal(now);
        if (self.wants_dial() || renews) && self.not_before <= now {
            self.demand = false;
            if self.open() == 0 && !planted::is(Bug::SilenceForgotten) {
                self.failing_from.get_or_insert(now + self.patience);
            }
            let id = LinkId(self.next);
            self.next += 1;
            self.renewing = if renews { Some(id) } else { self.renewing };
            self.links.put(id, Phase::Dialling);
            return Some(Action::Dial(id));
        }
        if self.open() > self.minsize.max(1) {
            let idle = |id: LinkId| idle_since(id).is_some_and(|at| now.since(at) >= Self::IDLE);
            // A link that was not idle at this instant need not be looked at again.
            let looked = self.looked.filter(|(at, _)| *at == now).map(|(_, id)| id);
            let tired = self.links.open_before(looked).find(|id| idle(*id));
            self.looked = Some((now, tired.unwrap_or(LinkId(0))));
            if let Some(id) = tired {
                self.links.put(id, Phase::Closing);
                return Some(Action::Close(id));
            }
        }
        None
    }

    /// When [`poll`](Self::poll) may answer otherwise though nothing happened.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Deadline> {
        if self.wants_dial() || self.wants_renewal(now) {
            return Some(Deadline { at: self.not_before, why: "dial" });
        }
        let age = self.links.next_age(now).map(|at| Deadline { at, why: "the age of a link" });
        let spare = self.open() > self.minsize.max(1);
        let spare = spare.then(|| Deadline { at: now + Self::IDLE / 2, why: "close idle links" });
        Deadline::earlier(age, spare)
    }

    /// Whether callers without a link should be failed at once instead of waiting.
    #[must_use]
    pub fn is_hopeless(&self, now: Instant) -> bool {
        let failed = self.refused || (self.unproven && self.history.has_failed());
        self.failing_from.is_some_and(|from| failed || from <= now)
    }

    /// How many links are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.links.open()
    }

    /// How many links there are, open or not: never more than `maxsize`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.links.len()
    }

    /// Whether there may be no more links.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.links.len() >= self.maxsize.saturating_add(planted::is(Bug::OneLinkTooMany).into())
    }

    /// Whether it dials though no caller wants a link.
    #[must_use]
    pub fn keeps_links(&self) -> bool {
        self.minsize > 0
    }

    fn is_dialling(&self) -> bool {
        self.links.dialling() > 0
    }

    /// How many links there are that are not to close.
    fn kept(&self) -> usize {
        self.links.len() - self.links.closing()
    }

    fn wants_dial(&self) -> bool {
        let most = match (self.troubled, self.open()) {
            (true, _) => 1,
            (false, 0) => Self::FIRST_DIALS,
            (false, _) => Self::DIALS,
        };
        if self.is_full() || self.links.dialling() >= most {
            return false;
        }
        self.kept() < self.minsize || self.demand
    }

    /// How old the next link may become.
    fn age(&mut self) -> Duration {
        let Some(most) = self.max_age.filter(|_| !planted::is(Bug::OldLinkKept)) else {
            return Duration::MAX;
        };
        most.saturating_sub(self.ages.below(most / 4))
    }

    fn too_old(&self, now: Instant) -> Option<LinkId> {
        self.links.too_old(now)
    }

    /// Whether a link is to be dialled in the place of one that is too old.
    fn wants_renewal(&self, now: Instant) -> bool {
        let free = !self.is_full() && !self.is_dialling() && !self.renewed;
        free && self.too_old(now).is_some()
    }

    /// The link that closes now as it is too old, if one is.
    fn next_too_old(&mut self, now: Instant) -> Option<LinkId> {
        let id = self.too_old(now);
        if id.is_none() {
            self.renewed = false;
        }
        let id = id?;
        // Without room for another, one that works is only given up while others would open.
        let in_turn = self.is_full() && !self.troubled && self.kept() == self.links.len();
        if !self.renewed && (!in_turn || self.is_dialling()) {
            return None;
        }
        self.renewed = false;
        self.links.put(id, Phase::Closing);
        Some(id)
    }

    fn demanded(&mut self, now: Instant) {
        // Where nobody has wanted a link for that long, what failed before says nothing of now.
        let left_alone = self.links.is_empty() && now.since(self.not_before) >= self.patience;
        if left_alone && !planted::is(Bug::OldTroubleKept) {
            self.failing_from = None;
            self.refused = false;
        }
        self.demand |= !self.is_dialling();
    }

    fn moved(&mut self, now: Instant) {
        // Whoever had a link, or waited for one, wants one there.
        self.demand |= !self.links.is_empty();
        self.links.close_all();
        // Where nothing was dialled yet it only becomes known where the server is.
        let again = self.next > 0
            && self.moved_at.replace(now).is_some_and(|at| now.since(at) < Self::STABLE);
        if !again {
            self.backoff.succeeded();
        }
        self.troubled = again;
        self.refused = false;
        self.failing_from = None;
        self.not_before = if again { now + self.backoff.failed() } else { now };
    }

    fn ended(&mut self, id: LinkId, refused: bool, answered: bool, now: Instant) {
        if planted::is(Bug::EndedLinkCounted) {
            return;
        }
        let Some(phase) = self.links.remove(id) else { return };
        self.history.ended(phase);
        self.renewing = self.renewing.filter(|renewing| *renewing != id);
        let answered = answered && !planted::is(Bug::AnswersForgotten);
        let worked = match phase {
            Phase::Open { since, .. } => answered || now.since(since) >= Self::STABLE,
            Phase::Dialling => false,
            Phase::Closing => return,
        };
        if worked {
            self.backoff.succeeded();
        }
        let failed = refused || matches!(phase, Phase::Dialling) || self.is_dialling();
        if failed && self.open() == 0 {
            self.failing_from.get_or_insert(now + self.patience);
        }
        self.troubled = true;
        self.refused = refused;
        // Links that end together, for one reason, are one failure.
        if worked || refused || id.0 >= self.next_by_failure {
            let delay = if refused { self.backoff.refused() } else { self.backoff.failed() };
            self.not_before = now + delay;
            self.next_by_failure = self.next;
        }
    }
}

/// Makes another seed of one.
const AGES: u64 = 0xa5a5_a5a5_a5a5_a5a5;

#[cfg(test)]
mod tests;
