//! Errors, one enum per layer: the caller asked for something impossible, the backend refused, or
//! the peer broke the protocol.
//!
//! Errors carry data and name the part of the input that is at fault. No error ever contains a
//! password. Text that a server sent is quoted and bounded ([`ServerError`]).

mod proxies;

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use thiserror::Error;

mod withheld;

/// A prefix or a version that no key can be built from.
///
/// ```
/// use async_caches_core::error::KeyError;
/// use async_caches_core::key::{KeySpace, Version};
///
/// let error = KeySpace::new("a:b", Version::None).unwrap_err();
/// assert_eq!(error, KeyError::ColonInPrefix { prefix: "a:b".into() });
/// assert_eq!(error.to_string(), "the key prefix \"a:b\" holds a colon");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The prefix contains a colon, which would let one cache reach another's keys.
    #[error("the key prefix {prefix:?} holds a colon")]
    ColonInPrefix {
        /// The prefix, cut to a sane length.
        prefix: Box<str>,
    },
    /// The version contains a colon, which would let one version reach another's keys.
    #[error("the version {version:?} holds a colon")]
    ColonInVersion {
        /// The version, cut to a sane length.
        version: Box<str>,
    },
}

/// A timeout that no entry can have.
///
/// ```
/// use async_caches_core::error::TimeoutError;
/// use async_caches_core::ttl::Expiry;
/// use core::time::Duration;
///
/// assert_eq!(Expiry::after(Duration::ZERO), Err(TimeoutError::Zero));
/// assert_eq!(Expiry::after(Duration::MAX), Err(TimeoutError::TooLong));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TimeoutError {
    /// The timeout is zero.
    #[error("the timeout is zero; leave it out, or say forever, for an entry that never expires")]
    Zero,
    /// The timeout is longer than [`Expiry::MAX_MILLIS`](crate::ttl::Expiry::MAX_MILLIS).
    #[error("the timeout is longer than 2^53 milliseconds")]
    TooLong,
}

/// Why adding to a number failed; the stored value is unchanged.
///
/// ```
/// use async_caches_core::command::Number;
/// use async_caches_core::error::NumberError;
///
/// assert_eq!(Number::Integer(1).add_to(b"\"Ada\""), Err(NumberError::NotANumber));
/// assert_eq!(Number::Integer(1).add_to(b"1.5"), Err(NumberError::NotAnInteger));
/// let most = i64::MAX.to_string();
/// assert_eq!(Number::Integer(1).add_to(most.as_bytes()), Err(NumberError::Overflow));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum NumberError {
    /// The key does not exist, or has expired.
    #[error("the key is not in the cache")]
    KeyNotFound,
    /// The stored value is not a JSON number.
    #[error("the stored value is not a number")]
    NotANumber,
    /// The delta is an integer and the stored number has a fraction or an exponent.
    #[error("the stored value is not an integer, and the delta is one")]
    NotAnInteger,
    /// The sum is outside of an `i64`, or not a finite `f64`.
    #[error("the sum is out of range")]
    Overflow,
}

/// Why a backend did not execute a command.
///
/// ```
/// use async_caches_core::error::{Failure, NumberError, ServerError};
///
/// /// Whether the same command may succeed later.
/// fn is_temporary(failure: &Failure) -> bool {
///     matches!(failure, Failure::Server(error) if error.kind.is_outage())
/// }
///
/// assert!(is_temporary(&ServerError::parse(b"LOADING Redis is loading the dataset").into()));
/// assert!(!is_temporary(&NumberError::NotANumber.into()));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The stored value cannot be added to.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// The server replied with an error.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// An error reply of a server.
///
/// The kind is the reply's first word. The text is what the server wrote, with control characters
/// escaped, followed by [the key](ServerError::about) that the error is about if the server did not
/// name it. The text is cut after [`ServerError::MAX_TEXT`] characters, or after
/// [`ServerError::MAX_REDIRECT`] if it is a redirect, since a node's name may be long. It may quote
/// what the server was sent, such as a command's first arguments. If a password was among those,
/// the words are [withheld](ServerError::withheld).
///
/// ```
/// use async_caches_core::error::{ServerError, ServerErrorKind};
///
/// let error = ServerError::parse(b"WRONGTYPE Operation against a key");
/// assert_eq!(error.kind, ServerErrorKind::WrongType);
/// let error = error.about(b"::user:1");
/// assert_eq!(error.text(), "WRONGTYPE Operation against a key (key: ::user:1)");
/// assert!(!error.may_have_run());
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the server answered {text:?}")]
pub struct ServerError {
    /// What kind of error it is.
    pub kind: ServerErrorKind,
    text: Box<str>,
}

