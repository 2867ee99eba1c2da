//! Values: a read returns the value that was set.

use std::collections::BTreeMap;

use async_caches::Error;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ops::{never_loaded, unspeakable};
use crate::context::Context;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    tags: Vec<String>,
    best: Option<Box<User>>,
}

pub async fn a_value_that_was_set_is_read_back(cx: Context) {
    let cache = cx.cache().await;
    let friend = User { id: u64::MAX, name: String::new(), tags: vec![], best: None };
    let tags = vec!["a\"b\\c\r\n\0".to_owned(), "\u{1f600}é".to_owned()];
    let user = User { id: 1, name: "Ann".to_owned(), tags, best: Some(Box::new(friend)) };
    cache.set("user:1", &user).await.unwrap();
    assert_eq!(cache.get::<User>("user:1").await.unwrap(), Some(user));
}

pub async fn values_of_every_shape_are_read_back(cx: Context) {
    let cache = cx.cache().await;
    let shapes = serde_json::json!([
        null, true, false, 0, -1, u64::MAX, i64::MIN, 0.1, -1e300, 5e-324, "", "\u{0}\u{7f}\u{ffff}",
        [], {}, [[[]]], {"": {"a": [1, {"b": null}]}},
    ]);
    for shape in shapes.as_array().unwrap() {
        cache.set("shape", shape).await.unwrap();
        assert_eq!(cache.get("shape").await.unwrap().as_ref(), Some(shape));
    }
}

pub async fn get_returns_none_for_a_key_that_was_never_set(cx: Context) {
    let cache = cx.cache().await;
    assert_eq!(cache.get::<String>("never").await.unwrap(), None);
    assert_eq!(cache.get_raw("never").await.unwrap(), None);
    assert!(!cache.contains("never").await.unwrap());
}

pub async fn a_second_set_replaces_the_first(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", "long long ago").await.unwrap();
    cache.set("key", 2).await.unwrap();
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(2));
    assert!(cache.contains("key").await.unwrap());
}

pub async fn a_cached_null_is_a_hit(cx: Context) {
    let cache = cx.cache().await;
    cache.set("null", None::<i32>).await.unwrap();
    assert_eq!(cache.get::<Option<i32>>("null").await.unwrap(), Some(None));
    assert_eq!(cache.get::<Option<i32>>("never").await.unwrap(), None);
    let many = cache.get_many::<Option<i32>>(["null", "never"]).await.unwrap();
    assert_eq!(many, [Some(None), None]);
    assert!(!cache.add("null", 1).await.unwrap());
    let kept = cache.get_or_set("null", never_loaded::<Option<i32>>());
    assert_eq!(kept.await.unwrap(), None);
}

pub async fn raw_bytes_are_kept_as_they_are(cx: Context) {
    let cache = cx.cache().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    for bytes in [Bytes::from(every_byte), Bytes::new(), Bytes::from_static(b"\r\n$-1\r\n")] {
        cache.set_raw("raw", bytes.clone()).await.unwrap();
        assert_eq!(cache.get_raw("raw").await.unwrap(), Some(bytes.clone()));
        let many = cache.get_many_raw(["raw", "never"]).await.unwrap();
        assert_eq!(many, [Some(bytes), None]);
    }
}

pub async fn values_are_json_text(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", BTreeMap::from([("a", (1, None::<u8>, "b"))])).await.unwrap();
    assert_eq!(cache.get_raw("key").await.unwrap().unwrap(), r#"{"a":[1,null,"b"]}"#);
    cache.set_raw("key", r#" {"a": [true, "\u00e9\ud83d\ude00"]} "#).await.unwrap();
    let read = cache.get::<BTreeMap<String, (bool, String)>>("key").await.unwrap().unwrap();
    assert_eq!(read["a"], (true, "é\u{1f600}".to_owned()));
}

pub async fn a_large_value_is_read_back(cx: Context) {
    let cache = cx.cache().await;
    let large: String = (0..3_000_000_u32).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    cache.set("large", &large).await.unwrap();
    assert!(cache.get::<String>("large").await.unwrap() == Some(large));
}

pub async fn a_value_of_another_type_is_an_error_that_names_the_key(cx: Context) {
    let cache = cx.cache().await;
    cache.set("a \"text\"", "text").await.unwrap();
    let one = cache.get::<i32>("a \"text\"").await.unwrap_err();
    let many = cache.get_many::<i32>(["never", "a \"text\""]).await.unwrap_err();
    for error in [one, many] {
        assert!(matches!(error, Error::Deserialize { .. }), "{error:?}");
        assert!(error.to_string().contains(r#""a \"text\"""#), "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{error:?}");
    }
    assert_eq!(cache.get::<String>("a \"text\"").await.unwrap().unwrap(), "text");
}

pub async fn a_value_that_does_not_serialize_is_an_error_that_names_the_key(cx: Context) {
    let cache = cx.cache().await;
    let errors = [
        cache.set("a key", unspeakable()).await.unwrap_err(),
        cache.add("a key", unspeakable()).await.unwrap_err(),
        cache.set_many([("a key", unspeakable())]).await.unwrap_err(),
        cache.get_or_set("a key", async { unspeakable() }).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Serialize { .. }), "{error:?}");
        assert!(error.to_string().contains("a key"), "{error}");
    }
    assert!(!cache.contains("a key").await.unwrap());
}

pub async fn a_batch_with_one_value_that_does_not_serialize_stores_nothing(cx: Context) {
    let cache = cx.cache().await;
    let entries = [("first", BTreeMap::new()), ("second", unspeakable())];
    let error = cache.set_many(entries).await.unwrap_err();
    assert!(matches!(error, Error::Serialize { .. }), "{error:?}");
    assert!(error.to_string().contains("second"), "{error}");
    assert!(!cache.contains("first").await.unwrap());
}

pub async fn add_stores_only_if_the_key_is_absent(cx: Context) {
    let cache = cx.cache().await;
    assert!(cache.add("key", 1).await.unwrap());
    assert!(!cache.add("key", 2).await.unwrap());
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    assert!(cache.delete("key").await.unwrap());
    assert!(cache.add("key", 3).await.unwrap());
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(3));
}

pub async fn of_many_concurrent_adds_of_one_key_one_succeeds(cx: Context) {
    let cache = cx.cache().await;
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move { cache.add("lock", n).await.unwrap().then_some(n) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        winners.extend(task.await);
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(cache.get::<i32>("lock").await.unwrap(), Some(winners[0]));
}

pub async fn delete_returns_whether_the_key_existed(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    assert!(cache.delete("key").await.unwrap());
    assert!(!cache.delete("key").await.unwrap());
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
}

pub async fn clones_in_many_tasks_share_one_cache(cx: Context) {
    let cache = cx.cache().await;
    let tasks: Vec<_> = (0..64_u32)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move {
                for round in 0..10_u32 {
                    cache.set(format!("key-{n}"), (n, round)).await.unwrap();
                    let read = cache.get::<(u32, u32)>(format!("key-{n}")).await.unwrap();
                    assert_eq!(read, Some((n, round)));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    let all = cache.get_many::<(u32, u32)>((0..64).map(|n| format!("key-{n}"))).await.unwrap();
    assert_eq!(all, (0..64).map(|n| Some((n, 9))).collect::<Vec<_>>());
}
