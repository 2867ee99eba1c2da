//! Whole conversations with the nodes of a lying cluster: handshakes, maps, redirects, replies and
//! pushes in any order, complete and in pieces.
//!
//! The client is built from the core's parts like the real one. Three things must be bounded
//! whatever the nodes send. Memory: a connection does not wait for a large frame that it did not
//! request, and its unread bytes are no more than it was sent. Connections: the nodes that are
//! known from redirects, and the nodes that are dialled, stay within their limits. Work: a call is
//! redirected a limited number of times, and there are no more events than frames and commands.
#![no_main]

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use async_caches_core::cluster::address::{Address, Viewpoint};
use async_caches_core::cluster::map::SlotMap;
use async_caches_core::cluster::node_budget::NodeBudget;
use async_caches_core::cluster::redirect::{Hops, Next, RedirectKind};
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::{Command, TopologyForm};
use async_caches_core::connection::{Connection, Event, Pushes, Setup, Tag, Tracking};
use async_caches_core::key::KeySpace;
use async_caches_core::reply::{Answer, Reply};
use async_caches_core::resp::output::Output;
use async_caches_core::time::Instant;
use bytes::{Buf, BytesMut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut u = Unstructured::new(input);
    let mut client = Client::new();
    // Running out of input ends the conversation; it is not an error.
    while !u.is_empty() && client.act(&mut u).is_ok() {}
    client.end();
});

struct Client {
    now: Instant,
    room: NodeBudget,
    map: SlotMap,
    nodes: Vec<Node>,
    /// The calls by their tags; `None` for one that was answered.
    calls: Vec<Option<Call>>,
    dialled: usize,
    events: usize,
    /// The number of bytes that nodes have sent. `submitted` counts commands.
    said: usize,
    submitted: usize,
}

struct Node {
    address: Address,
    connection: Connection,
    rx: BytesMut,
    tx: Output,
    /// Whether the node is known only from a redirect and not from a map.
    is_stray: bool,
    /// The number of values and maps that are awaited; only those may be large.
    values: usize,
    failed: bool,
}

struct Call {
    hops: Hops,
    expires: Instant,
    slot: Slot,
    /// The node that the call goes to next, and whether with `ASKING`.
    to: Option<(Address, bool)>,
    is_sent: bool,
    is_map: bool,
}

const START: Instant = Instant::from_millis(1_000);
const SMALL: usize = 1 << 20;
/// With so many calls there are no more storms, as each call is looked at again and again.
const MANY: usize = 300;

impl Client {
    fn new() -> Self {
        let mut this = Self {
            now: START,
            room: NodeBudget::new(START),
            map: SlotMap::unknown(),
            nodes: Vec::new(),
            calls: Vec::new(),
            dialled: 0,
            events: 0,
            said: 0,
            submitted: 0,
        };
        this.dial(&address(0), false);
        this
    }

    fn act(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let at = u.int_in_range(0..=self.nodes.len().min(200) - 1)?;
        if self.nodes[at].failed && self.room.dial(self.now) {
            let (to, is_stray) = (self.nodes[at].address.clone(), self.nodes[at].is_stray);
            self.nodes[at] = self.opened(&to, is_stray);
        }
        let node = &self.nodes[at];
        let (is_ready, is_asked) = (node.connection.is_ready(), node.values > 0);
        // Most messages are valid, as otherwise no conversation would last.
        let lies = u.ratio(1, 24)?;
        match u.int_in_range(0..=13_u8)? {
            13 if is_ready && self.calls.len() < MANY => self.storm(at, u)?,
            2 if lies => {
                let len = u.int_in_range(1..=32)?.min(u.len());
                let bytes = u.bytes(len)?.to_vec();
                self.says(at, &bytes);
            }
            6 if lies => self.says(at, u.choose(HEADS)?),
            12 if lies => {
                self.nodes[at].connection.close();
                self.nodes[at].failed = true;
            }
            10 => self.now = self.now + Duration::from_millis(u.arbitrary::<u16>()?.into()),
            11 => {
                let tx = &mut self.nodes[at].tx;
                let count = tx.remaining().min(u.arbitrary::<u8>()?.into());
                tx.advance(count);
                self.nodes[at].connection.wrote(count);
            }
            _ if !is_ready && !lies => self.says(at, GREETING),
            8 | 9 => self.call(u.arbitrary::<u16>()? % 16_384, u.ratio(1, 4)?),
            _ if !is_asked && !lies => self.call(u.arbitrary::<u16>()? % 16_384, u.ratio(1, 4)?),
            3 | 4 | 0 | 1 => {
                let word = if u.arbitrary()? { "MOVED" } else { "ASK" };
                let (slot, to) = (u.arbitrary::<u16>()? % 16_384, u.arbitrary::<u16>()?);
                self.says(at, format!("-{word} {slot} {}\r\n", address(to)).as_bytes());
            }
            5 => {
                let (to, last) = (u.arbitrary::<u16>()?, u.arbitrary::<u16>()?);
                self.says(at, map(to, last).as_bytes());
            }
            _ => self.says(at, b"$1\r\nv\r\n"),
        }
        self.poll(at);
        self.send();
        self.check();
        Ok(())
    }

