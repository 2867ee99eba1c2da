//! The walk through a connection's queue that finds expired commands.

use crate::time::Instant;

/// A walk through the queue in search of expired commands, one event at a time.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) next: usize,
    pub(super) next_expiry: Instant,
    pub(super) silent: bool,
}

impl Sweep {
    /// The command at the front of the queue has left it.
    pub(super) fn step_back(&mut self) {
        self.next = self.next.saturating_sub(1);
    }
}
