//! One link: what the callers of a connection and its driver share.
//!
//! Callers encode into the shared output under a short lock and wait in a slot. The driver, which
//! alone touches the socket, is woken only when it rests and there is something to send. Every
//! waker is called, and every reply dropped, outside of the lock.
//!
//! The clock is read once a batch: by the driver in its turn, and by the caller that finds it at
//! rest. Who comes while the driver is about to run takes the time that is there.

mod apart;
mod census;
mod closing;
mod meter;
mod turn;
mod who;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches_core::cluster::address::Address;
use async_caches_core::command::Command;
use async_caches_core::connection::{Connection, Greeting, ServerInfo, Tag};
use async_caches_core::error::{ConnectionError, Refused};
use async_caches_core::planted::{self, Bug};
use async_caches_core::pool::LinkId;
use async_caches_core::resp::output::Output;
use async_caches_core::time::Instant;
use async_caches_core::url::{Credentials, Endpoint};
use bytes::Bytes;

pub(crate) use self::closing::Closing;
pub(super) use self::meter::Measured;
use self::meter::Meter;
pub(super) use self::turn::Settled;
use super::Pool;
use super::routes::{BUSY, Bounds};
use super::slots::{OtherTask, Outcome, Slots};
use super::witness::Witness;
use crate::error::LinkError;
use crate::notices::LinkName;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::waker::Spare;

/// A connection to a server, from before it is dialled to its end. Dropped without having been
/// driven, it counts as a dial that failed.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) pool: Arc<Pool>,
    pub(super) id: LinkId,
    pub(super) shared: Arc<Shared>,
    /// Where it is dialled to.
    pub(super) at: Endpoint,
    /// Whether it is told how to connect, and not to what.
    pub(super) has_one_address: bool,
    /// Who the server is told we are.
    pub(super) credentials: Option<Credentials>,
    /// How much the socket has taken since the connection was told.
    pub(super) wrote: usize,
    /// Why the link ends, once it does.
    pub(super) end: LinkError,
    /// What the subscriber knows it by, who was told that it has opened.
    pub(super) name: Option<LinkName>,
    /// Whether it has ended before its server greeted.
    pub(super) greets: bool,
    /// How it greets its server.
    pub(super) greeting: Greeting,
}

/// What the callers and the driver of a link share.
#[derive(Debug)]
pub(crate) struct Shared {
    runtime: Arc<dyn Runtime>,
    witness: Arc<Witness>,
    response_timeout: Duration,
    bounds: Bounds,
    /// Where it leads.
    at: Endpoint,
    dialled: Instant,
    /// How often it had been said who we are by then.
    told: u64,
    /// Which node of a cluster it leads to, if it does.
    node: Option<Address>,
    state: Mutex<State>,
    /// How much there is to do, [`STALLED`] more where the first reply is overdue, or [`CLOSED`].
    load: AtomicUsize,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    /// What the server said of itself, once the connection is ready.
    server: ServerInfo,
    tx: Output,
    slots: Slots,
    /// What time it was when somebody last looked, and when a command of then is over.
    now: Instant,
    expires: Instant,
    driver: Driver,
    waker: Option<Waker>,
    /// What [`State::burden`] was in the driver's last turn.
    burden: usize,
    /// Until when large values are expected.
    heavy_until: Instant,
    closing: Closing,
    /// Whether it takes only commands that are to be alone, one at a time.
    apart: bool,
    /// Why the link ended, and when, once it has.
    ended: Option<(LinkError, Instant)>,
    /// There where somebody records what it measures.
    meter: Option<Meter>,
}

/// What the driver is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Driver {
    /// It runs, or is about to, and will see whatever is there.
    Running,
    /// It rests until something happens, such as a caller that has something to send.
    Resting,
    /// It rests with something to send, until its socket takes that.
    Blocked,
}

