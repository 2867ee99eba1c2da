//! The events that a real server causes in a log: each appears once, at the right time, and holds
//! no secret. Runs with the feature `tracing` only.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, MutexGuard, Once};
use std::time::Duration;

use async_caches_conformance::certificates::Authority;
use async_caches_conformance::cluster::{Cluster, slot_of};
use async_caches_conformance::proxy::Proxy;
use async_caches_conformance::raw::Raw;
use async_caches_conformance::sentinels::Trio;
use async_caches_conformance::server::{Kind, Server, Setup, Tls};
use async_caches_tokio::{Builder, Cache, builder};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[test]
fn events_describe_a_redis_server() {
    all(Kind::Redis);
}

#[test]
fn events_describe_a_valkey_server() {
    if Kind::Valkey.is_here() {
        all(Kind::Valkey);
    }
}

fn all(kind: Kind) {
    collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        connections_come_and_go(kind).await;
        commands_time_out_and_are_sent_again(kind).await;
        entries_cannot_be_read(kind).await;
        a_server_is_away(kind).await;
        credentials_are_refused(kind).await;
        a_master_is_replaced(kind).await;
        a_slot_moves(kind).await;
        // The Valkey that scripts/install-valkey brings speaks no TLS.
        if kind == Kind::Redis {
            tls_fails(kind).await;
        }
    });
    let told = told().clone();
    for event in told {
        let event = format!("{event:?}");
        for secret in [PASSWORD, OTHER, KEY, VALUE] {
            // The secret must not appear as a row of numbers either, as bytes are printed.
            let bytes = format!("{:?}", secret.as_bytes());
            let numbers = bytes.trim_matches(['[', ']']);
            assert!(!event.contains(secret) && !event.contains(numbers), "{event}");
        }
    }
}

async fn connections_come_and_go(kind: Kind) {
    let server = Server::start(kind, &Setup::default().password(PASSWORD));
    let port = server.address().port();
    let cache = open(builder(&server.url(3))).await;
    let told = events(port, "a connection has opened");
    let [opened] = &told[..] else { panic!("{told:?}") };
    assert_eq!(opened.level, Level::INFO);
    assert_eq!(opened.target, "async_caches");
    let name = if kind == Kind::Redis { "redis" } else { "valkey" };
    for (field, value) in [
        ("db.system.name", "redis"),
        ("server.address", "127.0.0.1"),
        ("network.transport", "tcp"),
        ("db.namespace", "3"),
        ("network.protocol.version", "3"),
        ("server.name", name),
        ("reconnect", "false"),
    ] {
        assert_eq!(opened.fields.get(field).map(String::as_str), Some(value), "{field}");
    }
    let version = cache.info().pool().unwrap().servers[0].version.clone();
    assert_eq!(opened.fields.get("server.version"), version.as_ref());
    server.raw(0).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    until("it is open again", || events(port, "a connection has opened").len() == 2).await;
    assert_eq!(events(port, "a connection has opened")[1].fields["reconnect"], "true");
    let told = events(port, "a connection was lost");
    let [lost] = &told[..] else { panic!("{told:?}") };
    assert_eq!(lost.level, Level::WARN);
    assert!(["eof", "io"].contains(&&*lost.fields["error.type"]), "{lost:?}");
    assert!(!lost.fields["error"].is_empty());
    cache.disconnect().await.unwrap();
    let told = events(port, "a connection was closed");
    assert!(matches!(&told[..], [Told { level: Level::DEBUG, .. }]), "{told:?}");
    assert_eq!(events(port, "a connection was lost").len(), 1);
    assert_eq!(events(port, "").len(), 5 - usize::from(events(port, HELD_BACK).is_empty()));
}

async fn entries_cannot_be_read(kind: Kind) {
    let server = Server::start(kind, &Setup::default().password(PASSWORD));
    let cache = open(builder(&server.url(0))).await;
    for (bytes, why) in [(VALUE, "syntax"), ("\"canary-value\"", "data"), ("[1", "eof")] {
        cache.set_raw(KEY, bytes).await.unwrap();
        let before = unreadable().len();
        cache.get_many::<Vec<i32>>([KEY]).await.unwrap_err();
        assert_eq!(cache.get_or_set(KEY, async { vec![1] }).await.unwrap(), [1]);
        let told = unreadable();
        let [many, one] = &told[before..] else { panic!("{told:?}") };
        for (event, operation) in [(many, "MGET"), (one, "GET")] {
            assert_eq!((event.level, &*event.fields["error.type"]), (Level::DEBUG, why));
            assert_eq!(event.fields["db.operation.name"], operation);
        }
    }
    cache.disconnect().await.unwrap();
}

/// The events about entries that cannot be read.
fn unreadable() -> Vec<Told> {
    let says = |told: &&Told| told.fields["message"] == "an entry cannot be read";
    told().iter().filter(says).cloned().collect()
}

