//! Views of one cache under other prefixes.

use async_caches::{Error, KeyError};

use super::ops::LONG;
use super::timeouts::assert_within;
use crate::context::{Context, connected};

pub async fn a_view_uses_its_prefix_instead_of_the_caches(cx: Context) {
    let cache = connected(cx.builder().key_prefix("app").version(3).timeout(LONG)).await;
    let posts = cache.with_prefix("posts").unwrap();
    let opened = connected(cx.builder().key_prefix("posts").version(3)).await;
    cache.set("key", "app").await.unwrap();
    posts.set("key", "posts").await.unwrap();
    assert_eq!(cache.get::<String>("key").await.unwrap().as_deref(), Some("app"));
    assert_eq!(posts.get::<String>("key").await.unwrap().as_deref(), Some("posts"));
    assert_eq!(opened.get::<String>("key").await.unwrap().as_deref(), Some("posts"));
    assert_eq!(posts.get::<String>("key").version(4).await.unwrap(), None);
    assert_within(posts.remaining("key").await.unwrap(), LONG, "the same default timeout");
    let nested = posts.with_prefix("app").unwrap();
    assert_eq!(nested.get::<String>("key").await.unwrap().as_deref(), Some("app"));
    let none = posts.with_prefix("").unwrap();
    assert_eq!(none.get::<String>("key").await.unwrap(), None);
}

pub async fn every_operation_of_a_view_is_under_its_prefix(cx: Context) {
    let cache = cx.cache().await;
    let view = cache.with_prefix(String::from("a*[b")).unwrap();
    view.set_many([("one", 1), ("two", 2)]).await.unwrap();
    assert!(view.add("three", 3).await.unwrap());
    assert_eq!(view.incr("four", 1).or_insert(3).await.unwrap(), 4);
    assert_eq!(view.get_or_set("five", async { 5 }).await.unwrap(), 5);
    let keys = ["one", "two", "three", "four", "five"];
    let all = (1..=5).map(Some).collect::<Vec<_>>();
    assert_eq!(view.get_many::<i32>(keys).await.unwrap(), all);
    assert_eq!(cache.get_many::<i32>(keys).await.unwrap(), [None; 5]);
    assert!(!cache.delete_if_equals("one", 1).await.unwrap());
    assert!(view.delete_if_equals("one", 1).await.unwrap());
    assert_eq!(cache.delete_many(keys).await.unwrap(), 0);
    assert_eq!(view.delete_many(keys).await.unwrap(), 4);
}

pub async fn a_view_clears_its_own_prefix_and_no_other(cx: Context) {
    let cache = cx.cache().await;
    let (posts, users) =
        (cache.with_prefix("posts").unwrap(), cache.with_prefix("posts2").unwrap());
    for view in [&cache, &posts, &users] {
        view.set_many([("a", 1), ("b", 2)]).await.unwrap();
    }
    assert_eq!(posts.clear_prefix().await.unwrap(), 2);
    assert!(!posts.contains("a").await.unwrap());
    assert!(cache.contains("a").await.unwrap() && users.contains("a").await.unwrap());
    assert_eq!(cache.clear_prefix().await.unwrap(), 2);
    assert!(users.contains("b").await.unwrap());
    users.set("key", 1).await.unwrap();
    posts.clear().await.unwrap();
    assert!(!users.contains("key").await.unwrap());
}

pub async fn a_view_connects_and_disconnects_with_its_cache(cx: Context) {
    let cache = cx.builder().build().unwrap();
    let view = cache.with_prefix("view").unwrap();
    assert!(matches!(view.get::<i32>("key").await, Err(Error::NotConnected)));
    cache.connect().await.unwrap();
    assert!(view.is_connected());
    assert!(matches!(view.connect().await, Err(Error::AlreadyConnected)));
    view.set("key", 1).await.unwrap();
    drop(cache);
    assert_eq!(view.get::<i32>("key").await.unwrap(), Some(1));
    let other = view.with_prefix("other").unwrap();
    other.disconnect().await.unwrap();
    assert!(!view.is_connected());
}

pub async fn with_prefix_refuses_a_prefix_with_a_colon(cx: Context) {
    let cache = cx.cache().await;
    for prefix in [":", "a:", ":a", "a:b"] {
        let error = cache.with_prefix(prefix).unwrap_err();
        let Error::Key(KeyError::ColonInPrefix { prefix: named }) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(&**named, prefix);
        assert!(error.to_string().contains(prefix), "{error}");
    }
}
