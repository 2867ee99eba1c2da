//! Pushes from servers, and the notices that a subscriber gets of them.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;
use std::time::Duration;

use async_caches::{
    Builder, ConnectionFailure, ConnectionName, Error, Invalidated, Notice, Tracking,
};

use crate::backend::Backend;
use crate::context::{Context, connected};
use crate::server::Setup;

pub async fn a_change_to_a_read_key_by_another_client_is_reported_once(cx: Context) {
    let server = cx.start(&Setup::default());
    let (builder, heard) = listening(cx.builder_of(&server.url(0)));
    let cache = connected(builder.tracking(Tracking::Read)).await;
    cache.set("read", 1).await.unwrap();
    cache.set("other", 1).await.unwrap();
    assert_eq!(cache.get::<i32>("read").await.unwrap(), Some(1));
    assert_eq!(heard.look().keys, [""; 0], "nothing has changed since it was read");
    let mut raw = server.raw(0);
    raw.call(&["SET", "::other", "2"]);
    raw.call(&["SET", "::read", "2"]);
    cx.until("it is told", async || !heard.look().keys.is_empty()).await;
    raw.call(&["SET", "::read", "3"]);
    assert_eq!(cache.get::<i32>("read").await.unwrap(), Some(3));
    assert_eq!(heard.look().keys, ["::read"], "until it is read again");
    raw.call(&["DEL", "::read"]);
    cx.until("it is told again", async || heard.look().keys.len() == 2).await;
    assert_eq!(cache.get::<i32>("read").await.unwrap(), None);
    raw.call(&["FLUSHALL"]);
    cx.until("all is told", async || heard.look().flushes == 1).await;
}

pub async fn prefix_tracking_reports_all_keys_of_the_prefix(cx: Context) {
    let server = cx.start(&Setup::default());
    let (builder, heard) = listening(cx.builder_of(&server.url(0)).key_prefix("forum"));
    let cache = connected(builder.tracking(Tracking::Prefix)).await;
    let mut raw = server.raw(0);
    for key in ["forum:7:a", "forums::b", "::c", "forum::d"] {
        raw.call(&["SET", key, "1"]);
    }
    cx.until("the last is told", async || heard.look().keys.len() >= 2).await;
    assert_eq!(heard.look().keys, ["forum:7:a", "forum::d"]);
    cache.set("own", 1).await.unwrap();
    cx.until("its own are told too", async || heard.look().keys.len() == 3).await;
}

pub async fn pushes_among_ten_thousand_gets_shift_no_reply(cx: Context) {
    const TASKS: usize = 50;
    const GETS: usize = 200;
    let server = Arc::new(cx.start(&Setup::default()));
    let (builder, heard) = listening(cx.builder_of(&server.url(0)).maxsize(1));
    let cache = connected(builder.tracking(Tracking::Prefix)).await;
    for n in 0..TASKS {
        cache.set(n.to_string(), n).await.unwrap();
    }
    let over = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (server, over) = (Arc::clone(&server), Arc::clone(&over));
        move || {
            let mut raw = server.raw(0);
            while !over.load(Ordering::SeqCst) {
                raw.call(&["SET", "::changing", "x"]);
            }
        }
    });
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move {
                for _ in 0..GETS {
                    assert_eq!(cache.get::<usize>(n.to_string()).await.unwrap(), Some(n));
                }
            })
        })
        .collect();
    for task in tasks {
        cx.in_time(LONG, "gets", task).await;
    }
    cx.until("pushes have come", async || heard.count("::changing") > 10).await;
    over.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    assert_eq!(cache.info().pool().unwrap().lost, 0);
}

pub async fn changes_on_all_nodes_are_reported_on_differently_named_connections(cx: Context) {
    const KEYS: usize = 60;
    let (builder, heard) = listening(cx.builder().maxsize(1));
    let cache = connected(builder.tracking(Tracking::Prefix)).await;
    for n in 0..KEYS {
        cache.set(format!("key{n}"), n).await.unwrap();
    }
    let told = || (0..KEYS).all(|n| heard.count(&format!("::key{n}")) == 1);
    cx.until("each key is told once", async || told()).await;
    // Each connection has a name of its own: a second one of the same name would fail the test.
    assert_eq!(heard.look().open.len(), 3);
    assert_eq!(heard.look().ended, 0);
    cache.disconnect().await.unwrap();
    cx.until("all have ended", async || heard.look().ended == 3).await;
}

