//! Reads a map from a node's answer.
//!
//! ```text
//! CLUSTER SHARDS   [{slots: [first, last, ...], nodes: [{id, port, tls-port, ip, endpoint, role, health}, ...]}, ...]
//! CLUSTER SLOTS    [[first, last, [host, port, id, {ip, ...}], replica, ...], ...]
//! ```
//!
//! The maps in these answers are flat arrays in RESP2. Everything is counted: each slot may be
//! listed once and each shard has few nodes, so that a hostile answer takes time in proportion to
//! its length.
//!
//! If a host is a null or empty it is the host that was asked. If it is `?`, which stands for a
//! name that a node does not know of itself, it is the node's `ip`, if that is given. Source: the
//! documentation of `CLUSTER SLOTS` and of `cluster-preferred-endpoint-type`.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::table::{NO_OWNER, SlotTable};
use super::{Health, MapContent, MapError, Members, Node, SlotMap};
use crate::cluster::address::{Address, Transport, Viewpoint};
use crate::cluster::slot::Slot;
use crate::command::TopologyForm;
use crate::error::ProtocolError;
use crate::resp::decode::{self, Elements, FramePart};
use crate::resp::kind::Kind;

impl SlotMap {
    /// Reads a node's answer to a request in this form: one whole frame, of either version of the
    /// protocol. Unknown fields are skipped, and so is a node without a port for the client's
    /// transport.
    ///
    /// # Errors
    /// [`MapError`], also for the answer of a node that knows of no slot at all.
    pub fn read(form: TopologyForm, frame: &[u8], view: &Viewpoint<'_>) -> Result<Self, MapError> {
        map(form, frame, view)
    }
}

fn map(form: TopologyForm, frame: &[u8], view: &Viewpoint<'_>) -> Result<SlotMap, MapError> {
    if let Some(error) = decode::error(frame)? {
        return Err(error.into());
    }
    let whole = decode::first(frame)?;
    let entries = list(&whole)?;
    let mut draft = Draft::new(view);
    for entry in entries {
        match form {
            TopologyForm::Shards => draft.shard(&entry?)?,
            TopologyForm::Slots => draft.slots(&entry?)?,
        }
    }
    if draft.is_empty { Err(MapError::Empty) } else { Ok(draft.finish()) }
}

/// A map that is being read.
struct Draft<'a> {
    view: &'a Viewpoint<'a>,
    nodes: Vec<Node>,
    shards: Vec<Members>,
    slots: SlotTable,
    is_empty: bool,
    /// The index of each node, by its address.
    places: BTreeMap<Address, u16>,
    /// The index of the first shard that each node leads, by the node's index.
    led: BTreeMap<u16, u16>,
}

/// A node as it is reported.
#[derive(Default)]
struct NodeTold<'a> {
    id: Option<&'a [u8]>,
    endpoint: Option<&'a str>,
    ip: Option<&'a str>,
    port: Option<i64>,
    tls_port: Option<i64>,
    is_master: bool,
    health: Health,
}

impl<'a> Draft<'a> {
    fn new(view: &'a Viewpoint<'a>) -> Self {
        let (places, led) = (BTreeMap::new(), BTreeMap::new());
        let (nodes, shards, slots) = (Vec::new(), Vec::new(), SlotTable::default());
        Self { view, nodes, shards, slots, is_empty: true, places, led }
    }

    fn finish(self) -> SlotMap {
        let by_address = self.places.into_values().collect();
        let places = (0..).take(self.nodes.len());
        let leads = places.map(|place| self.led.get(&place).copied().unwrap_or(NO_OWNER)).collect();
        let told = MapContent { nodes: self.nodes, shards: self.shards, by_address, leads };
        SlotMap { told: Arc::new(told), redirected: Vec::new(), slots: self.slots }
    }

