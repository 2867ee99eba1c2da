//! TLS settings that are fixed before there is a connection: the trusted authorities, the client
//! certificate and the server's name, once for all connections of a cache.
//!
//! If a URL asks for TLS and the build lacks it, the result is
//! [`TlsConfigError::NotBuilt`](crate::TlsConfigError::NotBuilt). This is the one place where a
//! cache is opened, so nothing is sent in the clear that should be encrypted. The data on a
//! connection is not known here.

#[cfg(feature = "tls")]
mod any;
#[cfg(feature = "tls")]
mod config;
#[cfg(feature = "tls")]
mod files;
#[cfg(feature = "tls")]
mod socket;
#[cfg(all(test, feature = "tls"))]
mod tests;
#[cfg(feature = "tls")]
mod verify;
#[cfg(not(feature = "tls"))]
mod without;

#[cfg(feature = "tls")]
pub(crate) use self::config::{Own, TlsClient, client};
#[cfg(feature = "tls")]
pub(crate) use self::socket::TlsSocket;
#[cfg(not(feature = "tls"))]
pub(crate) use self::without::{Own, TlsClient, TlsSocket, client};
