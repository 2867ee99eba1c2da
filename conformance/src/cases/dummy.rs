//! The backend that keeps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_caches::{Error, Remaining};

use super::ops::{self, LONG, unspeakable};
use crate::context::Context;

pub async fn nothing_is_kept(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    cache.set_raw("key", "1").timeout(LONG).await.unwrap();
    cache.set_many([("key", 1), ("other", 2)]).await.unwrap();
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
    assert_eq!(cache.get_raw("key").await.unwrap(), None);
    assert_eq!(cache.get_many::<i32>(["key", "other", "key"]).await.unwrap(), [None; 3]);
    assert_eq!(cache.get_many_raw(["key", "other"]).await.unwrap(), [None, None]);
    assert!(!cache.contains("key").await.unwrap());
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Absent);
}

pub async fn nothing_is_added_touched_or_deleted(cx: Context) {
    let cache = cx.cache().await;
    assert!(!cache.add("key", 1).await.unwrap());
    assert!(!cache.touch("key").await.unwrap());
    assert!(!cache.touch("key").timeout(LONG).await.unwrap());
    assert!(!cache.delete("key").await.unwrap());
    assert_eq!(cache.delete_many(["key", "other"]).await.unwrap(), 0);
    assert_eq!(cache.clear_prefix().await.unwrap(), 0);
    assert!(!cache.delete_if_equals("key", 1).await.unwrap());
    assert!(!cache.delete_if_equals_raw("key", "").await.unwrap());
    cache.clear().await.unwrap();
}

pub async fn every_first_sum_is_forgotten(cx: Context) {
    let cache = cx.cache().await;
    for _ in 0..3 {
        assert_eq!(cache.incr("key", 2).or_insert(40).timeout(LONG).await.unwrap(), 42);
        assert_eq!(cache.decr("key", 0.5).or_insert(1.0).await.unwrap(), 0.5);
        let error = cache.incr("key", 1).or_insert(i64::MAX).await.unwrap_err();
        assert!(matches!(error, Error::Overflow { .. }), "{error:?}");
    }
    assert!(!cache.contains("key").await.unwrap());
}

pub async fn nothing_is_added_to(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    let error = cache.incr("key", 1).await.unwrap_err();
    assert!(matches!(error, Error::KeyNotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("key"), "{error}");
    let error = cache.decr("key", 1.5).await.unwrap_err();
    assert!(matches!(error, Error::KeyNotFound { .. }), "{error:?}");
}

pub async fn every_call_loads(cx: Context) {
    let cache = cx.cache().await;
    let loads = Arc::new(AtomicU32::new(0));
    for n in 0..3 {
        let counter = loads.clone();
        let load = async move { counter.fetch_add(1, Ordering::SeqCst) };
        assert_eq!(cache.get_or_set("key", load).await.unwrap(), n);
    }
    let counter = loads.clone();
    let load = async move { Ok::<_, String>(counter.fetch_add(1, Ordering::SeqCst)) };
    assert_eq!(cache.try_get_or_set("key", load).await.unwrap(), 3);
}

pub async fn values_must_serialize_although_none_is_stored(cx: Context) {
    let cache = cx.cache().await;
    let errors = [
        cache.set("a key", unspeakable()).await.unwrap_err(),
        cache.add("a key", unspeakable()).await.unwrap_err(),
        cache.delete_if_equals("a key", unspeakable()).await.unwrap_err(),
        cache.set_many([("a key", unspeakable())]).await.unwrap_err(),
        cache.get_or_set("a key", async { unspeakable() }).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Serialize { .. }), "{error:?}");
        assert!(error.to_string().contains("a key"), "{error}");
    }
}

pub async fn every_operation_succeeds_but_those_that_need_a_number(cx: Context) {
    let cache = cx.cache().await;
    for (name, operation) in ops::all() {
        match (name, operation(cache.clone()).await) {
            ("incr" | "decr" | "incr_by" | "decr_by", Err(Error::KeyNotFound { .. })) => {}
            ("incr" | "decr" | "incr_by" | "decr_by", other) => panic!("{name}: {other:?}"),
            (_, outcome) => outcome.unwrap_or_else(|error| panic!("{name}: {error:?}")),
        }
    }
}
