//! The pool's decisions: how many connections to have, when to dial and when to close.
//!
//! # Theory of operation
//!
//! A connection is dialling, open or closing. The pool keeps `minsize` connections and may have
//! `maxsize`, all states counted together. It dials
//!
//! * to reach `minsize`, up to [`Pool::DIALS`] at a time, or [`Pool::FIRST_DIALS`] while no
//!   connection is open, and
//! * one more at a time when callers found every connection busy ([`PoolInput::Demand`]).
//!
//! A connection above `minsize` that has idled for [`Pool::IDLE`] is closed, but never the last
//! one. After a dial failed or a connection was lost, the next dial waits for the backoff, and
//! until one succeeds again there is only one dial at a time. A connection counts as a success once
//! it has answered a command, however soon it ended, or has lasted for [`Pool::STABLE`]. So a
//! server that accepts, greets and hangs up causes no storm, and a server behind a short-lived
//! proxy causes no long waits. A connection that was dialled before the last failure and ends after
//! it, without such a success, is no failure of its own: it shares the cause.
//!
//! While no connection is open callers wait, each until its own deadline. Waiting becomes
//! [hopeless](Pool::is_hopeless) once the server has refused the credentials, or once the given
//! patience has passed since the first dial without an open connection. Callers then fail at once.
//! This ends when a connection opens, or when a caller wants one after no caller has for the whole
//! patience.
//!
//! If a server was [silent](Pool::silent) on one connection for the whole patience, and nothing was
//! heard lately on any other, the server counts as silent on all, so that no other connection costs
//! its callers the same wait. Then callers wait only for a short grace, in which a dial may prove
//! the server alive, and fail after it.
//!
//! With a [greatest age](Pool::limit_age) a connection that has reached it is replaced, so that the
//! pool follows a name that now resolves to another address. The pool dials the new connection
//! first, and the old one takes commands until the new one is open. A full pool has no room for
//! that: it first closes one old connection at a time, and only while dials succeed. Each
//! connection draws its age, so that those which were opened together do not close together.
//!
//! The pool knows neither the sockets nor the waiting callers. Its owner reports events (`handle`),
//! carries out the actions (`poll`, until it returns `None`) and polls again at the `deadline`.

mod connections;
mod lanes;
mod phase;
mod tally;

use alloc::vec::Vec;
use core::time::Duration;

use self::connections::Connections;
pub use self::lanes::{Allotment, Lane, allot};
pub use self::phase::ConnectionId;
use self::phase::PooledPhase;
use self::tally::History;
pub use self::tally::Tally;
use crate::retry::{Backoff, Random};
use crate::time::{Deadline, Instant};

/// The decisions of one pool of connections.
#[derive(Debug)]
pub struct Pool {
    minsize: usize,
    maxsize: usize,
    patience: Duration,
    connections: Connections,
    next: u64,
    /// The value of `next` at the last failure. The end of an earlier connection is no new failure.
    next_by_failure: u64,
    /// The time of the last search for idle connections, and how far it came: the connections from
    /// this one on need no second look at that time.
    looked: Option<(Instant, ConnectionId)>,
    backoff: Backoff,
    not_before: Instant,
    troubled: bool,
    demand: bool,
    refused: bool,
    /// From when on callers fail at once, while no connection is open.
    failing_from: Option<Instant>,
    /// Whether the pool serves callers before its first connection, and none has opened yet.
    unproven: bool,
    /// Whether a dial has failed meanwhile, so that callers need not wait for the next one.
    disproved: bool,
    max_age: Option<Duration>,
    ages: Random,
    /// The connection that is being dialled to replace one that is too old.
    renewing: Option<ConnectionId>,
    /// Whether such a connection has opened, so that an old one may close.
    renewed: bool,
    /// When the server last moved.
    moved_at: Option<Instant>,
    history: History,
}

