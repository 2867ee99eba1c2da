//! The background task of a pool. It carries out the pool's decisions and ends waits whose time is
//! over.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_caches_core::pool::{ConnectionId, PoolAction};
use async_caches_core::time::{Deadline, Instant};
use async_caches_core::url::Endpoint;

use super::connection::closing::Closing;
use super::connection::shared::SharedConnection;
use super::pool::routes::Connections;
use super::pool::sentinels::Sentinels;
use super::pool::state::{Pool, PoolState};
use super::tasks::connection;
use super::tasks::serving::ServerConnection;
use super::tasks::watcher::Watcher;
use crate::runtime::{ConnectionTask, Runtime, Timer};
use crate::sync::lock;
use crate::waker::Spare;

/// Runs the pool's keeper until the pool is closed and its last connection is gone.
pub(in crate::redis) fn spawn(pool: &Arc<Pool>) {
    let keeper = PoolKeeper(Arc::clone(pool));
    let mut timer = pool.config.runtime.timer();
    pool.config.runtime.spawn(Box::pin(async move {
        poll_fn(|cx| keep(&keeper.0, timer.as_mut(), cx)).await;
    }));
}

/// A pool's keeper. Without it nothing is dialled and no wait ends. So when it is dropped, also
/// because its runtime shuts down, the pool is over.
struct PoolKeeper(Arc<Pool>);

impl Drop for PoolKeeper {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn keep(pool: &Arc<Pool>, timer: &mut dyn Timer, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let now = pool.now();
        let mut waker = Spare::of(cx);
        let mut state = lock(&pool.state);
        let mut woken = state.queue.expire(now);
        woken.extend(state.allot(now, None).woken);
        if state.closed && state.is_empty() {
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            return Poll::Ready(());
        }
        let (dials, closes) =
            if state.closed { Default::default() } else { state.decide(pool, now) };
        let at = state.at.clone();
        let greeting = state.greetings.next(now);
        let ask = if state.closed { None } else { state.ask(now) };
        let deadline = state.deadline(now);
        waker.put(&mut state.keeper);
        drop(state);
        drop(waker);
        woken.into_iter().for_each(Waker::wake);
        closes.iter().for_each(|connection| connection.close(Closing::Drained));
        // Nothing is dialled before the address is known.
        for ((id, shared), at) in dials.into_iter().zip(at.into_iter().cycle()) {
            let serving = ServerConnection::new(Arc::clone(pool), id, shared, at.clone(), greeting);
            dial(pool.config.runtime.as_ref(), at, connection::serving(serving));
        }
        if let Some((at, setup, orders)) = ask {
            let watcher = Watcher::new(Arc::clone(pool), at.clone(), setup, orders, now);
            dial(pool.config.runtime.as_ref(), at, connection::watching(watcher));
        }
        if timer.poll_until(deadline.map(|due| due.at), cx).is_pending() {
            return Poll::Pending;
        }
    }
}

/// Passes a connection to the runtime. If that panics, the connection is dropped, which counts as a
/// failed dial, and the keeper goes on.
fn dial(runtime: &dyn Runtime, at: Endpoint, connection: ConnectionTask) {
    let _ = catch_unwind(AssertUnwindSafe(|| runtime.dial(at, connection)));
}

impl PoolState {
    /// Polls the pool's decisions until there are no more. Returns the connections to dial and
    /// those to close.
    fn decide(&mut self, pool: &Pool, now: Instant) -> (Connections, Vec<Arc<SharedConnection>>) {
        let (mut dials, mut closes) = (Connections::new(), Vec::new());
        let connections: OnceCell<HashMap<_, _>> = OnceCell::new();
        while let Some(at) = &self.at {
            let idle_since = |id: ConnectionId| {
                let connections =
                    connections.get_or_init(|| self.connections.iter().cloned().collect());
                connections.get(&id).and_then(|connection| connection.idle_since())
            };
            match self.decisions.poll(now, idle_since) {
                None => break,
                Some(PoolAction::Dial(id)) => {
                    let shared = Arc::new(SharedConnection::open(
                        &pool.config,
                        at,
                        self.dialled_anew.take().unwrap_or(now),
                    ));
                    self.dialling.push((id, Arc::clone(&shared)));
                    dials.push((id, shared));
                }
                Some(PoolAction::Close(id)) => {
                    let at = self.connections.iter().position(|(connection, _)| *connection == id);
                    closes.extend(at.map(|at| self.connections.remove(at).1));
                }
            }
        }
        if !closes.is_empty() {
            pool.reroute(self);
        } else if !dials.is_empty() {
            pool.reroute_grown(self);
        }
        (dials, closes)
    }

    /// Whether no connection is left, dialling or open.
    fn is_empty(&self) -> bool {
        let quiet = self.sentinels.as_ref().is_none_or(Sentinels::is_quiet);
        self.dialling.is_empty() && self.connections.is_empty() && quiet
    }

    fn deadline(&self, now: Instant) -> Option<Deadline> {
        let due = self.queue.deadline().map(|at| Deadline { at, why: "a caller's wait" });
        if self.closed {
            return due;
        }
        let decision = self.at.as_ref().and_then(|_| self.decisions.deadline(now));
        let ask = self.sentinels.as_ref().and_then(Sentinels::deadline);
        Deadline::earlier(due, Deadline::earlier(decision, ask))
    }
}
