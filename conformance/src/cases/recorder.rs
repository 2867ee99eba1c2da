//! The events of a pool that an application's recorder receives.

use std::slice;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_caches::{Batch, Cache, Error, Recorder};

use crate::cluster::{Cluster, slot_of};
use crate::context::{Context, connected};
use crate::proxy::Proxy;
use crate::sentinels::{self, Trio, sentinel, watched};
use crate::server::{Server, Setup};

pub async fn commands_are_recorded_by_their_batches(cx: Context) {
    const ONE_BY_ONE: usize = 100;
    const TASKS: usize = 64;
    const GETS: usize = 50;
    let server = cx.start(&Setup::default());
    let books = Books::default();
    let builder = cx.builder_of(&server.url(0)).maxsize(1).recorder(books.clone());
    let cache = connected(builder).await;
    for _ in 0..ONE_BY_ONE {
        assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
    }
    let first = books.take();
    assert_eq!((first.batches.len(), first.round_trips.len()), (ONE_BY_ONE, ONE_BY_ONE));
    let length = first.batches[0].bytes;
    for Batch { commands, bytes, in_flight, queued, .. } in first.batches {
        assert_eq!((commands, bytes, in_flight, queued), (1, length, 1, 0));
    }
    let hammers: Vec<_> = (0..TASKS)
        .map(|_| {
            let cache = cache.clone();
            cx.spawn(async move {
                for _ in 0..GETS {
                    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
                }
            })
        })
        .collect();
    for hammer in hammers {
        cx.in_time(LONG, "gets", hammer).await;
    }
    let many = books.take();
    let sum = |of: fn(&Batch) -> usize| many.batches.iter().map(of).sum::<usize>();
    assert_eq!(sum(|batch| batch.commands), TASKS * GETS);
    assert_eq!(sum(|batch| batch.bytes), TASKS * GETS * length);
    assert!(many.batches.len() < TASKS * GETS / 2, "{} writes", many.batches.len());
    assert!(many.batches.iter().all(|batch| (batch.commands..=TASKS).contains(&batch.in_flight)));
    let timed = many.round_trips.len();
    assert!(timed > 0 && timed <= many.batches.len(), "{timed} of {}", many.batches.len());
    assert!(many.waits.is_empty() && many.lost == 0 && many.timed_out.is_empty());
}

pub async fn a_command_written_in_parts_is_recorded_with_the_last_part(cx: Context) {
    const LARGE: usize = 32 << 20;
    let server = cx.start(&Setup::default());
    let books = Books::default();
    let cache = connected(cx.builder_of(&server.url(0)).maxsize(1).recorder(books.clone())).await;
    server.stop();
    let setting = cx.spawn({
        let cache = cache.clone();
        async move { cache.set_raw("key", vec![7; LARGE]).await }
    });
    cx.until("a part has left", async || !books.look().batches.is_empty()).await;
    server.resume();
    cx.in_time(LONG, "a set", setting).await.unwrap();
    let mut batches = books.take().batches;
    assert!(batches.iter().map(|batch| batch.bytes).sum::<usize>() > LARGE);
    let last = batches.pop().expect("something has left");
    assert_eq!((last.commands, last.in_flight, last.queued), (1, 1, 0));
    assert!(!batches.is_empty());
    for part in batches {
        assert_eq!((part.commands, part.in_flight, part.queued), (0, 0, 1));
    }
}

pub async fn round_trips_are_recorded_with_their_duration(cx: Context) {
    let server = cx.start(&Setup::default());
    let books = Books::default();
    let cache = connected(cx.builder_of(&server.url(0)).recorder(books.clone())).await;
    server.raw(0).call(&["CLIENT", "PAUSE", "400", "ALL"]);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
    let [took] = books.take().round_trips[..] else { panic!("one is timed") };
    assert!((Duration::from_millis(200)..LONG).contains(&took), "{took:?}");
}

pub async fn waits_for_room_are_recorded(cx: Context) {
    let server = cx.start(&Setup::default());
    let books = Books::default();
    let builder = cx.builder_of(&server.url(0)).maxsize(1).max_in_flight(3);
    let cache = connected(builder.recorder(books.clone())).await;
    server.raw(0).call(&["CLIENT", "PAUSE", "400", "ALL"]);
    let gets: Vec<_> = (0..10).map(|_| cx.spawn(get(cache.clone()))).collect();
    for get in gets {
        assert_eq!(cx.in_time(LONG, "a get", get).await.unwrap(), None);
    }
    // If a caller is woken and finds no room, its wait lasts until it has some.
    let waits = books.take().waits;
    assert_eq!(waits.len(), 7, "{waits:?}");
    let spans = Duration::from_millis(100)..LONG;
    assert!(waits.iter().all(|wait| spans.contains(wait)), "{waits:?}");
}

pub async fn lost_and_reopened_connections_and_failed_dials_are_recorded(cx: Context) {
    let mut server = cx.start(&Setup::default());
    let books = Books::default();
    let cache = connected(cx.builder_of(&server.url(0)).recorder(books.clone())).await;
    assert_eq!(books.take().opened, [false]);
    server.raw(0).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    cx.until("a connection was opened", async || books.look().opened == [true]).await;
    let first = books.take();
    assert_eq!((first.lost, first.dials_failed), (1, 0));
    server.kill();
    cx.until("a dial has failed", async || books.look().dials_failed > 0).await;
    assert_eq!(books.look().lost, 1);
    server.revive();
    cx.until("a connection was opened", async || books.look().opened == [true]).await;
    books.take();
    cache.disconnect().await.unwrap();
    let last = books.take();
    assert_eq!((last.lost, last.dials_failed, last.opened.len()), (0, 0, 0));
}

