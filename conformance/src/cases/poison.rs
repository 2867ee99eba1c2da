//! Commands that end their connections: on a real server whose limits they exceed, and on a
//! scripted peer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_caches::{Cache, Error};

use crate::context::{Context, connected};
use crate::frame::bulk;
use crate::peer::{Act, Asked, Peer};
use crate::server::{Server, Setup};

pub async fn a_value_that_the_server_may_not_send_costs_two_connections_at_most(cx: Context) {
    let server = with(&cx, "client-output-buffer-limit", "normal 1mb 1mb 0");
    for maxsize in [1, 4] {
        let cache = connected(cx.builder_of(&server.url(0)).maxsize(maxsize)).await;
        cache.set_raw("large", vec![b'x'; 8 * MIB]).await.unwrap();
        cache.set("n", 0).await.unwrap();
        let beside = neighbours(&cx, &cache);
        let error = cx.within(PATIENCE, "the get", cache.get_raw("large")).await.unwrap_err();
        assert_ended(&error, 2);
        let unknown = heard(&cx, beside).await;
        let lost = cache.info().pool().map_or(0, |pool| pool.lost);
        assert!(lost <= 2, "{lost} connections were lost");
        let sum: i64 = cache.get("n").await.unwrap().unwrap();
        assert!((NEIGHBOURS - unknown..=NEIGHBOURS).contains(&sum), "{sum}, {unknown} unknown");
        cache.disconnect().await.unwrap();
    }
}

pub async fn a_value_that_the_server_does_not_read_costs_two_connections_at_most(cx: Context) {
    for (limit, value) in [("client-query-buffer-limit", "1mb"), ("proto-max-bulk-len", "1mb")] {
        let server = with(&cx, limit, value);
        let cache = connected(cx.builder_of(&server.url(0)).maxsize(2)).await;
        cache.set("n", 0).await.unwrap();
        let large = vec![b'x'; 64 * MIB];
        let beside = neighbours(&cx, &cache);
        let setting = cache.set_raw("large", large);
        let error = cx.within(PATIENCE, limit, setting).await.unwrap_err();
        match &error {
            // The server reports why before it hangs up, if the client can still read that.
            Error::Server(error) => assert!(error.text().contains("Protocol error"), "{error}"),
            error => {
                assert!(!error.may_have_run(), "{limit}: {error:?}");
                assert_ended(error, 2);
            }
        }
        heard(&cx, beside).await;
        let lost = || cache.info().pool().map_or(0, |pool| pool.lost);
        cx.until("the connection is lost", async || lost() > 0).await;
        assert!(lost() <= 2, "{limit}: {} connections were lost", lost());
        assert_eq!(cache.get_raw("large").await.unwrap(), None);
        cache.disconnect().await.unwrap();
    }
}

pub async fn values_too_large_to_send_at_once_are_fetched_in_parts(cx: Context) {
    let server = with(&cx, "client-output-buffer-limit", "normal 1mb 1mb 0");
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(2)).await;
    let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    for key in &keys {
        cache.set_raw(key, vec![b'x'; 64 * 1024]).await.unwrap();
    }
    let values = cx.within(PATIENCE, "get_many", cache.get_many_raw(&keys)).await.unwrap();
    assert!(values.iter().all(|value| value.as_ref().is_some_and(|it| it.len() == 64 * 1024)));
    let lost = cache.info().pool().map_or(0, |pool| pool.lost);
    assert!((1..=8).contains(&lost), "{lost} connections were lost");
    // The error names a value that is too large by itself.
    cache.set_raw("k77", vec![b'x'; 8 * MIB]).await.unwrap();
    let error = cx.within(PATIENCE, "get_many", cache.get_many_raw(&keys)).await.unwrap_err();
    let Error::ConnectionsEnded { key, .. } = &error else { panic!("{error:?}") };
    assert_eq!(key, "\"k77\"");
    assert!(cache.get_raw("k76").await.unwrap().is_some());
    cache.disconnect().await.unwrap();
}

pub async fn a_command_with_a_malformed_reply_is_not_repeated(cx: Context) {
    for reply in [":5\r\n", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "+OK\r\n", "@\r\n", "$-5\r\n"] {
        let asked = Log::default();
        let peer = logging(&asked, move |asked| match key(asked) {
            "poison" => Act::Say(reply.as_bytes().to_vec()),
            key => Act::Say(bulk(key)),
        });
        let cache = connected(cx.builder_of(&peer.url()).maxsize(2)).await;
        let getting: Vec<_> = (0..20).map(|n| cx.spawn(own_name(cache.clone(), n))).collect();
        let error = cx.within(PATIENCE, reply, cache.get_raw("poison")).await.unwrap_err();
        assert_ended(&error, 1);
        for task in getting {
            cx.within(PATIENCE, reply, task).await;
        }
        assert_eq!(connections_of(&asked, "poison").len(), 1, "{reply:?}");
        if reply != "+OK\r\n" {
            let error = cache.set("poison", 1).await.unwrap_err();
            assert_ended(&error, 1);
            assert!(error.may_have_run(), "{error:?}");
        }
    }
}

