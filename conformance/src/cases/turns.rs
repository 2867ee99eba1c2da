//! Operations that never wait: a loop of them lets other tasks run nevertheless.

use std::cell::Cell;
use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::task::Poll;

use async_caches::Error;

use super::ops::LONG;
use crate::context::Context;

/// How many operations a loop runs.
const OPERATIONS: usize = 2_000;
/// How many operations a task may run before it gives way.
const MOST: usize = 128;

/// Runs `operation` over and over, and asserts that the task gives way often enough.
async fn gives_way(cx: &Context, what: &str, operation: impl AsyncFn()) {
    let done = Cell::new(0);
    let many = async {
        for _ in 0..OPERATIONS {
            operation().await;
            done.set(done.get() + 1);
        }
    };
    let (mut many, mut last, mut most) = (pin!(many), 0, 0);
    let all = poll_fn(|cx| {
        let poll = many.as_mut().poll(cx);
        most = most.max(done.get() - last);
        last = done.get();
        poll
    });
    cx.in_time(LONG, what, all).await;
    assert_eq!(done.get(), OPERATIONS, "{what}");
    assert!(most <= MOST, "{most} operations of {what} without a break");
}

/// Asserts that an operation succeeds.
async fn done<T>(operation: impl Future<Output = Result<T, Error>>) {
    assert!(operation.await.is_ok());
}

pub async fn a_loop_of_any_operation_lets_others_run(cx: Context) {
    let cache = cx.cache().await;
    let cache = &cache;
    gives_way(&cx, "get", async || done(cache.get::<i32>("key")).await).await;
    gives_way(&cx, "get_raw", async || done(cache.get_raw("key")).await).await;
    gives_way(&cx, "set", async || cache.set("key", 1).await.unwrap()).await;
    gives_way(&cx, "add", async || done(cache.add("key", 1)).await).await;
    gives_way(&cx, "get_many", async || {
        done(cache.get_many::<i32>(["key", "other"])).await;
    })
    .await;
    gives_way(&cx, "set_many", async || cache.set_many([("key", 1)]).await.unwrap()).await;
    gives_way(&cx, "get_or_set", async || {
        cache.get_or_set("key", ready(1)).await.unwrap();
    })
    .await;
    gives_way(&cx, "a load", async || {
        cache.delete("key").await.unwrap();
        cache.get_or_set("key", ready(1)).await.unwrap();
    })
    .await;
    gives_way(&cx, "incr", async || drop(cache.incr("key", 1).await)).await;
    gives_way(&cx, "touch", async || done(cache.touch("key")).await).await;
    gives_way(&cx, "contains", async || done(cache.contains("key")).await).await;
    gives_way(&cx, "remaining", async || done(cache.remaining("key")).await).await;
    gives_way(&cx, "delete", async || done(cache.delete("key")).await).await;
    gives_way(&cx, "delete_many", async || done(cache.delete_many(["key"])).await).await;
    gives_way(&cx, "clear_prefix", async || done(cache.clear_prefix()).await).await;
    gives_way(&cx, "clear", async || cache.clear().await.unwrap()).await;
    gives_way(&cx, "ping", async || cache.ping().await.unwrap()).await;
}

pub async fn a_loop_of_calls_that_fail_at_once_lets_others_run(cx: Context) {
    let cache = cx.builder().build().unwrap();
    gives_way(&cx, "get", async || {
        let error = cache.get::<i32>("key").await.unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{error:?}");
    })
    .await;
}

pub async fn a_loop_that_waits_for_a_lock_ends_when_another_task_gives_it_back(cx: Context) {
    let cache = cx.cache().await;
    cache.set("lock", 1).await.unwrap();
    let taken = async {
        // Bounded, because a loop in a thread that never gives way would not end by itself.
        for _ in 0..1_000_000 {
            if cache.add("lock", 1).await.unwrap() {
                return;
            }
        }
        panic!("the other task never ran");
    };
    let give_back = async { assert!(cache.delete("lock").await.unwrap()) };
    let (mut taken, mut give_back) = (pin!(taken), pin!(give_back));
    // Both futures are in one task, and take turns in being polled first.
    let (mut turn, mut given_back) = (false, false);
    poll_fn(|cx| {
        turn = !turn;
        if !turn && !given_back {
            given_back = give_back.as_mut().poll(cx).is_ready();
        }
        match taken.as_mut().poll(cx) {
            Poll::Pending if turn && !given_back => {
                given_back = give_back.as_mut().poll(cx).is_ready();
                Poll::Pending
            }
            poll => poll,
        }
    })
    .await;
    assert!(given_back);
}

pub async fn a_timeout_around_a_loop_of_gets_fires(cx: Context) {
    let cache = cx.cache().await;
    let gets = async {
        for _ in 0..3_000_000 {
            cache.get_raw("key").await.unwrap();
        }
    };
    let (mut gets, mut alarm) = (pin!(gets), pin!(cx.sleep(std::time::Duration::from_millis(10))));
    let fired = poll_fn(|cx| match gets.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(false),
        Poll::Pending => alarm.as_mut().poll(cx).map(|()| true),
    });
    assert!(fired.await, "the loop never gave way");
}
