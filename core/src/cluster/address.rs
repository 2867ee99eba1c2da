//! Addresses of a cluster's nodes: the nodes' addresses for each other, turned into addresses that
//! the client can reach.
//!
//! A node reports the others as it sees them, which need not be how the client does. It may leave
//! out the host, stand behind a translation of addresses, or listen for TLS on another port.
//! [`Viewpoint`] has everything that is needed to correct this, for maps and for redirects alike.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use thiserror::Error;

use crate::server::Endpoint;

/// The address of a node. Prints as `host:port` or `[address]:port`.
///
/// ```
/// use async_caches_core::cluster::address::Address;
///
/// assert_eq!(Address::new("node-1.example", 6379)?.to_string(), "node-1.example:6379");
/// assert_eq!(Address::new("::1", 6379)?.to_string(), "[::1]:6379");
/// # Ok::<(), async_caches_core::cluster::address::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    host: Box<str>,
    port: u16,
}

/// The reason for which something is not an address.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError};
///
/// assert_eq!(Address::new("node 1", 6379), Err(AddressError::Host)); // names the part at fault
/// let error = Address::new("node-1", 0).unwrap_err();
/// assert_eq!(error, AddressError::Port);
/// assert_eq!(error.to_string(), "the port is not a number from 1 to 65535");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The host is empty, longer than [`Address::MAX_HOST`], or contains a byte that no host has.
    #[error("the host is neither a name nor an address")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Address {
    /// The most bytes that a host may have.
    pub const MAX_HOST: usize = 255;

    /// The address of a host, which is a name, an IPv4 address or an IPv6 address without
    /// brackets, and a port.
    ///
    /// # Errors
    /// [`AddressError`] if either is not valid.
    pub fn new(host: &str, port: u16) -> Result<Self, AddressError> {
        let is_host = (1..=Self::MAX_HOST).contains(&host.len()) && host.bytes().all(is_of_a_host);
        if !is_host {
            return Err(AddressError::Host);
        }
        if port == 0 {
            return Err(AddressError::Port);
        }
        Ok(Self { host: host.into(), port })
    }

    /// A host's name or address; an IPv6 address stands without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; never zero.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self::Tcp { host: String::from(address.host), port: address.port }
    }
}

/// Which of a node's ports the client uses.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError, Transport, Viewpoint};
///
/// let asked = Address::new("seed.example", 6379)?;
/// assert_eq!(Viewpoint::as_told(&asked).transport, Transport::Plain);
/// let over_tls = Viewpoint { transport: Transport::Tls, ..Viewpoint::as_told(&asked) };
/// assert_ne!(over_tls.transport, Transport::default());
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Transport {
    /// The port for plain text.
    #[default]
    Plain,
    /// The port for TLS.
    Tls,
}

/// The viewpoint from which the client sees a cluster.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError, Viewpoint};
///
/// let asked = Address::new("seed.example", 6379)?;
/// let view = Viewpoint::as_told(&asked);
/// assert_eq!(view.resolve(Some("10.0.0.1"), 7001)?.to_string(), "10.0.0.1:7001");
/// assert_eq!(view.resolve(None, 7001)?.to_string(), "seed.example:7001"); // on the host that was asked
///
/// let outside = |inside: Address| Address::new("gate.example", inside.port()).unwrap_or(inside);
/// let view = Viewpoint { translate: &outside, ..view };
/// assert_eq!(view.resolve(Some("10.0.0.1"), 7001)?.to_string(), "gate.example:7001");
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Viewpoint<'a> {
    /// The node that answered, as the client reached it: a node without a host is on the same host.
    pub asked: &'a Address,
    /// Which ports the client uses.
    pub transport: Transport,
    /// Turns an address that a node reports into one that the client can reach, such as the outer
    /// side of a translation of addresses. [`Viewpoint::as_told`] leaves addresses as they are.
    pub translate: &'a dyn Fn(Address) -> Address,
}

impl<'a> Viewpoint<'a> {
    /// The viewpoint of a client that reaches the nodes in plain text at their reported addresses.
    #[must_use]
    pub fn as_told(asked: &'a Address) -> Self {
        Self { asked, transport: Transport::Plain, translate: &core::convert::identity }
    }

    /// The address at which the client reaches a node. Without a host, or with one that its node
    /// does not know (`?`), the node is on the host that was asked.
    ///
    /// # Errors
    /// [`AddressError`] if it is not an address.
    pub fn resolve(&self, host: Option<&str>, port: u16) -> Result<Address, AddressError> {
        let host = host.filter(|host| !is_unknown(host)).unwrap_or(self.asked.host());
        Ok((self.translate)(Address::new(host, port)?))
    }
}

impl fmt::Debug for Viewpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Viewpoint");
        shown.field("asked", self.asked).field("transport", &self.transport);
        shown.finish_non_exhaustive()
    }
}

/// Whether this stands for an unknown host.
pub(super) fn is_unknown(host: &str) -> bool {
    matches!(host, "" | "?")
}

/// Letters, digits and the other characters of names, addresses and their zones.
fn is_of_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%')
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        let shown = |host, port| Address::new(host, port).unwrap().to_string();
        assert_eq!(shown("node-1.example", 6379), "node-1.example:6379");
        assert_eq!(shown("fe80::1%eth0", 1), "[fe80::1%eth0]:1");
        let endpoint = Endpoint::from(Address::new("::1", 7).unwrap());
        assert_eq!(endpoint, Endpoint::Tcp { host: "::1".into(), port: 7 });
    }

    #[test]
    fn invalid_hosts_and_ports_are_refused() {
        for host in ["", "a b", "a\n", "a/b", "a@b", "[::1]", "?", "h\u{f6}st", "a,b"] {
            assert_eq!(Address::new(host, 1), Err(AddressError::Host), "{host:?}");
        }
        let [longest, longer] = [255, 256].map(|len| "h".repeat(len));
        assert!(Address::new(&longest, 1).is_ok());
        assert_eq!(Address::new(&longer, 1), Err(AddressError::Host));
        assert_eq!(Address::new("h", 0), Err(AddressError::Port));
    }

    #[test]
    fn a_missing_host_is_that_of_the_asked_node_and_all_are_translated() {
        let asked = Address::new("seed", 1).unwrap();
        let plain = Viewpoint::as_told(&asked);
        for host in [None, Some(""), Some("?")] {
            assert_eq!(plain.resolve(host, 7), Address::new("seed", 7));
        }
        assert_eq!(plain.resolve(Some("other"), 7), Address::new("other", 7));
        assert_eq!(plain.resolve(None, 0), Err(AddressError::Port));
        let outside = |inside: Address| Address::new("gate", inside.port() + 1).unwrap();
        let view = Viewpoint { translate: &outside, ..plain };
        assert_eq!(view.resolve(Some("10.0.0.1"), 7), Address::new("gate", 8));
    }
}
