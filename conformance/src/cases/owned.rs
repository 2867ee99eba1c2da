//! Operations that own their cache and their key, so that each can be spawned as a task.

use async_caches::{Cache, Error, Get, GetOrSet, Json};

use super::ops::LONG;
use crate::context::Context;

/// Futures whose types an application names in a struct of its own.
struct Pending {
    first: Get<'static, Json<i32>>,
    second: Get<'static, Json<i32>>,
}

pub async fn a_task_is_spawned_from_every_operation(cx: Context) {
    let cache = cx.cache().await;
    let key = String::from("key");
    let k = key.as_str();
    cx.spawn(cache.set(k, 1).timeout(LONG).into_owned()).await.unwrap();
    cx.spawn(cache.set_raw(k, "1").version(2).into_owned()).await.unwrap();
    assert!(!cx.spawn(cache.add(k, 2).into_owned()).await.unwrap());
    assert!(!cx.spawn(cache.add_raw(k, "2").into_owned()).await.unwrap());
    assert_eq!(cx.spawn(cache.get::<i32>(k).into_owned()).await.unwrap(), Some(1));
    assert_eq!(cx.spawn(cache.get_raw(k).into_owned()).await.unwrap().unwrap(), "1");
    let many = cx.spawn(cache.get_many::<i32>([k, "none"]).into_owned()).await.unwrap();
    assert_eq!(many, [Some(1), None]);
    let each = cx.spawn(cache.get_many::<i32>([k]).each().into_owned()).await.unwrap();
    assert!(matches!(each[..], [Ok(Some(1))]));
    assert_eq!(cx.spawn(cache.get_many_raw([k]).into_owned()).await.unwrap().len(), 1);
    cx.spawn(cache.set_many([("a", 1)]).into_owned()).await.unwrap();
    cx.spawn(cache.set_many_raw([("b", "2")]).into_owned()).await.unwrap();
    assert_eq!(cx.spawn(cache.incr(k, 1).into_owned()).await.unwrap(), 2);
    assert_eq!(cx.spawn(cache.decr(k, 0.5).into_owned()).await.unwrap(), 1.5);
    assert_eq!(cx.spawn(cache.incr("n", 1).or_insert(4).into_owned()).await.unwrap(), 5);
    assert!(cx.spawn(cache.touch(k).into_owned()).await.unwrap());
    assert!(cx.spawn(cache.contains(k).into_owned()).await.unwrap());
    cx.spawn(cache.remaining(k).into_owned()).await.unwrap();
    assert!(cx.spawn(cache.delete_if_equals(k, 1.5).into_owned()).await.unwrap());
    assert_eq!(cx.spawn(cache.get_or_set(k, async { 7 }).into_owned()).await.unwrap(), 7);
    let loader = async { Ok::<_, Error>("8") };
    let raw = cache.try_get_or_set_raw("raw", loader).timeout(LONG).into_owned();
    assert_eq!(cx.spawn(raw).await.unwrap(), "8");
    assert!(cx.spawn(cache.delete(k).into_owned()).await.unwrap());
    assert_eq!(cx.spawn(cache.delete_many(["a", "none"]).into_owned()).await.unwrap(), 1);
    cx.spawn(cache.ping().into_owned()).await.unwrap();
    assert!(cx.spawn(cache.clear_prefix().into_owned()).await.unwrap() > 0);
    cx.spawn(cache.clear().into_owned()).await.unwrap();
    cx.spawn(cache.disconnect().into_owned()).await.unwrap();
    cx.spawn(cache.connect().into_owned()).await.unwrap();
    assert!(cache.is_connected());
}

pub async fn an_operation_that_owns_its_cache_outlives_its_callers(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    let Pending { first, second } = named(&cache);
    drop(cache);
    assert_eq!(cx.spawn(first).await.unwrap(), Some(1));
    assert_eq!(second.await.unwrap(), None);
}

/// The keys are gone when this returns.
fn named(cache: &Cache) -> Pending {
    let (key, other) = (String::from("key"), vec![b'k'; 3]);
    Pending { first: cache.get(&key).into_owned(), second: cache.get(&other).into_owned() }
}

pub async fn an_operation_that_is_under_way_becomes_owned_and_goes_on(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    let load = async {
        crate::abandon::a_turn().await;
        2
    };
    let mut loading: GetOrSet<'_, _, i32> = cache.get_or_set("load", load);
    let mut get = cache.get::<i32>("key");
    std::future::poll_fn(|cx| {
        let _ = std::pin::Pin::new(&mut loading).poll(cx).is_pending();
        // An operation in memory is ready at once, and is not polled again.
        std::task::Poll::Ready(())
    })
    .await;
    let ready = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut get).poll(cx) {
            std::task::Poll::Ready(value) => Some(value.unwrap()),
            std::task::Poll::Pending => None,
        })
    })
    .await;
    let value = match ready {
        Some(value) => value,
        None => cx.spawn(get.into_owned()).await.unwrap(),
    };
    assert_eq!(value, Some(1));
    assert_eq!(loading.into_owned().await.unwrap(), 2);
}
