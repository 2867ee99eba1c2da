//! The Redis backend: a pool of links to one server.
//!
//! ```text
//!  caller ── Call ──▶ Pool::acquire ──▶ Shared::submit ──▶ tx ┐
//!    ▲                                                        ▼  one driver
//!    └────────── Slots ◀── Connection::poll ◀── rx ◀───── Socket  a link
//! ```
//!
//! What is decided is decided in the core ([`async_caches_core::pool`]); here are the locks, the
//! wakers and one background task, the [`keeper`], that carries the decisions out.

mod call;
mod driver;
mod keeper;
mod link;
mod slots;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches_core::connection::Setup;
use async_caches_core::options::Settings;
use async_caches_core::pool::{self, Input, LinkId};
use async_caches_core::resp::scan::Limits;
use async_caches_core::time::Instant;
use async_caches_core::url::{Endpoint, Server};

pub(crate) use self::call::Call;
pub use self::link::Link;
use self::link::{CLOSED, Closing, Shared};
use crate::error::{Error, LinkError};
use crate::runtime::Runtime;
use crate::sync::lock;

/// A pool in use. Dropped before [`poll_close`](Self::poll_close), it closes its links at once.
#[derive(Debug)]
pub(crate) struct Redis {
    pool: Arc<Pool>,
}

/// The links to one server, and the callers that wait for one.
#[derive(Debug)]
pub(crate) struct Pool {
    runtime: Arc<dyn Runtime>,
    endpoint: Endpoint,
    setup: Setup,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    decisions: pool::Pool,
    open: Vec<(LinkId, Arc<Shared>)>,
    dialling: Vec<(LinkId, Arc<Shared>)>,
    waiting: BTreeMap<Ticket, Waker>,
    next_ticket: u64,
    keeper: Option<Waker>,
    /// Why the last link ended or could not be opened, if none was opened since.
    last_error: Option<LinkError>,
    /// No command is taken any more.
    closed: bool,
    /// The keeper is gone.
    over: bool,
}

/// A place among those who wait for a link, ordered by when the wait is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Ticket {
    expires: Instant,
    number: u64,
}

/// What a caller without a link gets.
enum Acquired {
    Link(Arc<Shared>),
    Wait,
    Failed(Error),
}

