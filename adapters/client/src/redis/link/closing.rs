//! How far a link is on its way out, and why.

use crate::error::LinkError;

/// How far a link is on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closing {
    /// It stays.
    No,
    /// It goes once nobody waits for anything.
    Drained,
    /// It goes now.
    Now,
    /// It goes now, as the master is elsewhere, or its node has failed.
    Moved,
}

impl Closing {
    /// Why a link that goes now does so.
    pub(super) fn now(self) -> Option<LinkError> {
        match self {
            Self::No | Self::Drained => None,
            Self::Now => Some(LinkError::Closed),
            Self::Moved => Some(LinkError::Moved),
        }
    }
}
