//! A cache outlives the runtime that it connected on: it says so, and connects on another.

use std::time::{Duration, Instant};

use async_caches_conformance::server::{Kind, Server, Setup};
use async_caches_tokio::{Error, LinkError};

#[test]
fn a_cache_whose_runtime_has_shut_down_fails_at_once_and_can_be_connected_on_another() {
    let server = Server::start(Kind::Redis, &Setup::default());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let cache = first.block_on(async_caches_tokio::connect(&server.url(0))).unwrap();
    first.block_on(cache.set("key", "value").into_future()).unwrap();
    drop(first);

    runtime().block_on(async {
        let began = Instant::now();
        let error = cache.get::<String>("key").await.unwrap_err();
        assert!(
            matches!(error, Error::Unavailable { source: LinkError::RuntimeGone, .. }),
            "{error:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(1));
        cache.disconnect().await.unwrap();
        cache.connect().await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
        cache.disconnect().await.unwrap();
    });
}
