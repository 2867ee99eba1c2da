//! A node of a cluster: a pool of its own, once it is needed.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use async_caches_core::cluster::address::Address;
use async_caches_core::command::Command;
use async_caches_core::connection::Role;

use crate::error::Error;
use crate::redis::{Closing, PoolOwner, Routes, SharedConnection};
use crate::sync::lock;

/// A node, and the view of its connections that callers use.
#[derive(Debug)]
pub(crate) struct Node {
    address: Address,
    /// What its connections are used for.
    role: Role,
    routes: Arc<ArcSwapOption<Routes>>,
    phase: Mutex<NodePhase>,
}

#[derive(Debug)]
enum NodePhase {
    /// No call has needed it so far.
    Unopened,
    Open(Arc<PoolOwner>),
    /// It is in no map any more. A later node of the same name is another node.
    Left,
}

impl Node {
    /// Creates a node without connections.
    pub(super) fn new(address: Address, role: Role) -> Arc<Self> {
        let (routes, phase) = (Arc::default(), Mutex::new(NodePhase::Unopened));
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
    pub(super) fn find(&self, command: &Command<'_>) -> Option<(Arc<SharedConnection>, bool)> {
        self.routes.load().as_ref()?.find(command)
    }

    /// The view of its connections that callers use.
    pub(super) fn routes(&self) -> &Arc<ArcSwapOption<Routes>> {
        &self.routes
    }

    /// Its pool, and whether it is new: made by `make`, as there was none or its runtime is gone.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the node has left the map, and those of `make`.
    pub(super) fn pool_or_make(
        &self,
        make: impl FnOnce() -> Result<PoolOwner, Error>,
    ) -> Result<(Arc<PoolOwner>, bool), Error> {
        let mut phase = lock(&self.phase);
        match &*phase {
            NodePhase::Open(redis) if !redis.pool().is_over() => {
                return Ok((Arc::clone(redis), false));
            }
            NodePhase::Left => return Err(Error::NotConnected),
            NodePhase::Unopened | NodePhase::Open(_) => {}
        }
        let redis = Arc::new(make()?);
        redis.publish();
        let gone = std::mem::replace(&mut *phase, NodePhase::Open(Arc::clone(&redis)));
        drop(phase);
        drop(gone);
        Ok((redis, true))
    }

    /// Whether it has no connections, and the last event was that one was lost or could not be
    /// opened.
    pub(super) fn is_down(&self) -> bool {
        self.opened().is_some_and(|redis| redis.pool().is_down())
    }

    /// Its pool, if it has one.
    pub(super) fn opened(&self) -> Option<Arc<PoolOwner>> {
        match &*lock(&self.phase) {
            NodePhase::Open(redis) => Some(Arc::clone(redis)),
            NodePhase::Unopened | NodePhase::Left => None,
        }
    }

    /// Stops accepting commands; those in flight end as `how` says. Returns the pool, which the
    /// caller must wait for.
    pub(super) fn dismiss(&self, how: Closing) -> Option<Arc<PoolOwner>> {
        let before = std::mem::replace(&mut *lock(&self.phase), NodePhase::Left);
        match before {
            NodePhase::Open(redis) => {
                redis.dismiss(how);
                Some(redis)
            }
            NodePhase::Unopened | NodePhase::Left => None,
        }
    }
}