    /// A node redirects one call after another, each to an address of its own.
    fn storm(&mut self, at: usize, u: &mut Unstructured<'_>) -> Result<()> {
        let (count, first) = (u.int_in_range(1..=100_u16)?, u.arbitrary::<u16>()?);
        let pause = Duration::from_millis(u.arbitrary::<u8>()?.into());
        for number in 0..count {
            self.call(number, false);
            let to = Some((self.nodes[at].address.clone(), false));
            self.calls.last_mut().expect("it was just pushed").as_mut().expect("it waits").to = to;
            self.send();
            let to = address(first.wrapping_add(number));
            self.says(at, format!("-MOVED {number} {to}\r\n").as_bytes());
            self.poll(at);
            self.now = self.now + pause;
        }
        Ok(())
    }

    fn dial(&mut self, to: &Address, is_stray: bool) {
        let node = self.opened(to, is_stray);
        self.nodes.push(node);
    }

    fn opened(&mut self, to: &Address, is_stray: bool) -> Node {
        let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
        setup.pushes = Pushes::Told { tracking: Some(Tracking::Read) };
        let mut tx = Output::new();
        let connection = Connection::open(&setup, self.now, &mut tx);
        let (address, rx) = (to.clone(), BytesMut::new());
        let (values, failed) = (0, false);
        self.dialled += 1;
        Node { address, connection, rx, tx, is_stray, values, failed }
    }

    fn says(&mut self, at: usize, bytes: &[u8]) {
        if !self.nodes[at].failed {
            self.nodes[at].rx.extend_from_slice(bytes);
            self.said += bytes.len();
        }
    }

    fn call(&mut self, slot: u16, is_map: bool) {
        let slot = Slot::new(slot).expect("it is a slot");
        let expires = self.now + Duration::from_secs(5);
        let to = self.map.master(slot).map(|node| node.address.clone());
        let to = Some((to.unwrap_or_else(|| address(0)), false));
        let hops = Hops::new(7);
        self.calls.push(Some(Call { hops, expires, slot, to, is_sent: false, is_map }));
    }

    /// Sends calls and dials nodes as far as the limits allow.
    fn send(&mut self) {
        let space = KeySpace::default();
        let scope = space.scope(None).expect("no version, no colon");
        for tag in 0..self.calls.len() {
            let Some(call) = &self.calls[tag] else { continue };
            let (Some((to, asking)), false) = (call.to.clone(), call.is_sent) else { continue };
            let (expires, is_map) = (call.expires, call.is_map);
            let known = self.nodes.iter().position(|node| node.address == to);
            let Some(at) = known else {
                // A node of a map, or one from a redirect that was forgotten since.
                if self.room.dial(self.now) {
                    self.dial(&to, false);
                }
                continue;
            };
            let node = &mut self.nodes[at];
            let key = scope.key(b"key");
            let command =
                if is_map { Command::Topology(TopologyForm::Slots) } else { Command::Get(key) };
            let tag_of = Tag(tag as u64);
            let taken = match asking {
                false => node.connection.submit(&command, tag_of, expires, &mut node.tx),
                true => node.connection.submit_asking(&command, tag_of, expires, &mut node.tx),
            };
            if taken.is_ok() {
                node.values += 1;
                self.submitted += 1 + usize::from(asking);
                self.calls[tag].as_mut().expect("it is there").is_sent = true;
            } else if node.failed {
                self.calls[tag] = None;
            }
        }
    }

    fn poll(&mut self, at: usize) {
        loop {
            let now = self.now;
            let node = &mut self.nodes[at];
            let event = match node.connection.poll(&mut node.rx, now, &mut node.tx) {
                Ok(None) => return,
                Ok(Some(event)) => event,
                Err(_) => {
                    node.failed = true;
                    node.rx.clear();
                    continue;
                }
            };
            self.events += 1;
            let most = self.said + 4 * self.submitted + 2 * self.dialled;
            assert!(self.events <= most, "{} events", self.events);
            match event {
                Event::Reply { tag, answer } => self.answered(at, tag, &answer),
                Event::Lost { tag, .. } | Event::Refused { tag, .. } => {
                    self.nodes[at].values -= 1;
                    self.calls[tag.0 as usize] = None;
                }
                // Its reply may still arrive; it is then dropped.
                Event::Expired(tag) => self.calls[tag.0 as usize] = None,
                _ => {}
            }
        }
    }

