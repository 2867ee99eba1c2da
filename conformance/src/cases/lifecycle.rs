//! Connecting and disconnecting.

use async_caches::Error;

use super::ops;
use crate::abandon::after_pending;
use crate::context::Context;

pub async fn no_operation_runs_before_connect(cx: Context) {
    let cache = cx.builder().build().unwrap();
    assert!(!cache.is_connected());
    for (name, operation) in ops::all() {
        let error = operation(cache.clone()).await.unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{name}: {error:?}");
    }
    let error = cache.disconnect().await.unwrap_err();
    assert!(matches!(error, Error::NotConnected), "{error:?}");
}

pub async fn no_operation_runs_after_disconnect(cx: Context) {
    let cache = cx.cache().await;
    let clone = cache.clone();
    assert!(clone.is_connected());
    cache.disconnect().await.unwrap();
    assert!(!clone.is_connected());
    for (name, operation) in ops::all() {
        let error = operation(clone.clone()).await.unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{name}: {error:?}");
    }
    let error = clone.disconnect().await.unwrap_err();
    assert!(matches!(error, Error::NotConnected), "{error:?}");
}

pub async fn a_second_connect_is_an_error_and_changes_nothing(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    let before = cache.get::<i32>("key").await.unwrap();
    let error = cache.connect().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyConnected), "{error:?}");
    let error = cache.clone().connect().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyConnected), "{error:?}");
    assert!(cache.is_connected());
    assert_eq!(cache.get::<i32>("key").await.unwrap(), before);
}

pub async fn a_cache_connects_again_after_disconnect(cx: Context) {
    let cache = cx.cache().await;
    for round in 0..5 {
        cache.set("key", round).await.unwrap();
        cache.disconnect().await.unwrap();
        assert!(!cache.is_connected());
        cache.connect().await.unwrap();
        assert!(cache.is_connected());
        cache.ping().await.unwrap();
    }
}

pub async fn a_connected_cache_answers_a_ping(cx: Context) {
    let cache = cx.cache().await;
    cache.ping().await.unwrap();
    assert!(cache.is_connected());
}

pub async fn operations_do_nothing_until_they_are_awaited(cx: Context) {
    let cache = cx.cache().await;
    drop(cache.set("key", 1));
    drop(cache.add("key", 1));
    drop(cache.get_or_set("key", async { 1 }));
    drop(cache.disconnect());
    assert!(cache.is_connected());
    assert!(!cache.contains("key").await.unwrap());
}

pub async fn a_dropped_connect_or_disconnect_locks_nothing(cx: Context) {
    let cache = cx.builder().build().unwrap();
    for times in 1..5 {
        let connected = after_pending(times, cache.connect()).await;
        assert_eq!(cache.is_connected(), connected.is_some_and(|outcome| outcome.is_ok()));
        if !cache.is_connected() {
            cache.connect().await.unwrap();
        }
        cache.set("key", times).await.unwrap();
        let _ = after_pending(times, cache.disconnect()).await;
        if cache.is_connected() {
            cache.disconnect().await.unwrap();
        }
        let error = cache.ping().await.unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{error:?}");
    }
}

pub async fn caches_of_one_url_connect_independently(cx: Context) {
    let (first, second) = (cx.cache().await, cx.cache().await);
    first.disconnect().await.unwrap();
    assert!(second.is_connected());
    second.ping().await.unwrap();
    let error = first.ping().await.unwrap_err();
    assert!(matches!(error, Error::NotConnected), "{error:?}");
}

pub async fn a_lazily_connected_cache_is_connected_at_once_and_serves(cx: Context) {
    let cache = cx.builder().connect_lazily().unwrap();
    assert!(cache.is_connected());
    let error = cache.connect().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyConnected), "{error:?}");
    cache.set("key", 1).await.unwrap();
    cache.ping().await.unwrap();
    assert_eq!(cache.get_or_set("loaded", async { 2 }).await.unwrap(), 2);
    cache.disconnect().await.unwrap();
    let error = cache.ping().await.unwrap_err();
    assert!(matches!(error, Error::NotConnected), "{error:?}");
    // Nothing was dialled yet.
    let cache = cx.builder().connect_lazily().unwrap();
    cache.disconnect().await.unwrap();
    let error = cx.builder().key_prefix("a:b").connect_lazily().unwrap_err();
    assert!(matches!(error, Error::Key(_)), "{error:?}");
}
