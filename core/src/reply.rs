//! The replies of a backend: one enum, typed.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::error::Failure;
use crate::number::Number;

/// The outcome of a command that a backend answered.
pub type Answer = Result<Reply, Failure>;

/// A typed reply; [`Command`](crate::command::Command) documents which command gets which.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// It is done.
    Done,
    /// The value, if the key has one.
    Value(Option<Bytes>),
    /// The values in the order of the keys; `None` for each key without one.
    Values(Vec<Option<Bytes>>),
    /// Yes or no.
    Flag(bool),
    /// How many.
    Count(u64),
    /// The new number, of the same kind as the delta.
    Number(Number),
    /// How long a key has left.
    Remaining(Remaining),
    /// One step of a scan.
    Scanned {
        /// The cursor of the next step, or zero if the scan is complete.
        cursor: u64,
        /// The whole keys found in this step; a key may be found in more than one.
        keys: Vec<Bytes>,
    },
    /// The nodes of a cluster and their slots, as the whole frame that a node sent:
    /// [`SlotMap::read`](crate::cluster::map::SlotMap::read) reads it.
    Topology(Bytes),
}

/// How long a key has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remaining {
    /// The key does not exist, or has expired.
    Absent,
    /// The key exists and never expires.
    Forever,
    /// The key expires after this long, in whole milliseconds.
    For(Duration),
}
