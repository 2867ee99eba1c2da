//! Loading through the cache: one load at a time for a key, whatever happens to its leader.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_caches::{Cache, Error, LoadError};

use super::ops::{LONG, never_loaded, unspeakable};
use super::timeouts::assert_within;
use crate::abandon::{a_turn, after_pending, after_polls};
use crate::context::Context;
use crate::gate::{Gate, held_load};

pub async fn a_miss_loads_and_stores(cx: Context) {
    let cache = cx.cache().await;
    assert_eq!(cache.get_or_set("key", async { 1 }).await.unwrap(), 1);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    let loading = cache.try_get_or_set("other", async { Ok::<_, String>(2) });
    assert_eq!(loading.timeout(LONG).await.unwrap(), 2);
    assert_eq!(cache.get::<i32>("other").await.unwrap(), Some(2));
    assert_within(cache.remaining("other").await.unwrap(), LONG, "other");
}

pub async fn a_hit_does_not_poll_the_loader(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    cache.set("null", None::<i32>).await.unwrap();
    let hit = cache.get_or_set("key", never_loaded::<i32>());
    assert_eq!(hit.await.unwrap(), 1);
    let null = cache.get_or_set("null", never_loaded::<Option<i32>>());
    assert_eq!(null.await.unwrap(), None);
    let hit = cache.try_get_or_set("key", never_loaded::<Result<i32, ()>>());
    assert_eq!(hit.await.unwrap(), 1);
}

pub async fn a_loaded_null_is_cached(cx: Context) {
    let cache = cx.cache().await;
    assert_eq!(cache.get_or_set("key", async { None::<i32> }).await.unwrap(), None);
    let hit = cache.get_or_set("key", never_loaded::<Option<i32>>());
    assert_eq!(hit.await.unwrap(), None);
}

pub async fn many_callers_share_one_load(cx: Context) {
    let cache = cx.cache().await;
    sixty_four_callers_share_one_load(&cx, &[cache]).await;
}

pub async fn separately_opened_caches_share_one_load(cx: Context) {
    let caches = [cx.cache().await, cx.cache().await];
    sixty_four_callers_share_one_load(&cx, &caches).await;
}

async fn sixty_four_callers_share_one_load(cx: &Context, caches: &[Cache]) {
    let (loads, gate) = (Arc::new(AtomicU32::new(0)), Gate::default());
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let cache = caches[n % caches.len()].clone();
            let (loads, gate) = (loads.clone(), gate.clone());
            cx.spawn(async move {
                let load = async {
                    gate.pass().await;
                    loads.fetch_add(1, Ordering::SeqCst)
                };
                cache.get_or_set("key", load).await.unwrap()
            })
        })
        .collect();
    gate.reached(cx).await;
    cx.settled(&tasks).await;
    gate.open();
    for task in tasks {
        assert_eq!(task.await, 0);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

pub async fn keys_and_versions_load_independently(cx: Context) {
    let cache = cx.cache().await;
    let (gate, leader) = held_load(&cx, &cache, "key", 1).await;
    let other = cache.get_or_set("other", async { 2 });
    assert_eq!(cx.within(SOON, "another key's load", other).await.unwrap(), 2);
    let version = cache.get_or_set("key", async { 3 }).version(1);
    assert_eq!(cx.within(SOON, "another version's load", version).await.unwrap(), 3);
    assert!(!leader.is_done());
    gate.open();
    assert_eq!(leader.await, 1);
}

pub async fn a_loaders_error_reaches_its_caller_and_is_not_cached(cx: Context) {
    let cache = cx.cache().await;
    let failing = cache.try_get_or_set("key", async { Err::<i32, _>("no luck") });
    match failing.await {
        Err(LoadError::Load(error)) => assert_eq!(error, "no luck"),
        other => panic!("{other:?}"),
    }
    assert!(!cache.contains("key").await.unwrap());
    let next = cache.try_get_or_set("key", async { Ok::<_, String>(2) });
    assert_eq!(next.await.unwrap(), 2);
}

pub async fn a_followers_own_loader_runs_when_the_leaders_fails(cx: Context) {
    let cache = cx.cache().await;
    let gate = Gate::default();
    let inner = gate.clone();
    let leading = cache.clone();
    let leader = cx.spawn(async move {
        let load = async {
            inner.pass().await;
            Err::<i32, _>("no luck")
        };
        leading.try_get_or_set("key", load).await
    });
    gate.reached(&cx).await;
    let followers: Vec<_> = (0..8)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move { cache.get_or_set("key", async move { n }).await.unwrap() })
        })
        .collect();
    cx.settled(&followers).await;
    gate.open();
    assert!(matches!(leader.await, Err(LoadError::Load("no luck"))));
    let mut values = Vec::new();
    for follower in followers {
        values.push(cx.within(SOON, "a follower", follower).await);
    }
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(values[0]));
}

