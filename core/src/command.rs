//! The commands to a backend: one enum, borrowed from its caller.
//!
//! A command says *what* to do, never *how*: the in-memory store executes it, a connection encodes
//! it. By the time a command exists, expiry is resolved, keys are validated and values are bytes.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::cluster::map::Form;
use crate::error::NumberError;
use crate::key::{Key, Keys};
use crate::number::Number;
use crate::ttl::Expiry;

/// A command to a backend.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// The value of a key. Answered by [`Reply::Value`](crate::reply::Reply::Value).
    Get(Key<'a>),
    /// The values of keys, in order. Answered by [`Reply::Values`](crate::reply::Reply::Values).
    GetMany(Keys<'a>),
    /// Stores a value, over any old one. Answered by [`Reply::Done`](crate::reply::Reply::Done).
    Set {
        /// The key.
        key: Key<'a>,
        /// The value.
        value: &'a Bytes,
        /// How long the value lives.
        expiry: Expiry,
    },
    /// Stores a value if the key is absent. Answered by [`Reply::Flag`](crate::reply::Reply::Flag):
    /// whether it was stored.
    Add {
        /// The key.
        key: Key<'a>,
        /// The value.
        value: &'a Bytes,
        /// How long the value lives.
        expiry: Expiry,
    },
    /// Stores many values, each key with its timeout in one atomic step. There are as many values as
    /// keys. Answered by [`Reply::Done`](crate::reply::Reply::Done).
    SetMany {
        /// The keys.
        keys: Keys<'a>,
        /// The values, in the order of the keys.
        values: &'a [Bytes],
        /// How long each value lives.
        expiry: Expiry,
    },
    /// Removes keys. Answered by [`Reply::Count`](crate::reply::Reply::Count): how many of them
    /// existed.
    Delete(Keys<'a>),
    /// Removes every key of the database or namespace, whatever its prefix. Answered by
    /// [`Reply::Done`](crate::reply::Reply::Done).
    Clear,
    /// One step through the keys that begin with `stem`. Answered by
    /// [`Reply::Scanned`](crate::reply::Reply::Scanned).
    Scan {
        /// The bytes that the keys begin with, taken literally.
        stem: &'a [u8],
        /// Zero at first, then the cursor that the last step returned.
        cursor: u64,
    },
    /// Removes whole keys, as [`Command::Scan`] returned them. Answered by
    /// [`Reply::Count`](crate::reply::Reply::Count).
    Unlink(&'a [Bytes]),
    /// Gives a key a new timeout. Answered by [`Reply::Flag`](crate::reply::Reply::Flag): whether
    /// the key existed.
    Touch {
        /// The key.
        key: Key<'a>,
        /// The new timeout from now on; `Never` takes the timeout away.
        expiry: Expiry,
    },
    /// Takes a key's timeout away without a script, by `PERSIST` and `EXISTS` in a row: for a server
    /// that lets its user run no scripts, see [`without_script`](Self::without_script).
    /// Answered by [`Reply::Flag`](crate::reply::Reply::Flag): whether the key was there after that.
    ///
    /// Another client may change the key between the two. If it stores the absent key with a timeout just
    /// then, the answer is yes and the timeout stays; if it removes the key, the answer is no.
    Persist(Key<'a>),
    /// Adds to a number in one atomic step; the key keeps its timeout. Answered by
    /// [`Reply::Number`](crate::reply::Reply::Number) or refused with a
    /// [`NumberError`].
    Incr {
        /// The key.
        key: Key<'a>,
        /// The number to add; the answer is of the same kind.
        delta: Number,
        /// The number to begin with if the key is absent, in the same atomic step. Without it an
        /// absent key is an error.
        start: Option<&'a Start>,
    },
    /// Removes a key if its value is this one, byte for byte, in one atomic step. Answered by
    /// [`Reply::Flag`](crate::reply::Reply::Flag): whether it was removed.
    DeleteIf {
        /// The key.
        key: Key<'a>,
        /// The value that the key must hold.
        value: &'a Bytes,
    },
    /// Whether a key exists. Answered by [`Reply::Flag`](crate::reply::Reply::Flag).
    Contains(Key<'a>),
    /// How long a key has left. Answered by [`Reply::Remaining`](crate::reply::Reply::Remaining).
    Remaining(Key<'a>),
    /// Whether the backend is reachable. Answered by [`Reply::Done`](crate::reply::Reply::Done).
    Ping,
    /// Which nodes of a cluster serve which slots, as a node sees it. Answered by
    /// [`Reply::Topology`](crate::reply::Reply::Topology), or refused by a backend that is not a cluster.
    Topology(Form),
    /// Lets a replica of a cluster answer reads of its slots on this connection from now on, instead of
    /// redirecting them to its master. Answered by [`Reply::Done`](crate::reply::Reply::Done), or refused
    /// by a backend that is not a cluster; Valkey accepts it without a cluster too.
    ReadOnly,
}

/// The initial value of an absent key that is added to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Start {
    /// The number to which the delta is added.
    pub initial: Number,
    /// How long the key lives from then on; later additions do not change it.
    pub expiry: Expiry,
}

impl Start {
    /// The sum of the initial number and `delta`, and its text.
    ///
    /// # Errors
    /// As [`Number::add_to`], for the initial number.
    pub fn first(&self, delta: Number) -> Result<(Number, Vec<u8>), NumberError> {
        delta.add_to(&self.initial.text().ok_or(NumberError::Overflow)?)
    }
}

impl Command<'_> {
    /// The server's name of the command, for logs and counts: `GET`. It reveals no keys or values. A command
    /// that is sent as several, or as a script, has the name of its effect:
    /// [`SetMany`](Self::SetMany) is `MSET`, [`Incr`](Self::Incr) is `INCRBY`,
    /// [`DeleteIf`](Self::DeleteIf) is `UNLINK`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get(_) => "GET",
            Self::GetMany(_) => "MGET",
            Self::Set { .. } => "SET",
            Self::Add { .. } => "SETNX",
            Self::SetMany { .. } => "MSET",
            Self::Delete(_) | Self::Unlink(_) | Self::DeleteIf { .. } => "UNLINK",
            Self::Clear => "FLUSHDB",
            Self::Scan { .. } => "SCAN",
            Self::Touch { .. } => "PEXPIRE",
            Self::Persist(_) => "PERSIST",
            Self::Incr { .. } => "INCRBY",
            Self::Contains(_) => "EXISTS",
            Self::Remaining(_) => "PTTL",
            Self::Ping => "PING",
            Self::Topology(Form::Shards) => "CLUSTER SHARDS",
            Self::Topology(Form::Slots) => "CLUSTER SLOTS",
            Self::ReadOnly => "READONLY",
        }
    }

    /// The name of its first key, and how many keys it has; `None` if it has no key.
    #[must_use]
    pub fn names(&self) -> Option<(&[u8], usize)> {
        match self {
            Self::Get(key) | Self::Persist(key) | Self::Contains(key) | Self::Remaining(key) => {
                Some((key.name(), 1))
            }
            Self::Set { key, .. }
            | Self::Add { key, .. }
            | Self::Touch { key, .. }
            | Self::Incr { key, .. }
            | Self::DeleteIf { key, .. } => Some((key.name(), 1)),
            Self::GetMany(keys) | Self::SetMany { keys, .. } | Self::Delete(keys) => {
                Some((keys.iter().next()?.name(), keys.len()))
            }
            Self::Unlink(keys) => Some((keys.first()?, keys.len())),
            Self::Clear | Self::Scan { .. } | Self::Ping | Self::Topology(_) | Self::ReadOnly => {
                None
            }
        }
    }

    /// A command that does the same without a script, in steps between which other clients may come. `None`
    /// if it is sent as no script, or if only a script does it in one step, as its callers rely on.
    #[must_use]
    pub fn without_script(&self) -> Option<Self> {
        match self {
            Self::Touch { key, expiry: Expiry::Never } => Some(Self::Persist(*key)),
            Self::Touch { expiry: Expiry::Millis(_), .. }
            | Self::Get(_)
            | Self::GetMany(_)
            | Self::Set { .. }
            | Self::Add { .. }
            | Self::SetMany { .. }
            | Self::Delete(_)
            | Self::Clear
            | Self::Scan { .. }
            | Self::Unlink(_)
            | Self::Persist(_)
            | Self::Incr { .. }
            | Self::DeleteIf { .. }
            | Self::Contains(_)
            | Self::Remaining(_)
            | Self::Ping
            | Self::Topology(_)
            | Self::ReadOnly => None,
        }
    }

    /// Whether it can be sent as several commands of its kind, each for some of its keys. Their replies
    /// together are the reply to the whole, though not of one moment.
    #[must_use]
    pub fn is_divisible(&self) -> bool {
        matches!(self, Self::GetMany(keys) if keys.len() > 1)
    }

    /// Whether this command changes nothing, however often and however late it runs.
    ///
    /// Only such a command may be sent again after it may have reached a server. The first copy may
    /// still be unread there, and would run after commands that were acknowledged in the meantime.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        match self {
            Self::Get(_)
            | Self::GetMany(_)
            | Self::Scan { .. }
            | Self::Contains(_)
            | Self::Remaining(_)
            | Self::Ping
            | Self::Topology(_)
            | Self::ReadOnly => true,
            Self::Set { .. }
            | Self::Add { .. }
            | Self::SetMany { .. }
            | Self::Delete(_)
            | Self::Clear
            | Self::Unlink(_)
            | Self::Touch { .. }
            | Self::Persist(_)
            | Self::Incr { .. }
            | Self::DeleteIf { .. } => false,
        }
    }
}
