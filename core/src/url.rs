//! Cache URLs: which backend, where, as whom, with which options.
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
//! Any of them may end in a query of [`Options`]. A password is only ever written
//! percent-encoded (`:`, `/`, `?`, `#`, `@` and spaces in it, above all), and is only ever shown
//! as [`Secret::MASK`]: neither a [`CacheUrl`] nor a [`UrlError`] prints what stands before an `@`,
//! not even when the URL is malformed. This module knows neither what the options mean nor how a server is
//! reached.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use crate::options::{Hint, OptionError, Options, Settings, TlsSettings};
use crate::secret::Secret;
use crate::shown::{self, Shown};

mod parse;
#[cfg(test)]
mod tests;

/// A parsed cache URL.
///
/// Prints as a URL that says the same, but for the password, in whose place stands
/// [`Secret::MASK`], as in place of what stands before an `@` in the name of a store.
#[derive(Clone, PartialEq, Debug)]
pub struct CacheUrl {
    /// Where the cache is.
    pub backend: Backend,
    /// The options of the URL's query, each valid on its own.
    pub options: Options,
}

/// Where a cache is.
#[derive(Clone, PartialEq, Eq)]
pub enum Backend {
    /// Nowhere: nothing is cached.
    Dummy,
    /// In this process's memory.
    Memory {
        /// Which store: caches with one name share one. May be empty.
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

/// A server, and what to say to it first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Where it is.
    pub topology: Topology,
    /// What is spoken there. On a unix socket no URL asks for TLS.
    pub wire: Wire,
    /// Who we are, where the server is told.
    pub credentials: Option<Credentials>,
    /// Which of its databases to use.
    pub database: u32,
}

/// Where a server is, or who says so. Prints as an endpoint, as `service@endpoint,endpoint` or as
/// `cluster@endpoint,endpoint`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Topology {
    /// It is the one that listens there.
    Standalone(Endpoint),
    /// It is the master of a service, and sentinels know which that is.
    Sentinel(Service),
    /// It is a cluster of servers, of which these are nodes: at least one, each on a port and with a
    /// host that is an [`Address`](crate::cluster::address::Address).
    Cluster(Vec<Endpoint>),
}

/// Servers of which one is the master, under the eyes of sentinels.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Service {
    /// What the sentinels call it.
    pub name: String,
    /// Where sentinels listen: at least one of those that there are.
    pub sentinels: Vec<Endpoint>,
}

/// What goes over a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wire {
    /// The protocol as it is, for everybody on the way to read and to change.
    Plain,
    /// The protocol within TLS. Whoever was asked for it and cannot do it does without the
    /// connection, never without TLS.
    Tls,
}

/// Where a server listens. Prints as `host:port`, `[address]:port` or `unix:/path`, of a path what a line may
/// hold ([`Shown`]).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// On a port.
    Tcp {
        /// A host's name or address; an IPv6 address stands without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a unix socket.
    Unix {
        /// The socket's absolute path.
        path: String,
    },
}

/// Who a server is told we are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The user, or else the server's default user.
    pub username: Option<String>,
    /// The password; never printed, never empty.
    pub password: Secret,
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
    /// What is to be known for TLS with it, where its URL asks for TLS.
    ///
    /// # Errors
    /// [`OptionError::NotTls`] where an option wants something of TLS, and the URL wants plain
    /// text.
    pub fn tls<'s>(&self, settings: &'s Settings) -> Result<Option<&'s TlsSettings>, OptionError> {
        match (self.wire, settings.tls.first_option()) {
            (Wire::Tls, _) => Ok(Some(&settings.tls)),
            (Wire::Plain, None) => Ok(None),
            (Wire::Plain, Some(option)) => Err(OptionError::NotTls { option }),
        }
    }

    /// Who sentinels are told we are, where its URL asks for them.
    ///
    /// # Errors
    /// [`OptionError::NotSentinel`] where an option is about sentinels, and the URL names none.
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
            // No URL comes to this, and it is none: it is refused, not taken for plain text.
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

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone(endpoint) => endpoint.fmt(f),
            Self::Sentinel(Service { name, sentinels }) => {
                write!(f, "{}@{}", utf8_percent_encode(name, IN_WORD), Listed(sentinels))
            }
            Self::Cluster(nodes) => write!(f, "cluster@{}", Listed(nodes)),
        }
    }
}

