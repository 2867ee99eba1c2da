//! Answers of real clusters, answers that hostile nodes might give, and maps beside a naive model
//! of them.
//!
//! The recordings are of clusters of three masters with a replica each, as reported by Redis 7.0
//! and Valkey 9.1: `CLUSTER SHARDS` and `CLUSTER SLOTS`, in RESP2 and then in RESP3. One cluster
//! was whole. In one a master had failed and been replaced. One preferred names, which two replicas
//! did not have. One reported no hosts at all.

use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;
use crate::cluster::address::{Transport, Viewpoint};
use crate::command::TopologyForm;
use crate::resp::scan::Scanner;

const RECORDED: [(&str, u16, [&[u8]; 4]); 2] = [
    (
        "redis 7.0",
        7001,
        [
            include_bytes!("recorded/redis_7.0_whole"),
            include_bytes!("recorded/redis_7.0_failed"),
            include_bytes!("recorded/redis_7.0_named"),
            include_bytes!("recorded/redis_7.0_unnamed"),
        ],
    ),
    (
        "valkey 9.1",
        7101,
        [
            include_bytes!("recorded/valkey_9.1_whole"),
            include_bytes!("recorded/valkey_9.1_failed"),
            include_bytes!("recorded/valkey_9.1_named"),
            include_bytes!("recorded/valkey_9.1_unnamed"),
        ],
    ),
];

