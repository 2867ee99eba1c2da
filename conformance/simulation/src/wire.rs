//! A command on the wire: its kind, its keys, and the operation whose token it bears.
//!
//! Each value, delta, timeout of a touch and name of a ghost (a key that is never stored) belongs
//! to one operation only. So most commands identify their operation. A plain `GET`, `EXISTS`,
//! `PTTL`, `UNLINK` or a scan does not.

use async_caches_conformance::request::Request;

/// A kind of command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Wire {
    Get,
    GetMany,
    Set,
    Add,
    Unlink,
    Exists,
    Remaining,
    Expire,
    Persist,
    Incr,
    DeleteIf,
    Scan,
    Flush,
    Ping,
}

impl Wire {
    /// All kinds.
    pub(crate) const ALL: [Self; 14] = [
        Self::Scan,
        Self::Get,
        Self::GetMany,
        Self::Set,
        Self::Add,
        Self::Unlink,
        Self::Exists,
        Self::Remaining,
        Self::Expire,
        Self::Persist,
        Self::Incr,
        Self::DeleteIf,
        Self::Flush,
        Self::Ping,
    ];

    /// The kind of a command, unless it belongs to a handshake.
    pub(crate) fn of(asked: &Request) -> Option<Self> {
        Some(match asked.word(0) {
            b"GET" => Self::Get,
            b"MGET" => Self::GetMany,
            b"SET" if (3..asked.len()).any(|at| asked.word(at) == b"NX") => Self::Add,
            b"SET" => Self::Set,
            b"UNLINK" => Self::Unlink,
            b"EXISTS" => Self::Exists,
            b"PTTL" => Self::Remaining,
            b"PEXPIRE" => Self::Expire,
            b"EVAL" | b"EVALSHA" if asked.len() == 4 => Self::Persist,
            b"EVAL" | b"EVALSHA" if asked.len() == 5 => Self::DeleteIf,
            b"EVAL" | b"EVALSHA" => Self::Incr,
            b"SCAN" => Self::Scan,
            b"FLUSHDB" => Self::Flush,
            b"PING" => Self::Ping,
            _ => return None,
        })
    }

    /// The position of the command's first key.
    pub(crate) fn key_at(self) -> Option<usize> {
        match self {
            Self::Get
            | Self::GetMany
            | Self::Set
            | Self::Add
            | Self::Unlink
            | Self::Exists
            | Self::Remaining
            | Self::Expire => Some(1),
            Self::Persist | Self::Incr | Self::DeleteIf => Some(3),
            Self::Scan | Self::Flush | Self::Ping => None,
        }
    }

    /// The positions of all keys of the command.
    pub(crate) fn keys_at(self, asked: &Request) -> std::ops::Range<usize> {
        match (self, self.key_at()) {
            (_, None) => 0..0,
            (Self::GetMany | Self::Unlink | Self::Exists, Some(first)) => first..asked.len(),
            (_, Some(first)) => first..first + 1,
        }
    }

    /// The operation whose token the command bears.
    pub(crate) fn token(self, asked: &Request) -> Option<usize> {
        match self {
            Self::Set | Self::Add => in_value(asked.word(2)),
            Self::GetMany | Self::Unlink => {
                (1..asked.len()).find_map(|at| in_ghost(asked.word(at)))
            }
            Self::Expire => number(asked.word(2))?.checked_sub(TOUCH),
            Self::Incr => {
                let delta = asked.word(5);
                let delta = delta.strip_prefix(b"-").unwrap_or(delta);
                number(delta.split(|byte| *byte == b'.').next()?)
            }
            Self::Get
            | Self::Exists
            | Self::Remaining
            | Self::Persist
            | Self::DeleteIf
            | Self::Scan
            | Self::Flush
            | Self::Ping => None,
        }
    }

    /// Whether running it changes nothing.
    pub(crate) fn changes_nothing(self) -> bool {
        match self {
            Self::Get
            | Self::GetMany
            | Self::Exists
            | Self::Remaining
            | Self::Scan
            | Self::Ping => true,
            Self::Set
            | Self::Add
            | Self::Unlink
            | Self::Expire
            | Self::Persist
            | Self::Incr
            | Self::DeleteIf
            | Self::Flush => false,
        }
    }

    /// For how many milliseconds the command stores its value.
    pub(crate) fn expiry(self, asked: &Request) -> Option<usize> {
        if self == Self::Incr {
            return (asked.len() > 7).then(|| number(asked.word(7))).flatten();
        }
        let at = (3..asked.len()).find(|at| asked.word(*at) == b"PX")?;
        number(asked.word(at + 1))
    }
}

/// The operation whose value this is: a JSON text that ends in its number, or the number alone.
pub(crate) fn in_value(value: &[u8]) -> Option<usize> {
    match value.strip_suffix(b"\"") {
        Some(text) => number(text.rsplit(|byte| *byte == b'#').next()?),
        None => number(value),
    }
}

fn in_ghost(key: &[u8]) -> Option<usize> {
    let name = key.rsplit(|byte| *byte == b':').next()?;
    number(name.strip_prefix(b"ghost")?)
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A touch's timeout in milliseconds is this much more than its operation's number.
pub(crate) const TOUCH: usize = 50;
