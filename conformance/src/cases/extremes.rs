//! Peers that never stop sending, and URLs with the largest and the smallest numbers. The cost is
//! counted in bytes and connections.

use std::time::Duration;

use async_caches::{Cache, Error, OptionError};

use crate::context::{Context, connected};
use crate::peer::{Act, Asked, Peer, greeting};

/// The most that a peer can send before it is cut off: the system's buffers and one read. A blob
/// may be more than twenty times as large.
const FEW_BYTES: usize = 24 << 20;
const MOST_BYTES: usize = 512 << 20;

pub async fn a_greeting_without_end_is_cut_off_after_few_bytes(cx: Context) {
    let heads: [&[u8]; 6] = [
        b"$536000000\r\n",
        b">2\r\n+message\r\n$536000000\r\n",
        b"|1\r\n+key\r\n$536000000\r\n",
        b"%2\r\n+proto\r\n:3\r\n+server\r\n$536000000\r\n",
        b"*1000000\r\n",
        b"=536000000\r\n",
    ];
    for word in ["HELLO", "PING"] {
        for head in heads {
            let peer = Peer::bare(move |asked| match greeting(asked) {
                _ if asked.words[0] == word => flood(head),
                Some(act) => act,
                None => Act::Silence,
            });
            is_cut_off(&cx, &peer, head).await;
        }
    }
    // Each frame of the flood is small.
    let push = [&b">2\r\n+message\r\n$50000\r\n"[..], &[b'x'; 50_000], b"\r\n"].concat();
    let peer = Peer::bare(move |_| Act::Flood(vec![], push.clone(), MOST_BYTES));
    is_cut_off(&cx, &peer, b"pushes").await;
}

async fn is_cut_off(cx: &Context, peer: &Peer, what: &[u8]) {
    let what = what.escape_ascii().to_string();
    let builder = cx.builder_of(&peer.url()).maxsize(1).connect_timeout(BRIEF);
    let connecting = builder.response_timeout(BRIEF).connect();
    let error = cx.within(BRIEF + SLACK, &what, connecting).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{what}: {error:?}");
    let (bytes, connections) = (peer.flooded(), peer.accepted());
    assert!(
        bytes < FEW_BYTES * connections.max(1),
        "{what}: {bytes} bytes on {connections} connections"
    );
}

pub async fn unsolicited_data_is_cut_off_after_few_bytes(cx: Context) {
    let heads: [&[u8]; 5] = [
        b"$536000000\r\n",
        b">2\r\n+message\r\n$536000000\r\n",
        b"|1\r\n+key\r\n$536000000\r\n",
        b"*1\r\n$536000000\r\n",
        b"!536000000\r\n",
    ];
    for head in heads {
        // Right after the last reply of the greeting, and after the reply to a call.
        for at in ["PING", "GET"] {
            let peer = Peer::bare(move |asked| match (greeting(asked), asked.words[0].as_str()) {
                (_, "GET") if at == "GET" && asked.connection == 0 => {
                    flood_behind(b"$1\r\n1\r\n", head)
                }
                (_, "PING") if at == "PING" && asked.connection == 0 => {
                    flood_behind(b"+PONG\r\n", head)
                }
                (Some(act), _) => act,
                (None, _) => Act::Say(b"$1\r\n1\r\n".to_vec()),
            });
            let what = format!("{} behind {at}", head.escape_ascii());
            let builder = cx.builder_of(&peer.url()).maxsize(1).response_timeout(BRIEF);
            let cache = builder.build().unwrap();
            cx.until("the cache is connected", async || {
                cache.is_connected() || cache.connect().await.is_ok()
            })
            .await;
            cx.until("the cache is served on another connection", async || {
                let served = cache.get_raw("key").await.is_ok();
                served && peer.accepted() > 1
            })
            .await;
            let bytes = peer.flooded();
            assert!(bytes < FEW_BYTES, "{what}: {bytes} bytes");
            cx.within(BRIEF + SLACK, &what, cache.disconnect()).await.unwrap();
        }
    }
}

pub async fn a_large_reply_to_a_write_is_cut_off_after_few_bytes(cx: Context) {
    let peer = Peer::start(|_| flood(b"$536000000\r\n"));
    let cache = connected(cx.builder_of(&peer.url()).maxsize(1).response_timeout(BRIEF)).await;
    let error = cx.within(BRIEF + SLACK, "set", cache.set("key", 1)).await.unwrap_err();
    assert!(
        matches!(error, Error::Disconnected { .. } | Error::ConnectionsEnded { .. }),
        "{error:?}"
    );
    assert!(peer.flooded() < FEW_BYTES * peer.accepted(), "{} bytes", peer.flooded());
}

