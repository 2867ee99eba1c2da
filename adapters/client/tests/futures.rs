//! The properties of every operation's future: `Send`, `Unpin`, and lazy until it is polled.

use std::future::ready;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches::{Cache, Error, LoadError, open};

/// A cache in memory does no I/O: its futures are ready when they are first polled.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a cache in memory is always ready"),
    }
}

fn connected(name: &str) -> Cache {
    let cache = open(&format!("locmem://{name}")).unwrap();
    now(cache.connect()).unwrap();
    cache
}

fn movable<F: Future + Send + Unpin>(future: F) -> F {
    future
}

#[test]
fn every_operation_is_a_future_that_may_move_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}

    let cache = open("locmem://movable").unwrap();
    shared(&cache);
    now(movable(cache.connect())).unwrap();
    let key = String::from("key");
    now(movable(cache.ping())).unwrap();
    now(movable(cache.set(&key, &1).timeout(Duration::from_secs(9)).version(1))).unwrap();
    now(movable(cache.set_raw(&key, "1").forever())).unwrap();
    now(movable(cache.set_many([(&key, &1)]).forever().version("v"))).unwrap();
    assert!(!now(movable(cache.add(&key, &1))).unwrap());
    assert_eq!(now(movable(cache.get::<i32>(&key))).unwrap(), Some(1));
    assert_eq!(now(movable(cache.get_raw(&key))).unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(now(movable(cache.get_many::<i32>([&key]))).unwrap(), [Some(1)]);
    assert_eq!(now(movable(cache.get_many_raw([&key]))).unwrap().len(), 1);
    assert_eq!(now(movable(cache.incr(&key, 1))).unwrap(), 2);
    assert_eq!(now(movable(cache.decr(&key, 0.5))).unwrap(), 1.5);
    assert!(now(movable(cache.touch(&key))).unwrap());
    assert!(now(movable(cache.contains(&key))).unwrap());
    now(movable(cache.remaining(&key))).unwrap();
    assert_eq!(now(movable(cache.get_or_set(&key, ready(1.5)))).unwrap(), 1.5);
    let loaded: Result<f64, LoadError<()>> =
        now(movable(cache.try_get_or_set(&key, ready(Ok(0.)))));
    assert_eq!(loaded.unwrap(), 1.5);
    assert!(now(movable(cache.delete(&key))).unwrap());
    assert_eq!(now(movable(cache.delete_many([&key]))).unwrap(), 0);
    assert_eq!(now(movable(cache.clear_prefix())).unwrap(), 2);
    now(movable(cache.clear())).unwrap();
    now(movable(cache.disconnect())).unwrap();
}

#[test]
fn an_operation_that_is_not_polled_does_nothing() {
    let cache = connected("lazy");
    let looked = AtomicBool::new(false);
    drop(cache.set("key", &1));
    drop(cache.get_or_set("key", async {
        looked.store(true, Ordering::Relaxed);
        1
    }));
    drop(cache.disconnect());
    assert!(!now(cache.contains("key")).unwrap());
    assert!(!looked.load(Ordering::Relaxed));
    assert!(cache.is_connected());
}

#[test]
fn a_loader_need_not_be_unpin() {
    let cache = connected("pinned");
    let loaded = now(cache.get_or_set("key", async {
        let text = String::from("borrowed over an await");
        let borrowed = &text;
        ready(()).await;
        borrowed.len()
    }));
    assert_eq!(loaded.unwrap(), 22);
}

#[test]
fn contradicting_bounds_of_one_store_are_an_error_naming_the_bound() {
    let first = open("locmem://bounds?max_entries=10").unwrap();
    now(first.connect()).unwrap();
    let agrees = open("locmem://bounds").unwrap();
    now(agrees.connect()).unwrap();
    let other = open("locmem://bounds?max_entries=11").unwrap();
    let error = now(other.connect()).unwrap_err();
    assert!(matches!(error, Error::BoundsMismatch { option: "max_entries", .. }), "{error}");
    assert!(!other.is_connected());
}

#[test]
fn a_server_without_a_runtime_is_an_error_that_names_the_adapters() {
    let error = open("redis://:canary@localhost").unwrap_err();
    assert!(matches!(error, Error::NoRuntime { ref scheme } if scheme == "redis"));
    assert!(error.to_string().contains("async-caches-tokio"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}
