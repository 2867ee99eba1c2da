//! One link: what the callers of a connection and its driver share.
//!
//! Callers encode into the shared output under a short lock and wait in a slot. The driver, which
//! alone touches the socket, is woken only when it rests and there is something to send. Every
//! waker is called, and every reply dropped, outside of the lock.
//!
//! The clock is read once a batch: by the driver in its turn, and by the caller that finds it at
//! rest. Who comes while the driver is about to run takes the time that is there.

mod census;
mod closing;
mod meter;
mod who;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches_core::cluster::address::Address;
use async_caches_core::command::Command;
use async_caches_core::connection::{Connection, Event, ServerInfo, Setup, Tag};
use async_caches_core::error::{ConnectionError, Refused};
use async_caches_core::planted::{self, Bug};
use async_caches_core::pool::LinkId;
use async_caches_core::reply::Reply;
use async_caches_core::resp::output::Output;
use async_caches_core::time::{Deadline, Instant};
use async_caches_core::url::Endpoint;
use bytes::{Bytes, BytesMut};

pub(crate) use self::closing::Closing;
pub(super) use self::meter::Measured;
use self::meter::Meter;
use super::Pool;
use super::routes::{BUSY, Bounds};
use super::slots::{Outcome, Slots};
use super::witness::Witness;
use crate::error::LinkError;
use crate::notices::{LinkName, Push};
use crate::runtime::Runtime;
use crate::sync::lock;

/// A connection to a server, from before it is dialled to its end. Dropped without having been
/// driven, it counts as a dial that failed.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) pool: Arc<Pool>,
    pub(super) id: LinkId,
    pub(super) shared: Arc<Shared>,
    /// Where it is dialled to.
    pub(super) at: Endpoint,
    /// How much the socket has taken since the connection was told.
    pub(super) wrote: usize,
    /// Why the link ends, once it does.
    pub(super) end: LinkError,
    /// What the subscriber knows it by, who was told that it has opened.
    pub(super) name: Option<LinkName>,
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
    /// Why the link ended, once it has.
    ended: Option<LinkError>,
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

/// What came of a batch of events, for outside of the lock: callers to wake, and outcomes whose
/// callers went away.
#[derive(Debug, Default)]
pub(super) struct Settled {
    wakers: Vec<Waker>,
    unwanted: Vec<Outcome>,
    measured: Option<Measured>,
    pub(super) pushes: Vec<Push>,
}

/// What a driver does after it has taken in what it read.
#[derive(Debug)]
pub(super) struct Turn {
    /// Whether the connection has just become ready.
    pub(super) ready: bool,
    /// Whether there is more to take in at once.
    pub(super) more: bool,
    /// How many commands more are taken than before.
    pub(super) room: usize,
    /// How many callers are on their way to hear what came of their commands.
    pub(super) unheard: usize,
    /// How many bytes the frame that is being read still lacks, as far as that is known.
    pub(super) lacks: usize,
    /// When to come back though nothing happened.
    pub(super) deadline: Option<Deadline>,
    /// What was known of the link's way out.
    pub(super) closing: Closing,
    /// Why the link ends, where it does.
    pub(super) end: Option<LinkError>,
}

impl Settled {
    fn len(&self) -> usize {
        self.wakers.len() + self.unwanted.len()
    }

    /// What was measured, where anything was.
    pub(super) fn take_measured(&mut self) -> Option<Measured> {
        if self.measured.is_some() { self.measured.take() } else { None }
    }