pub async fn a_pool_dials_few_connections_until_one_opens(cx: Context) {
    let peer = Peer::bare(|_| Act::Silence);
    let url = format!("{}?minsize=10000&maxsize=10000", peer.url());
    let builder = cx.builder_of(&url).connect_timeout(BRIEF).response_timeout(BRIEF);
    cx.within(BRIEF + SLACK, "connect", builder.connect()).await.unwrap_err();
    assert!(peer.accepted() <= 40, "{} connections", peer.accepted());
}

pub async fn a_pool_of_many_connections_opens_all_of_them(cx: Context) {
    const MANY: usize = 200;
    let peer = Peer::start(|_| Act::Say(b"$1\r\n1\r\n".to_vec()));
    let url = format!("{}?minsize={MANY}&maxsize={MANY}", peer.url());
    let cache = connected(cx.builder_of(&url)).await;
    cx.until("all are open", async || peer.accepted() == MANY).await;
    assert!(cache.get_raw("key").await.unwrap().is_some());
    cx.within(SLACK, "disconnect", cache.disconnect()).await.unwrap();
    assert_eq!(peer.accepted(), MANY);
}

pub async fn a_url_of_extreme_numbers_is_refused_or_serves(cx: Context) {
    let peer = Peer::start(answer);
    let numbers = [
        "0",
        "1",
        "2",
        "10000",
        "10001",
        "4294967296",
        "9223372036854775808",
        "18446744073709551615",
    ];
    let options =
        ["max_in_flight", "max_queued_bytes", "max_waiting", "max_entries", "max_bytes", "maxsize"];
    for option in options {
        for number in numbers {
            let what = format!("{option}={number}");
            let server = format!("{}?{what}", peer.url());
            let store = format!("locmem://{}?{what}", what.replace('=', "-"));
            for url in [server, store] {
                match cx.builder_of(&url).build() {
                    Err(Error::Option(_) | Error::Url(_)) => assert!(
                        number == "0" || (option == "maxsize" && number.len() > 4),
                        "{url} is refused"
                    ),
                    Err(error) => panic!("{url}: {error:?}"),
                    Ok(cache) => serves(&cx, cache, &url).await,
                }
            }
        }
    }
    let least = ["connect_timeout", "response_timeout", "load_wait", "max_connection_age"];
    for (option, span) in
        least.into_iter().flat_map(|option| [(option, "0.000000001"), (option, "9007199254740")])
    {
        let url = format!("{}?{option}={span}&maxsize=2", peer.url());
        let before = peer.accepted();
        match cx.builder_of(&url).build() {
            Err(error) => assert!(
                matches!(
                    &error,
                    Error::Option(OptionError::TooShort { option: "max_connection_age", .. })
                ),
                "{url}: {error:?}"
            ),
            Ok(cache) => {
                let call = async {
                    if cache.connect().await.is_ok() {
                        for _ in 0..50 {
                            let _ = cache.get_raw("key").await;
                        }
                        cache.disconnect().await.unwrap();
                    }
                };
                cx.within(SLACK, &url, call).await;
            }
        }
        let dialled = peer.accepted() - before;
        assert!(dialled < 60, "{url}: {dialled} connections");
    }
}

async fn serves(cx: &Context, cache: Cache, url: &str) {
    let call = async {
        cache.connect().await.unwrap();
        // A store that has no room keeps nothing.
        cache.set_raw("key", "1").await.unwrap();
        let _ = cache.get_raw("key").await.unwrap();
        cache.disconnect().await.unwrap();
    };
    cx.within(SLACK, url, call).await;
}

fn answer(asked: &Asked) -> Act {
    Act::Say(match asked.words[0].as_str() {
        "SET" => b"+OK\r\n".to_vec(),
        _ => b"$1\r\n1\r\n".to_vec(),
    })
}

fn flood(head: &[u8]) -> Act {
    Act::Flood(head.to_vec(), vec![b'x'; 64 << 10], MOST_BYTES)
}

fn flood_behind(before: &[u8], head: &[u8]) -> Act {
    flood(&[before, head].concat())
}

const BRIEF: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_secs(20);