impl Shared {
    /// A link of this pool to there, whose connection begins now, before it has a socket.
    pub(super) fn open(pool: &Pool, at: &Endpoint, now: Instant) -> Self {
        // Takes no command, and gives way to the one whose server greets.
        let connection = Connection::open(&pool.setup, now, &mut Output::new());
        let state = State {
            connection,
            server: ServerInfo::default(),
            tx: Output::new(),
            slots: Slots::default(),
            now,
            expires: now + pool.setup.response_timeout,
            driver: Driver::Running,
            waker: None,
            burden: 0,
            heavy_until: Instant::ORIGIN,
            closing: Closing::No,
            apart: false,
            ended: None,
            meter: pool.witness.recorder.is_some().then(Meter::default),
        };
        Self {
            runtime: Arc::clone(&pool.runtime),
            witness: Arc::clone(&pool.witness),
            response_timeout: pool.setup.response_timeout,
            bounds: pool.bounds,
            at: at.clone(),
            dialled: now,
            told: pool.who.now().1,
            node: pool.member.as_ref().map(|member| member.address.clone()),
            state: Mutex::new(state),
            load: AtomicUsize::new(0),
        }
    }

    /// A caller submits a command and gets the tag under which to ask for its outcome. Where it
    /// has no deadline yet, `expires` becomes the response timeout from now.
    pub(super) fn submit(
        &self,
        command: &Command<'_>,
        expires: &mut Option<Instant>,
        waker: &Waker,
    ) -> Result<Tag, Rejected> {
        self.submit_by(State::is_full, expires, waker, |connection, tag, expires, tx| {
            connection.submit(command, tag, expires, tx)
        })
    }

    /// The same with `ASKING` right in front of the command.
    #[cold]
    pub(super) fn submit_asking(
        &self,
        command: &Command<'_>,
        expires: &mut Option<Instant>,
        waker: &Waker,
    ) -> Result<Tag, Rejected> {
        self.submit_by(State::is_full, expires, waker, |connection, tag, expires, tx| {
            connection.submit_asking(command, tag, expires, tx)
        })
    }

    #[inline(always)]
    fn submit_by(
        &self,
        is_full: impl FnOnce(&State, Bounds) -> bool,
        expires: &mut Option<Instant>,
        waker: &Waker,
        submit: impl FnOnce(&mut Connection, Tag, Instant, &mut Output) -> Result<(), Refused>,
    ) -> Result<Tag, Rejected> {
        let waker = waker.clone();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if state.closing != Closing::No || !state.connection.is_ready() {
            self.load.store(CLOSED, Ordering::Relaxed);
            return Err(Rejected::Closed);
        }
        if is_full(state, self.bounds) {
            return Err(Rejected::Full);
        }
        if state.driver != Driver::Running {
            self.tell(state, self.runtime.now());
        }
        let expires = *expires.get_or_insert(state.expires);
        let tag = state.slots.take(waker);
        if let Err(refused) = submit(&mut state.connection, tag, expires, &mut state.tx) {
            let unused = state.slots.give_back(tag);
            drop(guard);
            drop(unused);
            return Err(refused.into());
        }
        self.load.store(state.load(), Ordering::Relaxed);
        let driver = match state.driver {
            Driver::Resting if planted::is(Bug::DriverNotWoken) => None,
            Driver::Resting => state.wake(),
            // It may be at rest for long, and has to hear of an expiry that comes before all others.
            Driver::Blocked if state.connection.deadline().is_some_and(|due| due.at == expires) => {
                state.wake()
            }
            Driver::Running | Driver::Blocked => None,
        };
        drop(guard);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(tag)
    }

    /// Tells the time.
    #[inline]
    fn tell(&self, state: &mut State, now: Instant) {
        state.now = now;
        state.expires = now + self.response_timeout;
    }

    /// Whether the link has its fill: then the driver tells, in a later turn, that there is room.
    pub(super) fn is_full(&self) -> bool {
        let state = lock(&self.state);
        state.closing == Closing::No && state.is_full(self.bounds)
    }

    /// A caller asks for the value that its command was answered with, if it was.
    #[inline(always)]
    pub(super) fn take_value(&self, tag: Tag) -> Option<Option<Bytes>> {
        lock(&self.state).slots.take_value(tag)
    }

    /// A caller asks what became of its command.
    #[inline(always)]
    pub(super) fn outcome(&self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let polled = lock(&self.state).slots.poll(tag, cx.waker());
        polled.unwrap_or_else(|OtherTask| self.outcome_elsewhere(tag, cx))
    }

    /// The same by another task than the one that asked before.
    #[cold]
    fn outcome_elsewhere(&self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        state.slots.wait(tag, &mut waker);
        // What came in between has woken the other one.
        state.slots.poll(tag, cx.waker()).unwrap_or(Poll::Pending)
    }

