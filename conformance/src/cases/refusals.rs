//! Servers that are up and refuse commands: writes, reads, or all of them.

use std::thread;

use async_caches::{Error, Protocol, ServerErrorKind};

use crate::context::{Context, connected};
use crate::server::{Server, Setup};

pub async fn a_full_server_refuses_writes_while_reads_and_loaders_work(cx: Context) {
    let server = cx.start(&Setup::default().with(&["--maxmemory-policy", "noeviction"]));
    let fill = &["CONFIG", "SET", "maxmemory", "1"];
    let empty = &["CONFIG", "SET", "maxmemory", "0"];
    refuses_writes(&cx, &server, ServerErrorKind::OutOfMemory, fill, empty).await;
}

pub async fn a_replica_refuses_writes_while_reads_and_loaders_work(cx: Context) {
    let server = cx.start(&Setup::default());
    let demote = &["REPLICAOF", "127.0.0.1", "1"];
    let promote = &["REPLICAOF", "NO", "ONE"];
    refuses_writes(&cx, &server, ServerErrorKind::ReadOnly, demote, promote).await;
}

pub async fn a_server_without_replicas_refuses_writes_while_reads_and_loaders_work(cx: Context) {
    let server = cx.start(&Setup::default());
    let want = &["CONFIG", "SET", "min-replicas-to-write", "1"];
    let waive = &["CONFIG", "SET", "min-replicas-to-write", "0"];
    refuses_writes(&cx, &server, ServerErrorKind::NoReplicas, want, waive).await;
}

/// A server that refuses writes after the command `begin`, and accepts them again after `end`.
async fn refuses_writes(
    cx: &Context,
    server: &Server,
    kind: ServerErrorKind,
    begin: &[&str],
    end: &[&str],
) {
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(1)).await;
    cache.set_many([("key", 1), ("n", 1)]).await.unwrap();
    assert_eq!(cache.incr("n", 1).await.unwrap(), 2);
    let mut raw = server.raw(0);
    raw.call(begin);
    for _ in 0..2 {
        for (name, outcome) in [
            ("set", cache.set("other", 2).await),
            ("set_many", cache.set_many([("other", 2), ("third", 3)]).await),
            ("add", cache.add("other", 2).await.map(drop)),
            ("incr", cache.incr("n", 1).await.map(drop)),
        ] {
            assert_kind(name, outcome, kind);
        }
        assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
        assert_eq!(cache.get_many::<i32>(["n", "other"]).await.unwrap(), [Some(2), None]);
        assert!(cache.contains("key").await.unwrap());
        assert_eq!(cache.get_or_set("key", async { 7 }).await.unwrap(), 1);
        assert_eq!(cache.get_or_set("other", async { 7 }).await.unwrap(), 7);
    }
    raw.call(end);
    cx.until("writes are taken again", async || cache.set("other", 2).await.is_ok()).await;
    assert_eq!(cache.incr("n", 1).await.unwrap(), 3);
}

pub async fn a_replica_that_lost_its_master_refuses_all_calls_while_loaders_work(cx: Context) {
    let server = cx.start(&Setup::default().with(&["--replica-serve-stale-data", "no"]));
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(1)).await;
    cache.set("key", 1).await.unwrap();
    let mut raw = server.raw(0);
    raw.call(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_kind("get", cache.get::<i32>("key").await, ServerErrorKind::MasterDown);
    let many = cache.get_many::<i32>(["key", "other"]).await;
    assert_kind("get_many", many, ServerErrorKind::MasterDown);
    // A write is refused because it is one.
    assert_kind("set", cache.set("key", 2).await, ServerErrorKind::ReadOnly);
    assert_eq!(cache.get_or_set("key", async { 7 }).await.unwrap(), 7);
    let other = connected(cx.builder_of(&server.url(0))).await;
    assert_kind("get", other.get::<i32>("key").await, ServerErrorKind::MasterDown);
    raw.call(&["REPLICAOF", "NO", "ONE"]);
    cx.until("reads are served", async || cache.get("key").await.is_ok_and(|n| n == Some(1))).await;
    assert_eq!(other.get::<i32>("key").await.unwrap(), Some(1));
}

pub async fn a_server_busy_with_a_script_is_a_typed_error_and_loaders_run(cx: Context) {
    let server = cx.start(&Setup::default().with(&["--busy-reply-threshold", "10"]));
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(1)).await;
    cache.set("key", 1).await.unwrap();
    let (mut busy, mut raw) = (server.raw(0), server.raw(0));
    let script = thread::spawn(move || busy.ask(&["EVAL", "while true do end", "0"]));
    let mut refused = None;
    cx.until("the script runs", async || {
        refused = cache.get::<i32>("key").await.err();
        refused.is_some()
    })
    .await;
    assert_kind("get", refused.map_or(Ok(()), Err), ServerErrorKind::Busy);
    assert_kind("set", cache.set("key", 2).await, ServerErrorKind::Busy);
    assert_eq!(cache.get_or_set("key", async { 7 }).await.unwrap(), 7);
    raw.call(&["SCRIPT", "KILL"]);
    let is_back = async || cache.get("key").await.is_ok_and(|n| n == Some(1));
    cx.until("the script is over", is_back).await;
    script.join().unwrap().unwrap();
}

/// Asserts that a call was refused for this reason, and is worth repeating.
fn assert_kind<T>(name: &str, outcome: Result<T, Error>, kind: ServerErrorKind) {
    let Some(error) = outcome.err() else { panic!("{name} was not refused") };
    let Error::Server(refused) = &error else { panic!("{name}: {error:?}") };
    assert_eq!(refused.kind, kind, "{name}: {error}");
    assert!(error.is_retryable() && !error.may_have_run(), "{name}: {error:?}");
}

pub async fn a_user_without_permission_for_ping_and_client_is_served(cx: Context) {
    let server = cx.start(&Setup::default());
    let rules = &["~*", "+@all", "-client", "-ping"];
    let user = ["ACL", "SETUSER", "narrow", "on", ">secret"];
    server.raw(0).call(&[&user[..], rules].concat());
    let url = server.url(3).replace(&server.userinfo(), "narrow:secret@");
    for (protocol, spoken) in [(Protocol::Auto, 3), (Protocol::Resp2, 2), (Protocol::Resp3, 3)] {
        let builder = cx.builder_of(&url).name("web").protocol(protocol);
        let cache = connected(builder).await;
        cache.set("key", 1).await.unwrap();
        assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
        assert_eq!(cache.info().pool().unwrap().servers[0].protocol, spoken);
    }
}
