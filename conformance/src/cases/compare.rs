//! `delete_if_equals`: a caller removes a key if it knows the key's value.

use async_caches::{Cache, Error};

use super::ops::{LONG, PAST_SHORT, SHORT, unspeakable};
use crate::context::Context;
use crate::gate::held_load;

pub async fn a_key_is_deleted_if_it_holds_the_value(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", "mine").await.unwrap();
    for other in ["", "min", "mine ", "MINE", "theirs"] {
        assert!(!cache.delete_if_equals("key", other).await.unwrap(), "{other}");
    }
    assert!(!cache.delete_if_equals("other", "mine").await.unwrap());
    assert!(!cache.delete_if_equals("key", "mine").version(1).await.unwrap());
    assert_eq!(cache.get::<String>("key").await.unwrap().as_deref(), Some("mine"));
    assert!(cache.delete_if_equals("key", &"mine").await.unwrap());
    assert!(!cache.delete_if_equals("key", "mine").await.unwrap());
    assert!(!cache.contains("key").await.unwrap());
}

pub async fn values_of_every_shape_are_compared_as_they_are_stored(cx: Context) {
    let cache = cx.cache().await;
    let long = "x".repeat(100_000);
    let text = long.as_str();
    cache.set("null", None::<i32>).await.unwrap();
    cache.set("pair", (1, "two")).await.unwrap();
    cache.set("long", text).timeout(LONG).await.unwrap();
    cache.set("number", 1).await.unwrap();
    assert!(!cache.delete_if_equals("number", 1.0).await.unwrap());
    assert!(!cache.delete_if_equals("long", &text[1..]).await.unwrap());
    assert!(cache.delete_if_equals("null", None::<i32>).await.unwrap());
    assert!(cache.delete_if_equals("pair", &(1, "two")).await.unwrap());
    assert!(cache.delete_if_equals("long", text).await.unwrap());
    assert!(cache.delete_if_equals("number", 1).await.unwrap());
    let error = cache.delete_if_equals("key", unspeakable()).await.unwrap_err();
    assert!(matches!(error, Error::Serialize { .. }), "{error:?}");
}

pub async fn raw_bytes_are_compared_byte_for_byte(cx: Context) {
    let cache = cx.cache().await;
    let bytes: &[u8] = b"\0\r\n\xff$5\r\n";
    cache.set_raw("key", bytes).await.unwrap();
    cache.set_raw("empty", "").await.unwrap();
    assert!(!cache.delete_if_equals_raw("key", &bytes[..4]).await.unwrap());
    assert!(!cache.delete_if_equals_raw("key", "").await.unwrap());
    assert!(!cache.delete_if_equals_raw("absent", "").await.unwrap());
    assert!(cache.delete_if_equals_raw("key", bytes).await.unwrap());
    assert!(cache.delete_if_equals_raw("empty", "").await.unwrap());
    assert_eq!(cache.get_many_raw(["key", "empty"]).await.unwrap(), [None, None]);
}

pub async fn a_lock_that_has_expired_is_not_taken_from_its_next_holder(cx: Context) {
    let cache = cx.cache().await;
    assert!(cache.add("lock", "first").timeout(SHORT).await.unwrap());
    cx.sleep(PAST_SHORT).await;
    assert!(!cache.delete_if_equals("lock", "first").await.unwrap());
    assert!(cache.add("lock", "second").timeout(LONG).await.unwrap());
    assert!(!cache.delete_if_equals("lock", "first").await.unwrap());
    assert!(cache.delete_if_equals("lock", "second").await.unwrap());
    assert!(cache.add("lock", "third").await.unwrap());
}

pub async fn of_many_concurrent_deletes_of_one_value_one_succeeds(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 7).await.unwrap();
    let delete = |cache: Cache, value: i32| async move {
        usize::from(cache.delete_if_equals("key", value).await.unwrap())
    };
    let tasks: Vec<_> = (0..32).map(|n| cx.spawn(delete(cache.clone(), 7 + n % 2))).collect();
    let mut deleted = 0;
    for task in tasks {
        deleted += task.await;
    }
    assert_eq!(deleted, 1);
}

pub async fn a_delete_if_equals_while_loading_wins(cx: Context) {
    let cache = cx.cache().await;
    let (gate, load) = held_load(&cx, &cache, "key", 7).await;
    assert!(!cache.delete_if_equals("key", 7).await.unwrap());
    gate.open();
    assert_eq!(load.await, 7);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
}
