//! Options: what a URL and a builder may set for a cache, layer by layer, and the [`Settings`] that
//! result from them.
//!
//! A layer ([`Options`]) sets some options and leaves others unset; the upper of two layers wins,
//! option by option. An option in text is checked when it is read ([`Options::set`]). All options
//! are checked again when the layers have been merged ([`Settings::new`]), which also checks them
//! against each other. Every backend accepts every option, so that one set of options works with
//! any URL. An option that a backend has no use for is checked and then ignored. This module knows
//! neither the backend nor its credentials.
//!
//! A new option has its field and its check here, its name and its text in `options/text.rs`, its
//! setter in the client's `builder/options.rs`, and its line in `docs/guide/options.md`.

use alloc::string::String;
use core::time::Duration;

use crate::key::{KeySpace, Version};
use crate::protocol::Protocol;
use crate::secret::Secret;
use crate::server::Credentials;
use crate::ttl::{Expiry, Timeout};
pub use crate::value::Unreadable;

mod check;
mod error;
#[cfg(test)]
mod tests;
mod text;
mod tls;

pub(crate) use self::error::Hint;
pub use self::error::OptionError;
pub use self::tls::{ClientCertificate, TlsSettings, TlsVerify, Trust};

/// One layer of options; `None` leaves an option to the layer below.
///
/// ```
/// use async_caches_core::options::{Options, Settings};
///
/// let mut of_url = Options::default();
/// of_url.set("maxsize", "4")?;
/// let mut of_builder = Options::default();
/// of_builder.set("maxsize", "2")?;
/// let settings = Settings::new(of_builder.over(of_url))?;
/// assert_eq!((settings.minsize, settings.maxsize), (1, 2));
/// # Ok::<(), async_caches_core::options::OptionError>(())
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The timeout of entries if an operation names no timeout. [`Timeout::Default`] counts as
    /// unset.
    pub timeout: Option<Timeout>,
    /// The version of keys if an operation names no version.
    pub version: Option<Version>,
    /// The prefix of all keys.
    pub key_prefix: Option<String>,
    /// How many connections a pool keeps open.
    pub minsize: Option<usize>,
    /// How many connections a pool may open.
    pub maxsize: Option<usize>,
    /// How many commands one connection may have in flight.
    pub max_in_flight: Option<usize>,
    /// How many bytes may be queued on one connection.
    pub max_queued_bytes: Option<usize>,
    /// How many callers may wait for a connection, or for room on one.
    pub max_waiting: Option<usize>,
    /// How many entries a store in memory may hold.
    pub max_entries: Option<u64>,
    /// How many bytes a store in memory may hold.
    pub max_bytes: Option<u64>,
    /// How long connecting may take, handshake included.
    pub connect_timeout: Option<Duration>,
    /// How long one operation may take.
    pub response_timeout: Option<Duration>,
    /// How long a caller may wait for the load of another.
    pub load_wait: Option<Duration>,
    /// How old a connection may become before another replaces it.
    pub max_connection_age: Option<Duration>,
    /// The name of connections in the server's list of clients.
    pub name: Option<String>,
    /// The file of the authorities, one of which must have issued the server's certificate.
    pub tls_ca: Option<String>,
    /// The file of the client certificate.
    pub tls_cert: Option<String>,
    /// The file of the client certificate's private key.
    pub tls_key: Option<String>,
    /// The name or the address that the server's certificate must be for.
    pub tls_server_name: Option<String>,
    /// How much of the server's certificate is verified.
    pub tls_verify: Option<TlsVerify>,
    /// Whether to skip verification of the server's certificate, so that any server is accepted.
    pub tls_dangerously_accept_any_certificate: Option<bool>,
    /// The user name sent to sentinels.
    pub sentinel_username: Option<String>,
    /// The password sent to sentinels.
    pub sentinel_password: Option<Secret>,
    /// Whether replicas of a cluster are read from.
    pub replica_reads: Option<bool>,
    /// How `get` and `get_many` treat an entry that cannot be read.
    pub unreadable: Option<Unreadable>,
    /// Which version of the protocol is spoken.
    pub protocol: Option<Protocol>,
}

