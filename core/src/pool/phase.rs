//! One connection of a pool: its name, and the phase of its life.

use crate::time::Instant;

/// The name of one connection; never used twice in one pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub(super) u64);

/// The phase of a connection's life.
#[derive(Clone, Copy, Debug)]
pub(super) enum PooledPhase {
    Dialling,
    Open {
        since: Instant,
        /// When it becomes too old.
        until: Instant,
    },
    /// It will close: it idled, is too old, or leads to a server that is silent or no longer in
    /// use.
    Closing,
}
