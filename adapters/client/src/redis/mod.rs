//! The Redis backend: a pool of links to one server, or to whichever is the master.
//!
//! ```text
//!  caller ── Call ──▶ Pool::acquire ──▶ Shared::submit ──▶ tx ┐
//!    ▲                                                        ▼  one driver
//!    └────────── Slots ◀── Connection::poll ◀── rx ◀───── Socket  a link
//! ```
//!
//! What is decided is decided in the core ([`async_caches_core::pool`]); here are the locks, the
//! wakers and one background task, the [`keeper`], that carries the decisions out.

mod acquire;
mod call;
mod census;
mod dial;
mod driver;
mod failures;
mod intake;
mod keeper;
mod line;
mod link;
mod member;
mod race;
mod routes;
mod sentinels;
mod shown;
mod slots;
mod suspects;
mod watcher;
mod witness;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_caches_core::connection::{Greeting, Greetings, Role, Setup};
use async_caches_core::error::ConnectionError;
use async_caches_core::large::LargeKeys;
use async_caches_core::options::Settings;
use async_caches_core::planted::{self, Bug};
use async_caches_core::pool::{self, Input, LinkId};
use async_caches_core::resp::scan::Limits;
use async_caches_core::time::Instant;
use async_caches_core::url::{Endpoint, Server, Topology};

pub(crate) use self::call::Call;
pub use self::dial::Link;
pub(crate) use self::line::Line;
pub(crate) use self::line::Ticket;
pub(crate) use self::link::Closing;
pub(crate) use self::link::Shared;
pub(crate) use self::member::Member;
pub(crate) use self::routes::Routes;
use self::routes::{Bounds, Links};
use self::sentinels::Sentinels;
use self::shown::Shown;
pub(crate) use self::slots::Outcome;
use self::witness::Ending;
pub(crate) use self::witness::Witness;
use crate::credentials::Who;
use crate::error::{Error, LinkError};
use crate::resolver::Resolver;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::terms::Terms;
use crate::tls::TlsClient;
use crate::waker::Spare;

/// A pool in use. Dropped before [`poll_close`](Self::poll_close), it closes its links at once.
#[derive(Debug)]
pub(crate) struct Redis {
    pool: Arc<Pool>,
}

/// The links to one server, and the callers that wait for one.
#[derive(Debug)]
pub(crate) struct Pool {
    runtime: Arc<dyn Runtime>,
    witness: Arc<Witness>,
    who: Who,
    /// What its links are encrypted with, where they are.
    tls: Option<TlsClient>,
    resolver: Resolver,
    setup: Setup,
    bounds: Bounds,
    /// What it has of a cluster, where its server is a node of one.
    member: Option<Member>,
    large: Arc<LargeKeys>,
    /// What callers see of the state. Changed under its lock only.
    routes: Arc<ArcSwapOption<Routes>>,
    /// Whether callers may be waiting for room: spares drivers the lock of the state.
    lined_up: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    decisions: pool::Pool,
    /// How the next link greets its server.
    greetings: Greetings,
    /// When the link was dialled in whose place another one is dialled now, that has no more time.
    dialled_anew: Option<Instant>,
    /// Whether it was told that the server takes no names of connections.
    unnamed: bool,
    /// Where links are dialled to; nowhere before it is known who the master is.
    at: Option<Endpoint>,
    /// Who says so, where it may change.
    sentinels: Option<Sentinels>,
    /// The links that take commands.
    links: Links,
    dialling: Links,
    /// Whether callers are to see the links.
    published: bool,
    shown: Shown,
    line: Line,
    /// Whether links are kept apart, for commands that are to be alone.
    apart: bool,
    keeper: Option<Waker>,
    /// Why the last link ended or could not be opened, if none was opened since.
    last_error: Option<LinkError>,
    /// Why the last link was lost or could not be opened, and when, whatever came after that.
    last_end: Option<(LinkError, Instant)>,
    /// No command is taken any more.
    closed: bool,
    /// The keeper is gone.
    over: bool,
}