fn address(host: &str, port: u16) -> Address {
    Address::new(host, port).unwrap()
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

fn all() -> impl Iterator<Item = Slot> {
    (0..Slot::COUNT).map(slot)
}

fn read(form: TopologyForm, frame: &[u8]) -> Result<SlotMap, MapError> {
    SlotMap::read(form, frame, &Viewpoint::as_told(&address("seed", 1)))
}

/// The frames of a recording, each with the form of its request.
fn frames(mut bytes: &[u8]) -> Vec<(TopologyForm, &[u8])> {
    let mut frames = Vec::new();
    for form in
        [TopologyForm::Shards, TopologyForm::Slots, TopologyForm::Shards, TopologyForm::Slots]
    {
        let len = Scanner::default().scan(bytes).unwrap().unwrap();
        frames.push((form, &bytes[..len]));
        bytes = &bytes[len..];
    }
    assert!(bytes.is_empty());
    frames
}

/// All shards as text, in the order of their slots: `first-last master replica ...`.
fn shown(map: &SlotMap) -> Vec<String> {
    let mut lines = Vec::new();
    for slot in all() {
        let master = map.master_at(slot).map(|at| map.node(at).unwrap());
        assert_eq!(master, map.master(slot), "slot {slot}");
        let online: Vec<_> = map.replicas_at(slot).map(|at| map.node(at).unwrap()).collect();
        let replicas = map.shard(slot).into_iter().flat_map(|shard| shard.replicas());
        let there = replicas.filter(|node| node.health == Health::Online);
        assert_eq!(online, there.collect::<Vec<_>>(), "slot {slot}");
        let before = slot.number().checked_sub(1).map(self::slot);
        let is_new = before.is_none_or(|before| map.slots.get(slot) != map.slots.get(before));
        if is_new && let Some(shard) = map.shard(slot) {
            let master = shard.master().map(|node| node.address.to_string()).unwrap_or_default();
            let mut replicas: Vec<_> = shard.replicas().map(|r| r.address.to_string()).collect();
            replicas.sort();
            lines.push(format!("{slot} {master} {}", replicas.join(" ")).trim_end().to_string());
        }
    }
    lines
}

#[test]
fn maps_of_real_clusters_are_read_in_both_forms_and_protocols() {
    // The places, counted from the first, of the nodes that replaced others or are their replicas.
    for ((name, base, [whole, failed, named, unnamed]), [a, b, c]) in
        RECORDED.into_iter().zip([[3, 4, 5], [5, 3, 4]])
    {
        let at = |host: &str, place: u16| address(host, base + place).to_string();
        let three = |host: [&str; 6]| {
            let line = |first: u16, master: usize, replica: u16| {
                let master = at(host[master], u16::try_from(master).unwrap());
                format!("{first} {master} {}", at(host[usize::from(replica)], replica))
            };
            [line(0, 0, a), line(5461, 1, b), line(10923, 2, c)]
        };
        let told = ["127.0.0.1"; 6];
        // A node that does not know its name is reported by its address.
        let names = [
            "node-0.example",
            "node-1.example",
            "node-2.example",
            "node-3.example",
            told[0],
            told[0],
        ];
        for (form, frame) in frames(whole) {
            let map = read(form, frame).unwrap();
            assert_eq!(shown(&map), three(told), "{name} {form:?}");
            assert_eq!(map.uncovered().count(), 0);
            assert_eq!((map.node_count(), map.shards().count()), (6, 3));
            assert!(map.nodes().all(|node| node.id.as_ref().unwrap().len() == 40));
        }
        for (form, frame) in frames(named) {
            let map = read(form, frame).unwrap();
            assert_eq!(shown(&map), three(names), "{name} {form:?}");
        }
        for (form, frame) in frames(unnamed) {
            let map = read(form, frame).unwrap();
            assert_eq!(shown(&map), three(["seed"; 6]), "{name} {form:?}");
        }
        for (form, frame) in frames(failed) {
            let map = read(form, frame).unwrap();
            let mut expected = three(told);
            expected[1] = format!("5461 {}", at("127.0.0.1", b));
            assert_eq!(shown(&map), expected, "{name} {form:?}");
            let down = map.nodes().filter(|node| node.health == Health::Failed);
            let down: Vec<_> = down.map(|node| node.address.to_string()).collect();
            let expected = match form {
                TopologyForm::Shards => Vec::from([at("127.0.0.1", 1)]),
                TopologyForm::Slots => Vec::new(),
            };
            assert_eq!(down, expected, "{name} {form:?}");
        }
    }
}

#[test]
fn each_transport_has_its_port_and_addresses_are_translated() {
    let shards = b"*1\r\n%2\r\n+slots\r\n*2\r\n:0\r\n:1\r\n+nodes\r\n*3\r\n\
        %4\r\n+port\r\n:1\r\n+tls-port\r\n:2\r\n+endpoint\r\n+a\r\n+role\r\n+master\r\n\
        %3\r\n+port\r\n:3\r\n+endpoint\r\n+b\r\n+role\r\n+replica\r\n\
        %4\r\n+tls-port\r\n:4\r\n+port\r\n:0\r\n+endpoint\r\n+c\r\n+role\r\n+slave\r\n";
    let outside = |inside: Address| match inside.host() {
        "c" => address("gate", inside.port() + 100),
        _ => inside,
    };
    let asked = address("seed", 1);
    for (transport, line) in [(Transport::Plain, "0 a:1 b:3"), (Transport::Tls, "0 a:2 gate:104")] {
        let view = Viewpoint { asked: &asked, transport, translate: &outside };
        assert_eq!(shown(&SlotMap::read(TopologyForm::Shards, shards, &view).unwrap()), [line]);
    }
    // In this form a node reports the one port of the connection's transport.
    let slots = b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n+c\r\n:7\r\n";
    for transport in [Transport::Plain, Transport::Tls] {
        let view = Viewpoint { asked: &asked, transport, translate: &outside };
        let map = SlotMap::read(TopologyForm::Slots, slots, &view).unwrap();
        assert_eq!(shown(&map), ["0 gate:107"]);
    }
}

#[test]
fn of_two_masters_in_a_shard_the_healthy_one_leads() {
    let node = |(host, role, health)| {
        format!(
            "%4\r\n+port\r\n:1\r\n+endpoint\r\n+{host}\r\n+role\r\n+{role}\r\n+health\r\n+{health}\r\n"
        )
    };
    let (leader, failed) = (("a", "master", "online"), ("b", "master", "fail"));
    let replica = ("c", "replica", "online");
    for told in [
        [leader, failed, replica],
        [failed, leader, replica],
        [replica, leader, failed],
        [replica, failed, leader],
    ] {
        let nodes = told.map(node).concat();
        let shard = format!("*1\r\n%2\r\n+slots\r\n*2\r\n:0\r\n:1\r\n+nodes\r\n*3\r\n{nodes}");
        assert_eq!(
            shown(&read(TopologyForm::Shards, shard.as_bytes()).unwrap()),
            ["0 a:1 c:1"],
            "{told:?}"
        );
    }
}

#[test]
fn malformed_maps_are_refused_with_the_reason() {
    let range = |first, last| Err(MapError::Range { first, last });
    let malformed = |what| Err(MapError::Protocol(ProtocolError::Malformed(what)));
    let unexpected =
        |found, expected| Err(MapError::Protocol(ProtocolError::Unexpected { found, expected }));
    let refused = |text: &[u8]| Err(MapError::Refused(ServerError::parse(text)));
    let node = "*2\r\n+h\r\n:1\r\n";
    let entry = |entry: &str| format!("*1\r\n*3\r\n{entry}{node}");
    for (frame, expected) in [
        ("*0\r\n".into(), Err(MapError::Empty)),
        ("-ERR unknown\r\n".into(), refused(b"ERR unknown")),
        ("+OK\r\n".into(), unexpected("a simple string", "an array")),
        ("*-1\r\n".into(), unexpected("a null", "an array")),
        ("*1\r\n:1\r\n".into(), unexpected("an integer", "an array")),
        ("*1\r\n*0\r\n".into(), malformed("a range of slots")),
        ("*1\r\n*2\r\n:0\r\n:1\r\n".into(), Err(MapError::Empty)),
        (entry(":0\r\n:16384\r\n"), range(0, 16_384)),
        (entry(":-1\r\n:0\r\n"), range(-1, 0)),
        (entry(":7\r\n:6\r\n"), range(7, 6)),
        (entry(":65536\r\n:65537\r\n"), range(65_536, 65_537)),
        (entry("+0\r\n+1\r\n"), unexpected("a simple string", "an integer")),
        ("*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n+h\r\n".into(), malformed("a node")),
        ("*1\r\n*3\r\n:0\r\n:1\r\n+h\r\n".into(), unexpected("a simple string", "an array")),
        (
            "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n+h\r\n:65536\r\n".into(),
            Err(MapError::Address(AddressError::Port)),
        ),
        (
            "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n+h h\r\n:1\r\n".into(),
            Err(MapError::Address(AddressError::Host)),
        ),
        (
            format!("*2\r\n*3\r\n:0\r\n:9\r\n{node}*3\r\n:9\r\n:9\r\n{node}"),
            Err(MapError::ServedTwice(slot(9))),
        ),
        ("*1\r\n*3\r\n:0\r\n".into(), Err(ProtocolError::Unterminated("a frame").into())),
    ] {
        assert_eq!(read(TopologyForm::Slots, frame.as_bytes()), expected, "{frame:?}");
    }
    let nodes = "+nodes\r\n*1\r\n%3\r\n+port\r\n:1\r\n+ip\r\n+h\r\n+role\r\n+master\r\n";
    for (frame, expected) in [
        ("*1\r\n%0\r\n".into(), malformed("a shard")),
        ("*1\r\n%1\r\n+slots\r\n*0\r\n".into(), malformed("a shard")),
        (format!("*1\r\n%1\r\n{nodes}"), malformed("a shard")),
        (format!("*1\r\n%2\r\n{nodes}+slots\r\n*0\r\n"), Err(MapError::Empty)),
        (format!("*1\r\n%2\r\n{nodes}+slots\r\n*1\r\n:0\r\n"), Err(MapError::Empty)),
        (format!("*1\r\n%2\r\n{nodes}+slots\r\n*2\r\n:9\r\n:8\r\n"), range(9, 8)),
        ("*1\r\n+x\r\n".into(), unexpected("a simple string", "a map")),
    ] {
        assert_eq!(read(TopologyForm::Shards, frame.as_bytes()), expected, "{frame:?}");
    }
}

#[test]
fn a_truncated_map_is_refused_at_every_length() {
    for (form, frame) in RECORDED.iter().flat_map(|(_, _, [whole, ..])| frames(whole)) {
        for len in 0..frame.len() {
            let map = read(form, &frame[..len]);
            assert!(matches!(map, Err(MapError::Protocol(_))), "{form:?}, {len} bytes: {map:?}");
        }
    }
}

#[test]
fn a_map_with_too_many_nodes_or_replicas_is_refused() {
    let slots = |masters: u16, replicas: u16| {
        let mut frame = format!("*{masters}\r\n");
        for at in 0..masters {
            frame += &format!("*{}\r\n:{at}\r\n:{at}\r\n", 3 + replicas);
            for port in 0..=replicas {
                frame += &format!("*2\r\n+h{at}\r\n:{}\r\n", port + 1);
            }
        }
        read(TopologyForm::Slots, frame.as_bytes())
    };
    let (nodes, replicas) = (SlotMap::MAX_NODES, SlotMap::MAX_REPLICAS);
    assert_eq!(slots(4096, 0).unwrap().node_count(), nodes);
    let refused = |what, limit| Err(MapError::TooMany { what, limit });
    assert_eq!(slots(4097, 0), refused("nodes", nodes));
    assert_eq!(slots(1, 256).unwrap().shard(slot(0)).unwrap().replicas().count(), replicas);
    assert_eq!(slots(1, 257), refused("replicas of one master", replicas));
    // Shards without a master.
    let shards = |count: usize| {
        let mut frame = format!("*{count}\r\n");
        for at in 0..count {
            frame += &format!("%2\r\n+slots\r\n*2\r\n:{at}\r\n:{at}\r\n+nodes\r\n*0\r\n");
        }
        read(TopologyForm::Shards, frame.as_bytes())
    };
    assert_eq!(shards(nodes).unwrap().shards().count(), nodes);
    assert_eq!(shards(nodes + 1), refused("shards", nodes));
}

#[test]
fn a_redirect_changes_one_slot_of_the_map() {
    let mut map = read(TopologyForm::Slots, b"*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n+a\r\n:1\r\n").unwrap();
    assert!(!map.moved(slot(3), &address("a", 1)), "that is known");
    assert!(map.moved(slot(3), &address("b", 1)));
    assert!(map.moved(slot(7), &address("b", 1)) && map.moved(slot(20), &address("a", 1)));
    assert_eq!(shown(&map), ["0 a:1", "3 b:1", "4 a:1", "7 b:1", "8 a:1", "20 a:1"]);
    let open: Vec<_> =
        map.uncovered().map(|range| (range.start().number(), range.end().number())).collect();
    assert_eq!(open, [(10, 19), (21, 16_383)]);
    assert_eq!((map.node_count(), map.redirected()), (2, 1));
}

#[test]
fn redirects_add_at_most_64_nodes_until_the_map_is_read_again() {
    let frame = b"*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n+a\r\n:1\r\n";
    let mut map = read(TopologyForm::Slots, frame).unwrap();
    for port in 1..=1_000 {
        let is_news = map.moved(slot(port), &address("c", port));
        assert_eq!(is_news, port <= 64, "port {port}");
        assert_eq!(map.redirected(), usize::from(port.min(64)));
    }
    assert_eq!(map.node_count(), 1 + SlotMap::MAX_REDIRECTED);
    for port in 1..=64 {
        assert_eq!(map.master(slot(port)).unwrap().address, address("c", port));
        assert_eq!(map.place(&address("c", port)), Some(usize::from(port)));
    }
    assert_eq!((map.master(slot(65)), map.place(&address("c", 65))), (None, None));
    for known in [address("a", 1), address("c", 64)] {
        assert!(map.moved(slot(65), &known), "known nodes are still taken");
    }
    assert_eq!(map.nodes().count(), map.node_count());
    let map = read(TopologyForm::Slots, frame).unwrap();
    assert_eq!(map.redirected(), 0);
}

#[test]
fn a_redirect_copies_one_chunk_of_a_map_of_thousands_of_nodes() {
    let mut frame = "*4096\r\n".to_string();
    for at in 0..4096_u16 {
        let (first, last) = (4 * at, 4 * at + 3);
        frame += &format!("*3\r\n:{first}\r\n:{last}\r\n*2\r\n+h{at}\r\n:1\r\n");
    }
    let mut before = read(TopologyForm::Slots, frame.as_bytes()).unwrap();
    for (number, to) in [(0, "h4000"), (1, "new"), (16_383, "new"), (300, "other"), (301, "h9")] {
        let mut map = before.clone();
        assert!(map.moved(slot(number), &address(to, 1)));
        assert_eq!(map.master(slot(number)).unwrap().address, address(to, 1));
        assert!(Arc::ptr_eq(&map.told, &before.told), "what was read is shared");
        assert_eq!(map.slots.apart(&before.slots), 1, "and so are all slots but 256");
        let kept = before.redirected.iter().zip(&map.redirected);
        assert!(kept.into_iter().all(|(before, now)| Arc::ptr_eq(before, now)));
        assert_eq!(before.master(slot(number)).unwrap().address.host(), format!("h{}", number / 4));
        // The other slots have not changed.
        let others = all().filter(|other| other.number() != number);
        assert!(others.into_iter().all(|other| map.master(other) == before.master(other)));
        before = map;
        before.moved(slot(number), &address(&format!("h{}", number / 4), 1));
    }
    assert_eq!(before.redirected(), 2);
}

#[test]
fn a_replica_named_by_a_redirect_becomes_the_slots_master() {
    let mut map =
        read(TopologyForm::Slots, b"*1\r\n*4\r\n:0\r\n:1\r\n*2\r\n+a\r\n:1\r\n*2\r\n+b\r\n:1\r\n")
            .unwrap();
    assert!(map.moved(slot(0), &address("b", 1)));
    assert_eq!(shown(&map), ["0 b:1", "1 a:1 b:1"]);
    assert_eq!(map.node_count(), 2);
}

#[test]
fn a_new_map_is_empty() {
    let map = SlotMap::default();
    assert!(all().all(|slot| map.shard(slot).is_none()));
    assert_eq!(map.uncovered().collect::<Vec<_>>(), [slot(0)..=slot(Slot::COUNT - 1)]);
    assert_eq!((map.node_count(), map.shards().count()), (0, 0));
}

/// A range of slots and the number of the master that serves it.
#[derive(Clone, Debug)]
struct Served {
    slots: (u16, u16),
    master: u16,
}

/// Ranges that do not overlap, with gaps between some.
fn served() -> impl Strategy<Value = Vec<Served>> {
    let cuts = prop::collection::btree_set(0..Slot::COUNT, 2..40);
    (cuts, prop::collection::vec((0..6_u16, any::<bool>()), 40)).prop_map(|(cuts, who)| {
        let cuts: Vec<u16> = cuts.into_iter().collect();
        let ranges = cuts.windows(2).map(|pair| (pair[0], pair[1] - 1)).zip(who);
        ranges
            .filter(|(_, (_, is_gap))| !is_gap)
            .map(|(slots, (master, _))| Served { slots, master })
            .collect()
    })
}

/// How many replicas a master has; the nodes of a shard differ in their ports.
fn replicas(master: u16) -> u16 {
    master % 3
}

fn written(form: TopologyForm, served: &[Served], resp3: bool) -> String {
    let map = |fields: usize| match resp3 {
        true => format!("%{fields}\r\n"),
        false => format!("*{}\r\n", 2 * fields),
    };
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let mut frame = String::new();
    match form {
        TopologyForm::Slots => {
            frame += &format!("*{}\r\n", served.len());
            for Served { slots: (first, last), master } in served {
                frame += &format!("*{}\r\n:{first}\r\n:{last}\r\n", 3 + replicas(*master));
                for place in 0..=replicas(*master) {
                    let port = 1 + master * 10 + place;
                    frame += &format!("*4\r\n{}:{port}\r\n{}{}", bulk("h"), bulk("id"), map(0));
                }
            }
        }
        TopologyForm::Shards => {
            frame += "*6\r\n";
            for master in 0..6 {
                let own: Vec<_> = served.iter().filter(|served| served.master == master).collect();
                frame += &format!("{}{}*{}\r\n", map(2), bulk("slots"), 2 * own.len());
                for Served { slots: (first, last), .. } in own {
                    frame += &format!(":{first}\r\n:{last}\r\n");
                }
                frame += &format!("{}*{}\r\n", bulk("nodes"), 1 + replicas(master));
                for place in 0..=replicas(master) {
                    let role = if place == 0 { "master" } else { "replica" };
                    let port = 1 + master * 10 + place;
                    let (endpoint, role) =
                        (bulk("endpoint") + &bulk("h"), bulk("role") + &bulk(role));
                    frame += &format!("{}{endpoint}{}:{port}\r\n{role}", map(3), bulk("port"));
                }
            }
        }
    }
    frame
}

proptest! {
    #[test]
    fn slot_lookup_agrees_with_a_plain_list(
        served in served(),
        shards in any::<bool>(),
        resp3 in any::<bool>(),
        moves in prop::collection::vec((0..Slot::COUNT, 1..80_u16), 0..40),
    ) {
        let form = if shards { TopologyForm::Shards } else { TopologyForm::Slots };
        let mut model: Vec<Option<u16>> = std::vec![None; usize::from(Slot::COUNT)];
        for Served { slots: (first, last), master } in &served {
            for number in *first..=*last {
                model[usize::from(number)] = Some(1 + master * 10);
            }
        }
        let mut map = match read(form, written(form, &served, resp3).as_bytes()) {
            Err(MapError::Empty) if served.is_empty() => SlotMap::unknown(),
            map => map.unwrap(),
        };
        for slot in all() {
            let followers: Vec<u16> = map.shard(slot).into_iter()
                .flat_map(|shard| shard.replicas().map(|node| node.address.port()).collect::<Vec<_>>())
                .collect();
            let expected: Vec<u16> = model[usize::from(slot.number())].into_iter()
                .flat_map(|port| port + 1..=port + replicas(port / 10))
                .collect();
            prop_assert_eq!(followers, expected, "slot {}", slot);
        }
        for (number, port) in moves {
            let before = model[usize::from(number)].replace(port);
            prop_assert_eq!(map.moved(slot(number), &address("h", port)), before != Some(port));
        }
        for slot in all() {
            let master = map.master(slot).map(|node| node.address.port());
            prop_assert_eq!(master, model[usize::from(slot.number())], "slot {}", slot);
        }
        let mut open = std::vec![false; usize::from(Slot::COUNT)];
        for range in map.uncovered() {
            (range.start().number()..=range.end().number()).for_each(|number| open[usize::from(number)] = true);
        }
        prop_assert!(open.iter().zip(&model).all(|(open, served)| *open == served.is_none()));
    }

    #[test]
    fn no_answer_makes_reading_panic(
        server in 0..2_usize,
        state in 0..4_usize,
        frame in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let (form, frame) = frames(RECORDED[server].2[state])[frame];
        let mut frame = frame.to_vec();
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        let other = match form { TopologyForm::Shards => TopologyForm::Slots, TopologyForm::Slots => TopologyForm::Shards };
        for form in [form, other] {
            let _ = read(form, &frame);
            let _ = read(form, &frame[..cut.index(frame.len())]);
        }
    }
}