pub async fn a_command_on_which_the_server_hangs_up_is_repeated_once_and_alone(cx: Context) {
    let asked = Log::default();
    let peer = logging(&asked, |asked| match key(asked) {
        "poison" => Act::SayAndClose(Vec::new()),
        key => Act::Say(bulk(key)),
    });
    for maxsize in [1, 2, 8] {
        asked.lock().unwrap().clear();
        let before = peer.accepted();
        let cache = connected(cx.builder_of(&peer.url()).maxsize(maxsize)).await;
        let first: Vec<_> = (0..50).map(|n| cx.spawn(own_name(cache.clone(), n))).collect();
        let poison = cx.spawn({
            let cache = cache.clone();
            async move { cache.get_raw("poison").await }
        });
        let then: Vec<_> = (50..99).map(|n| cx.spawn(own_name(cache.clone(), n))).collect();
        let error = cx.within(PATIENCE, "the get", poison).await.unwrap_err();
        assert_ended(&error, 2);
        for task in first.into_iter().chain(then) {
            cx.within(PATIENCE, "a neighbour", task).await;
        }
        let connections = connections_of(&asked, "poison");
        assert_eq!(connections.len(), 2, "{maxsize}: {connections:?}");
        assert!(connections[0] != connections[1]);
        let opened = peer.accepted() - before;
        assert!(opened <= maxsize + 2, "{maxsize}: {opened} connections");
        cache.disconnect().await.unwrap();
    }
}

pub async fn several_commands_that_end_connections_harm_no_neighbour_twice(cx: Context) {
    let asked = Log::default();
    let peer = logging(&asked, |asked| match key(asked) {
        key if key.starts_with("poison") => Act::SayAndClose(Vec::new()),
        key => Act::Say(bulk(key)),
    });
    let cache = connected(cx.builder_of(&peer.url()).maxsize(3)).await;
    let poison: Vec<_> = (0..5)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move { cache.get_raw(format!("poison{n}")).await })
        })
        .collect();
    let others: Vec<_> = (0..50).map(|n| cx.spawn(own_name(cache.clone(), n))).collect();
    for task in poison {
        assert_ended(&cx.within(PATIENCE, "the get", task).await.unwrap_err(), 2);
    }
    for task in others {
        cx.within(PATIENCE, "a neighbour", task).await;
    }
    for n in 0..5 {
        assert!(connections_of(&asked, &format!("poison{n}")).len() <= 2);
    }
    assert!(peer.accepted() <= 14, "{} connections", peer.accepted());
}

pub async fn an_abandoned_suspect_frees_its_connection_for_others(cx: Context) {
    let asked = Log::default();
    let peer = logging(&asked, |asked| match (key(asked), asked.connection) {
        ("poison", 0) => Act::SayAndClose(Vec::new()),
        ("poison", _) => Act::Silence,
        (key, _) => Act::Say(bulk(key)),
    });
    let builder = cx.builder_of(&peer.url()).maxsize(1).response_timeout(Duration::from_secs(1));
    let cache = connected(builder).await;
    let poison = cx.spawn({
        let cache = cache.clone();
        async move { cache.get_raw("poison").await }
    });
    cx.until("it was sent again", async || connections_of(&asked, "poison").len() == 2).await;
    let error = cx.within(PATIENCE, "the get", poison).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    cx.until("others are served", async || cache.get_raw("n").await.is_ok()).await;
}

pub async fn the_end_of_a_connection_that_has_answered_lengthens_no_backoff(cx: Context) {
    // Each connection serves one command, as behind a proxy with short-lived connections.
    let peer = Peer::start(|asked| Act::SayAndClose(bulk(key(asked))));
    let builder = cx.builder_of(&peer.url()).maxsize(1).response_timeout(Duration::from_secs(2));
    let cache = connected(builder).await;
    for n in 0..30 {
        own_name(cache.clone(), n).await;
    }
    assert!(peer.accepted() < 70, "{} connections", peer.accepted());
}

