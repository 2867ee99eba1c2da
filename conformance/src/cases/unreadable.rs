//! Entries that cannot be read, because an older version of a program or another program wrote
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_caches::{Cache, Error, LoadError, Recorder, ServerErrorKind, Unreadable};
use serde::{Deserialize, Serialize};

use super::ops::{LONG, never_loaded};
use super::timeouts::assert_within;
use crate::context::{Context, connected};
use crate::gate::Gate;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct User {
    id: u32,
    best: Vec<f64>,
}

fn user() -> User {
    User { id: 7, best: vec![0.5] }
}

/// Entries that may be stored under the key of a [`User`], each unreadable in a way of its own.
fn garbage() -> Vec<Vec<u8>> {
    let texts = [
        "",
        " ",
        "null",
        "7",
        "\"text\"",
        "[]",
        "{}",
        r#"{"id":7}"#,
        r#"{"id":7,"best":[null]}"#,
        r#"{"id": 7, "best": [NaN]}"#,
        r#"{"id": 7, "best": [-Infinity]}"#,
        r#"{"id":7,"best":[1e999]}"#,
        r#"{"id":-1,"best":[]}"#,
        r#"{"id":4294967296,"best":[]}"#,
        r#"{"id":7.5,"best":[]}"#,
        r#"{"id":7,"best":[0.5]"#,
        r#"{"id":7,"best":[0.5]}}"#,
        r#"{"id":7,"best":[0.5]} 1"#,
        r#"{"id":7,"id":7,"best":[0.5]}"#,
        "NaN",
    ];
    let mut all: Vec<Vec<u8>> = texts.into_iter().map(Into::into).collect();
    all.push(b"{\"id\":7,\"best\":[0.5],\"\xff\":1}".to_vec());
    all.push((0..=255).collect());
    all.push(["[".repeat(200), "]".repeat(200)].concat().into_bytes());
    all.push(["[".repeat(100_000), "]".repeat(100_000)].concat().into_bytes());
    all.push(vec![b'\\'; 5_000]);
    all
}

pub async fn an_unreadable_entry_is_loaded_again_and_replaced(cx: Context) {
    let cache = cx.cache().await;
    for (index, bytes) in garbage().into_iter().enumerate() {
        for version in [0, 1] {
            let before = cache.info().unreadable;
            cache.set_raw("key", bytes.clone()).version(version).await.unwrap();
            let loads = AtomicUsize::new(0);
            let load = async {
                loads.fetch_add(1, Ordering::SeqCst);
                user()
            };
            let got = match index % 2 {
                0 => cache.get_or_set("key", load).version(version).timeout(LONG).await,
                _ => {
                    let load = async { Ok::<_, Error>(load.await) };
                    let got = cache.try_get_or_set("key", load).version(version).timeout(LONG);
                    got.await.map_err(|error| panic!("{error:?}"))
                }
            };
            assert_eq!(got.unwrap(), user(), "{}", bytes.escape_ascii());
            assert_eq!(loads.into_inner(), 1, "{}", bytes.escape_ascii());
            assert_eq!(cache.info().unreadable, before + 1, "{}", bytes.escape_ascii());
            let hit = cache.get_or_set("key", never_loaded::<User>()).version(version);
            assert_eq!(hit.await.unwrap(), user());
            assert_within(cache.remaining("key").version(version).await.unwrap(), LONG, "key");
        }
    }
}

pub async fn a_loader_that_fails_leaves_an_unreadable_entry_as_it_is(cx: Context) {
    let cache = cx.cache().await;
    cache.set_raw("key", "old").await.unwrap();
    let failing = cache.try_get_or_set("key", async { Err::<User, _>("no luck") });
    assert!(matches!(failing.await, Err(LoadError::Load("no luck"))));
    assert_eq!(cache.get_raw("key").await.unwrap().unwrap(), "old");
    assert_eq!(cache.get_or_set("key", async { user() }).await.unwrap(), user());
}

