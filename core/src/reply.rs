//! What a backend may answer: one enum of typed replies.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::error::Failure;
use crate::number::Number;

/// What became of a command that a backend answered.
pub type Answer = Result<Reply, Failure>;

/// A typed reply; [`Command`](crate::command::Command) tells which command gets which.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// It is done.
    Done,
    /// The value, where there was one.
    Value(Option<Bytes>),
    /// The values in the order asked, each where there was one.
    Values(Vec<Option<Bytes>>),
    /// Yes or no.
    Flag(bool),
    /// How many.
    Count(u64),
    /// The new number; of the kind of the delta that was asked for.
    Number(Number),
    /// How long a key has left.
    Remaining(Remaining),
    /// One step of a scan.
    Scanned {
        /// Where to go on, or zero where the scan is complete.
        cursor: u64,
        /// The whole keys found in this step; a key may be found in more than one.
        keys: Vec<Bytes>,
    },
    /// The nodes of a cluster and their slots, as the whole frame that a node answered with:
    /// [`SlotMap::read`](crate::cluster::map::SlotMap::read) reads it.
    Topology(Bytes),
}

/// How long a key has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remaining {
    /// The key is not there, or has expired.
    Absent,
    /// The key is there and never expires.
    Forever,
    /// The key expires after this long, in whole milliseconds.
    For(Duration),
}
