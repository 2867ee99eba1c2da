//! Clearing: everything, or one prefix.

use super::ops::{PAST_SHORT, SHORT};
use crate::context::{Context, connected};

pub async fn clear_removes_every_key_whatever_its_prefix_and_version(cx: Context) {
    let plain = cx.cache().await;
    let prefixed = connected(cx.builder().key_prefix("forum")).await;
    plain.set("key", 1).await.unwrap();
    plain.set("key", 1).version(2).await.unwrap();
    prefixed.set("key", 1).await.unwrap();
    prefixed.clear().await.unwrap();
    assert!(!plain.contains("key").await.unwrap());
    assert!(!plain.contains("key").version(2).await.unwrap());
    assert!(!prefixed.contains("key").await.unwrap());
    plain.set("key", 2).await.unwrap();
    assert_eq!(plain.get::<i32>("key").await.unwrap(), Some(2));
}

pub async fn clear_prefix_removes_and_counts_every_version_of_its_prefix(cx: Context) {
    let forum = connected(cx.builder().key_prefix("forum")).await;
    let others = ["", "foru", "forums", "Forum", "f"];
    let mut caches = Vec::new();
    for prefix in others {
        let cache = connected(cx.builder().key_prefix(prefix)).await;
        cache.set_many([("key", 1), ("forum", 2), ("forum::key", 3)]).await.unwrap();
        caches.push(cache);
    }
    forum.set_many([("a", 1), ("b", 2), ("", 3)]).await.unwrap();
    forum.set_many([("a", 1), ("c", 2)]).version(1).await.unwrap();
    assert_eq!(forum.clear_prefix().await.unwrap(), 5);
    assert_eq!(forum.clear_prefix().await.unwrap(), 0);
    assert_eq!(forum.get_many::<i32>(["a", "b", ""]).await.unwrap(), [None; 3]);
    assert!(!forum.contains("c").version(1).await.unwrap());
    for (cache, prefix) in caches.iter().zip(others) {
        let left = cache.get_many::<i32>(["key", "forum", "forum::key"]).await.unwrap();
        assert_eq!(left, [Some(1), Some(2), Some(3)], "{prefix:?}");
    }
}

pub async fn clear_prefix_without_a_prefix_keeps_prefixed_keys(cx: Context) {
    let plain = cx.cache().await;
    let prefixed = connected(cx.builder().key_prefix("forum")).await;
    plain.set_many([("a", 1), ("b", 2)]).await.unwrap();
    prefixed.set("a", 3).await.unwrap();
    assert_eq!(plain.clear_prefix().await.unwrap(), 2);
    assert_eq!(prefixed.get::<i32>("a").await.unwrap(), Some(3));
    assert_eq!(plain.get::<i32>("a").await.unwrap(), None);
}

pub async fn glob_characters_in_a_prefix_mean_themselves(cx: Context) {
    let globs =
        ["*", "?", "[a-z]", "[^a]", "\\*", "a*", "?b", "a\\", "[", "]", "{a}", "**", "a?[b]*\\"];
    let bystanders = ["a", "b", "ab", "aab", "z", "\\", "\\a", "a b"];
    let mut caches = Vec::new();
    for prefix in globs.into_iter().chain(bystanders) {
        let cache = connected(cx.builder().key_prefix(prefix)).await;
        cache.set("key", prefix).await.unwrap();
        caches.push((prefix, cache));
    }
    for n in 0..globs.len() {
        assert_eq!(caches[n].1.clear_prefix().await.unwrap(), 1, "{}", globs[n]);
        for (m, (prefix, cache)) in caches.iter().enumerate() {
            let left = cache.contains("key").await.unwrap();
            assert_eq!(left, m > n, "{prefix} after {} was cleared", globs[n]);
        }
    }
}

pub async fn clear_prefix_goes_through_thousands_of_keys(cx: Context) {
    const COUNT: u64 = 5_000;
    let forum = connected(cx.builder().key_prefix("forum")).await;
    let shop = connected(cx.builder().key_prefix("shop")).await;
    forum.set_many((0..COUNT).map(|n| (format!("key-{n}"), n))).await.unwrap();
    shop.set_many((0..COUNT).map(|n| (format!("key-{n}"), n))).await.unwrap();
    assert_eq!(forum.clear_prefix().await.unwrap(), COUNT);
    let left = shop.get_many::<u64>((0..COUNT).map(|n| format!("key-{n}"))).await.unwrap();
    assert!(left.iter().zip(0..).all(|(value, n)| *value == Some(n)));
}

pub async fn clear_prefix_does_not_count_what_has_expired(cx: Context) {
    let forum = connected(cx.builder().key_prefix("forum")).await;
    forum.set_many([("a", 1), ("b", 2), ("c", 3)]).timeout(SHORT).await.unwrap();
    forum.set_many([("d", 4), ("e", 5)]).await.unwrap();
    cx.sleep(PAST_SHORT).await;
    assert_eq!(forum.clear_prefix().await.unwrap(), 2);
}

pub async fn clearing_an_empty_cache_succeeds(cx: Context) {
    let cache = cx.cache().await;
    cache.clear().await.unwrap();
    assert_eq!(cache.clear_prefix().await.unwrap(), 0);
}
