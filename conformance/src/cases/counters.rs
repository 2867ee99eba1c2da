//! Numbers that begin when they are first added to, in one atomic step.

use std::time::Duration;

use async_caches::{Error, Remaining};

use super::ops::{LONG, PAST_SHORT, SHORT};
use super::timeouts::assert_within;
use crate::context::{Context, connected};
use crate::gate::held_load;

pub async fn an_absent_number_begins_with_its_initial_value(cx: Context) {
    let cache = cx.cache().await;
    assert_eq!(cache.incr("n", 1).or_insert(0).await.unwrap(), 1);
    assert_eq!(cache.incr("n", 1).or_insert(0).await.unwrap(), 2);
    assert_eq!(cache.decr("down", 3).or_insert(10).await.unwrap(), 7);
    assert_eq!(cache.incr("half", 0.5).or_insert(1.0).await.unwrap(), 1.5);
    assert_eq!(cache.decr("half", 1.5).or_insert(9.0).await.unwrap(), 0.0);
    assert_eq!(cache.incr_by("wide", 7_u8).or_insert(-1).await.unwrap(), 6);
    assert_eq!(cache.incr("at", 1).version(2).or_insert(40).await.unwrap(), 41);
    assert_eq!(cache.incr("at", 1).or_insert(50).version(2).await.unwrap(), 42);
    let texts = cache.get_many_raw(["n", "down", "half", "wide", "at"]).await.unwrap();
    let texts: Vec<_> = texts.iter().map(|text| text.as_deref()).collect();
    let wanted = [Some(&b"2"[..]), Some(b"7"), Some(b"0"), Some(b"6"), None];
    assert_eq!(texts, wanted);
}

/// Each stored text equals that of the same sum with a number that was stored before.
pub async fn a_first_sum_is_stored_like_any_other(cx: Context) {
    let cache = cx.cache().await;
    let doubles = [
        (0.1, 0.2),
        (-0.0, -0.0),
        (1e308, 1e-5),
        (1e15, 0.5),
        (0.0, 1e-7),
        (9_007_199_254_740_991.0, 0.0),
        (9_007_199_254_740_992.0, 2.0),
        (5e-324, 0.0),
        (-1.5, 1.5),
    ];
    for (initial, delta) in doubles {
        cache.delete_many(["new", "old"]).await.unwrap();
        cache.set("old", initial).await.unwrap();
        let new = cache.incr("new", delta).or_insert(initial).await.unwrap();
        let old = cache.incr("old", delta).await.unwrap();
        assert_eq!(new.to_bits(), old.to_bits(), "{initial} + {delta}");
        let texts = cache.get_many_raw(["new", "old"]).await.unwrap();
        assert_eq!(texts[0], texts[1], "{initial} + {delta}");
    }
    for (initial, delta) in [(i64::MAX, i64::MIN), (i64::MIN, i64::MAX), (i64::MAX, 0), (-1, 1)] {
        cache.delete("new").await.unwrap();
        let sum = cache.incr("new", delta).or_insert(initial).await.unwrap();
        assert_eq!(sum, initial + delta);
        assert_eq!(cache.get::<i64>("new").await.unwrap(), Some(sum));
    }
}

pub async fn a_timeout_begins_when_the_number_does(cx: Context) {
    let cache = cx.cache().await;
    assert_eq!(cache.incr("n", 1).or_insert(0).timeout(LONG).await.unwrap(), 1);
    assert_within(cache.remaining("n").await.unwrap(), LONG, "n");
    let longer = LONG * 60;
    assert_eq!(cache.incr("n", 1).or_insert(0).timeout(longer).await.unwrap(), 2);
    assert_within(cache.remaining("n").await.unwrap(), LONG, "it stays");
    assert_eq!(cache.incr("n", 0.5).or_insert(0.0).forever().await.unwrap(), 2.5);
    assert_within(cache.remaining("n").await.unwrap(), LONG, "it stays");
    cache.set("forever", 1).await.unwrap();
    assert_eq!(cache.incr("forever", 1).or_insert(0).ttl(SHORT).await.unwrap(), 2);
    assert_eq!(cache.remaining("forever").await.unwrap(), Remaining::Forever);
    assert_eq!(cache.incr("window", 1).or_insert(0).timeout(SHORT).await.unwrap(), 1);
    cx.sleep(PAST_SHORT).await;
    assert_eq!(cache.incr("window", 1).or_insert(0).timeout(LONG).await.unwrap(), 1);
    assert_within(cache.remaining("window").await.unwrap(), LONG, "a window of its own");
}

