//! What an operation may fail with.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use async_caches_core::cluster::map::MapError;
pub use async_caches_core::cluster::redirect::TooManyRedirects;
use async_caches_core::command::Command;
pub use async_caches_core::error::{
    ConnectionError, KeyError, ProtocolError, ServerError, ServerErrorKind,
};
use async_caches_core::error::{Failure, NumberError, Quoted, TimeoutError};
pub use async_caches_core::options::OptionError;
use async_caches_core::shown::Shown;
pub use async_caches_core::url::UrlError;
use thiserror::Error;

use crate::shared::{Shared, WithSources};
use crate::tls::TlsConfigError;

#[cfg(test)]
mod tests;

/// Why a cache could not be opened, or an operation could not be done.
///
/// No error shows a password. Keys are quoted and cut. An error prints its own part alone, and
/// returns the rest as its [`source`](std::error::Error::source);
/// [`with_sources`](Self::with_sources) prints all of it in one line.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The cache is not connected: `connect` was not called, or `disconnect` was.
    #[error("the cache is not connected")]
    NotConnected,
    /// The cache is connected, or connecting, already.
    #[error("the cache is already connected")]
    AlreadyConnected,
    /// The URL's backend does I/O, which needs a runtime: the cache was opened without one, or was to
    /// connect outside of it. It connects once it is asked to inside.
    #[error(
        "{scheme}:// needs a runtime: open it with async-caches-tokio, async-caches-smol or \
         async-caches-async-std, and connect it inside the runtime"
    )]
    NoRuntime {
        /// The URL's scheme, as it was written.
        scheme: String,
    },
    /// The URL is malformed.
    #[error(transparent)]
    Url(UrlError),
    /// An option is malformed, or contradicts another.
    #[error(transparent)]
    Option(OptionError),
    /// The prefix or the version cannot be part of a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The cache of this name is open with other bounds.
    #[error("locmem://{name} is open already, with another {option}")]
    OtherBounds {
        /// The cache's name.
        name: String,
        /// Which bound differs.
        option: &'static str,
    },
    /// The URL asks for TLS, and the cache cannot speak it as it is set up.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// The timeout is zero.
    #[error("{}", TimeoutError::Zero)]
    ZeroTimeout,
    /// The timeout is longer than 2^53 milliseconds.
    #[error("{}", TimeoutError::TooLong)]
    TimeoutTooLong,
    /// The value cannot be stored: it does not serialize.
    #[error("the value for {key} does not serialize")]
    Serialize {
        /// The key, quoted.
        key: String,
        /// Why not.
        source: Shared<serde_json::Error>,
    },
    /// The stored bytes are no value of the type asked for.
    #[error("what is stored under {key} does not deserialize")]
    Deserialize {
        /// The key, quoted.
        key: String,
        /// Why not.
        source: Shared<serde_json::Error>,
    },
    /// The key to add to is not there, or has expired.
    #[error("{key} is not in the cache")]
    KeyNotFound {
        /// The key, quoted.
        key: String,
    },
    /// What is stored under the key is not a number.
    #[error("what is stored under {key} is not a number")]
    NotANumber {
        /// The key, quoted.
        key: String,
    },
    /// The delta is an integer and the stored number is not.
    #[error("what is stored under {key} is not an integer, and the delta is one")]
    NotAnInteger {
        /// The key, quoted.
        key: String,
    },
    /// The sum is past what an `i64` holds, or not finite. The stored number is unchanged.
    #[error("adding to {key} goes past the range of numbers")]
    Overflow {
        /// The key, quoted.
        key: String,
    },
    /// A key or a value is larger than a server takes.
    #[error("a key or a value of {len} bytes is past the limit of {limit}")]
    TooLarge {
        /// How many bytes it has.
        len: u64,
        /// How many it may have.
        limit: u64,
    },
    /// There is no link to the server, and there was no hope to get one in time.
    #[error("{to} is not available")]
    Unavailable {
        /// The server's address.
        to: String,
        /// What went wrong last.
        source: LinkError,
    },
    /// Too many operations are under way to the server: this one was not sent. Its turn did not
    /// come within the response timeout, or as many callers were waiting already as may.
    #[error("too many operations are under way to {to}; this one was not sent")]
    Overloaded {
        /// The server's address.
        to: String,
    },
    /// The deadline of the operation passed.
    #[error("no answer within {after:?}{}", ran(*.may_have_run))]
    Timeout {
        /// How long was waited.
        after: Duration,
        /// Whether the server may have done what it was asked.
        may_have_run: bool,
    },
    /// The link was lost before the server answered, and the operation was not sent again: it is a
    /// write that may have run, or there was no time left.
    #[error("the link was lost before the answer{}", ran(*.may_have_run))]
    Disconnected {
        /// Whether the server may have done what it was asked.
        may_have_run: bool,
        /// Why it was lost.
        source: LinkError,
    },
    /// The operation ended connections, and is not tried again: what came in place of its reply broke
    /// the protocol, or the server hung up on it, and again when it was sent alone. Its value may be
    /// larger than the server reads, or its reply larger than the server lets a client's output grow.
    #[error(
        "the operation on {key} ended {connections} connection{}{}",
        plural(*.connections),
        ran(*.may_have_run)
    )]
    ConnectionsEnded {
        /// The key, quoted; of several the first, and how many others there are.
        key: String,
        /// How many connections ended: one or two.
        connections: u8,
        /// Whether the server may have done what it was asked.
        may_have_run: bool,
        /// Why the last of them ended.
        source: LinkError,
    },
    /// The nodes of a cluster sent the operation from one to the other, and none did it.
    #[error(transparent)]
    Redirects(Box<TooManyRedirects>),
    /// The server answered with an error.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The backend answered something else than what it was asked for.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Why a link could not be opened, or ended.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The operating system said so.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// The host name of the server has no address, or that could not be found out.
    #[error("the name {host} was not resolved")]
    Name {
        /// The name.
        host: String,
        /// Why not.
        source: Shared<io::Error>,
    },
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Eof,
    /// The connection itself failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// TLS failed, or one side refused the other.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] async_caches_core::tls::TlsError),
    /// The runtime that ran the cache's connections has shut down, and the caller is on no other.
    /// Otherwise its call opens them again on its own runtime.
    #[error("the runtime that ran the cache's connections has shut down")]
    RuntimeGone,
    /// The [`CredentialsProvider`](crate::CredentialsProvider) did not say who we are.
    #[error("there are no credentials")]
    Credentials(#[source] Shared<dyn std::error::Error + Send + Sync>),
    /// The master is another server now, as a sentinel says; or the node of a cluster has failed, as
    /// others say.
    #[error("the master is another server now")]
    Moved,
    /// A sentinel did not say who the master is, and no other one did since.
    #[error("the sentinel at {at} did not say who the master is")]
    Sentinel {
        /// The sentinel's address.
        at: String,
        /// Why not.
        source: Shared<LinkError>,
    },
    /// A node of a cluster did not say who serves which slot, and no other one did since.
    #[error("the node at {at} did not say who serves which slot")]
    Node {
        /// The node's address.
        at: String,
        /// Why not.
        source: Shared<LinkError>,
    },
    /// What a node of a cluster said of who serves which slot is no map.
    #[error(transparent)]
    Map(Box<MapError>),
    /// No node of the cluster serves the slot of a key, as far as is known.
    #[error("no node of the cluster serves {}", OfSlot(*.slot))]
    Uncovered {
        /// The slot, from 0 to 16,383; any, where it is none in particular.
        slot: Option<u16>,
    },
    /// The cluster has named more new nodes than are dialled at once: this one has yet to be.
    #[error("the cluster has named too many new nodes to connect to this one yet")]
    Crowded,
    /// The link was closed from this side.
    #[error("the link was closed")]
    Closed,
}

