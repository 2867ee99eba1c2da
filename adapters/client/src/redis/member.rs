//! A pool whose server is a node of a cluster: what it shares with the cluster, and what the
//! cluster needs of it.

use std::sync::Arc;
use std::task::Waker;

use async_caches_core::cluster::address::Address;
use async_caches_core::connection::Role;
use async_caches_core::large::LargeKeys;

use super::{Closing, Pool, Redis, State};
use crate::cluster::Doubt;
use crate::sync::lock;

/// A pool's share of the cluster that its server is a node of.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The node's address in the cluster.
    pub(crate) address: Address,
    /// The keys of the cluster with large values.
    pub(crate) large: Arc<LargeKeys>,
    /// Raised for each connection that is lost, or cannot be opened.
    pub(crate) doubt: Arc<Doubt>,
    /// What its connections are used for.
    pub(crate) role: Role,
}

impl Redis {
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

impl Pool {
    /// Whether there is no connection, and the last event was that one was lost or could not be
    /// opened.
    pub(crate) fn is_down(&self) -> bool {
        lock(&self.state).is_down()
    }

    /// Whether it is [down](Self::is_down) although it must keep connections, or a caller waits for
    /// one.
    pub(crate) fn is_missed(&self) -> bool {
        let mut state = lock(&self.state);
        let waits = state.line.waiting() > 0 || !state.line.suspects().is_empty();
        let is_wanted = state.decisions.keeps_links() || waits;
        is_wanted && state.is_down()
    }

    /// Wakes all callers that wait for a connection, or for room, to look again where they belong.
    pub(crate) fn rouse(&self) {
        let mut state = lock(&self.state);
        let mut woken = state.line.take_waiting();
        woken.extend(state.line.suspects().take_all());
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn is_down(&self) -> bool {
        self.links.is_empty() && self.last_error.is_some()
    }
}
