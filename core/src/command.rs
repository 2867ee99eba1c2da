//! The commands to a backend: one enum, borrowed from its caller.
//!
//! A command says *what* to do, never *how*: the in-memory store executes it, a connection encodes
//! it. By the time a command exists, expiry is resolved, keys are validated and values are bytes.
//!
//! All that others have to know of a command is in one place, `Command::facts`: its name, its keys
//! and values, its expiry, and what it does to its keys. A new command needs an arm there, one in
//! `resp/encode.rs` for the wire, one in `memory/store.rs` and one in `dummy.rs`. The client's
//! operation that sends it is in its `ops`.

use alloc::vec::Vec;
use core::slice;

use bytes::Bytes;

use crate::error::NumberError;
use crate::key::{Key, Keys};
pub use crate::number::Number;
use crate::pattern;
use crate::ttl::Expiry;

/// A command to a backend.
///
/// ```
/// use async_caches_core::command::Command;
/// use async_caches_core::key::KeySpace;
/// use async_caches_core::ttl::Expiry;
/// use bytes::Bytes;
///
/// let (space, value) = (KeySpace::default(), Bytes::from("\"Ada\""));
/// let key = space.scope(None)?.key(b"user:1");
/// let set = Command::Set { key, value: &value, expiry: Expiry::Never };
/// assert_eq!((set.name(), set.value()), ("SET", Some(&value)));
/// assert!(!set.changes_nothing()); // so it is never sent again once it may have run
/// assert!(Command::Get(key).changes_nothing());
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// Stores many values, each key with its timeout in one atomic step. There are as many values
    /// as keys. Answered by [`Reply::Done`](crate::reply::Reply::Done).
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
    /// Takes a key's timeout away without a script, by `PERSIST` and `EXISTS` in a row: for a
    /// server that lets its user run no scripts, see [`without_script`](Self::without_script).
    /// Answered by [`Reply::Flag`](crate::reply::Reply::Flag): whether the key was there after
    /// that.
    ///
    /// Another client may change the key between the two. If it stores the absent key with a
    /// timeout just then, the answer is yes and the timeout stays; if it removes the key, the
    /// answer is no.
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
    /// [`Reply::Topology`](crate::reply::Reply::Topology), or refused by a backend that is not a
    /// cluster.
    Topology(TopologyForm),
    /// Lets a replica of a cluster answer reads of its slots on this connection from now on,
    /// instead of redirecting them to its master. Answered by
    /// [`Reply::Done`](crate::reply::Reply::Done), or refused by a backend that is not a cluster;
    /// Valkey accepts it without a cluster too.
    ReadOnly,
}

/// The form of a request for the map of a cluster's slots.
///
/// ```
/// use async_caches_core::command::{Command, TopologyForm};
///
/// assert_eq!(Command::Topology(TopologyForm::Shards).name(), "CLUSTER SHARDS");
/// assert_eq!(Command::Topology(TopologyForm::Slots).name(), "CLUSTER SLOTS");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TopologyForm {
    /// `CLUSTER SHARDS`, since Redis 7.0: with the nodes' health and both of their ports.
    Shards,
    /// `CLUSTER SLOTS`, for older servers: with the port for the connection's own transport only.
    Slots,
}

