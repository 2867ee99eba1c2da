//! Faults on the wire, from a proxy between the cache and a real server.

use std::time::Duration;

use async_caches::{Cache, Error};

use super::ops;
use crate::context::{Context, connected};
use crate::proxy::{Ending, Proxy};
use crate::raw::Raw;
use crate::server::{Server, Setup};

pub async fn a_late_reply_reaches_no_caller(cx: Context) {
    let (server, proxy, patient) = through_a_proxy(&cx, LEISURELY).await;
    let keys = numbered(&patient, 20).await;
    for n in 0..6 {
        let cache = again(&cx, &server, &proxy, BRIEF).await;
        proxy.hold();
        let error = cache.get::<usize>(&keys[n]).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        proxy.inject_once(PUSH);
        proxy.release();
        let next = patiently(&cx, &cache, &keys[n + 10]).await;
        assert_eq!(next, n + 10, "after a late reply for {n}");
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(patiently(&cx, &cache, key).await, n);
        }
    }
}

pub async fn a_late_reply_on_a_kept_connection_reaches_no_caller(cx: Context) {
    // Long enough for three steps well within it on a busy machine.
    const RESPONSE: Duration = Duration::from_millis(400);
    let (server, proxy, _) = through_a_proxy(&cx, LEISURELY).await;
    let cache = again(&cx, &server, &proxy, RESPONSE).await;
    let keys = numbered(&cache, 20).await;
    let before = proxy.accepted();
    proxy.hold();
    let spawn_get = |n: usize| {
        let (cache, key) = (cache.clone(), keys[n].clone());
        cx.spawn(async move { cache.get::<usize>(key).await })
    };
    let first = spawn_get(1);
    cx.sleep(RESPONSE / 4).await;
    let late = spawn_get(2);
    cx.sleep(RESPONSE / 4).await;
    // A reply after the late command was sent: the connection is slow, and not dead.
    proxy.let_through(1);
    assert_eq!(first.await.unwrap(), Some(1));
    let error = late.await.unwrap_err();
    assert!(matches!(error, Error::Timeout { may_have_run: true, .. }), "{error:?}");
    let next: Vec<_> = (3..20).map(|n| (n, spawn_get(n))).collect();
    cx.sleep(Duration::from_millis(5)).await;
    proxy.inject_once(PUSH);
    proxy.release();
    for (n, task) in next {
        assert_eq!(task.await.unwrap(), Some(n));
    }
    assert_eq!(proxy.accepted(), before, "the connection was kept");
}

pub async fn a_late_reply_to_a_dropped_call_reaches_no_caller(cx: Context) {
    let (_server, proxy, cache) = through_a_proxy(&cx, LEISURELY).await;
    let keys = numbered(&cache, 20).await;
    for n in 0..10 {
        proxy.hold();
        let replies = proxy.replies();
        let dropped =
            crate::abandon::after_polls(3, cache.get::<usize>(&keys[n])).await.transpose();
        assert_eq!(dropped.unwrap(), None);
        // The server has answered, or the command was never sent. Both are possible.
        cx.sleep(Duration::from_millis(3)).await;
        let answered = proxy.replies() > replies;
        let next = cx.spawn({
            let (cache, key) = (cache.clone(), keys[n + 10].clone());
            async move { cache.get::<usize>(key).await.unwrap() }
        });
        cx.sleep(Duration::from_millis(3)).await;
        proxy.release();
        assert_eq!(next.await, Some(n + 10), "after {n} was dropped, answered: {answered}");
    }
}

