//! The Redis backend: a pool of connections to one server, or to the current master.
//!
//! ```text
//!  caller ── Call ──▶ Pool::acquire ──▶ Shared::submit ──▶ tx ┐
//!    ▲                                                        ▼  one driver
//!    └────────── Slots ◀── Connection::poll ◀── rx ◀───── Socket  a link
//! ```
//!
//! Decisions are made in the core ([`async_caches_core::pool`]). This module has the locks, the
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
use crate::translation::Translation;
use crate::waker::Spare;

/// A pool in use. If it is dropped before [`poll_close`](Self::poll_close), it closes its
/// connections at once.
#[derive(Debug)]
pub(crate) struct Redis {
    pool: Arc<Pool>,
}

/// The connections to one server, and the callers that wait for one.
#[derive(Debug)]
pub(crate) struct Pool {
    runtime: Arc<dyn Runtime>,
    witness: Arc<Witness>,
    who: Who,
    /// How its connections are encrypted, if they are.
    tls: Option<TlsClient>,
    resolver: Resolver,
    /// What addresses that sentinels name are for us.
    named_by_sentinels: Translation,
    setup: Setup,
    bounds: Bounds,
    /// Its part in a cluster, if its server is a node of one.
    member: Option<Member>,
    large: Arc<LargeKeys>,
    /// The callers' view of the state. Changed only under the lock of the state.
    routes: Arc<ArcSwapOption<Routes>>,
    /// Whether callers may be waiting for room. Spares drivers the lock of the state.
    lined_up: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    decisions: pool::Pool,
    /// How the next connection opens its handshake.
    greetings: Greetings,
    /// When a connection that is to be dialled again was first dialled. The connect timeout of the
    /// new dial runs from then.
    dialled_anew: Option<Instant>,
    /// Whether it was reported that the server refuses to name connections.
    unnamed: bool,
    /// Whether a server has said that it is a node of a cluster.
    in_cluster: bool,
    /// The address that is dialled; `None` until the master is known.
    at: Option<Endpoint>,
    /// The sentinels, if the server has some.
    sentinels: Option<Sentinels>,
    /// The connections that take commands.
    links: Links,
    dialling: Links,
    /// Whether callers may see the connections.
    published: bool,
    shown: Shown,
    line: Line,
    /// Whether connections are kept apart, for commands that must be alone.
    apart: bool,
    keeper: Option<Waker>,
    /// Why the last connection ended or could not be opened; `None` if one was opened since.
    last_error: Option<LinkError>,
    /// Why the last connection was lost or could not be opened, and when; kept even if another has
    /// opened since.
    last_end: Option<(LinkError, Instant)>,
    /// Whether commands are no longer accepted.
    closed: bool,
    /// Whether the keeper is gone.
    over: bool,
}

impl Redis {
    /// Creates a pool that dials nothing and ends no wait until it is [started](Self::start). Its
    /// connections are visible in `routes` once it is [published](Self::publish).
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
            // A cluster consists of pools for single servers.
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
            in_cluster: false,
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
            named_by_sentinels: terms.named_by_sentinels,
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

    /// Prepares for calls that come before any connection has opened: they fail at once when the
    /// first dial has failed.
    pub(crate) fn begin_lazily(&self) {
        lock(&self.pool.state).decisions.begin_lazily();
    }

    /// Spawns the keeper of a new pool on the runtime of the calling thread.
    pub(crate) fn start(&self) {
        keeper::spawn(&self.pool);
    }

    /// Ready once the first connection is open, or could not be opened. For the caller that
    /// connects. With sentinels a failure is final only if [waiting is
    /// hopeless](Sentinels::is_hopeless).
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

    /// The pool, for a command that cannot be sent at once.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }

    /// Makes the connections visible to callers.
    pub(crate) fn publish(&self) {
        let mut state = lock(&self.pool.state);
        state.published = true;
        self.pool.reroute(&mut state);
    }

    /// Hides the connections from callers.
    pub(crate) fn withdraw(&self) {
        let mut state = lock(&self.pool.state);
        if std::mem::take(&mut state.published) {
            self.pool.routes.store(None);
        }
    }

    /// Notes the size of a value.
    #[cold]
    pub(crate) fn note(&self, key: &[u8], len: usize) {
        self.pool.large.note(key, len);
    }

    /// Accepts no more commands, lets those in flight end and closes every connection. Ready once
    /// that is done, at the latest after the response timeout. Goes on in the background if
    /// dropped.
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

