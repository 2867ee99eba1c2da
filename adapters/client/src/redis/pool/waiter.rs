//! A caller's place in a wait queue.

use async_caches_core::time::Instant;

/// A place in the queue, ordered by when the wait is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct WaiterId {
    pub(in crate::redis) expires: Instant,
    pub(in crate::redis) number: u64,
}
