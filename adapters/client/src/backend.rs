//! The backend of a connected cache: no store, a store in memory, or connections to servers.
//!
//! A new backend also needs its URL in core's `url.rs`, its settings in `target.rs`, and its calls
//! in `call.rs`.

use std::sync::Arc;
use std::task::{Context, Poll};

use async_caches_core::command::Command;
use async_caches_core::time::Instant;
use async_caches_core::url::Credentials;

use crate::cluster::{Cluster, Nodes, RedirectState};
use crate::error::Error;
use crate::flights::LoadTable;
use crate::memory::Store;
use crate::redis::{Exchange, PoolOwner, WaiterId};

/// A backend in use.
#[derive(Debug)]
pub(crate) enum Backend {
    Dummy,
    Memory(Arc<Store>),
    Remote { remote: Remote, loads: Arc<LoadTable> },
}

/// Connections to one server, or to the nodes of a cluster. They have to be connected and closed.
#[derive(Clone, Debug)]
pub(crate) enum Remote {
    Pool(Arc<PoolOwner>),
    Cluster(Arc<Cluster>),
}

impl Backend {
    /// Whether its runtime is gone, so that it serves no more calls.
    pub(crate) fn is_over(&self) -> bool {
        self.remote().is_some_and(Remote::is_over)
    }

    /// The connections to close, if the backend has some.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Dummy | Self::Memory(_) => None,
            Self::Remote { remote, .. } => Some(remote),
        }
    }

    /// The nodes of the cluster, if the backend is one.
    pub(crate) fn nodes(&self) -> Option<&Arc<Nodes>> {
        match self.remote()? {
            Remote::Pool(_) => None,
            Remote::Cluster(cluster) => Some(cluster.nodes()),
        }
    }

    /// Where callers that load the same key share a load; the dummy backend has none.
    pub(crate) fn loads(&self) -> Option<&Arc<LoadTable>> {
        match self {
            Self::Dummy => None,
            Self::Memory(store) => Some(store.loads()),
            Self::Remote { loads, .. } => Some(loads),
        }
    }

    /// The time by which the waits for its loads are measured. It stands still if it has none.
    pub(crate) fn load_time(&self) -> Instant {
        self.loads().map_or(Instant::ORIGIN, |loads| loads.now())
    }

    /// The [`loads`](Self::loads), while a load may be under way there.
    pub(crate) fn busy_loads(&self) -> Option<&Arc<LoadTable>> {
        self.loads().filter(|loads| loads.is_busy())
    }
}

impl Remote {
    /// Prepares for calls that come before anything is connected.
    pub(crate) fn begin_lazily(&self) {
        match self {
            Self::Pool(pool) => pool.begin_lazily(),
            // Its calls wait for the first map, and fail once all nodes of the URL have failed.
            Self::Cluster(_) => {}
        }
    }

    /// Starts the background task on the runtime of the calling thread.
    pub(crate) fn start(&self) {
        match self {
            Self::Pool(pool) => pool.start(),
            Self::Cluster(cluster) => cluster.start(),
        }
    }

    /// Ready once calls can be sent, or connecting has failed. For the caller that connects.
    pub(crate) fn poll_first(
        &self,
        waiter: &mut Option<WaiterId>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Error>> {
        match self {
            Self::Pool(pool) => pool.poll_first(waiter, cx),
            Self::Cluster(cluster) => cluster.poll_first(waiter, cx),
        }
    }

    /// Makes the connections visible to callers.
    pub(crate) fn publish(&self) {
        match self {
            Self::Pool(pool) => pool.publish(),
            Self::Cluster(cluster) => cluster.publish(),
        }
    }

    /// Hides the connections from callers.
    pub(crate) fn withdraw(&self) {
        match self {
            Self::Pool(pool) => pool.withdraw(),
            Self::Cluster(cluster) => cluster.withdraw(),
        }
    }

    /// Whether the runtime is gone.
    fn is_over(&self) -> bool {
        match self {
            Self::Pool(pool) => pool.pool().is_over(),
            Self::Cluster(cluster) => cluster.is_over(),
        }
    }

    /// Changes the credentials of open connections.
    pub(crate) fn authenticate(&self, credentials: &Credentials) {
        match self {
            Self::Pool(pool) => pool.pool().authenticate(credentials),
            Self::Cluster(cluster) => cluster.authenticate(credentials),
        }
    }

    /// Notes the size of a value, for later commands of the same key.
    pub(crate) fn note(&self, key: &[u8], len: usize) {
        match self {
            Self::Pool(pool) => pool.note(key, len),
            Self::Cluster(cluster) => cluster.note(key, len),
        }
    }

    /// Sends a command, or waits until it can be sent. Ready if it cannot.
    pub(crate) fn poll_send(
        &self,
        exchange: &mut Exchange<RedirectState>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        match self {
            Self::Pool(pool) => exchange.poll_send(&pool.pool(), command, cx),
            Self::Cluster(cluster) => exchange.poll_send_in_cluster(cluster.nodes(), command, cx),
        }
    }

    /// Waits for something else, which will wake the caller, for as long as the command would wait
    /// for a connection. Ready once it has timed out.
    pub(crate) fn poll_held(
        &self,
        exchange: &mut Exchange<RedirectState>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        match self {
            Self::Pool(pool) => exchange.poll_held(&pool.pool(), command, cx),
            Self::Cluster(cluster) => exchange.poll_held_in_cluster(cluster.nodes(), command, cx),
        }
    }

    /// Accepts no more commands and closes every connection. Ready once that is done.
    pub(crate) fn poll_close(&self, waiter: &mut Option<WaiterId>, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Pool(pool) => pool.poll_close(waiter, cx),
            Self::Cluster(cluster) => cluster.poll_close(waiter, cx),
        }
    }
}
