//! The type of every operation's future can be written down: in a struct, in a list, and in a type
//! that is generic itself.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use async_caches::{
    Add, Bytes, Cache, Clear, ClearPrefix, Connect, Contains, Delete, DeleteIfEquals, DeleteMany,
    Disconnect, Error, Get, GetEach, GetMany, GetOrSet, GetRemaining, Incr, IncrOrInsert, Json,
    LoadError, Name, NameBytes, Ping, Raw, Remaining, Set, SetMany, Touch, TryGetOrSet, open,
};
use serde::de::DeserializeOwned;

/// A loader that an application keeps in a box.
type Loader<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Every operation, without `impl Trait` and without the types of its keys.
struct Every<'c> {
    connect: Connect<'c>,
    ping: Ping<'c>,
    set: Set<'c, Json<i32>>,
    set_raw: Set<'c, Raw>,
    add: Add<'c, Json<i32>>,
    add_raw: Add<'c, Raw>,
    set_many: SetMany<'c, BTreeMap<String, i32>>,
    set_many_raw: SetMany<'c, [(&'static str, Bytes); 1], Raw>,
    get: Get<'c, Json<i32>>,
    get_raw: Get<'c, Raw>,
    get_many: GetMany<'c, Json<i32>>,
    get_each: GetEach<'c, Json<i32>>,
    get_many_raw: GetMany<'c, Raw>,
    get_or_set: GetOrSet<'c, Ready<i32>, i32>,
    try_get_or_set: TryGetOrSet<'c, Loader<Result<i32, String>>, i32>,
    get_or_set_raw: GetOrSet<'c, Ready<&'static str>, Bytes, Raw>,
    try_get_or_set_raw: TryGetOrSet<'c, Loader<Result<Vec<u8>, String>>, Bytes, Raw>,
    contains: Contains<'c>,
    remaining: GetRemaining<'c>,
    touch: Touch<'c>,
    incr: Incr<'c, i64>,
    decr: Incr<'c, f64>,
    incr_or_insert: IncrOrInsert<'c, i64>,
    delete_if_equals: DeleteIfEquals<'c, Json<i32>>,
    delete_if_equals_raw: DeleteIfEquals<'c, Raw>,
    delete: Delete<'c>,
    delete_many: DeleteMany<'c>,
    clear_prefix: ClearPrefix<'c>,
    clear: Clear<'c>,
    disconnect: Disconnect<'c>,
}

impl<'c> Every<'c> {
    fn new(cache: &'c Cache, key: &'c str) -> Self {
        Self {
            connect: cache.connect(),
            ping: cache.ping(),
            set: cache.set(key, 1),
            set_raw: cache.set_raw(String::from("raw"), "raw"),
            add: cache.add(Rc::<str>::from(key), 2),
            add_raw: cache.add_raw(key.as_bytes(), "2"),
            set_many: cache.set_many(BTreeMap::from([(key.to_owned(), 3)])),
            set_many_raw: cache.set_many_raw([("many", Bytes::from_static(b"raw"))]),
            get: cache.get(key),
            get_raw: cache.get_raw(Bytes::copy_from_slice(key.as_bytes())),
            get_many: cache.get_many([key, "none"]),
            get_each: cache.get_many([7]).each(),
            get_many_raw: cache.get_many_raw(["raw", "many"]),
            get_or_set: cache.get_or_set(key, ready(4)),
            try_get_or_set: cache.try_get_or_set(7, Box::pin(ready(Err("failed".to_owned())))),
            get_or_set_raw: cache.get_or_set_raw("loaded", ready("bytes")),
            try_get_or_set_raw: cache.try_get_or_set_raw(*b"more", Box::pin(ready(Ok(vec![0])))),
            contains: cache.contains(key),
            remaining: cache.remaining(key),
            touch: cache.touch(7_u64),
            incr: cache.incr(key, 5),
            decr: cache.decr(key, 0.5),
            incr_or_insert: cache.incr("new", 1).or_insert(9),
            delete_if_equals: cache.delete_if_equals(key, 0),
            delete_if_equals_raw: cache.delete_if_equals_raw("raw", "raw"),
            delete: cache.delete(key),
            delete_many: cache.delete_many(["many", "none"]),
            clear_prefix: cache.clear_prefix(),
            clear: cache.clear(),
            disconnect: cache.disconnect(),
        }
    }
}

