//! The snapshot that a cache gives of itself, for a dashboard.

use std::time::Duration;

use async_caches::{
    BackendInfo, Cache, ConnectionError, ConnectionFailure, Error, Info, PoolInfo, TlsError,
};

use crate::backend::{Backend, PASSWORD};
use crate::context::{Context, Task, connected};
use crate::peer::{Act, Asked, Peer};
use crate::proxy::Proxy;
use crate::server::{Server, Setup};

pub async fn info_describes_the_backend_and_its_state(cx: Context) {
    let cache = cx.builder().build().unwrap();
    for connects in [false, true, false] {
        if connects {
            cache.connect().await.unwrap();
            cache.set("key", 1).await.unwrap();
        } else if cache.is_connected() {
            cache.disconnect().await.unwrap();
        }
        let info = cache.info();
        assert_eq!((info.connected, connects), (cache.is_connected(), cache.is_connected()));
        let is_server = cx.backend().kind().is_some();
        assert_eq!(info.pool().is_some(), is_server && !cx.backend().is_cluster());
        match &info.backend {
            BackendInfo::Dummy => assert_eq!(cx.backend(), Backend::Dummy),
            BackendInfo::Memory(memory) => {
                assert!(cx.url().ends_with(&memory.name), "{memory:?}");
                assert_eq!(memory.stats, cache.stats());
                assert_eq!(memory.stats.map(|stats| stats.entries), connects.then_some(1));
                assert_eq!((memory.max_entries, memory.max_bytes), (None, None));
            }
            BackendInfo::Redis(pool) => {
                assert_eq!(pool.open, usize::from(connects));
                assert_eq!((pool.minsize, pool.maxsize), (1, 10));
            }
            BackendInfo::Cluster(cluster) => {
                assert!(cx.backend().is_cluster());
                let open: usize = cluster.nodes.iter().map(|node| node.pool.open).sum();
                assert_eq!((open, cluster.nodes.len()), if connects { (1, 3) } else { (0, 0) });
            }
            other => panic!("{other:?}"),
        }
        assert!(!format!("{info:?}").contains(PASSWORD));
    }
}

pub async fn info_reports_the_bounds_of_the_open_store(cx: Context) {
    let bounded = connected(cx.builder().max_entries(7).max_bytes(70_000)).await;
    let silent = cx.builder().build().unwrap();
    let bounds = |cache: &Cache| match cache.info().backend {
        BackendInfo::Memory(memory) => (memory.max_entries, memory.max_bytes),
        other => panic!("{other:?}"),
    };
    assert_eq!(bounds(&bounded), (Some(7), Some(70_000)));
    assert_eq!(bounds(&silent), (None, None));
    silent.connect().await.unwrap();
    assert_eq!(bounds(&silent), (Some(7), Some(70_000)));
}

pub async fn connections_are_idle_after_use_and_closed_after_disconnect(cx: Context) {
    let cache = connected(cx.builder().minsize(2).maxsize(3)).await;
    cx.until("both connections are open", async || pool(&cache).open == 2).await;
    for n in 0..100 {
        cache.set("key", n).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(n));
    }
    cx.until("both connections are idle", async || pool(&cache).idle == 2).await;
    let info = pool(&cache);
    assert_eq!((info.minsize, info.maxsize), (2, 3));
    assert_eq!((info.open, info.busy, info.dialling, info.closing), (2, 0, 0, 0), "{info:?}");
    assert_nothing_under_way(&info);
    assert_nothing_wrong(&info);
    assert_eq!(info.servers.iter().map(|server| server.connections).sum::<usize>(), 2);
    cache.disconnect().await.unwrap();
    let info = pool(&cache);
    assert_eq!((info.open, info.idle, info.dialling, info.closing), (0, 0, 0, 0), "{info:?}");
    assert_nothing_under_way(&info);
    assert_nothing_wrong(&info);
    assert_eq!(info.servers, []);
}

pub async fn info_reports_the_servers_name_and_version(cx: Context) {
    let cache = cx.cache().await;
    let info = cx.raw().text(&["INFO", "server"]);
    let version = |of: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix("_version:"));
        line.map(|version| version.trim().to_owned())
    };
    let (name, version) = match version("valkey") {
        Some(version) => ("valkey", version),
        None => ("redis", version("redis").expect("it has one")),
    };
    let seen = pool(&cache).servers;
    assert_eq!((seen.len(), seen[0].connections), (1, 1), "{seen:?}");
    if cx.backend() == Backend::RedisWithoutHello {
        assert_eq!((seen[0].protocol, &seen[0].name, &seen[0].version), (2, &None, &None));
    } else {
        assert_eq!(seen[0].protocol, 3);
        assert_eq!((seen[0].name.as_deref(), &seen[0].version), (Some(name), &Some(version)));
    }
}

