//! Cache URLs: the backend, its address, the credentials and the options.
//!
//! ```text
//! dummy://anything
//! locmem://name
//! redis://user:password@host:port/database      (valkey://; or ?db=database)
//! rediss://user:password@host:port/database     (valkeys://; the same over TLS)
//! redis+unix://user:password@/path?db=database  (valkey+unix://, unix://, redis+socket://)
//! redis-sentinel://user:password@host:port,host:port/service/database
//!                        (redis+sentinel://, valkey-sentinel://, valkey+sentinel://)
//! rediss-sentinel://…    the same, sentinels and servers over TLS (and valkeys-sentinel:// and so on)
//! redis-cluster://user:password@host:port,host:port/database
//!                        (redis+cluster://, valkey-cluster://, valkey+cluster://; ?cluster=true)
//! rediss-cluster://user:password@host:port,host:port     (the same over TLS)
//! ```
//!
//! Any of them may end in a query of [`Options`]. Within a URL, a password must be percent-encoded
//! (above all its `:`, `/`, `?`, `#`, `@` and spaces). It is only ever shown as
//! [`Secret::MASK`](crate::secret::Secret::MASK): neither a [`CacheUrl`] nor a [`UrlError`] prints
//! the part before an `@`, not even if the URL is malformed. This module knows neither the meaning
//! of the options nor how to reach a server.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use percent_encoding::{AsciiSet, utf8_percent_encode};
use thiserror::Error;

use crate::options::{Hint, OptionError, Options, Settings, TlsSettings};
pub use crate::server::{Credentials, Endpoint, Server, Service, Topology, Wire};
use crate::server::{IN_WORD, Listed};
use crate::shown;

mod parse;
#[cfg(test)]
mod tests;

/// A parsed cache URL.
///
/// `Display` prints an equivalent URL, in which [`Secret::MASK`](crate::secret::Secret::MASK)
/// replaces the password, and also the part before an `@` in the name of a store.
///
/// ```
/// use async_caches_core::url::{Backend, CacheUrl};
///
/// let url = CacheUrl::parse("redis://:hunter2@cache.example?maxsize=4")?;
/// assert!(matches!(&url.backend, Backend::Redis(server) if server.credentials.is_some()));
/// assert_eq!(url.options.maxsize, Some(4));
/// assert_eq!(url.to_string(), "redis://:***@cache.example:6379?maxsize=4");
/// # Ok::<(), async_caches_core::url::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct CacheUrl {
    /// The backend of the cache.
    pub backend: Backend,
    /// The options of the URL's query, each valid on its own.
    pub options: Options,
}

/// The backend of a cache, and how to reach it.
///
/// ```
/// use async_caches_core::url::{Backend, CacheUrl};
///
/// assert_eq!(CacheUrl::parse("dummy://")?.backend, Backend::Dummy);
/// let memory = Backend::Memory { name: "sessions".into() };
/// assert_eq!(CacheUrl::parse("locmem://sessions")?.backend, memory);
/// # Ok::<(), async_caches_core::url::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Backend {
    /// Nowhere: nothing is cached.
    Dummy,
    /// In this process's memory.
    Memory {
        /// The store: caches with the same name share one. May be empty.
        name: String,
    },
    /// On a Redis or Valkey server.
    Redis(Server),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dummy => f.write_str("Dummy"),
            Self::Memory { name } => {
                f.debug_struct("Memory").field("name", &shown::name(name)).finish()
            }
            Self::Redis(server) => f.debug_tuple("Redis").field(server).finish(),
        }
    }
}

impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = Query { started: false };
        match &self.backend {
            Backend::Dummy => f.write_str("dummy://")?,
            Backend::Memory { name } => {
                write!(f, "locmem://{}", utf8_percent_encode(&shown::name(name), IN_PATH))?;
            }
            Backend::Redis(server) => server.write(f, &mut query)?,
        }
        self.options.each(|name, value| query.push(f, name, value))
    }
}

