//! The state that the callers of a connection and its driver share.
//!
//! Callers encode into the shared output under a short lock and wait in a slot. Only the driver
//! touches the socket. It is woken only when it rests and there is something to send. Every waker
//! is called, and every reply dropped, outside of the lock.
//!
//! The clock is read once per batch: by the driver in its turn, and by the caller that finds it at
//! rest. A caller that comes while the driver is about to run uses the time read last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches_core::cluster::address::Address;
use async_caches_core::command::Command;
use async_caches_core::connection::{Connection, ServerInfo, Tag};
use async_caches_core::error::Refused;
use async_caches_core::resp::output::Output;
use async_caches_core::time::Instant;
use async_caches_core::url::Endpoint;
use bytes::Bytes;

use super::closing::Closing;
use super::meter::Meter;
use super::slots::{OtherTask, Outcome, Slots};
use crate::error::ConnectionFailure;
use crate::redis::config::PoolConfig;
use crate::redis::load::{BUSY, BYTES_OF_A_COMMAND, CLOSED, PoolBounds, STALLED};
use crate::redis::observer::Observer;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::waker::Spare;

/// What the callers and the driver of a connection share.
#[derive(Debug)]
pub(crate) struct SharedConnection {
    pub(in crate::redis) runtime: Arc<dyn Runtime>,
    pub(in crate::redis) observer: Arc<Observer>,
    pub(in crate::redis) response_timeout: Duration,
    pub(in crate::redis) bounds: PoolBounds,
    /// The address that it leads to.
    pub(in crate::redis) at: Endpoint,
    pub(in crate::redis) dialled: Instant,
    /// How often the credentials had been set by then.
    pub(in crate::redis) told: u64,
    /// The cluster node that it leads to, if any.
    pub(in crate::redis) node: Option<Address>,
    pub(in crate::redis) state: Mutex<ConnectionState>,
    /// The amount of work: [`STALLED`] is added if the first reply is overdue; [`CLOSED`] if it has
    /// ended.
    pub(in crate::redis) load: AtomicUsize,
}

#[derive(Debug)]
pub(in crate::redis) struct ConnectionState {
    pub(in crate::redis) connection: Connection,
    /// What the server reported about itself, once the connection is ready.
    pub(in crate::redis) server: ServerInfo,
    pub(in crate::redis) tx: Output,
    pub(in crate::redis) slots: Slots,
    /// When the clock was last read, and when a command of that time expires.
    pub(in crate::redis) now: Instant,
    pub(in crate::redis) expires: Instant,
    pub(in crate::redis) driver: DriverState,
    pub(in crate::redis) waker: Option<Waker>,
    /// The value of [`ConnectionState::burden`] in the driver's last turn.
    pub(in crate::redis) burden: usize,
    /// Until when large values are expected.
    pub(in crate::redis) heavy_until: Instant,
    pub(in crate::redis) closing: Closing,
    /// Whether it takes only commands that must be alone, one at a time.
    pub(in crate::redis) apart: bool,
    /// Why the connection ended, and when, once it has.
    pub(in crate::redis) ended: Option<(ConnectionFailure, Instant)>,
    /// Present if the cache has a recorder.
    pub(in crate::redis) meter: Option<Meter>,
}

/// What the driver is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::redis) enum DriverState {
    /// It runs, or is about to, and will see every change.
    Running,
    /// It rests until something happens, such as a new command.
    Resting,
    /// It rests with bytes to send, until its socket takes them.
    Blocked,
}

impl SharedConnection {
    /// A connection of a pool to `at`, before it has a socket. Its time begins now.
    pub(in crate::redis) fn open(config: &PoolConfig, at: &Endpoint, now: Instant) -> Self {
        // It takes no commands, and is replaced by the connection whose handshake completes.
        let connection = Connection::open(&config.setup, now, &mut Output::new());
        let state = ConnectionState {
            connection,
            server: ServerInfo::default(),
            tx: Output::new(),
            slots: Slots::default(),
            now,
            expires: now + config.setup.response_timeout,
            driver: DriverState::Running,
            waker: None,
            burden: 0,
            heavy_until: Instant::ORIGIN,
            closing: Closing::No,
            apart: false,
            ended: None,
            meter: config.observer.recorder.is_some().then(Meter::default),
        };
        Self {
            runtime: Arc::clone(&config.runtime),
            observer: Arc::clone(&config.observer),
            response_timeout: config.setup.response_timeout,
            bounds: config.bounds,
            at: at.clone(),
            dialled: now,
            told: config.credentials.now().1,
            node: config.member.as_ref().map(|member| member.address.clone()),
            state: Mutex::new(state),
            load: AtomicUsize::new(0),
        }
    }

    /// Submits a command, and returns the tag under which its outcome can be polled. If `expires`
    /// is `None`, it becomes the response timeout from now.
    pub(in crate::redis) fn submit(
        &self,
        command: &Command<'_>,
        expires: &mut Option<Instant>,
        waker: &Waker,
    ) -> Result<Tag, Rejected> {
        self.submit_by(ConnectionState::is_full, expires, waker, |connection, tag, expires, tx| {
            connection.submit(command, tag, expires, tx)
        })
    }

    /// Like [`submit`](Self::submit), with `ASKING` right before the command.
    #[cold]
    pub(in crate::redis) fn submit_asking(
        &self,
        command: &Command<'_>,
        expires: &mut Option<Instant>,
        waker: &Waker,
    ) -> Result<Tag, Rejected> {
        self.submit_by(ConnectionState::is_full, expires, waker, |connection, tag, expires, tx| {
            connection.submit_asking(command, tag, expires, tx)
        })
    }