async fn commands_time_out_and_are_sent_again(kind: Kind) {
    let server = Server::start(kind, &Setup::default().password(PASSWORD));
    let proxy = Proxy::start(server.address());
    let port = proxy.address().port();
    let builder = builder(&server.url_at(proxy.address(), 0)).response_timeout(BRIEF);
    let cache = open(builder).await;
    proxy.hold();
    let getting = tokio::spawn(get(cache.clone()));
    until("it is in flight", || cache.info().pool().unwrap().in_flight == 1).await;
    proxy.sever();
    proxy.release();
    assert!(getting.await.unwrap());
    let told = events(port, "a command is sent again");
    let [again] = &told[..] else { panic!("{told:?}") };
    assert_eq!((again.level, &*again.fields["db.operation.name"]), (Level::DEBUG, "GET"));
    assert_eq!(events(port, TIMED_OUT).len(), 0);
    server.stop();
    assert!(!get(cache.clone()).await);
    server.resume();
    let told = events(port, TIMED_OUT);
    let [late] = &told[..] else { panic!("{told:?}") };
    assert_eq!((late.level, &*late.fields["db.operation.name"]), (Level::DEBUG, "GET"));
    assert_eq!((&*late.fields["error.type"], &*late.fields["after_ms"]), ("timeout", "400"));
}

async fn a_server_is_away(kind: Kind) {
    let mut server = Server::start(kind, &Setup::default().password(PASSWORD));
    let port = server.address().port();
    let cache = open(builder(&server.url(0)).response_timeout(BRIEF)).await;
    server.kill();
    until("dials have failed", || events(port, "a connection could not be opened").len() > 2).await;
    server.revive();
    until("it is open again", || events(port, "a connection has opened").len() == 2).await;
    let told = events(port, "a connection could not be opened");
    for (at, failed) in told.iter().enumerate() {
        assert_eq!(
            (failed.level, &failed.fields["in_a_row"]),
            (Level::WARN, &(at + 1).to_string())
        );
        assert_eq!(failed.fields["error.type"], "io");
    }
    assert_eq!(events(port, "a connection was lost").len(), 1);
    let held_back = events(port, HELD_BACK);
    assert!((1..=told.len() + 1).contains(&held_back.len()), "{held_back:?}");
    assert!(held_back.iter().all(|told| told.fields.contains_key("delay_ms")));
    cache.disconnect().await.unwrap();
}

async fn credentials_are_refused(kind: Kind) {
    let server = Server::start(kind, &Setup::default().password(PASSWORD));
    let port = server.address().port();
    let cache = open(builder(&server.url(0)).response_timeout(BRIEF)).await;
    server.raw(0).call(&["CONFIG", "SET", "requirepass", OTHER]);
    let mut raw = Raw::connect(server.address()).unwrap();
    raw.call(&["AUTH", OTHER]);
    raw.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    until("it is refused", || !events(port, REFUSED).is_empty()).await;
    assert!(!get(cache.clone()).await);
    let told = events(port, REFUSED);
    let [refused] = &told[..] else { panic!("{told:?}") };
    assert_eq!((refused.level, &*refused.fields["error.type"]), (Level::ERROR, "refused"));
    assert!(refused.fields["error"].contains("WRONGPASS"), "{refused:?}");
    assert_eq!(events(port, "a connection could not be opened").len(), 0);
    cache.disconnect().await.unwrap();
}

async fn a_master_is_replaced(kind: Kind) {
    let mut trio = Trio::start(kind, Some(PASSWORD), Duration::from_secs(60));
    let ports = [&trio.servers[0], &trio.servers[1]].map(|server| server.address().port());
    let cache = open(builder(&trio.url(0)).response_timeout(BRIEF)).await;
    assert_eq!(events(ports[0], "a connection has opened").len(), 1);
    trio.servers[0].stop();
    assert!(!get(cache.clone()).await);
    trio.servers[0].resume();
    assert_eq!(events(ports[0], TIMED_OUT).len(), 1);
    trio.fail_over();
    until("it is told", || !events(ports[1], MOVED).is_empty()).await;
    until("it is open there", || !events(ports[1], "a connection has opened").is_empty()).await;
    let told = events(ports[1], MOVED);
    assert!(matches!(&told[..], [Told { level: Level::WARN, .. }]), "{told:?}");
    assert!(events(ports[0], MOVED).is_empty(), "the first is no other one");
    assert!(events(ports[0], "a connection was lost").len() <= 1);
    let sentinels: Vec<_> = trio.sentinels.iter().map(|one| one.address().port()).collect();
    trio.sentinels.clear();
    let lost = || sentinels.iter().flat_map(|&port| events(port, SENTINEL_LOST)).next();
    until("a sentinel is missed", || lost().is_some()).await;
    let lost = lost().expect("it was there");
    assert_eq!((lost.level, lost.fields.get("db.namespace")), (Level::WARN, None));
    assert!(["eof", "io"].contains(&&*lost.fields["error.type"]), "{lost:?}");
    cache.disconnect().await.unwrap();
}

