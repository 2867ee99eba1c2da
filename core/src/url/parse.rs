//! The parser: splits a URL at its delimiters from the outside in, and percent-decodes last.
//!
//! This order keeps passwords out of errors. A stray `@` or `#` could split a password, so both are
//! refused before any part is examined. So a part that an error quotes contains no credentials. The
//! user, the password, the host and the port are never quoted.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::str::FromStr;

use percent_encoding::percent_decode_str;

use super::{
    Backend, CacheUrl, Credentials, Endpoint, Server, Service, Topology, UrlError, UrlPart, Wire,
};
use crate::cluster::address::Address;
use crate::nearest::nearest;
use crate::options::{OptionError, Options};
use crate::secret::Secret;
use crate::shown::Shown;

impl CacheUrl {
    /// Parses a cache URL.
    ///
    /// The default host is `localhost`. The default port is 6379, with TLS too, and 26379 for a
    /// sentinel. The default database is 0; whether a cluster has other databases depends on its
    /// servers. A `+` in the query is a space, as in the Python package. Each option is checked on
    /// its own, not against the other options or the scheme, since a builder may still override it.
    ///
    /// ```
    /// use async_caches_core::url::CacheUrl;
    ///
    /// let url = CacheUrl::parse("valkey://app:s%2Fcret@cache.example/2?ttl=600")?;
    /// assert_eq!(url.to_string(), "redis://app:***@cache.example:6379/2?timeout=600");
    /// # Ok::<(), async_caches_core::url::UrlError>(())
    /// ```
    ///
    /// # Errors
    /// [`UrlError`] names the part that is at fault and never shows a password.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if let Some((at, _)) =
            url.char_indices().find(|&(_, c)| c.is_whitespace() || c.is_control())
        {
            return Err(UrlError::Blank { at });
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
        let kind = SchemeKind::of(scheme, rest)?;
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.contains('@') {
            return Err(UrlError::StrayAt);
        }
        let mut options = Options::default();
        let backend = match kind {
            SchemeKind::Dummy => {
                read_query(query, &mut options, None)?;
                Backend::Dummy
            }
            SchemeKind::Memory => {
                let name = decode(place, UrlPart::Name)?.into_owned();
                read_query(query, &mut options, None)?;
                Backend::Memory { name }
            }
            SchemeKind::Server(transport) => {
                Backend::Redis(Server::parse(transport, place, query, &mut options)?)
            }
        };
        Ok(Self { backend, options })
    }
}

enum SchemeKind {
    Dummy,
    Memory,
    Server(SchemeTransport),
}

#[derive(Clone, Copy)]
enum SchemeTransport {
    Tcp(Wire),
    Unix,
    /// Over TCP, to the address that sentinels report.
    Sentinel(Wire),
    /// Over TCP, to the nodes of a cluster.
    Cluster(Wire),
}

impl SchemeKind {
    fn of(scheme: &str, rest: &str) -> Result<Self, UrlError> {
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        if scheme.is_empty() || !scheme.chars().all(is_scheme) {
            return Err(UrlError::NoScheme);
        }
        match scheme.to_ascii_lowercase().as_str() {
            "dummy" => Ok(Self::Dummy),
            "locmem" => Ok(Self::Memory),
            "redis" | "valkey" => Ok(Self::Server(SchemeTransport::Tcp(Wire::Plain))),
            "rediss" | "valkeys" => Ok(Self::Server(SchemeTransport::Tcp(Wire::Tls))),
            "redis+unix" | "valkey+unix" | "unix" | "redis+socket" | "redis-socket" => {
                Ok(Self::Server(SchemeTransport::Unix))
            }
            "redis-sentinel" | "redis+sentinel" | "valkey-sentinel" | "valkey+sentinel" => {
                Ok(Self::Server(SchemeTransport::Sentinel(Wire::Plain)))
            }
            "rediss-sentinel" | "rediss+sentinel" | "valkeys-sentinel" | "valkeys+sentinel" => {
                Ok(Self::Server(SchemeTransport::Sentinel(Wire::Tls)))
            }
            "redis-cluster" | "redis+cluster" | "valkey-cluster" | "valkey+cluster" => {
                Ok(Self::Server(SchemeTransport::Cluster(Wire::Plain)))
            }
            "rediss-cluster" | "rediss+cluster" | "valkeys-cluster" | "valkeys+cluster" => {
                Ok(Self::Server(SchemeTransport::Cluster(Wire::Tls)))
            }
            other => Err(match UNSUPPORTED.into_iter().find(|&(known, _)| known == other) {
                Some((scheme, feature)) => UrlError::Unsupported { scheme, feature },
                None => UrlError::UnknownScheme {
                    // The text before "://" may be the beginning of a password.
                    scheme: (!rest.contains('@')).then(|| other.chars().take(32).collect()),
                    nearest: nearest_scheme(other),
                },
            }),
        }
    }
}