/// The kinds of errors that a Redis or Valkey server replies with, by their first word.
///
/// ```
/// use async_caches_core::error::{ServerError, ServerErrorKind};
///
/// let kind = ServerError::parse(b"LOADING Redis is loading the dataset in memory").kind;
/// assert_eq!(kind, ServerErrorKind::Loading);
/// assert!(kind.is_outage()); // a later attempt may succeed
/// assert!(ServerErrorKind::WrongPass.is_refusal_of_credentials()); // no later attempt does
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ServerErrorKind {
    /// `LOADING`: the server is still reading its data from disk.
    Loading,
    /// `BUSY`: a script is running.
    Busy,
    /// `NOSCRIPT`: the server has no script with this digest.
    NoScript,
    /// `READONLY`: the server is a replica.
    ReadOnly,
    /// `MASTERDOWN`: the server is a replica that has lost its master.
    MasterDown,
    /// `NOREPLICAS`: the server has too few replicas to accept a write.
    NoReplicas,
    /// `MISCONF`: the server cannot persist its data, and accepts no writes.
    Misconf,
    /// `OOM`: the server's memory is full, and it accepts no writes.
    OutOfMemory,
    /// `NOAUTH`: the server requires credentials first.
    NoAuth,
    /// `WRONGPASS`: the credentials are wrong. Also older servers' texts with this meaning after
    /// `ERR`.
    WrongPass,
    /// `NOPERM`: the user may not do this.
    NoPerm,
    /// `NOPROTO`: the server does not speak the requested protocol version.
    NoProto,
    /// `WRONGTYPE`: the key holds a value that is not a string.
    WrongType,
    /// `MOVED`: another node of the cluster serves the key. See
    /// [`Redirect`](crate::cluster::redirect::Redirect).
    Moved,
    /// `ASK`: another node of the cluster serves the key for this one request.
    Ask,
    /// `TRYAGAIN`: the keys of one command are on two nodes, because their slot is being moved.
    TryAgain,
    /// `CLUSTERDOWN`: the cluster is incomplete, or no node serves the key.
    ClusterDown,
    /// `CROSSSLOT`: the keys of one command belong to several slots.
    CrossSlot,
    /// `ERR max number of clients reached`.
    MaxClients,
    /// `DENIED`: the server is in protected mode, and accepts no connection from this host.
    Denied,
    /// A proxy in front of the server cannot reach it, or has lost it: Envoy's `upstream failure`,
    /// Twemproxy's `ERR Connection refused`, predixy's `ERR server connection close` and the like.
    Unreachable,
    /// Anything else.
    Other,
}

impl ServerError {
    /// The number of characters that are kept of a server's text.
    pub const MAX_TEXT: usize = 200;
    /// The number of characters that are kept of `MOVED` and `ASK`: enough for the longest name of
    /// a node.
    pub const MAX_REDIRECT: usize = 300;

    /// Reads an error reply: its text, without the leading `-` or `!`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let head = text.get(..Self::MAX_TEXT * 4).unwrap_or(text);
        let text = String::from_utf8_lossy(head);
        let kind = ServerErrorKind::of(&text);
        let is_redirect = matches!(kind, ServerErrorKind::Moved | ServerErrorKind::Ask);
        let kept = if is_redirect { Self::MAX_REDIRECT } else { Self::MAX_TEXT };
        let text = text.chars().take(kept).collect::<String>().into();
        Self { kind, text }
    }

    /// Appends the key that the error is about, for a server's text that does not name it.
    #[must_use]
    pub fn about(self, key: &[u8]) -> Self {
        let key = alloc::format!("{}", Quoted(key));
        let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(&key);
        Self { kind: self.kind, text: alloc::format!("{} (key: {key})", self.text).into() }
    }

    /// The error that a server outside of a cluster replies with to a command about clusters. The
    /// backends without a server return it too.
    pub(crate) fn no_cluster() -> Self {
        Self::parse(b"ERR This instance has cluster support disabled")
    }

    /// The server's text, bounded; it may contain control characters, which `Display` escapes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the command may have run despite the error. A proxy that has lost the server cannot
    /// know, unless it never had a connection to it.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.kind == ServerErrorKind::Unreachable && !proxies::has_sent_nothing(&self.text)
    }
}