pub async fn a_push_before_every_reply_shifts_nothing(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    // A server may push only once RESP3 is agreed on, so the handshake is left alone.
    let cache = connected(cx.builder_of(&server.url_at(proxy.address(), 0)).maxsize(1)).await;
    let keys = numbered(&cache, 30).await;
    let pushes: [&[u8]; 5] = [
        PUSH,
        b">3\r\n$7\r\nmessage\r\n$4\r\nchan\r\n$2\r\n:1\r\n",
        b">3\r\n$12\r\nsunsubscribe\r\n_\r\n:0\r\n",
        b">2\r\n+server-cpu-usage\r\n,42.5\r\n>2\r\n+x\r\n*2\r\n%1\r\n+a\r\n#t\r\n~1\r\n_\r\n",
        b">1\r\n$6\r\nlonely\r\n",
    ];
    for push in pushes {
        proxy.inject_before_each(push);
        for drip in [1, 7, usize::MAX] {
            proxy.drip(drip);
            for (n, key) in keys.iter().enumerate().skip(n_of(push)).step_by(9) {
                let read = cache.get::<usize>(key).await;
                let shown = push.escape_ascii();
                assert_eq!(read.unwrap_or_else(|e| panic!("{shown}: {e:?}")), Some(n), "{shown}");
            }
            let many = cache.get_many::<usize>(&keys).await.unwrap();
            assert_eq!(many, (0..30).map(Some).collect::<Vec<_>>());
        }
    }
    assert_eq!(proxy.accepted(), 1, "a push is no reason to close a connection");
}

pub async fn replies_that_arrive_in_pieces_are_reassembled(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    for piece in [1, 2, 3, 5] {
        // From the first byte of the handshake on.
        proxy.drip(piece);
        let cache = connected(cx.builder_of(&server.url_at(proxy.address(), 0)).maxsize(1)).await;
        let keys = numbered(&cache, 20).await;
        let many = cache.get_many::<usize>(&keys).await.unwrap();
        assert_eq!(many, (0..20).map(Some).collect::<Vec<_>>());
        cache.set("n", 1).await.unwrap();
        assert_eq!(cache.incr("n", 1).await.unwrap(), 2);
        assert_eq!(cache.clear_prefix().await.unwrap(), 21);
        cache.disconnect().await.unwrap();
    }
}

pub async fn an_unsolicited_reply_closes_the_connection_and_shifts_no_reply(cx: Context) {
    let (server, proxy, _) = through_a_proxy(&cx, LEISURELY).await;
    for n in 0..10 {
        let cache = again(&cx, &server, &proxy, LEISURELY).await;
        let keys = numbered(&cache, 20).await;
        let before = proxy.accepted();
        // In one packet: a stray reply, taken for the answer at most once, and then the true
        // answer, which is one too many.
        proxy.inject_once(b"$5\r\n\"lie\"\r\n");
        let _ = cache.get_raw(&keys[n]).await;
        for (m, key) in keys.iter().enumerate() {
            assert_eq!(patiently(&cx, &cache, key).await, m, "after a stray reply to {n}");
        }
        assert!(proxy.accepted() > before, "a connection that is out of step is closed");
    }
}

pub async fn a_connection_cut_within_a_reply_mixes_up_no_replies(cx: Context) {
    let (server, proxy, _) = through_a_proxy(&cx, LEISURELY).await;
    for cut in 0..40 {
        let cache = again(&cx, &server, &proxy, LEISURELY).await;
        let keys = numbered(&cache, 50).await;
        proxy.cut_after(3 * cut, Ending::Closed);
        let tasks: Vec<_> = (0..20)
            .map(|task| {
                let (cache, n) = (cache.clone(), (cut + 7 * task) % keys.len());
                let key = keys[n].clone();
                cx.spawn(async move { (n, cache.get::<usize>(key).await) })
            })
            .collect();
        for task in tasks {
            match cx.within(2 * LEISURELY, "a get", task).await {
                (n, Ok(read)) => assert_eq!(read, Some(n)),
                (_, Err(Error::Disconnected { .. } | Error::Unavailable { .. })) => {}
                (n, Err(error)) => panic!("{n}: {error:?}"),
            }
        }
    }
}

pub async fn a_command_that_may_have_run_is_not_sent_twice(cx: Context) {
    let (server, proxy, cache) = through_a_proxy(&cx, LEISURELY).await;
    let mut raw = server.raw(0);
    cache.set("n", 0).await.unwrap();
    // Once without faults, so that the server knows the script.
    assert_eq!(cache.incr("n", 1).await.unwrap(), 1);
    for n in 2..10 {
        let cache = again(&cx, &server, &proxy, LEISURELY).await;
        proxy.hold();
        let adding = cx.spawn({
            let cache = cache.clone();
            async move { cache.incr("n", 1).await }
        });
        cx.until("the server has added", async || raw.text(&["GET", "::n"]) == n.to_string()).await;
        proxy.sever();
        proxy.release();
        let error = cx.within(LEISURELY, "incr", adding).await.unwrap_err();
        assert!(matches!(error, Error::Disconnected { may_have_run: true, .. }), "{error:?}");
        assert!(error.to_string().contains("may have run"), "{error}");
        cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
        assert_eq!(raw.text(&["GET", "::n"]), n.to_string());
    }
}