pub async fn a_follower_takes_over_wherever_its_leader_was_dropped(cx: Context) {
    let cache = cx.cache().await;
    for pending_times in 1..=6 {
        for by_wakes in [true, false] {
            let key = format!("key-{pending_times}-{by_wakes}");
            let (leading, name) = (cache.clone(), key.clone());
            let leader = cx.spawn(async move {
                let load = async {
                    a_turn().await;
                    a_turn().await;
                    "leader".to_owned()
                };
                let leading = leading.get_or_set(&name, load);
                match by_wakes {
                    true => after_pending(pending_times, leading).await.map(Result::unwrap),
                    false => after_polls(pending_times, leading).await.map(Result::unwrap),
                }
            });
            let followers: Vec<_> = (0..3)
                .map(|n| {
                    let (cache, name) = (cache.clone(), key.clone());
                    let load = async move {
                        a_turn().await;
                        format!("follower {n}")
                    };
                    cx.spawn(async move { cache.get_or_set(&name, load).await.unwrap() })
                })
                .collect();
            let led = cx.within(SOON, "the leader", leader).await;
            let mut values: Vec<String> = led.into_iter().collect();
            for follower in followers {
                values.push(cx.within(SOON, "a follower", follower).await);
            }
            let stored = cache.get::<String>(&key).await.unwrap().expect("somebody stored it");
            assert!(values.contains(&stored), "{stored} of {values:?}, {key}");
            let hit = cache.get_or_set(&key, never_loaded());
            let hit: String = cx.within(SOON, "a later caller", hit).await.unwrap();
            assert_eq!(hit, stored);
        }
    }
}

pub async fn followers_inherit_the_load_of_a_dropped_leader_one_by_one(cx: Context) {
    let cache = cx.cache().await;
    let gate = Gate::default();
    let inner = gate.clone();
    let leading = cache.clone();
    let go = Arc::new(AtomicBool::new(false));
    let stop = go.clone();
    let leader = cx.spawn(async move {
        let loading = async {
            inner.pass().await;
            0
        };
        let mut loading = pin!(leading.get_or_set("key", loading));
        poll_fn(|wakers| {
            if stop.load(Ordering::SeqCst) {
                return Poll::Ready(None);
            }
            wakers.waker().wake_by_ref();
            loading.as_mut().poll(wakers).map(Some)
        })
        .await
    });
    gate.reached(&cx).await;
    let following = cache.clone();
    let follower = cx.spawn(async move { following.get_or_set("key", async { 1 }).await.unwrap() });
    cx.sleep(Duration::from_millis(5)).await;
    assert!(!follower.is_done());
    go.store(true, Ordering::SeqCst);
    assert!(leader.await.is_none());
    assert_eq!(cx.within(SOON, "the follower", follower).await, 1);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
}

pub async fn a_loader_that_panics_does_not_block_other_callers(cx: Context) {
    let cache = cx.cache().await;
    let gate = Gate::default();
    let inner = gate.clone();
    let leading = cache.clone();
    let leader = cx.spawn(async move {
        let load = async {
            inner.pass().await;
            never_loaded::<i32>().await
        };
        let mut loading = Box::pin(leading.get_or_set("key", load));
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| loading.as_mut().poll(cx))) {
            Ok(poll) => poll.map(|_| false),
            Err(_) => Poll::Ready(true),
        })
        .await
    });
    gate.reached(&cx).await;
    let following = cache.clone();
    let follower = cx.spawn(async move { following.get_or_set("key", async { 1 }).await.unwrap() });
    cx.sleep(Duration::from_millis(5)).await;
    gate.open();
    assert!(leader.await, "the panic reaches the loader's caller");
    assert_eq!(cx.within(SOON, "the follower", follower).await, 1);
    assert_eq!(cache.get_or_set("key", async { 2 }).await.unwrap(), 1);
    assert_eq!(cache.get_or_set("another", async { 3 }).await.unwrap(), 3);
}

