//! The errors of operations.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

pub use async_caches_core::cluster::map::MapError;
pub use async_caches_core::cluster::redirect::TooManyRedirects;
use async_caches_core::command::Command;
pub use async_caches_core::error::{
    ConnectionError, KeyError, ProtocolError, ServerError, ServerErrorKind,
};
use async_caches_core::error::{Failure, NumberError, Quoted, TimeoutError};
pub use async_caches_core::options::OptionError;
pub use async_caches_core::url::UrlError;
use thiserror::Error;

pub use self::failure::ConnectionFailure;
pub use self::tls_config::TlsConfigError;
use crate::codec_error::CodecError;
use crate::shared::WithSources;

mod failure;
#[cfg(test)]
mod tests;
mod tls_config;

/// Why a cache could not be opened, or why an operation failed.
///
/// No error shows a password. Keys are quoted and cut. An error prints only its own part, and
/// returns the rest as its [`source`](std::error::Error::source);
/// [`with_sources`](Self::with_sources) prints all of it in one line.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::{Error, Fault, Faults};
///
/// let faults = Faults::new(); // plays the server that is slow
/// let cache = async_caches::builder("locmem://").faults(&faults).connect().await?;
/// match cache.incr("visits", 1).await {
///     Err(Error::KeyNotFound { key }) => assert!(key.contains("visits")),
///     other => panic!("there is no such key: {other:?}"),
/// }
///
/// faults.fail_next(1, Fault::Timeout { may_have_run: true });
/// let error = cache.incr("visits", 1).await.unwrap_err();
/// assert!(error.is_retryable()); // but it may then be counted twice:
/// assert!(error.may_have_run());
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The cache is not connected: `connect` was not called, or `disconnect` was called after it.
    #[error("the cache is not connected")]
    NotConnected,
    /// The cache is already connected, or is connecting.
    #[error("the cache is already connected")]
    AlreadyConnected,
    /// The URL's backend does I/O and needs a runtime, but the cache was opened without one, or
    /// `connect` was called outside of it. Inside the runtime `connect` succeeds.
    #[error(
        "{scheme}:// needs a runtime: open it with async-caches-tokio, async-caches-smol or \
         async-caches-async-std, and connect it inside the runtime"
    )]
    NoRuntime {
        /// The URL's scheme, as written.
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
    BoundsMismatch {
        /// The cache's name.
        name: String,
        /// Which bound differs.
        option: &'static str,
    },
    /// The URL asks for TLS, and the cache's TLS setup is unusable.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// The timeout is zero.
    #[error("{}", TimeoutError::Zero)]
    ZeroTimeout,
    /// The timeout is longer than 2^53 milliseconds.
    #[error("{}", TimeoutError::TooLong)]
    TimeoutTooLong,
    /// The value cannot be stored, because it does not serialize.
    #[error("the value for {key} does not serialize")]
    Serialize {
        /// The key, quoted.
        key: String,
        /// The reason.
        source: CodecError,
    },
    /// The stored bytes are not a value of the type asked for.
    #[error("what is stored under {key} does not deserialize")]
    Deserialize {
        /// The key, quoted.
        key: String,
        /// The reason.
        source: CodecError,
    },
    /// The key to add to does not exist, or has expired.
    #[error("{key} is not in the cache")]
    KeyNotFound {
        /// The key, quoted.
        key: String,
    },
    /// The value stored under the key is not a number.
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
    /// The sum does not fit an `i64`, or is not finite. The stored number is unchanged.
    #[error("adding to {key} goes past the range of numbers")]
    Overflow {
        /// The key, quoted.
        key: String,
    },
    /// A key or a value is larger than a server accepts.
    #[error("a key or a value of {len} bytes is past the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// There is no connection to the server, and no hope of one in time.
    #[error("{to} is not available")]
    Unavailable {
        /// The server's address.
        to: String,
        /// The last error.
        source: ConnectionFailure,
    },
    /// Too many operations are under way to the server. This one was not sent: its turn did not
    /// come within the response timeout, or the maximum number of callers was waiting already.
    #[error("too many operations are under way to {to}; this one was not sent")]
    Overloaded {
        /// The server's address.
        to: String,
    },
    /// The deadline of the operation passed.
    #[error("no answer within {after:?}{}", ran(*.may_have_run))]
    Timeout {
        /// How long the operation waited.
        after: Duration,
        /// Whether the server may have run the command.
        may_have_run: bool,
    },
    /// The connection was lost before the reply, and the operation was not sent again: it is a
    /// write that may have run, or there was no time left.
    #[error("the connection was lost before the answer{}", ran(*.may_have_run))]
    Disconnected {
        /// Whether the server may have run the command.
        may_have_run: bool,
        /// Why the connection was lost.
        source: ConnectionFailure,
    },
    /// The operation ended connections, and is not tried again. Either the bytes in place of its
    /// reply broke the protocol, or the server closed the connection on it, and did so again when
    /// it was sent alone. Its value may be larger than the server reads, or its reply larger than
    /// the server lets a client's output grow.
    #[error(
        "the operation on {key} ended {connections} connection{}{}",
        plural(*.connections),
        ran(*.may_have_run)
    )]
    ConnectionsEnded {
        /// The key, quoted. Of several keys the first, and the number of others.
        key: String,
        /// How many connections ended: one or two.
        connections: u8,
        /// Whether the server may have run the command.
        may_have_run: bool,
        /// Why the last of them ended.
        source: ConnectionFailure,
    },
    /// The nodes of a cluster redirected the operation from one to the other, and no node ran it.
    #[error(transparent)]
    Redirects(Box<TooManyRedirects>),
    /// The server replied with an error.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The backend returned a reply of another kind than the command's.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Why a `try_get_or_set` failed. Its source is the error inside.
