//! One link: what the callers of a connection and its driver share.
//!
//! Callers encode into the shared buffer under a short lock and wait in a slot. The driver, which
//! alone touches the socket, is woken only when it sleeps and there is something to send. Every
//! waker is called, and every reply dropped, outside of the lock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_caches_core::command::Command;
use async_caches_core::connection::{Connection, Event, Setup, Tag};
use async_caches_core::error::{ConnectionError, Refused};
use async_caches_core::pool::LinkId;
use async_caches_core::time::{Deadline, Instant};
use bytes::BytesMut;

use super::Pool;
use super::slots::{Outcome, Slots};
use crate::error::LinkError;
use crate::sync::lock;

/// A connection about to be dialled: a [`Runtime`](crate::runtime::Runtime) hands it back to
/// [`Link::drive`]. Dropped without that, it counts as a dial that failed.
#[derive(Debug)]
pub struct Link {
    pub(super) pool: Arc<Pool>,
    pub(super) id: LinkId,
    pub(super) shared: Arc<Shared>,
    /// How much the socket has taken since the connection was told.
    pub(super) wrote: usize,
    /// Why the link ends, once it does.
    pub(super) end: LinkError,
}

/// What the callers and the driver of a link share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// How many commands are in flight, [`STALLED`] more where the first of them is overdue, or
    /// [`CLOSED`].
    load: AtomicUsize,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    tx: BytesMut,
    slots: Slots,
    driver: Option<Waker>,
    /// Whether the driver must be woken when there is something to send.
    asleep: bool,
    closing: Closing,
    /// Why the link ended, once it has.
    ended: Option<LinkError>,
}

/// How far a link is on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Closing {
    /// It stays.
    No,
    /// It goes once nobody waits for anything.
    Drained,
    /// It goes now.
    Now,
}

/// What came of a batch of events, for outside of the lock: callers to wake, and outcomes whose
/// callers went away.
#[derive(Debug, Default)]
pub(super) struct Settled {
    wakers: Vec<Waker>,
    unwanted: Vec<Outcome>,
}

/// What a driver does after it has taken in what it read.
#[derive(Debug)]
pub(super) struct Turn {
    /// Whether the connection has just become ready.
    pub(super) ready: bool,
    /// When to come back though nothing happened.
    pub(super) deadline: Option<Deadline>,
    /// What was known of the link's way out.
    pub(super) closing: Closing,
    /// Why the link ends, where it does.
    pub(super) end: Option<LinkError>,
}

impl Settled {
    /// Wakes and drops; answers whether anybody was woken. The storage is kept for the next batch.
    pub(super) fn hand_out(&mut self) -> bool {
        let any = !self.wakers.is_empty();
        self.unwanted.clear();
        self.wakers.drain(..).for_each(Waker::wake);
        any
    }
}

impl Shared {
    /// A link whose connection begins now, before it has a socket.
    pub(super) fn open(setup: &Setup, now: Instant) -> Self {
        let mut tx = BytesMut::new();
        let connection = Connection::open(setup, now, &mut tx);
        let state = State {
            connection,
            tx,
            slots: Slots::default(),
            driver: None,
            asleep: false,
            closing: Closing::No,
            ended: None,
        };
        Self { state: Mutex::new(state), load: AtomicUsize::new(0) }
    }

