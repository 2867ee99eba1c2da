//! Stores in this process's memory: which caches share one, how long it lives, how large it grows.

use std::time::Duration;

use crate::context::{Context, connected};

pub async fn caches_of_one_name_share_a_store(cx: Context) {
    let (first, second) = (cx.cache().await, cx.cache().await);
    first.set("key", 1).await.unwrap();
    assert_eq!(second.get::<i32>("key").await.unwrap(), Some(1));
    assert!(second.delete("key").await.unwrap());
    assert_eq!(first.get::<i32>("key").await.unwrap(), None);
}

pub async fn caches_of_other_names_share_nothing(cx: Context) {
    let one = cx.cache().await;
    let other = connected(cx.builder_of(&format!("{}-other", cx.url()))).await;
    one.set("key", 1).await.unwrap();
    assert_eq!(other.get::<i32>("key").await.unwrap(), None);
    other.set("key", 2).await.unwrap();
    one.clear().await.unwrap();
    assert_eq!(other.get::<i32>("key").await.unwrap(), Some(2));
}

pub async fn a_second_connect_to_a_store_keeps_its_entries(cx: Context) {
    let first = cx.cache().await;
    first.set("key", 1).await.unwrap();
    let second = cx.cache().await;
    assert_eq!(second.get::<i32>("key").await.unwrap(), Some(1));
    assert_eq!(first.get::<i32>("key").await.unwrap(), Some(1));
}

pub async fn a_store_is_freed_when_its_last_cache_disconnects(cx: Context) {
    let (first, second) = (cx.cache().await, cx.cache().await);
    first.set("key", 1).await.unwrap();
    first.disconnect().await.unwrap();
    assert_eq!(second.get::<i32>("key").await.unwrap(), Some(1));
    first.connect().await.unwrap();
    assert_eq!(first.get::<i32>("key").await.unwrap(), Some(1));
    first.disconnect().await.unwrap();
    second.disconnect().await.unwrap();
    second.connect().await.unwrap();
    assert_eq!(second.get::<i32>("key").await.unwrap(), None);
}

pub async fn a_store_is_freed_when_its_last_cache_is_dropped(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    let clone = cache.clone();
    drop(cache);
    assert_eq!(clone.get::<i32>("key").await.unwrap(), Some(1));
    drop(clone);
    let cache = cx.cache().await;
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
}

pub async fn a_name_may_be_empty_or_hold_any_text(cx: Context) {
    let mut caches = Vec::new();
    for name in ["%20", "%25", "a.b-c_d", "%C3%A9"] {
        let cache = connected(cx.builder_of(&format!("{}{name}", cx.url()))).await;
        cache.set("name", name).await.unwrap();
        caches.push((name, cache));
    }
    for (name, cache) in caches {
        assert_eq!(cache.get::<String>("name").await.unwrap().unwrap(), name);
    }
}

pub async fn a_store_never_exceeds_max_entries(cx: Context) {
    let cache = cx.cache_with("max_entries=100").await;
    cache.set_many((0..1_000).map(|n| (format!("key-{n}"), n))).await.unwrap();
    let read = cache.get_many::<i32>((0..1_000).map(|n| format!("key-{n}"))).await.unwrap();
    let kept = read.iter().flatten().count();
    assert!((1..=100).contains(&kept), "{kept}");
    assert!(read.iter().zip(0..).all(|(value, n)| value.is_none_or(|value| value == n)));
}

pub async fn a_store_never_exceeds_max_bytes(cx: Context) {
    const LIMIT: usize = 100_000;
    let cache = connected(cx.builder().max_bytes(LIMIT as u64)).await;
    for n in 0..100 {
        cache.set_raw(format!("key-{n}"), vec![n; 5_000]).await.unwrap();
    }
    let read = cache.get_many_raw((0..100).map(|n| format!("key-{n}"))).await.unwrap();
    let kept: usize = read.iter().flatten().map(|value| value.len()).sum();
    assert!((1..=LIMIT).contains(&kept), "{kept}");
}

pub async fn expired_entries_are_freed_without_being_accessed(cx: Context) {
    let cache = cx.cache().await;
    let pairs = (0..10_000).map(|n| (format!("key-{n}"), n));
    cache.set_many(pairs).timeout(Duration::from_millis(50)).await.unwrap();
    cache.set("stays", 1).timeout(Duration::from_secs(3_600)).await.unwrap();
    let left = || cache.stats().unwrap().entries;
    cx.until("the sweeper came by", async || left() == 1).await;
    assert_eq!(cache.stats().unwrap().expired, 10_000);
    // The sweeper runs again soon, although its next wake-up was an hour away.
    cache.set("short", 1).timeout(Duration::from_millis(50)).await.unwrap();
    cx.until("the sweeper came by again", async || left() == 1).await;
}

