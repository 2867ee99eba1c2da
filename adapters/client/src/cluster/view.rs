//! What callers see of a cluster: who serves which slot, and the links to those.

use std::sync::Arc;

use async_caches_core::cluster::address::Address;
use async_caches_core::cluster::map::SlotMap;
use async_caches_core::cluster::slot::Slot;
use async_caches_core::cluster::way::Way;
use async_caches_core::command::Command;
use async_caches_core::connection::Role;
use async_caches_core::planted::{self, Bug};

use super::Node;
use crate::redis::Shared;

/// A map, and a node for each that is in it. It never changes: another takes its place. After a redirect
/// that shares all that is of the map as it was read.
#[derive(Debug)]
pub(crate) struct View {
    map: SlotMap,
    told: Arc<Told>,
    /// The nodes that redirects alone have named, whose places go on from those of the others.
    redirected: Vec<Arc<Node>>,
    /// Whether replicas are read from.
    reads: bool,
}

/// What there is for each node of a map as it was read.
#[derive(Debug)]
struct Told {
    /// In the order of the map's.
    nodes: Vec<Arc<Node>>,
    /// The same for reads, of those that are replicas.
    readers: Vec<Option<Arc<Node>>>,
}

impl View {
    /// That of a map as it was read, with nodes that are there already if they are `known`; that is told,
    /// too, whether a node serves any slot by this map. `reads` says whether replicas are read from.
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
        Self { map, told: Arc::new(Told { nodes, readers }), redirected: Vec::new(), reads }
    }

    /// That of the same map after a redirect to this node, unless there is no room for the node in it.
    pub(super) fn moved(&self, slot: Slot, to: &Arc<Node>) -> Option<Self> {
        let mut map = self.map.clone();
        if !map.moved(slot, to.address()) {
            return None;
        }
        let is_new = map.node_count() > self.len();
        let (told, reads) = (Arc::clone(&self.told), self.reads);
        let redirected = self.redirected.iter().chain(is_new.then_some(to)).cloned().collect();
        Some(Self { map, told, redirected, reads })
    }

    /// A link to use at once for a command of one slot, where there is one and no reason to open more;
    /// and whether the command is for a large value.
    #[inline]
    pub(crate) fn find(&self, command: &Command<'_>) -> Option<(Arc<Shared>, bool)> {
        let Way::Slot(slot) = Way::of(command) else { return None };
        if self.reads && command.changes_nothing() {
            return self.readers(slot).next().or_else(|| self.master(slot))?.find(command);
        }
        self.master(slot)?.find(command)
    }

    /// Who is read from for a slot: the first of its replicas that is there, or else its master.
    pub(super) fn reader(&self, slot: Slot) -> Option<&Arc<Node>> {
        let is_there = |node: &&Arc<Node>| !node.is_down() || planted::is(Bug::DeadReaderKept);
        self.readers(slot).find(is_there).or_else(|| self.master(slot))
    }

    /// The replicas of a slot, each slot's first being another.
    fn readers(&self, slot: Slot) -> impl Iterator<Item = &Arc<Node>> {
        let readers =
            || self.map.replicas_at(slot).filter_map(|at| self.told.readers.get(at)?.as_ref());
        let first = usize::from(slot.number()) % readers().count().max(1);
        readers().skip(first).chain(readers().take(first))
    }

    /// Who takes writes for a slot, if that is known.
    #[inline]
    pub(super) fn master(&self, slot: Slot) -> Option<&Arc<Node>> {
        self.node(self.map.master_at(slot)?)
    }

    /// Who serves which slot.
    pub(crate) fn map(&self) -> &SlotMap {
        &self.map
    }

    #[inline]
    fn node(&self, place: usize) -> Option<&Arc<Node>> {
        let told = &self.told.nodes;
        match told.get(place) {
            Some(node) => Some(node),
            None => self.redirected.get(place - told.len()),
        }
    }

    fn len(&self) -> usize {
        self.told.nodes.len() + self.redirected.len()
    }

    fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.told.nodes.iter().chain(&self.redirected)
    }

    /// Those of the nodes that redirects alone have named.
    pub(super) fn redirected(&self) -> &[Arc<Node>] {
        &self.redirected
    }

    /// Each of the map's nodes, and what there is of it for reads.
    pub(super) fn with_readers(&self) -> impl Iterator<Item = (&Arc<Node>, Option<&Arc<Node>>)> {
        let readers = self.told.readers.iter().map(Option::as_ref);
        self.nodes().zip(readers.chain(std::iter::repeat(None)))
    }

    /// All that may have a pool.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes().chain(self.told.readers.iter().flatten())
    }

    /// The node of the map at an address.
    pub(super) fn at(&self, address: &Address) -> Option<&Arc<Node>> {
        self.node(self.map.place(address)?)
    }

    /// The first slot of each master, and the first slot that nobody serves, if there is one: what is
    /// for all keys is for these.
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
