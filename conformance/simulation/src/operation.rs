//! What operations there are, what each sends, and what each may come to.

use bytes::Bytes;

use crate::said::Said;
use crate::wire::Wire;

/// A kind of operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Get,
    GetMany,
    Set,
    Add,
    SetMany,
    Delete,
    DeleteMany,
    Touch,
    Incr,
    /// An addition that creates its key if need be.
    Count,
    DeleteIf,
    Contains,
    Remaining,
    Ping,
    Clear,
    ClearPrefix,
    Load,
    Connect,
    Disconnect,
}

/// What came of an operation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    /// This, for a command of this kind on its first key.
    Said(Wire, Said),
    /// `OK` for each of its keys.
    Stored,
    /// For each of its keys what is there, in its order: asked in parts.
    Parts(Vec<(Bytes, Said)>),
    /// So many of its keys were removed: asked in parts.
    Removed(i64),
    /// A value, stored or loaded.
    Value(Bytes),
    /// Nothing that can be told apart.
    Done,
    /// Its own loader failed.
    LoaderFailed,
    Failed(Failed),
}

/// How an operation failed.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Failed {
    NotConnected,
    Overloaded,
    Outage {
        may_have_run: bool,
        timeout: bool,
        lost: bool,
    },
    /// It has ended its connections.
    Ended {
        may_have_run: bool,
    },
    Server(String),
    /// As many redirects as are followed.
    Redirects,
    Unreadable,
    Other(String),
}

impl Kind {
    /// Whether it forbids loads under way to be stored.
    pub(crate) fn writes(self) -> bool {
        match self {
            Self::Set
            | Self::Add
            | Self::SetMany
            | Self::Delete
            | Self::DeleteMany
            | Self::Count
            | Self::DeleteIf
            | Self::Clear
            | Self::ClearPrefix => true,
            Self::Get
            | Self::GetMany
            | Self::Touch
            | Self::Incr
            | Self::Contains
            | Self::Remaining
            | Self::Ping
            | Self::Load
            | Self::Connect
            | Self::Disconnect => false,
        }
    }

    /// Which commands it sends.
    pub(crate) fn sends(self, wire: Wire) -> bool {
        matches!(
            (self, wire),
            (Self::Get | Self::Load, Wire::Get)
                | (Self::GetMany, Wire::GetMany)
                | (Self::Set | Self::SetMany | Self::Load, Wire::Set)
                | (Self::Add, Wire::Add)
                | (Self::Delete | Self::DeleteMany | Self::ClearPrefix, Wire::Unlink)
                | (Self::Touch, Wire::Expire | Wire::Persist)
                | (Self::Incr | Self::Count, Wire::Incr)
                | (Self::DeleteIf, Wire::DeleteIf)
                | (Self::Contains, Wire::Exists)
                | (Self::Remaining, Wire::Remaining)
                | (Self::Ping, Wire::Ping)
                | (Self::Clear, Wire::Flush)
                | (Self::ClearPrefix, Wire::Scan)
        )
    }
}
