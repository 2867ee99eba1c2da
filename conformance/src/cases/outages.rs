//! Faults below the protocol and on the way: lost packets, connections that are torn down, corrupt
//! bytes, and servers that are busy with themselves.

use std::io::Write as _;
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_caches::{Cache, ConnectionFailure, Error, ServerErrorKind};

use super::ops;
use crate::context::{Context, connected};
use crate::packets::Loss;
use crate::proxy::{Ending, Proxy};
use crate::server::{Server, Setup};

pub async fn an_unanswered_dial_ends_with_the_connect_timeout(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    say(proxy.lose_dials());
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0));
    let cache = builder.connect_timeout(BRIEF).response_timeout(BRIEF).build().unwrap();
    let start = Instant::now();
    let error = cx.within(BRIEF + SLACK, "connect", cache.connect()).await.unwrap_err();
    assert!(start.elapsed() >= BRIEF, "{:?}: {error:?}", start.elapsed());
    let Error::Unavailable { to, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*to, proxy.address().to_string());
    assert!(error.is_retryable() && !error.may_have_run());
    proxy.heal();
    cx.until("the cache connects", async || cache.connect().await.is_ok()).await;
    cache.ping().await.unwrap();
}

pub async fn calls_fail_in_time_when_a_lost_connection_cannot_be_redialled(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    store_all(&cx, &server).await;
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0)).maxsize(1);
    let cache = connected(builder.response_timeout(BRIEF)).await;
    say(proxy.lose_dials());
    proxy.sever();
    for n in 0..3 {
        let get = cx.within(BRIEF + SLACK, "a get", cache.get::<i32>("1"));
        let error = get.await.unwrap_err();
        // The first call may be sent on the connection before its loss is noticed.
        assert!(error.is_retryable() && (n == 0 || !error.may_have_run()), "{error:?}");
    }
    proxy.heal();
    cx.until("the cache is back", async || cache.get("1").await.is_ok_and(|n| n == Some(1))).await;
}

pub async fn calls_fail_in_time_on_packet_loss_and_new_connections_are_opened(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    store_all(&cx, &server).await;
    let cache = through(&cx, &server, &proxy, BRIEF).await;
    let before = proxy.accepted();
    let hammers: Vec<_> = (0..GETS).map(|n| cx.spawn(until_it_fails(cache.clone(), n))).collect();
    cx.sleep(Duration::from_millis(20)).await;
    say(proxy.lose_packets());
    for hammer in hammers {
        let error = cx.within(BRIEF + SLACK, "a get in flight", hammer).await;
        assert!(error.is_retryable(), "{error:?}");
    }
    // The old connections stay lost: only other ones can answer.
    for n in 0..GETS {
        let key = n.to_string();
        let own = async || cache.get::<i32>(&key).await.is_ok_and(|read| read == Some(n));
        cx.until("another connection answers", own).await;
    }
    assert!(proxy.accepted() > before);
    proxy.heal();
    assert_eq!(cache.get::<i32>("0").await.unwrap(), Some(0));
}

pub async fn a_connection_reset_within_a_reply_mixes_up_no_replies(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    store_all(&cx, &server).await;
    let mut seen = 0;
    for after in 0..20 {
        // A new cache, which has not failed yet and so does not back off.
        let cache = through(&cx, &server, &proxy, LEISURELY).await;
        cache.ping().await.unwrap();
        proxy.cut_after(3 * after, Ending::Reset);
        let error = cx.spawn({
            let cache = cache.clone();
            async move { cache.incr("0", 0).await.err() }
        });
        for task in (0..GETS).map(|n| (n, cx.spawn(own(cache.clone(), n)))).collect::<Vec<_>>() {
            let (n, get) = task;
            match cx.within(LEISURELY + SLACK, "a get", get).await {
                Ok(read) => assert_eq!(read, Some(n)),
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
        if let Some(Error::Disconnected { source, .. }) = error.await {
            seen += u32::from(matches!(source, ConnectionFailure::Io(_)));
        }
        proxy.heal();
    }
    assert!(seen > 0 || cfg!(not(target_os = "linux")), "no call saw a reset");
}

pub async fn a_corrupt_byte_around_a_value_closes_the_connection_and_reaches_no_caller(
    cx: Context,
) {
    let server = Arc::new(cx.start(&Setup::default()));
    let reply = crate::frame::bulk(value(0));
    let around = [0, 1, 2, 3, 4, reply.len() - 2, reply.len() - 1];
    let spoilt = around.into_iter().flat_map(|at| (0..8).map(move |bit| (at, 1 << bit)));
    let tasks: Vec<_> = spoilt
        .map(|(at, bits)| cx.spawn(corrupted(cx.clone(), Arc::clone(&server), at, bits)))
        .collect();
    for task in tasks {
        task.await;
    }
}

/// Flips these bits of one byte of the first of many replies.
async fn corrupted(cx: Context, server: Arc<Server>, at: usize, bits: u8) {
    let proxy = Proxy::start(server.address());
    let cache = through(&cx, &server, &proxy, LEISURELY).await;
    for n in 0..GETS {
        cache.set_raw(n.to_string(), value(n)).await.unwrap();
    }
    let before = proxy.accepted();
    proxy.hold();
    let replies = proxy.replies() + usize::try_from(GETS).expect("it is small");
    let gets: Vec<_> = (0..GETS)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move { cache.get_raw(n.to_string()).await })
        })
        .collect();
    while proxy.replies() < replies {
        cx.sleep(Duration::from_millis(2)).await;
    }
    proxy.corrupt(at, bits);
    proxy.release();
    let mut refused = false;
    for (n, get) in (0..GETS).zip(gets) {
        match cx.within(LEISURELY + SLACK, "a get", get).await {
            Ok(read) => assert_eq!(read.unwrap(), value(n), "byte {at}, bits {bits:#b}"),
            // The call with the corrupt reply is not repeated. Tasks do not run in order, so it may
            // be any.
            Err(Error::ConnectionsEnded { connections: 1, .. }) if !refused => refused = true,
            Err(error) => assert!(error.is_retryable(), "byte {at}, bits {bits:#b}: {error:?}"),
        }
    }
    while cache.ping().await.is_err() {
        cx.sleep(Duration::from_millis(5)).await;
    }
    assert!(proxy.accepted() > before, "byte {at}, bits {bits:#b}: the connection was kept");
}

