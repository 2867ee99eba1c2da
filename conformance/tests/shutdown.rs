//! A cache outlives the runtime that it connected on, and goes on working on its caller's.

use std::time::{Duration, Instant};

use async_caches_conformance::cluster::Cluster;
use async_caches_conformance::sentinels::Trio;
use async_caches_conformance::server::{Kind, Server, Setup};
use async_caches_tokio::{Cache, ConnectionFailure, Error};
use tokio::runtime::{Builder, Runtime};

#[test]
fn a_cache_reopens_its_pool_on_the_callers_runtime_after_a_shutdown() {
    let server = Server::start(Kind::Redis, &Setup::default());
    serves_on_several_runtimes(&server.url(0), 1);
}

#[test]
fn a_cache_behind_sentinels_reopens_its_pool_on_the_callers_runtime() {
    let trio = Trio::start(Kind::Redis, None, UNDISTURBED);
    serves_on_several_runtimes(&trio.url(0), 1);
}

#[test]
fn a_cluster_reopens_its_pools_on_the_callers_runtime_after_a_shutdown() {
    let cluster = Cluster::start(Kind::Redis, &Setup::default(), 2, 0, UNDISTURBED);
    serves_on_several_runtimes(&cluster.url(), 20);
}

#[test]
fn concurrent_calls_after_a_runtime_shutdown_open_one_pool() {
    let server = Server::start(Kind::Redis, &Setup::default());
    let cache = runtime().block_on(async_caches_tokio::connect(&server.url(0))).unwrap();
    let threads = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    threads.block_on(async {
        let calls: Vec<_> = (0..100)
            .map(|n| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.set(n.to_string(), n).await })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!(server.raw(0).other_clients().len(), 1);
    });
}

#[test]
fn after_a_runtime_shutdown_calls_fail_at_once_unless_inside_a_runtime() {
    let server = Server::start(Kind::Redis, &Setup::default());
    let cluster = Cluster::start(Kind::Redis, &Setup::default(), 2, 0, UNDISTURBED);
    for url in [server.url(0), cluster.url()] {
        let cache = runtime().block_on(async_caches_tokio::connect(&url)).unwrap();
        for key in (0..20).map(|n| format!("key{n}")) {
            smol::block_on(fails_at_once(&cache, &key));
        }
        runtime().block_on(serves(&cache, "key", 1));
        assert!(cache.is_connected());
        let again = runtime();
        again.block_on(async {
            cache.disconnect().await.unwrap();
            cache.connect().await.unwrap();
            serves(&cache, "key", 2).await;
        });
    }
}

#[test]
fn a_call_from_another_runtime_waits_until_the_caches_own_runs_again() {
    let server = Server::start(Kind::Redis, &Setup::default());
    let brief = Duration::from_millis(100);
    let own = runtime();
    let builder = async_caches_tokio::builder(&server.url(0)).response_timeout(brief);
    let cache = own.block_on(builder.connect()).unwrap();
    let (calling, other) = (cache.clone(), runtime());
    let call = std::thread::spawn(move || {
        other.block_on(calling.set("key", "value").into_future()).is_ok()
    });
    // No task drives the connections, so the call does not end, not even after its deadline.
    std::thread::sleep(brief * 5);
    assert!(!call.is_finished());
    own.block_on(async {
        while !call.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    call.join().unwrap();
}

#[test]
fn connect_fails_outside_of_a_runtime_and_succeeds_inside_one_later() {
    let server = Server::start(Kind::Redis, &Setup::default());
    let cluster = Cluster::start(Kind::Redis, &Setup::default(), 2, 0, UNDISTURBED);
    let trio = Trio::start(Kind::Redis, None, UNDISTURBED);
    for url in [server.url(0), cluster.url(), trio.url(0)] {
        let cache = async_caches_tokio::open(&url).unwrap();
        for _ in 0..2 {
            let error = smol::block_on(cache.connect()).unwrap_err();
            assert!(matches!(error, Error::NoRuntime { .. }), "{error:?}");
            assert!(error.to_string().contains("inside the runtime"), "{error}");
            assert!(!cache.is_connected());
        }
        runtime().block_on(async {
            cache.connect().await.unwrap();
            serves(&cache, "key", 1).await;
        });
    }
}

#[test]
fn connect_fails_on_a_runtime_shutting_down_and_succeeds_on_another() {
    let server = Server::start(Kind::Redis, &Setup::default());
    let cache = async_caches_tokio::open(&server.url(0)).unwrap();
    let (first, connecting) = (runtime(), cache.clone());
    /// Connects when it is dropped, while its runtime shuts down.
    struct OnDrop(Cache);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let error = smol::block_on(self.0.connect()).unwrap_err();
            assert!(matches!(error, Error::NoRuntime { .. } | Error::Unavailable { .. }));
        }
    }
    let late = OnDrop(connecting);
    first.spawn(async move {
        let _late = late;
        std::future::pending::<()>().await;
    });
    first.block_on(tokio::task::yield_now());
    drop(first);
    runtime().block_on(async {
        cache.connect().await.unwrap();
        serves(&cache, "key", 1).await;
    });
}

#[test]
fn connections_to_nodes_run_on_the_runtime_that_connected_the_cache() {
    let cluster = Cluster::start(Kind::Redis, &Setup::default(), 2, 0, UNDISTURBED);
    let own = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cache = own.block_on(async_caches_tokio::connect(&cluster.url())).unwrap();
    let keys: Vec<_> = (0..20).map(|n| format!("key{n}")).collect();
    let other = runtime();
    for key in &keys {
        other.block_on(cache.set(key, 1).into_future()).unwrap();
    }
    drop(other);
    own.block_on(async {
        for key in &keys {
            assert_eq!(cache.get::<i32>(key).await.unwrap(), Some(1));
        }
        cache.disconnect().await.unwrap();
    });
}

async fn fails_at_once(cache: &Cache, key: &str) {
    let began = Instant::now();
    let error = cache.get::<String>(key).await.unwrap_err();
    assert!(
        matches!(error, Error::Unavailable { source: ConnectionFailure::RuntimeGone, .. }),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// Uses a cache as several tests use a `static`, each on a runtime of its own.
fn serves_on_several_runtimes(url: &str, keys: usize) {
    let cache = async_caches_tokio::open(url).unwrap();
    for round in 0..3 {
        runtime().block_on(async {
            if round == 0 {
                cache.connect().await.unwrap();
            }
            assert!(cache.is_connected());
            for n in 0..keys {
                serves(&cache, &format!("key{n}"), round).await;
            }
            let loaded = cache.get_or_set(format!("loaded{round}"), async { round }).await;
            assert_eq!(loaded.unwrap(), round);
        });
    }
}

async fn serves(cache: &Cache, key: &str, value: i32) {
    cache.set(key, value).await.unwrap();
    assert_eq!(cache.get(key).await.unwrap(), Some(value));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

const UNDISTURBED: Duration = Duration::from_secs(60);