    /// A caller submits a command and gets the tag under which to ask for its outcome.
    pub(super) fn submit(
        &self,
        command: &Command<'_>,
        expires: Instant,
        waker: &Waker,
    ) -> Result<Tag, Refused> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if state.closing != Closing::No || !state.connection.is_ready() {
            self.load.store(CLOSED, Ordering::Relaxed);
            return Err(Refused::NotOpen);
        }
        let earliest = state.connection.deadline().is_none_or(|due| expires < due.at);
        let tag = state.slots.take(waker);
        if let Err(refused) = state.connection.submit(command, tag, expires, &mut state.tx) {
            state.slots.give_back(tag);
            return Err(refused);
        }
        self.load.store(load(&state.connection), Ordering::Relaxed);
        // Awake or not, the driver has to hear of an expiry that comes before all others.
        let wake = std::mem::take(&mut state.asleep) || earliest;
        let driver = if wake { state.driver.take() } else { None };
        drop(guard);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(tag)
    }

    /// A caller asks what became of its command.
    pub(super) fn outcome(&self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        lock(&self.state).slots.poll(tag, cx)
    }

    /// A caller goes away.
    pub(super) fn abandon(&self, tag: Tag) {
        let outcome = lock(&self.state).slots.abandon(tag);
        drop(outcome);
    }

    /// Why the link ended; to be asked once it has.
    pub(super) fn why(&self) -> LinkError {
        lock(&self.state).ended.clone().unwrap_or(LinkError::Closed)
    }

    /// How busy the link is.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Since when nobody has waited for anything.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        lock(&self.state).connection.idle_since()
    }

    /// Asks the driver to end.
    pub(super) fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        if state.closing != Closing::Now {
            state.closing = how;
        }
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The driver gives its waker before there is a socket, to hear of [`close`](Self::close), and
    /// learns until when it may dial, or that it need not.
    pub(super) fn dialling(&self, cx: &Context<'_>) -> Result<Option<Deadline>, LinkError> {
        let mut state = lock(&self.state);
        if state.closing != Closing::No {
            return Err(LinkError::Closed);
        }
        state.driver = Some(cx.waker().clone());
        Ok(state.connection.deadline())
    }

    /// The driver's turn: takes in what was read, settles what came of it and fetches what there
    /// is to send. `out` is filled only where it is empty; `wrote` is how much of earlier output
    /// the socket has taken since the last turn; `settled` is to be handed out afterwards.
    pub(super) fn turn(
        &self,
        rx: &mut BytesMut,
        out: &mut BytesMut,
        wrote: usize,
        now: Instant,
        settled: &mut Settled,
    ) -> Turn {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.asleep = false;
        state.connection.wrote(wrote);
        let closing = state.closing;
        let mut turn = Turn { ready: false, deadline: None, closing, end: None };
        loop {
            match state.connection.poll(rx, now, &mut state.tx) {
                Ok(None) => break,
                Ok(Some(event)) => turn.ready |= state.take_in(event, settled),
                Err(error) => {
                    turn.end = Some(LinkError::Connection(error));
                    break;
                }
            }
        }
        if out.is_empty() {
            std::mem::swap(out, &mut state.tx);
        }
        let drained = || state.connection.idle_since().is_some() && out.is_empty();
        if closing == Closing::Now || (closing == Closing::Drained && drained()) {
            turn.end.get_or_insert(LinkError::Closed);
        }
        turn.deadline = state.connection.deadline();
        let load = if turn.end.is_some() { CLOSED } else { load(&state.connection) };
        self.load.store(load, Ordering::Relaxed);
        turn
    }

    /// The driver is about to sleep: until there is something to send, where `drained` says that
    /// it has sent all it had, or else until its socket takes more. Answers `false` where it must
    /// not, because something has changed since its `turn`.
    pub(super) fn sleep(&self, turn: &Turn, drained: bool, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        if state.closing != turn.closing || (drained && !state.tx.is_empty()) {
            return false;
        }
        state.asleep = drained;
        match &mut state.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            driver @ None => *driver = Some(cx.waker().clone()),
        }
        true
    }

    /// The link has ended: whoever waits on it learns that its command is lost.
    pub(super) fn end(&self, wrote: usize, why: LinkError) {
        let mut settled = Settled::default();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.closing = Closing::Now;
        state.ended = Some(why);
        state.connection.wrote(wrote);
        state.connection.close();
        let mut nothing = BytesMut::new();
        while let Ok(Some(event)) =
            state.connection.poll(&mut nothing, Instant::ORIGIN, &mut BytesMut::new())
        {
            state.take_in(event, &mut settled);
        }
        state.tx = BytesMut::new();
        self.load.store(CLOSED, Ordering::Relaxed);
        drop(guard);
        settled.hand_out();
    }
}

impl State {
    /// Settles what an event is about; answers whether it was that the connection is ready.
    fn take_in(&mut self, event: Event, settled: &mut Settled) -> bool {
        let (tag, outcome) = match event {
            Event::Ready(_) => return true,
            Event::Push(_) => return false,
            Event::Reply { tag, answer } => (tag, Outcome::Answered(answer)),
            Event::Expired(tag) => (tag, Outcome::Expired),
            Event::Lost { tag, may_have_run } => (tag, Outcome::Lost { may_have_run }),
            _ => return false,
        };
        match self.slots.settle(tag, outcome) {
            Ok(waker) => settled.wakers.push(waker),
            Err(unwanted) => settled.unwanted.push(unwanted),
        }
        false
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.end(self.wrote, self.end.clone());
        self.pool.ended(self.id, self.end.clone());
    }
}

impl LinkError {
    /// Whether the server said no to who we are, so that dialling again soon is no use.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Connection(ConnectionError::Refused(error)) if error.kind.is_refusal_of_credentials()
        )
    }
}

fn load(connection: &Connection) -> usize {
    connection.in_flight() + if connection.is_stalled() { STALLED } else { 0 }
}

/// The load of a link that takes no more commands.
pub(super) const CLOSED: usize = usize::MAX;

/// Makes a stalled link the last choice.
const STALLED: usize = 1 << 32;
