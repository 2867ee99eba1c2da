//! Where the servers are reached that nodes and sentinels name, if that is elsewhere.

use std::fmt;
use std::sync::Arc;

use async_caches_core::cluster::address::Address;

/// Maps an address that a node or a sentinel reports to the one at which we reach it.
#[derive(Clone)]
pub(crate) struct Translation(Arc<dyn Fn(Address) -> Address + Send + Sync>);

impl Translation {
    /// A translation by `map`, which is called with the host and the port. Its result is ignored
    /// unless it is a valid address.
    pub(crate) fn of(map: impl Fn(&str, u16) -> (String, u16) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |told: Address| {
            let (host, port) = map(told.host(), told.port());
            Address::new(&host, port).unwrap_or(told)
        }))
    }

    pub(crate) fn as_fn(&self) -> &dyn Fn(Address) -> Address {
        &*self.0
    }
}

impl Default for Translation {
    fn default() -> Self {
        Self(Arc::new(std::convert::identity))
    }
}

impl fmt::Debug for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Translation")
    }
}