pub async fn info_shows_no_password(cx: Context) {
    let server = cx.start(&Setup::default().password(CANARY));
    let cache = connected(cx.builder_of(&server.url(0))).await;
    assert!(!format!("{:?}", cache.info()).contains(CANARY));
    server.raw(0).call(&["CONFIG", "SET", "requirepass", "another"]);
    kill_connections(&server, "another");
    cx.until("the password is refused", async || pool(&cache).failing_fast).await;
    let info = pool(&cache);
    let refused = matches!(
        &info.last_error.as_ref().unwrap().error,
        ConnectionFailure::Connection(ConnectionError::Refused(_))
    );
    assert!(refused && info.held_back.is_some() && info.open == 0, "{info:?}");
    assert!(!format!("{info:?}").contains(CANARY));
}

pub async fn info_counts_commands_in_flight_while_a_server_is_paused(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(1)).await;
    server.raw(0).call(&["CLIENT", "PAUSE", "600", "ALL"]);
    let some = gets(&cx, &cache, 10);
    cx.until("ten are in flight", async || pool(&cache).in_flight == 10).await;
    let info = pool(&cache);
    assert_eq!((info.open, info.idle, info.busy), (1, 0, 0), "{info:?}");
    assert_eq!((info.queued, info.queued_bytes, info.waiting), (0, 0, 0), "{info:?}");
    let more = gets(&cx, &cache, 2_500);
    cx.until("the connection is busy", async || pool(&cache).busy == 1).await;
    for task in some.into_iter().chain(more) {
        assert_eq!(cx.in_time(LONG, "a get", task).await.unwrap(), None);
    }
    cx.until("the connection is idle", async || pool(&cache).idle == 1).await;
    assert_nothing_under_way(&pool(&cache));
    assert_nothing_wrong(&pool(&cache));
}

pub async fn info_counts_unwritten_commands_as_queued(cx: Context) {
    const VALUE: usize = 8 << 20;
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(1)).await;
    server.stop();
    let sets: Vec<_> = (0..4)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move { cache.set_raw(format!("key{n}"), vec![b'x'; VALUE]).await })
        })
        .collect();
    cx.until("all are with the connection", async || {
        let info = pool(&cache);
        info.queued + info.in_flight == 4 && info.queued_bytes < 4 * VALUE
    })
    .await;
    let info = pool(&cache);
    assert!(info.queued >= 2, "{info:?}");
    assert!(((info.queued - 1) * VALUE..4 * VALUE).contains(&info.queued_bytes), "{info:?}");
    server.resume();
    for task in sets {
        cx.in_time(LONG, "a set", task).await.unwrap();
    }
    cx.until("the connection is idle", async || pool(&cache).idle == 1).await;
    assert_nothing_under_way(&pool(&cache));
}

pub async fn info_counts_callers_that_wait_for_room(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(1).max_in_flight(3)).await;
    server.stop();
    let tasks = gets(&cx, &cache, 10);
    cx.until("seven wait", async || pool(&cache).waiting == 7).await;
    cx.until("three are written", async || pool(&cache).in_flight == 3).await;
    server.resume();
    for task in tasks {
        assert_eq!(cx.in_time(LONG, "a get", task).await.unwrap(), None);
    }
    assert_eq!(pool(&cache).waiting, 0);
}

pub async fn info_reports_reconnects_and_the_last_error(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).minsize(2).maxsize(2)).await;
    cx.until("both connections are open", async || pool(&cache).open == 2).await;
    assert_nothing_wrong(&pool(&cache));
    for round in 1..=3 {
        server.raw(0).call(&KILL_CONNECTIONS);
        cx.until("both were opened again", async || pool(&cache).reconnects == 2 * round).await;
        let info = pool(&cache);
        assert_eq!((info.open, info.lost, info.failed_dials), (2, 2 * round, 0), "{info:?}");
        let last = info.last_error.unwrap();
        let ended = matches!(
            last.error,
            ConnectionFailure::Eof
                | ConnectionFailure::Io(_)
                | ConnectionFailure::Tls(TlsError::Truncated)
        );
        assert!(ended, "{last:?}");
        assert!(last.ago < LONG, "{last:?}");
    }
    cache.disconnect().await.unwrap();
    assert_nothing_wrong(&pool(&cache));
    cache.connect().await.unwrap();
    assert_nothing_wrong(&pool(&cache));
}