impl Server {
    /// The settings for TLS with this server, if its URL asks for TLS.
    ///
    /// # Errors
    /// [`OptionError::NotTls`] if an option is about TLS, but the URL asks for plain text.
    pub fn tls<'s>(&self, settings: &'s Settings) -> Result<Option<&'s TlsSettings>, OptionError> {
        match (self.wire, settings.tls.first_option()) {
            (Wire::Tls, _) => Ok(Some(&settings.tls)),
            (Wire::Plain, None) => Ok(None),
            (Wire::Plain, Some(option)) => Err(OptionError::NotTls { option }),
        }
    }

    /// The credentials for sentinels, if the URL names sentinels.
    ///
    /// # Errors
    /// [`OptionError::NotSentinel`] if an option is about sentinels, but the URL names none.
    pub fn sentinel_credentials(
        &self,
        settings: &Settings,
    ) -> Result<Option<Credentials>, OptionError> {
        match (&self.topology, &settings.sentinel_credentials) {
            (Topology::Standalone(_) | Topology::Cluster(_), Some(_)) => {
                Err(OptionError::NotSentinel { option: "sentinel_password" })
            }
            (Topology::Standalone(_) | Topology::Sentinel(_) | Topology::Cluster(_), known) => {
                Ok(known.clone())
            }
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, query: &mut Query) -> fmt::Result {
        use Topology::{Cluster, Sentinel, Standalone};
        f.write_str(match (&self.topology, self.wire) {
            (Standalone(Endpoint::Tcp { .. }), Wire::Plain) => "redis://",
            (Standalone(Endpoint::Tcp { .. }), Wire::Tls) => "rediss://",
            (Standalone(Endpoint::Unix { .. }), Wire::Plain) => "redis+unix://",
            (Sentinel(_), Wire::Plain) => "redis-sentinel://",
            (Cluster(_), Wire::Plain) => "redis-cluster://",
            (Cluster(_), Wire::Tls) => "rediss-cluster://",
            (Sentinel(_), Wire::Tls) => "rediss-sentinel://",
            // No URL parses to this. The printed scheme does not exist, so it is refused and never
            // taken for plain text.
            (Standalone(Endpoint::Unix { .. }), Wire::Tls) => "rediss+unix://",
        })?;
        if let Some(Credentials { username, password }) = &self.credentials {
            let username = username.as_deref().unwrap_or_default();
            write!(f, "{}:{password}@", utf8_percent_encode(username, IN_WORD))?;
        }
        match &self.topology {
            Standalone(place @ Endpoint::Tcp { .. }) => write!(f, "{place}")?,
            Standalone(Endpoint::Unix { path }) => {
                write!(f, "{}", utf8_percent_encode(path, IN_PATH))?;
                return match self.database {
                    0 => Ok(()),
                    database => query.push(f, "db", &database),
                };
            }
            Sentinel(Service { name, sentinels }) => {
                write!(f, "{}/{}", Listed(sentinels), utf8_percent_encode(name, IN_WORD))?;
            }
            Cluster(nodes) => write!(f, "{}", Listed(nodes))?,
        }
        if self.database == 0 { Ok(()) } else { write!(f, "/{}", self.database) }
    }
}

/// A query being written: `?` before the first option, `&` before each later one.
struct Query {
    started: bool,
}

impl Query {
    fn push(
        &mut self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        value: &dyn fmt::Display,
    ) -> fmt::Result {
        let mark = if core::mem::replace(&mut self.started, true) { '&' } else { '?' };
        let value = alloc::format!("{value}");
        write!(f, "{mark}{name}={}", utf8_percent_encode(&value, IN_WORD))
    }
}