pub async fn a_new_number_has_the_default_timeout(cx: Context) {
    let cache = connected(cx.builder().timeout(LONG)).await;
    cache.incr("n", 1).or_insert(0).await.unwrap();
    assert_within(cache.remaining("n").await.unwrap(), LONG, "n");
    cache.incr("half", 1.0).or_insert(0.0).timeout(None).await.unwrap();
    assert_within(cache.remaining("half").await.unwrap(), LONG, "half");
    cache.incr("forever", 1).or_insert(0).forever().await.unwrap();
    assert_eq!(cache.remaining("forever").await.unwrap(), Remaining::Forever);
}

pub async fn a_first_sum_that_overflows_creates_nothing(cx: Context) {
    let cache = cx.cache().await;
    let integers = [(i64::MAX, 1), (i64::MIN, -1)];
    for (initial, delta) in integers {
        let error = cache.incr("n", delta).or_insert(initial).await.unwrap_err();
        assert!(matches!(error, Error::Overflow { .. }), "{error:?}");
    }
    let error = cache.decr("n", i64::MIN).or_insert(0).await.unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error:?}");
    assert_eq!(cache.decr("below", i64::MIN).or_insert(-1).await.unwrap(), i64::MAX);
    let doubles = [(f64::MAX, f64::MAX), (f64::NAN, 1.0), (f64::INFINITY, 1.0), (0.0, f64::NAN)];
    for (initial, delta) in doubles {
        let error = cache.incr("n", delta).or_insert(initial).await.unwrap_err();
        assert!(matches!(error, Error::Overflow { .. }), "{initial} + {delta}: {error:?}");
        assert!(error.to_string().contains('n'), "{error}");
    }
    assert!(!cache.contains("n").await.unwrap());
    // The initial value does not matter once the number is there.
    cache.set("n", 1).await.unwrap();
    assert_eq!(cache.incr("n", 1).or_insert(i64::MAX).await.unwrap(), 2);
    assert_eq!(cache.incr("n", 0.5).or_insert(f64::NAN).await.unwrap(), 2.5);
    let error = cache.incr("n", 1).or_insert(0).await.unwrap_err();
    assert!(matches!(error, Error::NotAnInteger { .. }), "{error:?}");
    cache.set("n", "text").await.unwrap();
    let error = cache.incr("n", 1).or_insert(0).await.unwrap_err();
    assert!(matches!(error, Error::NotANumber { .. }), "{error:?}");
}

pub async fn no_concurrent_first_addition_is_lost(cx: Context) {
    let cache = cx.cache().await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let cache = cache.clone();
            cx.spawn(async move {
                for key in ["a", "b", "c", "d"] {
                    cache.incr(key, 1).or_insert(100).timeout(LONG).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    assert_eq!(cache.get_many::<i64>(["a", "b", "c", "d"]).await.unwrap(), [Some(132); 4]);
    assert_within(cache.remaining("a").await.unwrap(), LONG, "a");
}

pub async fn a_number_created_while_loading_wins(cx: Context) {
    let cache = cx.cache().await;
    let (gate, load) = held_load(&cx, &cache, "n", 7).await;
    assert_eq!(cache.incr("n", 1).or_insert(40).await.unwrap(), 41);
    gate.open();
    assert_eq!(load.await, 7);
    assert_eq!(cache.get::<i64>("n").await.unwrap(), Some(41));
}

pub async fn a_limit_of_calls_in_a_window_is_kept(cx: Context) {
    let cache = cx.cache().await;
    let window = Duration::from_secs(600);
    let mut allowed = 0;
    for _ in 0..10 {
        let count = cache.incr("rate:alice", 1).or_insert(0).timeout(window).await.unwrap();
        allowed += i32::from(count <= 3);
    }
    assert_eq!(allowed, 3);
}