impl Server {
    fn parse(
        transport: SchemeTransport,
        place: &str,
        query: &str,
        options: &mut Options,
    ) -> Result<Self, UrlError> {
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let (credentials, host) = match authority.split_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        if host.contains('@') || path.contains('@') {
            return Err(UrlError::StrayAt);
        }
        let credentials = credentials.map(Credentials::parse).transpose()?;
        let path_of_tcp = path.strip_prefix('/').unwrap_or_default();
        let path_of_tcp = path_of_tcp.strip_suffix('/').unwrap_or(path_of_tcp);
        let mut said = OfServer::default();
        read_query(query, options, Some(&mut said))?;
        let (topology, wire, database) = match transport.clustered(said.cluster)? {
            SchemeTransport::Tcp(_) if host.contains(',') => return Err(UrlError::Hosts),
            SchemeTransport::Tcp(wire) => {
                (Topology::Standalone(Endpoint::tcp(host, DEFAULT_PORT)?), wire, path_of_tcp)
            }
            SchemeTransport::Unix => {
                (Topology::Standalone(Endpoint::unix(host, path)?), Wire::Plain, "")
            }
            SchemeTransport::Sentinel(wire) => {
                let (name, database) = path_of_tcp.split_once('/').unwrap_or((path_of_tcp, ""));
                (Topology::Sentinel(Service::parse(name, host)?), wire, database)
            }
            SchemeTransport::Cluster(wire) => {
                (Topology::Cluster(read_nodes(host)?), wire, path_of_tcp)
            }
        };
        let in_path = Some(database).filter(|text| !text.is_empty());
        let in_path = in_path.map(read_database).transpose()?;
        let database = match (in_path, said.database) {
            (Some(path), Some(query)) if path != query => {
                return Err(UrlError::Databases { path, query });
            }
            (in_path, in_query) => in_path.or(in_query).unwrap_or_default(),
        };
        Ok(Self { topology, wire, credentials, database })
    }
}

impl SchemeTransport {
    /// Applies the query's option `cluster`.
    fn clustered(self, said: Option<bool>) -> Result<Self, UrlError> {
        let unsupported = |scheme, feature| Err(UrlError::Unsupported { scheme, feature });
        match (self, said) {
            (Self::Tcp(wire), Some(true)) => Ok(Self::Cluster(wire)),
            (Self::Unix, Some(true)) => unsupported("redis+unix", CLUSTER_ON_UNIX),
            (Self::Sentinel(_), Some(true)) => unsupported("redis-sentinel", CLUSTER_WITH_SENTINEL),
            (Self::Cluster(_), Some(false)) => {
                let other = "redis-cluster://";
                Err(OptionError::Contradiction { option: CLUSTER, other }.into())
            }
            (transport, None | Some(true | false)) => Ok(transport),
        }
    }
}

/// The hosts and ports of one or more servers, separated by commas.
fn read_hosts(hosts: &str, default_port: u16) -> Result<Vec<Endpoint>, UrlError> {
    let one = |host: &str| match host {
        "" if hosts.contains(',') => Err(UrlError::Host),
        host => Endpoint::tcp(host, default_port),
    };
    hosts.split(',').map(one).collect()
}

/// The same for a cluster's nodes, each of which must be a valid [`Address`].
fn read_nodes(hosts: &str) -> Result<Vec<Endpoint>, UrlError> {
    let nodes = read_hosts(hosts, DEFAULT_PORT)?;
    let is_address = |node: &Endpoint| match node {
        Endpoint::Tcp { host, port } => Address::new(host, *port).is_ok(),
        Endpoint::Unix { .. } => false,
    };
    if nodes.iter().all(is_address) { Ok(nodes) } else { Err(UrlError::Host) }
}