pub async fn an_error_nested_in_a_reply_fails_only_its_call(cx: Context) {
    for reply in [
        "*2\r\n$1\r\n1\r\n-shard is away\r\n",
        "*2\r\n!13\r\nshard is away\r\n$1\r\n1\r\n",
        "*2\r\n*1\r\n-shard is away\r\n$1\r\n1\r\n",
        "%1\r\n+k\r\n-shard is away\r\n",
        "~1\r\n-shard is away\r\n",
        "-shard is away\r\n",
        "!13\r\nshard is away\r\n",
    ] {
        let peer = Peer::start(move |asked| match asked.words[0].as_str() {
            "GET" => Act::Say(bulk(key(asked))),
            _ => Act::Say(reply.as_bytes().to_vec()),
        });
        let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
        let told = |error: Error| match error {
            Error::Server(error) => assert_eq!(error.text(), "shard is away", "{reply:?}"),
            error => panic!("{reply:?}: {error:?}"),
        };
        told(cache.get_many_raw(["a", "b"]).await.unwrap_err());
        told(cache.set("a", 1).await.unwrap_err());
        told(cache.incr("a", 1).await.unwrap_err());
        own_name(cache.clone(), 1).await;
        assert_eq!(peer.accepted(), 1, "{reply:?}");
    }
}

pub async fn an_outage_reported_by_a_proxy_is_retryable(cx: Context) {
    for text in [
        "upstream failure",
        "no upstream host",
        "ERR upstream failure",
        "ERR Connection refused",
        "ERR Connection timed out",
        "ERR server connection close",
        "ERR Cluster node disconnected: 10.0.0.1:6379",
    ] {
        let peer = Peer::start(move |_| Act::Say(format!("-{text}\r\n").into_bytes()));
        let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
        let error = cache.get_raw("key").await.unwrap_err();
        assert!(matches!(error, Error::Server(_)) && error.is_retryable(), "{text}: {error:?}");
        let loaded = cache.get_or_set("key", async { 7 }).await;
        assert_eq!(loaded.unwrap(), 7, "{text}");
        assert_eq!(peer.accepted(), 1, "{text}");
    }
}

pub async fn a_connection_that_lost_its_authentication_is_left(cx: Context) {
    for refusal in ["-NOAUTH Authentication required.\r\n", "-WRONGPASS user is disabled.\r\n"] {
        let peer = Peer::start(move |asked| match (asked.connection, key(asked)) {
            (0, "own-0") => Act::Say(bulk("own-0")),
            (0, _) => Act::Say(refusal.as_bytes().to_vec()),
            (_, key) if asked.words[0] == "GET" => Act::Say(bulk(key)),
            _ => Act::Say(b"+OK\r\n".to_vec()),
        });
        let url = peer.url().replace("redis://", "redis://:secret@");
        let cache = connected(cx.builder_of(&url).maxsize(1)).await;
        own_name(cache.clone(), 0).await;
        cache.set("n", 1).await.unwrap();
        own_name(cache.clone(), 1).await;
        cache.set_many([("a", 1), ("b", 2)]).await.unwrap();
        assert_eq!(peer.accepted(), 2, "{refusal}");
    }
    // If every command is refused, the caller gets that error, and no storm of dials starts.
    let peer = Peer::start(|_| Act::Say(b"-NOAUTH Authentication required.\r\n".to_vec()));
    let url = peer.url().replace("redis://", "redis://:secret@");
    let cache = connected(cx.builder_of(&url).maxsize(1)).await;
    let error = cx.within(PATIENCE, "get", cache.get_raw("key")).await.unwrap_err();
    assert!(matches!(error, Error::Server(_)), "{error:?}");
    assert!(peer.accepted() <= 3, "{} connections", peer.accepted());
}