pub async fn a_write_that_may_have_run_is_not_sent_again(cx: Context) {
    let (server, proxy, _) = through_a_proxy(&cx, LEISURELY).await;
    let mut raw = server.raw(0);
    for (name, write) in ops::writes() {
        let cache = again(&cx, &server, &proxy, LEISURELY).await;
        cache.set("key", 1).await.unwrap();
        proxy.hold();
        let before = writes_run(&mut raw);
        let writing = cx.spawn(write(cache.clone()));
        cx.until("it has run", async || writes_run(&mut raw) > before).await;
        let once = writes_run(&mut raw);
        proxy.sever();
        proxy.release();
        let error = cx.within(LEISURELY, name, writing).await.unwrap_err();
        let told = matches!(error, Error::Disconnected { may_have_run: true, .. });
        assert!(told, "{name}: {error:?}");
        cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
        assert_eq!(writes_run(&mut raw), once, "{name}");
    }
}

pub async fn a_read_that_may_have_run_is_sent_again(cx: Context) {
    let (server, proxy, cache) = through_a_proxy(&cx, LEISURELY).await;
    let keys = numbered(&cache, 10).await;
    for (n, key) in keys.iter().enumerate() {
        let cache = again(&cx, &server, &proxy, LEISURELY).await;
        proxy.hold();
        let replies = proxy.replies();
        let getting = cx.spawn({
            let (cache, key) = (cache.clone(), key.clone());
            async move { cache.get::<usize>(key).await }
        });
        cx.until("the server has answered", async || proxy.replies() > replies).await;
        proxy.sever();
        proxy.release();
        let read = cx.within(2 * LEISURELY, "get", getting).await;
        assert_eq!(read.unwrap(), Some(n));
    }
}

pub async fn the_timeout_error_of_a_late_reply_reports_may_have_run(cx: Context) {
    let (server, proxy, patient) = through_a_proxy(&cx, LEISURELY).await;
    patient.set("n", 0).await.unwrap();
    assert_eq!(patient.incr("n", 1).await.unwrap(), 1);
    let cache = again(&cx, &server, &proxy, BRIEF).await;
    proxy.hold();
    let error = cache.incr("n", 1).await.unwrap_err();
    let Error::Timeout { after, may_have_run: true } = error else { panic!("{error:?}") };
    assert_eq!(after, BRIEF);
    proxy.release();
    cx.until("the cache is back", async || cache.ping().await.is_ok()).await;
    assert_eq!(server.raw(0).text(&["GET", "::n"]), "2");
}

pub async fn the_error_of_a_lost_read_without_a_server_reports_may_have_run(cx: Context) {
    let (server, proxy, _) = through_a_proxy(&cx, LEISURELY).await;
    let cache = again(&cx, &server, &proxy, 5 * BRIEF).await;
    proxy.hold();
    let replies = proxy.replies();
    let getting = cx.spawn({
        let cache = cache.clone();
        async move { cache.get::<i32>("key").await }
    });
    cx.until("the server has answered", async || proxy.replies() > replies).await;
    proxy.refuse();
    proxy.sever();
    proxy.release();
    let error = cx.within(5 * BRIEF + SLACK, "get", getting).await.unwrap_err();
    assert!(error.may_have_run(), "{error:?}: {error}");
}

pub async fn calls_to_a_vanished_peer_fail_in_time(cx: Context) {
    let (server, proxy, patient) = through_a_proxy(&cx, LEISURELY).await;
    let keys = numbered(&patient, 10).await;
    let cache = again(&cx, &server, &proxy, BRIEF).await;
    proxy.vanish();
    let tasks: Vec<_> = keys
        .iter()
        .map(|key| {
            let (cache, key) = (cache.clone(), key.clone());
            cx.spawn(async move { cache.get::<usize>(key).await })
        })
        .collect();
    for task in tasks {
        let read = cx.within(BRIEF + SLACK, "a get from nowhere", task).await;
        assert!(read.is_err(), "{read:?}");
    }
    // The proxy heals, and the old connections are gone: the cache must open others.
    let before = proxy.accepted();
    proxy.sever();
    proxy.heal();
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(patiently(&cx, &cache, key).await, n);
    }
    assert!(proxy.accepted() >= before);
}

