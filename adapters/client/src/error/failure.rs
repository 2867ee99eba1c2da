//! Why connections could not be opened, or ended.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_caches_core::cluster::map::MapError;
use async_caches_core::error::ConnectionError;
use thiserror::Error;

use crate::shared::{Shared, WithSources};

/// Why a connection could not be opened, or ended.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::{ConnectionFailure, Error, Fault, Faults};
///
/// let faults = Faults::new(); // plays the server that is away
/// let cache = async_caches::builder("locmem://").faults(&faults).connect().await?;
/// faults.fail_with(Fault::Unavailable);
/// match cache.ping().await {
///     Err(Error::Unavailable { source: ConnectionFailure::Io(error), .. }) => {
///         assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
///     }
///     other => panic!("no server listens: {other:?}"),
/// }
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ConnectionFailure {
    /// An error of the operating system.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// The server's host name has no address, or could not be resolved.
    #[error("the name {host} was not resolved")]
    Name {
        /// The name.
        host: String,
        /// The reason.
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
    /// The runtime that ran the cache's connections has shut down, and the caller is outside of any
    /// other. A call from inside a runtime opens them again there.
    #[error("the runtime that ran the cache's connections has shut down")]
    RuntimeGone,
    /// The [`CredentialsProvider`](crate::CredentialsProvider) did not provide credentials.
    #[error("there are no credentials")]
    Credentials(#[source] Shared<dyn std::error::Error + Send + Sync>),
    /// The master is another server now, according to a sentinel; or the node of a cluster has
    /// failed, according to others.
    #[error("the master is another server now")]
    Moved,
    /// A sentinel did not name the master, and no other sentinel has named it since.
    #[error("the sentinel at {at} did not name the master")]
    Sentinel {
        /// The sentinel's address.
        at: String,
        /// The reason.
        source: Shared<ConnectionFailure>,
    },
    /// A node of a cluster did not report which node serves which slot, and no other has reported
    /// it since.
    #[error("the node at {at} did not say which node serves which slot")]
    Node {
        /// The node's address.
        at: String,
        /// The reason.
        source: Shared<ConnectionFailure>,
    },
    /// A cluster node's report of its slots is not a valid map.
    #[error(transparent)]
    Map(Box<MapError>),
    /// No known node of the cluster serves the slot of a key.
    #[error("no node of the cluster serves {}", OfSlot(*.slot))]
    Uncovered {
        /// The slot, from 0 to 16,383; `None` if no particular one is meant.
        slot: Option<u16>,
    },
    /// The cluster has named more new nodes than are dialled at once: this one has not been dialled
    /// yet.
    #[error("the cluster has named too many new nodes to connect to this one yet")]
    Crowded,
    /// The connection was closed from this side.
    #[error("the connection was closed")]
    Closed,
}

impl ConnectionFailure {
    /// The error and all its sources in one line, for a log.
    pub fn with_sources(&self) -> impl fmt::Display + '_ {
        WithSources(self)
    }

    /// Whether the server, or the network, ended the connection, so that a command may be the
    /// cause. False if this side ended it, or if the server fell silent.
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

    /// Whether the peer has closed the connection, cleanly or not.
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
            // Without the end of its TLS session, as most servers and proxies hang up.
            #[cfg(feature = "tls")]
            Self::Tls(error) => matches!(error, async_caches_core::tls::TlsError::Truncated),
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

    /// Whether the server refused our credentials, or one side of TLS refused the other, so that
    /// dialling again soon is no use.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Node { source, .. } => source.is_refusal(),
            Self::Connection(ConnectionError::Refused(error)) => {
                error.kind.is_refusal_of_credentials()
            }
            error => error.is_refusal_of_tls(),
        }
    }

    /// Whether one side has refused the other in TLS.
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

impl From<MapError> for ConnectionFailure {
    fn from(error: MapError) -> Self {
        match error {
            MapError::Refused(error) => ConnectionError::Refused(error).into(),
            error => Self::Map(Box::new(error)),
        }
    }
}

impl From<io::Error> for ConnectionFailure {
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