    /// The time, for code that runs while a connection is dropped. Its task may be unwinding then,
    /// and a clock that panics would abort the process.
    pub(super) fn now_anyhow(&self) -> Instant {
        catch_unwind(AssertUnwindSafe(|| self.now())).unwrap_or(Instant::ORIGIN)
    }

    fn response_timeout(&self) -> Duration {
        self.setup.response_timeout
    }

    /// Records that a connection is ready for commands, and wakes the callers that can use it.
    fn opened(&self, id: LinkId, endpoint: &Endpoint) {
        let now = self.now();
        let mut state = lock(&self.state);
        let (mut late, mut told, mut news) = (None, None, None);
        if let Some(at) = state.dialling.iter().position(|(link, _)| *link == id) {
            let link = state.dialling.swap_remove(at);
            late = self.who.since(link.1.told()).map(|who| (who, Arc::clone(&link.1)));
            let unnamed = link.1.is_unnamed() && !std::mem::replace(&mut state.unnamed, true);
            let in_cluster = link.1.is_in_cluster()
                && !std::mem::replace(&mut state.in_cluster, true)
                && self.member.is_none();
            let before = state.decisions.tally().reconnects;
            state.decisions.handle(Input::Opened(id), now);
            let reconnect = state.decisions.tally().reconnects > before;
            news = Some((Arc::clone(&link.1), reconnect, unnamed, in_cluster));
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
        if let Some((link, reconnect, unnamed, in_cluster)) = news {
            self.witness.opened(endpoint, || link.census().server, reconnect);
            if unnamed {
                self.witness.unnamed(endpoint);
            }
            if in_cluster {
                self.witness.is_in_cluster(endpoint);
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Records that a connection has ended, or could not be dialled.
    fn ended(&self, link: &link::Link) {
        let (id, endpoint, error) = (link.id, &link.at, &link.end);
        let now = self.now_anyhow();
        let mut state = lock(&self.state);
        if link.greets
            && state.greetings.ended(link.greeting, error.is_hang_up(), now)
            && !state.closed
            && let Some(at) = state.dialling.iter().position(|(link, _)| *link == id)
        {
            // The race of a dial with one address cannot connect again, so the pool dials again.
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
        // The woken callers check for themselves whether to wait on, to send or to fail.
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

    /// If `link` ends because the server fell silent, checks the others. If nothing was read on any
    /// of them for half a response timeout, takes them out and returns them: they take no more
    /// commands. The ending link may have stopped taking commands already because of its age, but
    /// it must lead to the server's present address.
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

    /// Records that a dial with this greeting has failed. Returns another greeting, if it is worth
    /// dialling again at once.
    fn greets_anew(&self, greeting: Greeting, why: &LinkError) -> Option<Greeting> {
        let now = self.now_anyhow();
        let mut state = lock(&self.state);
        let anew = state.greetings.ended(greeting, why.is_hang_up(), now);
        anew.then(|| state.greetings.next(now))
    }

    /// Publishes the present connections to callers.
    fn reroute(&self, state: &mut State) {
        if state.published {
            let (links, full) = (state.links.clone(), state.decisions.is_full());
            state.shown.renew(full);
            let (busy, large) = (self.bounds.busy(), Arc::clone(&self.large));
            self.routes.store(Some(Arc::new(Routes { links, full, busy, large })));
        }
    }

    /// Publishes the connections after one has opened: at once if no other is being dialled, and
    /// otherwise once the published ones are too stale.
    fn reroute_grown(&self, state: &mut State) {
        if state.dialling.is_empty() {
            self.reroute(state);
        } else {
            self.reroute_shrunk(state);
        }
    }

    /// Publishes the connections after one has ended, once the published ones are too stale.
    fn reroute_shrunk(&self, state: &mut State) {
        if state.shown.is_stale(state.links.len(), state.decisions.is_full()) {
            self.reroute(state);
        }
    }

    /// Removes a connection, open or not.
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

    /// Accepts no more commands and closes all connections. Only the first call has an effect.
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

/// Unlocks, then wakes the keeper to look at the changes. No waker is called under a lock.
fn unlock_and_wake(mut state: MutexGuard<'_, State>) {
    let keeper = state.keeper.take();
    drop(state);
    if let Some(keeper) = keeper {
        keeper.wake();
    }
}