pub async fn opened_and_ended_connections_are_reported_around_their_pushes(cx: Context) {
    let server = cx.start(&Setup::default());
    let (builder, heard) = listening(cx.builder_of(&server.url(0)));
    let cache = connected(builder.tracking(Tracking::Prefix)).await;
    let first = heard.look().open.clone();
    assert_eq!(first.len(), 1);
    server.raw(0).call(&["SET", "::key", "1"]);
    cx.until("it is told", async || heard.count("::key") == 1).await;
    server.raw(0).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    cx.until("another connection is open", async || {
        let heard = heard.look();
        heard.ended == 1 && heard.open.len() == 1
    })
    .await;
    assert!(heard.look().open.is_disjoint(&first), "no name is used twice");
    server.raw(0).call(&["SET", "::key", "2"]);
    cx.until("it tracks as well", async || heard.count("::key") == 2).await;
    cache.disconnect().await.unwrap();
    cx.until("all have ended", async || heard.look().ended == 2).await;
    assert!(heard.look().open.is_empty());
}

pub async fn earlier_pushes_are_reported_before_a_reply_is_returned(cx: Context) {
    let server = cx.start(&Setup::default());
    let heard = Heard::default();
    let slowly = heard.clone();
    let builder = cx.builder_of(&server.url(0)).maxsize(1).on_notice(move |notice| {
        thread::sleep(Duration::from_millis(1));
        slowly.hear(notice);
    });
    let cache = connected(builder.tracking(Tracking::Prefix)).await;
    let mut raw = server.raw(0);
    // A reader that polls in a loop instead of waiting until it is woken.
    let reader = thread::spawn(move || {
        for n in 1..=300 {
            // Before a value can be read, it is written and the push for it is sent.
            raw.call(&["SET", "::key", &n.to_string()]);
            let mut get = cache.get::<usize>("key");
            let value = loop {
                let mut cx = TaskContext::from_waker(Waker::noop());
                if let Poll::Ready(value) = Pin::new(&mut get).poll(&mut cx) {
                    break value;
                }
            };
            assert_eq!(value.unwrap(), Some(n));
            assert_eq!(heard.count("::key"), n);
        }
    });
    cx.until("all is read", async || reader.is_finished()).await;
    reader.join().unwrap();
}

pub async fn without_a_subscriber_tracking_is_not_requested(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).tracking(Tracking::Prefix)).await;
    cache.set("key", 1).await.unwrap();
    let clients = server.raw(0).text(&["INFO", "clients"]);
    assert!(clients.contains("tracking_clients:0\r\n"), "{clients}");
    let (builder, _heard) = listening(cx.builder_of(&server.url(0)));
    let _tracking = connected(builder.tracking(Tracking::Read)).await;
    let clients = server.raw(0).text(&["INFO", "clients"]);
    assert!(clients.contains("tracking_clients:1\r\n"), "{clients}");
}

pub async fn tracking_is_enabled_or_a_lack_of_resp3_is_an_error(cx: Context) {
    let (builder, _heard) = listening(cx.builder());
    let outcome = builder.tracking(Tracking::Read).connect().await;
    if cx.backend() != Backend::RedisWithoutHello {
        outcome.unwrap().ping().await.unwrap();
        return;
    }
    // Without HELLO there is no RESP3, and so no way to push.
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Unavailable { source: ConnectionFailure::Connection(_), .. }));
    assert!(error.with_sources().to_string().contains("RESP3"), "{error}");
}

/// A builder with a subscriber, and the notices that the subscriber gets.
fn listening(builder: Builder) -> (Builder, Heard) {
    let heard = Heard::default();
    let tell = heard.clone();
    (builder.on_notice(move |notice| tell.hear(notice)), heard)
}

/// The notices that a subscriber has received.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    keys: Vec<String>,
    flushes: usize,
    open: BTreeSet<String>,
    ended: usize,
}

impl Heard {
    fn look(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("nobody panics with it")
    }

    fn count(&self, key: &str) -> usize {
        self.look().keys.iter().filter(|told| *told == key).count()
    }

    fn hear(&self, notice: Notice<'_>) {
        let mut entries = self.look();
        let name = |connection: ConnectionName| format!("{connection:?}");
        match notice {
            Notice::Opened { connection } => assert!(entries.open.insert(name(connection))),
            Notice::Ended { connection } => {
                assert!(entries.open.remove(&name(connection)), "it was open");
                entries.ended += 1;
            }
            Notice::Pushed { connection, push } => {
                assert!(entries.open.contains(&name(connection)), "it is open");
                match push.invalidated().expect("nothing else is pushed") {
                    Invalidated::All => entries.flushes += 1,
                    Invalidated::Keys(keys) => {
                        let text = |key: &&[u8]| String::from_utf8_lossy(key).into_owned();
                        entries.keys.extend(keys.iter().map(text));
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

const LONG: Duration = Duration::from_secs(30);