impl Redis {
    /// A pool that dials nothing, and ends no wait, until it is [started](Self::start). Its links are
    /// seen in `routes` once it is [published](Self::publish).
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        server: &Server,
        terms: Terms,
        settings: &Settings,
        routes: Arc<ArcSwapOption<Routes>>,
        member: Option<Member>,
    ) -> Self {
        let (at, role) = match &server.topology {
            Topology::Standalone(endpoint) => {
                let role = member.as_ref().map(|member| member.role);
                (Some(endpoint.clone()), role.unwrap_or_default())
            }
            Topology::Sentinel(_) => (None, Role::Master),
            // A cluster is pools of single servers.
            Topology::Cluster(_) => (None, Role::Any),
        };
        let setup = Setup {
            credentials: None,
            database: server.database,
            greeting: Greeting::default(),
            role,
            name: settings.name.clone(),
            limits: Limits::default(),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
            pushes: terms.hooks.pushes(&settings.key_space),
        };
        let now = runtime.now();
        let mut decisions = pool::Pool::new(
            settings.minsize,
            settings.maxsize,
            settings.response_timeout,
            runtime.seed(),
            now,
        );
        decisions.limit_age(settings.max_connection_age);
        let state = State {
            decisions,
            greetings: Greetings::new(settings.protocol, &setup),
            dialled_anew: None,
            unnamed: false,
            at,
            sentinels: Sentinels::of(&server.topology, settings, runtime.as_ref()),
            links: Links::new(),
            dialling: Links::new(),
            published: false,
            shown: Shown::default(),
            line: Line::default(),
            apart: false,
            keeper: None,
            last_error: None,
            last_end: None,
            closed: false,
            over: false,
        };
        let large = match &member {
            Some(member) => Arc::clone(&member.large),
            None => Arc::new(LargeKeys::new(runtime.seed())),
        };
        let pool = Arc::new(Pool {
            runtime,
            witness: Arc::new(Witness {
                topology: server.topology.clone(),
                database: server.database,
                recorder: terms.hooks.recorder,
                subscriber: terms.hooks.subscriber,
            }),
            who: terms.who,
            tls: terms.tls,
            resolver: terms.resolver,
            setup,
            bounds: Bounds {
                in_flight: settings.max_in_flight,
                queued_bytes: settings.max_queued_bytes,
                waiting: settings.max_waiting,
            },
            member,
            large,
            routes,
            lined_up: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        Self { pool }
    }

    /// Calls come before any link was open: they fail at once when the first dial has failed.
    pub(crate) fn begin_lazily(&self) {
        lock(&self.pool.state).decisions.begin_lazily();
    }

    /// The keeper of a new pool runs from now on, on the runtime that this is called on.
    pub(crate) fn start(&self) {
        keeper::spawn(&self.pool);
    }

    /// Ready once the first link is open, or failed to open; for the caller that connects. Where
    /// sentinels say who the master is a failure is final only if [none helps](Sentinels::is_hopeless).
    pub(crate) fn poll_first(
        &self,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.pool.state);
        if !state.links.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if state.over {
            return Poll::Ready(Err(self.pool.failed_by(LinkError::RuntimeGone)));
        }
        let now = self.pool.now();
        let (failed, until) = match &state.sentinels {
            None => (state.last_error.is_some(), Instant::MAX),
            Some(sentinels) => (sentinels.is_hopeless(&state, now), sentinels.first_until()),
        };
        if failed {
            return Poll::Ready(Err(self.pool.unavailable(&state)));
        }
        state.decisions.handle(Input::Demand, now);
        *ticket = Some(state.line.wait(*ticket, until, &mut waker));
        unlock_and_wake(state);
        Poll::Pending
    }

    /// The links, for a command that cannot be sent at once.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }

    /// Callers see the links from now on.
    pub(crate) fn publish(&self) {
        let mut state = lock(&self.pool.state);
        state.published = true;
        self.pool.reroute(&mut state);
    }

    /// Callers see no links any more.
    pub(crate) fn withdraw(&self) {
        let mut state = lock(&self.pool.state);
        if std::mem::take(&mut state.published) {
            self.pool.routes.store(None);
        }
    }

    /// Takes note of how large a value came.
    #[cold]
    pub(crate) fn note(&self, key: &[u8], len: usize) {
        self.pool.large.note(key, len);
    }

    /// Takes no more commands, lets those in flight end and closes every link. Ready once that is
    /// done, which the response timeout bounds; goes on in the background if dropped.
    pub(crate) fn poll_close(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<()> {
        let cuts = planted::is(Bug::DisconnectCuts);
        self.pool.close(if cuts { Closing::Now } else { Closing::Drained });
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.pool.state);
        if state.over {
            return Poll::Ready(());
        }
        *ticket = Some(state.line.wait(*ticket, Instant::MAX, &mut waker));
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

    /// The time for what runs as a connection is dropped, also while the task of that unwinds: there a
    /// clock that panics would end the process.
    pub(super) fn now_anyhow(&self) -> Instant {
        catch_unwind(AssertUnwindSafe(|| self.now())).unwrap_or(Instant::ORIGIN)
    }

    fn response_timeout(&self) -> Duration {
        self.setup.response_timeout
    }

    /// A link is ready for commands.
    fn opened(&self, id: LinkId, endpoint: &Endpoint) {
        let now = self.now();
        let mut state = lock(&self.state);
        let (mut late, mut told, mut news) = (None, None, None);
        if let Some(at) = state.dialling.iter().position(|(link, _)| *link == id) {
            let link = state.dialling.swap_remove(at);
            late = self.who.since(link.1.told()).map(|who| (who, Arc::clone(&link.1)));
            let unnamed = link.1.is_unnamed() && !std::mem::replace(&mut state.unnamed, true);
            let before = state.decisions.tally().reconnects;
            state.decisions.handle(Input::Opened(id), now);
            let reconnect = state.decisions.tally().reconnects > before;
            news = Some((Arc::clone(&link.1), reconnect, unnamed));
            state.last_error = None;
            state.links.push(link);
            state.shown.change();
            self.reroute_grown(&mut state);
            told = state.sentinels.as_mut().and_then(Sentinels::trust);
        }
        let mut woken = state.line.take_waiting();
        woken.extend(told);
        woken.extend(state.allot(now, None).woken);
        unlock_and_wake(state);
        if let Some((who, link)) = late {
            link.authenticate(&who);
        }
        if let Some((link, reconnect, unnamed)) = news {
            self.witness.opened(endpoint, || link.census().server, reconnect);
            if unnamed {
                self.witness.unnamed(endpoint);
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// A link has ended, or could not be dialled.
    fn ended(&self, link: &link::Link) {
        let (id, endpoint, error) = (link.id, &link.at, &link.end);
        let now = self.now_anyhow();
        let mut state = lock(&self.state);
        if link.greets
            && state.greetings.ended(link.greeting, error.is_hang_up(), now)
            && !state.closed
            && let Some(at) = state.dialling.iter().position(|(link, _)| *link == id)
        {
            // A dial that was told how to connect cannot do so again in its own race.
            let (_, link) = state.dialling.swap_remove(at);
            state.dialled_anew = Some(link.dialled());
            state.decisions.handle(Input::GreetedAnew(id), now);
            unlock_and_wake(state);
            return self.witness.ended(endpoint, Ending::Closed, error, None);
        }
        let dialled = state.dialling.iter().any(|(link, _)| *link == id);
        let known = self.remove(&mut state, id);
        let silent = self.silent(&mut state, link, now);
        let refused = error.is_refusal();
        let answered = known.as_ref().is_some_and(|link| link.has_answered());
        state.decisions.handle(Input::Ended { link: id, refused, answered }, now);
        let mut told = None;
        let doubted = known.is_some() && !matches!(error, LinkError::Moved | LinkError::Closed);
        if known.is_some() {
            told = state.sentinels.as_mut().and_then(|sentinels| sentinels.doubt(error));
            state.last_end = Some((error.clone(), now));
            state.last_error = Some(error.clone());
        }
        self.reroute_shrunk(&mut state);
        let how = match dialled {
            _ if known.is_none() || state.closed => Ending::Closed,
            true => Ending::NotOpened { in_a_row: state.decisions.tally().failed_dials },
            false => Ending::Lost,
        };
        let held_back = state.decisions.held_back(now);
        // They see for themselves whether there is still a link, or room, or hope.
        let mut woken = state.line.take_waiting();
        woken.extend(told);
        if state.decisions.is_hopeless(now) {
            woken.extend(state.line.suspects().take_all());
        } else {
            woken.extend(state.allot(now, None).woken);
        }
        unlock_and_wake(state);
        drop(known);
        silent.into_iter().for_each(|link| link.close(Closing::Drained));
        self.witness.ended(endpoint, how, error, held_back);
        woken.into_iter().for_each(Waker::wake);
        if let Some(member) = self.member.as_ref().filter(|_| doubted) {
            member.doubt.raise();
        }
    }

    /// The links that take no more commands, as nothing is heard on any since nothing is on the one
    /// that ends. That one may have taken none already, as it was too old, if it leads to where the
    /// server still is.
    fn silent(&self, state: &mut State, link: &link::Link, now: Instant) -> Vec<Arc<Shared>> {
        let unanswered = matches!(link.end, LinkError::Connection(ConnectionError::Unresponsive));
        let elsewhere = state.at.as_ref() != Some(&link.at);
        let heard = link.shared.last_heard();
        if !unanswered || elsewhere || now.since(heard) < self.response_timeout() {
            return Vec::new();
        }
        let links: OnceCell<HashMap<_, _>> = OnceCell::new();
        let heard = |id: LinkId| {
            let links = links.get_or_init(|| state.links.iter().cloned().collect());
            links.get(&id).map_or(Instant::ORIGIN, |link| link.last_heard())
        };
        let closing = state.decisions.silent(link.id, now, heard);
        let mut links = links.into_inner().unwrap_or_default();
        let silent: HashMap<_, _> =
            closing.iter().filter_map(|id| Some((*id, links.remove(id)?))).collect();
        state.links.retain(|(id, _)| !silent.contains_key(id));
        silent.iter().for_each(|_| state.shown.change());
        closing.into_iter().filter_map(|id| silent.get(&id).cloned()).collect()
    }

    /// A server was greeted like this, and the dial has failed for this reason. Returns how to greet it
    /// instead, if it is worth dialling again at once.
    fn greets_anew(&self, greeting: Greeting, why: &LinkError) -> Option<Greeting> {
        let now = self.now_anyhow();
        let mut state = lock(&self.state);
        let anew = state.greetings.ended(greeting, why.is_hang_up(), now);
        anew.then(|| state.greetings.next(now))
    }

    /// Lets callers see how things are now.
    fn reroute(&self, state: &mut State) {
        if state.published {
            let (links, full) = (state.links.clone(), state.decisions.is_full());
            state.shown.renew(full);
            let (busy, large) = (self.bounds.busy(), Arc::clone(&self.large));
            self.routes.store(Some(Arc::new(Routes { links, full, busy, large })));
        }
    }

    /// The same after a link has opened, or is being dialled, once it is time.
    fn reroute_grown(&self, state: &mut State) {
        if state.dialling.is_empty() {
            self.reroute(state);
        } else {
            self.reroute_shrunk(state);
        }
    }

    /// The same after a link has ended, once it is time.
    fn reroute_shrunk(&self, state: &mut State) {
        if state.shown.is_stale(state.links.len(), state.decisions.is_full()) {
            self.reroute(state);
        }
    }

    /// Takes a link out, open or not.
    fn remove(&self, state: &mut State, id: LinkId) -> Option<Arc<Shared>> {
        let take = |links: &mut Links| {
            let at = links.iter().position(|(link, _)| *link == id)?;
            Some(links.remove(at).1)
        };
        take(&mut state.dialling).or_else(|| {
            let taken = take(&mut state.links)?;
            state.shown.change();
            Some(taken)
        })
    }

    /// Takes no more commands and closes all links. Of effect the first time only.
    fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        let all = state.links.iter().chain(&state.dialling);
        let links: Vec<_> = all.map(|(_, link)| Arc::clone(link)).collect();
        let mut woken = state.line.take_all();
        woken.extend(state.sentinels.as_ref().and_then(Sentinels::close));
        unlock_and_wake(state);
        links.iter().for_each(|link| link.close(how));
        woken.into_iter().for_each(Waker::wake);
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