impl Redis {
    /// Begins a pool: its keeper runs and dials from now on.
    pub(crate) fn open(runtime: Arc<dyn Runtime>, server: &Server, settings: &Settings) -> Self {
        let setup = Setup {
            credentials: server.credentials.clone(),
            database: server.database,
            name: settings.name.clone(),
            limits: Limits::default(),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
        };
        let now = runtime.now();
        let decisions = pool::Pool::new(
            settings.minsize,
            settings.maxsize,
            settings.response_timeout,
            crate::seed(),
            now,
        );
        let state = State {
            decisions,
            open: Vec::new(),
            dialling: Vec::new(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
            keeper: None,
            last_error: None,
            closed: false,
            over: false,
        };
        let pool = Arc::new(Pool {
            runtime,
            endpoint: server.endpoint.clone(),
            setup,
            state: Mutex::new(state),
        });
        keeper::spawn(&pool);
        Self { pool }
    }

    /// Ready once the first link is open, or failed to open; for the caller that connects.
    pub(crate) fn poll_first(
        &self,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut state = lock(&self.pool.state);
        if !state.open.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if state.over {
            return Poll::Ready(Err(self.pool.failed_by(LinkError::RuntimeGone)));
        }
        if state.last_error.is_some() {
            return Poll::Ready(Err(self.pool.unavailable(&state)));
        }
        state.decisions.handle(Input::Demand, self.pool.now());
        state.wait(ticket, Instant::MAX, cx.waker());
        unlock_and_wake(state);
        Poll::Pending
    }

    /// Takes no more commands, lets those in flight end and closes every link. Ready once that is
    /// done, which the response timeout bounds; goes on in the background if dropped.
    pub(crate) fn poll_close(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<()> {
        self.pool.close(Closing::Drained);
        let mut state = lock(&self.pool.state);
        if state.over {
            return Poll::Ready(());
        }
        state.wait(ticket, Instant::MAX, cx.waker());
        Poll::Pending
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.pool.close(Closing::Now);
    }
}

impl Pool {
    pub(crate) fn now(&self) -> Instant {
        self.runtime.now()
    }

    fn response_timeout(&self) -> Duration {
        self.setup.response_timeout
    }

    /// The link to use now; or else the caller waits, with its ticket, until it is woken to ask
    /// again: when there is a link, when there is no hope, or when `expires` has come.
    fn acquire(&self, ticket: &mut Option<Ticket>, expires: Instant, cx: &Context<'_>) -> Acquired {
        let mut state = lock(&self.state);
        if state.closed {
            return Acquired::Failed(Error::NotConnected);
        }
        if let Some(link) = state.pick() {
            if link.load() >= BUSY && !state.decisions.is_full() {
                state.decisions.handle(Input::Demand, self.now());
                unlock_and_wake(state);
            }
            return Acquired::Link(link);
        }
        if state.over {
            return Acquired::Failed(self.failed_by(LinkError::RuntimeGone));
        }
        let now = self.now();
        state.decisions.handle(Input::Demand, now);
        let acquired = if state.decisions.is_hopeless(now) {
            Acquired::Failed(self.unavailable(&state))
        } else if expires <= now {
            Acquired::Failed(self.given_up(&state))
        } else {
            state.wait(ticket, expires, cx.waker());
            Acquired::Wait
        };
        unlock_and_wake(state);
        acquired
    }

    /// A caller waits no more.
    fn forget(&self, ticket: Ticket) {
        let forgotten = lock(&self.state).waiting.remove(&ticket);
        drop(forgotten);
    }

    /// A link is ready for commands.
    fn opened(&self, id: LinkId) {
        let now = self.now();
        let mut state = lock(&self.state);
        if let Some(at) = state.dialling.iter().position(|(link, _)| *link == id) {
            let link = state.dialling.swap_remove(at);
            state.open.push(link);
            state.decisions.handle(Input::Opened(id), now);
            state.last_error = None;
        }
        let woken = std::mem::take(&mut state.waiting);
        unlock_and_wake(state);
        woken.into_values().for_each(Waker::wake);
    }

    /// A link has ended, or could not be dialled.
    fn ended(&self, id: LinkId, error: LinkError) {
        let now = self.now();
        let mut state = lock(&self.state);
        let known = state.forget(id);
        if known.is_some() {
            let refused = error.is_refusal();
            state.decisions.handle(Input::Ended { link: id, refused }, now);
            state.last_error = Some(error);
        }
        // They see for themselves whether there is still a link, or hope.
        let woken = if state.open.is_empty() {
            std::mem::take(&mut state.waiting)
        } else {
            BTreeMap::new()
        };
        unlock_and_wake(state);
        drop(known);
        woken.into_values().for_each(Waker::wake);
    }

    /// Takes no more commands and closes all links. Of effect the first time only.
    fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        let links: Vec<_> =
            state.open.iter().chain(&state.dialling).map(|(_, link)| Arc::clone(link)).collect();
        let woken = std::mem::take(&mut state.waiting);
        unlock_and_wake(state);
        links.iter().for_each(|link| link.close(how));
        woken.into_values().for_each(Waker::wake);
    }

    /// Why a caller got no link in time.
    fn given_up(&self, state: &State) -> Error {
        match &state.last_error {
            Some(_) => self.unavailable(state),
            None => Error::Timeout { after: self.response_timeout(), may_have_run: false },
        }
    }

    fn unavailable(&self, state: &State) -> Error {
        self.failed_by(state.last_error.clone().unwrap_or(LinkError::Closed))
    }

    fn failed_by(&self, source: LinkError) -> Error {
        Error::Unavailable { to: self.endpoint.to_string(), source }
    }
}

impl State {
    /// The first link that is not busy, so that few links do all the work and their batches are
    /// large; where all are, the least busy.
    fn pick(&self) -> Option<Arc<Shared>> {
        let mut best: Option<(usize, &Arc<Shared>)> = None;
        for (_, link) in &self.open {
            let load = link.load();
            if load < BUSY {
                return Some(Arc::clone(link));
            }
            if best.is_none_or(|(least, _)| load < least) {
                best = Some((load, link));
            }
        }
        best.filter(|(load, _)| *load < CLOSED).map(|(_, link)| Arc::clone(link))
    }

    fn wait(&mut self, ticket: &mut Option<Ticket>, expires: Instant, waker: &Waker) {
        let ticket = *ticket.get_or_insert_with(|| {
            self.next_ticket += 1;
            Ticket { expires, number: self.next_ticket }
        });
        self.waiting.insert(ticket, waker.clone());
    }

    fn forget(&mut self, id: LinkId) -> Option<Arc<Shared>> {
        for links in [&mut self.open, &mut self.dialling] {
            if let Some(at) = links.iter().position(|(link, _)| *link == id) {
                return Some(links.remove(at).1);
            }
        }
        None
    }
}

/// Lets the keeper see what has changed. No waker is called under a lock.
fn unlock_and_wake(mut state: MutexGuard<'_, State>) {
    let keeper = state.keeper.take();
    drop(state);
    if let Some(keeper) = keeper {
        keeper.wake();
    }
}

/// A link with this many commands in flight is busy: more links are opened where they may be.
const BUSY: usize = 128;
