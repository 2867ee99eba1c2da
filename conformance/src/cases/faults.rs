//! Servers that stop, die, hang up and come back.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use async_caches::{Cache, Credentials, Error, LoadError, PoolInfo, Secret, ServerErrorKind};

use super::ops;
use crate::abandon::after_pending;
use crate::context::{Context, connected};
use crate::proxy::{Ending, Proxy};
use crate::server::{Server, Setup};

pub async fn no_operation_outlives_its_deadline_on_a_stopped_server(cx: Context) {
    // Longer than the slack, so that even twice the deadline would be noticed.
    const RESPONSE: Duration = Duration::from_millis(900);
    const SLACK: Duration = Duration::from_millis(700);
    let server = cx.start(&Setup::default());
    let builder = cx.builder_of(&server.url(0)).name("stopped").maxsize(2);
    let cache = connected(builder.response_timeout(RESPONSE).connect_timeout(RESPONSE)).await;
    let before = connection_ids(&server);
    assert!(!before.is_empty());
    server.stop();
    let mut tasks = Vec::new();
    for (name, operation) in ops::all() {
        let cache = cache.clone();
        tasks.push((name, cx.spawn(async move { (operation(cache).await, Instant::now()) })));
    }
    let start = Instant::now();
    for (name, task) in tasks {
        let (outcome, end) = cx.within(RESPONSE + SLACK, name, task).await;
        let took = end.duration_since(start);
        assert!(took < RESPONSE + SLACK, "{name} took {took:?}");
        let loaded = name.contains("get_or_set");
        assert!(outcome.is_err() || loaded, "{name}: a stopped server answered");
        if let Err(error) = outcome {
            let expected = matches!(
                error,
                Error::Timeout { .. } | Error::Unavailable { .. } | Error::Disconnected { .. }
            );
            assert!(expected, "{name}: {error:?}");
        }
    }
    // No round trip, so nothing to wait for.
    assert_eq!(cache.get_many::<i32>([""; 0]).await.unwrap(), []);
    cx.until("the connection is given up", async || open(&cache) == 0).await;
    server.resume();
    cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
    cache.set("key", "fresh").await.unwrap();
    assert_eq!(cache.get::<String>("key").await.unwrap().unwrap(), "fresh");
    cx.until("the connection was replaced", async || connection_ids(&server).is_disjoint(&before))
        .await;
}

pub async fn calls_to_a_stopped_server_fail_fast_after_one_response_timeout(cx: Context) {
    let server = cx.start(&Setup::default());
    let builder = cx.builder_of(&server.url(0)).minsize(3).maxsize(4);
    let cache = connected(builder.response_timeout(BRIEF).connect_timeout(ENDLESS)).await;
    cx.until("three connections are open", async || open(&cache) == 3).await;
    server.stop();
    fails_fast_after_one_call(&cx, &cache).await;
    server.resume();
    cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
    cx.until("it keeps three connections", async || open(&cache) >= 3).await;
}

pub async fn calls_whose_dials_are_lost_fail_fast_after_one_response_timeout(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0)).connect_timeout(BRIEF * 4);
    let cache = connected(builder.response_timeout(BRIEF)).await;
    proxy.lose_dials();
    proxy.sever();
    fails_fast_after_one_call(&cx, &cache).await;
    proxy.heal();
    cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
}

/// After one failed call, every other call has its error, or its loader's value, in its first poll.
async fn fails_fast_after_one_call(cx: &Context, cache: &Cache) {
    let error = cx.within(BRIEF + SLACK, "a get", cache.get::<i32>("key")).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    // A dial that is about to open gets a moment to do so.
    let start = Instant::now();
    cx.until("calls fail at once", async || pool(cache).failing_fast).await;
    assert!(start.elapsed() < BRIEF * 2, "after {:?} more", start.elapsed());
    for n in 0..100 {
        let outcome = after_pending(1, cache.get::<i32>("key")).await;
        assert!(outcome.is_some_and(|outcome| outcome.is_err()), "a get waits");
        let loaded = after_pending(1, cache.get_or_set("key", async { n })).await;
        assert_eq!(loaded.expect("a load waits").unwrap(), n);
    }
}