pub async fn many_callers_of_an_unreadable_entry_share_one_load(cx: Context) {
    let cache = cx.cache().await;
    cache.set_raw("key", "old").await.unwrap();
    let (loads, gate) = (Arc::new(AtomicUsize::new(0)), Gate::default());
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (cache, loads, gate) = (cache.clone(), loads.clone(), gate.clone());
            cx.spawn(async move {
                let load = async {
                    gate.pass().await;
                    loads.fetch_add(1, Ordering::SeqCst);
                    user()
                };
                cache.get_or_set("key", load).await.unwrap()
            })
        })
        .collect();
    gate.reached(&cx).await;
    cx.settled(&tasks).await;
    gate.open();
    for task in tasks {
        assert_eq!(task.await, user());
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

pub async fn a_follower_that_cannot_read_the_loaded_value_loads_by_itself(cx: Context) {
    let cache = cx.cache().await;
    let gate = Gate::default();
    let leader = cx.spawn({
        let (cache, gate) = (cache.clone(), gate.clone());
        async move {
            let load = async {
                gate.pass().await;
                "text".to_owned()
            };
            cache.get_or_set("key", load).await.unwrap()
        }
    });
    gate.reached(&cx).await;
    let followers: Vec<_> = (0..8)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move { cache.get_or_set("key", async move { n }).await })
        })
        .collect();
    cx.settled(&followers).await;
    gate.open();
    assert_eq!(cx.within(LONG, "the leader", leader).await, "text");
    for (n, follower) in followers.into_iter().enumerate() {
        assert_eq!(cx.within(LONG, "a follower", follower).await.unwrap(), n);
    }
}

pub async fn callers_that_disagree_about_a_keys_type_each_get_their_type(cx: Context) {
    const ROUNDS: usize = 20;
    let cache = cx.cache().await;
    let tasks: Vec<_> = (0..8)
        .map(|n: usize| {
            let cache = cache.clone();
            cx.spawn(async move {
                for round in 0..ROUNDS {
                    let loads = AtomicUsize::new(0);
                    let count = || loads.fetch_add(1, Ordering::SeqCst);
                    if n.is_multiple_of(2) {
                        let load = async {
                            count();
                            vec![round]
                        };
                        cache.get_or_set("key", load).await.unwrap();
                    } else {
                        let load = async {
                            count();
                            "text".to_owned()
                        };
                        assert_eq!(cache.get_or_set("key", load).await.unwrap(), "text");
                    }
                    assert!(loads.into_inner() <= 1);
                }
            })
        })
        .collect();
    for task in tasks {
        cx.within(LONG, "a caller", task).await;
    }
    assert_eq!(cache.get_or_set("key", async { user() }).await.unwrap(), user());
    assert_eq!(cache.get::<User>("key").await.unwrap(), Some(user()));
}

pub async fn a_get_of_an_unreadable_entry_is_an_error_or_a_miss_as_requested(cx: Context) {
    let cache = cx.cache().await;
    for bytes in garbage() {
        cache.set_raw("a key", bytes.clone()).await.unwrap();
        assert_names(&cache.get::<User>("a key").await.unwrap_err(), "a key");
        assert_eq!(cache.get::<User>("a key").unreadable_as_miss().await.unwrap(), None);
        assert_eq!(cache.get_raw("a key").await.unwrap().unwrap(), bytes);
    }
    cache.set("a key", user()).await.unwrap();
    assert_eq!(cache.get::<User>("a key").unreadable_as_miss().await.unwrap(), Some(user()));
}

pub async fn get_many_can_return_readable_values_beside_unreadable_ones(cx: Context) {
    let cache = cx.cache().await;
    let many = garbage();
    let names: Vec<String> = (0..2 * many.len()).map(|n| format!("key {n}")).collect();
    for (n, bytes) in many.iter().enumerate() {
        cache.set(&names[2 * n], user()).await.unwrap();
        cache.set_raw(&names[2 * n + 1], bytes.clone()).await.unwrap();
    }
    assert_names(&cache.get_many::<User>(&names).await.unwrap_err(), "key 1");
    let before = cache.info().unreadable;
    let kept = cache.get_many::<User>(&names).unreadable_as_miss().await.unwrap();
    assert_eq!(cache.info().unreadable, before + many.len() as u64);
    let each = cache.get_many::<User>(&names).each().await.unwrap();
    assert_eq!((kept.len(), each.len()), (names.len(), names.len()));
    for (n, (kept, each)) in kept.into_iter().zip(each).enumerate() {
        if n.is_multiple_of(2) {
            assert_eq!((kept, each.unwrap()), (Some(user()), Some(user())));
        } else {
            assert_eq!(kept, None);
            assert_names(&each.unwrap_err(), &names[n]);
        }
    }
    let each = cache.get_many::<User>(["key 0", "never", "key 1"]).version(3).each();
    let each = each.await.unwrap();
    assert!(each.iter().all(|one| matches!(one, Ok(None))), "{each:?}");
}