pub async fn calls_wait_for_a_paused_server_no_longer_than_their_deadline(cx: Context) {
    const PAUSE: Duration = Duration::from_millis(600);
    let server = cx.start(&Setup::default());
    let pause = |server: &Server| {
        let millis = PAUSE.as_millis().to_string();
        server.raw(0).call(&["CLIENT", "PAUSE", &millis, "ALL"]);
    };
    unresponsive_for(&cx, &server, PAUSE, pause).await;
}

pub async fn calls_wait_for_a_sleeping_server_no_longer_than_their_deadline(cx: Context) {
    const SLEEP: Duration = Duration::from_millis(600);
    let server = cx.start(&Setup::default().with(DEBUG));
    let sleep = |server: &Server| {
        let mut raw = server.raw(0);
        thread::spawn(move || raw.ask(&["DEBUG", "SLEEP", &SLEEP.as_secs_f64().to_string()]));
    };
    unresponsive_for(&cx, &server, SLEEP, sleep).await;
}

/// A server that does not answer for a `span`. A caller that can wait gets its answer. A caller
/// that cannot learns that its command may have run; it runs once at most.
async fn unresponsive_for(cx: &Context, server: &Server, span: Duration, begin: fn(&Server)) {
    let patient = connected(cx.builder_of(&server.url(0))).await;
    let hasty = connected(cx.builder_of(&server.url(0)).response_timeout(BRIEF)).await;
    patient.set("n", 0).await.unwrap();
    begin(server);
    // Gives the silence time to begin, which no reply reports.
    cx.sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    let waiting = cx.spawn({
        let patient = patient.clone();
        async move { (patient.get::<i64>("n").await, start.elapsed()) }
    });
    let error = cx.within(BRIEF + SLACK, "incr", hasty.incr("n", 1)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { may_have_run: true, .. }), "{error:?}");
    let (read, took) = cx.within(span + SLACK, "a patient get", waiting).await;
    assert!((0..=1).contains(&read.unwrap().unwrap()));
    assert!(took >= span / 2, "{took:?}: the server was not silent");
    cx.until("the hasty one is back", async || hasty.ping().await.is_ok()).await;
    assert!((0..=1).contains(&patient.get::<i64>("n").await.unwrap().unwrap()));
}

pub async fn open_connections_keep_working_when_the_server_refuses_new_clients(cx: Context) {
    let server = cx.start(&Setup::default());
    let builder = cx.builder_of(&server.url(0)).maxsize(3).response_timeout(ops::LONG);
    let cache = connected(builder).await;
    cache.set("key", "x".repeat(2_000)).await.unwrap();
    let mut raw = server.raw(0);
    raw.call(&["CONFIG", "SET", "maxclients", "2"]);
    let other = cx.builder_of(&server.url(0)).response_timeout(BRIEF).build().unwrap();
    // The server reports that and hangs up, whatever it is sent. The hang-up may overtake the
    // report.
    let mut told = false;
    for _ in 0..10 {
        let error = cx.within(BRIEF + SLACK, "connect", other.connect()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }) && error.is_retryable(), "{error:?}");
        told |= error.server_error().is_some_and(|e| e.kind == ServerErrorKind::MaxClients);
    }
    assert!(told, "no error says why");
    // So many that the pool wants more connections.
    let gets: Vec<_> = (0..5_000)
        .map(|_| {
            let cache = cache.clone();
            cx.spawn(async move { cache.get::<String>("key").await })
        })
        .collect();
    for get in gets {
        assert_eq!(get.await.unwrap().unwrap().len(), 2_000);
    }
    raw.call(&["CONFIG", "SET", "maxclients", "100"]);
    cx.until("there is room again", async || other.connect().await.is_ok()).await;
    other.ping().await.unwrap();
}