fn open(cache: &Cache) -> usize {
    pool(cache).open
}

fn pool(cache: &Cache) -> PoolInfo {
    cache.info().pool().expect("it is on a server").clone()
}

/// Longer than any test waits.
const ENDLESS: Duration = Duration::from_secs(120);

pub async fn a_lazily_connected_cache_uses_its_server_once_it_is_up(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    proxy.refuse();
    let url = server.url_at(proxy.address(), 0);
    let cache = cx.builder_of(&url).response_timeout(ENDLESS).connect_lazily().unwrap();
    assert!(cache.is_connected());
    // The deadline is far off, so an answer in time is due to the failed dial.
    let load = cx.within(SOON, "a load", cache.get_or_set("key", async { 1 }));
    assert_eq!(load.await.unwrap(), 1);
    let error = cx.within(SOON, "a set", cache.set("key", 2)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.is_retryable() && !error.may_have_run());
    assert!(pool(&cache).last_error.is_some());
    proxy.heal();
    cx.until("the server is used", async || cache.set("key", 3).await.is_ok()).await;
    assert_eq!(cache.get_or_set("key", async { 4 }).await.unwrap(), 3);
}

pub async fn a_lazily_connected_cache_reports_a_wrong_password(cx: Context) {
    let server = cx.start(&Setup::default());
    let wrong = Credentials { username: None, password: Secret::new("wrong") };
    let builder = cx.builder_of(&server.url(0)).response_timeout(ENDLESS).credentials(wrong);
    let cache = builder.connect_lazily().unwrap();
    let error = cx.within(SOON, "a get", cache.get::<i32>("key")).await.unwrap_err();
    let kind = error.server_error().map(|error| error.kind);
    assert_eq!(kind, Some(ServerErrorKind::WrongPass), "{error:?}");
    let load = cx.within(SOON, "a load", cache.get_or_set("key", async { 1 }));
    assert_eq!(load.await.unwrap(), 1);
    let last = pool(&cache).last_error.expect("the dial has failed");
    assert!(format!("{last:?}").contains("WRONGPASS"), "{last:?}");
}

/// Long enough for a busy machine, and far from the deadline.
const SOON: Duration = Duration::from_secs(20);

pub async fn a_stopped_server_does_not_block_a_disconnect(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).response_timeout(BRIEF)).await;
    server.stop();
    let getting = cx.spawn({
        let cache = cache.clone();
        async move { cache.get::<i32>("key").await }
    });
    cx.sleep(Duration::from_millis(5)).await;
    cx.within(BRIEF + SLACK, "disconnect", cache.disconnect()).await.unwrap();
    assert!(cx.within(BRIEF + SLACK, "a get", getting).await.is_err());
    server.resume();
    cx.until("no connection is left", async || connection_ids(&server).is_empty()).await;
}

pub async fn connecting_to_a_stopped_server_ends(cx: Context) {
    let server = cx.start(&Setup::default());
    server.stop();
    let builder = cx.builder_of(&server.url(0)).connect_timeout(BRIEF).response_timeout(BRIEF);
    let outcome = cx.within(BRIEF + SLACK, "connect", builder.connect()).await;
    assert!(outcome.is_err());
    server.resume();
}

pub async fn a_starved_pool_recovers_when_its_server_resumes(cx: Context) {
    let server = cx.start(&Setup::default());
    const RESPONSE: Duration = Duration::from_millis(400);
    let builder = cx.builder_of(&server.url(0)).maxsize(2).response_timeout(RESPONSE);
    let cache = connected(builder).await;
    cache.set("key", 1).await.unwrap();
    server.stop();
    for _ in 0..2 {
        let tasks: Vec<_> = (0..50).map(|_| cx.spawn(get(cache.clone()))).collect();
        for task in tasks {
            assert!(cx.within(RESPONSE + SLACK, "a get", task).await.is_err());
        }
    }
    server.resume();
    let start = Instant::now();
    cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    let tasks: Vec<_> = (0..200).map(|_| cx.spawn(get(cache.clone()))).collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Some(1));
    }
}