impl Service {
    fn parse(name: &str, hosts: &str) -> Result<Self, UrlError> {
        let name = decode(name, UrlPart::Service)?.into_owned();
        if name.len() > Shown::NAME {
            return Err(UrlError::Long { part: UrlPart::Service, most: Shown::NAME });
        }
        // Sentinels report events of a service in words separated by spaces.
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(UrlError::Service);
        }
        Ok(Self { name, sentinels: read_hosts(hosts, SENTINEL_PORT)? })
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, UrlError> {
        let (username, password) = text.split_once(':').ok_or(UrlError::NoPassword)?;
        if password.is_empty() {
            return Err(UrlError::NoPassword);
        }
        let username = decode(username, UrlPart::Username)?.into_owned();
        let password = decode(password, UrlPart::Password)?.into_owned();
        Ok(Self {
            username: Some(username).filter(|username| !username.is_empty()),
            password: Secret::from(password),
        })
    }
}

impl Endpoint {
    fn tcp(text: &str, default_port: u16) -> Result<Self, UrlError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(text) => {
                let (address, port) = text.split_once(']').ok_or(UrlError::Ipv6)?;
                let address = read_ipv6(address)?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':').ok_or(UrlError::Port)?),
                };
                (address, port)
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(UrlError::Ipv6),
                Some((host, port)) => (read_host(host)?, Some(port)),
                None => (read_host(text)?, None),
            },
        };
        let port = match port {
            Some(port) => read_digits(port).filter(|&port| port != 0).ok_or(UrlError::Port)?,
            None => default_port,
        };
        Ok(Self::Tcp { host, port })
    }

    fn unix(host: &str, path: &str) -> Result<Self, UrlError> {
        if !host.is_empty() {
            return Err(UrlError::HostOfSocket);
        }
        let path = decode(path, UrlPart::Path)?;
        if path.len() < 2 || path.contains('\0') {
            return Err(UrlError::Path);
        }
        Ok(Self::Unix { path: path.into_owned() })
    }
}

fn read_host(text: &str) -> Result<String, UrlError> {
    let host = decode(text, UrlPart::Host)?;
    let is_of_a_host = |c: char| c.is_alphanumeric() || "-._".contains(c);
    match &*host {
        "" => Ok(DEFAULT_HOST.into()),
        host if host.len() > Address::MAX_HOST => {
            Err(UrlError::Long { part: UrlPart::Host, most: Address::MAX_HOST })
        }
        host if !host.chars().all(is_of_a_host) => Err(UrlError::Host),
        host => Ok(host.into()),
    }
}

/// An IPv6 address, optionally with its zone: after `%25` (RFC 6874), or after `%` as it is written
/// outside of URLs.
fn read_ipv6(text: &str) -> Result<String, UrlError> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
        None => (text, None),
    };
    let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Ipv6)?;
    let is_of_a_zone = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match zone {
        None => Ok(address.to_string()),
        Some(zone) if (1..=32).contains(&zone.len()) && zone.bytes().all(is_of_a_zone) => {
            Ok([&address.to_string(), "%", zone].concat())
        }
        Some(_) => Err(UrlError::Ipv6),
    }
}

fn read_database(text: &str) -> Result<u32, UrlError> {
    let not_a_number = || UrlError::Database { database: text.chars().take(32).collect() };
    read_digits(text).ok_or_else(not_a_number)
}

/// Reads digits only; `FromStr` would accept a plus sign too.
fn read_digits<N: FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The options in a query that are about the server and not about the cache.
#[derive(Default)]
struct OfServer {
    database: Option<u32>,
    cluster: Option<bool>,
}