    /// A caller goes away.
    pub(super) fn abandon(&self, tag: Tag) {
        let left = lock(&self.state).slots.abandon(tag);
        drop(left);
    }

    /// Why the link ended, and when; to be asked once it has.
    pub(super) fn why(&self) -> (LinkError, Instant) {
        let ended = lock(&self.state).ended.clone();
        ended.unwrap_or_else(|| (LinkError::Closed, Instant::ORIGIN))
    }

    /// Whether the server has answered a command.
    pub(super) fn has_answered(&self) -> bool {
        lock(&self.state).connection.has_answered()
    }

    /// Whom to tell what happens.
    pub(super) fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Where it leads.
    pub(super) fn at(&self) -> &Endpoint {
        &self.at
    }

    /// Which node of a cluster it leads to, if it does.
    pub(super) fn node(&self) -> Option<&Address> {
        self.node.as_ref()
    }

    /// How long a caller waits for a reply.
    pub(super) fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// How busy the link is.
    #[inline]
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// When anything was last read.
    pub(super) fn last_heard(&self) -> Instant {
        lock(&self.state).connection.last_heard()
    }

    /// Since when nobody has waited for anything.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        lock(&self.state).connection.idle_since()
    }

    /// Asks the driver to end.
    pub(super) fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        if state.closing.now().is_none() {
            // Nobody waits for anything on a link that has not been open yet.
            let open = state.connection.is_ready() || planted::is(Bug::GreetingAwaited);
            state.closing = if open || how == Closing::Moved { how } else { Closing::Now };
        }
        let driver = state.wake();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// Why a link did not take a command.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// It takes none any more.
    Closed,
    /// It has its fill: the caller is to wait until there is room.
    Full,
    /// The command cannot be sent at all.
    Refused(Refused),
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotOpen => Self::Closed,
            refused => Self::Refused(refused),
        }
    }
}

impl State {
    /// Takes the driver's waker, where it rests; it runs from now on.
    fn wake(&mut self) -> Option<Waker> {
        self.driver = Driver::Running;
        self.waker.take()
    }

    fn is_full(&self, bounds: Bounds) -> bool {
        self.apart
            || (self.connection.in_flight() >= bounds.in_flight
                && !planted::is(Bug::InFlightUnbounded))
            || self.connection.unwritten() >= bounds.queued_bytes
    }

    /// The same for a command that is to be alone.
    fn is_taken(&self, _: Bounds) -> bool {
        !self.apart || self.connection.in_flight() > 0
    }

    /// How many commands more are taken.
    fn room(&self, bounds: Bounds) -> usize {
        if self.is_full(bounds) { 0 } else { bounds.in_flight - self.connection.in_flight() }
    }

    fn load(&self) -> usize {
        let unwritten = self.connection.unwritten() / BYTES_OF_A_COMMAND;
        let apart = if self.apart { STALLED } else { 0 };
        self.connection.in_flight() + unwritten + self.burden + apart
    }

    /// What keeps the link busy apart from what callers submit. Where a large value has come, more
    /// may: what is sent behind a command for one waits until all of it is there, so the link is
    /// passed over, and where all links are like that callers spread over them.
    fn burden(&self) -> usize {
        let stalled = if self.connection.is_stalled() { STALLED } else { 0 };
        let heavy = if self.now < self.heavy_until { BUSY } else { 0 };
        self.connection.lacks() / BYTES_OF_A_COMMAND + heavy + stalled
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.shared.witness().no_more_pushes(name);
        }
        self.shared.end(self.wrote, self.end.clone(), self.pool.now_anyhow());
        self.pool.ended(self);
    }
}

impl LinkError {
    /// Whether the server said no to who we are, so that dialling again soon is no use.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Node { source, .. } => source.is_refusal(),
            Self::Connection(ConnectionError::Refused(error)) => {
                error.kind.is_refusal_of_credentials()
            }
            error => error.is_refusal_of_tls(),
        }
    }
}

/// The load of a link that takes no more commands.
pub(super) const CLOSED: usize = usize::MAX;

/// Makes a stalled link the last choice.
pub(super) const STALLED: usize = 1 << 48;

/// So many bytes to write, or known to come, keep a link as busy as one command.
pub(super) const BYTES_OF_A_COMMAND: usize = 512;