async fn a_slot_moves(kind: Kind) {
    let all = Cluster::start(kind, &Setup::default(), 2, 0, Duration::from_secs(60));
    let cache = open(builder(&all.url())).await;
    let slot = slot_of(&all.nodes[0], &format!("{KEY}::{KEY}"));
    let from = all.master_of(slot);
    let [by, to] = [from, 1 - from].map(|node| all.nodes[node].address());
    let mut moving = all.begin_to_move(slot, from, 1 - from);
    while moving.step() {}
    assert!(get(cache.clone()).await);
    moving.finish();
    assert!(get(cache.clone()).await);
    let told = events(by.port(), "a command is redirected");
    let said: Vec<_> = told.iter().map(|told| &*told.fields["db.response.status_code"]).collect();
    assert_eq!(said, ["ASK", "MOVED"]);
    for event in told {
        assert_eq!((event.level, &*event.fields["db.operation.name"]), (Level::DEBUG, "GET"));
        let (slot, to) = (slot.to_string(), to.to_string());
        assert_eq!((&event.fields["slot"], &event.fields["to"]), (&slot, &to));
    }
    cache.disconnect().await.unwrap();
    const PART: &str = "the server is a node of a cluster and serves a part of the keys";
    assert!(events(by.port(), PART).is_empty() && events(to.port(), PART).is_empty());
    let cache = open(builder(&format!("redis://{to}")).minsize(2)).await;
    until("it has two connections", || cache.info().pool().unwrap().open == 2).await;
    let told = events(to.port(), PART);
    assert_eq!(told.iter().map(|told| told.level).collect::<Vec<_>>(), [Level::WARN]);
    cache.disconnect().await.unwrap();
}

async fn tls_fails(kind: Kind) {
    let authority = Authority::new();
    let server = Server::start(kind, &Setup::default().password(PASSWORD).tls(Tls::of(&authority)));
    let port = server.address().port();
    open(builder(&server.url(0))).await.disconnect().await.unwrap();
    assert_eq!(events(port, "a connection has opened").len(), 1);
    let stranger = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stranger.path(), Authority::new().pem()).unwrap();
    let distrusting = builder(&server.url(0)).tls_ca(stranger.path().display().to_string());
    distrusting.connect().await.unwrap_err();
    let told = events(port, REFUSED);
    let [refused] = &told[..] else { panic!("{told:?}") };
    assert_eq!((refused.level, &*refused.fields["error.type"]), (Level::ERROR, "tls_refused"));
    assert_eq!(events(port, "a connection could not be opened").len(), 0);
    let plain = Server::start(kind, &Setup::default());
    let port = plain.address().port();
    let url = server.url_at(plain.address(), 0);
    assert!(url.starts_with("rediss://"), "{url}");
    builder(&url).connect().await.unwrap_err();
    let told = events(port, "a connection could not be opened");
    let [failed] = &told[..] else { panic!("{told:?}") };
    assert_eq!((failed.level, &*failed.fields["error.type"]), (Level::WARN, "tls"));
    assert!(failed.fields["error"].contains("TLS"), "{failed:?}");
}

/// Opens a cache that has used its key, its value and its password.
async fn open(builder: Builder) -> Cache {
    let cache = builder.key_prefix(KEY).connect().await.unwrap();
    cache.set(KEY, VALUE).await.unwrap();
    assert!(get(cache.clone()).await);
    cache
}

async fn get(cache: Cache) -> bool {
    cache.get::<String>(KEY).await.is_ok_and(|value| value.as_deref() == Some(VALUE))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An event as it was recorded.
#[derive(Clone, Debug)]
struct Told {
    level: Level,
    target: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").expect("a string takes all");
        self.fields.insert(field.name().to_owned(), text);
    }
}

/// Records all events of the process.
struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("async_caches")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target().to_owned());
        let mut new = Told { level, target, fields: BTreeMap::new() };
        event.record(&mut new);
        told().push(new);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Collector).unwrap());
}

fn told() -> MutexGuard<'static, Vec<Told>> {
    static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());
    TOLD.lock().expect("nobody panics with it")
}

/// The events about this port with this message, or all of them if the message is empty.
fn events(port: u16, message: &str) -> Vec<Told> {
    let port = port.to_string();
    let meant = |told: &&Told| {
        told.fields.get("server.port") == Some(&port)
            && (message.is_empty()
                || told.fields.get("message").is_some_and(|told| told == message))
    };
    told().iter().filter(meant).cloned().collect()
}

const PASSWORD: &str = "hunter2-canary-password";
const OTHER: &str = "hunter2-other-password";
const KEY: &str = "canary-key";
const VALUE: &str = "canary-value";
const REFUSED: &str = "a connection was refused";
const TIMED_OUT: &str = "a command has timed out";
const MOVED: &str = "the master is another server";
const SENTINEL_LOST: &str = "a sentinel was lost";
const HELD_BACK: &str = "the next dial is held back";
const BRIEF: Duration = Duration::from_millis(400);