pub async fn disconnect_waits_for_commands_in_flight(cx: Context) {
    let (_server, proxy, cache) = through_a_proxy(&cx, LEISURELY).await;
    let keys = numbered(&cache, 10).await;
    proxy.hold();
    let replies = proxy.replies();
    let tasks: Vec<_> = keys
        .iter()
        .map(|key| {
            let (cache, key) = (cache.clone(), key.clone());
            cx.spawn(async move { cache.get::<usize>(key).await })
        })
        .collect();
    cx.until("the server has answered", async || proxy.replies() >= replies + 10).await;
    let leaving = cx.spawn({
        let cache = cache.clone();
        async move { cache.disconnect().await }
    });
    cx.until("the cache takes no more", async || !cache.is_connected()).await;
    let error = cache.get::<usize>(&keys[0]).await.unwrap_err();
    assert!(matches!(error, Error::NotConnected), "{error:?}");
    proxy.release();
    for (n, task) in tasks.into_iter().enumerate() {
        let read = cx.within(LEISURELY, "a get in flight", task).await;
        assert_eq!(read.unwrap(), Some(n));
    }
    cx.within(LEISURELY, "disconnect", leaving).await.unwrap();
}

pub async fn disconnect_from_a_peer_that_vanished_ends(cx: Context) {
    let (_server, proxy, cache) = through_a_proxy(&cx, BRIEF).await;
    proxy.vanish();
    let getting = cx.spawn({
        let cache = cache.clone();
        async move { cache.get::<i32>("key").await }
    });
    cx.sleep(Duration::from_millis(5)).await;
    let leaving = cx.within(BRIEF + SLACK, "disconnect", cache.disconnect());
    leaving.await.unwrap();
    assert!(cx.within(BRIEF + SLACK, "a get from nowhere", getting).await.is_err());
}

/// A server of its own, a proxy in front of it, and a cache of one connection through that.
async fn through_a_proxy(cx: &Context, response: Duration) -> (Server, Proxy, Cache) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let cache = again(cx, &server, &proxy, response).await;
    (server, proxy, cache)
}

/// Another cache of one connection, which has not failed yet and so does not back off.
async fn again(cx: &Context, server: &Server, proxy: &Proxy, response: Duration) -> Cache {
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0));
    connected(builder.maxsize(1).response_timeout(response)).await
}

/// How many write commands the server has run.
fn writes_run(raw: &mut Raw) -> u64 {
    let stats = raw.text(&["INFO", "commandstats"]);
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let counts = ["set", "unlink", "pexpire", "eval", "evalsha", "flushdb"].contains(&name);
        counts.then(|| rest.split(',').next()?.parse::<u64>().ok()).flatten()
    };
    stats.lines().filter_map(calls).sum()
}

/// Keys whose values are their numbers.
async fn numbered(cache: &Cache, count: usize) -> Vec<String> {
    let keys: Vec<_> = (0..count).map(|n| format!("key-{n}")).collect();
    cache.set_many(keys.iter().zip(0..count)).await.unwrap();
    keys
}

/// The number under a key, requested until there is an answer.
async fn patiently(cx: &Context, cache: &Cache, key: &str) -> usize {
    let mut read = None;
    cx.until("the cache answers", async || match cache.get::<usize>(key).await {
        Ok(value) => {
            read = value;
            true
        }
        Err(
            Error::Timeout { .. }
            | Error::Disconnected { .. }
            | Error::ConnectionsEnded { .. }
            | Error::Unavailable { .. }
            | Error::Protocol(_),
        ) => false,
        Err(error) => panic!("{key}: {error:?}"),
    })
    .await;
    read.expect("the key is there")
}

/// The first of the keys to read, so that different pushes meet different keys.
fn n_of(push: &[u8]) -> usize {
    push.len() % 9
}

const PUSH: &[u8] = b">2\r\n+invalidate\r\n*1\r\n$5\r\n::key\r\n";
const BRIEF: Duration = Duration::from_millis(100);
const LEISURELY: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(2);
