//! Stores in this process's memory: who shares one, how long it lives, how large it grows.

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

pub async fn a_second_connect_to_a_name_does_not_empty_it(cx: Context) {
    let first = cx.cache().await;
    first.set("key", 1).await.unwrap();
    let second = cx.cache().await;
    assert_eq!(second.get::<i32>("key").await.unwrap(), Some(1));
    assert_eq!(first.get::<i32>("key").await.unwrap(), Some(1));
}

pub async fn a_store_goes_when_its_last_cache_disconnects(cx: Context) {
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

pub async fn a_store_goes_when_its_last_cache_is_dropped(cx: Context) {
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

pub async fn a_store_keeps_no_more_entries_than_it_may(cx: Context) {
    let cache = cx.cache_with("max_entries=100").await;
    cache.set_many((0..1_000).map(|n| (format!("key-{n}"), n))).await.unwrap();
    let read = cache.get_many::<i32>((0..1_000).map(|n| format!("key-{n}"))).await.unwrap();
    let kept = read.iter().flatten().count();
    assert!((1..=100).contains(&kept), "{kept}");
    assert!(read.iter().zip(0..).all(|(value, n)| value.is_none_or(|value| value == n)));
}

pub async fn a_store_keeps_no_more_bytes_than_it_may(cx: Context) {
    const LIMIT: usize = 100_000;
    let cache = connected(cx.builder().max_bytes(LIMIT as u64)).await;
    for n in 0..100 {
        cache.set_raw(format!("key-{n}"), vec![n; 5_000]).await.unwrap();
    }
    let read = cache.get_many_raw((0..100).map(|n| format!("key-{n}"))).await.unwrap();
    let kept: usize = read.iter().flatten().map(|value| value.len()).sum();
    assert!((1..=LIMIT).contains(&kept), "{kept}");
}
