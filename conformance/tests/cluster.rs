//! The core's view of a cluster beside that of real nodes: the slots of keys, the map, and the
//! redirects of a command while its slot is moved.

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use async_caches_conformance::frame::{Frame, command};
use async_caches_conformance::random::Random;
use async_caches_conformance::raw::Raw;
use async_caches_conformance::server::{Kind, Server, Setup};
use async_caches_core::cluster::address::{Address, Viewpoint};
use async_caches_core::cluster::map::{MapError, SlotMap};
use async_caches_core::cluster::redirect::{Hops, Next, RedirectKind, Trouble};
use async_caches_core::cluster::slot::Slot;
use async_caches_core::cluster::split::{Gather, Split};
use async_caches_core::command::{Command, TopologyForm};
use async_caches_core::connection::{self, Connection, Event, Tag};
use async_caches_core::error::{Failure, ServerError};
use async_caches_core::key::{KeySpace, Names, Version};
use async_caches_core::reply::{Answer, Reply};
use async_caches_core::resp::output::Output;
use async_caches_core::time::Instant;
use bytes::{Buf, Bytes, BytesMut};

const KINDS: [Kind; 2] = [Kind::Redis, Kind::Valkey];

#[test]
fn slots_of_random_keys_match_cluster_keyslot() {
    const KEYS: usize = 20_000;
    for kind in KINDS.into_iter().filter(|kind| kind.is_here()) {
        let server = Server::start(kind, &Setup::default().node());
        let mut random = Random::new(7);
        // Many braces in all places, and other bytes of all kinds.
        let mut byte = || match random.below(4) {
            0 => b'{',
            1 => b'}',
            2 => b'a' + u8::try_from(random.below(4)).unwrap(),
            _ => u8::try_from(random.below(256)).unwrap(),
        };
        let keys: Vec<Vec<u8>> =
            (0..KEYS).map(|nth| (0..nth % 40).map(|_| byte()).collect()).collect();
        let asked: Vec<u8> = keys
            .iter()
            .flat_map(|key| command(&[b"CLUSTER", b"KEYSLOT", key.as_slice()]))
            .collect();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let sent = thread::spawn(move || writer.write_all(&asked));
        let (mut unread, mut at) = (Vec::new(), 0);
        for key in &keys {
            let slot = loop {
                if let Some((frame, length)) = Frame::parse(&unread[at..]) {
                    at += length;
                    break frame;
                }
                let mut piece = [0; 64 * 1024];
                let length = stream.read(&mut piece).unwrap();
                assert!(length > 0, "the server hung up");
                unread.extend_from_slice(&piece[..length]);
            };
            let ours = Frame::Integer(Slot::of(key).number().into());
            assert_eq!(ours, slot, "{}", key.escape_ascii());
        }
        sent.join().unwrap().unwrap();
    }
}

#[test]
fn a_hash_tag_determines_the_slot_behind_any_prefix_and_version() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_here()) {
        let server = Server::start(kind, &Setup::default().node());
        let mut raw = server.raw(0);
        let mut slots = |prefix: &str, version: Version, names: &[&str]| -> Vec<i64> {
            let space = KeySpace::new(prefix, version).unwrap();
            let slot = |name: &&str| {
                let key = space.scope(None).unwrap().key(name.as_bytes());
                let told = raw.number(&[&b"CLUSTER"[..], b"KEYSLOT", &key.to_bytes()]);
                assert_eq!(told, i64::from(Slot::of_key(&key).number()), "{name}");
                told
            };
            names.iter().map(slot).collect()
        };
        let names = ["{user:1}", "{user:1}:name", "mail of {user:1} and {user:2}"];
        let tagged = slots("", Version::default(), &names);
        assert_eq!(tagged, [tagged[0]; 3]);
        for (prefix, version) in [("forum", Version::from(2019)), ("a}b", Version::from("v}"))] {
            assert_eq!(slots(prefix, version, &names), tagged);
        }
        for (prefix, version) in [("{forum}", Version::default()), ("", Version::from("{forum}"))] {
            let all = slots(prefix, version, &["{user:1}", "{user:2}", "user"]);
            assert_eq!(all, [all[0]; 3], "what comes first decides");
            assert_ne!(all[0], tagged[0]);
        }
        let apart = slots("forum", Version::default(), &["{user:1}", "{user:2}"]);
        assert_ne!(apart[0], apart[1]);
    }
}