pub async fn calls_wait_while_a_restarted_server_loads_its_data(cx: Context) {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().expect("it is text");
    let setup = Setup::default().with(DEBUG).with(SLOW_TO_LOAD).with(&["--dir", folder]);
    let mut server = cx.start(&setup);
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(2)).await;
    cache.set("key", 1).await.unwrap();
    populate(&server);
    server.raw(0).call(&["SAVE"]);
    server.kill();
    server.revive();
    assert!(is_loading(&server), "it loads too fast to see");
    let gets: Vec<_> = (0..GETS)
        .map(|_| {
            let cache = cache.clone();
            cx.spawn(async move { cache.get::<i32>("key").await })
        })
        .collect();
    for get in gets {
        assert_eq!(get.await.unwrap(), Some(1));
    }
    assert!(!is_loading(&server), "a server that loads gives no values");
}

pub async fn a_server_that_loads_its_data_is_a_typed_error_and_loaders_run(cx: Context) {
    let server = cx.start(&Setup::default().with(DEBUG).with(SLOW_TO_LOAD));
    let cache = connected(cx.builder_of(&server.url(0))).await;
    cache.set("key", 1).await.unwrap();
    populate(&server);
    let mut raw = server.raw(0);
    let reload: JoinHandle<_> = thread::spawn(move || raw.ask(&["DEBUG", "RELOAD"]));
    cx.until("it loads", async || is_loading(&server)).await;
    let error = cache.get::<i32>("key").await.unwrap_err();
    let Error::Server(refused) = &error else { panic!("{error:?}") };
    assert_eq!(refused.kind, ServerErrorKind::Loading);
    assert!(error.is_retryable());
    assert_eq!(cache.get_or_set("other", async { 2 }).await.unwrap(), 2);
    cx.until("it has loaded", async || cache.get("key").await.is_ok_and(|n| n == Some(1))).await;
    reload.join().unwrap().unwrap();
}

pub async fn writes_reach_the_new_master_that_a_name_leads_to_after_a_failover(cx: Context) {
    let (old, new) = (cx.start(&Setup::default()), cx.start(&Setup::default()));
    let proxy = Proxy::start(old.address());
    let cache = connected(cx.builder_of(&old.url_at(proxy.address(), 0)).maxsize(2)).await;
    cache.set("key", "old").await.unwrap();
    proxy.redirect(new.address());
    old.raw(0).call(&["REPLICAOF", "127.0.0.1", &new.address().port().to_string()]);
    let error = cache.set("key", "new").await.unwrap_err();
    let Error::Server(refused) = &error else { panic!("{error:?}") };
    assert_eq!(refused.kind, ServerErrorKind::ReadOnly);
    assert_eq!(cache.get_or_set("other", async { 1 }).await.unwrap(), 1);
    // Connections to the old server stay open the whole time, and it goes on serving reads.
    cx.until("writes are taken", async || cache.set("key", "new").await.is_ok()).await;
    assert_eq!(cache.get::<String>("key").await.unwrap().unwrap(), "new");
    assert_eq!(new.raw(0).text(&["GET", "::key"]), "\"new\"");
}

async fn until_it_fails(cache: Cache, n: i32) -> Error {
    loop {
        match own(cache.clone(), n).await {
            Ok(read) => assert_eq!(read, Some(n)),
            Err(error) => return error,
        }
    }
}

/// Gets the key whose name and value are this number.
async fn own(cache: Cache, n: i32) -> Result<Option<i32>, Error> {
    cache.get(n.to_string()).await
}

/// A cache of one connection through the proxy, with this response timeout.
async fn through(cx: &Context, server: &Server, proxy: &Proxy, response: Duration) -> Cache {
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0)).maxsize(1);
    connected(builder.response_timeout(response)).await
}

/// Stores each number under its own name.
async fn store_all(cx: &Context, server: &Server) {
    let patient = connected(cx.builder_of(&server.url(0))).await;
    patient.set_many((0..GETS).map(|n| (n.to_string(), n))).await.unwrap();
}

fn value(n: i32) -> String {
    format!("{n:020}")
}

fn populate(server: &Server) {
    server.raw(0).call(&["DEBUG", "POPULATE", "1000", "other", "1000"]);
}

fn is_loading(server: &Server) -> bool {
    server.raw(0).text(&["INFO", "persistence"]).contains("\nloading:1")
}

/// Prints once, past the capture of test output, how packets are lost here.
fn say(loss: Loss) {
    static ONCE: Once = Once::new();
    let how = match loss {
        Loss::InTheKernel => "in the kernel, by a filter on their socket",
        Loss::InSilence => "by a proxy that goes silent, as no kernel drops them here",
    };
    ONCE.call_once(|| drop(writeln!(std::io::stderr(), "packets are lost {how}")));
}

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];
/// Half a millisecond for each of a thousand keys. Clients are served between any two of them.
const SLOW_TO_LOAD: &[&str] =
    &["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"];
const GETS: i32 = 8;
const BRIEF: Duration = Duration::from_millis(200);
const LEISURELY: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(3);