pub async fn a_load_begins_while_loads_of_other_keys_keep_ending(cx: Context) {
    const ROUNDS: usize = 8;
    const LOADS: usize = 400;
    let cache = cx.cache().await;
    // So many other loads end in each round that one of them is taken for a load of this key.
    let begun = AtomicUsize::new(0);
    let mut others = Vec::new();
    for round in 0..ROUNDS {
        let load = async || {
            begun.fetch_add(1, Ordering::SeqCst);
            pending::<i32>().await
        };
        let key = |n| format!("other{}", round * LOADS + n);
        let mut loads: Vec<_> =
            (0..LOADS).map(|n| Box::pin(cache.get_or_set(key(n), load()))).collect();
        let all_begin = poll_fn(|wakers| {
            assert!(loads.iter_mut().all(|load| load.as_mut().poll(wakers).is_pending()));
            if begun.load(Ordering::SeqCst) < (round + 1) * LOADS {
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        cx.within(LONG, "the others begin", all_begin).await;
        others.push(loads);
    }
    let mut load = pin!(cache.get_or_set("key", async { 1 }));
    let loaded = poll_fn(|wakers| {
        let polled = load.as_mut().poll(wakers);
        if polled.is_pending() {
            assert!(others.pop().is_some(), "it looks again, and again");
        }
        polled
    });
    assert_eq!(cx.within(LONG, "the load", loaded).await.unwrap(), 1);
}

pub async fn a_delete_while_loading_wins(cx: Context) {
    a_removal_while_loading_wins(cx, async |cache| assert!(!cache.delete("key").await.unwrap()))
        .await;
}

pub async fn a_delete_of_many_while_loading_wins(cx: Context) {
    let removal = async |cache: &Cache| {
        assert_eq!(cache.delete_many(["other", "key"]).await.unwrap(), 0);
    };
    a_removal_while_loading_wins(cx, removal).await;
}

pub async fn a_clear_while_loading_wins(cx: Context) {
    a_removal_while_loading_wins(cx, async |cache| cache.clear().await.unwrap()).await;
}

pub async fn a_clear_of_the_prefix_while_loading_wins(cx: Context) {
    let removal = async |cache: &Cache| assert_eq!(cache.clear_prefix().await.unwrap(), 0);
    a_removal_while_loading_wins(cx, removal).await;
}

pub async fn a_set_while_loading_wins(cx: Context) {
    let cache = cx.cache().await;
    let value = while_loading(&cx, &cache, async |cache| cache.set("key", 2).await.unwrap()).await;
    assert_eq!(value, 1);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(2));
}

pub async fn a_disconnect_while_loading_loses_no_value(cx: Context) {
    let cache = cx.cache().await;
    let gate = Gate::default();
    let (inner, loading) = (gate.clone(), cache.clone());
    let loader = cx.spawn(async move {
        let load = async {
            inner.pass().await;
            1
        };
        loading.get_or_set("key", load).await
    });
    gate.reached(&cx).await;
    let following = cache.clone();
    let follower = cx.spawn(async move { following.get_or_set("key", async { 2 }).await });
    cx.sleep(Duration::from_millis(5)).await;
    cx.within(SOON, "disconnect", cache.disconnect()).await.unwrap();
    gate.open();
    assert_eq!(cx.within(SOON, "the loader", loader).await.unwrap(), 1);
    match cx.within(SOON, "the follower", follower).await {
        Ok(value) => assert!((1..=2).contains(&value), "{value}"),
        // On a busy machine it may come too late to follow the load.
        Err(error) => assert!(matches!(error, Error::NotConnected), "{error:?}"),
    }
    cache.connect().await.unwrap();
    let next = cache.get_or_set("another", async { 3 });
    assert_eq!(cx.within(SOON, "the next caller", next).await.unwrap(), 3);
}

pub async fn a_loaded_value_that_does_not_serialize_is_an_error_and_locks_nothing(cx: Context) {
    let cache = cx.cache().await;
    let error = cache.get_or_set("key", async { unspeakable() }).await.unwrap_err();
    assert!(matches!(error, Error::Serialize { .. }), "{error:?}");
    let next = cache.get_or_set("key", async { 1 });
    assert_eq!(cx.within(SOON, "the next caller", next).await.unwrap(), 1);
}

pub async fn an_expired_value_is_loaded_again(cx: Context) {
    let cache = cx.cache().await;
    let span = Duration::from_millis(40);
    assert_eq!(cache.get_or_set("key", async { 1 }).timeout(span).await.unwrap(), 1);
    cx.sleep(span + Duration::from_millis(15)).await;
    assert_eq!(cache.get_or_set("key", async { 2 }).await.unwrap(), 2);
}

async fn a_removal_while_loading_wins(cx: Context, removal: impl AsyncFnOnce(&Cache)) {
    let cache = cx.cache().await;
    assert_eq!(while_loading(&cx, &cache, removal).await, 1);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
    assert_eq!(cache.get_or_set("key", async { 3 }).await.unwrap(), 3);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(3));
}

/// Runs `act` while `key` is being loaded. Returns the value that the loader's caller gets.
async fn while_loading(cx: &Context, cache: &Cache, act: impl AsyncFnOnce(&Cache)) -> i32 {
    let gate = Gate::default();
    let inner = gate.clone();
    let loading = cache.clone();
    let loader = cx.spawn(async move {
        let load = async {
            inner.pass().await;
            1
        };
        loading.get_or_set("key", load).await.unwrap()
    });
    gate.reached(cx).await;
    cx.within(SOON, "what is done while loading", act(cache)).await;
    gate.open();
    cx.within(SOON, "the loader", loader).await
}

const SOON: Duration = Duration::from_secs(3);
