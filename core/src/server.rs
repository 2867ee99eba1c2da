//! The servers that a cache talks to: where they are, how to find them, and what they are told
//! first.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::secret::Secret;
use crate::shown::Shown;

/// A server, and how to open a session with it.
///
/// ```
/// use async_caches_core::server::{Endpoint, Topology, Wire};
/// use async_caches_core::url::{Backend, CacheUrl};
///
/// let url = CacheUrl::parse("rediss://cache.example/2")?;
/// let Backend::Redis(server) = url.backend else { unreachable!("it is a URL of a server") };
/// let endpoint = Endpoint::Tcp { host: "cache.example".into(), port: 6379 };
/// assert_eq!(server.topology, Topology::Standalone(endpoint));
/// assert_eq!((server.wire, server.database), (Wire::Tls, 2));
/// # Ok::<(), async_caches_core::url::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// The server's address, or how to find it.
    pub topology: Topology,
    /// Whether TLS is used. No URL asks for TLS on a unix socket.
    pub wire: Wire,
    /// The credentials, if the server is sent any.
    pub credentials: Option<Credentials>,
    /// The number of the database to use.
    pub database: u32,
}

/// The address of a server, or how to find it. Prints as an endpoint, as
/// `service@endpoint,endpoint` or as `cluster@endpoint,endpoint`.
///
/// ```
/// use async_caches_core::server::Topology;
/// use async_caches_core::url::{Backend, CacheUrl};
///
/// let url = CacheUrl::parse("redis-cluster://node-1,node-2:7001")?;
/// let Backend::Redis(server) = url.backend else { unreachable!("it is a URL of servers") };
/// assert!(matches!(&server.topology, Topology::Cluster(nodes) if nodes.len() == 2));
/// assert_eq!(server.topology.to_string(), "cluster@node-1:6379,node-2:7001");
/// # Ok::<(), async_caches_core::url::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Topology {
    /// The server that listens at this endpoint.
    Standalone(Endpoint),
    /// The master of a service, which sentinels know.
    Sentinel(Service),
    /// A cluster of servers. These are some of its nodes: at least one, each with a port and with a
    /// host that is an [`Address`](crate::cluster::address::Address).
    Cluster(Vec<Endpoint>),
}

/// Servers that sentinels monitor, one of which is the master.
///
/// ```
/// use async_caches_core::server::{Service, Topology};
/// use async_caches_core::url::{Backend, CacheUrl};
///
/// let url = CacheUrl::parse("redis-sentinel://s1,s2/mymaster")?;
/// let Backend::Redis(server) = url.backend else { unreachable!("it is a URL of servers") };
/// match server.topology {
///     Topology::Sentinel(Service { name, sentinels }) => {
///         assert_eq!((name.as_str(), sentinels.len()), ("mymaster", 2));
///     }
///     other => panic!("the URL names sentinels: {other}"),
/// }
/// # Ok::<(), async_caches_core::url::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Service {
    /// The name of the service in the sentinels' configuration.
    pub name: String,
    /// The endpoints of some of the sentinels; at least one.
    pub sentinels: Vec<Endpoint>,
}

/// How bytes go over a connection.
///
/// ```
/// use async_caches_core::server::Wire;
/// use async_caches_core::url::{Backend, CacheUrl};
///
/// for (url, wire) in [("redis://host", Wire::Plain), ("rediss://host", Wire::Tls)] {
///     let Backend::Redis(server) = CacheUrl::parse(url)?.backend else { unreachable!("{url}") };
///     assert_eq!(server.wire, wire);
/// }
/// # Ok::<(), async_caches_core::url::UrlError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wire {
    /// The protocol without encryption: anyone on the network path can read and change it.
    Plain,
    /// The protocol within TLS. If TLS is required and not available, there is no connection; it
    /// never falls back to plain text.
    Tls,
}

/// Where a server listens. Prints as `host:port`, `[address]:port` or `unix:/path`; a path is
/// escaped as by [`Shown`].
///
/// ```
/// use async_caches_core::server::Endpoint;
///
/// let tcp = Endpoint::Tcp { host: "::1".into(), port: 6379 };
/// assert_eq!(tcp.to_string(), "[::1]:6379");
/// let unix = Endpoint::Unix { path: "/run/redis.sock".into() };
/// assert_eq!(unix.to_string(), "unix:/run/redis.sock");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// On a port.
    Tcp {
        /// The host's name or address; an IPv6 address is without its brackets.
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

/// The credentials that are sent to a server.
///
/// ```
/// use async_caches_core::server::Credentials;
///
/// let credentials = Credentials { username: Some("app".into()), password: "hunter2".into() };
/// assert_eq!(credentials.password.expose(), "hunter2"); // for the code that sends it
/// assert!(!format!("{credentials:?}").contains("hunter2"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The user; `None` means the server's default user.
    pub username: Option<String>,
    /// The password; never printed, never empty.
    pub password: Secret,
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

/// Endpoints, separated by commas.
pub(crate) struct Listed<'a>(pub(crate) &'a [Endpoint]);

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

/// The characters that are percent-encoded in a user, a name or a value when a URL is printed.
pub(crate) const IN_WORD: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');
