//! Addresses of a cluster's nodes: what servers call each other, and how that becomes what we can
//! reach.
//!
//! A node tells of the others as it sees them, which need not be how we do: it may leave the host
//! out, stand behind a translation of addresses, or listen for TLS on another port. [`Viewpoint`]
//! has all that is needed to set this right, for maps and for redirects alike.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use thiserror::Error;

use crate::url::Endpoint;

/// Where a node listens. Prints as `host:port` or `[address]:port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    host: Box<str>,
    port: u16,
}

/// Why something is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The host is empty, longer than [`Address::MAX_HOST`], or holds what no host does.
    #[error("the host is neither a name nor an address")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Address {
    /// How many bytes a host may have.
    pub const MAX_HOST: usize = 255;

    /// The address of a host, which is a name, an IPv4 address or an IPv6 address without
    /// brackets, and a port.
    ///
    /// # Errors
    /// [`AddressError`] if either cannot be.
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

/// Which of a node's ports we use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Transport {
    /// The one for plain text.
    #[default]
    Plain,
    /// The one for TLS.
    Tls,
}

/// From where we see a cluster.
#[derive(Clone, Copy)]
pub struct Viewpoint<'a> {
    /// The node that answered, as we reached it: a node without a host of its own is on the same.
    pub asked: &'a Address,
    /// Which ports we use.
    pub transport: Transport,
    /// What an address that a node tells is for us, such as the outside of a translation of
    /// addresses; [`Viewpoint::as_told`] where it is the same.
    pub translate: &'a dyn Fn(Address) -> Address,
}

impl<'a> Viewpoint<'a> {
    /// The view of who reaches the nodes in plain text where they say they are.
    #[must_use]
    pub fn as_told(asked: &'a Address) -> Self {
        Self { asked, transport: Transport::Plain, translate: &core::convert::identity }
    }

    /// What an address is for us; without a host, or with one that its node does not know (`?`),
    /// it is on the host that we asked.
    ///
    /// # Errors
    /// [`AddressError`] if it is none.
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

/// Whether this says that a node's host is not known.
pub(super) fn is_unknown(host: &str) -> bool {
    matches!(host, "" | "?")
}

/// Letters, digits and what else stands in names, addresses and their zones.
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
    fn what_no_host_or_port_is_is_refused() {
        for host in ["", "a b", "a\n", "a/b", "a@b", "[::1]", "?", "h\u{f6}st", "a,b"] {
            assert_eq!(Address::new(host, 1), Err(AddressError::Host), "{host:?}");
        }
        let [longest, longer] = [255, 256].map(|len| "h".repeat(len));
        assert!(Address::new(&longest, 1).is_ok());
        assert_eq!(Address::new(&longer, 1), Err(AddressError::Host));
        assert_eq!(Address::new("h", 0), Err(AddressError::Port));
    }

    #[test]
    fn a_node_without_a_host_is_where_we_asked_and_all_is_translated() {
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