///
/// It implements [`Error`](std::error::Error) only if the loader's error does.
/// [`flatten`](Self::flatten) avoids it, for loaders whose error is a `Box<dyn Error>`, or of the
/// kind of `anyhow::Error`.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::{Error, LoadError};
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// let load = async { Err::<String, _>("there is no user 1") };
/// match cache.try_get_or_set("user:1", load).await {
///     Err(LoadError::Load(reason)) => assert_eq!(reason, "there is no user 1"),
///     other => panic!("the loader failed: {other:?}"),
/// }
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
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
    /// Converts to the loader's error: `.map_err(LoadError::flatten)?` in a function that returns
    /// the error type of its loaders.
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

/// For a loader that fails with the cache's own error.
impl From<LoadError<Self>> for Error {
    fn from(error: LoadError<Self>) -> Self {
        error.flatten()
    }
}

/// For a loader that cannot fail.
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

    /// Whether the same operation may succeed later: the cause is the server or the network, not
    /// the input. Check [`may_have_run`](Self::may_have_run) too.
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
        let Self::Unavailable { source: ConnectionFailure::Sentinel { source, .. }, .. } = self
        else {
            return false;
        };
        matches!(**source, ConnectionFailure::Connection(ConnectionError::UnknownService { .. }))
    }

    /// Whether the server may have run the command although it failed here.
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

    /// Whether a command for many keys may succeed in parts: the server closed the connection on
    /// it, or its reply is larger than this client reads.
    pub(crate) fn may_do_in_parts(&self) -> bool {
        let Self::ConnectionsEnded { source, .. } = self else { return false };
        match source {
            ConnectionFailure::Connection(ConnectionError::Protocol(error)) => {
                matches!(error, ProtocolError::TooLarge { .. })
            }
            source => source.is_the_servers(),
        }
    }

    /// The server's own error, if it is at the bottom of this one, as with wrong credentials. It
    /// may also be that of a sentinel, or of a node that was asked for the cluster's map.
    #[must_use]
    pub fn server_error(&self) -> Option<&ServerError> {
        if let Self::Server(error) = self {
            return Some(error);
        }
        let Self::Unavailable { source, .. } = self else { return None };
        let source = match source {
            ConnectionFailure::Sentinel { source, .. } | ConnectionFailure::Node { source, .. } => {
                source
            }
            source => source,
        };
        let ConnectionFailure::Connection(ConnectionError::Refused(error)) = source else {
            return None;
        };
        Some(error)
    }

    /// Whether a loaded value should be returned although the cache failed with this error.
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

    pub(crate) fn serialize(key: &[u8], source: CodecError) -> Self {
        Self::Serialize { key: quoted(key), source: source.bounded() }
    }

    pub(crate) fn deserialize(key: &[u8], source: CodecError) -> Self {
        Self::Deserialize { key: quoted(key), source: source.bounded() }
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

    /// The error of an operation that ended its connections.
    pub(crate) fn connections_ended(
        command: &Command<'_>,
        connections: u8,
        may_have_run: bool,
        source: ConnectionFailure,
    ) -> Self {
        let key = match command.names() {
            None => "no key".to_owned(),
            Some((name, 1)) => quoted(name),
            Some((name, many)) => format!("{} and {} others", quoted(name), many - 1),
        };
        Self::ConnectionsEnded { key, connections, may_have_run, source }
    }

    /// The error for a failed command about `key`.
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

    /// The error for a reply of another kind than its command's. No backend of ours returns one.
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

/// An invalid prefix, version or timeout is the same error wherever it was given.
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

fn quoted(key: &[u8]) -> String {
    Quoted(key).to_string()
}

fn plural(count: u8) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn ran(may_have_run: bool) -> &'static str {
    if may_have_run { "; it may have run" } else { "; it was not sent" }
}