pub async fn a_cache_can_treat_unreadable_entries_as_misses(cx: Context) {
    let cache = cx.cache_with("unreadable=error").await;
    let missing = [
        cx.cache_with("unreadable=miss").await,
        connected(cx.builder().unreadable(Unreadable::Miss)).await,
        connected(cx.builder_of(&cx.url_with("unreadable=error")).unreadable(Unreadable::Miss))
            .await,
    ];
    for cache in &missing {
        cache.set_raw("key", "old").await.unwrap();
        cache.set("good", user()).await.unwrap();
        assert_eq!(cache.get::<User>("key").await.unwrap(), None);
        let many = cache.get_many::<User>(["key", "good"]).await.unwrap();
        assert_eq!(many, [None, Some(user())]);
        assert_names(&cache.get::<User>("key").unreadable_as_error().await.unwrap_err(), "key");
        let many = cache.get_many::<User>(["good", "key"]).unreadable_as_error();
        assert_names(&many.await.unwrap_err(), "key");
        let each = cache.get_many::<User>(["good", "key"]).each().await.unwrap();
        assert_names(each[1].as_ref().unwrap_err(), "key");
    }
    assert_names(&cache.get::<User>("key").await.unwrap_err(), "key");
}

pub async fn unreadable_entries_are_recorded_by_their_operation(cx: Context) {
    let books = Books::default();
    let cache = connected(cx.builder().recorder(books.clone())).await;
    cache.set_raw("key", "old").await.unwrap();
    cache.get::<User>("key").await.unwrap_err();
    cache.get_many::<User>(["key", "key"]).unreadable_as_miss().await.unwrap();
    cache.get_or_set("key", async { user() }).await.unwrap();
    cache.get_or_set("key", never_loaded::<User>()).await.unwrap();
    assert_eq!(books.gets.load(Ordering::SeqCst), 2);
    assert_eq!(books.mgets.load(Ordering::SeqCst), 2);
    assert_eq!(cache.info().unreadable, 4);
    assert_eq!(cx.cache().await.info().unreadable, 0);
}

/// Every operation that writes refuses a value that JSON cannot give back.
pub async fn a_value_that_could_not_be_read_back_is_not_written(cx: Context) {
    let cache = cx.cache().await;
    let holder = |number| User { id: 1, best: vec![0.5, number] };
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_refused(&cache, holder(number)).await;
        assert_refused(&cache, number).await;
        assert_refused(&cache, Some(number)).await;
        assert_refused(&cache, number as f32).await;
    }
    let nested = |depth| {
        (1..depth).fold(serde_json::json!([]), |inner, _| serde_json::Value::Array(vec![inner]))
    };
    assert_refused(&cache, nested(128)).await;
    assert_refused(&cache, nested(1_000)).await;
    cache.set("a key", nested(127)).await.unwrap();
    cache.get::<serde_json::Value>("a key").await.unwrap();
}

async fn assert_refused<T>(cache: &Cache, value: T)
where
    T: Clone + Serialize + serde::de::DeserializeOwned,
{
    let loaded = value.clone();
    let errors = [
        cache.set("a key", &value).await.unwrap_err(),
        cache.add("a key", &value).await.unwrap_err(),
        cache.set_many([("other", value.clone()), ("a key", value)]).await.unwrap_err(),
        cache.get_or_set("a key", async { loaded }).await.err().expect("it is refused"),
    ];
    for error in errors {
        assert!(matches!(error, Error::Serialize { .. }), "{error:?}");
        assert!(error.to_string().contains("key") || error.to_string().contains("other"));
    }
    assert!(!cache.contains("a key").await.unwrap());
    assert!(!cache.contains("other").await.unwrap());
}

/// A list, which is a type of the server's own, is not a value either.
pub async fn an_entry_of_another_server_type_is_replaced(cx: Context) {
    let cache = cx.cache().await;
    cx.raw().call(&["LPUSH", "::list", "1"]);
    let Error::Server(error) = cache.get::<User>("list").await.unwrap_err() else {
        panic!("it is the server's error")
    };
    assert_eq!(error.kind, ServerErrorKind::WrongType);
    assert!(error.to_string().contains("(key: list)"), "{error}");
    assert_eq!(cache.get_many::<User>(["list"]).await.unwrap(), [None]);
    assert_eq!(cache.get::<User>("list").unreadable_as_miss().await.unwrap(), None);
    assert_eq!(cache.get_or_set("list", async { user() }).await.unwrap(), user());
    assert_eq!(cache.get::<User>("list").await.unwrap(), Some(user()));
    assert_eq!(cache.info().unreadable, 3);
}

fn assert_names(error: &Error, key: &str) {
    let Error::Deserialize { key: named, .. } = error else { panic!("{error:?}") };
    assert_eq!(*named, format!("\"{key}\""));
    assert!(error.to_string().contains(key), "{error}");
    let why = std::error::Error::source(error).expect("it says why");
    assert!(!why.to_string().is_empty());
}

#[derive(Clone, Default)]
struct Books {
    gets: Arc<AtomicUsize>,
    mgets: Arc<AtomicUsize>,
}

impl Recorder for Books {
    fn unreadable(&self, operation: &'static str) {
        let count = match operation {
            "GET" => &self.gets,
            "MGET" => &self.mgets,
            other => panic!("{other}"),
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}
