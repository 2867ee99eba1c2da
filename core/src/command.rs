//! What a backend may be asked: one enum, borrowed from its caller.
//!
//! A command says *what*, never *how*: the in-memory store executes it, a connection encodes it.
//! Expiry is resolved, keys are validated and values are bytes by the time a command exists.

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
    /// Stores a value, whatever was there. Answered by [`Reply::Done`](crate::reply::Reply::Done).
    Set {
        /// Where.
        key: Key<'a>,
        /// What.
        value: &'a Bytes,
        /// For how long.
        expiry: Expiry,
    },
    /// Stores a value only where none is. Answered by [`Reply::Flag`](crate::reply::Reply::Flag):
    /// whether it was stored.
    Add {
        /// Where.
        key: Key<'a>,
        /// What.
        value: &'a Bytes,
        /// For how long.
        expiry: Expiry,
    },
    /// Stores many values, each key with its timeout in one atomic step. The keys and the values
    /// are equally many. Answered by [`Reply::Done`](crate::reply::Reply::Done).
    SetMany {
        /// Where.
        keys: Keys<'a>,
        /// What, in the order of the keys.
        values: &'a [Bytes],
        /// For how long, each.
        expiry: Expiry,
    },
    /// Removes keys. Answered by [`Reply::Count`](crate::reply::Reply::Count): how many were
    /// there.
    Delete(Keys<'a>),
    /// Removes every key of the database or namespace, whatever its prefix. Answered by
    /// [`Reply::Done`](crate::reply::Reply::Done).
    Clear,
    /// One step through the keys that begin with `stem`. Answered by
    /// [`Reply::Scanned`](crate::reply::Reply::Scanned).
    Scan {
        /// What the keys begin with, taken literally.
        stem: &'a [u8],
        /// Zero to begin with, then what the last step answered.
        cursor: u64,
    },
    /// Removes keys given whole, as [`Command::Scan`] answered them. Answered by
    /// [`Reply::Count`](crate::reply::Reply::Count).
    Unlink(&'a [Bytes]),
    /// Gives a key a new timeout. Answered by [`Reply::Flag`](crate::reply::Reply::Flag): whether
    /// the key was there.
    Touch {
        /// Which.
        key: Key<'a>,
        /// For how long from now; never means that it loses its timeout.
        expiry: Expiry,
    },
    /// Adds to a number in one atomic step; the key keeps its timeout. Answered by
    /// [`Reply::Number`](crate::reply::Reply::Number) or refused with a
    /// [`NumberError`].
    Incr {
        /// Which.
        key: Key<'a>,
        /// How much; its kind is the kind of the answer.
        delta: Number,
        /// What to begin with if the key is not there, in the same atomic step; without it an absent
        /// key is an error.
        start: Option<&'a Start>,
    },
    /// Removes a key if its value is this one, byte for byte, in one atomic step. Answered by
    /// [`Reply::Flag`](crate::reply::Reply::Flag): whether it was removed.
    DeleteIf {
        /// Which.
        key: Key<'a>,
        /// What it must hold.
        value: &'a Bytes,
    },
    /// Whether a key is there. Answered by [`Reply::Flag`](crate::reply::Reply::Flag).
    Contains(Key<'a>),
    /// How long a key has left. Answered by [`Reply::Remaining`](crate::reply::Reply::Remaining).
    Remaining(Key<'a>),
    /// Whether the backend is there. Answered by [`Reply::Done`](crate::reply::Reply::Done).
    Ping,
    /// Which nodes of a cluster serve which slots, as a node sees it. Answered by
    /// [`Reply::Topology`](crate::reply::Reply::Topology), or refused by a backend that is no cluster.
    Topology(Form),
    /// A replica of a cluster answers reads of its slots on this connection from now on, instead of
    /// naming its master. Answered by [`Reply::Done`](crate::reply::Reply::Done), or refused by a
    /// backend that is no cluster; Valkey knows it without one as well.
    ReadOnly,
}

/// What an absent key is given before it is added to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Start {
    /// The number that is added to first.
    pub initial: Number,
    /// How long the key lives from then on; later additions leave that as it is.
    pub expiry: Expiry,
}

impl Start {
    /// The number of a key that begins with this and is added to at once, and its text.
    ///
    /// # Errors
    /// As [`Number::add_to`], for the initial number.
    pub fn first(&self, delta: Number) -> Result<(Number, Vec<u8>), NumberError> {
        delta.add_to(&self.initial.text().ok_or(NumberError::Overflow)?)
    }
}

impl Command<'_> {
    /// What a server calls it, for logs and counts: `GET`. It tells nothing of keys or values. A command
    /// that is sent as several, or as a script, goes by what it comes to: [`SetMany`](Self::SetMany) by `MSET`,
    /// [`Incr`](Self::Incr) by `INCRBY`, [`DeleteIf`](Self::DeleteIf) by `UNLINK`.
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
            Self::Incr { .. } => "INCRBY",
            Self::Contains(_) => "EXISTS",
            Self::Remaining(_) => "PTTL",
            Self::Ping => "PING",
            Self::Topology(Form::Shards) => "CLUSTER SHARDS",
            Self::Topology(Form::Slots) => "CLUSTER SLOTS",
            Self::ReadOnly => "READONLY",
        }
    }

    /// The name of its key, of several the first, and how many there are; `None` if it names none.
    #[must_use]
    pub fn names(&self) -> Option<(&[u8], usize)> {
        match self {
            Self::Get(key) | Self::Contains(key) | Self::Remaining(key) => Some((key.name(), 1)),
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

    /// Whether it can be sent as several of its kind, each for some of its keys, whose replies
    /// together say the same, though not of one moment.
    #[must_use]
    pub fn is_divisible(&self) -> bool {
        matches!(self, Self::GetMany(keys) if keys.len() > 1)
    }

    /// Whether running this command changes nothing, however often and however late it runs.
    ///
    /// Only such a command may be sent again after it may have reached a server: the first of the
    /// two may still lie there unread, and run behind what was acknowledged in the meantime.
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
            | Self::Incr { .. }
            | Self::DeleteIf { .. } => false,
        }
    }
}