pub async fn a_connection_that_the_server_closed_while_idle_fails_no_call(cx: Context) {
    let server = cx.start(&Setup::default().with(&["--timeout", "1"]));
    let cache = connected(cx.builder_of(&server.url(0)).name("idle")).await;
    cache.set("key", 1).await.unwrap();
    let before = connection_ids(&server);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) && connection_ids(&server) == before {
        cx.sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    assert_eq!(cache.incr("key", 1).await.unwrap(), 2);
}

pub async fn a_connection_killed_while_idle_is_replaced(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(2)).await;
    cache.set("key", 0).await.unwrap();
    for n in 1..=5 {
        let before = connection_ids(&server);
        kill_connections(&server);
        cx.until("a connection was opened", async || {
            let now = connection_ids(&server);
            !now.is_empty() && now.is_disjoint(&before)
        })
        .await;
        assert_eq!(cache.incr("key", 1).await.unwrap(), n);
    }
}

pub async fn sums_on_killed_connections_are_never_counted_twice(cx: Context) {
    let server = cx.start(&Setup::default());
    let builder = cx.builder_of(&server.url(0)).maxsize(3);
    server.raw(0).call(&["SET", "::n", "0"]);
    let (mut certain, mut perhaps) = (0, 0);
    for _ in 0..20 {
        // A new cache, which has not failed yet and so does not back off.
        let cache = connected(builder.clone()).await;
        let tasks: Vec<_> = (0..8).map(|_| cx.spawn(count(cache.clone(), 10))).collect();
        for _ in 0..2 {
            cx.sleep(Duration::from_millis(1)).await;
            kill_connections(&server);
        }
        for task in tasks {
            let (ran, may_have_run) = task.await;
            certain += ran;
            perhaps += may_have_run;
        }
    }
    let sum = server.raw(0).text(&["GET", "::n"]).parse().unwrap();
    assert!((certain..=certain + perhaps).contains(&sum), "{certain} + {perhaps}?: {sum}");
    assert!(certain > 0);
}

pub async fn sums_whose_answer_is_lost_are_never_counted_twice(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0)).maxsize(1);
    let cache = connected(builder.clone()).await;
    cache.set("n", 0).await.unwrap();
    cache.incr("n", 0).await.unwrap();
    let (mut certain, mut perhaps) = (0, 0);
    for round in 0..100 {
        // A new cache, which has not failed yet and so does not back off.
        let cache = connected(builder.clone()).await;
        proxy.cut_after(round % 13, Ending::Closed);
        let tasks: Vec<_> = (0..4).map(|_| cx.spawn(count(cache.clone(), 1))).collect();
        for task in tasks {
            let (ran, may_have_run) = task.await;
            certain += ran;
            perhaps += may_have_run;
        }
    }
    proxy.heal();
    let sum = server.raw(0).text(&["GET", "::n"]).parse().unwrap();
    assert!((certain..=certain + perhaps).contains(&sum), "{certain} + {perhaps}?: {sum}");
    assert!(perhaps > 0, "no answer was lost");
}

pub async fn a_server_that_restarts_is_found_again(cx: Context) {
    let mut server = cx.start(&Setup::default());
    const RESPONSE: Duration = Duration::from_millis(500);
    let builder = cx.builder_of(&server.url(0)).response_timeout(RESPONSE).maxsize(2);
    let cache = connected(builder).await;
    for round in 0..2 {
        cache.set("key", round).await.unwrap();
        cache.set("n", 0).await.unwrap();
        assert_eq!(cache.incr("n", 1).await.unwrap(), 1);
        server.kill();
        let get = cx.within(RESPONSE + SLACK, "a get without a server", cache.get::<i32>("key"));
        let error = get.await.unwrap_err();
        assert!(error.to_string().len() < 500, "{error}");
        assert!(cache.is_connected(), "a server that is away is no disconnect");
        server.revive();
        cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
        // The new server has neither the old one's data nor its scripts.
        assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
        cache.set("n", 5).await.unwrap();
        assert_eq!(cache.incr("n", 1).await.unwrap(), 6);
    }
}

