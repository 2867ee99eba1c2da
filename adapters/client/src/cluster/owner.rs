//! A cluster in use, from its start to its end.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_caches_core::cluster::address::Address;
use async_caches_core::cluster::map::SlotMap;
use async_caches_core::cluster::node_budget::NodeBudget;
use async_caches_core::cluster::refresh::Refresh;
use async_caches_core::error::ConnectionError;
use async_caches_core::large::LargeKeys;
use async_caches_core::options::Settings;
use async_caches_core::time::Instant;
use async_caches_core::url::{Credentials, Endpoint, Server, Topology};

use super::keeper;
use super::nodes::{ClusterState, Nodes};
use super::view::View;
use crate::connect_config::ConnectConfig;
use crate::error::{ConnectionFailure, Error};
use crate::redis::{Closing, WaitQueue, WaiterId};
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::translation::Translation;
use crate::waker::Spare;

/// A cluster in use. If it is dropped before [`poll_close`](Self::poll_close), it closes all
/// connections at once.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Arc<Nodes>,
}

impl Cluster {
    /// Creates a cluster that requests nothing until it is [started](Self::start). Its nodes are
    /// visible in `published` once it is [published](Self::publish).
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        server: &Server,
        config: ConnectConfig,
        settings: &Settings,
        translation: Translation,
        published: Arc<ArcSwapOption<View>>,
    ) -> Self {
        let now = runtime.now();
        let seeds = seeds(&server.topology);
        let state = ClusterState {
            queue: WaitQueue::default(),
            strays: Vec::new(),
            beginning: Vec::new(),
            leaving: Vec::new(),
            maps: 0,
            failures: 0,
            last_error: None,
            is_published: false,
            closed: false,
            dismissed: false,
            over: false,
            refresh: Refresh::new(seeds.clone(), runtime.seed(), now),
        };
        let nodes = Arc::new(Nodes {
            topology: server.topology.clone(),
            wire: server.wire,
            database: server.database,
            config,
            settings: settings.clone(),
            translation,
            large: Arc::new(LargeKeys::new(runtime.seed())),
            signal: Arc::default(),
            published,
            view: ArcSwap::from_pointee(View::of(SlotMap::unknown(), false, |_, _, _| None)),
            seeds: seeds.len(),
            first_until: now + settings.connect_timeout,
            room: Mutex::new(NodeBudget::new(now)),
            state: Mutex::new(state),
            runtime,
        });
        Self { nodes }
    }

    /// Spawns the cluster's keeper on the runtime of the calling thread. The keeper requests the
    /// map.
    pub(crate) fn start(&self) {
        keeper::spawn(&self.nodes);
    }

    /// Whether its runtime is gone, so that it serves no more calls.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.nodes.state).over
    }

    /// Ready once a map was read. For the caller that connects. Fails once as many requests have
    /// failed as the URL names nodes, once a node has refused our credentials, or once the connect
    /// timeout is over.
    pub(crate) fn poll_first(
        &self,
        waiter: &mut Option<WaiterId>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let nodes = &self.nodes;
        let now = nodes.now();
        let mut waker = Spare::of(cx);
        let mut state = lock(&nodes.state);
        if state.maps > 0 {
            return Poll::Ready(Ok(()));
        }
        if state.over {
            return Poll::Ready(Err(nodes.failed_by(ConnectionFailure::RuntimeGone)));
        }
        let refused = state.last_error.as_ref().is_some_and(ConnectionFailure::is_refusal);
        if refused || state.failures >= nodes.seeds || nodes.first_until <= now {
            let why = state.last_error.clone();
            let why = why.unwrap_or(ConnectionError::NotReadyInTime.into());
            return Poll::Ready(Err(nodes.failed_by(why)));
        }
        *waiter = Some(state.queue.wait(*waiter, nodes.first_until, &mut waker));
        drop(state);
        nodes.signal.wake();
        Poll::Pending
    }

    /// The nodes, for a command that cannot be sent at once.
    pub(crate) fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    /// Makes the nodes visible to callers.
    pub(crate) fn publish(&self) {
        let mut state = lock(&self.nodes.state);
        state.is_published = true;
        self.nodes.published.store(Some(self.nodes.view.load_full()));
    }

    /// Hides the nodes from callers.
    pub(crate) fn withdraw(&self) {
        let mut state = lock(&self.nodes.state);
        if std::mem::take(&mut state.is_published) {
            self.nodes.published.store(None);
        }
    }

    /// Notes the size of a value.
    #[cold]
    pub(crate) fn note(&self, key: &[u8], len: usize) {
        self.nodes.large.note(key, len);
    }

    /// Changes the credentials for all nodes, like
    /// [`Pool::authenticate`](crate::redis::Pool::authenticate).
    pub(crate) fn authenticate(&self, credentials: &Credentials) {
        let pools = self.nodes.opened();
        pools.iter().for_each(|redis| redis.pool().authenticate(credentials));
    }

    /// Accepts no more commands, lets those in flight end and closes every connection. Ready once
    /// that is done, at the latest after the response timeout. Goes on in the background if
    /// dropped.
    pub(crate) fn poll_close(&self, waiter: &mut Option<WaiterId>, cx: &Context<'_>) -> Poll<()> {
        self.nodes.close(Closing::Drained);
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.nodes.state);
        if state.over {
            return Poll::Ready(());
        }
        *waiter = Some(state.queue.wait(*waiter, Instant::MAX, &mut waker));
        Poll::Pending
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.close(Closing::Now);
    }
}

/// The nodes that a URL names.
fn seeds(topology: &Topology) -> Vec<Address> {
    let Topology::Cluster(nodes) = topology else { return Vec::new() };
    let address = |node: &Endpoint| match node {
        Endpoint::Tcp { host, port } => Address::new(host, *port).ok(),
        Endpoint::Unix { .. } => None,
    };
    nodes.iter().filter_map(address).collect()
}
