//! The kinds of operations, the commands that each sends, and the outcomes that each may have.

use async_caches_conformance::server_reply::ServerReply;
use bytes::Bytes;

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

/// The outcome of an operation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    /// This reply, for a command of this kind on its first key.
    Reply(Wire, ServerReply),
    /// `OK` for each of its keys.
    Stored,
    /// The value of each of its keys, in its order: requested in parts.
    Parts(Vec<(Bytes, ServerReply)>),
    /// This many of its keys were removed: requested in parts.
    Removed(i64),
    /// A value, stored or loaded.
    Value(Bytes),
    /// A success without a value to check.
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
    /// As many redirects as a call follows.
    Redirects,
    Unreadable,
    Other(String),
}

impl Kind {
    /// Whether it keeps loads that are under way from being stored.
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

    /// Whether it sends commands of this kind.
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