pub async fn get_or_set_returns_the_loaded_value_during_an_outage(cx: Context) {
    let mut server = cx.start(&Setup::default());
    let builder = cx.builder_of(&server.url(0)).response_timeout(BRIEF);
    let cache = connected(builder).await;
    assert_eq!(cache.get_or_set("key", async { 1 }).await.unwrap(), 1);
    server.kill();
    for n in 2..5 {
        let load = cache.get_or_set("key", async { n });
        assert_eq!(cx.within(2 * BRIEF + SLACK, "a load", load).await.unwrap(), n);
    }
    let failing = cache.try_get_or_set("key", async { Err::<i32, _>("no luck") });
    let error = cx.within(2 * BRIEF + SLACK, "a load", failing).await.unwrap_err();
    assert!(matches!(error, LoadError::Load("no luck")), "{error:?}");
}

pub async fn connections_never_exceed_maxsize(cx: Context) {
    const MAXSIZE: usize = 3;
    let server = Arc::new(cx.start(&Setup::default()));
    // If the connection of a thousand calls is killed, each of them is repeated alone.
    let builder = cx.builder_of(&server.url(0)).response_timeout(Duration::from_secs(20));
    let cache = connected(builder.maxsize(MAXSIZE)).await;
    cache.set("key", "x".repeat(5_000)).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let watcher = thread::spawn({
        let (server, over) = (server.clone(), over.clone());
        move || {
            let mut raw = server.raw(0);
            let mut most = 0;
            let mut rounds = 0_u32;
            while !over.load(Ordering::SeqCst) {
                let mut connections = raw.other_clients();
                // A killed connection may still be in the list. It does not count.
                connections.retain(|line| !line.contains(" flags=x"));
                most = most.max(connections.len());
                rounds += 1;
                if rounds.is_multiple_of(10) && rounds <= 30 {
                    raw.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
                }
                thread::sleep(Duration::from_millis(1));
            }
            most
        }
    });
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let cache = cache.clone();
            cx.spawn(async move {
                for _ in 0..5 {
                    match cache.get::<String>("key").await {
                        Ok(value) => assert_eq!(value.unwrap().len(), 5_000),
                        Err(
                            Error::Disconnected { .. }
                            | Error::ConnectionsEnded { .. }
                            | Error::Unavailable { .. },
                        ) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    over.store(true, Ordering::SeqCst);
    let most = watcher.join().unwrap();
    assert!((1..=MAXSIZE).contains(&most), "{most} connections at once");
}

pub async fn at_least_minsize_connections_are_kept(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).minsize(4).maxsize(5)).await;
    cx.until("there are four connections", async || connection_ids(&server).len() == 4).await;
    kill_connections(&server);
    cx.until("there are four connections again", async || connection_ids(&server).len() == 4).await;
    cache.ping().await.unwrap();
}

pub async fn connections_are_added_while_all_are_busy(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let cache = connected(cx.builder_of(&server.url_at(proxy.address(), 0)).maxsize(3)).await;
    assert_eq!(proxy.accepted(), 1);
    proxy.hold();
    let mut tasks = Vec::new();
    for _ in 0..2_500 {
        tasks.push(cx.spawn(get(cache.clone())));
    }
    let in_flight = || cache.info().pool().unwrap().in_flight;
    cx.until("all are under way", async || in_flight() == 2_500).await;
    cx.until("another connection is dialled", async || proxy.accepted() > 1).await;
    proxy.release();
    for task in tasks {
        assert_eq!(task.await.unwrap(), None);
    }
    let hammer: Vec<_> = (0..64)
        .map(|_| {
            let cache = cache.clone();
            cx.spawn(async move {
                for _ in 0..50 {
                    get(cache.clone()).await.unwrap();
                }
            })
        })
        .collect();
    for task in hammer {
        task.await;
    }
    assert!(proxy.accepted() <= 3, "{} connections", proxy.accepted());
}

pub async fn a_connection_is_opened_beside_one_that_carries_large_values(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(2)).await;
    cache.set_raw("large", vec![b'x'; 8 << 20]).await.unwrap();
    assert_eq!(cache.get_raw("large").await.unwrap().unwrap().len(), 8 << 20);
    cx.until("there are two connections", async || {
        assert_eq!(cache.get_raw("small").await.unwrap(), None);
        connection_ids(&server).len() == 2
    })
    .await;
}

pub async fn a_million_calls_to_a_stopped_server_wait_in_a_bounded_queue(cx: Context) {
    const IN_FLIGHT: usize = 1_000;
    const WAITING: usize = 10_000;
    let server = cx.start(&Setup::default());
    let builder = cx.builder_of(&server.url(0)).maxsize(1).response_timeout(ops::LONG);
    let cache = connected(builder.max_in_flight(IN_FLIGHT).max_waiting(WAITING)).await;
    server.stop();
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for _ in 0..1_000_000 {
        let mut get = cache.get_raw("key");
        match Pin::new(&mut get).poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Pending => waiting.push(get),
            Poll::Ready(Err(Error::Overloaded { .. })) => refused += 1,
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((waiting.len(), refused), (IN_FLIGHT + WAITING, 1_000_000 - IN_FLIGHT - WAITING));
    server.resume();
    for get in waiting {
        assert_eq!(cx.in_time(ops::LONG, "a get that waits", get).await.unwrap(), None);
    }
}

pub async fn keys_are_stored_together_with_their_timeouts(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0))).await;
    let entries = (0..100).map(|n| (format!("key-{n}"), n));
    cache.set_many(entries).timeout(ops::LONG).await.unwrap();
    cache.add("added", 1).timeout(ops::LONG).await.unwrap();
    let stats = server.raw(0).text(&["INFO", "commandstats"]);
    for second_step in ["cmdstat_mset:", "cmdstat_setnx:", "expire"] {
        assert!(!stats.contains(second_step), "{stats}");
    }
}