/// An event on the pool's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolInput {
    /// A dialled connection is ready for commands.
    Opened(ConnectionId),
    /// A connection ended: its dial failed, or it was open and is lost, or it was closing.
    Ended {
        /// The connection.
        connection: ConnectionId,
        /// Whether the server refused the credentials, so that retrying soon is of no use.
        refused: bool,
        /// Whether the server has answered a command on it.
        answered: bool,
    },
    /// The server hung up during the greeting of a connection, and another one is to be dialled at
    /// once with another greeting. This is no failure.
    GreetedAnew(ConnectionId),
    /// A caller found no connection, or every connection busy. It has no effect while a connection
    /// is being dialled: a caller that still wants one afterwards reports it again.
    Demand,
    /// The credentials have changed: the server may accept these.
    Renewed,
    /// Another server is in use from now on. All connections to the old one close, others are
    /// dialled at once, and earlier failures do not count for them. If the server changes again
    /// within [`Pool::STABLE`], which a wrong report can cause, dials wait for the backoff as after
    /// a failure. Before the first dial this is not a move: the pool only learns the server's
    /// address.
    Moved,
}

/// An action for the pool's owner to carry out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolAction {
    /// Dial a new connection under this name.
    Dial(ConnectionId),
    /// Close this connection, which takes no more commands. It counts until it has ended.
    Close(ConnectionId),
}

impl Pool {
    /// How long a connection above `minsize` may idle, unless it is the only open one.
    pub const IDLE: Duration = Duration::from_secs(30);
    /// How long callers may wait for a dial after a server fell silent.
    pub const GRACE: Duration = Duration::from_millis(100);
    /// The most connections that are being dialled at the same time.
    pub const DIALS: usize = 64;
    /// The same while none is open: eight failures prove as much as a thousand.
    pub const FIRST_DIALS: usize = 8;
    /// How long a connection that has answered nothing must last to count as a success.
    pub const STABLE: Duration = Duration::from_secs(1);