pub async fn info_counts_a_connection_without_a_greeting_as_dialling(cx: Context) {
    const CONNECT: Duration = Duration::from_millis(500);
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0)).connect_timeout(CONNECT);
    let cache = connected(builder.response_timeout(4 * CONNECT).maxsize(2)).await;
    proxy.hold();
    // The pool dials another connection for these calls. None of them gets a reply in the meantime.
    let tasks = gets(&cx, &cache, 2_500);
    cx.until("another connection is dialled", async || pool(&cache).dialling == 1).await;
    let info = pool(&cache);
    assert_eq!((info.open, info.failed_dials), (1, 0), "{info:?}");
    cx.until("that has failed", async || pool(&cache).failed_dials > 0).await;
    let info = pool(&cache);
    let last = info.last_error.as_ref().map(|last| &last.error);
    let late = matches!(
        last,
        Some(
            ConnectionFailure::Connection(ConnectionError::NotReadyInTime)
                | ConnectionFailure::Tls(TlsError::Stalled)
        )
    );
    assert!(late, "{last:?}");
    assert_eq!((info.open, info.lost, info.failing_fast), (1, 0, false), "{info:?}");
    proxy.release();
    for task in tasks {
        assert_eq!(cx.in_time(LONG, "a get", task).await.unwrap(), None);
    }
}

pub async fn info_reports_failing_fast_until_the_server_is_back(cx: Context) {
    let mut server = cx.start(&Setup::default());
    let builder = cx.builder_of(&server.url(0)).response_timeout(Duration::from_millis(300));
    let cache = connected(builder).await;
    server.kill();
    cx.until("there is no hope", async || {
        let _ = cache.get::<i32>("key").await;
        pool(&cache).failing_fast
    })
    .await;
    let info = pool(&cache);
    assert!(info.failed_dials > 0 && info.open == 0 && info.lost == 1, "{info:?}");
    assert_eq!((info.reconnects, &info.servers[..]), (0, &[][..]), "{info:?}");
    cx.until("a dial is held back", async || pool(&cache).held_back.is_some()).await;
    server.revive();
    cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
    let info = pool(&cache);
    assert!(!info.failing_fast && info.failed_dials == 0, "{info:?}");
    assert_eq!((info.open, info.lost, info.reconnects), (1, 1, 1), "{info:?}");
    assert!(matches!(info.last_error.unwrap().error, ConnectionFailure::Io(_)));
}

pub async fn info_lists_servers_of_several_versions_separately(cx: Context) {
    // No real server reports two versions, but two servers behind one name do while they are
    // replaced.
    let peer = Peer::bare(|asked| Act::Say(greeting(asked)));
    let cache = connected(cx.builder_of(&peer.url()).minsize(3)).await;
    cx.until("three connections are open", async || pool(&cache).open == 3).await;
    let mut seen: Vec<_> = pool(&cache)
        .servers
        .into_iter()
        .map(|server| (server.version.unwrap(), server.connections))
        .collect();
    seen.sort();
    assert_eq!(seen, [("9.0.3".to_owned(), 1), ("9.1.0".to_owned(), 2)]);
}

/// A server's replies to a greeting. The first connection reports an older version.
fn greeting(asked: &Asked) -> Vec<u8> {
    let version = if asked.connection == 0 { "9.0.3" } else { "9.1.0" };
    match asked.words[0].as_str() {
        "HELLO" => {
            format!("%3\r\n+server\r\n+valkey\r\n+version\r\n+{version}\r\n+proto\r\n:3\r\n").into()
        }
        "PING" => b"+PONG\r\n".to_vec(),
        _ => b"+OK\r\n".to_vec(),
    }
}

fn pool(cache: &Cache) -> PoolInfo {
    let info: Info = cache.info();
    let pool = info.pool().expect("the backend is a server").clone();
    assert!(pool.open + pool.dialling + pool.closing <= pool.maxsize, "{pool:?}");
    assert!(pool.idle + pool.busy <= pool.open, "{pool:?}");
    pool
}

fn assert_nothing_under_way(info: &PoolInfo) {
    let PoolInfo { waiting, held, queued, in_flight, queued_bytes, .. } = *info;
    assert_eq!((waiting, held, queued, in_flight, queued_bytes), (0, 0, 0, 0, 0), "{info:?}");
}

fn assert_nothing_wrong(info: &PoolInfo) {
    let PoolInfo { lost, reconnects, failed_dials, failing_fast, held_back, .. } = *info;
    assert_eq!((lost, reconnects, failed_dials, failing_fast), (0, 0, 0, false), "{info:?}");
    assert!(held_back.is_none() && info.last_error.is_none(), "{info:?}");
}

fn gets(cx: &Context, cache: &Cache, count: usize) -> Vec<Task<Result<Option<i32>, Error>>> {
    let get = |cache: Cache| async move { cache.get::<i32>("key").await };
    (0..count).map(|_| cx.spawn(get(cache.clone()))).collect()
}

fn kill_connections(server: &Server, password: &str) {
    let mut raw = crate::raw::Raw::connect(server.address()).unwrap();
    raw.call(&["AUTH", password]);
    raw.call(&KILL_CONNECTIONS);
}

const KILL_CONNECTIONS: [&str; 6] = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];

/// A password that must not be in any output.
const CANARY: &str = "hunter2 told to nobody";
const LONG: Duration = Duration::from_secs(30);
