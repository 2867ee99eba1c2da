//! A pool in use, from its start to its end.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use async_caches_core::connection::{Greetings, Role, Setup};
use async_caches_core::large::LargeKeys;
use async_caches_core::options::Settings;
use async_caches_core::pool::{self, PoolInput};
use async_caches_core::time::Instant;
use async_caches_core::url::{Server, Topology};

use super::config::{Member, PoolConfig};
use super::connection::closing::Closing;
use super::keeper;
use super::load::PoolBounds;
use super::observer::Observer;
use super::pool::publication::Publication;
use super::pool::routes::{Connections, Routes};
use super::pool::sentinels::Sentinels;
use super::pool::state::{Pool, PoolState, unlock_and_wake};
use super::pool::wait_queue::WaitQueue;
use super::pool::waiter::WaiterId;
use crate::connect_config::ConnectConfig;
use crate::error::{ConnectionFailure, Error};
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::waker::Spare;

/// A pool in use. If it is dropped before [`poll_close`](Self::poll_close), it closes its
/// connections at once.
#[derive(Debug)]
pub(crate) struct PoolOwner {
    pool: Arc<Pool>,
}

impl PoolOwner {
    /// Creates a pool that dials nothing and ends no wait until it is [started](Self::start). Its
    /// connections are visible in `routes` once it is [published](Self::publish).
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        server: &Server,
        config: ConnectConfig,
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
        let mut setup = Setup::new(settings.connect_timeout, settings.response_timeout);
        setup.database = server.database;
        setup.role = role;
        setup.name = settings.name.clone();
        setup.pushes = config.hooks.pushes(&settings.key_space);
        let now = runtime.now();
        let mut decisions = pool::Pool::new(
            settings.minsize,
            settings.maxsize,
            settings.response_timeout,
            runtime.seed(),
            now,
        );
        decisions.limit_age(settings.max_connection_age);
        let state = PoolState {
            decisions,
            greetings: Greetings::new(settings.protocol, &setup),
            dialled_anew: None,
            unnamed: false,
            in_cluster: false,
            at,
            sentinels: Sentinels::of(&server.topology, settings, runtime.as_ref()),
            connections: Connections::new(),
            dialling: Connections::new(),
            published: false,
            publication: Publication::default(),
            queue: WaitQueue::default(),
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
        let config = PoolConfig {
            runtime,
            observer: Arc::new(Observer {
                topology: server.topology.clone(),
                database: server.database,
                recorder: config.hooks.recorder,
                subscriber: config.hooks.subscriber,
            }),
            credentials: config.credentials,
            tls: config.tls,
            resolver: config.resolver,
            named_by_sentinels: config.named_by_sentinels,
            setup,
            bounds: PoolBounds {
                in_flight: settings.max_in_flight,
                queued_bytes: settings.max_queued_bytes,
                waiting: settings.max_waiting,
            },
            member,
            large,
        };
        let (lined_up, state) = (AtomicBool::new(false), Mutex::new(state));
        Self { pool: Arc::new(Pool { config, routes, lined_up, state }) }
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
    /// connects. With sentinels a failure is final only if no wait
    /// helps any more ([`PoolState::gives_up_on`]).
    pub(crate) fn poll_first(
        &self,
        waiter: &mut Option<WaiterId>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.pool.state);
        if !state.connections.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if state.over {
            return Poll::Ready(Err(self.pool.failed_by(ConnectionFailure::RuntimeGone)));
        }
        let now = self.pool.now();
        let (failed, until) = match &state.sentinels {
            None => (state.last_error.is_some(), Instant::MAX),
            Some(sentinels) => (state.gives_up_on(sentinels, now), sentinels.first_until()),
        };
        if failed {
            return Poll::Ready(Err(self.pool.unavailable(&state)));
        }
        state.decisions.handle(PoolInput::Demand, now);
        *waiter = Some(state.queue.wait(*waiter, until, &mut waker));
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
        self.pool.config.large.note(key, len);
    }

    /// Accepts no more commands, lets those in flight end and closes every connection. Ready once
    /// that is done, at the latest after the response timeout. Goes on in the background if
    /// dropped.
    pub(crate) fn poll_close(&self, waiter: &mut Option<WaiterId>, cx: &Context<'_>) -> Poll<()> {
        self.pool.close(Closing::Drained);
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.pool.state);
        if state.over {
            return Poll::Ready(());
        }
        *waiter = Some(state.queue.wait(*waiter, Instant::MAX, &mut waker));
        Poll::Pending
    }

    /// Accepts no more commands and hides the connections from callers. Commands in flight end as
    /// `how` says.
    pub(crate) fn dismiss(&self, how: Closing) {
        self.withdraw();
        self.pool.close(how);
    }

    /// Ends a pool that will never be started, as the runtime is gone.
    pub(crate) fn abandon(&self) {
        self.pool.abandon();
    }
}

impl Drop for PoolOwner {
    fn drop(&mut self) {
        self.pool.close(Closing::Now);
    }
}