pub async fn a_batch_is_halved_when_the_peer_hangs_up_on_many_values(cx: Context) {
    let asked = Log::default();
    let most = |most: usize, hang_up: bool| {
        let asked = asked.clone();
        logging(&asked, move |asked| match asked.words.len() - 1 {
            len if len > most && hang_up => Act::SayAndClose(Vec::new()),
            // More than this client reads.
            len if len > most => Act::Say(b"*1\r\n$600000000\r\n".to_vec()),
            _ => {
                let keys = &asked.words[1..];
                let values: Vec<u8> = keys.iter().flat_map(bulk).collect();
                Act::Say([format!("*{}\r\n", keys.len()).as_bytes(), &values].concat())
            }
        })
    };
    let keys: Vec<String> = (0..200).map(|n| format!("k{n}")).collect();
    for (of, hang_up) in [(60, true), (60, false), (7, true)] {
        asked.lock().unwrap().clear();
        let peer = most(of, hang_up);
        let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
        let values = cx.within(PATIENCE, "get_many", cache.get_many_raw(&keys)).await.unwrap();
        for (key, value) in keys.iter().zip(values) {
            assert_eq!(value.unwrap(), format!("::{key}"));
        }
        let (count, opened) = (asked.lock().unwrap().len(), peer.accepted());
        assert!(count <= 2 * 200 / of + 10, "{of}: {count} commands");
        assert!(opened <= 12, "{of}: {opened} connections");
    }
    // A peer that hangs up on every batch costs a connection for each halving.
    asked.lock().unwrap().clear();
    let peer = most(0, true);
    let builder = cx.builder_of(&peer.url()).maxsize(1);
    // Each of those connections is dialled after a longer backoff.
    let cache = connected(builder.response_timeout(PATIENCE * 3)).await;
    let error = cx.within(PATIENCE * 3, "get_many", cache.get_many_raw(&keys)).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert!(asked.lock().unwrap().len() <= 10, "{:?}", asked.lock().unwrap().len());
    // A peer that sends malformed replies is not asked again.
    asked.lock().unwrap().clear();
    let peer = logging(&asked, |_| Act::Say(b":1\r\n".to_vec()));
    let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
    let error = cx.within(PATIENCE, "get_many", cache.get_many_raw(&keys)).await.unwrap_err();
    let Error::ConnectionsEnded { key, .. } = &error else { panic!("{error:?}") };
    assert_eq!(key, "\"k0\" and 199 others");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

/// The connection's number and the words of each command.
type Log = Arc<Mutex<Vec<(usize, Vec<String>)>>>;

fn logging(log: &Log, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Peer {
    let log = Arc::clone(log);
    Peer::start(move |asked| {
        log.lock().unwrap().push((asked.connection, asked.words.clone()));
        script(asked)
    })
}

fn connections_of(log: &Log, name: &str) -> Vec<usize> {
    let key = format!("::{name}");
    let log = log.lock().unwrap();
    let reads = log.iter().filter(|(_, words)| words[0] == "GET" && words[1] == key);
    reads.map(|(connection, _)| *connection).collect()
}

/// A server with this setting.
fn with(cx: &Context, name: &str, value: &str) -> Server {
    let server = cx.start(&Setup::default());
    // Newer servers do not count values that they send without a copy, unless configured so. Others
    // refuse the setting.
    let _ = server.raw(0).ask(&["CONFIG", "SET", "min-string-size-avoid-copy-reply", "1000000000"]);
    assert_eq!(server.raw(0).text(&["CONFIG", "SET", name, value]), "OK");
    server
}

/// The key of a command, without the part before its name.
fn key(asked: &Asked) -> &str {
    let key = asked.words.get(1).map_or("", String::as_str);
    key.strip_prefix("::").unwrap_or(key)
}

/// Gets a key whose value is its own name.
async fn own_name(cache: Cache, n: u32) {
    let name = format!("own-{n}");
    assert_eq!(cache.get_raw(&name).await.unwrap().unwrap(), name);
}

/// Spawns reads and increments beside the command under test. Each task returns whether its command
/// may have run without an answer.
fn neighbours(cx: &Context, cache: &Cache) -> Vec<crate::context::Task<bool>> {
    let beside = (0..2 * NEIGHBOURS).map(|n| {
        let cache = cache.clone();
        cx.spawn(async move {
            if n % 2 == 0 {
                assert_eq!(cache.get_raw(format!("absent-{n}")).await.unwrap(), None);
                return false;
            }
            match cache.incr("n", 1).await {
                Ok(_) => false,
                Err(Error::Disconnected { may_have_run: true, .. }) => true,
                Err(error) => panic!("{error:?}"),
            }
        })
    });
    beside.collect()
}

/// Waits for the neighbours. Returns how many of their commands may have run without an answer.
async fn heard(cx: &Context, beside: Vec<crate::context::Task<bool>>) -> i64 {
    let mut unknown = 0;
    for task in beside {
        unknown += i64::from(cx.within(PATIENCE, "a neighbour", task).await);
    }
    unknown
}

#[track_caller]
fn assert_ended(error: &Error, most: u8) {
    let Error::ConnectionsEnded { key, connections, .. } = error else { panic!("{error:?}") };
    assert!(*connections <= most, "{error:?}");
    assert!(!key.is_empty() && error.to_string().contains(key.as_str()), "{error}");
    assert!(!error.is_retryable(), "{error:?}");
}

const NEIGHBOURS: i64 = 100;
const MIB: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);
