//! Maps and redirects of hostile nodes. Parsing must not panic, and must not take more time than
//! the length explains. The result must match a plain reading by `redis-protocol`.
//!
//! The first byte of the input selects the form of the rest: `h` is a map in the form of `CLUSTER
//! SHARDS`, `l` one in the form of `CLUSTER SLOTS`, and anything else the text of a redirect.
#![no_main]

use std::collections::BTreeSet;

use async_caches_core::cluster::address::{Address, Transport, Viewpoint};
use async_caches_core::cluster::map::SlotMap;
use async_caches_core::cluster::redirect::{Redirect, RedirectKind};
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::TopologyForm;
use async_caches_core::error::ServerError;
use async_caches_core::resp::scan::{Limits, Scanner};
use libfuzzer_sys::fuzz_target;
use redis_protocol::resp3::decode::complete;
use redis_protocol::resp3::types::{FrameMap, OwnedFrame};

fuzz_target!(|input: &[u8]| {
    let Some((&kind, rest)) = input.split_first() else { return };
    match kind {
        b'h' => map(TopologyForm::Shards, rest),
        b'l' => map(TopologyForm::Slots, rest),
        _ => redirect(rest),
    }
});

fn map(form: TopologyForm, bytes: &[u8]) {
    let asked = Address::new("asked", 9).expect("an address");
    for transport in [Transport::Plain, Transport::Tls] {
        let view = Viewpoint { transport, ..Viewpoint::as_told(&asked) };
        // The bytes may be any frame, or an incomplete one.
        let Ok(map) = SlotMap::read(form, bytes, &view) else { continue };
        holds_together(&map);
        // `redis-protocol` recurses, and sanitizers leave less room on the stack.
        let mut scanner = Scanner::new(Limits { depth: 8, ..Limits::default() });
        let Ok(Some(len)) = scanner.scan(bytes) else { continue };
        if form == TopologyForm::Slots
            && let Ok(Some((frame, _))) = complete::decode(&bytes[..len])
        {
            compare(&map, &frame);
        }
    }
}

/// Calls every method of a map, and checks that the results agree.
fn holds_together(map: &SlotMap) {
    assert!(map.node_count() <= SlotMap::MAX_NODES);
    let mut open = map.uncovered().peekable();
    let mut masters = BTreeSet::new();
    for slot in slots() {
        while open.next_if(|range| *range.end() < slot).is_some() {}
        let is_open = open.peek().is_some_and(|range| range.contains(&slot));
        assert_eq!(is_open, map.master(slot).is_none(), "slot {slot}");
        if let Some(shard) = map.shard(slot) {
            assert!(shard.replicas().count() <= SlotMap::MAX_REPLICAS);
            masters.extend(shard.master().map(|node| node.address.clone()));
        }
    }
    assert_ne!(map.shards().count(), 0, "a map without slots was read");
    let leading = map.shards().filter_map(|shard| shard.master());
    assert_eq!(leading.map(|node| node.address.clone()).collect::<BTreeSet<_>>(), masters);

    let mut moved = map.clone();
    let to = Address::new("elsewhere", 1).expect("an address");
    let slot = Slot::of(b"a");
    if moved.moved(slot, &to) {
        let others = slots().filter(|other| *other != slot);
        assert!(others.into_iter().all(|other| moved.master(other) == map.master(other)));
        assert_eq!(moved.master(slot).map(|node| &node.address), Some(&to));
        assert!(!moved.moved(slot, &to), "it was moved there before");
    }
}

fn slots() -> impl Iterator<Item = Slot> {
    (0..Slot::COUNT).filter_map(Slot::new)
}

/// Compares every range with another decoder's reading, if that decoder can read the map.
fn compare(map: &SlotMap, frame: &OwnedFrame) {
    let OwnedFrame::Array { data: entries, .. } = frame else { return };
    let mut covered = 0;
    for entry in entries {
        let OwnedFrame::Array { data, .. } = entry else { return };
        let [
            OwnedFrame::Number { data: first, .. },
            OwnedFrame::Number { data: last, .. },
            rest @ ..,
        ] = &data[..]
        else {
            return;
        };
        let Some(OwnedFrame::Array { data: master, .. }) = rest.first() else { continue };
        let (Some(host), Some(OwnedFrame::Number { data: port, .. })) =
            (master.first(), master.get(1))
        else {
            return;
        };
        if *port == 0 {
            continue;
        }
        let host = match (host, bytes(host)) {
            (OwnedFrame::Null, _) => "asked",
            (_, None) => return,
            (_, Some(host)) => match std::str::from_utf8(host).expect("it was read as a host") {
                "" => "asked",
                "?" => ip(master.get(3)).unwrap_or("asked"),
                host => host,
            },
        };
        for number in *first..=*last {
            let slot = Slot::new(u16::try_from(number).expect("it was read as a slot"));
            let node = map.master(slot.expect("it was read as a slot")).expect("it is served");
            assert_eq!((node.address.host(), i64::from(node.address.port())), (host, *port));
            covered += 1;
        }
    }
    let served = slots().filter(|slot| map.master(*slot).is_some()).count();
    assert_eq!(served, covered, "slots are served that nobody told of");
}

/// The last `ip` in a node's metadata, unless it is empty or `?`.
fn ip(metadata: Option<&OwnedFrame>) -> Option<&str> {
    let value = match metadata? {
        OwnedFrame::Array { data, .. } => {
            let mut pairs = data.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
            pairs.rfind(|(name, _)| bytes(name) == Some(b"ip"))?.1
        }
        OwnedFrame::Map { data, .. } => in_map(data)?,
        _ => return None,
    };
    std::str::from_utf8(bytes(value)?).ok().filter(|host| !matches!(*host, "" | "?"))
}

fn in_map(map: &FrameMap<OwnedFrame, OwnedFrame>) -> Option<&OwnedFrame> {
    map.iter().find(|(name, _)| bytes(name) == Some(b"ip")).map(|(_, value)| value)
}

fn bytes(frame: &OwnedFrame) -> Option<&[u8]> {
    match frame {
        OwnedFrame::BlobString { data, .. }
        | OwnedFrame::SimpleString { data, .. }
        | OwnedFrame::VerbatimString { data, .. } => Some(data),
        _ => None,
    }
}

/// A redirect must match the words that it was parsed from, and parse again from its own parts.
fn redirect(text: &[u8]) {
    let asked = Address::new("asked", 9).expect("an address");
    let error = ServerError::parse(text);
    let Some(redirect) = Redirect::parse(&error, &Viewpoint::as_told(&asked)) else { return };
    let word = match redirect.kind {
        RedirectKind::Moved => "MOVED",
        RedirectKind::Ask => "ASK",
    };
    let words: Vec<&str> = error.text().split(' ').collect();
    let [said, slot, place] = words[..] else { panic!("{text:?} has not three words") };
    assert_eq!((said, slot.parse()), (word, Ok(redirect.slot.number())));
    let (host, port) = place.rsplit_once(':').expect("a host and a port");
    assert_eq!(port.parse(), Ok(redirect.to.port()));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    assert!(
        redirect.to.host() == bare || (redirect.to.host() == "asked" && matches!(bare, "" | "?"))
    );
    let again = format!("{word} {} {}", redirect.slot, redirect.to);
    let again = Redirect::parse(&ServerError::parse(again.as_bytes()), &Viewpoint::as_told(&asked));
    assert_eq!(again.as_ref(), Some(&redirect));
}
