//! Nodes of a cluster that name ever new addresses: in redirects, and in maps.
//!
//! The cluster is one peer on every address of the loopback. The cost for a client that believes it
//! is counted: the addresses that are dialled, the commands that are sent, and how often callers
//! are polled.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_caches::{Cache, Error};

use crate::context::{Context, connected};
use crate::frame::bulk;
use crate::peer::{Act, Asked, Peer, greeting};

pub async fn moved_to_ever_new_addresses_opens_a_bounded_number_of_nodes(cx: Context) {
    let new = AtomicUsize::new(0);
    let peer = Peer::everywhere(move |asked| {
        answer(
            asked,
            |_| map(asked, &[(0, LAST, 0)]),
            |slot| redirect("MOVED", slot, asked, 1 + new.fetch_add(1, Ordering::SeqCst)),
        )
    });
    misled(&cx, &peer, 400).await;
}

pub async fn ask_to_ever_new_addresses_opens_a_bounded_number_of_nodes(cx: Context) {
    let new = AtomicUsize::new(0);
    let peer = Peer::everywhere(move |asked| {
        answer(
            asked,
            |_| map(asked, &[(0, LAST, 0)]),
            |slot| redirect("ASK", slot, asked, 1 + new.fetch_add(1, Ordering::SeqCst)),
        )
    });
    misled(&cx, &peer, 400).await;
}

/// There are more callers than nodes that a cache keeps, each redirected to another one that never
/// greets.
pub async fn ask_to_ever_new_silent_addresses_keeps_no_caller_busy(cx: Context) {
    let new = AtomicUsize::new(0);
    let peer = Peer::everywhere(move |asked| {
        if host(0) != asked.at.ip().to_string() {
            return Act::Silence;
        }
        answer(
            asked,
            |_| map(asked, &[(0, LAST, 0)]),
            |slot| redirect("ASK", slot, asked, 1 + new.fetch_add(1, Ordering::SeqCst)),
        )
    });
    misled(&cx, &peer, 200).await;
}

/// Makes this many calls at once, all of them misled. Checks how many addresses are dialled, how
/// many commands are sent, how often each call is polled, and the outcomes.
async fn misled(cx: &Context, peer: &Peer, calls: usize) {
    let builder = cx.builder_of(&url(peer)).maxsize(1).response_timeout(RESPONSE);
    let cache = connected(builder).await;
    let start = Instant::now();
    let all: Vec<_> = (0..calls)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move {
                let get = cache.get_raw(format!("key{n}"));
                counted(get).await
            })
        })
        .collect();
    for call in all {
        let (outcome, polls) = cx.in_time(RESPONSE + SLACK, "a misled call", call).await;
        let error = outcome.expect_err("no address has the value");
        let known = matches!(error, Error::Redirects(_) | Error::Timeout { .. });
        assert!(known || matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(polls <= MOST_POLLS, "a call was polled {polls} times");
    }
    let most = 64 + seconds(start) + 2;
    assert!(peer.hosts() <= most, "{} addresses were dialled, of {most}", peer.hosts());
    // One connection for each node, and those that read the map.
    let most = most + 2 * (seconds(start) + 2);
    assert!(peer.accepted() <= most, "{} connections, of {most}", peer.accepted());
    // Each call sends at most 17 commands, and each connection is greeted with a few.
    let most = calls * 17 + peer.accepted() * 8;
    assert!(peer.asked() <= most, "{} commands, of {most}", peer.asked());
    let info = cache.info();
    let nodes = info.cluster().expect("it is a cluster").nodes.len();
    assert!(nodes <= 65, "{nodes} nodes are known");
    cx.within(RESPONSE + SLACK, "disconnect", cache.disconnect()).await.unwrap();
}

/// A cluster of one node gets ninety-nine more, and each serves its share of the slots at once.
/// Nodes beyond the sixty-fourth are found as soon as a map names them.
pub async fn a_cluster_that_grows_by_a_hundred_nodes_at_once_is_followed(cx: Context) {
    let grown = Arc::new(AtomicBool::new(false));
    let has_grown = Arc::clone(&grown);
    let peer = Peer::everywhere(move |asked| {
        let ranges: Vec<_> = match has_grown.load(Ordering::SeqCst) {
            false => vec![(0, LAST, 0)],
            true => (0..100).map(|n| (share(n), share(n + 1) - 1, n)).collect(),
        };
        let owner =
            |slot| ranges.iter().find(|(_, last, _)| slot <= *last).map_or(0, |range| range.2);
        answer(
            asked,
            |_| map(asked, &ranges),
            |slot| {
                let owner = owner(slot);
                match asked.at.ip().to_string() == host(owner) {
                    true => Act::Say(bulk(&asked.words[1])),
                    false => redirect("MOVED", slot, asked, owner),
                }
            },
        )
    });
    let cache = connected(cx.builder_of(&url(&peer)).maxsize(1)).await;
    assert_eq!(cache.get_raw("key0").await.unwrap().unwrap(), "::key0");
    grown.store(true, Ordering::SeqCst);
    let all: Vec<_> = (0..1_000).map(|n| (n, cx.spawn(named(cache.clone(), n)))).collect();
    for (n, call) in all {
        let value = cx.in_time(5 * SLACK, "a call", call).await.unwrap();
        assert_eq!(value.unwrap(), format!("::key{n}"));
    }
    let info = cache.info();
    assert_eq!(info.cluster().expect("it is a cluster").nodes.len(), 100);
}