    /// A pool without connections, which wants `minsize` of them. `patience` is how long callers
    /// may wait while no connection is open; the seed is for the backoff's jitter.
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
            connections: Connections::new(),
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
            disproved: false,
            max_age: None,
            ages: Random::new(seed ^ AGES),
            renewing: None,
            renewed: false,
            moved_at: None,
            history: History::default(),
        }
    }

    /// The connections in numbers.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let History { lost, reconnects, failed_dials } = self.history;
        Tally {
            dialling: self.connections.dialling(),
            open: self.connections.open(),
            closing: self.connections.closing(),
            lost,
            reconnects,
            failed_dials,
        }
    }

    /// How long the backoff holds back the next dial; `None` if no dial is wanted, or if it may
    /// begin.
    #[must_use]
    pub fn held_back(&self, now: Instant) -> Option<Duration> {
        let left = self.not_before.since(now);
        (self.wants_dial() && !left.is_zero()).then_some(left)
    }

    /// Handles an event.
    pub fn handle(&mut self, input: PoolInput, now: Instant) {
        match input {
            PoolInput::Opened(id) => {
                let until = now + self.age();
                if self.connections.contains(id) {
                    self.connections.put(id, PooledPhase::Open { since: now, until });
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
                self.disproved = false;
                self.not_before = Instant::ORIGIN;
            }
            PoolInput::Ended { connection, refused, answered } => {
                self.ended(connection, refused, answered, now);
            }
            PoolInput::GreetedAnew(id) => {
                self.demand |= self.connections.remove(id).is_some();
            }
            PoolInput::Demand => self.demanded(now),
            PoolInput::Renewed if self.refused => {
                self.refused = false;
                self.failing_from = None;
                self.not_before = now;
            }
            PoolInput::Renewed => {}
            PoolInput::Moved => self.moved(now),
        }
    }

    /// Replaces connections at this age, or up to a quarter younger; by default, never.
    pub fn limit_age(&mut self, max_age: Option<Duration>) {
        self.max_age = max_age;
    }

    /// Declares that callers come before the first connection is open. Until it is, they fail at
    /// once after the first dial that fails.
    pub fn begin_lazily(&mut self) {
        self.unproven = true;
    }

    /// Reports that an open connection is about to end, as nothing was heard on it for as long as a
    /// response may take. If nothing was heard on any other for half as long, returns all the
    /// others: each must close once its commands in flight have ended. They count until they have
    /// ended.
    pub fn silent(
        &mut self,
        connection: ConnectionId,
        now: Instant,
        last_heard: impl Fn(ConnectionId) -> Instant,
    ) -> Vec<ConnectionId> {
        let mut others: Vec<_> =
            self.connections.open_before(None).filter(|id| *id != connection).collect();
        let is_heard = |id| now.since(last_heard(id)) < self.patience / 2;
        if others.iter().any(|id| is_heard(*id)) {
            return Vec::new();
        }
        // If the connection was closing already, its end counts as no failure and does not set
        // this.
        self.not_before = self.not_before.max(now);
        let from = now + Self::GRACE.min(self.patience);
        self.failing_from = Some(self.failing_from.map_or(from, |before| before.min(from)));
        others.reverse();
        others.iter().for_each(|id| self.connections.put(*id, PooledPhase::Closing));
        others
    }

    /// Returns the next action; to be called until it returns `None`. `idle_since` returns since
    /// when an open connection has been idle, or `None` if it is not.
    pub fn poll(
        &mut self,
        now: Instant,
        idle_since: impl Fn(ConnectionId) -> Option<Instant>,
    ) -> Option<PoolAction> {
        if let Some(id) = self.next_too_old(now) {
            return Some(PoolAction::Close(id));
        }
        let renews = self.wants_renewal(now);
        if (self.wants_dial() || renews) && self.not_before <= now {
            self.demand = false;
            if self.open() == 0 {
                self.failing_from.get_or_insert(now + self.patience);
            }
            let id = ConnectionId(self.next);
            self.next += 1;
            self.renewing = if renews { Some(id) } else { self.renewing };
            self.connections.put(id, PooledPhase::Dialling);
            return Some(PoolAction::Dial(id));
        }
        if self.open() > self.minsize.max(1) {
            let idle =
                |id: ConnectionId| idle_since(id).is_some_and(|at| now.since(at) >= Self::IDLE);
            // A connection that was not idle at this instant need not be checked again.
            let looked = self.looked.filter(|(at, _)| *at == now).map(|(_, id)| id);
            let tired = self.connections.open_before(looked).find(|id| idle(*id));
            self.looked = Some((now, tired.unwrap_or(ConnectionId(0))));
            if let Some(id) = tired {
                self.connections.put(id, PooledPhase::Closing);
                return Some(PoolAction::Close(id));
            }
        }
        None
    }

    /// When [`poll`](Self::poll) may return something else without a new event.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Deadline> {
        if self.wants_dial() || self.wants_renewal(now) {
            return Some(Deadline { at: self.not_before, why: "dial" });
        }
        let age = self
            .connections
            .next_age(now)
            .map(|at| Deadline { at, why: "the age of a connection" });
        let spare = self.open() > self.minsize.max(1);
        let spare =
            spare.then(|| Deadline { at: now + Self::IDLE / 2, why: "close idle connections" });
        Deadline::earlier(age, spare)
    }

    /// Whether callers without a connection should fail at once instead of waiting.
    #[must_use]
    pub fn is_hopeless(&self, now: Instant) -> bool {
        let failed = self.refused || self.disproved;
        self.failing_from.is_some_and(|from| failed || from <= now)
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    /// How many connections there are, open or not: never more than `maxsize`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.connections.len()
    }

    /// Whether the pool has as many connections as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.connections.len() >= self.maxsize
    }

    /// Whether the pool dials even if no caller wants a connection.
    #[must_use]
    pub fn keeps_connections(&self) -> bool {
        self.minsize > 0
    }

    fn is_dialling(&self) -> bool {
        self.connections.dialling() > 0
    }

    /// How many connections are not closing.
    fn kept(&self) -> usize {
        self.connections.len() - self.connections.closing()
    }

    fn wants_dial(&self) -> bool {
        let most = match (self.troubled, self.open()) {
            (true, _) => 1,
            (false, 0) => Self::FIRST_DIALS,
            (false, _) => Self::DIALS,
        };
        if self.is_full() || self.connections.dialling() >= most {
            return false;
        }
        self.kept() < self.minsize || self.demand
    }

    /// How old the next connection may become.
    fn age(&mut self) -> Duration {
        let Some(most) = self.max_age else { return Duration::MAX };
        most.saturating_sub(self.ages.below(most / 4))
    }

    fn too_old(&self, now: Instant) -> Option<ConnectionId> {
        self.connections.too_old(now)
    }

    /// Whether to dial a connection in the place of one that is too old.
    fn wants_renewal(&self, now: Instant) -> bool {
        let free = !self.is_full() && !self.is_dialling() && !self.renewed;
        free && self.too_old(now).is_some()
    }

    /// The connection to close now because of its age, if there is one.
    fn next_too_old(&mut self, now: Instant) -> Option<ConnectionId> {
        let id = self.too_old(now);
        if id.is_none() {
            self.renewed = false;
        }
        let id = id?;
        // Without room for another, a working connection is given up only while dials succeed.
        let in_turn = self.is_full() && !self.troubled && self.kept() == self.connections.len();
        if !self.renewed && (!in_turn || self.is_dialling()) {
            return None;
        }
        self.renewed = false;
        self.connections.put(id, PooledPhase::Closing);
        Some(id)
    }

    fn demanded(&mut self, now: Instant) {
        // If no caller has wanted a connection for that long, earlier failures prove nothing.
        if self.connections.is_empty() && now.since(self.not_before) >= self.patience {
            self.failing_from = None;
            self.refused = false;
            self.disproved = false;
        }
        self.demand |= !self.is_dialling();
    }

    fn moved(&mut self, now: Instant) {
        // Callers that had a connection, or waited for one, want one to the new server.
        self.demand |= !self.connections.is_empty();
        self.connections.close_all();
        // Before the first dial the pool only learns the server's address.
        let again = self.next > 0
            && self.moved_at.replace(now).is_some_and(|at| now.since(at) < Self::STABLE);
        if !again {
            self.backoff.succeeded();
        }
        self.troubled = again;
        self.refused = false;
        self.disproved = false;
        self.failing_from = None;
        self.not_before = if again { now + self.backoff.failed() } else { now };
    }

    fn ended(&mut self, id: ConnectionId, refused: bool, answered: bool, now: Instant) {
        let Some(phase) = self.connections.remove(id) else { return };
        self.history.ended(phase);
        self.renewing = self.renewing.filter(|renewing| *renewing != id);
        let worked = match phase {
            PooledPhase::Open { since, .. } => answered || now.since(since) >= Self::STABLE,
            PooledPhase::Dialling => false,
            PooledPhase::Closing => {
                if answered {
                    self.backoff.succeeded();
                }
                return;
            }
        };
        if worked {
            self.backoff.succeeded();
        }
        let failed = refused || matches!(phase, PooledPhase::Dialling) || self.is_dialling();
        if failed && self.open() == 0 {
            self.failing_from.get_or_insert(now + self.patience);
        }
        self.troubled = true;
        self.refused = refused;
        self.disproved |= self.unproven && matches!(phase, PooledPhase::Dialling);
        // Connections that end together, for one reason, are one failure.
        if worked || refused || id.0 >= self.next_by_failure {
            let delay = if refused { self.backoff.refused() } else { self.backoff.failed() };
            self.not_before = now + delay;
            self.next_by_failure = self.next;
        }
    }
}

/// Turns the pool's seed into another one, for the ages.
const AGES: u64 = 0xa5a5_a5a5_a5a5_a5a5;

#[cfg(test)]
mod tests;
