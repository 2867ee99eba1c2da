//! An adapter that panics in any of its calls leaves nothing behind: the cache connects afterwards,
//! and a cache that was connected recovers.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Timer};
use async_caches::{Cache, builder};
use async_caches_conformance::cluster::Cluster;
use async_caches_conformance::server::{Kind, Server, Setup};

/// The functions that an adapter implements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ask {
    Now,
    IsHere,
    Seed,
    Spawn,
    Timer,
    Dial,
}

const ASKS: [Ask; 6] = [Ask::Now, Ask::IsHere, Ask::Seed, Ask::Spawn, Ask::Timer, Ask::Dial];

/// An adapter's runtime that panics on demand.
#[derive(Clone)]
struct Panicking {
    inner: Arc<dyn Runtime>,
    when: Arc<Mutex<Option<Ask>>>,
    panics: Arc<AtomicUsize>,
}

impl Panicking {
    fn new(inner: impl Runtime) -> Self {
        Self { inner: Arc::new(inner), when: Arc::default(), panics: Arc::default() }
    }

    fn panic_when(&self, ask: Option<Ask>) {
        *self.when.lock().unwrap() = ask;
    }

    fn asked(&self, ask: Ask) {
        let when = *self.when.lock().unwrap();
        if when == Some(ask) {
            self.panics.fetch_add(1, Ordering::SeqCst);
            panic!("on demand, when asked for {ask:?}");
        }
    }

    fn panics(&self) -> usize {
        self.panics.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Panicking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Panicking")
    }
}

impl Runtime for Panicking {
    fn now(&self) -> Instant {
        self.asked(Ask::Now);
        self.inner.now()
    }

    fn is_here(&self) -> bool {
        self.asked(Ask::IsHere);
        self.inner.is_here()
    }

    fn seed(&self) -> u64 {
        self.asked(Ask::Seed);
        self.inner.seed()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.asked(Ask::Spawn);
        self.inner.spawn(task);
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.asked(Ask::Timer);
        self.inner.timer()
    }

    fn dial(&self, to: Endpoint, connection: ConnectionTask) {
        self.asked(Ask::Dial);
        self.inner.dial(to, connection);
    }
}

/// Returns the output of a future, or `None` if the future panics.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

async fn nothing_is_left_behind(runtime: impl Runtime) {
    let server = Server::start(Kind::Redis, &Setup::default());
    let cluster = Cluster::start(Kind::Redis, &Setup::default(), 2, 0, Duration::from_secs(60));
    let runtime = Panicking::new(runtime);
    for url in [server.url(0), cluster.url()] {
        for ask in ASKS {
            let cache = builder(&url).runtime(runtime.clone()).build().unwrap();
            let before = runtime.panics();
            runtime.panic_when(Some(ask));
            let connected = caught(cache.connect()).await;
            runtime.panic_when(None);
            assert!(connected.is_none_or(|connected| connected.is_err()), "{url}: {ask:?}");
            assert!(runtime.panics() > before, "{url}: {ask:?} was not asked for");
            assert!(!cache.is_connected());
            cache.connect().await.unwrap();
            serves(&cache).await;
            cache.disconnect().await.unwrap();
        }
    }
}

async fn a_connected_cache_is_back(runtime: impl Runtime) {
    let server = Server::start(Kind::Redis, &Setup::default());
    let runtime = Panicking::new(runtime);
    for ask in ASKS {
        let brief = Duration::from_millis(500);
        let builder = builder(&server.url(0)).runtime(runtime.clone()).response_timeout(brief);
        let cache = builder.connect().await.unwrap();
        runtime.panic_when(Some(ask));
        server.raw(0).ask(&["CLIENT", "KILL", "TYPE", "NORMAL"]).unwrap();
        for _ in 0..5 {
            let _ = caught(cache.set("key", 1).into_future()).await;
        }
        runtime.panic_when(None);
        // A dial that failed in the meantime is tried again within the backoff.
        let until = runtime.now() + Duration::from_secs(20);
        while cache.set("key", 1).await.is_err() {
            assert!(runtime.now() < until, "{ask:?}");
            let (mut timer, at) = (runtime.timer(), runtime.now() + Duration::from_millis(10));
            poll_fn(|cx| timer.poll_until(Some(at), cx)).await;
        }
        serves(&cache).await;
        cache.disconnect().await.unwrap();
    }
}

async fn serves(cache: &Cache) {
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
}

#[test]
fn on_tokio_an_adapter_that_panics_leaves_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        nothing_is_left_behind(async_caches_tokio::Tokio::new()).await;
        a_connected_cache_is_back(async_caches_tokio::Tokio::new()).await;
    });
}

#[test]
fn on_smol_an_adapter_that_panics_leaves_nothing_behind() {
    smol::block_on(async {
        nothing_is_left_behind(async_caches_smol::Smol::new()).await;
        a_connected_cache_is_back(async_caches_smol::Smol::new()).await;
    });
}

#[test]
fn on_async_std_an_adapter_that_panics_leaves_nothing_behind() {
    async_std::task::block_on(async {
        nothing_is_left_behind(async_caches_async_std::AsyncStd::new()).await;
        a_connected_cache_is_back(async_caches_async_std::AsyncStd::new()).await;
    });
}