#[test]
fn a_cluster_reports_its_map_in_both_forms() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_here()) {
        let cluster = Cluster::start(kind);
        for at in 0..cluster.servers.len() {
            for form in [TopologyForm::Shards, TopologyForm::Slots] {
                let map = cluster.map(at, form).unwrap();
                assert_eq!(map.uncovered().count(), 0);
                assert_eq!(map.node_count(), cluster.servers.len());
                for slot in (0..Slot::COUNT).filter_map(Slot::new) {
                    let served = usize::from(slot.number()) / cluster.share();
                    let master = map.master(slot).unwrap();
                    assert_eq!(master.address, cluster.address(served), "slot {slot}");
                }
            }
        }
    }
}

#[test]
fn a_lone_node_reports_no_slots_and_a_standalone_server_refuses() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_here()) {
        for form in [TopologyForm::Shards, TopologyForm::Slots] {
            let lonely = Server::start(kind, &Setup::default().node());
            assert_eq!(read(&lonely, form), Err(MapError::Empty));
            let single = Server::start(kind, &Setup::default());
            let outcome = read(&single, form);
            assert!(matches!(outcome, Err(MapError::Refused(_))), "{outcome:?}");
            let answer = Socket::open(&single).run(&Command::ReadOnly, false);
            match kind {
                Kind::Redis => {
                    let text = "ERR This instance has cluster support disabled";
                    assert_eq!(answer, Err(ServerError::parse(text.as_bytes()).into()));
                }
                // Valkey lets a replica without a cluster serve reads as well.
                Kind::Valkey => assert_eq!(answer, Ok(Reply::Done)),
            }
        }
    }
}

