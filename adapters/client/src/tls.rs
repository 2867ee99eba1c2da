//! TLS, as far as it is settled before there is a connection: whom a cache trusts, what it shows
//! and whose name it looks for, once for all its links.
//!
//! A URL that asks for TLS and a build without it end in [`TlsConfigError::NotBuilt`]: here is the
//! one place where a cache is opened, so nothing is ever spoken in the clear that was to be
//! encrypted. What goes over a connection is not known here.

#[cfg(feature = "tls")]
mod any;
#[cfg(feature = "tls")]
mod config;
mod error;
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
pub use self::error::TlsConfigError;
#[cfg(feature = "tls")]
pub(crate) use self::socket::TlsSocket;
#[cfg(not(feature = "tls"))]
pub(crate) use self::without::{Own, TlsClient, TlsSocket, client};