    #[inline(always)]
    pub(in crate::redis) fn submit_by(
        &self,
        is_full: impl FnOnce(&ConnectionState, PoolBounds) -> bool,
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
        if state.driver != DriverState::Running {
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
            DriverState::Resting => state.wake(),
            // The driver may rest for long, and must learn of an expiry that comes before all
            // others.
            DriverState::Blocked
                if state.connection.deadline().is_some_and(|due| due.at == expires) =>
            {
                state.wake()
            }
            DriverState::Running | DriverState::Blocked => None,
        };
        drop(guard);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(tag)
    }

    /// Sets the time.
    #[inline]
    pub(in crate::redis) fn tell(&self, state: &mut ConnectionState, now: Instant) {
        state.now = now;
        state.expires = now + self.response_timeout;
    }

    /// Whether the connection is full. If so, the driver reports in a later turn that there is
    /// room.
    pub(in crate::redis) fn is_full(&self) -> bool {
        let state = lock(&self.state);
        state.closing == Closing::No && state.is_full(self.bounds)
    }

    /// Takes the reply to a caller's command, if it is a value or its absence.
    #[inline(always)]
    pub(in crate::redis) fn take_value(&self, tag: Tag) -> Option<Option<Bytes>> {
        lock(&self.state).slots.take_value(tag)
    }

    /// Polls the outcome of a caller's command.
    #[inline(always)]
    pub(in crate::redis) fn outcome(&self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let polled = lock(&self.state).slots.poll(tag, cx.waker());
        polled.unwrap_or_else(|OtherTask| self.outcome_elsewhere(tag, cx))
    }

    /// Like [`outcome`](Self::outcome), by another task than the one that polled before.
    #[cold]
    pub(in crate::redis) fn outcome_elsewhere(&self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        state.slots.wait(tag, &mut waker);
        // An outcome that came in between has woken the other task.
        state.slots.poll(tag, cx.waker()).unwrap_or(Poll::Pending)
    }

    /// Gives up a caller's place.
    pub(in crate::redis) fn abandon(&self, tag: Tag) {
        let left = lock(&self.state).slots.abandon(tag);
        drop(left);
    }

    /// Why the connection ended, and when. Valid once it has ended.
    pub(in crate::redis) fn why(&self) -> (ConnectionFailure, Instant) {
        let ended = lock(&self.state).ended.clone();
        ended.unwrap_or_else(|| (ConnectionFailure::Closed, Instant::ORIGIN))
    }

    /// Whether the server has replied to a command.
    pub(in crate::redis) fn has_answered(&self) -> bool {
        lock(&self.state).connection.has_answered()
    }

    /// The observers of the connection.
    pub(in crate::redis) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The address that it leads to.
    pub(in crate::redis) fn at(&self) -> &Endpoint {
        &self.at
    }

    /// The cluster node that it leads to, if any.
    pub(in crate::redis) fn node(&self) -> Option<&Address> {
        self.node.as_ref()
    }

    /// How long a caller waits for a reply.
    pub(in crate::redis) fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// How busy the connection is.
    #[inline]
    pub(in crate::redis) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// When anything was last read.
    pub(in crate::redis) fn last_heard(&self) -> Instant {
        lock(&self.state).connection.last_heard()
    }

    /// Since when no caller has waited for anything.
    pub(in crate::redis) fn idle_since(&self) -> Option<Instant> {
        lock(&self.state).connection.idle_since()
    }

    /// Tells the driver to end.
    pub(in crate::redis) fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        if state.closing.now().is_none() {
            // No caller waits for anything on a connection that has not opened yet.
            let open = state.connection.is_ready();
            state.closing = if open || how == Closing::Moved { how } else { Closing::Now };
        }
        let driver = state.wake();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// Why a connection did not take a command.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// It takes no more commands.
    Closed,
    /// It is full: the caller must wait until there is room.
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

impl ConnectionState {
    /// Takes the driver's waker, if it rests. The driver runs from now on.
    pub(in crate::redis) fn wake(&mut self) -> Option<Waker> {
        self.driver = DriverState::Running;
        self.waker.take()
    }

    pub(in crate::redis) fn is_full(&self, bounds: PoolBounds) -> bool {
        self.apart
            || self.connection.in_flight() >= bounds.in_flight
            || self.connection.unwritten() >= bounds.queued_bytes
    }

    /// Like [`is_full`](Self::is_full), for a command that must be alone.
    pub(in crate::redis) fn is_taken(&self, _: PoolBounds) -> bool {
        !self.apart || self.connection.in_flight() > 0
    }

    /// How many more commands it takes.
    pub(in crate::redis) fn room(&self, bounds: PoolBounds) -> usize {
        if self.is_full(bounds) { 0 } else { bounds.in_flight - self.connection.in_flight() }
    }

    pub(in crate::redis) fn load(&self) -> usize {
        let unwritten = self.connection.unwritten() / BYTES_OF_A_COMMAND;
        let apart = if self.apart { STALLED } else { 0 };
        self.connection.in_flight() + unwritten + self.burden + apart
    }

    /// The load beyond what callers submit. After one large value more may come. Commands sent
    /// behind a request for one wait until all of it has arrived, so the connection is passed over;
    /// if all connections are like that, callers spread over them.
    pub(in crate::redis) fn burden(&self) -> usize {
        let stalled = if self.connection.is_stalled() { STALLED } else { 0 };
        let heavy = if self.now < self.heavy_until { BUSY } else { 0 };
        self.connection.lacks() / BYTES_OF_A_COMMAND + heavy + stalled
    }
}