impl OfServer {
    /// Sets the option of this name. Returns whether it is about a server.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, UrlError> {
        match name {
            DATABASE => once(DATABASE, &mut self.database, value, read_database)?,
            CLUSTER => once(CLUSTER, &mut self.cluster, value, read_flag)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn once<T>(
    option: &'static str,
    field: &mut Option<T>,
    value: &str,
    read: impl FnOnce(&str) -> Result<T, UrlError>,
) -> Result<(), UrlError> {
    if field.is_some() {
        return Err(OptionError::Repeated { option }.into());
    }
    if value.is_empty() {
        return Err(OptionError::Empty { option }.into());
    }
    *field = Some(read(value)?);
    Ok(())
}

fn read_flag(value: &str) -> Result<bool, UrlError> {
    let shown = || value.chars().take(64).collect();
    value.parse().map_err(|_| OptionError::NotAFlag { option: CLUSTER, value: shown() }.into())
}

/// Reads `name=value` pairs. Only a server has a database (`db`) or may be a `cluster`.
fn read_query(
    query: &str,
    options: &mut Options,
    mut server: Option<&mut OfServer>,
) -> Result<(), UrlError> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(&spaced(name), UrlPart::OptionName)?.into_owned();
        let value = decode(&spaced(value), UrlPart::OptionValue)?.into_owned();
        // The text after a password may be a part of it, if the password has an unencoded '&'.
        let hides = options.sentinel_password.is_some();
        let set = match &mut server {
            Some(server) => server.set(&name, &value),
            None => Ok(false),
        };
        let set = set.and_then(|done| match FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
            _ if done => Ok(()),
            Some((option, write)) => Err(UrlError::Elsewhere { option, write }),
            None => Ok(options.set(&name, &value)?),
        });
        set.map_err(|error| if hides { concealed(error) } else { error })?;
    }
    Ok(())
}

/// The error without the values that it quotes.
fn concealed(error: UrlError) -> UrlError {
    if let UrlError::Database { .. } = error {
        return UrlError::Database { database: Secret::MASK.to_string() };
    }
    let UrlError::Option(error) = error else { return error };
    UrlError::Option(error.concealed())
}

/// The known scheme that is most similar to an unknown one. A scheme that mentions TLS is matched
/// to the one with TLS.
fn nearest_scheme(other: &str) -> Option<&'static str> {
    match other {
        other if other.contains("tls") || other.contains("ssl") => Some("rediss"),
        other => nearest(other, &SCHEMES),
    }
}

fn spaced(text: &str) -> String {
    text.replace('+', " ")
}

/// Percent-decodes a part. Its escapes must be complete and its bytes must be UTF-8.
fn decode(text: &str, part: UrlPart) -> Result<Cow<'_, str>, UrlError> {
    let is_escape = |after: &str| {
        let mut digits = after.bytes().take(2).filter(u8::is_ascii_hexdigit);
        digits.next().and(digits.next()).is_some()
    };
    if !text.split('%').skip(1).all(is_escape) {
        return Err(UrlError::Escape { part });
    }
    percent_decode_str(text).decode_utf8().map_err(|_| UrlError::NotText { part })
}

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const DATABASE: &str = "db";
const CLUSTER: &str = "cluster";
const SCHEMES: [&str; 24] = [
    "dummy",
    "locmem",
    "redis",
    "redis+unix",
    "redis-cluster",
    "redis+cluster",
    "redis-sentinel",
    "redis+sentinel",
    "rediss",
    "rediss-cluster",
    "rediss+cluster",
    "rediss-sentinel",
    "rediss+sentinel",
    "valkey",
    "valkey+unix",
    "valkey-cluster",
    "valkey+cluster",
    "valkey-sentinel",
    "valkey+sentinel",
    "valkeys",
    "valkeys-cluster",
    "valkeys+cluster",
    "valkeys-sentinel",
    "valkeys+sentinel",
];
/// The names that options have in other clients, and how to write them here.
const FOREIGN: [(&str, &str); 16] = [
    ("password", IN_PLACE),
    ("username", IN_PLACE),
    ("database", "db"),
    ("virtual_host", "db"),
    ("ssl", "rediss:// in front"),
    ("tls", "rediss:// in front"),
    ("ssl_ca_certs", "tls_ca"),
    ("ssl_certfile", "tls_cert"),
    ("ssl_keyfile", "tls_key"),
    ("ssl_cert_reqs", "tls_verify"),
    ("socket_timeout", "response_timeout"),
    ("socket_connect_timeout", "connect_timeout"),
    ("max_connections", "maxsize"),
    ("client_name", "name"),
    ("clientName", "name"),
    ("sentinelMasterId", "the service behind the hosts: redis-sentinel://host,host/service"),
];
const IN_PLACE: &str = "user:password@ before the host, percent-encoded";
const TLS_ON_UNIX: &str = "TLS on a unix socket";
const CLUSTER_ON_UNIX: &str = "a cluster on a unix socket";
const CLUSTER_WITH_SENTINEL: &str = "a cluster with Sentinel";
const UNSUPPORTED: [(&str, &str); 2] =
    [("rediss+unix", TLS_ON_UNIX), ("valkeys+unix", TLS_ON_UNIX)];