#[test]
fn every_operation_can_be_kept_in_a_struct_without_the_type_of_its_key() {
    let (cache, key) = (open("locmem://named").unwrap(), String::from("key"));
    let every = Every::new(&cache, &key);
    now(every.connect).unwrap();
    now(every.ping).unwrap();
    now(every.set).unwrap();
    now(every.set_raw).unwrap();
    assert!(!now(every.add).unwrap());
    assert!(!now(every.add_raw).unwrap());
    now(every.set_many).unwrap();
    now(every.set_many_raw).unwrap();
    assert_eq!(now(every.get).unwrap(), Some(3));
    assert_eq!(now(every.get_raw).unwrap().unwrap(), "3");
    assert_eq!(now(every.get_many).unwrap(), [Some(3), None]);
    assert!(matches!(now(every.get_each).unwrap()[..], [Ok(None)]));
    assert_eq!(now(every.get_many_raw).unwrap(), [Some("raw".into()), Some("raw".into())]);
    assert_eq!(now(every.get_or_set).unwrap(), 3);
    let error = now(every.try_get_or_set).unwrap_err();
    assert!(matches!(error, LoadError::Load(ref text) if text == "failed"), "{error:?}");
    assert_eq!(now(every.get_or_set_raw).unwrap(), "bytes");
    assert_eq!(now(every.try_get_or_set_raw).unwrap(), [0][..]);
    assert!(now(every.contains).unwrap());
    assert_eq!(now(every.remaining).unwrap(), Remaining::Forever);
    assert!(!now(every.touch).unwrap());
    assert_eq!(now(every.incr).unwrap(), 8);
    assert_eq!(now(every.decr).unwrap(), 7.5);
    assert_eq!(now(every.incr_or_insert).unwrap(), 10);
    assert!(!now(every.delete_if_equals).unwrap());
    assert!(now(every.delete_if_equals_raw).unwrap());
    assert!(now(every.delete).unwrap());
    assert_eq!(now(every.delete_many).unwrap(), 1);
    assert_eq!(now(every.clear_prefix).unwrap(), 3);
    now(every.clear).unwrap();
    now(every.disconnect).unwrap();
}

/// A key type of an application's own.
struct UserKey(String);

impl NameBytes for UserKey {
    fn name_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn name_by_value<'a>(self) -> Name<'a> {
        self.0.into()
    }
}

#[test]
fn lookups_by_keys_of_different_types_fit_one_list_and_are_polled_by_hand() {
    let cache = connected("list");
    now(cache.set_many([("a", 1), ("b", 2), ("3", 3)])).unwrap();
    let (text, user) = (String::from("a"), UserKey("b".to_owned()));
    let mut gets: Vec<Get<'_, Json<i32>>> = vec![
        cache.get("a"),
        cache.get(&text),
        cache.get(text.clone()),
        cache.get(&user),
        cache.get(UserKey("none".to_owned())),
        cache.get(3),
        cache.get(b"b").into_owned(),
    ];
    let mut many: Vec<GetMany<'static, Json<i32>>> = vec![
        cache.get_many(["a", "b"]).into_owned(),
        cache.get_many([3_u8]).into_owned(),
        cache.get_many(&[UserKey("b".to_owned())]).into_owned(),
    ];
    let mut cx = Context::from_waker(Waker::noop());
    let mut found = Vec::new();
    for get in &mut gets {
        let Poll::Ready(value) = Pin::new(get).poll(&mut cx) else { panic!("it waits") };
        found.push(value.unwrap());
    }
    assert_eq!(found, [Some(1), Some(1), Some(1), Some(2), None, Some(3), Some(2)]);
    let mut found = Vec::new();
    for get in &mut many {
        let Poll::Ready(values) = Pin::new(get).poll(&mut cx) else { panic!("it waits") };
        found.push(values.unwrap());
    }
    assert_eq!(found, [vec![Some(1), Some(2)], vec![Some(3)], vec![Some(2)]]);
}

/// A lookup of a library's own, of any type.
struct Lookup<'c, T>(Get<'c, Json<T>>);

impl<T: DeserializeOwned + Default> Future for Lookup<'_, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(Option::unwrap_or_default)
    }
}

/// A load of a library's own, of any loader.
struct Loading<'c, F>(GetOrSet<'c, F, u64>);

impl<F: Future<Output = u64>> Future for Loading<'_, F> {
    type Output = Result<u64, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

#[test]
fn a_library_wraps_operations_in_futures_of_its_own() {
    let cache = connected("wrapped");
    now(cache.set("key", "value")).unwrap();
    assert_eq!(now(Lookup::<String>(cache.get("key"))).unwrap(), "value");
    assert_eq!(now(Lookup::<i32>(cache.get("none").version(2))).unwrap(), 0);
    assert_eq!(now(Loading(cache.get_or_set("n", async { 7 }))).unwrap(), 7);
}

#[test]
fn an_operation_outlives_a_key_that_is_given_by_value() {
    let cache = connected("by-value");
    let long = "n".repeat(100);
    let operations = |key: &str| {
        (cache.set(key.to_owned(), 1), cache.get::<i32>(UserKey(key.to_owned())), cache.delete(key))
    };
    for key in ["short", &long] {
        let (set, get, delete) = operations(key);
        now(set).unwrap();
        assert_eq!(now(get).unwrap(), Some(1));
        assert!(now(delete).unwrap());
    }
}

fn connected(name: &str) -> Cache {
    let cache = open(&format!("locmem://{name}")).unwrap();
    now(cache.connect()).unwrap();
    cache
}

/// A cache in memory does no I/O: its futures are ready when they are first polled.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a cache in memory is always ready"),
    }
}