impl Options {
    /// Puts this layer over a lower one: each option that this layer leaves unset is taken from
    /// `lower`.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            timeout: self.timeout.filter(|&it| it != Timeout::Default).or(lower.timeout),
            version: self.version.or(lower.version),
            key_prefix: self.key_prefix.or(lower.key_prefix),
            minsize: self.minsize.or(lower.minsize),
            maxsize: self.maxsize.or(lower.maxsize),
            max_in_flight: self.max_in_flight.or(lower.max_in_flight),
            max_queued_bytes: self.max_queued_bytes.or(lower.max_queued_bytes),
            max_waiting: self.max_waiting.or(lower.max_waiting),
            max_entries: self.max_entries.or(lower.max_entries),
            max_bytes: self.max_bytes.or(lower.max_bytes),
            connect_timeout: self.connect_timeout.or(lower.connect_timeout),
            response_timeout: self.response_timeout.or(lower.response_timeout),
            load_wait: self.load_wait.or(lower.load_wait),
            max_connection_age: self.max_connection_age.or(lower.max_connection_age),
            name: self.name.or(lower.name),
            tls_ca: self.tls_ca.or(lower.tls_ca),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            tls_server_name: self.tls_server_name.or(lower.tls_server_name),
            tls_verify: self.tls_verify.or(lower.tls_verify),
            tls_dangerously_accept_any_certificate: self
                .tls_dangerously_accept_any_certificate
                .or(lower.tls_dangerously_accept_any_certificate),
            sentinel_username: self.sentinel_username.or(lower.sentinel_username),
            sentinel_password: self.sentinel_password.or(lower.sentinel_password),
            replica_reads: self.replica_reads.or(lower.replica_reads),
            unreadable: self.unreadable.or(lower.unreadable),
            protocol: self.protocol.or(lower.protocol),
        }
    }
}

/// The result of all layers: complete and valid.
///
/// ```
/// use async_caches_core::options::{Options, Settings};
/// use async_caches_core::ttl::Expiry;
///
/// let settings = Settings::new(Options::default())?;
/// assert_eq!((settings.minsize, settings.maxsize), (1, 10));
/// assert_eq!(settings.expiry, Expiry::Never);
///
/// let mut options = Options::default();
/// options.maxsize = Some(0);
/// assert!(Settings::new(options).is_err());
/// # Ok::<(), async_caches_core::options::OptionError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The prefix and the default version of keys.
    pub key_space: KeySpace,
    /// The default timeout of entries.
    pub expiry: Expiry,
    /// How many connections a pool keeps open; at most [`maxsize`](Self::maxsize), and may be zero.
    pub minsize: usize,
    /// How many connections a pool may open; at least one.
    pub maxsize: usize,
    /// How many commands one connection may have in flight; at least one.
    pub max_in_flight: usize,
    /// How many bytes may be queued on one connection until its socket takes them; at least one. A
    /// command is accepted while the queue is below this, so a connection holds at most this many
    /// bytes and one command.
    pub max_queued_bytes: usize,
    /// How many callers may wait for a connection, or for room on one; may be zero.
    pub max_waiting: usize,
    /// How many entries a store in memory may hold; at least one. `None` means no bound.
    pub max_entries: Option<u64>,
    /// How many bytes a store in memory may hold; at least one. `None` means no bound.
    pub max_bytes: Option<u64>,
    /// How long connecting may take, handshake included; above zero.
    pub connect_timeout: Duration,
    /// How long one operation may take; above zero.
    pub response_timeout: Duration,
    /// How long a caller may wait for the load of another before it loads by itself. With zero,
    /// callers do not wait.
    pub load_wait: Duration,
    /// How old a connection may become before another replaces it; at least
    /// [`LEAST_AGE`](Self::LEAST_AGE). Each connection is replaced up to a quarter earlier. `None`
    /// means no limit.
    pub max_connection_age: Option<Duration>,
    /// The name of connections in the server's list of clients: printable ASCII, no spaces.
    pub name: Option<String>,
    /// The settings for TLS; the default if no option is about TLS. Whether TLS is used depends on
    /// the URL: see [`Server::tls`](crate::url::Server::tls).
    pub tls: TlsSettings,
    /// The credentials sent to sentinels. Whether there are sentinels depends on the URL: see
    /// [`Server::sentinel_credentials`](crate::url::Server::sentinel_credentials).
    pub sentinel_credentials: Option<Credentials>,
    /// Whether replicas of a cluster are read from; a replica may lag behind its master.
    pub replica_reads: bool,
    /// How `get` and `get_many` treat an entry that cannot be read, unless an operation overrides
    /// it.
    pub unreadable: Unreadable,
    /// Which version of the protocol is spoken.
    pub protocol: Protocol,
}

