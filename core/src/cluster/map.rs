//! Which nodes serve which slot of a cluster.
//!
//! A map is read whole from what one node answers ([`SlotMap::read`]) and put right slot by slot by
//! redirects ([`SlotMap::moved`]) until it is read again. It always says something, and may always be
//! wrong: a cluster changes while it is being read.
//!
//! A slot's number is its place in a table of 16,384 numbers of shards, 32 KiB. Ranges are smaller, but
//! a lookup in the table takes the same few instructions however the slots lie, where a search through
//! ranges takes twice as many with three of them and more than four times as many with a thousand; and
//! to put one slot right is one store.
//!
//! This knows neither when a map is to be read nor who is asked: see [`refresh`](super::refresh).

mod read;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use thiserror::Error;

use super::address::{Address, AddressError, Viewpoint};
use super::slot::Slot;
use crate::error::{ProtocolError, ServerError};

/// Who serves which slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotMap {
    nodes: Vec<Node>,
    shards: Vec<Members>,
    /// For each slot the index of its shard, or [`NOBODY`].
    slots: Box<[u16]>,
}

/// A server of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Where we reach it.
    pub address: Address,
    /// What the cluster calls it, where that was told; cut to 64 bytes.
    pub id: Option<Box<str>>,
    /// How it was doing when it was told of.
    pub health: Health,
}

/// How a node is doing, as others of the cluster see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Health {
    /// It is there, as far as is known.
    #[default]
    Online,
    /// It is taking over its master's data.
    Loading,
    /// It is not reached by most of the others.
    Failed,
}

/// The nodes of one shard, by their indices.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Members {
    master: Option<u16>,
    replicas: Vec<u16>,
}

/// The nodes that serve the same slots.
#[derive(Clone, Copy, Debug)]
pub struct Shard<'a> {
    nodes: &'a [Node],
    members: &'a Members,
}

/// How a node is asked for its map.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// `CLUSTER SHARDS`, since Redis 7.0: with the nodes' health and both of their ports.
    Shards,
    /// `CLUSTER SLOTS`, which older servers know: of what is for the connection's transport only.
    Slots,
}

