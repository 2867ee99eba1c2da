//! The replies of a backend: one enum, typed.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::error::Failure;
use crate::number::Number;

/// The outcome of a command that a backend answered.
pub type Answer = Result<Reply, Failure>;

/// A typed reply; [`Command`](crate::command::Command) documents which command gets which.
///
/// ```
/// use async_caches_core::command::Command;
/// use async_caches_core::dummy;
/// use async_caches_core::key::KeySpace;
/// use async_caches_core::reply::Reply;
///
/// let space = KeySpace::default();
/// let get = Command::Get(space.scope(None)?.key(b"user:1"));
/// match dummy::execute(&get)? {
///     Reply::Value(None) => {} // the backend caches nothing
///     other => panic!("a Get is answered by a Value: {other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
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
///
/// ```
/// use async_caches_core::reply::Remaining;
/// use core::time::Duration;
///
/// /// Whether the entry is worth loading anew now.
/// fn is_ending(remaining: Remaining) -> bool {
///     match remaining {
///         Remaining::Absent => true,
///         Remaining::Forever => false,
///         Remaining::For(span) => span < Duration::from_secs(10),
///     }
/// }
///
/// assert!(is_ending(Remaining::For(Duration::from_millis(1))) && !is_ending(Remaining::Forever));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remaining {
    /// The key does not exist, or has expired.
    Absent,
    /// The key exists and never expires.
    Forever,
    /// The key expires after this long, in whole milliseconds.
    For(Duration),
}
