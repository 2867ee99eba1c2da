//! Loads of raw bytes, and loaded values that determine how long they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_caches::{Bytes, Error, LoadError, Remaining, Timeout};

use super::ops::{LONG, PAST_SHORT, SHORT, never_loaded};
use super::timeouts::assert_within;
use crate::context::{Context, connected};
use crate::gate::Gate;

pub async fn loaded_bytes_are_stored_unchanged(cx: Context) {
    let cache = cx.cache().await;
    let bytes: &'static [u8] = b"\0\xff not JSON";
    assert_eq!(cache.get_or_set_raw("key", async { bytes }).timeout(LONG).await.unwrap(), bytes);
    assert_eq!(cache.get_raw("key").await.unwrap().unwrap(), bytes);
    assert_within(cache.remaining("key").await.unwrap(), LONG, "key");
    let hit = cache.get_or_set_raw("key", never_loaded::<Bytes>()).await.unwrap();
    assert_eq!(hit, bytes);
    let loader = async { Ok::<_, String>(vec![1, 2]) };
    let tried = cache.try_get_or_set_raw("vec", loader).version(2).forever().await.unwrap();
    assert_eq!(tried, [1, 2][..]);
    assert_eq!(cache.get_raw("vec").version(2).await.unwrap().unwrap(), [1, 2][..]);
    let failing = cache.try_get_or_set_raw("fails", async { Err::<String, _>("away") }).await;
    assert!(matches!(failing, Err(LoadError::Load("away"))), "{failing:?}");
    assert!(!cache.contains("fails").await.unwrap());
    cache.set_raw("empty", "").await.unwrap();
    assert_eq!(cache.get_or_set_raw("empty", never_loaded::<Bytes>()).await.unwrap(), "");
}

pub async fn callers_share_one_load_of_bytes(cx: Context) {
    let cache = cx.cache().await;
    let (loads, gate) = (Arc::new(AtomicU32::new(0)), Gate::default());
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (cache, loads, gate) = (cache.clone(), loads.clone(), gate.clone());
            cx.spawn(async move {
                let load = async {
                    gate.pass().await;
                    loads.fetch_add(1, Ordering::SeqCst);
                    "\0 not JSON"
                };
                cache.get_or_set_raw("key", load).await.unwrap()
            })
        })
        .collect();
    gate.reached(&cx).await;
    cx.settled(&tasks).await;
    gate.open();
    for task in tasks {
        assert_eq!(task.await, "\0 not JSON");
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

pub async fn a_loaded_value_can_determine_its_timeout(cx: Context) {
    let cache = connected(cx.builder().timeout(LONG * 10)).await;
    let kept = |seconds: &u64| Duration::from_secs(*seconds);
    cache.get_or_set("key", async { 60_u64 }).timeout_with(kept).await.unwrap();
    assert_within(cache.remaining("key").await.unwrap(), LONG, "key");
    // It overrides a timeout, in either order.
    let load = cache.get_or_set("beats", async { 60_u64 }).timeout_with(kept).timeout(SHORT);
    load.await.unwrap();
    assert_within(cache.remaining("beats").await.unwrap(), LONG, "beats");
    let none = |value: &Option<i32>| value.is_none().then_some(SHORT);
    cache.get_or_set("absent", async { None::<i32> }).timeout_with(none).await.unwrap();
    cache.get_or_set("present", async { Some(1) }).timeout_with(none).await.unwrap();
    assert_within(cache.remaining("present").await.unwrap(), LONG * 10, "the default one");
    cx.sleep(PAST_SHORT).await;
    assert!(!cache.contains("absent").await.unwrap());
    let never = |_: &Bytes| Timeout::Never;
    cache.get_or_set_raw("never", async { "x" }).timeout_with(never).await.unwrap();
    assert_eq!(cache.remaining("never").await.unwrap(), Remaining::Forever);
    let tried = cache.try_get_or_set("tried", async { Ok::<_, Error>(60_u64) });
    tried.timeout_with(kept).await.unwrap();
    assert_within(cache.remaining("tried").await.unwrap(), LONG, "tried");
}

pub async fn timeout_with_is_called_only_for_a_loaded_value(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    let asked = |_: &i32| -> Duration { panic!("it was not loaded") };
    let hit = cache.get_or_set("key", never_loaded::<i32>()).timeout_with(asked).await;
    assert_eq!(hit.unwrap(), 1);
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Forever);
    let failing = cache.try_get_or_set("other", async { Err::<i32, _>("away") });
    let failed = failing.timeout_with(asked).await;
    assert!(matches!(failed, Err(LoadError::Load("away"))), "{failed:?}");
}

pub async fn an_invalid_loaded_timeout_is_an_error_and_locks_nothing(cx: Context) {
    let cache = cx.cache().await;
    for (span, is_zero) in [(Duration::ZERO, true), (Duration::MAX, false)] {
        let load = cache.get_or_set("key", async { 1 }).timeout_with(move |_| span);
        match load.await.unwrap_err() {
            Error::ZeroTimeout => assert!(is_zero),
            Error::TimeoutTooLong => assert!(!is_zero),
            other => panic!("{other:?}"),
        }
    }
    let loader = async { 2 };
    let panics =
        cache.get_or_set("key", loader).timeout_with(|_| -> Duration { panic!("as planned") });
    let panics = std::panic::AssertUnwindSafe(panics.into_owned());
    let caught = cx.spawn(async move {
        let mut loading = panics;
        std::future::poll_fn(move |cx| {
            let poll = std::panic::AssertUnwindSafe(|| std::pin::Pin::new(&mut loading.0).poll(cx));
            match std::panic::catch_unwind(poll) {
                Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
                Ok(std::task::Poll::Ready(value)) => std::task::Poll::Ready(value.is_err()),
                Err(_) => std::task::Poll::Ready(true),
            }
        })
        .await
    });
    assert!(caught.await, "it panics");
    assert!(!cache.contains("key").await.unwrap());
    assert_eq!(cache.get_or_set("key", async { 3 }).await.unwrap(), 3);
}