/// Every map names 4,096 nodes that no earlier map has named.
pub async fn maps_of_ever_new_nodes_are_followed_at_a_bounded_pace(cx: Context) {
    let maps = AtomicUsize::new(0);
    let peer = Peer::everywhere(move |asked| {
        if asked.at.ip().to_string() != host(0) {
            return Act::SayAndClose(Vec::new());
        }
        let new = |_: ()| {
            let first = 1 + 4_096 * maps.fetch_add(1, Ordering::SeqCst);
            let ranges = (0..4_096).map(|n| (4 * n, 4 * n + 3, first + usize::from(n)));
            map(asked, &ranges.collect::<Vec<_>>())
        };
        answer(asked, new, |slot| redirect("MOVED", slot, asked, 0))
    });
    let builder = cx.builder_of(&url(&peer)).maxsize(1).minsize(0).response_timeout(RESPONSE);
    let cache = connected(builder).await;
    let start = Instant::now();
    for round in 0..2 {
        let calls = (0..1_500).map(|n| named(cache.clone(), 10_000 * round + n));
        let all: Vec<_> = calls.map(|call| cx.spawn(call)).collect();
        for call in all {
            let outcome = cx.in_time(RESPONSE + 2 * SLACK, "a call", call).await;
            assert!(outcome.is_err(), "no node has a value: {outcome:?}");
        }
    }
    let most = 1_024 + 64 * (seconds(start) + 1) + 2;
    assert!(peer.hosts() <= most, "{} addresses were dialled, of {most}", peer.hosts());
    cx.within(RESPONSE + SLACK, "disconnect", cache.disconnect()).await.unwrap();
}

async fn named(cache: Cache, n: u32) -> Result<Option<bytes::Bytes>, Error> {
    cache.get_raw(format!("key{n}")).await
}

/// Returns the output of a future, and how often the future was polled.
async fn counted<T>(future: impl Future<Output = T>) -> (T, u32) {
    let (mut future, mut polls) = (pin!(future), 0);
    let output = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    });
    let output = output.await;
    (output, polls)
}

/// The reply of a node: its greeting, the map, or the one for the slot of a key.
fn answer(asked: &Asked, map: impl FnOnce(()) -> Act, key: impl FnOnce(u16) -> Act) -> Act {
    if let Some(greeting) = greeting(asked) {
        return greeting;
    }
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    match words[..] {
        ["CLUSTER", "SLOTS"] => map(()),
        ["CLUSTER", ..] => Act::Say(b"-ERR unknown subcommand\r\n".to_vec()),
        ["ASKING"] => Act::Say(b"+OK\r\n".to_vec()),
        [_, name, ..] => key(slot(name)),
        _ => Act::Say(b"-ERR unknown command\r\n".to_vec()),
    }
}

/// A map: the ranges of slots, and the node that serves each.
fn map(asked: &Asked, ranges: &[(u16, u16, usize)]) -> Act {
    let mut said = format!("*{}\r\n", ranges.len());
    for (first, last, node) in ranges {
        let (host, port) = (host(*node), asked.at.port());
        said += &format!("*3\r\n:{first}\r\n:{last}\r\n*2\r\n+{host}\r\n:{port}\r\n");
    }
    Act::Say(said.into_bytes())
}

fn redirect(word: &str, slot: u16, asked: &Asked, node: usize) -> Act {
    let port = asked.at.port();
    Act::Say(format!("-{word} {slot} {}:{port}\r\n", host(node)).into_bytes())
}

/// The address of the n-th node.
fn host(node: usize) -> String {
    match node {
        0 => "127.0.0.1".to_owned(),
        _ => format!("127.{}.{}.{}", 1 + node / 62_500, 1 + node / 250 % 250, 1 + node % 250),
    }
}

fn url(peer: &Peer) -> String {
    format!("redis-cluster://{}", peer.address())
}

/// The first slot of the n-th of a hundred nodes.
fn share(n: usize) -> u16 {
    u16::try_from(n * 16_384 / 100).expect("it is a slot, or the end of all")
}

/// The slot of a key without a hash tag: the last 14 bits of its CRC-16 (XMODEM).
fn slot(key: &str) -> u16 {
    let step = |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
    let add = |crc: u16, byte: u8| (0..8).fold(crc ^ u16::from(byte) << 8, step);
    key.bytes().fold(0, add) % 16_384
}

/// How many seconds have passed, rounded up.
fn seconds(start: Instant) -> usize {
    usize::try_from(start.elapsed().as_secs()).unwrap_or(usize::MAX) + 1
}

const LAST: u16 = 16_383;
const RESPONSE: Duration = Duration::from_millis(1_500);
const SLACK: Duration = Duration::from_secs(5);
/// A call is polled when it is woken: by a reply, a connection, the end of a wait, or a map.
const MOST_POLLS: u32 = 150;
