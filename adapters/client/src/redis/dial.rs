//! What a runtime is asked to dial: a link to a server, or a connection to a sentinel.

use std::future::Future;
use std::io;

use super::link::Link as Serving;
use super::watcher::Watcher;
use crate::runtime::{Socket, Timer};

/// A connection about to be dialled: a [`Runtime`](crate::runtime::Runtime) hands it back to
/// [`Link::drive`]. Dropped without that, it counts as a dial that failed.
#[derive(Debug)]
pub struct Link(Kind);

#[derive(Debug)]
enum Kind {
    Serving(Serving),
    Watching(Watcher),
}

impl Link {
    pub(super) fn serving(link: Serving) -> Self {
        Self(Kind::Serving(link))
    }

    pub(super) fn watching(watcher: Watcher) -> Self {
        Self(Kind::Watching(watcher))
    }

    /// Connects, and then does what the connection is for until it ends: its whole life, to be run
    /// as one task. `connect` and the handshake have the connect timeout between them.
    ///
    /// Dropping the future closes the connection; whoever waits on it is told.
    pub async fn drive<S: Socket, T: Timer>(
        self,
        connect: impl Future<Output = io::Result<S>> + Send,
        timer: T,
    ) {
        match self.0 {
            Kind::Serving(link) => link.drive(connect, timer).await,
            Kind::Watching(watcher) => watcher.drive(connect, timer).await,
        }
    }
}
