//! What a cluster needs of the pool of one of its nodes.

use std::task::Waker;

use super::state::{Pool, PoolState};
use crate::sync::lock;

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
        let waits = state.queue.waiting() > 0 || !state.queue.suspects().is_empty();
        let is_wanted = state.decisions.keeps_connections() || waits;
        is_wanted && state.is_down()
    }

    /// Wakes all callers that wait for a connection, or for room, to look again where they belong.
    pub(crate) fn rouse(&self) {
        let mut state = lock(&self.state);
        let mut woken = state.queue.take_waiting();
        woken.extend(state.queue.suspects().take_all());
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl PoolState {
    fn is_down(&self) -> bool {
        self.connections.is_empty() && self.last_error.is_some()
    }
}
