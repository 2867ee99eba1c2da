//! A pool and its state. Publishes the connections to callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_caches_core::connection::Greetings;
use async_caches_core::pool::{self, ConnectionId};
use async_caches_core::time::Instant;
use async_caches_core::url::Endpoint;

use super::publication::Publication;
use super::routes::{Connections, Routes};
use super::sentinels::Sentinels;
use super::wait_queue::WaitQueue;
use crate::error::ConnectionFailure;
use crate::redis::config::PoolConfig;
use crate::redis::connection::closing::Closing;
use crate::redis::connection::shared::SharedConnection;
use crate::sync::lock;

/// The connections to one server, and the callers that wait for one.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(in crate::redis) config: PoolConfig,
    /// The callers' view of the state. Changed only under the lock of the state.
    pub(in crate::redis) routes: Arc<ArcSwapOption<Routes>>,
    /// Whether callers may be waiting for room. Spares drivers the lock of the state.
    pub(in crate::redis) lined_up: AtomicBool,
    pub(in crate::redis) state: Mutex<PoolState>,
}

/// The state of a pool.
#[derive(Debug)]
pub(in crate::redis) struct PoolState {
    pub(in crate::redis) decisions: pool::Pool,
    /// How the next connection opens its handshake.
    pub(in crate::redis) greetings: Greetings,
    /// When a connection that is to be dialled again was first dialled. The connect timeout of the
    /// new dial runs from then.
    pub(in crate::redis) dialled_anew: Option<Instant>,
    /// Whether it was reported that the server refuses to name connections.
    pub(in crate::redis) unnamed: bool,
    /// Whether a server has said that it is a node of a cluster.
    pub(in crate::redis) in_cluster: bool,
    /// The address that is dialled; `None` until the master is known.
    pub(in crate::redis) at: Option<Endpoint>,
    /// The sentinels, if the server has some.
    pub(in crate::redis) sentinels: Option<Sentinels>,
    /// The connections that take commands.
    pub(in crate::redis) connections: Connections,
    pub(in crate::redis) dialling: Connections,
    /// Whether callers may see the connections.
    pub(in crate::redis) published: bool,
    pub(in crate::redis) publication: Publication,
    pub(in crate::redis) queue: WaitQueue,
    /// Whether connections are kept apart, for commands that must be alone.
    pub(in crate::redis) apart: bool,
    pub(in crate::redis) keeper: Option<Waker>,
    /// Why the last connection ended or could not be opened; `None` if one was opened since.
    pub(in crate::redis) last_error: Option<ConnectionFailure>,
    /// Why the last connection was lost or could not be opened, and when; kept even if another has
    /// opened since.
    pub(in crate::redis) last_end: Option<(ConnectionFailure, Instant)>,
    /// Whether commands are no longer accepted.
    pub(in crate::redis) closed: bool,
    /// Whether the keeper is gone.
    pub(in crate::redis) over: bool,
}

impl Pool {
    pub(crate) fn now(&self) -> Instant {
        self.config.runtime.now()
    }

    /// The time, for code that runs while a connection is dropped. Its task may be unwinding then,
    /// and a clock that panics would abort the process.
    pub(in crate::redis) fn now_anyhow(&self) -> Instant {
        catch_unwind(AssertUnwindSafe(|| self.now())).unwrap_or(Instant::ORIGIN)
    }

    pub(in crate::redis) fn response_timeout(&self) -> Duration {
        self.config.setup.response_timeout
    }

    /// Publishes the present connections to callers.
    pub(in crate::redis) fn reroute(&self, state: &mut PoolState) {
        if state.published {
            let (connections, full) = (state.connections.clone(), state.decisions.is_full());
            state.publication.renew(full);
            let (busy, large) = (self.config.bounds.busy(), Arc::clone(&self.config.large));
            self.routes.store(Some(Arc::new(Routes { connections, full, busy, large })));
        }
    }

    /// Publishes the connections after one has opened: at once if no other is being dialled, and
    /// otherwise once the published ones are too stale.
    pub(in crate::redis) fn reroute_grown(&self, state: &mut PoolState) {
        if state.dialling.is_empty() {
            self.reroute(state);
        } else {
            self.reroute_shrunk(state);
        }
    }

    /// Publishes the connections after one has ended, once the published ones are too stale.
    pub(in crate::redis) fn reroute_shrunk(&self, state: &mut PoolState) {
        if state.publication.is_stale(state.connections.len(), state.decisions.is_full()) {
            self.reroute(state);
        }
    }

    /// Removes a connection, open or not.
    pub(in crate::redis) fn remove(
        &self,
        state: &mut PoolState,
        id: ConnectionId,
    ) -> Option<Arc<SharedConnection>> {
        let take = |connections: &mut Connections| {
            let at = connections.iter().position(|(connection, _)| *connection == id)?;
            Some(connections.remove(at).1)
        };
        take(&mut state.dialling).or_else(|| {
            let taken = take(&mut state.connections)?;
            state.publication.change();
            Some(taken)
        })
    }

    /// Whether its runtime is gone, so that it serves no more calls.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.state).over
    }

    /// Ends the pool: it has no keeper, and will get none.
    pub(in crate::redis) fn abandon(&self) {
        let mut state = lock(&self.state);
        state.over = true;
        let woken = state.queue.take_all();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Accepts no more commands and closes all connections. Only the first call has an effect.
    pub(in crate::redis) fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        let all = state.connections.iter().chain(&state.dialling);
        let connections: Vec<_> = all.map(|(_, connection)| Arc::clone(connection)).collect();
        let mut woken = state.queue.take_all();
        woken.extend(state.sentinels.as_ref().and_then(Sentinels::close));
        unlock_and_wake(state);
        connections.iter().for_each(|connection| connection.close(how));
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Unlocks, then wakes the keeper to look at the changes. No waker is called under a lock.
pub(in crate::redis) fn unlock_and_wake(mut state: MutexGuard<'_, PoolState>) {
    let keeper = state.keeper.take();
    drop(state);
    if let Some(keeper) = keeper {
        keeper.wake();
    }
}
