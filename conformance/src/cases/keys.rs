//! Keys, versions and prefixes: what separates one entry from another.

use async_caches::{Error, KeyError};

use super::ops::versioned;
use crate::context::{Context, connected};

pub async fn versions_do_not_see_each_other(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", "none").await.unwrap();
    cache.set("key", "0").version(0).await.unwrap();
    cache.set("key", "1").version(1).await.unwrap();
    cache.set("key", "b").version("beta").await.unwrap();
    assert_eq!(cache.get::<String>("key").await.unwrap().unwrap(), "none");
    assert_eq!(cache.get::<String>("key").version(0).await.unwrap().unwrap(), "0");
    assert_eq!(cache.get::<String>("key").version(1).await.unwrap().unwrap(), "1");
    assert_eq!(cache.get::<String>("key").version("beta").await.unwrap().unwrap(), "b");
    assert!(cache.delete("key").version(0).await.unwrap());
    assert!(!cache.contains("key").version(0).await.unwrap());
    assert!(cache.contains("key").await.unwrap());
    assert!(cache.contains("key").version(1).await.unwrap());
}

pub async fn every_operation_takes_a_version(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 41).version(7).await.unwrap();
    assert_eq!(cache.get_raw("key").version(7).await.unwrap().unwrap(), "41");
    assert_eq!(cache.get_many::<i32>(["key"]).version(7).await.unwrap(), [Some(41)]);
    assert_eq!(
        cache.get_many_raw(["key"]).version(7).await.unwrap()[0].as_deref(),
        Some(&b"41"[..])
    );
    assert!(!cache.add("key", 0).version(7).await.unwrap());
    assert_eq!(cache.incr("key", 2).version(7).await.unwrap(), 43);
    assert_eq!(cache.decr("key", 1).version(7).await.unwrap(), 42);
    assert!(cache.touch("key").version(7).await.unwrap());
    assert_eq!(cache.get_or_set("key", async { 0 }).version(7).await.unwrap(), 42);
    cache.set_many([("key", 1), ("other", 2)]).version(8).await.unwrap();
    cache.set_raw("raw", "3").version(8).await.unwrap();
    let keys = ["key", "other", "raw"];
    assert_eq!(cache.get_many::<i32>(keys).version(8).await.unwrap(), [Some(1), Some(2), Some(3)]);
    assert_eq!(cache.get_many::<i32>(keys).await.unwrap(), [None; 3]);
    assert_eq!(cache.delete_many(keys).version(8).await.unwrap(), 3);
    assert_eq!(cache.delete_many(keys).version(7).await.unwrap(), 1);
}

pub async fn an_operations_version_beats_the_caches_own(cx: Context) {
    let first = connected(cx.builder().version(1)).await;
    let second = cx.cache_with("version=2").await;
    first.set("key", "one").await.unwrap();
    assert_eq!(second.get::<String>("key").await.unwrap(), None);
    assert_eq!(second.get::<String>("key").version(1).await.unwrap().unwrap(), "one");
    second.set("key", "two").await.unwrap();
    assert_eq!(first.get::<String>("key").await.unwrap().unwrap(), "one");
    assert_eq!(first.get::<String>("key").version("2").await.unwrap().unwrap(), "two");
    assert_eq!(first.get::<String>("key").version("").await.unwrap(), None);
}

pub async fn version_zero_in_the_url_is_a_version(cx: Context) {
    let zero = cx.cache_with("version=0").await;
    let none = cx.cache().await;
    zero.set("key", 1).await.unwrap();
    assert_eq!(none.get::<i32>("key").await.unwrap(), None);
    assert_eq!(none.get::<i32>("key").version(0).await.unwrap(), Some(1));
}

pub async fn a_colon_in_a_version_is_an_error_in_every_operation(cx: Context) {
    let cache = cx.cache().await;
    for (name, operation) in versioned() {
        let error = operation(cache.clone(), "a:b".into()).await.unwrap_err();
        let by_key = matches!(error, Error::Key(KeyError::ColonInVersion { .. }));
        assert!(by_key, "{name}: {error:?}");
        assert!(error.to_string().contains("\"a:b\""), "{name}: {error}");
    }
}

pub async fn prefixes_do_not_see_each_other(cx: Context) {
    let forum = connected(cx.builder().key_prefix("forum")).await;
    let shop = cx.cache_with("key_prefix=shop").await;
    let none = cx.cache().await;
    forum.set("key", "forum").await.unwrap();
    shop.set("key", "shop").await.unwrap();
    assert_eq!(none.get::<String>("key").await.unwrap(), None);
    assert_eq!(forum.get::<String>("key").await.unwrap().unwrap(), "forum");
    assert_eq!(shop.get::<String>("key").await.unwrap().unwrap(), "shop");
    assert!(forum.delete("key").await.unwrap());
    assert!(shop.contains("key").await.unwrap());
}

pub async fn colons_inside_a_name_cause_no_key_collision(cx: Context) {
    let plain = cx.cache().await;
    let prefixed = connected(cx.builder().key_prefix("a")).await;
    // Three ways to try to name `a:1:key`; only one of them is it.
    plain.set("a:1:key", "name").await.unwrap();
    plain.set("1:key", "version").version("a").await.unwrap();
    prefixed.set("key", "prefix").version(1).await.unwrap();
    assert_eq!(plain.get::<String>("a:1:key").await.unwrap().unwrap(), "name");
    assert_eq!(plain.get::<String>("1:key").version("a").await.unwrap().unwrap(), "version");
    assert_eq!(prefixed.get::<String>("key").version(1).await.unwrap().unwrap(), "prefix");
}

pub async fn any_bytes_are_a_key(cx: Context) {
    let cache = cx.cache().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let names: [&[u8]; 9] =
        [b"", b" ", b":", b"::", b"\r\n", b"*1\r\n$4\r\nPING\r\n", b"\0", b"\xff\xfe", &every_byte];
    for (n, name) in names.iter().enumerate() {
        cache.set(name, n).await.unwrap();
    }
    for (n, name) in names.iter().enumerate() {
        assert_eq!(cache.get::<usize>(name).await.unwrap(), Some(n), "{name:?}");
    }
    let all = cache.get_many::<usize>(names).await.unwrap();
    assert_eq!(all, (0..9).map(Some).collect::<Vec<_>>());
    assert_eq!(cache.delete_many(names).await.unwrap(), 9);
}

pub async fn a_long_key_is_kept(cx: Context) {
    let cache = cx.cache().await;
    let long = "k".repeat(100_000);
    cache.set(&long, 1).await.unwrap();
    assert_eq!(cache.get::<i32>(&long).await.unwrap(), Some(1));
    assert_eq!(cache.get::<i32>(&long[1..]).await.unwrap(), None);
}
