//! Which nodes serve which slot of a cluster.
//!
//! A map is read whole from a node's answer ([`SlotMap::read`]) and corrected slot by slot by
//! redirects ([`SlotMap::moved`]) until it is read again. It always has an answer, which may always
//! be wrong: a cluster changes while it is being read.
//!
//! The map has a table of the shard numbers of all 16,384 slots, 32 KiB. Ranges would be smaller.
//! But a lookup in the table takes the same few instructions for any layout of the slots. A search
//! through ranges takes twice as many with three ranges, and more than four times as many with a
//! thousand.
//!
//! A copy of a map shares the part that was read. A redirect changes one chunk of the table, and
//! adds at most one of [`SlotMap::MAX_REDIRECTED`] nodes, so a copy that a redirect has corrected
//! costs the same whatever the size of the map.
//!
//! This module knows neither when to read a map nor which node to ask: see
//! [`refresh`](super::refresh).

mod read;
mod table;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use thiserror::Error;

use self::table::{NO_OWNER, SlotTable};
use super::address::{Address, AddressError};
use super::slot::Slot;
use crate::error::{ProtocolError, ServerError};

/// Which nodes serve which slot. A copy is cheap: see [`moved`](Self::moved).
///
/// ```
/// use async_caches_core::cluster::address::{Address, Viewpoint};
/// use async_caches_core::cluster::map::SlotMap;
/// use async_caches_core::cluster::slot::Slot;
/// use async_caches_core::command::TopologyForm;
///
/// let seed = Address::new("node-1", 7000)?;
/// let answer = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$6\r\nnode-1\r\n:7000\r\n"; // to CLUSTER SLOTS
/// let mut map = SlotMap::read(TopologyForm::Slots, answer, &Viewpoint::as_told(&seed))?;
/// let slot = Slot::of(b"::user:1");
/// assert_eq!(map.master(slot).map(|node| &node.address), Some(&seed));
///
/// let other = Address::new("node-2", 7000)?;
/// assert!(map.moved(slot, &other)); // a redirect said so
/// assert_eq!(map.master(slot).map(|node| &node.address), Some(&other));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotMap {
    told: Arc<MapContent>,
    /// The nodes that only redirects have named. Their indices follow those of the others.
    redirected: Vec<Arc<Node>>,
    /// For each slot the index of its shard, or that of a node with [`ALONE`], or [`NO_OWNER`].
    slots: SlotTable,
}

/// The content of a node's answer, with indices for lookups in it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct MapContent {
    nodes: Vec<Node>,
    shards: Vec<Members>,
    /// The indices of the nodes in the order of their addresses.
    by_address: Vec<u16>,
    /// The index of the first shard that each node leads, or [`NO_OWNER`].
    leads: Vec<u16>,
}

/// A server of a cluster.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError};
/// use async_caches_core::cluster::map::{Health, SlotMap};
/// use async_caches_core::cluster::slot::Slot;
///
/// let mut map = SlotMap::unknown();
/// map.moved(Slot::of(b"::user:1"), &Address::new("node-2", 7000)?);
/// let node = map.nodes().next().expect("a redirect has named it");
/// assert_eq!((node.address.host(), node.address.port()), ("node-2", 7000));
/// assert_eq!((&node.id, node.health), (&None, Health::Online)); // a redirect reports neither
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The address at which the client reaches it.
    pub address: Address,
    /// Its name in the cluster, if that was reported; cut to 64 bytes.
    pub id: Option<Box<str>>,
    /// Its health when it was reported.
    pub health: Health,
}

/// The health of a node, as the other nodes of the cluster see it.
///
/// ```
/// use async_caches_core::cluster::address::{Address, Viewpoint};
/// use async_caches_core::cluster::map::{Health, SlotMap};
/// use async_caches_core::command::TopologyForm;
///
/// let answer = b"*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n\
///     *1\r\n*8\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$4\r\nport\r\n:7000\r\n\
///     $4\r\nrole\r\n$6\r\nmaster\r\n$6\r\nhealth\r\n$4\r\nfail\r\n"; // to CLUSTER SHARDS
/// let seed = Address::new("10.0.0.1", 7000)?;
/// let map = SlotMap::read(TopologyForm::Shards, answer, &Viewpoint::as_told(&seed))?;
/// assert!(map.nodes().all(|node| node.health == Health::Failed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Health {
    /// It is reachable, as far as is known.
    #[default]
    Online,
    /// It is taking over its master's data.
    Loading,
    /// Most of the others do not reach it.
    Failed,
}

/// The nodes of one shard, by their indices.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Members {
    master: Option<u16>,
    replicas: Vec<u16>,
}