impl ServerErrorKind {
    fn of(text: &str) -> Self {
        match text.split(' ').next().unwrap_or_default() {
            "LOADING" => Self::Loading,
            "BUSY" => Self::Busy,
            "NOSCRIPT" => Self::NoScript,
            "READONLY" => Self::ReadOnly,
            "MASTERDOWN" => Self::MasterDown,
            "NOREPLICAS" => Self::NoReplicas,
            "MISCONF" => Self::Misconf,

            "OOM" => Self::OutOfMemory,
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPass,
            "NOPERM" => Self::NoPerm,
            "NOPROTO" => Self::NoProto,
            "WRONGTYPE" => Self::WrongType,
            "MOVED" => Self::Moved,
            "ASK" => Self::Ask,
            "TRYAGAIN" => Self::TryAgain,
            "CLUSTERDOWN" => Self::ClusterDown,
            "CROSSSLOT" => Self::CrossSlot,
            "DENIED" => Self::Denied,
            "ERR" if text.starts_with("ERR max number of clients") => Self::MaxClients,
            "ERR" if text.starts_with("ERR invalid password") => Self::WrongPass,
            "ERR" if text.starts_with("ERR AUTH") => Self::WrongPass,
            "ERR" if text.starts_with("ERR Client sent AUTH, but no password is set") => {
                Self::WrongPass
            }
            _ if proxies::is_outage(text) => Self::Unreachable,
            _ => Self::Other,
        }
    }

    /// Whether the server, or a proxy in front of it, only reports that it cannot serve the command
    /// now, so that trying again later may help.
    #[must_use]
    pub fn is_outage(self) -> bool {
        matches!(
            self,
            Self::Loading
                | Self::Busy
                | Self::MasterDown
                | Self::MaxClients
                | Self::ClusterDown
                | Self::Unreachable
        )
    }

    /// Whether the server refused the credentials, so that connecting again with the same ones
    /// cannot help.
    #[must_use]
    pub fn is_refusal_of_credentials(self) -> bool {
        matches!(self, Self::NoAuth | Self::WrongPass | Self::NoPerm)
    }
}