/// The keys that a command is about.
///
/// ```
/// use async_caches_core::command::{Command, CommandKeys};
/// use async_caches_core::key::KeySpace;
///
/// let space = KeySpace::default();
/// let get = Command::Get(space.scope(None)?.key(b"user:1"));
/// assert!(matches!(get.keys(), CommandKeys::One(key) if key.name() == b"user:1"));
/// assert!(matches!(get.overrides(), CommandKeys::None)); // a read overrides no load
/// assert!(matches!(Command::Clear.overrides(), CommandKeys::All));
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub enum CommandKeys<'a> {
    /// No key.
    None,
    /// One key.
    One(Key<'a>),
    /// Keys of one scope.
    Many(Keys<'a>),
    /// Keys that are joined already.
    Whole(&'a [Bytes]),
    /// Every key that begins with these bytes.
    Stem(&'a [u8]),
    /// Every key of the database or namespace.
    All,
}

/// The number that [`Command::Incr`] begins with if its key is absent.
///
/// ```
/// use async_caches_core::command::{Number, Start};
/// use async_caches_core::ttl::Expiry;
///
/// let start = Start { initial: Number::Integer(10), expiry: Expiry::Never };
/// let (sum, text) = start.first(Number::Integer(5))?;
/// assert_eq!((sum, text.as_slice()), (Number::Integer(15), &b"15"[..]));
/// # Ok::<(), async_caches_core::error::NumberError>(())
/// ```
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

/// All that others have to know of a command.
struct Facts<'a> {
    name: &'static str,
    keys: CommandKeys<'a>,
    values: &'a [Bytes],
    expiry: Expiry,
    effect: Effect,
}

/// What a command does to its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    /// It changes nothing.
    Reads,
    /// It changes nothing, but begins the removal of all that it is about.
    BeginsRemoval,
    /// It changes entries that exist, and creates none.
    Adjusts,
    /// It creates, replaces or removes entries.
    Replaces,
}

impl<'a> Facts<'a> {
    #[inline(always)]
    const fn new(name: &'static str, effect: Effect, keys: CommandKeys<'a>) -> Self {
        Self { name, keys, values: &[], expiry: Expiry::Never, effect }
    }
}

impl<'a> Command<'a> {
    /// The one place that describes each command. Inlined, so that each caller computes only the
    /// facts that it uses.
    #[inline(always)]
    fn facts(&self) -> Facts<'a> {
        use CommandKeys::{All, Many, None, One, Stem, Whole};
        use Effect::{Adjusts, BeginsRemoval, Reads, Replaces};

        match self {
            Self::Get(key) => Facts::new("GET", Reads, One(*key)),
            Self::GetMany(keys) => Facts::new("MGET", Reads, Many(keys.clone())),
            Self::Set { key, value, expiry } => Facts {
                values: slice::from_ref(*value),
                expiry: *expiry,
                ..Facts::new("SET", Replaces, One(*key))
            },
            Self::Add { key, value, expiry } => Facts {
                values: slice::from_ref(*value),
                expiry: *expiry,
                ..Facts::new("SETNX", Replaces, One(*key))
            },
            Self::SetMany { keys, values, expiry } => Facts {
                values,
                expiry: *expiry,
                ..Facts::new("MSET", Replaces, Many(keys.first(values.len())))
            },
            Self::Delete(keys) => Facts::new("UNLINK", Replaces, Many(keys.clone())),
            Self::Clear => Facts::new("FLUSHDB", Replaces, All),
            Self::Scan { stem, cursor: 0 } => Facts::new("SCAN", BeginsRemoval, Stem(stem)),
            Self::Scan { stem, .. } => Facts::new("SCAN", Reads, Stem(stem)),
            Self::Unlink(keys) => Facts::new("UNLINK", Replaces, Whole(keys)),
            Self::Touch { key, expiry } => {
                Facts { expiry: *expiry, ..Facts::new("PEXPIRE", Adjusts, One(*key)) }
            }
            Self::Persist(key) => Facts::new("PERSIST", Adjusts, One(*key)),
            Self::Incr { key, start: Option::None, .. } => Facts::new("INCRBY", Adjusts, One(*key)),
            Self::Incr { key, start: Some(start), .. } => {
                Facts { expiry: start.expiry, ..Facts::new("INCRBY", Replaces, One(*key)) }
            }
            Self::DeleteIf { key, value } => Facts {
                values: slice::from_ref(*value),
                ..Facts::new("UNLINK", Replaces, One(*key))
            },
            Self::Contains(key) => Facts::new("EXISTS", Reads, One(*key)),
            Self::Remaining(key) => Facts::new("PTTL", Reads, One(*key)),
            Self::Ping => Facts::new("PING", Reads, None),
            Self::Topology(TopologyForm::Shards) => Facts::new("CLUSTER SHARDS", Reads, None),
            Self::Topology(TopologyForm::Slots) => Facts::new("CLUSTER SLOTS", Reads, None),
            Self::ReadOnly => Facts::new("READONLY", Reads, None),
        }
    }

    /// The server's name of the command, for logs and counts: `GET`. It reveals no keys or values.
    /// A command that is sent as several, or as a script, has the name of its effect:
    /// [`SetMany`](Self::SetMany) is `MSET`, [`Incr`](Self::Incr) is `INCRBY`,
    /// [`DeleteIf`](Self::DeleteIf) is `UNLINK`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.facts().name
    }

    /// The keys that it is about.
    #[inline]
    #[must_use]
    pub fn keys(&self) -> CommandKeys<'a> {
        self.facts().keys
    }

    /// The name of its first key, and how many keys it has; `None` if it names no key.
    #[must_use]
    pub fn names(&self) -> Option<(&'a [u8], usize)> {
        match self.facts().keys {
            CommandKeys::One(key) => Some((key.name(), 1)),
            CommandKeys::Many(keys) => Some((keys.iter().next()?.name(), keys.len())),
            CommandKeys::Whole(keys) => Some((keys.first()?, keys.len())),
            CommandKeys::None | CommandKeys::Stem(_) | CommandKeys::All => None,
        }
    }

    /// The value that it sends, if it is about one key and sends one.
    #[inline]
    #[must_use]
    pub fn value(&self) -> Option<&'a Bytes> {
        let facts = self.facts();
        if let CommandKeys::One(_) = facts.keys { facts.values.first() } else { None }
    }

    /// The length in bytes of the longest argument that the caller chose, as it is sent to a
    /// server.
    #[inline]
    #[must_use]
    pub fn largest_argument(&self) -> usize {
        let facts = self.facts();
        let key = match facts.keys {
            CommandKeys::One(key) => key.len(),
            CommandKeys::Many(keys) => keys.iter().map(|key| key.len()).max().unwrap_or(0),
            CommandKeys::Whole(keys) => keys.iter().map(Bytes::len).max().unwrap_or(0),
            CommandKeys::Stem(stem) => pattern::len(stem),
            CommandKeys::None | CommandKeys::All => 0,
        };
        key.max(facts.values.iter().map(Bytes::len).max().unwrap_or(0))
    }

    /// The timeout that it gives to its keys. `Never` if it gives none, and for
    /// [`Incr`](Self::Incr) that of a number it begins.
    #[inline]
    #[must_use]
    pub fn expiry(&self) -> Expiry {
        self.facts().expiry
    }

    /// The keys whose loads it overrides: once it is sent, a value that was loaded before may no
    /// longer be stored. [`CommandKeys::None`] if it creates, replaces and removes no entry.
    #[must_use]
    pub fn overrides(&self) -> CommandKeys<'a> {
        let facts = self.facts();
        match facts.effect {
            Effect::BeginsRemoval | Effect::Replaces => facts.keys,
            Effect::Reads | Effect::Adjusts => CommandKeys::None,
        }
    }

    /// A command that does the same without a script, in steps between which other clients may
    /// come. `None` if it is sent as no script, or if only a script does it in one step, as its
    /// callers rely on.
    #[must_use]
    pub fn without_script(&self) -> Option<Self> {
        if let Self::Touch { key, expiry: Expiry::Never } = self {
            Some(Self::Persist(*key))
        } else {
            None
        }
    }

    /// Whether it can be sent as several commands of its kind, each for some of its keys. Their
    /// replies together are the reply to the whole, though not of one moment.
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
        match self.facts().effect {
            Effect::Reads | Effect::BeginsRemoval => true,
            Effect::Adjusts | Effect::Replaces => false,
        }
    }
}

#[cfg(test)]
mod tests;
