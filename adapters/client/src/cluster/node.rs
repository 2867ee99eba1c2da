//! A node of a cluster: a pool of its own, once it is needed.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use async_caches_core::cluster::address::Address;
use async_caches_core::command::Command;
use async_caches_core::connection::Role;
use async_caches_core::url::{Endpoint, Server, Topology};

use super::Nodes;
use crate::error::{Error, LinkError};
use crate::redis::{Closing, Member, Pool, Redis, Routes, Shared};
use crate::sync::lock;

/// A node, and the view of its connections that callers use.
#[derive(Debug)]
pub(crate) struct Node {
    address: Address,
    /// What its connections are used for.
    role: Role,
    routes: Arc<ArcSwapOption<Routes>>,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    /// No call has needed it so far.
    Unopened,
    Open(Arc<Redis>),
    /// It is in no map any more. A later node of the same name is another node.
    Left,
}

impl Node {
    /// Creates a node without connections.
    pub(super) fn new(address: Address, role: Role) -> Arc<Self> {
        let (routes, phase) = (Arc::default(), Mutex::new(Phase::Unopened));
        Arc::new(Self { address, role, routes, phase })
    }

    /// The address at which we reach it.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What its connections are used for.
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// A connection to use at once, as from [`Routes::find`].
    #[inline]
    pub(super) fn find(&self, command: &Command<'_>) -> Option<(Arc<Shared>, bool)> {
        self.routes.load().as_ref()?.find(command)
    }

    /// Its pool. If it has none, the cluster's keeper starts one, so it makes no difference on
    /// which runtime the caller is, if any.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if it has left the map; [`LinkError::Crowded`] if it may not be
    /// dialled yet; [`LinkError::RuntimeGone`] if the cluster's keeper is gone.
    pub(crate) fn pool(&self, nodes: &Nodes) -> Result<Arc<Pool>, Error> {
        self.redis(nodes, None).map(|redis| redis.pool())
    }

    /// Like [`pool`](Self::pool), but returns the pool's owner. `links` sets the number of
    /// connections of a new pool.
    pub(super) fn redis(&self, nodes: &Nodes, links: Option<usize>) -> Result<Arc<Redis>, Error> {
        let mut phase = lock(&self.phase);
        match &*phase {
            Phase::Open(redis) if !redis.pool().is_over() => return Ok(Arc::clone(redis)),
            Phase::Left => return Err(Error::NotConnected),
            Phase::Unopened | Phase::Open(_) => {}
        }
        // A pool for the map alone is opened only as often as maps are read.
        if links.is_none() && !nodes.may_dial() {
            return Err(nodes.failed_by(LinkError::Crowded));
        }
        let redis = Arc::new(self.new_pool(nodes, links));
        redis.publish();
        let gone = std::mem::replace(&mut *phase, Phase::Open(Arc::clone(&redis)));
        drop(phase);
        drop(gone);
        nodes.start(&redis)?;
        Ok(redis)
    }

    fn new_pool(&self, nodes: &Nodes, links: Option<usize>) -> Redis {
        let server = Server {
            topology: Topology::Standalone(Endpoint::from(self.address.clone())),
            wire: nodes.wire,
            credentials: None,
            database: nodes.database,
        };
        let (mut settings, mut terms) = (nodes.settings.clone(), nodes.terms.clone());
        if let Some(links) = links {
            (settings.minsize, settings.maxsize) = (links, links);
            // No key is read over these connections, so no subscriber needs to know when they end.
            terms.hooks.subscriber = None;
        }
        let member = Member {
            address: self.address.clone(),
            large: Arc::clone(&nodes.large),
            // Connections for the map alone say nothing about whether the map is right.
            doubt: if links.is_some() { Arc::default() } else { Arc::clone(&nodes.doubt) },
            role: self.role,
        };
        let runtime = Arc::clone(&nodes.runtime);
        let routes = Arc::clone(&self.routes);
        Redis::new(runtime, &server, terms, &settings, routes, Some(member))
    }

    /// Whether it has no connections, and the last event was that one was lost or could not be
    /// opened.
    pub(super) fn is_down(&self) -> bool {
        self.opened().is_some_and(|redis| redis.pool().is_down())
    }

    /// Its pool, if it has one.
    pub(super) fn opened(&self) -> Option<Arc<Redis>> {
        match &*lock(&self.phase) {
            Phase::Open(redis) => Some(Arc::clone(redis)),
            Phase::Unopened | Phase::Left => None,
        }
    }

    /// Stops accepting commands; those in flight end as `how` says. Returns the pool, which the
    /// caller must wait for.
    pub(super) fn dismiss(&self, how: Closing) -> Option<Arc<Redis>> {
        let before = std::mem::replace(&mut *lock(&self.phase), Phase::Left);
        match before {
            Phase::Open(redis) => {
                redis.dismiss(how);
                Some(redis)
            }
            Phase::Unopened | Phase::Left => None,
        }
    }
}