    fn answered(&mut self, at: usize, tag: Tag, answer: &Answer) {
        self.nodes[at].values -= 1;
        let Some(mut call) = self.calls[tag.0 as usize].take() else { return };
        let asked = self.nodes[at].address.clone();
        let view = Viewpoint::as_told(&asked);
        if call.is_map
            && let Ok(Reply::Topology(frame)) = answer
        {
            if let Ok(map) = SlotMap::read(TopologyForm::Slots, frame, &view) {
                self.adopt(map);
            }
            return;
        }
        if !Hops::concern(answer) {
            return;
        }
        let Ok(Next::Follow { redirect, .. }) =
            call.hops.answered(answer, &view, self.now, call.expires)
        else {
            return;
        };
        assert!(call.hops.redirects() <= Hops::MAX);
        if !self.nodes.iter().any(|node| node.address == redirect.to) {
            let known = self.nodes.iter().filter(|node| node.is_stray).count();
            if !self.room.redirect(known, self.now) || !self.room.dial(self.now) {
                return;
            }
            self.dial(&redirect.to, true);
        }
        if redirect.kind == RedirectKind::Moved {
            self.map.moved(redirect.slot, &redirect.to);
        }
        call.slot = redirect.slot;
        call.to = Some((redirect.to, redirect.kind == RedirectKind::Ask));
        call.is_sent = false;
        self.calls[tag.0 as usize] = Some(call);
    }

    /// Adopts another map: its nodes are no longer strays, and connections to other nodes are
    /// closed.
    fn adopt(&mut self, map: SlotMap) {
        let mut confirmed = 0;
        for node in &mut self.nodes {
            let named = map.place(&node.address).is_some();
            confirmed += usize::from(named && node.is_stray);
            node.is_stray &= !named;
        }
        self.room.confirmed(confirmed);
        self.map = map;
    }

    fn check(&self) {
        let strays = self.nodes.iter().filter(|node| node.is_stray).count();
        assert!(strays <= 64 && self.map.redirected() <= 64, "{strays} nodes of redirects alone");
        let millis = usize::try_from(self.now.since(START).as_millis()).expect("it is short");
        let most = 2 + NodeBudget::DIALS as usize + millis * 64 / 1000;
        assert!(self.dialled <= most, "{} of {most} nodes were dialled", self.dialled);
        for node in self.nodes.iter().filter(|node| !node.failed) {
            let lacks = node.connection.lacks();
            assert!(node.values > 0 || lacks <= SMALL + 2, "{lacks} bytes are waited for unasked");
            assert!(node.rx.len() <= self.said);
        }
    }

    /// Closes every connection, which must end each of its commands.
    fn end(mut self) {
        for at in 0..self.nodes.len() {
            self.nodes[at].connection.close();
            self.poll(at);
            assert_eq!(self.nodes[at].connection.in_flight(), 0);
        }
    }
}

/// The address with this number.
fn address(number: u16) -> Address {
    let [high, low] = number.to_be_bytes();
    Address::new(&format!("10.0.{high}.{low}"), 6379).expect("it is an address")
}

/// A map of two ranges, in the form of `CLUSTER SLOTS`.
fn map(to: u16, last: u16) -> String {
    let last = last % 16_383;
    let node = |number: u16| {
        let host = address(number);
        format!("*2\r\n${}\r\n{}\r\n:6379\r\n", host.host().len(), host.host())
    };
    let first = format!("*3\r\n:0\r\n:{last}\r\n{}", node(to));
    let rest = format!("*3\r\n:{}\r\n:16383\r\n{}", last + 1, node(to.wrapping_add(1)));
    format!("*2\r\n{first}{rest}")
}

const GREETING: &[u8] =
    b"%2\r\n+proto\r\n:3\r\n+server\r\n+redis\r\n+OK\r\n+OK\r\n+OK\r\n+PONG\r\n";

/// Heads of larger frames, and frames that are not a reply to any command.
const HEADS: &[&[u8]] = &[
    b"$536870912\r\n",
    b">2\r\n+message\r\n$536870912\r\n",
    b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
    b"|1\r\n+k\r\n$536870912\r\n",
    b"|1\r\n+k\r\n:1\r\n",
    b"*1048576\r\n",
    b"%1\r\n",
    b"+OK\r\n",
    b"_\r\n",
    b"-CLUSTERDOWN\r\n",
    b"-TRYAGAIN\r\n",
    b"-NOAUTH\r\n",
    b"-ERR\r\n",
];