pub async fn a_value_larger_than_its_store_is_refused_and_evicts_nothing_else(cx: Context) {
    let cache = connected(cx.builder().max_bytes(10_000)).await;
    cache.set("small", 1).await.unwrap();
    cache.set("key", 1).await.unwrap();
    cache.set_raw("key", vec![0; 10_000]).await.unwrap();
    assert!(!cache.add("new", "x".repeat(10_000)).await.unwrap());
    assert_eq!(cache.get_raw("key").await.unwrap(), None);
    assert_eq!(cache.get::<i32>("small").await.unwrap(), Some(1));
    assert_eq!(cache.stats().unwrap().entries, 1);
}

pub async fn a_cold_value_of_most_of_the_room_is_refused_until_it_is_asked_for_often(cx: Context) {
    const ROOM: usize = 4 << 20;
    let cache = connected(cx.builder().max_bytes(ROOM as u64)).await;
    let keys: Vec<_> = (0..3_000).map(|n| format!("hot-{n}")).collect();
    for key in &keys {
        cache.set_raw(key, vec![1; 1_000]).await.unwrap();
    }
    let left = async || {
        let found = cache.get_many_raw(&keys).await.unwrap();
        found.iter().flatten().count()
    };
    assert_eq!(left().await, keys.len());
    cache.set_raw("large", vec![7; ROOM * 9 / 10]).await.unwrap();
    assert_eq!(cache.get_raw("large").await.unwrap(), None);
    assert!(!cache.add("other", "x".repeat(ROOM / 2)).await.unwrap());
    assert_eq!((left().await, cache.stats().unwrap().refused), (keys.len(), 2));
    // A value of an eighth of the room is kept, and evicts no more than its own size.
    cache.set_raw("eighth", vec![7; ROOM / 8 - 1_000]).await.unwrap();
    assert!(cache.get_raw("eighth").await.unwrap().is_some());
    assert!(left().await >= keys.len() * 85 / 100);
    let mut tries = 0;
    while cache.get_raw("large").await.unwrap().is_none() {
        cache.set_raw("large", vec![7; ROOM * 9 / 10]).await.unwrap();
        tries += 1;
        assert!(tries <= 8);
    }
}

pub async fn hits_and_misses_are_counted(cx: Context) {
    let cache = cx.cache().await;
    cache.get_raw("key").await.unwrap();
    cache.set("key", 1).await.unwrap();
    cache.get::<i32>("key").await.unwrap();
    cache.get_many_raw(["key", "other", "key"]).await.unwrap();
    cache.contains("key").await.unwrap();
    cache.remaining("key").await.unwrap();
    let stats = cache.stats().unwrap();
    assert_eq!((stats.hits, stats.misses), (3, 2));
    cache.set("short", 1).timeout(Duration::from_millis(1)).await.unwrap();
    cx.sleep(Duration::from_millis(5)).await;
    cache.get_raw("short").await.unwrap();
    let stats = cache.stats().unwrap();
    assert_eq!((stats.hits, stats.misses), (3, 3));
}

pub async fn insertions_and_the_causes_of_removals_are_counted(cx: Context) {
    let cache = cx.cache_with("max_entries=10").await;
    for n in 0..15 {
        cache.set(format!("key-{n}"), n).await.unwrap();
        cache.set(format!("key-{n}"), "in its place").await.unwrap();
    }
    let stats = cache.stats().unwrap();
    assert_eq!((stats.insertions, stats.evicted, stats.entries), (15, 5, 10));
    assert!(stats.bytes > 10 * 100, "{stats:?}");
    cache.delete_many((0..15).map(|n| format!("key-{n}"))).await.unwrap();
    cache.set("key", 1).await.unwrap();
    cache.clear().await.unwrap();
    cache.set("key", 1).timeout(Duration::from_millis(1)).await.unwrap();
    cx.sleep(Duration::from_millis(5)).await;
    assert!(!cache.delete("key").await.unwrap());
    let stats = cache.stats().unwrap();
    assert_eq!((stats.insertions, stats.evicted, stats.removed, stats.expired), (17, 5, 11, 1));
    assert_eq!((stats.entries, stats.bytes), (0, 0));
}

pub async fn caches_of_one_name_share_its_counts(cx: Context) {
    let (first, second) = (cx.cache().await, cx.cache().await);
    first.set("key", 1).await.unwrap();
    second.get_raw("key").await.unwrap();
    assert_eq!(first.stats(), second.stats());
    assert_eq!(first.stats().unwrap().hits, 1);
}
