//! Chooses the open connection for a command, only by how busy each connection is.
//!
//! Commands fill the connections from the first on, so that few of them do all the work and their
//! batches are large. Commands with large values fill them from the last on, so that the two kinds
//! stay apart.

use std::sync::Arc;

use async_caches_core::command::Command;
use async_caches_core::large::LargeKeys;
use async_caches_core::pool::ConnectionId;

use crate::redis::connection::shared::SharedConnection;
use crate::redis::load::{CLOSED, STALLED};

/// Connections with their ids, in the order in which they opened.
pub(in crate::redis) type Connections = Vec<(ConnectionId, Arc<SharedConnection>)>;

/// The callers' view of a pool: the connections that take commands. Most callers find one here
/// without taking the pool's lock, and without waiting for each other.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(in crate::redis) connections: Connections,
    /// Whether no more of them may be opened, however busy they are.
    pub(in crate::redis) full: bool,
    /// The load from which on a connection is busy.
    pub(in crate::redis) busy: usize,
    pub(in crate::redis) large: Arc<LargeKeys>,
}

impl Routes {
    /// A connection to use at once for a command, if there is one and no reason to open more; and
    /// whether the command has a large value.
    #[inline(always)]
    pub(crate) fn find(&self, command: &Command<'_>) -> Option<(Arc<SharedConnection>, bool)> {
        if self.large.expects(command) {
            return self.find_for_large().map(|connection| (connection, true));
        }
        let (connection, load) = pick(&self.connections, self.busy)?;
        (load < self.busy || self.full).then_some((connection, false))
    }

    /// The connection for commands with large values: the last busy one, or else the last. Other
    /// commands fill the connections from the first on, so the two kinds stay apart. Large values
    /// are also faster on one connection than on many, whose buffers do not fit into a processor's
    /// cache together.
    fn find_for_large(&self) -> Option<Arc<SharedConnection>> {
        let loads = self.connections.iter().map(|(_, connection)| connection.load());
        let (_, connection) = self.connections.get(place_for_large(loads, self.busy)?)?;
        Some(Arc::clone(connection))
    }
}

/// The first connection that is not busy, so that few of them do all the work and their batches are
/// large; if all are busy, the least busy. Also returns its load.
#[inline(always)]
pub(in crate::redis) fn pick(
    connections: &Connections,
    busy: usize,
) -> Option<(Arc<SharedConnection>, usize)> {
    let loads = connections.iter().map(|(_, connection)| (connection, connection.load()));
    let free = loads.clone().find(|(_, load)| *load < busy);
    let (connection, load) = free.or_else(|| loads.min_by_key(|(_, load)| *load))?;
    (load < CLOSED).then(|| (Arc::clone(connection), load))
}

/// The last of these loads that is busy, or else the last that is not stalled.
fn place_for_large(
    loads: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator + Clone,
    busy: usize,
) -> Option<usize> {
    let mut working = loads.enumerate().rev().filter(|(_, load)| *load < STALLED);
    working.clone().find(|(_, load)| *load >= busy).or_else(|| working.next()).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::load::BUSY;

    #[test]
    fn large_values_use_the_last_busy_connection_or_else_the_last_usable_one() {
        let place = |loads: &[usize]| place_for_large(loads.iter().copied(), BUSY);
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[0]), Some(0));
        assert_eq!(place(&[5, 0, 7]), Some(2));
        assert_eq!(place(&[BUSY, BUSY + 9, 7]), Some(1));
        assert_eq!(place(&[BUSY, 3, STALLED]), Some(0));
        assert_eq!(place(&[3, STALLED + BUSY, CLOSED]), Some(0));
        assert_eq!(place(&[STALLED, CLOSED]), None);
    }
}
