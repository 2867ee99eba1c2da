//! What callers see of a cluster: who serves which slot, and the links to those.

use std::sync::Arc;

use async_caches_core::cluster::address::Address;
use async_caches_core::cluster::map::SlotMap;
use async_caches_core::cluster::slot::Slot;
use async_caches_core::cluster::way::Way;
use async_caches_core::command::Command;

use super::Node;
use crate::redis::Shared;

/// A map, and a node for each that is in it. It never changes: another takes its place.
#[derive(Debug)]
pub(crate) struct View {
    map: SlotMap,
    /// In the order of the map's.
    nodes: Vec<Arc<Node>>,
}

impl View {
    /// That of a map, with nodes that are there already where they are `known`; that is told, too,
    /// whether a node serves any slot by this map.
    pub(super) fn of(map: SlotMap, known: impl Fn(&Address, bool) -> Option<Arc<Node>>) -> Self {
        let mut serves = vec![false; map.nodes().len()];
        for slot in (0..Slot::COUNT).filter_map(Slot::new) {
            if let Some(serves) = map.master_at(slot).and_then(|at| serves.get_mut(at)) {
                *serves = true;
            }
        }
        let node = |address: &Address, serves| {
            known(address, serves).unwrap_or_else(|| Node::new(address.clone()))
        };
        let nodes = map.nodes().iter().zip(serves);
        let nodes = nodes.map(|(told, serves)| node(&told.address, serves)).collect();
        Self { map, nodes }
    }

    /// A link to use at once for a command of one slot, where there is one and no reason to open more;
    /// and whether the command is for a large value.
    #[inline]
    pub(crate) fn find(&self, command: &Command<'_>) -> Option<(Arc<Shared>, bool)> {
        let Way::Slot(slot) = Way::of(command) else { return None };
        self.master(slot)?.find(command)
    }

    /// Who takes writes for a slot, if that is known.
    #[inline]
    pub(super) fn master(&self, slot: Slot) -> Option<&Arc<Node>> {
        self.nodes.get(self.map.master_at(slot)?)
    }

    /// Who serves which slot.
    pub(crate) fn map(&self) -> &SlotMap {
        &self.map
    }

    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The place of a node.
    pub(super) fn place(&self, address: &Address) -> Option<usize> {
        self.nodes.iter().position(|node| node.address() == address)
    }

    /// The first slot of each master, and the first slot that nobody serves, if there is one: what is
    /// for all keys is for these.
    pub(crate) fn shards(&self) -> Vec<Slot> {
        let mut seen = vec![false; self.nodes.len() + 1];
        let all = (0..Slot::COUNT).filter_map(Slot::new);
        let is_first = |slot: &Slot| {
            let place = self.map.master_at(*slot).unwrap_or(self.nodes.len());
            !seen.get_mut(place).is_none_or(|seen| std::mem::replace(seen, true))
        };
        all.filter(is_first).collect()
    }

    /// How many slots each node serves, in the order of the nodes.
    pub(super) fn slots(&self) -> Vec<usize> {
        let mut slots = vec![0; self.nodes.len()];
        for slot in (0..Slot::COUNT).filter_map(Slot::new) {
            if let Some(count) = self.map.master_at(slot).and_then(|at| slots.get_mut(at)) {
                *count += 1;
            }
        }
        slots
    }
}