pub async fn timeouts_are_recorded_by_their_operation(cx: Context) {
    let server = cx.start(&Setup::default());
    let books = Books::default();
    let builder = cx.builder_of(&server.url(0)).response_timeout(Duration::from_millis(300));
    let cache = connected(builder.recorder(books.clone())).await;
    for operation in ["GET", "SET"] {
        cx.until("the cache is well", async || cache.ping().await.is_ok()).await;
        books.take();
        server.stop();
        let outcome = match operation {
            "GET" => get(cache.clone()).await.map(drop),
            _ => cache.set("key", 1).await,
        };
        server.resume();
        assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
        assert_eq!(books.take().timed_out, [operation]);
    }
}

pub async fn repeated_commands_are_recorded_by_their_operation(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let books = Books::default();
    let builder = cx.builder_of(&server.url_at(proxy.address(), 0)).recorder(books.clone());
    let cache = connected(builder).await;
    proxy.hold();
    let getting = cx.spawn(get(cache.clone()));
    cx.until("it is in flight", async || cache.info().pool().unwrap().in_flight == 1).await;
    assert_eq!(books.look().sent_again, [""; 0]);
    proxy.sever();
    proxy.release();
    assert_eq!(cx.in_time(LONG, "a get", getting).await.unwrap(), None);
    assert_eq!(books.take().sent_again, ["GET"]);
}

pub async fn a_change_of_master_and_a_lost_sentinel_are_recorded(cx: Context) {
    let kind = cx.backend().kind().expect("it is a server");
    let [mut first, second] = [(); 2].map(|()| Server::start(kind, &Setup::default()));
    let mut only = sentinel(kind, &watched(&first, None), None);
    let url = sentinels::url(slice::from_ref(&only), &first, 0);
    let books = Books::default();
    let cache = connected(cx.builder_of(&url).recorder(books.clone())).await;
    let mut raw = only.raw_sentinel();
    raw.call(&["SENTINEL", "REMOVE", Trio::SERVICE]);
    let port = second.address().port().to_string();
    raw.call(&["SENTINEL", "MONITOR", Trio::SERVICE, "127.0.0.1", &port, "1"]);
    first.kill();
    cx.until("the other one is served from", async || books.look().opened.len() == 2).await;
    let told = books.take();
    assert_eq!((told.moved, told.sentinels_lost), (1, 0));
    only.kill();
    cx.until("the sentinel is missed", async || books.look().sentinels_lost > 0).await;
    assert_eq!(books.look().moved, 0);
    cache.disconnect().await.unwrap();
}

pub async fn redirects_are_recorded_by_their_operation(cx: Context) {
    let kind = cx.backend().kind().expect("it is a server");
    let all = Cluster::start(kind, &Setup::default(), 2, 0, LONG);
    let books = Books::default();
    let cache = connected(cx.builder_of(&all.url()).recorder(books.clone())).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(books.take().redirected, [""; 0]);
    let slot = slot_of(&all.nodes[0], "::key");
    let from = all.master_of(slot);
    let mut moving = all.begin_to_move(slot, from, 1 - from);
    while moving.step() {}
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    assert_eq!(books.take().redirected, ["GET"], "it is asked for there");
    moving.finish();
    cache.set("key", 2).await.unwrap();
    assert_eq!(books.take().redirected, ["SET"], "it has moved");
    cache.set("key", 3).await.unwrap();
    assert_eq!(books.take().redirected, [""; 0]);
}

async fn get(cache: Cache) -> Result<Option<i32>, Error> {
    cache.get("key").await
}

/// A recorder that keeps all events.
#[derive(Clone, Default)]
struct Books(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    batches: Vec<Batch>,
    round_trips: Vec<Duration>,
    waits: Vec<Duration>,
    opened: Vec<bool>,
    lost: usize,
    dials_failed: usize,
    moved: usize,
    sentinels_lost: usize,
    timed_out: Vec<&'static str>,
    sent_again: Vec<&'static str>,
    redirected: Vec<&'static str>,
}

impl Books {
    fn look(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("nobody panics with it")
    }

    fn take(&self) -> Entries {
        std::mem::take(&mut *self.look())
    }
}

impl Recorder for Books {
    fn batch_written(&self, batch: Batch) {
        self.look().batches.push(batch);
    }

    fn round_trip(&self, took: Duration) {
        self.look().round_trips.push(took);
    }

    fn waited_for_connection(&self, span: Duration) {
        self.look().waits.push(span);
    }

    fn connection_opened(&self, reconnect: bool) {
        self.look().opened.push(reconnect);
    }

    fn connection_lost(&self) {
        self.look().lost += 1;
    }

    fn dial_failed(&self) {
        self.look().dials_failed += 1;
    }

    fn master_changed(&self) {
        self.look().moved += 1;
    }

    fn sentinel_lost(&self) {
        self.look().sentinels_lost += 1;
    }

    fn timed_out(&self, operation: &'static str) {
        self.look().timed_out.push(operation);
    }

    fn sent_again(&self, operation: &'static str) {
        self.look().sent_again.push(operation);
    }

    fn redirected(&self, operation: &'static str) {
        self.look().redirected.push(operation);
    }
}

const LONG: Duration = Duration::from_secs(30);