    /// Wakes and drops. The storage is kept for the next batch.
    pub(super) fn hand_out(&mut self) {
        self.unwanted.clear();
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Shared {
    /// A link of this pool to there, whose connection begins now, before it has a socket.
    pub(super) fn open(pool: &Pool, at: &Endpoint, now: Instant) -> Self {
        let mut tx = Output::new();
        let (credentials, told) = pool.who.now();
        let setup = Setup { credentials, ..pool.setup.clone() };
        let connection = Connection::open(&setup, now, &mut tx);
        let state = State {
            connection,
            server: ServerInfo::default(),
            tx,
            slots: Slots::default(),
            now,
            expires: now + pool.setup.response_timeout,
            driver: Driver::Running,
            waker: None,
            burden: 0,
            heavy_until: Instant::ORIGIN,
            closing: Closing::No,
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
            told,
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
        self.submit_by(expires, waker, |connection, tag, expires, tx| {
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
        self.submit_by(expires, waker, |connection, tag, expires, tx| {
            connection.submit_asking(command, tag, expires, tx)
        })
    }

    #[inline(always)]
    fn submit_by(
        &self,
        expires: &mut Option<Instant>,
        waker: &Waker,
        submit: impl FnOnce(&mut Connection, Tag, Instant, &mut Output) -> Result<(), Refused>,
    ) -> Result<Tag, Rejected> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if state.closing != Closing::No || !state.connection.is_ready() {
            self.load.store(CLOSED, Ordering::Relaxed);
            return Err(Rejected::Closed);
        }
        if state.is_full(self.bounds) {
            return Err(Rejected::Full);
        }
        if state.driver != Driver::Running {
            self.tell(state, self.runtime.now());
        }
        let expires = *expires.get_or_insert(state.expires);
        let tag = state.slots.take(waker);
        if let Err(refused) = submit(&mut state.connection, tag, expires, &mut state.tx) {
            state.slots.give_back(tag);
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
        lock(&self.state).slots.poll(tag, cx)
    }

    /// A caller goes away.
    pub(super) fn abandon(&self, tag: Tag) {
        let left = lock(&self.state).slots.abandon(tag);
        drop(left);
    }

    /// Why the link ended; to be asked once it has.
    pub(super) fn why(&self) -> LinkError {
        lock(&self.state).ended.clone().unwrap_or(LinkError::Closed)
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

    /// The driver gives its waker before there is a socket, to hear of [`close`](Self::close), and
    /// learns until when it may dial, or that it need not.
    pub(super) fn dialling(&self, cx: &Context<'_>) -> Result<Option<Deadline>, LinkError> {
        let mut state = lock(&self.state);
        if state.closing != Closing::No {
            return Err(state.closing.now().unwrap_or(LinkError::Closed));
        }
        state.waker = Some(cx.waker().clone());
        Ok(state.connection.deadline())
    }

    /// The driver's turn: takes in a wave of what was read, settles what came of it and fetches
    /// what there is to send. `out` is filled only where it is empty; `wrote` is how much of
    /// earlier output the socket has taken since the last turn; `settled` is to be handed out
    /// afterwards.
    pub(super) fn turn(
        &self,
        rx: &mut BytesMut,
        out: &mut Output,
        wrote: usize,
        settled: &mut Settled,
    ) -> Turn {
        let now = self.runtime.now();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.driver = Driver::Running;
        let began = state.now;
        self.tell(state, now);
        let was_full = state.is_full(self.bounds);
        let batch = match &mut state.meter {
            None => {
                state.connection.wrote(wrote);
                None
            }
            Some(meter) => meter.wrote(&mut state.connection, wrote, began),
        };
        let closing = state.closing;
        let (mut ready, mut end) = (false, None);
        let wave = (state.connection.in_flight() / 2).clamp(WAVE_LEAST, WAVE_MOST);
        let more = loop {
            if settled.wakers.len() == wave {
                break true;
            }
            if let Some((tag, value)) = state.connection.next_value(rx, now) {
                let value = Reply::Value(Some(value));
                state.settle(tag, Outcome::Answered(Ok(value)), settled);
                continue;
            }
            match state.connection.poll(rx, now, &mut state.tx) {
                Ok(None) => break false,
                Ok(Some(Event::Push(push))) => {
                    settled.pushes.push(push);
                    // A reply behind it is seen only once it has been told.
                    let reply_next = rx.first().is_some_and(|first| *first != b'>');
                    if reply_next || settled.pushes.len() == WAVE_MOST {
                        break true;
                    }
                }
                Ok(Some(event)) => ready |= state.take_in(event, settled),
                Err(error) => {
                    end = Some(LinkError::Connection(error));
                    break false;
                }
            }
        };
        if let Some(meter) = &mut state.meter {
            let round_trip = meter.took_in(&state.connection, now);
            settled.measured = Some(Measured { batch, round_trip });
        }
        if out.is_empty() {
            std::mem::swap(out, &mut state.tx);
        }
        let kept = |out: &Output| planted::is(Bug::OutputAwaited) && !out.is_empty();
        let drained = || state.connection.idle_since().is_some() && !kept(out);
        if let Some(why) = closing.now() {
            end.get_or_insert(why);
        } else if closing == Closing::Drained && drained() {
            end.get_or_insert(LinkError::Closed);
        }
        if state.connection.lacks() >= HEAVY_FROM {
            state.heavy_until = now + HEAVY_FOR;
        }
        state.burden = state.burden();
        let open = end.is_none() && state.connection.is_ready();
        let load = if open { state.load() } else { CLOSED };
        self.load.store(load, Ordering::Relaxed);
        // One caller for each reply; whoever waited for bytes to leave takes what there is.
        let answered = if was_full { usize::MAX } else { settled.len() };
        let (room, lacks) = (state.room(self.bounds).min(answered), state.connection.lacks());
        Turn {
            ready,
            more,
            room,
            unheard: state.slots.unheard(),
            lacks,
            deadline: state.connection.deadline(),
            closing,
            end,
        }
    }

    /// The driver is about to rest: until there is something to send, where `drained` says that
    /// it has sent all it had, or else until its socket takes more. Answers `false` where it must
    /// not, because something has changed since its `turn`.
    pub(super) fn rest(&self, turn: &Turn, drained: bool, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        let missed = if drained {
            !state.tx.is_empty()
        } else {
            state.connection.deadline() != turn.deadline
        };
        if missed || state.closing != turn.closing {
            return false;
        }
        state.driver = if drained { Driver::Resting } else { Driver::Blocked };
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            waker @ None => *waker = Some(cx.waker().clone()),
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
        let (mut nothing, mut nowhere) = (BytesMut::new(), Output::new());
        while let Ok(Some(event)) =
            state.connection.poll(&mut nothing, Instant::ORIGIN, &mut nowhere)
        {
            state.take_in(event, &mut settled);
        }
        state.tx = Output::new();
        self.load.store(CLOSED, Ordering::Relaxed);
        drop(guard);
        settled.hand_out();
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
        (self.connection.in_flight() >= bounds.in_flight && !planted::is(Bug::InFlightUnbounded))
            || self.connection.unwritten() >= bounds.queued_bytes
    }

    /// How many commands more are taken.
    fn room(&self, bounds: Bounds) -> usize {
        if self.is_full(bounds) { 0 } else { bounds.in_flight - self.connection.in_flight() }
    }

    fn load(&self) -> usize {
        let unwritten = self.connection.unwritten() / BYTES_OF_A_COMMAND;
        self.connection.in_flight() + unwritten + self.burden
    }

    /// What keeps the link busy apart from what callers submit. Where a large value has come, more
    /// may: what is sent behind a command for one waits until all of it is there, so the link is
    /// passed over, and where all links are like that callers spread over them.
    fn burden(&self) -> usize {
        let stalled = if self.connection.is_stalled() { STALLED } else { 0 };
        let heavy = if self.now < self.heavy_until { BUSY } else { 0 };
        self.connection.lacks() / BYTES_OF_A_COMMAND + heavy + stalled
    }

    /// Settles what an event is about; answers whether it was that the connection is ready.
    fn take_in(&mut self, event: Event, settled: &mut Settled) -> bool {
        let (tag, outcome) = match event {
            Event::Reply { tag, answer } => (tag, Outcome::Answered(answer)),
            Event::Expired(tag) => (tag, Outcome::Expired),
            Event::Lost { tag, may_have_run } => (tag, Outcome::Lost { may_have_run }),
            Event::Ready(server) => {
                self.server = server;
                return true;
            }
            _ => return false,
        };
        self.settle(tag, outcome, settled);
        false
    }

    #[inline(always)]
    fn settle(&mut self, tag: Tag, outcome: Outcome, settled: &mut Settled) {
        match self.slots.settle(tag, outcome) {
            Ok(waker) => settled.wakers.push(waker),
            Err(unwanted) => settled.unwanted.push(unwanted),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.shared.witness().no_more_pushes(name);
        }
        self.shared.end(self.wrote, self.end.clone());
        self.pool.ended(self.id, &self.at, &self.end);
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

/// How many replies are taken in together at least, and at most; and how many pushes.
const WAVE_LEAST: usize = 8;
const WAVE_MOST: usize = 128;

/// A value of which so many bytes are still to come makes its link busy, for so long.
const HEAVY_FROM: usize = 1024 * 1024;
const HEAVY_FOR: Duration = Duration::from_secs(1);

/// So many bytes to write, or known to come, keep a link as busy as one command.
pub(super) const BYTES_OF_A_COMMAND: usize = 512;