    /// Reads one entry of `CLUSTER SHARDS`.
    fn shard(&mut self, shard: &FramePart<'_>) -> Result<(), MapError> {
        let (mut slots, mut nodes) = (None, None);
        each_field(shard, |name, value| {
            match name {
                b"slots" => slots = Some(list(value)?),
                b"nodes" => nodes = Some(list(value)?),
                _ => {}
            }
            Ok(())
        })?;
        let (Some(mut slots), Some(nodes)) = (slots, nodes) else {
            return Err(ProtocolError::Malformed("a shard").into());
        };
        let mut members = Members::default();
        for node in nodes {
            let told = NodeTold::of_shard(&node?)?;
            let Some(at) = self.node(&told)? else { continue };
            let leads = told.is_master && members.master.is_none_or(|other| self.has_failed(other));
            if leads {
                // A master that failed and was replaced is reported as a master until it comes
                // back.
                members.master = Some(at);
            } else if !told.is_master {
                follow(&mut members, at)?;
            }
        }
        if slots.remaining() == 0 {
            return Ok(());
        }
        let shard = self.add(members)?;
        while let Some(first) = slots.next().transpose()? {
            let Some(last) = slots.next().transpose()? else { break };
            self.serve(number(&first)?, number(&last)?, shard)?;
        }
        Ok(())
    }

    /// Reads one entry of `CLUSTER SLOTS`.
    fn slots(&mut self, entry: &FramePart<'_>) -> Result<(), MapError> {
        let mut entry = list(entry)?;
        let mut next = || entry.next().ok_or(ProtocolError::Malformed("a range of slots"))?;
        let (first, last) = (number(&next()?)?, number(&next()?)?);
        let Some(master) = entry.next() else { return Ok(()) };
        let master = self.node(&NodeTold::of_slots(&master?)?)?;
        let known = master.and_then(|master| self.led.get(&master).copied());
        let shard = match known {
            Some(shard) => shard,
            None => {
                let mut members = Members { master, replicas: Vec::new() };
                for replica in entry {
                    if let Some(at) = self.node(&NodeTold::of_slots(&replica?)?)? {
                        follow(&mut members, at)?;
                    }
                }
                self.add(members)?
            }
        };
        self.serve(first, last, shard)
    }

    /// The index of a node, which is added if it is new; `None` if it has no port for the client.
    fn node(&mut self, told: &NodeTold<'_>) -> Result<Option<u16>, MapError> {
        let port = match self.view.transport {
            Transport::Plain => told.port,
            Transport::Tls => told.tls_port,
        };
        // A closed port is reported as zero.
        let Some(port) = port.filter(|&port| port != 0) else { return Ok(None) };
        let port = u16::try_from(port).unwrap_or_default();
        let host = if told.endpoint == Some("?") { told.ip } else { told.endpoint };
        let address = self.view.resolve(host, port)?;
        if let Some(&at) = self.places.get(&address) {
            return Ok(Some(at));
        }
        let (what, limit) = ("nodes", SlotMap::MAX_NODES);
        let at = self.nodes.len();
        let at = u16::try_from(at).ok().filter(|_| at < limit);
        let at = at.ok_or(MapError::TooMany { what, limit })?;
        self.places.insert(address.clone(), at);
        let id = told.id.filter(|id| !id.is_empty()).map(text);
        self.nodes.push(Node { address, id, health: told.health });
        Ok(Some(at))
    }

    fn has_failed(&self, node: u16) -> bool {
        let node = self.nodes.get(usize::from(node));
        node.is_some_and(|node| node.health == Health::Failed)
    }

    fn add(&mut self, members: Members) -> Result<u16, MapError> {
        let (what, limit) = ("shards", SlotMap::MAX_NODES);
        let at = self.shards.len();
        let at = u16::try_from(at).ok().filter(|_| at < limit);
        let at = at.ok_or(MapError::TooMany { what, limit })?;
        if let Some(master) = members.master {
            self.led.entry(master).or_insert(at);
        }
        self.shards.push(members);
        Ok(at)
    }

    fn serve(&mut self, first: i64, last: i64, shard: u16) -> Result<(), MapError> {
        let slot = |number: i64| u16::try_from(number).ok().and_then(Slot::new);
        let (Some(from), Some(to)) = (slot(first), slot(last)) else {
            return Err(MapError::Range { first, last });
        };
        if from > to {
            return Err(MapError::Range { first, last });
        }
        for slot in (from.number()..=to.number()).filter_map(Slot::new) {
            if self.slots.get(slot) != NO_OWNER {
                return Err(MapError::ServedTwice(slot));
            }
            self.slots.set(slot, shard);
        }
        self.is_empty = false;
        Ok(())
    }
}

