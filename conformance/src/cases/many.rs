//! Many keys at once.

use std::time::Duration;

use super::ops::LONG;
use super::timeouts::assert_within;
use crate::context::Context;

pub async fn get_many_returns_values_in_request_order_with_duplicates(cx: Context) {
    let cache = cx.cache().await;
    cache.set_many([("a", 1), ("b", 2), ("c", 3)]).await.unwrap();
    let read = cache.get_many::<i32>(["c", "never", "a", "c", "b", "c"]).await.unwrap();
    assert_eq!(read, [Some(3), None, Some(1), Some(3), Some(2), Some(3)]);
}

pub async fn batches_without_keys_do_nothing(cx: Context) {
    let cache = cx.cache().await;
    assert_eq!(cache.get_many::<i32>([""; 0]).await.unwrap(), []);
    assert!(cache.get_many_raw([""; 0]).await.unwrap().is_empty());
    cache.set_many([("", 0); 0]).await.unwrap();
    assert_eq!(cache.delete_many([""; 0]).await.unwrap(), 0);
}

pub async fn every_key_of_a_batch_has_its_timeout_and_version(cx: Context) {
    let cache = cx.cache().await;
    let entries = (0..50).map(|n| (format!("key-{n}"), n));
    cache.set_many(entries).timeout(LONG).version("v").await.unwrap();
    for n in 0..50 {
        let key = format!("key-{n}");
        assert_within(cache.remaining(&key).version("v").await.unwrap(), LONG, &key);
        assert_eq!(cache.get::<i32>(&key).version("v").await.unwrap(), Some(n));
        assert!(!cache.contains(&key).await.unwrap());
    }
}

pub async fn a_batch_expires_as_a_whole(cx: Context) {
    let cache = cx.cache().await;
    let span = Duration::from_millis(40);
    cache.set_many((0..20).map(|n| (format!("key-{n}"), n))).timeout(span).await.unwrap();
    cx.sleep(span + Duration::from_millis(15)).await;
    let read = cache.get_many::<i32>((0..20).map(|n| format!("key-{n}"))).await.unwrap();
    assert_eq!(read, [None; 20]);
}

pub async fn of_two_values_for_one_key_in_a_batch_the_last_is_stored(cx: Context) {
    let cache = cx.cache().await;
    cache.set_many([("key", 1), ("other", 2), ("key", 3)]).await.unwrap();
    assert_eq!(cache.get_many::<i32>(["key", "other"]).await.unwrap(), [Some(3), Some(2)]);
}

pub async fn a_batch_replaces_values_and_timeouts(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).timeout(Duration::from_millis(40)).await.unwrap();
    cache.set_many([("key", 2)]).await.unwrap();
    cx.sleep(Duration::from_millis(55)).await;
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(2));
}

pub async fn delete_many_counts_each_existing_key_once(cx: Context) {
    let cache = cx.cache().await;
    cache.set_many([("a", 1), ("b", 2), ("c", 3)]).await.unwrap();
    assert_eq!(cache.delete_many(["a", "never", "b", "a"]).await.unwrap(), 2);
    assert_eq!(cache.get_many::<i32>(["a", "b", "c"]).await.unwrap(), [None, None, Some(3)]);
}

pub async fn ten_thousand_keys_are_one_call(cx: Context) {
    const COUNT: usize = 10_000;
    let cache = cx.cache().await;
    let name = |n: usize| format!("key-{n}");
    cache.set_many((0..COUNT).map(|n| (name(n), n))).await.unwrap();
    // In reverse, with an absent key after every other one.
    let asked = (0..COUNT).rev().flat_map(|n| [name(n), format!("no {n}")]);
    let read = cache.get_many::<usize>(asked).await.unwrap();
    assert_eq!(read.len(), 2 * COUNT);
    for (pair, n) in read.chunks(2).zip((0..COUNT).rev()) {
        assert_eq!(pair, [Some(n), None]);
    }
    let removed = cache.delete_many((0..COUNT + 5).map(name)).await.unwrap();
    assert_eq!(removed, COUNT as u64);
    assert!(!cache.contains(name(0)).await.unwrap());
}

pub async fn large_batches_cross_in_both_directions(cx: Context) {
    // Every task writes and reads more than sockets buffer. So for a while both sides have more to
    // send than the other has room for.
    const EACH: usize = 1 << 20;
    let cache = cx.cache_with("minsize=1&maxsize=1&response_timeout=30").await;
    let tasks: Vec<_> = (0..6_u8)
        .map(|task| {
            let cache = cache.clone();
            cx.spawn(async move {
                let keys: Vec<_> = (0..4_u8).map(|n| format!("{task}-{n}")).collect();
                let value = |n: u8| bytes::Bytes::from(vec![task * 16 + n; EACH]);
                for (key, n) in keys.iter().zip(0..) {
                    cache.set_raw(key, value(n)).await.unwrap();
                }
                for _ in 0..2 {
                    let read = cache.get_many_raw(&keys).await.unwrap();
                    for (read, n) in read.into_iter().zip(0..) {
                        assert!(read == Some(value(n)), "{task}-{n}");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
}