/// Why an answer is no map.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The node answered with an error.
    #[error(transparent)]
    Refused(#[from] ServerError),
    /// It answered with something else.
    #[error("the answer is no map of slots")]
    Protocol(#[from] ProtocolError),
    /// A range of slots is none.
    #[error("there are no slots from {first} to {last}")]
    Range {
        /// Its first slot, as told.
        first: i64,
        /// Its last.
        last: i64,
    },
    /// A slot is said to be served twice.
    #[error("slot {0} is served twice")]
    ServedTwice(Slot),
    /// There is more of something than a cluster has.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A node's address is none.
    #[error("a node's address is none")]
    Address(#[from] AddressError),
    /// No slot is served: the node belongs to no cluster, or to one that is not set up.
    #[error("no slot is served")]
    Empty,
}

impl SlotMap {
    /// How many nodes a map may have, those included that redirects named.
    pub const MAX_NODES: usize = 4096;
    /// How many replicas a shard may have.
    pub const MAX_REPLICAS: usize = 256;

    /// The map of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        let slots = vec![NOBODY; usize::from(Slot::COUNT)].into();
        Self { nodes: Vec::new(), shards: Vec::new(), slots }
    }

    /// Reads what a node answered when it was asked in this form: one whole frame, of either version
    /// of the protocol. What it does not know is passed over, and so is a node that has no port for
    /// our transport.
    ///
    /// # Errors
    /// [`MapError`]; the answer of a node that knows of no slot at all is one as well.
    pub fn read(form: Form, frame: &[u8], view: &Viewpoint<'_>) -> Result<Self, MapError> {
        read::map(form, frame, view)
    }

    /// Takes note of a redirect: the slot is served by this node. Answers whether that is news.
    ///
    /// It is of no effect where the map has [`MAX_NODES`](Self::MAX_NODES) nodes and this is
    /// another.
    pub fn moved(&mut self, slot: Slot, to: &Address) -> bool {
        if self.master(slot).is_some_and(|node| node.address == *to) {
            return false;
        }
        let known = self.nodes.iter().position(|node| node.address == *to);
        let at = known.unwrap_or(self.nodes.len());
        let Some(node) = u16::try_from(at).ok().filter(|_| at < Self::MAX_NODES) else {
            return false;
        };
        if known.is_none() {
            let address = to.clone();
            self.nodes.push(Node { address, id: None, health: Health::Online });
        }
        let led = self.shards.iter().position(|members| members.master == Some(node));
        let at = led.unwrap_or(self.shards.len());
        let Ok(shard) = u16::try_from(at) else { return false };
        if led.is_none() {
            self.shards.push(Members { master: Some(node), replicas: Vec::new() });
        }
        if let Some(entry) = self.slots.get_mut(usize::from(slot.number())) {
            *entry = shard;
        }
        true
    }

    /// The nodes that serve a slot, where there are any.
    #[inline]
    #[must_use]
    pub fn shard(&self, slot: Slot) -> Option<Shard<'_>> {
        let shard = *self.slots.get(usize::from(slot.number()))?;
        let members = self.shards.get(usize::from(shard))?;
        Some(Shard { nodes: &self.nodes, members })
    }

    /// The node that takes writes for a slot, where it is known.
    #[inline]
    #[must_use]
    pub fn master(&self, slot: Slot) -> Option<&Node> {
        self.shard(slot)?.master()
    }

    /// The place of that node among all [`nodes`](Self::nodes). Redirects change the places of none.
    #[inline]
    #[must_use]
    pub fn master_at(&self, slot: Slot) -> Option<usize> {
        let shard = *self.slots.get(usize::from(slot.number()))?;
        self.shards.get(usize::from(shard))?.master.map(usize::from)
    }

    /// The places of those that follow that node and are there, as far as is known: see
    /// [`Shard::replicas`].
    pub fn replicas_at(&self, slot: Slot) -> impl Iterator<Item = usize> {
        let shard = self.slots.get(usize::from(slot.number()));
        let members = shard.and_then(|shard| self.shards.get(usize::from(*shard)));
        let places = members.into_iter().flat_map(|members| &members.replicas);
        let places = places.map(|place| usize::from(*place));
        places.filter(|place| {
            self.nodes.get(*place).is_some_and(|node| node.health == Health::Online)
        })
    }

    /// All nodes that are known, in no particular order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The shards that serve a slot at least: what is for all keys is for the masters of these.
    pub fn shards(&self) -> impl Iterator<Item = Shard<'_>> {
        let mut serves = vec![false; self.shards.len()];
        for &shard in &self.slots {
            if let Some(serves) = serves.get_mut(usize::from(shard)) {
                *serves = true;
            }
        }
        let shards = self.shards.iter().zip(serves).filter(|(_, serves)| *serves);
        shards.map(|(members, _)| Shard { nodes: &self.nodes, members })
    }

    /// The slots whose master is not known, in order, as ranges that do not touch.
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

impl<'a> Shard<'a> {
    /// The node that takes writes, where it is known.
    #[inline]
    #[must_use]
    pub fn master(&self) -> Option<&'a Node> {
        self.nodes.get(usize::from(self.members.master?))
    }

    /// The nodes that follow it, which may be behind, and answer reads on connections that said
    /// [`READONLY`](crate::command::Command::ReadOnly).
    pub fn replicas(&self) -> impl Iterator<Item = &'a Node> + use<'a> {
        let nodes = self.nodes;
        self.members.replicas.iter().filter_map(move |&node| nodes.get(usize::from(node)))
    }
}

/// What no shard is called: there are fewer.
const NOBODY: u16 = u16::MAX;