impl Options {
    /// The settings for TLS, if they contradict each other nowhere.
    fn tls(&self) -> Result<TlsSettings, OptionError> {
        let accepts_any = self.tls_dangerously_accept_any_certificate == Some(true);
        let trust = match (check::path(tls::CA, self.tls_ca.as_ref())?, accepts_any) {
            (None, false) => Trust::Platform,
            (Some(path), false) => Trust::File { path },
            (None, true) => Trust::DangerouslyAnyCertificate,
            (Some(_), true) => {
                return Err(OptionError::Contradiction { option: tls::CA, other: tls::ACCEPT_ANY });
            }
        };
        let files = (
            check::path(tls::CERT, self.tls_cert.as_ref())?,
            check::path(tls::KEY, self.tls_key.as_ref())?,
        );
        let certificate = match files {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(OptionError::Half { option: tls::CERT, missing: tls::KEY });
            }
            (None, Some(_)) => {
                return Err(OptionError::Half { option: tls::KEY, missing: tls::CERT });
            }
        };
        let server_name = self.tls_server_name.as_deref().map(check::server_name).transpose()?;
        let verify = self.tls_verify.unwrap_or_default();
        match (self.tls_verify, &trust) {
            (Some(_), Trust::DangerouslyAnyCertificate) => {
                return Err(OptionError::Contradiction {
                    option: tls::VERIFY,
                    other: tls::ACCEPT_ANY,
                });
            }
            // With the platform's authorities, any publicly issued certificate would be accepted.
            (Some(TlsVerify::Ca), Trust::Platform) => {
                return Err(OptionError::Half { option: tls::VERIFY, missing: tls::CA });
            }
            (Some(TlsVerify::Full | TlsVerify::Ca) | None, _) => {}
        }
        Ok(TlsSettings { trust, certificate, server_name, verify })
    }
}

impl Settings {
    /// The default number of connections that a pool keeps open.
    pub const MINSIZE: usize = 1;
    /// The default number of connections that a pool may open.
    pub const MAXSIZE: usize = 10;
    /// The lowest age at which a connection may be replaced, so that a server is not kept busy with
    /// handshakes.
    pub const LEAST_AGE: Duration = Duration::from_millis(100);
    /// The highest number of connections that a pool may be configured to open: the number that a
    /// server accepts from all of its clients by default (`maxclients`).
    pub const MOST_CONNECTIONS: usize = 10_000;
    /// The default number of commands that one connection may have in flight.
    pub const MAX_IN_FLIGHT: usize = 16 * 1024;
    /// The default number of bytes that may be queued on one connection.
    pub const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
    /// The default number of callers that may wait for a connection, or for room on one.
    pub const MAX_WAITING: usize = 64 * 1024;
    /// The default time that connecting may take.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// The default time that one operation may take.
    pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
    /// The default time that a caller may wait for the load of another.
    pub const LOAD_WAIT: Duration = Duration::from_secs(10);

    /// Validates options and fills in the defaults of those that are unset.
    ///
    /// # Errors
    /// [`OptionError`] names the first option that is invalid, or two that contradict each other.
    pub fn new(options: Options) -> Result<Self, OptionError> {
        let count = |option, number: Option<u64>| {
            number.map(|number| check::above_zero(option, number)).transpose()
        };
        let span = |option, span: Option<Duration>, default| {
            span.map_or(Ok(default), |span| check::span(option, span))
        };
        let bound = |option, bound: Option<usize>, default| {
            check::above_zero(option, bound.unwrap_or(default))
        };
        let minsize = options.minsize.unwrap_or(Self::MINSIZE);
        let maxsize = bound("maxsize", options.maxsize, Self::MAXSIZE)?;
        for (option, connections) in [("minsize", minsize), ("maxsize", maxsize)] {
            check::at_most(option, connections, Self::MOST_CONNECTIONS)?;
        }
        if minsize > maxsize {
            let default = options.maxsize.is_none();
            return Err(OptionError::Sizes { minsize, maxsize, default });
        }
        let tls = options.tls()?;
        let sentinel_credentials =
            check::sentinel_credentials(options.sentinel_username, options.sentinel_password)?;
        let prefix = options.key_prefix.unwrap_or_default();
        Ok(Self {
            key_space: KeySpace::new(&prefix, options.version.unwrap_or_default())?,
            expiry: options.timeout.unwrap_or_default().resolve(Expiry::Never)?,
            minsize,
            maxsize,
            max_in_flight: bound("max_in_flight", options.max_in_flight, Self::MAX_IN_FLIGHT)?,
            max_queued_bytes: bound(
                "max_queued_bytes",
                options.max_queued_bytes,
                Self::MAX_QUEUED_BYTES,
            )?,
            max_waiting: options.max_waiting.unwrap_or(Self::MAX_WAITING),
            max_entries: count("max_entries", options.max_entries)?,
            max_bytes: count("max_bytes", options.max_bytes)?,
            connect_timeout: span(
                "connect_timeout",
                options.connect_timeout,
                Self::CONNECT_TIMEOUT,
            )?,
            response_timeout: span(
                "response_timeout",
                options.response_timeout,
                Self::RESPONSE_TIMEOUT,
            )?,
            load_wait: options
                .load_wait
                .map_or(Ok(Self::LOAD_WAIT), |wait| check::wait("load_wait", wait))?,
            max_connection_age: options
                .max_connection_age
                .map(|age| check::age("max_connection_age", age, Self::LEAST_AGE))
                .transpose()?,
            name: options.name.map(check::client_name).transpose()?,
            tls,
            sentinel_credentials,
            replica_reads: options.replica_reads.unwrap_or_default(),
            unreadable: options.unreadable.unwrap_or_default(),
            protocol: options.protocol.unwrap_or_default(),
        })
    }
}