/// The keys of one slot are moved one by one. After each move all keys are found: singly, and
/// together in as many commands as that takes. Writes go to the node that the key belongs to.
#[test]
fn every_key_is_found_while_its_slot_is_moved() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_here()) {
        let mut cluster = Cluster::start(kind);
        let mut client = Client::of(&cluster);
        let list = ["{m}1", "{m}2", "{m}3", "{n}1"];
        let space = KeySpace::default();
        let names: Names = list.iter().collect();
        let keys = space.scope(None).unwrap().keys(&names);
        let slot = Slot::of_key(&keys.iter().next().unwrap());
        let whole: Vec<Bytes> = keys.iter().map(|key| key.to_bytes()).collect();
        for key in keys.iter() {
            let value = Bytes::copy_from_slice(key.name());
            let set = Command::Set { key, value: &value, expiry: Default::default() };
            assert_eq!(client.run(Slot::of_key(&key), &set).0, Ok(Reply::Done));
        }
        let from = usize::from(slot.number()) / cluster.share();
        let to = (from + 1) % cluster.servers.len();
        let slot_text = slot.to_string();
        let ids: Vec<String> =
            cluster.raw.iter_mut().map(|raw| raw.text(&["CLUSTER", "MYID"])).collect();
        cluster.raw[to].call(&["CLUSTER", "SETSLOT", &slot_text, "IMPORTING", &ids[from]]);
        cluster.raw[from].call(&["CLUSTER", "SETSLOT", &slot_text, "MIGRATING", &ids[to]]);
        let mut asked = 0;
        for moved in 0..=4 {
            if let Some(key) = whole[..3].get(moved) {
                let port = cluster.servers[to].address().port().to_string();
                let words =
                    [b"MIGRATE".as_slice(), b"127.0.0.1", port.as_bytes(), key, b"0", b"5000"];
                cluster.raw[from].call(&words);
            } else if moved == 4 {
                for at in [to, from] {
                    cluster.raw[at].call(&["CLUSTER", "SETSLOT", &slot_text, "NODE", &ids[to]]);
                }
            }
            for key in keys.iter() {
                let (answer, redirects) = client.run(Slot::of_key(&key), &Command::Get(key));
                let value = Bytes::copy_from_slice(key.name());
                assert_eq!(answer, Ok(Reply::Value(Some(value))), "after {moved}");
                assert!(redirects <= 1, "{redirects} redirects");
                asked += redirects;
            }
            let split = Split::of_keys(&keys);
            let sorted = split.names(&keys);
            let sorted = space.scope(None).unwrap().keys(&sorted);
            let mut answers = Gather::<String>::new(&split);
            for part in split.parts() {
                let window = sorted.window(part.range.clone());
                match client.run(part.slot, &Command::GetMany(window.clone())).0 {
                    Ok(values) => answers.take(part.places, Ok(values)).unwrap(),
                    Err(_) => {
                        assert!((0..2).contains(&moved), "all are on one node, after {moved}");
                        for (at, key) in part.places.iter().zip(window.iter()) {
                            let value = client.run(part.slot, &Command::Get(key)).0.unwrap();
                            answers.take(&[*at], Ok(value)).unwrap();
                        }
                    }
                }
            }
            let expected = list.iter().map(|name| Some(Bytes::from(*name))).collect::<Vec<_>>();
            assert_eq!(answers.values(), Ok(expected), "after {moved}");
        }
        assert_eq!(
            asked,
            1 + 2 + 3 + 3 + 1,
            "each key that was gone was asked for elsewhere, the last once"
        );
        assert_eq!(client.map.master(slot).unwrap().address, cluster.address(to));
        let key = keys.iter().next().unwrap();
        let scope = space.scope(None).unwrap();
        let fresh = scope.key(b"{m}new");
        let value = Bytes::from_static(b"1");
        let add = Command::Add { key: fresh, value: &value, expiry: Default::default() };
        assert_eq!(client.run(slot, &add), (Ok(Reply::Flag(true)), 0));
        let removed = client.run(slot, &Command::Unlink(&[key.to_bytes(), fresh.to_bytes()]));
        assert_eq!(removed, (Ok(Reply::Count(2)), 0));
    }
}

/// Masters that share all slots evenly, in order.
struct Cluster {
    servers: Vec<Server>,
    raw: Vec<Raw>,
}

impl Cluster {
    const MASTERS: usize = 3;

