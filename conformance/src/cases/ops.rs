//! Every operation once, by name, for cases that must hold for all of them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use async_caches::{Cache, Error, LoadError, Timeout, Version};

use crate::harness::BoxFuture;

/// An operation's name, and the operation.
pub(crate) type Operation = (&'static str, fn(Cache) -> BoxFuture<Result<(), Error>>);

/// An operation that takes a version.
pub(crate) type Versioned = (&'static str, fn(Cache, Version) -> BoxFuture<Result<(), Error>>);

/// An operation that takes a timeout.
pub(crate) type Timed = (&'static str, fn(Cache, Timeout) -> BoxFuture<Result<(), Error>>);

macro_rules! boxed {
    ($cache:ident $(, $more:ident)* => $operation:expr) => {
        |$cache $(, $more)*| Box::pin(async move { $operation.await.map(drop) })
    };
}

/// Every operation.
pub(crate) fn all() -> Vec<Operation> {
    vec![
        ("get", boxed!(cache => cache.get::<i32>("key"))),
        ("get_raw", boxed!(cache => cache.get_raw("key"))),
        ("get_many", boxed!(cache => cache.get_many::<i32>(["key", "other"]))),
        ("get_many_raw", boxed!(cache => cache.get_many_raw(["key", "other"]))),
        ("set", boxed!(cache => cache.set("key", 1))),
        ("set_raw", boxed!(cache => cache.set_raw("key", "1"))),
        ("set_many", boxed!(cache => cache.set_many([("key", 1), ("other", 2)]))),
        ("set_many_raw", boxed!(cache => cache.set_many_raw([("key", "1"), ("other", "2")]))),
        ("get_many each", boxed!(cache => cache.get_many::<i32>(["key", "other"]).each())),
        ("add", boxed!(cache => cache.add("key", 1))),
        ("add_raw", boxed!(cache => cache.add_raw("key", "1"))),
        ("get_or_set", boxed!(cache => cache.get_or_set("key", async { 1 }))),
        ("try_get_or_set", boxed!(cache => try_get_or_set(&cache))),
        ("get_or_set_raw", boxed!(cache => cache.get_or_set_raw("key", async { "1" }))),
        (
            "try_get_or_set_raw",
            boxed!(cache => flat(cache.try_get_or_set_raw("key", async { Ok("1") }))),
        ),
        ("delete", boxed!(cache => cache.delete("key"))),
        ("delete_many", boxed!(cache => cache.delete_many(["key", "other"]))),
        ("clear", boxed!(cache => cache.clear())),
        ("clear_prefix", boxed!(cache => cache.clear_prefix())),
        ("touch", boxed!(cache => cache.touch("key"))),
        ("incr", boxed!(cache => cache.incr("key", 1))),
        ("decr", boxed!(cache => cache.decr("key", 1.5))),
        ("incr_by", boxed!(cache => cache.incr_by("key", 1))),
        ("decr_by", boxed!(cache => cache.decr_by("key", 1))),
        ("incr or_insert", boxed!(cache => cache.incr("key", 1).or_insert(0))),
        ("delete_if_equals", boxed!(cache => cache.delete_if_equals("key", 1))),
        ("delete_if_equals_raw", boxed!(cache => cache.delete_if_equals_raw("key", "1"))),
        ("contains", boxed!(cache => cache.contains("key"))),
        ("remaining", boxed!(cache => cache.remaining("key"))),
        ("ping", boxed!(cache => cache.ping())),
    ]
}

/// Every write that is a single command. The key must hold a number before.
pub(crate) fn writes() -> Vec<Operation> {
    vec![
        ("set", boxed!(cache => cache.set("key", 1))),
        ("set_raw", boxed!(cache => cache.set_raw("key", "1"))),
        ("set_many", boxed!(cache => cache.set_many([("key", 1)]))),
        ("set_many_raw", boxed!(cache => cache.set_many_raw([("key", "1")]))),
        ("add", boxed!(cache => cache.add("key", 1))),
        ("add_raw", boxed!(cache => cache.add_raw("key", "1"))),
        ("delete", boxed!(cache => cache.delete("key"))),
        ("delete_many", boxed!(cache => cache.delete_many(["key", "other"]))),
        ("clear", boxed!(cache => cache.clear())),
        ("touch for ever", boxed!(cache => cache.touch("key"))),
        ("touch for a while", boxed!(cache => cache.touch("key").timeout(LONG))),
        ("incr", boxed!(cache => cache.incr("key", 1))),
        ("decr", boxed!(cache => cache.decr("key", 1.5))),
        ("incr_by", boxed!(cache => cache.incr_by("key", 1))),
        ("decr_by", boxed!(cache => cache.decr_by("key", 1))),
        ("incr or_insert", boxed!(cache => cache.incr("key", 1).or_insert(0).timeout(LONG))),
        ("delete_if_equals", boxed!(cache => cache.delete_if_equals("key", 1))),
        ("delete_if_equals_raw", boxed!(cache => cache.delete_if_equals_raw("key", "1"))),
    ]
}

/// Every operation that takes a version.
pub(crate) fn versioned() -> Vec<Versioned> {
    vec![
        ("get", boxed!(cache, v => cache.get::<i32>("key").version(v))),
        ("get_raw", boxed!(cache, v => cache.get_raw("key").version(v))),
        ("get_many", boxed!(cache, v => cache.get_many::<i32>(["key"]).version(v))),
        ("get_many_raw", boxed!(cache, v => cache.get_many_raw(["key"]).version(v))),
        ("set", boxed!(cache, v => cache.set("key", 1).version(v))),
        ("set_raw", boxed!(cache, v => cache.set_raw("key", "1").version(v))),
        ("set_many", boxed!(cache, v => cache.set_many([("key", 1)]).version(v))),
        ("add", boxed!(cache, v => cache.add("key", 1).version(v))),
        ("add_raw", boxed!(cache, v => cache.add_raw("key", "1").version(v))),
        ("set_many_raw", boxed!(cache, v => cache.set_many_raw([("key", "1")]).version(v))),
        ("get_or_set", boxed!(cache, v => cache.get_or_set("key", async { 1 }).version(v))),
        (
            "try_get_or_set",
            boxed!(cache, v => flat(cache.try_get_or_set("key", async { Ok(1) }).version(v))),
        ),
        (
            "get_or_set_raw",
            boxed!(cache, v => cache.get_or_set_raw("key", async { "1" }).version(v)),
        ),
        ("delete", boxed!(cache, v => cache.delete("key").version(v))),
        ("delete_many", boxed!(cache, v => cache.delete_many(["key"]).version(v))),
        ("touch", boxed!(cache, v => cache.touch("key").version(v))),
        ("incr", boxed!(cache, v => cache.incr("key", 1).version(v))),
        ("decr", boxed!(cache, v => cache.decr("key", 1).version(v))),
        ("incr_by", boxed!(cache, v => cache.incr_by("key", 1).version(v))),
        ("decr_by", boxed!(cache, v => cache.decr_by("key", 1).version(v))),
        ("incr or_insert", boxed!(cache, v => cache.incr("key", 1).or_insert(0).version(v))),
        ("delete_if_equals", boxed!(cache, v => cache.delete_if_equals("key", 1).version(v))),
        (
            "delete_if_equals_raw",
            boxed!(cache, v => cache.delete_if_equals_raw("key", "1").version(v)),
        ),
        ("contains", boxed!(cache, v => cache.contains("key").version(v))),
        ("remaining", boxed!(cache, v => cache.remaining("key").version(v))),
    ]
}

/// Every operation that takes a timeout.
pub(crate) fn timed() -> Vec<Timed> {
    vec![
        ("set", boxed!(cache, t => cache.set("key", 1).timeout(t))),
        ("set_raw", boxed!(cache, t => cache.set_raw("key", "1").timeout(t))),
        ("set_many", boxed!(cache, t => cache.set_many([("key", 1)]).timeout(t))),
        ("add", boxed!(cache, t => cache.add("key", 1).timeout(t))),
        ("add_raw", boxed!(cache, t => cache.add_raw("key", "1").timeout(t))),
        ("set_many_raw", boxed!(cache, t => cache.set_many_raw([("key", "1")]).timeout(t))),
        ("get_or_set", boxed!(cache, t => cache.get_or_set("key", async { 1 }).timeout(t))),
        (
            "try_get_or_set",
            boxed!(cache, t => flat(cache.try_get_or_set("key", async { Ok(1) }).timeout(t))),
        ),
        (
            "get_or_set_raw",
            boxed!(cache, t => cache.get_or_set_raw("key", async { "1" }).timeout(t)),
        ),
        (
            "timeout_with",
            boxed!(cache, t => cache.get_or_set("key", async { 1 }).timeout_with(move |_| t)),
        ),
        ("incr or_insert", boxed!(cache, t => cache.incr("key", 1).or_insert(0).timeout(t))),
        ("touch", boxed!(cache, t => cache.touch("key").timeout(t))),
    ]
}

/// A value that JSON cannot represent: a map whose keys are lists.
pub(crate) fn unspeakable() -> BTreeMap<Vec<u8>, u8> {
    BTreeMap::from([(vec![1, 2], 3)])
}

/// A loader that must not run, or whose panic is under test.
pub(crate) async fn never_loaded<T>() -> T {
    panic!("the loader runs")
}

/// A timeout that no test waits for.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A timeout that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(60);
/// Longer than [`SHORT`], by more than any clock's step.
pub(crate) const PAST_SHORT: Duration = Duration::from_millis(75);

async fn try_get_or_set(cache: &Cache) -> Result<i32, Error> {
    flat(cache.try_get_or_set("key", async { Ok(1) })).await
}

async fn flat<T>(
    loading: impl Future<Output = Result<T, LoadError<Infallible>>>,
) -> Result<T, Error> {
    loading.await.map_err(|error| match error {
        LoadError::Cache(error) => error,
        other => panic!("{other:?}"),
    })
}