/// Why a `try_get_or_set` came to nothing. Its source is the error inside.
///
/// It is an error itself only if the loader's is one. [`flatten`](Self::flatten) goes around it, for
/// loaders whose error is a `Box<dyn Error>`, or one of the kind of `anyhow::Error`.
#[derive(Clone, Debug, Error)]
pub enum LoadError<E> {
    /// The cache failed in a way that its loader cannot make up for.
    #[error("the cache failed")]
    Cache(#[from] Error),
    /// The loader failed.
    #[error("the value could not be loaded")]
    Load(#[source] E),
}

impl<E> LoadError<E> {
    /// The error inside, as the loader's: `.map_err(LoadError::flatten)?` in a function that has the
    /// error of its loaders.
    pub fn flatten(self) -> E
    where
        E: From<Error>,
    {
        match self {
            Self::Cache(error) => error.into(),
            Self::Load(error) => error,
        }
    }
}

/// A loader that fails with the cache's own error.
impl From<LoadError<Self>> for Error {
    fn from(error: LoadError<Self>) -> Self {
        error.flatten()
    }
}

/// A loader that cannot fail.
impl From<LoadError<Infallible>> for Error {
    fn from(error: LoadError<Infallible>) -> Self {
        match error {
            LoadError::Cache(error) => error,
            LoadError::Load(never) => match never {},
        }
    }
}

impl Error {
    /// The error and all its sources in one line, for a log.
    pub fn with_sources(&self) -> impl fmt::Display + '_ {
        WithSources(self)
    }

    /// Whether doing the same again later may succeed: the trouble is the server's or the
    /// network's, not the input's. Mind [`may_have_run`](Self::may_have_run).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let transient = |kind| {
            matches!(
                kind,
                ServerErrorKind::Loading
                    | ServerErrorKind::Busy
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::NoReplicas
                    | ServerErrorKind::Misconf
                    | ServerErrorKind::OutOfMemory
                    | ServerErrorKind::MaxClients
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::Unreachable
            )
        };
        let refused =
            matches!(self, Self::Unavailable { source, .. } if source.is_refusal_of_tls());
        self.is_outage()
            && !refused
            && !matches!(self, Self::ConnectionsEnded { .. })
            && !self.names_nothing()
            && self.server_error().is_none_or(|error| transient(error.kind))
    }

    /// Whether the URL names a service that no sentinel knows.
    fn names_nothing(&self) -> bool {
        let Self::Unavailable { source: LinkError::Sentinel { source, .. }, .. } = self else {
            return false;
        };
        matches!(**source, LinkError::Connection(ConnectionError::UnknownService { .. }))
    }

    /// Whether the operation failed here though the server may have done it.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Timeout { may_have_run, .. }
            | Self::Disconnected { may_have_run, .. }
            | Self::ConnectionsEnded { may_have_run, .. } => *may_have_run,
            Self::Server(error) => error.may_have_run(),
            _ => false,
        }
    }

    /// Whether it is that of a command for many keys that may do better in parts: the server hung up
    /// on it, or its reply is larger than this client reads.
    pub(crate) fn may_do_in_parts(&self) -> bool {
        let Self::ConnectionsEnded { source, .. } = self else { return false };
        match source {
            LinkError::Connection(ConnectionError::Protocol(error)) => {
                matches!(error, ProtocolError::TooLarge { .. })
            }
            source => source.is_the_servers(),
        }
    }

    /// The server's own error where one is at the bottom of this, as with wrong credentials; or a
    /// sentinel's, or that of a node which was asked for the cluster's map.
    #[must_use]
    pub fn server_error(&self) -> Option<&ServerError> {
        if let Self::Server(error) = self {
            return Some(error);
        }
        let Self::Unavailable { source, .. } = self else { return None };
        let source = match source {
            LinkError::Sentinel { source, .. } | LinkError::Node { source, .. } => source,
            source => source,
        };
        let LinkError::Connection(ConnectionError::Refused(error)) = source else { return None };
        Some(error)
    }

    /// Whether a value that was loaded is worth returning though the cache failed like this.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Overloaded { .. }
                | Self::Timeout { .. }
                | Self::Disconnected { .. }
                | Self::ConnectionsEnded { .. }
                | Self::Redirects(_)
                | Self::Server(_)
        )
    }

    pub(crate) fn serialize(key: &[u8], source: serde_json::Error) -> Self {
        Self::Serialize { key: quoted(key), source: Shared::new(bounded(source)) }
    }

    pub(crate) fn deserialize(key: &[u8], source: serde_json::Error) -> Self {
        Self::Deserialize { key: quoted(key), source: Shared::new(bounded(source)) }
    }

    pub(crate) fn number(key: &[u8], error: NumberError) -> Self {
        let key = quoted(key);
        match error {
            NumberError::KeyNotFound => Self::KeyNotFound { key },
            NumberError::NotANumber => Self::NotANumber { key },
            NumberError::NotAnInteger => Self::NotAnInteger { key },
            _ => Self::Overflow { key },
        }
    }

    /// An operation that ended its connections.
    pub(crate) fn connections_ended(
        command: &Command<'_>,
        connections: u8,
        may_have_run: bool,
        source: LinkError,
    ) -> Self {
        let key = match command.names() {
            None => "no key".to_owned(),
            Some((name, 1)) => quoted(name),
            Some((name, many)) => format!("{} and {} others", quoted(name), many - 1),
        };
        Self::ConnectionsEnded { key, connections, may_have_run, source }
    }

    /// A failure of a command about `key`.
    pub(crate) fn failure(key: &[u8], failure: Failure) -> Self {
        match failure {
            Failure::Number(error) => Self::number(key, error),
            Failure::Server(error)
                if error.kind == ServerErrorKind::WrongType && !key.is_empty() =>
            {
                Self::Server(error.about(key))
            }
            Failure::Server(error) => Self::Server(error),
            _ => Self::mismatch(),
        }
    }

    /// A reply of another kind than its command's: no backend of ours answers so.
    pub(crate) fn mismatch() -> Self {
        ProtocolError::Unexpected { found: "reply", expected: "reply of another kind" }.into()
    }
}