impl<'a> NodeTold<'a> {
    /// Reads a node of `CLUSTER SHARDS`.
    fn of_shard(node: &FramePart<'a>) -> Result<Self, MapError> {
        let mut told = Self::default();
        each_field(node, |name, value| {
            match name {
                b"id" => told.id = value.bytes(),
                b"endpoint" => told.endpoint = host(value)?,
                b"ip" => told.ip = host(value)?,
                b"port" => told.port = Some(number(value)?),
                b"tls-port" => told.tls_port = Some(number(value)?),
                b"role" => told.is_master = value.bytes() == Some(b"master"),
                b"health" => told.health = health(value.bytes()),
                _ => {}
            }
            Ok(())
        })?;
        Ok(told)
    }

    /// Reads a node of `CLUSTER SLOTS`, which reports one port, that of the connection's transport.
    fn of_slots(node: &FramePart<'a>) -> Result<Self, MapError> {
        let mut node = list(node)?;
        let mut next = || node.next().ok_or(ProtocolError::Malformed("a node"))?;
        let (endpoint, port) = (next()?, number(&next()?)?);
        let mut told = Self {
            endpoint: host(&endpoint)?,
            port: Some(port),
            tls_port: Some(port),
            ..Self::default()
        };
        if let Some(id) = node.next() {
            told.id = id?.bytes();
        }
        if let Some(metadata) = node.next() {
            each_field(&metadata?, |name, value| {
                if name == b"ip" {
                    told.ip = host(value)?;
                }
                Ok(())
            })?;
        }
        Ok(told)
    }
}

fn follow(members: &mut Members, replica: u16) -> Result<(), MapError> {
    let (what, limit) = ("replicas of one master", SlotMap::MAX_REPLICAS);
    if members.replicas.contains(&replica) {
        return Ok(());
    }
    if members.replicas.len() == limit {
        return Err(MapError::TooMany { what, limit });
    }
    members.replicas.push(replica);
    Ok(())
}

/// The elements of an array.
fn list<'a>(part: &FramePart<'a>) -> Result<Elements<'a>, ProtocolError> {
    let is_list = part.kind() == Kind::Array;
    let elements = if is_list { part.elements() } else { None };
    elements.ok_or_else(|| part.instead_of("an array"))
}

/// Calls `f` with each field of a map, or of the flat array that RESP2 has in its place. A name
/// without a value is skipped.
fn each_field<'a>(
    part: &FramePart<'a>,
    mut f: impl FnMut(&'a [u8], &FramePart<'a>) -> Result<(), MapError>,
) -> Result<(), MapError> {
    let is_map = matches!(part.kind(), Kind::Map | Kind::Array);
    let fields = if is_map { part.elements() } else { None };
    let mut fields = fields.ok_or_else(|| part.instead_of("a map"))?;
    while let Some(name) = fields.next().transpose()? {
        let Some(value) = fields.next().transpose()? else { break };
        if let Some(name) = name.bytes() {
            f(name, &value)?;
        }
    }
    Ok(())
}

fn number(part: &FramePart<'_>) -> Result<i64, ProtocolError> {
    part.integer().ok_or_else(|| part.instead_of("an integer"))
}

/// A host, which may be a null.
fn host<'a>(part: &FramePart<'a>) -> Result<Option<&'a str>, MapError> {
    if part.is_null() {
        return Ok(None);
    }
    let bytes = part.bytes().ok_or_else(|| part.instead_of("a host"))?;
    // Bytes that are not text are no host either; this text is refused when it is used.
    Ok(Some(core::str::from_utf8(bytes).unwrap_or("\u{fffd}")))
}

fn health(word: Option<&[u8]>) -> Health {
    match word {
        Some(b"fail" | b"failed") => Health::Failed,
        Some(b"loading") => Health::Loading,
        Some(_) | None => Health::Online,
    }
}

fn text(bytes: &[u8]) -> Box<str> {
    const KEPT: usize = 64;
    String::from_utf8_lossy(bytes.get(..KEPT).unwrap_or(bytes)).into()
}