/// The nodes that serve the same slots.
///
/// ```
/// use async_caches_core::cluster::address::{Address, Viewpoint};
/// use async_caches_core::cluster::map::SlotMap;
/// use async_caches_core::cluster::slot::Slot;
/// use async_caches_core::command::TopologyForm;
///
/// let answer = b"*1\r\n*4\r\n:0\r\n:16383\r\n*2\r\n$6\r\nnode-1\r\n:7000\r\n\
///     *2\r\n$6\r\nnode-2\r\n:7000\r\n"; // to CLUSTER SLOTS
/// let seed = Address::new("node-1", 7000)?;
/// let map = SlotMap::read(TopologyForm::Slots, answer, &Viewpoint::as_told(&seed))?;
/// let shard = map.shard(Slot::of(b"::user:1")).expect("every slot is served");
/// assert_eq!(shard.master().map(|node| node.address.host()), Some("node-1"));
/// assert!(shard.replicas().map(|node| node.address.host()).eq(["node-2"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ShardView<'a> {
    map: &'a SlotMap,
    master: Option<u16>,
    replicas: &'a [u16],
}

/// The reason for which an answer is not a map.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError, Viewpoint};
/// use async_caches_core::cluster::map::{MapError, SlotMap};
/// use async_caches_core::command::TopologyForm;
/// use async_caches_core::error::ServerErrorKind;
///
/// let seed = Address::new("node-1", 7000)?;
/// let answer = b"-NOPERM this user has no permissions\r\n";
/// match SlotMap::read(TopologyForm::Shards, answer, &Viewpoint::as_told(&seed)) {
///     Err(MapError::Refused(error)) => assert_eq!(error.kind, ServerErrorKind::NoPerm),
///     other => panic!("the node refused the request: {other:?}"),
/// }
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The node answered with an error.
    #[error(transparent)]
    Refused(#[from] ServerError),
    /// It answered with something else.
    #[error("the answer is no map of slots")]
    Protocol(#[from] ProtocolError),
    /// A range of slots is not valid.
    #[error("there are no slots from {first} to {last}")]
    Range {
        /// Its first slot, as reported.
        first: i64,
        /// Its last slot, as reported.
        last: i64,
    },
    /// A slot is served twice.
    #[error("slot {0} is served twice")]
    ServedTwice(Slot),
    /// A count is larger than a cluster can have.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// The things counted.
        what: &'static str,
        /// The largest count allowed.
        limit: usize,
    },
    /// A node's address is not valid.
    #[error("a node's address is not valid")]
    Address(#[from] AddressError),
    /// No slot is served: the node belongs to no cluster, or to one that is not set up.
    #[error("no slot is served")]
    Empty,
}

impl SlotMap {
    /// The most nodes that a map may have, besides those that only redirects named.
    pub const MAX_NODES: usize = 4096;
    /// The most nodes that redirects may add to a map.
    pub const MAX_REDIRECTED: usize = 64;
    /// The most replicas that a shard may have.
    pub const MAX_REPLICAS: usize = 256;

    /// A map without any nodes.
    #[must_use]
    pub fn unknown() -> Self {
        Self { told: Arc::default(), redirected: Vec::new(), slots: SlotTable::default() }
    }

    /// Records a redirect: this node serves the slot. Returns whether the map has changed.
    ///
    /// It has no effect if the node is new and redirects have named
    /// [`MAX_REDIRECTED`](Self::MAX_REDIRECTED) others since the map was read: nodes that send
    /// callers to ever new addresses must not make the map grow. The next map names the node if it
    /// exists.
    ///
    /// Costs a search by address and a copy of 512 bytes; a copy of the map that was made before
    /// keeps sharing everything else.
    pub fn moved(&mut self, slot: Slot, to: &Address) -> bool {
        if self.master(slot).is_some_and(|node| node.address == *to) {
            return false;
        }
        let known = self.place(to);
        if known.is_none() && self.redirected.len() >= Self::MAX_REDIRECTED {
            return false;
        }
        let at = known.unwrap_or(self.node_count());
        let Ok(place) = u16::try_from(at) else { return false };
        if known.is_none() {
            let address = to.clone();
            self.redirected.push(Arc::new(Node { address, id: None, health: Health::Online }));
        }
        let led = self.told.leads.get(at).copied().filter(|led| *led != NO_OWNER);
        self.slots.set(slot, led.unwrap_or(ALONE | place));
        true
    }

    /// The nodes that serve a slot, if any do.
    #[inline]
    #[must_use]
    pub fn shard(&self, slot: Slot) -> Option<ShardView<'_>> {
        self.shard_of(self.slots.get(slot))
    }

    #[inline]
    fn shard_of(&self, owner: u16) -> Option<ShardView<'_>> {
        match self.told.shards.get(usize::from(owner)) {
            Some(members) => {
                Some(ShardView { map: self, master: members.master, replicas: &members.replicas })
            }
            None => Some(ShardView { map: self, master: Some(alone(owner)?), replicas: &[] }),
        }
    }

    /// The node that accepts writes for a slot, if it is known.
    #[inline]
    #[must_use]
    pub fn master(&self, slot: Slot) -> Option<&Node> {
        self.shard(slot)?.master()
    }

    /// The place of that node among all [`nodes`](Self::nodes). Redirects change no node's place.
    #[inline]
    #[must_use]
    pub fn master_at(&self, slot: Slot) -> Option<usize> {
        let owner = self.slots.get(slot);
        match self.told.shards.get(usize::from(owner)) {
            Some(members) => members.master.map(usize::from),
            None => alone(owner).map(usize::from),
        }
    }

    /// The places of that node's replicas that are online, as far as is known: see
    /// [`ShardView::replicas`].
    pub fn replicas_at(&self, slot: Slot) -> impl Iterator<Item = usize> {
        let members = self.told.shards.get(usize::from(self.slots.get(slot)));
        let places = members.into_iter().flat_map(|members| &members.replicas);
        let places = places.map(|place| usize::from(*place));
        places.filter(|place| self.node(*place).is_some_and(|node| node.health == Health::Online))
    }

    /// All known nodes, in no particular order; those that only redirects named come last.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> + Clone {
        self.told.nodes.iter().chain(self.redirected.iter().map(|node| &**node))
    }

    /// How many [`nodes`](Self::nodes) are known.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.told.nodes.len() + self.redirected.len()
    }

    /// How many of them only redirects have named: at most
    /// [`MAX_REDIRECTED`](Self::MAX_REDIRECTED).
    #[must_use]
    pub fn redirected(&self) -> usize {
        self.redirected.len()
    }

    /// The node at a place among all [`nodes`](Self::nodes).
    #[inline]
    #[must_use]
    pub fn node(&self, place: usize) -> Option<&Node> {
        match self.told.nodes.get(place) {
            Some(node) => Some(node),
            None => self.redirected.get(place - self.told.nodes.len()).map(|node| &**node),
        }
    }

    /// The place of the node at an address. Costs a binary search, and a look at each node that
    /// only redirects named.
    #[must_use]
    pub fn place(&self, address: &Address) -> Option<usize> {
        let told = &self.told;
        let address_at =
            |place: &u16| told.nodes.get(usize::from(*place)).map(|node| &node.address);
        let found = told.by_address.binary_search_by(|place| address_at(place).cmp(&Some(address)));
        let told_at = found.ok().and_then(|at| told.by_address.get(at)).copied().map(usize::from);
        told_at.or_else(|| {
            let at = self.redirected.iter().position(|node| node.address == *address)?;
            Some(told.nodes.len() + at)
        })
    }

    /// The shards that serve at least one slot. A command for all keys goes to their masters.
    pub fn shards(&self) -> impl Iterator<Item = ShardView<'_>> {
        let mut serves = vec![false; self.told.shards.len() + self.node_count()];
        let place = |owner: u16| match alone(owner) {
            Some(node) => self.told.shards.len() + usize::from(node),
            None => usize::from(owner),
        };
        let mut is_first = move |owner: u16| {
            let seen = serves.get_mut(place(owner));
            seen.is_some_and(|seen| !core::mem::replace(seen, true))
        };
        let owners = self.slots.iter().filter(move |owner| is_first(*owner));
        owners.filter_map(|owner| self.shard_of(owner))
    }

    /// The slots without a known master, in order, as ranges that do not touch.
    pub fn uncovered(&self) -> impl Iterator<Item = RangeInclusive<Slot>> {
        let all = || (0..Slot::COUNT).filter_map(Slot::new);
        let mut open = all().filter(|slot| self.master(*slot).is_none()).peekable();
        core::iter::from_fn(move || {
            let first = open.next()?;
            let mut last = first;
            while let Some(next) = open.next_if(|next| next.number() == last.number() + 1) {
                last = next;
            }
            Some(first..=last)
        })
    }
}

impl Default for SlotMap {
    fn default() -> Self {
        Self::unknown()
    }
}

impl<'a> ShardView<'a> {
    /// The node that accepts writes, if it is known.
    #[inline]
    #[must_use]
    pub fn master(&self) -> Option<&'a Node> {
        self.map.node(usize::from(self.master?))
    }

    /// The master's replicas, which may be behind. They answer reads on connections that have sent
    /// [`READONLY`](crate::command::Command::ReadOnly).
    pub fn replicas(&self) -> impl Iterator<Item = &'a Node> + use<'a> {
        let map = self.map;
        self.replicas.iter().filter_map(move |&node| map.node(usize::from(node)))
    }
}

/// The place of a slot's node, if a redirect has given the slot to a node that leads no shard.
#[inline]
fn alone(owner: u16) -> Option<u16> {
    (owner != NO_OWNER && owner & ALONE != 0).then_some(owner & !ALONE)
}

/// Marks the number of a slot that belongs to a single node: shard and node numbers are smaller.
const ALONE: u16 = 1 << 15;