/// How a peer broke the protocol. The connection cannot be trusted any more and is closed.
///
/// Parts of frames are named with their articles: "an integer", "a blob's length".
///
/// ```
/// use async_caches_core::connection::{Connection, Output, Setup};
/// use async_caches_core::error::{ConnectionError, ProtocolError};
/// use async_caches_core::time::Instant;
/// use bytes::BytesMut;
/// use core::time::Duration;
///
/// let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let (now, mut tx) = (Instant::ORIGIN, Output::new());
/// let mut connection = Connection::open(&setup, now, &mut tx);
/// let mut rx = BytesMut::from(&b"HTTP/1.1 400 Bad Request\r\n"[..]);
/// let error = connection.poll(&mut rx, now, &mut tx).unwrap_err();
/// assert_eq!(error, ConnectionError::Protocol(ProtocolError::UnknownType(b'H')));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame begins with a byte that starts no frame.
    #[error("a frame begins with {0:#04x}")]
    UnknownType(u8),
    /// A frame is streamed. Servers only stream if the client asks for it, and this one never does.
    #[error("a frame is streamed, which was not asked for")]
    Streamed,
    /// A line that should hold a number holds something else, or a number that is not in canonical
    /// form.
    #[error("{0} is not a number")]
    NotANumber(&'static str),
    /// A length, a count or an integer is past its limit.
    #[error("{what} of at least {value} is past the limit of {limit}")]
    TooLarge {
        /// The name of the part that is too large.
        what: &'static str,
        /// A lower bound of its value: parsing stops at the first digit that exceeds the limit.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob is not followed by a line break, or a line is broken off by a stray one.
    #[error("{0} does not end where it should")]
    Unterminated(&'static str),
    /// A frame is well framed but makes no sense.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A well-formed frame arrived that is not allowed at this point.
    #[error("{found} came where {expected} was expected")]
    Unexpected {
        /// The frame that arrived.
        found: &'static str,
        /// The frame that should have arrived.
        expected: &'static str,
    },
    /// A reply arrived without a request.
    #[error("a reply came that nobody asked for")]
    Unasked,
}

/// Why a connection ended.
///
/// ```
/// use async_caches_core::connection::{Connection, Output, Setup};
/// use async_caches_core::error::ConnectionError;
/// use async_caches_core::time::Instant;
/// use bytes::BytesMut;
/// use core::time::Duration;
///
/// let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let (mut rx, mut tx) = (BytesMut::new(), Output::new());
/// let mut connection = Connection::open(&setup, Instant::ORIGIN, &mut tx);
/// let late = Instant::ORIGIN + setup.connect_timeout; // and the server has sent nothing
/// match connection.poll(&mut rx, late, &mut tx) {
///     Err(ConnectionError::NotReadyInTime) => {} // dial again, after a while
///     other => panic!("the connect timeout is over: {other:?}"),
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer broke the protocol.
    #[error("the server broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// The server refused the handshake.
    #[error("the server refused the connection")]
    Refused(#[source] ServerError),
    /// Pushes are required, and the server does not speak RESP3.
    #[error("the server speaks no RESP3, in which alone it pushes what it is to track")]
    NoPushes,
    /// The option `protocol` requires RESP3, and the server does not speak it.
    #[error("the server speaks no RESP3, which the option protocol asks for")]
    NoResp3,
    /// The connection was not ready within the connect timeout.
    #[error("the connection was not ready within the connect timeout")]
    NotReadyInTime,
    /// The server is not a master, and a master is required.
    #[error("the server is not a master")]
    NotMaster,
    /// The server is a sentinel and knows no master of this name.
    #[error("the sentinel knows no service {service:?}")]
    UnknownService {
        /// The name.
        service: Box<str>,
    },
    /// The server has become a replica, which accepts no writes.
    #[error("the server has become a replica")]
    Demoted,
    /// The server no longer accepts this connection's credentials: it replied to a command with
    /// `NOAUTH` or `WRONGPASS`.
    #[error("the server has forgotten this user")]
    Forgotten,
    /// The server has sent nothing for as long as a response may take.
    #[error("the server has gone silent")]
    Unresponsive,
}

/// Why a connection did not accept a command; nothing was written.
///
/// ```
/// use async_caches_core::command::Command;
/// use async_caches_core::connection::{Connection, Output, Setup, Tag};
/// use async_caches_core::error::Refused;
/// use async_caches_core::time::Instant;
/// use core::time::Duration;
///
/// let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let mut tx = Output::new();
/// let mut connection = Connection::open(&setup, Instant::ORIGIN, &mut tx);
/// let refused = connection.submit(&Command::Ping, Tag(7), Instant::MAX, &mut tx);
/// assert_eq!(refused, Err(Refused::NotOpen)); // the handshake is not done
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The handshake is not done, or the connection is closed.
    #[error("the connection is not open")]
    NotOpen,
    /// The command is encoded as several commands, and `ASKING` covers only the first of them.
    #[error("it is a run of commands, and only one can be asked for")]
    Run,
    /// A key or a value is larger than a server accepts.
    #[error("a key or a value of {len} bytes is past the limit of {limit}")]
    TooLarge {
        /// The number of bytes it has.
        len: u64,
        /// The number of bytes it may have.
        limit: u64,
    },
}

/// Shows bytes in an error: quoted, control characters and non-text escaped, cut after 64 bytes.
///
/// ```
/// use async_caches_core::error::Quoted;
///
/// assert_eq!(Quoted(b"line\n\xff").to_string(), r#""line\n\xff""#);
/// assert!(Quoted(&[b'k'; 1_000]).to_string().ends_with("..."));
/// ```
#[derive(Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let (head, cut) = match self.0.get(..SHOWN) {
            Some(head) if self.0.len() > SHOWN => (head, "..."),
            _ => (self.0, ""),
        };
        write!(f, "\"{}\"{cut}", head.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_server_error_is_quoted_bounded_and_typed_by_its_first_word() {
        let error = ServerError::parse(b"WRONGPASS invalid\r\n\x1b[31m pair");
        assert_eq!(error.kind, ServerErrorKind::WrongPass);
        assert_eq!(
            error.to_string(),
            r#"the server answered "WRONGPASS invalid\r\n\u{1b}[31m pair""#
        );
        let long = ServerError::parse(&[b'x'; 100_000]);
        assert_eq!(long.text().len(), ServerError::MAX_TEXT);
        for word in ["MOVED", "ASK"] {
            let long = ServerError::parse([word, &" h".repeat(1_000)].concat().as_bytes());
            assert_eq!(long.text().len(), ServerError::MAX_REDIRECT);
        }
        assert_eq!(ServerError::parse(&[0xff; 10]).kind, ServerErrorKind::Other);
    }

    #[test]
    fn server_errors_are_classified_by_code_or_else_by_their_text() {
        for (text, kind) in [
            ("LOADING Redis is loading the dataset in memory", ServerErrorKind::Loading),
            ("BUSY Redis is busy running a script", ServerErrorKind::Busy),
            ("NOSCRIPT No matching script", ServerErrorKind::NoScript),
            ("READONLY You can't write against a read only replica.", ServerErrorKind::ReadOnly),
            ("MASTERDOWN Link with MASTER is down", ServerErrorKind::MasterDown),
            ("NOREPLICAS Not enough good replicas to write.", ServerErrorKind::NoReplicas),
            ("MISCONF Errors writing to the AOF file", ServerErrorKind::Misconf),
            ("OOM command not allowed", ServerErrorKind::OutOfMemory),
            ("NOAUTH Authentication required.", ServerErrorKind::NoAuth),
            ("WRONGPASS invalid username-password pair", ServerErrorKind::WrongPass),
            ("NOPERM this user has no permissions", ServerErrorKind::NoPerm),
            ("NOPROTO unsupported protocol version", ServerErrorKind::NoProto),
            ("WRONGTYPE Operation against a key", ServerErrorKind::WrongType),
            ("MOVED 1 h:1", ServerErrorKind::Moved),
            ("ASK 1 h:1", ServerErrorKind::Ask),
            ("TRYAGAIN Multiple keys request during rehashing", ServerErrorKind::TryAgain),
            ("CLUSTERDOWN Hash slot not served", ServerErrorKind::ClusterDown),
            ("CROSSSLOT Keys in request", ServerErrorKind::CrossSlot),
            ("ERR max number of clients reached", ServerErrorKind::MaxClients),
            ("DENIED Redis is running in protected mode", ServerErrorKind::Denied),
            ("ERR invalid password", ServerErrorKind::WrongPass),
            ("ERR AUTH <password> called without any password", ServerErrorKind::WrongPass),
            ("ERR Client sent AUTH, but no password is set", ServerErrorKind::WrongPass),
            ("upstream failure", ServerErrorKind::Unreachable),
            ("ERR unknown command", ServerErrorKind::Other),
            ("OOMPH", ServerErrorKind::Other),
            ("", ServerErrorKind::Other),
        ] {
            assert_eq!(ServerError::parse(text.as_bytes()).kind, kind, "{text}");
        }
    }

    #[test]
    fn only_three_errors_refuse_credentials() {
        for (text, is_refusal) in [
            ("NOAUTH Authentication required.", true),
            ("WRONGPASS invalid username-password pair", true),
            ("NOPERM this user has no permissions", true),
            ("LOADING Redis is loading the dataset in memory", false),
            ("ERR max number of clients reached", false),
            ("ERR unknown command", false),
        ] {
            let kind = ServerError::parse(text.as_bytes()).kind;
            assert_eq!(kind.is_refusal_of_credentials(), is_refusal, "{text}");
        }
    }

    #[test]
    fn bytes_are_quoted_and_bounded() {
        assert_eq!(Quoted(b"a\"\n\xff").to_string(), r#""a\"\n\xff""#);
        assert_eq!(Quoted(&[b'k'; 64]).to_string().len(), 64 + 2);
        assert_eq!(Quoted(&[b'k'; 65]).to_string().len(), 64 + 2 + 3);
    }
}
