//! A pool whose server is a node of a cluster: what it has of that, and what that asks of it.

use std::sync::Arc;
use std::task::Waker;

use async_caches_core::cluster::address::Address;
use async_caches_core::connection::Role;
use async_caches_core::large::LargeKeys;

use super::{Closing, Pool, Redis, State};
use crate::cluster::Doubt;
use crate::sync::lock;

/// What a pool has of the cluster that its server is a node of.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// What the node is called there.
    pub(crate) address: Address,
    /// Which keys of the cluster have large values.
    pub(crate) large: Arc<LargeKeys>,
    /// Told of each link that is lost, or cannot be opened.
    pub(crate) doubt: Arc<Doubt>,
    /// What it has links for.
    pub(crate) role: Role,
}

impl Redis {
    /// Takes no more commands and lets no caller see the links any more; those in flight end as
    /// `how` says.
    pub(crate) fn dismiss(&self, how: Closing) {
        self.withdraw();
        self.pool.close(how);
    }

    /// It will never be started: the runtime is gone.
    pub(crate) fn abandon(&self) {
        self.pool.abandon();
    }
}

impl Pool {
    /// Whether there is no link, and the last thing that happened is that one was lost or could not
    /// be opened.
    pub(crate) fn is_down(&self) -> bool {
        lock(&self.state).is_down()
    }

    /// Whether it is [down](Self::is_down) though it is to keep links, or somebody waits for one.
    pub(crate) fn is_missed(&self) -> bool {
        let mut state = lock(&self.state);
        let waits = state.line.waiting() > 0 || !state.line.suspects().is_empty();
        let is_wanted = state.decisions.keeps_links() || waits;
        is_wanted && state.is_down()
    }

    /// Has all who wait for a link, or for room, look anew where they belong.
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
