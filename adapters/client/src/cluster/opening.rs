//! Opens the pool of a node, once a call needs it.

use std::sync::Arc;

use async_caches_core::url::{Endpoint, Server, Topology};

use super::node::Node;
use super::nodes::Nodes;
use crate::error::{ConnectionFailure, Error};
use crate::redis::{Member, Pool, PoolOwner};

impl Nodes {
    /// The pool of a node. If it has none, the cluster's keeper starts one, so it makes no
    /// difference on which runtime the caller is, if any.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the node has left the map; [`ConnectionFailure::Crowded`] if it
    /// may not be dialled yet; [`ConnectionFailure::RuntimeGone`] if the cluster's keeper is gone.
    pub(super) fn pool_of(&self, node: &Node) -> Result<Arc<Pool>, Error> {
        self.open(node, None).map(|redis| redis.pool())
    }

    /// Like [`pool_of`](Self::pool_of), but returns the pool's owner. `connections` sets the number
    /// of connections of a new pool.
    pub(super) fn open(
        &self,
        node: &Node,
        connections: Option<usize>,
    ) -> Result<Arc<PoolOwner>, Error> {
        let (redis, is_new) = node.pool_or_make(|| {
            // A pool for the map alone is opened only as often as maps are read.
            if connections.is_none() && !self.may_dial() {
                return Err(self.failed_by(ConnectionFailure::Crowded));
            }
            Ok(self.new_pool(node, connections))
        })?;
        if is_new {
            self.start(&redis)?;
        }
        Ok(redis)
    }

    fn new_pool(&self, node: &Node, connections: Option<usize>) -> PoolOwner {
        let server = Server {
            topology: Topology::Standalone(Endpoint::from(node.address().clone())),
            wire: self.wire,
            credentials: None,
            database: self.database,
        };
        let (mut settings, mut config) = (self.settings.clone(), self.config.clone());
        if let Some(connections) = connections {
            (settings.minsize, settings.maxsize) = (connections, connections);
            // No key is read over these connections, so no subscriber needs to know when they end.
            config.hooks.subscriber = None;
        }
        let member = Member {
            address: node.address().clone(),
            large: Arc::clone(&self.large),
            // Connections for the map alone say nothing about whether the map is right.
            signal: if connections.is_some() { Arc::default() } else { Arc::clone(&self.signal) },
            role: node.role(),
        };
        let runtime = Arc::clone(&self.runtime);
        let routes = Arc::clone(node.routes());
        PoolOwner::new(runtime, &server, config, &settings, routes, Some(member))
    }
}
