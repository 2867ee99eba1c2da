//! The callers' view of a cluster: which node serves which slot, and the connections to the nodes.

use std::sync::Arc;

use async_caches_core::cluster::address::Address;
use async_caches_core::cluster::key_route::KeyRoute;
use async_caches_core::cluster::map::SlotMap;
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::Command;
use async_caches_core::connection::Role;

use super::node::Node;
use crate::redis::SharedConnection;

/// A map, and a node for each of its entries. A view never changes: another replaces it. The view
/// after a redirect shares the part that comes from the map as it was read.
#[derive(Debug)]
pub(crate) struct View {
    map: SlotMap,
    from_map: Arc<MapNodes>,
    /// The nodes that only redirects have named. Their places come after those of the others.
    redirected: Vec<Arc<Node>>,
    /// Whether replicas are read from.
    reads: bool,
}

/// The nodes of a map as it was read.
#[derive(Debug)]
struct MapNodes {
    /// In the order of the map.
    nodes: Vec<Arc<Node>>,
    /// The nodes to read from, for those that are replicas; in the same order.
    readers: Vec<Option<Arc<Node>>>,
}

impl View {
    /// The view of a map as it was read. `known` returns the existing node for an address and role,
    /// if it is to be kept; its last argument is whether the node serves any slot in this map.
    /// `reads` is whether replicas are read from.
    pub(super) fn of(
        map: SlotMap,
        reads: bool,
        known: impl Fn(&Address, Role, bool) -> Option<Arc<Node>>,
    ) -> Self {
        let mut parts = vec![(false, false); map.node_count()];
        for slot in (0..Slot::COUNT).filter_map(Slot::new) {
            if let Some((serves, _)) = map.master_at(slot).and_then(|at| parts.get_mut(at)) {
                *serves = true;
            }
            for at in map.replicas_at(slot).take_while(|_| reads) {
                if let Some((_, follows)) = parts.get_mut(at) {
                    *follows = true;
                }
            }
        }
        let node = |address: &Address, role, serves| {
            known(address, role, serves).unwrap_or_else(|| Node::new(address.clone(), role))
        };
        let (nodes, readers) = map
            .nodes()
            .zip(parts)
            .map(|(told, (serves, follows))| {
                let reader = follows.then(|| node(&told.address, Role::Reader, true));
                (node(&told.address, Role::Any, serves), reader)
            })
            .unzip();
        Self { map, from_map: Arc::new(MapNodes { nodes, readers }), redirected: Vec::new(), reads }
    }

    /// The view of the same map after a redirect to this node; `None` if the map has no room for
    /// the node.
    pub(super) fn moved(&self, slot: Slot, to: &Arc<Node>) -> Option<Self> {
        let mut map = self.map.clone();
        if !map.moved(slot, to.address()) {
            return None;
        }
        let is_new = map.node_count() > self.len();
        let (from_map, reads) = (Arc::clone(&self.from_map), self.reads);
        let redirected = self.redirected.iter().chain(is_new.then_some(to)).cloned().collect();
        Some(Self { map, from_map, redirected, reads })
    }

    /// A connection to use at once for a command of one slot, if there is one and no reason to open
    /// more; and whether the command has a large value.
    #[inline]
    pub(crate) fn find(&self, command: &Command<'_>) -> Option<(Arc<SharedConnection>, bool)> {
        let KeyRoute::Slot(slot) = KeyRoute::of(command) else { return None };
        if self.reads && command.changes_nothing() {
            return self.readers(slot).next().or_else(|| self.master(slot))?.find(command);
        }
        self.master(slot)?.find(command)
    }

    /// The node to read from for a slot: the first of its replicas that is up, or else its master.
    pub(super) fn reader(&self, slot: Slot) -> Option<&Arc<Node>> {
        self.readers(slot).find(|node| !node.is_down()).or_else(|| self.master(slot))
    }

    /// The replicas of a slot, beginning with a different one for different slots.
    fn readers(&self, slot: Slot) -> impl Iterator<Item = &Arc<Node>> {
        let readers =
            || self.map.replicas_at(slot).filter_map(|at| self.from_map.readers.get(at)?.as_ref());
        let first = usize::from(slot.number()) % readers().count().max(1);
        readers().skip(first).chain(readers().take(first))
    }

    /// The node that takes writes for a slot, if it is known.
    #[inline]
    pub(super) fn master(&self, slot: Slot) -> Option<&Arc<Node>> {
        self.node(self.map.master_at(slot)?)
    }

    /// The map: which node serves which slot.
    pub(crate) fn map(&self) -> &SlotMap {
        &self.map
    }

    #[inline]
    fn node(&self, place: usize) -> Option<&Arc<Node>> {
        let from_map = &self.from_map.nodes;
        match from_map.get(place) {
            Some(node) => Some(node),
            None => self.redirected.get(place - from_map.len()),
        }
    }

    fn len(&self) -> usize {
        self.from_map.nodes.len() + self.redirected.len()
    }

    fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.from_map.nodes.iter().chain(&self.redirected)
    }

    /// The nodes that only redirects have named.
    pub(super) fn redirected(&self) -> &[Arc<Node>] {
        &self.redirected
    }

    /// Each of the map's nodes, and its node for reads, if it has one.
    pub(super) fn with_readers(&self) -> impl Iterator<Item = (&Arc<Node>, Option<&Arc<Node>>)> {
        let readers = self.from_map.readers.iter().map(Option::as_ref);
        self.nodes().zip(readers.chain(std::iter::repeat(None)))
    }

    /// All nodes that may have a pool.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes().chain(self.from_map.readers.iter().flatten())
    }

    /// The node of the map at an address.
    pub(super) fn at(&self, address: &Address) -> Option<&Arc<Node>> {
        self.node(self.map.place(address)?)
    }

    /// The first slot of each master, and the first slot without one, if any. A command for all
    /// keys is sent to these.
    pub(crate) fn shards(&self) -> Vec<Slot> {
        let mut seen = vec![false; self.len() + 1];
        let all = (0..Slot::COUNT).filter_map(Slot::new);
        let is_first = |slot: &Slot| {
            let place = self.map.master_at(*slot).unwrap_or(self.len());
            !seen.get_mut(place).is_none_or(|seen| std::mem::replace(seen, true))
        };
        all.filter(is_first).collect()
    }

    /// How many slots each node serves, in the order of the nodes.
    pub(super) fn slots(&self) -> Vec<usize> {
        let mut slots = vec![0; self.len()];
        for slot in (0..Slot::COUNT).filter_map(Slot::new) {
            if let Some(count) = self.map.master_at(slot).and_then(|at| slots.get_mut(at)) {
                *count += 1;
            }
        }
        slots
    }
}
