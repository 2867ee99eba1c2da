//! Whether and how a connection is closing, and why.

use crate::error::ConnectionFailure;

/// Whether and how a connection is closing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closing {
    /// It stays open.
    No,
    /// It ends once no caller waits for anything.
    Drained,
    /// It ends now.
    Now,
    /// It ends now, as the master is elsewhere, or its node has failed.
    Moved,
}

impl Closing {
    /// Why a connection that ends now does so.
    pub(in crate::redis) fn now(self) -> Option<ConnectionFailure> {
        match self {
            Self::No | Self::Drained => None,
            Self::Now => Some(ConnectionFailure::Closed),
            Self::Moved => Some(ConnectionFailure::Moved),
        }
    }
}
