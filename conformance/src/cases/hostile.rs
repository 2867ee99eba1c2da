//! Bytes that no real server sends, from a scripted peer.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use async_caches::{Cache, Error};

use crate::context::{Context, connected};
use crate::frame::bulk;
use crate::peer::{Act, Asked, Peer};

pub async fn connecting_to_a_peer_that_never_greets_ends_with_the_timeout(cx: Context) {
    let peer = Peer::bare(|_| Act::Silence);
    let start = Instant::now();
    let builder = cx.builder_of(&peer.url()).connect_timeout(BRIEF).response_timeout(BRIEF);
    let error = cx.within(BRIEF + SLACK, "connect", builder.connect()).await.unwrap_err();
    assert!(start.elapsed() >= BRIEF, "{:?}: {error:?}", start.elapsed());
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

pub async fn a_peer_that_refuses_is_an_error_that_names_it(cx: Context) {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let builder = cx.builder_of(&format!("redis://:hunter2@{address}")).connect_timeout(BRIEF);
    let connecting = builder.response_timeout(BRIEF).connect();
    let error = cx.within(BRIEF + SLACK, "connect", connecting).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

pub async fn a_host_that_does_not_exist_is_an_error_that_names_it(cx: Context) {
    let builder = cx.builder_of("redis://no-such-host.invalid").connect_timeout(BRIEF * 5);
    let connecting = builder.response_timeout(BRIEF * 5).connect();
    let error = cx.within(5 * BRIEF + SLACK, "connect", connecting).await.unwrap_err();
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
}

pub async fn resp2_nulls_are_nulls_in_resp3(cx: Context) {
    for null in [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"] {
        let peer = Peer::start(move |asked| match name(asked) {
            "absent" => Act::Say(null.to_vec()),
            name => Act::Say(bulk(name)),
        });
        let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
        for n in 0..20 {
            let absent = cache.get_raw("absent").await.unwrap();
            assert_eq!(absent, None, "{}", null.escape_ascii());
            let name = format!("n{n}");
            let present = cache.get_raw(&name).await.unwrap().unwrap();
            assert_eq!(present, format!("::{name}"));
        }
        assert_eq!(peer.accepted(), 1);
    }
}

/// Sends a malformed reply to one of several calls in flight.
pub async fn a_malformed_reply_closes_the_connection_and_reaches_no_caller(cx: Context) {
    let replies: Vec<Vec<u8>> = vec![
        b"$5\r\n\"abc\"XX".to_vec(),
        b"$5\r\n\"abc\"\n\n".to_vec(),
        b"$9223372036854775807\r\n".to_vec(),
        b"$9223372036854775808\r\n".to_vec(),
        b"$-2\r\n".to_vec(),
        b"$1e9\r\n".to_vec(),
        b"$+5\r\n\"abc\"\r\n".to_vec(),
        b"$\r\n".to_vec(),
        b"*9223372036854775807\r\n".to_vec(),
        b"*4294967296\r\n".to_vec(),
        b"%9223372036854775807\r\n".to_vec(),
        b"!no frame\r\n".to_vec(),
        b"hello\r\n".to_vec(),
        b"\r\n".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b":12a\r\n".to_vec(),
        b":5\r\n".to_vec(),
        b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n".to_vec(),
        b"*1\r\n".repeat(100_000),
        b"%1\r\n".repeat(100_000),
        [b"+".to_vec(), vec![b'x'; 40_000_000]].concat(),
    ];
    let tasks: Vec<_> =
        replies.into_iter().map(|reply| cx.spawn(malformed(cx.clone(), reply))).collect();
    for task in tasks {
        task.await;
    }
}

/// Sends one malformed reply while other calls are in flight on the same connection.
async fn malformed(cx: Context, reply: Vec<u8>) {
    let shown = reply[..reply.len().min(40)].escape_ascii().to_string();
    let peer = Peer::start(move |asked| match name(asked) {
        "bad" => Act::Say(reply.clone()),
        name => Act::Say(bulk(name)),
    });
    let builder = cx.builder_of(&peer.url()).maxsize(1).response_timeout(BRIEF);
    let cache = connected(builder).await;
    let bad = cx.spawn({
        let cache = cache.clone();
        async move { cache.get_raw("bad").await }
    });
    let others: Vec<_> = (0..8).map(|n| cx.spawn(own_name(cache.clone(), n))).collect();
    let error = cx.within(BRIEF + SLACK, &shown, bad).await;
    let error = error.err().unwrap_or_else(|| panic!("{shown} was taken for a value"));
    let by_protocol = error.to_string().contains("no answer within")
        || format!("{error:?}").contains("Protocol(");
    assert!(by_protocol, "{shown}: {error:?}");
    assert!(error.with_sources().to_string().len() < 600, "{shown}: {error}");
    for other in others {
        cx.within(BRIEF + SLACK, &shown, other).await;
    }
    while !own_name(cache.clone(), 9).await {
        cx.sleep(Duration::from_millis(5)).await;
    }
    assert!(peer.accepted() > 1, "{shown}: the connection was kept");
}

pub async fn a_surplus_reply_reaches_no_caller(cx: Context) {
    let peer = Peer::start(|asked| {
        let own = bulk(name(asked));
        let twice = asked.connection == 0 && name(asked) == "first";
        Act::Say(if twice { [own.clone(), own].concat() } else { own })
    });
    let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
    let _ = cache.get_raw("first").await;
    for n in 0..20 {
        cx.until("the cache is back", async || own_name(cache.clone(), n).await).await;
    }
    assert_eq!(peer.accepted(), 2);
}

pub async fn replies_before_any_command_reach_no_caller(cx: Context) {
    // More replies than a greeting has commands.
    let lies = bulk("lie").repeat(20);
    let peer = Peer::bare(move |asked| match asked.words[0].as_str() {
        "HELLO" if asked.connection == 0 => Act::Say([GREETING, &lies[..]].concat()),
        "HELLO" => Act::Say(GREETING.to_vec()),
        "GET" => Act::Say(bulk(name(asked))),
        _ => Act::Say(b"+OK\r\n".to_vec()),
    });
    let cache = cx.builder_of(&peer.url()).maxsize(1).build().unwrap();
    cx.until("the cache is connected", async || {
        cache.is_connected() || cache.connect().await.is_ok()
    })
    .await;
    for n in 0..20 {
        cx.until("the cache is back", async || own_name(cache.clone(), n).await).await;
    }
    assert!(peer.accepted() > 1);
}

pub async fn a_servers_error_text_is_quoted_and_bounded(cx: Context) {
    let secret = "\u{1b}[31m\u{7}hunter2 ".repeat(500);
    let peer = Peer::start(move |_| Act::Say(format!("-ERR {secret}\r\n").into_bytes()));
    let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
    let error = cache.get_raw("key").await.unwrap_err();
    let Error::Server(_) = error else { panic!("{error:?}") };
    let shown = error.to_string();
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
    assert!(!shown.contains(|c: char| c.is_control()), "{shown}");
    assert_eq!(peer.accepted(), 1);
}

pub async fn a_peer_that_hangs_up_on_every_command_ends_in_an_error(cx: Context) {
    let peer = Peer::start(|_| Act::SayAndClose(vec![]));
    let builder = cx.builder_of(&peer.url()).response_timeout(2 * BRIEF);
    let cache = connected(builder).await;
    let tasks: Vec<_> = super::ops::all()
        .into_iter()
        .map(|(name, operation)| (name, cx.spawn(operation(cache.clone()))))
        .collect();
    for (name, task) in tasks {
        let outcome = cx.within(2 * BRIEF + SLACK, name, task).await;
        // A load returns its loader's value if the cache cannot help.
        assert!(outcome.is_err() || name.contains("get_or_set") || name == "ping", "{name}");
    }
    assert!(peer.accepted() < 40, "{} dials are a storm", peer.accepted());
}

/// The key of a command. The special names are returned without the `::` in front of them.
fn name(asked: &Asked) -> &str {
    let key = asked.words.get(1).map_or("", String::as_str);
    match key.strip_prefix("::") {
        Some(name @ ("bad" | "absent" | "first")) => name,
        _ => key,
    }
}

/// Gets a key whose value is its own name. Returns whether a reply came; if so, it must be right.
async fn own_name(cache: Cache, n: u32) -> bool {
    match cache.get_raw(format!("own-{n}")).await {
        Ok(value) => {
            assert_eq!(value.unwrap(), format!("::own-{n}"));
            true
        }
        Err(error) => {
            assert!(!matches!(error, Error::Deserialize { .. }), "{error:?}");
            false
        }
    }
}

const GREETING: &[u8] = b"%1\r\n+proto\r\n:3\r\n";
const BRIEF: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_secs(3);

pub async fn refused_dials_fail_calls_of_lazily_connected_caches_at_once(cx: Context) {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (soon, endless) = (Duration::from_secs(20), Duration::from_secs(120));
    let urls = [
        format!("redis://{address}"),
        format!("redis-sentinel://{address}/service"),
        format!("redis-cluster://{address}"),
    ];
    for url in urls {
        let builder = cx.builder_of(&url).response_timeout(endless);
        let cache = builder.connect_lazily().unwrap();
        let error = cx.within(soon, &url, cache.get::<i32>("key")).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        let load = cx.within(soon, &url, cache.get_or_set("key", async { 1 }));
        assert_eq!(load.await.unwrap(), 1);
        cx.within(soon, &url, cache.disconnect()).await.unwrap();
    }
}