/// A URL that does not describe a cache.
///
/// The URL itself is never quoted, only parts that cannot belong to a password.
///
/// ```
/// use async_caches_core::url::{CacheUrl, UrlError};
///
/// let error = CacheUrl::parse("reddis://:hunter2@host").unwrap_err();
/// assert!(matches!(error, UrlError::UnknownScheme { nearest: Some("redis"), .. }));
/// assert!(!error.to_string().contains("hunter2"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with a scheme.
    #[error("the URL does not begin with a scheme and \"://\", such as redis:// or locmem://")]
    NoScheme,
    /// No backend has its scheme.
    #[error("the URL's scheme{} is not known{}", InQuotes(.scheme.as_deref()), Hint(*.nearest))]
    UnknownScheme {
        /// The scheme, if nothing in the URL looks like credentials.
        scheme: Option<Box<str>>,
        /// The most similar known scheme, if there is a similar one.
        nearest: Option<&'static str>,
    },
    /// Its scheme asks for a feature that is not supported.
    #[error("the URL's scheme {scheme} asks for {feature}, which is not supported")]
    Unsupported {
        /// The scheme.
        scheme: &'static str,
        /// The feature that it asks for.
        feature: &'static str,
    },
    /// It holds a space or a control character, which must be percent-encoded.
    #[error("the URL holds a space or a control character at byte {at}; percent-encode it")]
    Blank {
        /// The position, in bytes from the URL's beginning.
        at: usize,
    },
    /// It holds a `#`; a cache URL has no fragment.
    #[error(
        "the URL holds a '#', and a cache has no fragments; within a password write %23, and instead of \
         #insecure name the authority that vouches for the server with tls_ca"
    )]
    Fragment,
    /// It holds an `@` that does not end credentials.
    #[error(
        "the URL holds an '@' that does not end its credentials; write %40 for it, and in a \
         password %2F for '/' and %3F for '?'"
    )]
    StrayAt,
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("the URL's {part} holds a '%' without two hexadecimal digits; for itself write %25")]
    Escape {
        /// The part of the URL.
        part: UrlPart,
    },
    /// The percent-decoded bytes are not UTF-8.
    #[error("the URL's {part} is not UTF-8 once percent-decoded")]
    NotText {
        /// The part of the URL.
        part: UrlPart,
    },
    /// The credentials have no password, or an empty one.
    #[error(
        "the URL's credentials have no password; write user:password@host or :password@host, or the host \
         alone where there is none"
    )]
    NoPassword,
    /// It names several hosts, and its scheme asks for one server.
    #[error(
        "the URL names several hosts; write redis-cluster://host,host for a cluster and \
         redis-sentinel://host,host/service for sentinels"
    )]
    Hosts,
    /// An option has this name in other clients, and is written in another way here.
    #[error("the URL's option {option} is one of other clients; write {write}")]
    Elsewhere {
        /// The option.
        option: &'static str,
        /// How to write it here.
        write: &'static str,
    },
    /// A part is longer than its limit.
    #[error("the URL's {part} is longer than {most} bytes")]
    Long {
        /// The part of the URL.
        part: UrlPart,
        /// The limit, in bytes.
        most: usize,
    },
    /// The host is neither a name nor an IPv4 address.
    #[error("the URL's host is neither a name nor an address")]
    Host,
    /// An address with colons is not IPv6, or is not in brackets.
    #[error("the URL's host is not an IPv6 address in brackets, such as [::1]")]
    Ipv6,
    /// The port is not a number from 1 to 65535.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// The URL of a unix socket names a host.
    #[error("the URL of a unix socket names a host; its path begins after three slashes")]
    HostOfSocket,
    /// The URL of a unix socket has no absolute path, or one that no file can have.
    #[error("the URL has no path of a unix socket, such as redis+unix:///run/redis.sock")]
    Path,
    /// The URL is for sentinels, and names no service.
    #[error("the URL names no service, such as redis-sentinel://host/service")]
    Service,
    /// The database is not a number.
    #[error("the URL's database is {database:?}, which is not a number from 0 to 4294967295")]
    Database {
        /// Its value, cut to a sane length.
        database: String,
    },
    /// The path and the query name different databases.
    #[error("the URL's path names the database {path} and its query {query}")]
    Databases {
        /// The database in the path.
        path: u32,
        /// The database in the query.
        query: u32,
    },
    /// An option is invalid.
    #[error(transparent)]
    Option(#[from] OptionError),
}

/// A part of a URL.
///
/// ```
/// use async_caches_core::url::{CacheUrl, UrlError, UrlPart};
///
/// let error = CacheUrl::parse("redis://:100%@host").unwrap_err();
/// assert_eq!(error, UrlError::Escape { part: UrlPart::Password });
/// assert!(error.to_string().starts_with("the URL's password holds a '%'"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum UrlPart {
    /// The name of a store in memory.
    Name,
    /// The user in the credentials.
    Username,
    /// The password in the credentials.
    Password,
    /// The host.
    Host,
    /// The path of a socket, or the database.
    Path,
    /// The name of a service that sentinels watch.
    Service,
    /// The name of an option.
    OptionName,
    /// The value of an option.
    OptionValue,
}

impl fmt::Display for UrlPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Username => "user",
            Self::Password => "password",
            Self::Host => "host",
            Self::Path => "path",
            Self::Service => "service",
            Self::OptionName => "option name",
            Self::OptionValue => "option value",
        })
    }
}

struct InQuotes<'a>(Option<&'a str>);

impl fmt::Display for InQuotes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |text| write!(f, " {text:?}"))
    }
}

const IN_PATH: &AsciiSet = &IN_WORD.remove(b'/');