impl From<TimeoutError> for Error {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::Zero => Self::ZeroTimeout,
            _ => Self::TimeoutTooLong,
        }
    }
}

/// A prefix, a version or a timeout is the same error wherever it was given.
impl From<OptionError> for Error {
    fn from(error: OptionError) -> Self {
        match error {
            OptionError::Timeout(error) => error.into(),
            OptionError::Key(error) => error.into(),
            error => Self::Option(error),
        }
    }
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Self {
        match error {
            UrlError::Option(error) => error.into(),
            error => Self::Url(error),
        }
    }
}

impl LinkError {
    /// The error and all its sources in one line, for a log.
    pub fn with_sources(&self) -> impl fmt::Display + '_ {
        WithSources(self)
    }

    /// Whether the server, or the way to it, ended the connection, so that a command may be the
    /// reason; and not this side, nor a server that has gone silent.
    pub(crate) fn is_the_servers(&self) -> bool {
        match self {
            Self::Io(_) | Self::Eof => true,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
            Self::Connection(error) => matches!(error, ConnectionError::Protocol(_)),
            Self::RuntimeGone
            | Self::Name { .. }
            | Self::Credentials(_)
            | Self::Moved
            | Self::Sentinel { .. }
            | Self::Node { .. }
            | Self::Map(_)
            | Self::Uncovered { .. }
            | Self::Crowded
            | Self::Closed => false,
        }
    }

    /// Whether the other side has closed the connection, in order or not.
    pub(crate) fn is_hang_up(&self) -> bool {
        match self {
            Self::Eof => true,
            Self::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            ),
            #[cfg(feature = "tls")]
            Self::Tls(_) => false,
            Self::Sentinel { .. }
            | Self::Node { .. }
            | Self::Connection(_)
            | Self::RuntimeGone
            | Self::Credentials(_)
            | Self::Moved
            | Self::Map(_)
            | Self::Uncovered { .. }
            | Self::Crowded
            | Self::Name { .. }
            | Self::Closed => false,
        }
    }

    /// Whether one side of TLS has refused the other for what it is.
    pub(crate) fn is_refusal_of_tls(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.is_refusal(),
            Self::Sentinel { source, .. } | Self::Node { source, .. } => source.is_refusal_of_tls(),
            Self::Io(_)
            | Self::Name { .. }
            | Self::Eof
            | Self::Connection(_)
            | Self::RuntimeGone
            | Self::Credentials(_)
            | Self::Moved
            | Self::Map(_)
            | Self::Uncovered { .. }
            | Self::Crowded
            | Self::Closed => false,
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "tls")]
        let error = match error.downcast() {
            Ok(error) => return Self::Tls(error),
            Err(error) => error,
        };
        Self::Io(Arc::new(error))
    }
}

/// A slot in a message.
struct OfSlot(Option<u16>);

impl fmt::Display for OfSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(slot) => write!(f, "slot {slot}"),
            None => f.write_str("any slot"),
        }
    }
}

/// What serde has to say, escaped and cut: it may quote a whole value.
fn bounded(error: serde_json::Error) -> serde_json::Error {
    let text = error.to_string();
    let shown = Shown(&text, Shown::WORDS).to_string();
    if shown == text { error } else { serde::de::Error::custom(shown) }
}

fn quoted(key: &[u8]) -> String {
    Quoted(key).to_string()
}

fn plural(count: u8) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn ran(may_have_run: bool) -> &'static str {
    if may_have_run { "; it may have run" } else { "; it was not sent" }
}