#[cfg(target_os = "linux")]
pub async fn connections_set_tcp_nodelay(cx: Context) {
    use rustix::{net, process};

    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0))).await;
    cache.ping().await.unwrap();
    let own = process::pidfd_open(process::getpid(), process::PidfdFlags::empty()).unwrap();
    let mut found = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let number = entry.unwrap().file_name().to_string_lossy().parse().unwrap();
        // A second handle to the socket. Descriptors that are not sockets, or are closed by now,
        // are skipped.
        let flags = process::PidfdGetfdFlags::empty();
        let Ok(handle) = process::pidfd_getfd(&own, number, flags) else { continue };
        let Ok(Some(peer)) = net::getpeername(&handle) else { continue };
        if std::net::SocketAddr::try_from(peer) == Ok(server.address()) {
            assert!(net::sockopt::tcp_nodelay(&handle).unwrap());
            found += 1;
        }
    }
    assert_eq!(found, 1, "connections of this process to the server");
}

#[cfg(not(target_os = "linux"))]
pub async fn connections_set_tcp_nodelay(_: Context) {
    // Only Linux lets a test look at the options of a socket that it does not own.
}

/// Adds one this many times. Returns how often that ran for certain, and how often it may have run.
async fn count(cache: Cache, times: u32) -> (u32, u32) {
    let (mut certain, mut perhaps) = (0, 0);
    for _ in 0..times {
        match cache.incr("n", 1).await {
            Ok(_) => certain += 1,
            Err(
                Error::Disconnected { may_have_run: true, .. }
                | Error::Timeout { may_have_run: true, .. },
            ) => perhaps += 1,
            Err(Error::Disconnected { .. } | Error::Timeout { .. } | Error::Unavailable { .. }) => {
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    (certain, perhaps)
}

async fn get(cache: Cache) -> Result<Option<i32>, Error> {
    cache.get::<i32>("key").await
}

/// The ids of the server's other connections.
fn connection_ids(server: &Server) -> BTreeSet<String> {
    let id = |line: String| line.split(' ').next().map(str::to_owned);
    server.raw(0).other_clients().into_iter().filter_map(id).collect()
}

fn kill_connections(server: &Server) {
    server.raw(0).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
}

const BRIEF: Duration = Duration::from_millis(200);
const SLACK: Duration = Duration::from_millis(1_500);
