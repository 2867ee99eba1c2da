//! A cache outlives the runtime that it connected on: it says so, and connects on another.

use std::time::{Duration, Instant};

use async_caches_conformance::cluster::Cluster;
use async_caches_conformance::server::{Kind, Server, Setup};
use async_caches_tokio::{Cache, Error, LinkError};
use tokio::runtime::{Builder, Runtime};

#[test]
fn a_cache_whose_runtime_has_shut_down_fails_at_once_and_can_be_connected_on_another() {
    let server = Server::start(Kind::Redis, &Setup::default());
    let first = runtime();
    let cache = first.block_on(async_caches_tokio::connect(&server.url(0))).unwrap();
    first.block_on(cache.set("key", "value").into_future()).unwrap();
    drop(first);

    runtime().block_on(async {
        fails_at_once(&cache, "key").await;
        connects_again(&cache).await;
    });
}

#[test]
fn a_cluster_whose_runtime_has_shut_down_fails_at_once_and_can_be_connected_on_another() {
    let cluster = Cluster::start(Kind::Redis, &Setup::default(), 2, 0, UNDISTURBED);
    let first = runtime();
    let cache = first.block_on(async_caches_tokio::connect(&cluster.url())).unwrap();
    // Of two nodes one has links, and the other none so far.
    first.block_on(cache.set("key", "value").into_future()).unwrap();
    drop(first);

    runtime().block_on(async {
        for key in (0..20).map(|n| format!("key{n}")) {
            fails_at_once(&cache, &key).await;
        }
        connects_again(&cache).await;
    });
}

#[test]
fn links_to_a_node_belong_to_the_runtime_that_the_cache_was_connected_on_whoever_needs_them_first()
{
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
        matches!(error, Error::Unavailable { source: LinkError::RuntimeGone, .. }),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// And finds what was stored before.
async fn connects_again(cache: &Cache) {
    cache.disconnect().await.unwrap();
    cache.connect().await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
    cache.disconnect().await.unwrap();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

const UNDISTURBED: Duration = Duration::from_secs(60);