/// Endpoints with commas in between.
struct Listed<'a>(&'a [Endpoint]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, endpoint) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str(",")?;
            }
            endpoint.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => write!(f, "unix:{}", Shown(path, Shown::NAME)),
        }
    }
}

/// A query being written: `?` before the first option, `&` before each other.
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

/// A URL that no cache can be opened by.
///
/// The URL itself is never quoted, only what cannot be part of a password.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with a scheme.
    #[error("the URL does not begin with a scheme and \"://\", such as redis:// or locmem://")]
    NoScheme,
    /// No backend has its scheme.
    #[error("the URL's scheme{} is not known{}", InQuotes(.scheme.as_deref()), Hint(*.nearest))]
    UnknownScheme {
        /// The scheme, where nothing in the URL looks like credentials.
        scheme: Option<Box<str>>,
        /// The known scheme that is nearest to it, where one is near.
        nearest: Option<&'static str>,
    },
    /// Its scheme asks for what there is not.
    #[error("the URL's scheme {scheme} asks for {feature}, which is not supported")]
    Unsupported {
        /// The scheme.
        scheme: &'static str,
        /// What it asks for.
        feature: &'static str,
    },
    /// It holds a space or a control character, which must be percent-encoded.
    #[error("the URL holds a space or a control character at byte {at}; percent-encode it")]
    Blank {
        /// Where, in bytes from the URL's beginning.
        at: usize,
    },
    /// It holds a `#`, after which nothing has a meaning here.
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
        /// Where.
        part: Part,
    },
    /// What is percent-encoded is not UTF-8.
    #[error("the URL's {part} is not UTF-8 once percent-decoded")]
    NotText {
        /// What.
        part: Part,
    },
    /// There are credentials and no password, or an empty one.
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
    /// An option has this name in other clients, and is said in another way here.
    #[error("the URL's option {option} is one of other clients; write {write}")]
    Elsewhere {
        /// The option.
        option: &'static str,
        /// How it is said here.
        write: &'static str,
    },
    /// A part is longer than any can be.
    #[error("the URL's {part} is longer than {most} bytes")]
    Long {
        /// Which.
        part: Part,
        /// How long it may be.
        most: usize,
    },
    /// The host is neither a name nor an IPv4 address.
    #[error("the URL's host is neither a name nor an address")]
    Host,
    /// What should be an IPv6 address is none, or is not in brackets.
    #[error("the URL's host is not an IPv6 address in brackets, such as [::1]")]
    Ipv6,
    /// The port is not a number from 1 to 65535.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// A socket's URL names a host.
    #[error("the URL of a unix socket names a host; its path begins after three slashes")]
    HostOfSocket,
    /// A socket's URL has no absolute path, or one that no file can have.
    #[error("the URL has no path of a unix socket, such as redis+unix:///run/redis.sock")]
    Path,
    /// It asks for the master of a service, and names none.
    #[error("the URL names no service, such as redis-sentinel://host/service")]
    Service,
    /// The database is not a number.
    #[error("the URL's database is {database:?}, which is not a number from 0 to 4294967295")]
    Database {
        /// What it is, cut to a sane length.
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
    /// An option cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
}

/// A part of a URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Part {
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

impl fmt::Display for Part {
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

/// What is encoded in a user, a name or a value when a URL is printed.
const IN_WORD: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');
const IN_PATH: &AsciiSet = &IN_WORD.remove(b'/');