    fn start(kind: Kind) -> Self {
        let setup = Setup::default().node();
        let servers: Vec<_> = (0..Self::MASTERS).map(|_| Server::start(kind, &setup)).collect();
        let raw = servers.iter().map(|server| server.raw(0)).collect();
        let mut this = Self { servers, raw };
        let share = this.share();
        let Frame::List(bus) = this.raw[0].call(&["CONFIG", "GET", "cluster-port"]) else {
            panic!()
        };
        let bus = bus[1].text();
        let port = this.servers[0].address().port().to_string();
        for (at, raw) in this.raw.iter_mut().enumerate() {
            let last = ((at + 1) * share).min(Slot::COUNT.into()) - 1;
            raw.call(&["CLUSTER", "ADDSLOTSRANGE", &(at * share).to_string(), &last.to_string()]);
            raw.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            if at > 0 {
                raw.call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        let all = format!("cluster_known_nodes:{}", Self::MASTERS);
        for raw in &mut this.raw {
            let mut tries = 0;
            loop {
                let info = raw.text(&["CLUSTER", "INFO"]);
                let known = info.lines().any(|line| line == all);
                if known && info.contains("cluster_state:ok") {
                    break;
                }
                tries += 1;
                assert!(tries < 1_000, "the cluster does not come together: {info}");
                thread::sleep(Duration::from_millis(20));
            }
        }
        this
    }

    fn share(&self) -> usize {
        usize::from(Slot::COUNT).div_ceil(Self::MASTERS)
    }

    fn address(&self, at: usize) -> Address {
        address(&self.servers[at])
    }

    fn map(&self, at: usize, form: TopologyForm) -> Result<SlotMap, MapError> {
        read(&self.servers[at], form)
    }
}

fn address(server: &Server) -> Address {
    Address::new("127.0.0.1", server.address().port()).unwrap()
}

/// The map that a server reports.
fn read(server: &Server, form: TopologyForm) -> Result<SlotMap, MapError> {
    let asked = address(server);
    match Socket::open(server).run(&Command::Topology(form), false) {
        Ok(Reply::Topology(frame)) => SlotMap::read(form, &frame, &Viewpoint::as_told(&asked)),
        Err(Failure::Server(error)) => Err(MapError::Refused(error)),
        other => panic!("{other:?}"),
    }
}

/// A client with a map and connections to all nodes, which makes one call after another.
struct Client {
    map: SlotMap,
    connections: Vec<(Address, Socket)>,
}

impl Client {
    fn of(cluster: &Cluster) -> Self {
        let connections =
            cluster.servers.iter().map(|server| (address(server), Socket::open(server)));
        Self {
            map: cluster.map(0, TopologyForm::Shards).unwrap(),
            connections: connections.collect(),
        }
    }

    /// Returns the answer to a command, and the number of redirects before it. It never waits.
    fn run(&mut self, slot: Slot, command: &Command<'_>) -> (Answer, u32) {
        let mut hops = Hops::new(1);
        let mut to = self.map.master(slot).unwrap().address.clone();
        let mut asking = false;
        loop {
            let connection = self.connections.iter_mut().find(|(address, _)| *address == to);
            let answer = connection.unwrap().1.run(command, asking);
            let (now, expires) = (Instant::ORIGIN, Instant::from_millis(5_000));
            match hops.answered(&answer, &Viewpoint::as_told(&to), now, expires).unwrap() {
                Next::Settle => return (answer, hops.redirects()),
                Next::Wait { trouble, .. } => {
                    assert_eq!(trouble, Trouble::TryAgain, "{answer:?}");
                    return (answer, hops.redirects());
                }
                Next::Follow { redirect, .. } => {
                    assert_eq!(redirect.slot, slot);
                    asking = redirect.kind == RedirectKind::Ask;
                    if redirect.kind == RedirectKind::Moved {
                        assert!(self.map.moved(slot, &redirect.to));
                    }
                    to = redirect.to;
                }
            }
        }
    }
}

/// The core's connection on a blocking socket, one command at a time.
struct Socket {
    connection: Connection,
    stream: TcpStream,
    rx: BytesMut,
    tx: Output,
}

impl Socket {
    fn open(server: &Server) -> Self {
        let setup = connection::Setup::new(Duration::from_secs(5), Duration::from_secs(5));
        let mut tx = Output::new();
        let connection = Connection::open(&setup, Instant::ORIGIN, &mut tx);
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut this = Self { connection, stream, rx: BytesMut::new(), tx };
        let event = this.next();
        assert!(matches!(event, Event::Ready(_)), "{event:?}");
        this
    }

    fn run(&mut self, command: &Command<'_>, asking: bool) -> Answer {
        let (tag, expires) = (Tag(1), Instant::from_millis(5_000));
        let submitted = match asking {
            true => self.connection.submit_asking(command, tag, expires, &mut self.tx),
            false => self.connection.submit(command, tag, expires, &mut self.tx),
        };
        submitted.unwrap();
        match self.next() {
            Event::Reply { tag: Tag(1), answer } => answer,
            other => panic!("{other:?}"),
        }
    }

    fn next(&mut self) -> Event {
        loop {
            if let Some(event) =
                self.connection.poll(&mut self.rx, Instant::ORIGIN, &mut self.tx).unwrap()
            {
                return event;
            }
            while !self.tx.is_empty() {
                let pieces: Vec<IoSlice<'_>> = self.tx.pieces().map(IoSlice::new).collect();
                let count = self.stream.write_vectored(&pieces).unwrap();
                self.tx.advance(count);
                self.connection.wrote(count);
            }
            let mut piece = [0; 64 * 1024];
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "the server hung up");
            self.rx.extend_from_slice(&piece[..count]);
        }
    }
}
