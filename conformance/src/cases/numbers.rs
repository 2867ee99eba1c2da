//! Numbers: one atomic step, the same text on every backend.

use std::time::Duration;

use async_caches::{Cache, Error};

use super::ops::{LONG, PAST_SHORT, SHORT};
use super::timeouts::assert_within;
use crate::context::Context;

pub async fn an_integer_is_added_and_subtracted(cx: Context) {
    let cache = cx.cache().await;
    cache.set("n", 40).await.unwrap();
    assert_eq!(cache.incr("n", 3).await.unwrap(), 43);
    assert_eq!(cache.decr("n", 1).await.unwrap(), 42);
    assert_eq!(cache.incr("n", -50).await.unwrap(), -8);
    assert_eq!(cache.decr("n", -8).await.unwrap(), 0);
    assert_eq!(cache.incr("n", 0).await.unwrap(), 0);
    assert_eq!(cache.get::<i64>("n").await.unwrap(), Some(0));
}

pub async fn a_double_is_added_and_subtracted(cx: Context) {
    let cache = cx.cache().await;
    cache.set("n", 1).await.unwrap();
    assert_eq!(cache.incr("n", 0.5).await.unwrap(), 1.5);
    assert_eq!(cache.decr("n", 2.25).await.unwrap(), -0.75);
    assert_eq!(cache.get::<f64>("n").await.unwrap(), Some(-0.75));
}

/// Stored text, delta, and either the sum's text or the error's kind.
pub async fn integers_add_by_the_table(cx: Context) {
    let cache = cx.cache().await;
    const MAX: i64 = i64::MAX;
    const MIN: i64 = i64::MIN;
    let table = [
        ("0", 1, Ok("1")),
        ("-1", 1, Ok("0")),
        ("9", 1, Ok("10")),
        ("-0", 1, Err("not an integer")),
        ("9007199254740992", 1, Ok("9007199254740993")),
        ("-9007199254740993", -2, Ok("-9007199254740995")),
        ("999999999999999", 0, Ok("999999999999999")),
        ("9223372036854775806", 1, Ok("9223372036854775807")),
        ("9223372036854775807", 1, Err("overflow")),
        ("9223372036854775807", MIN, Ok("-1")),
        ("-9223372036854775808", -1, Err("overflow")),
        ("-9223372036854775808", MAX, Ok("-1")),
        ("-9223372036854775808", MIN, Err("overflow")),
        ("9223372036854775808", -1, Err("overflow")),
        ("99999999999999999999999", 1, Err("overflow")),
        ("1.5", 1, Err("not an integer")),
        ("1.0", 1, Err("not an integer")),
        ("1e3", 1, Err("not an integer")),
    ];
    for (stored, delta, expected) in table {
        let sum = step(&cache, stored, delta, |sum: i64| sum.to_string()).await;
        assert_eq!(sum, expected.map(str::to_owned), "{stored} + {delta}");
        if let Some(delta) = delta.checked_neg() {
            cache.set_raw("n", stored).await.unwrap();
            let sum = cache.decr("n", delta).await;
            assert_eq!(sum.map(|sum| sum.to_string()).ok().as_deref(), expected.ok(), "{stored}");
        }
    }
}

pub async fn the_lowest_integer_is_subtracted_if_the_difference_fits(cx: Context) {
    let cache = cx.cache().await;
    cache.set("n", -1).await.unwrap();
    assert_eq!(cache.decr("n", i64::MIN).await.unwrap(), i64::MAX);
    cache.set("n", 0).await.unwrap();
    let error = cache.decr("n", i64::MIN).await.unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error:?}");
    assert_eq!(cache.get::<i64>("n").await.unwrap(), Some(0));
}

pub async fn doubles_add_by_the_table(cx: Context) {
    let cache = cx.cache().await;
    let table = [
        ("1", 0.5, Ok("1.5")),
        ("1.5", 0.5, Ok("2")),
        ("0.1", 0.2, Ok("0.30000000000000004")),
        ("-1.5", 1.5, Ok("0")),
        ("-0", -0.0, Ok("0")),
        ("1e3", 1.0, Ok("1001")),
        ("1E-2", 0.0, Ok("0.01")),
        ("100000000000000000000", 0.0, Ok("1e+20")),
        ("9007199254740991", 0.0, Ok("9007199254740991")),
        ("90071992547409920", 0.0, Ok("9.007199254740992e+16")),
        ("0.00001", 0.0, Ok("1e-05")),
        ("123456789012345.6", 0.0, Ok("123456789012345.6")),
        ("2.2250738585072014e-308", 0.0, Ok("2.2250738585072014e-308")),
        ("1.7976931348623157e308", f64::MAX, Err("overflow")),
        ("1e999", 1.0, Err("overflow")),
        ("1", f64::INFINITY, Err("overflow")),
        ("1", f64::NAN, Err("overflow")),
    ];
    for (stored, delta, expected) in table {
        let sum = step(&cache, stored, delta, |_: f64| String::new()).await;
        assert_eq!(sum, expected.map(str::to_owned), "{stored} + {delta}");
    }
}

pub async fn only_numbers_can_be_added_to(cx: Context) {
    let cache = cx.cache().await;
    let texts = [
        "", "abc", "\"5\"", "null", "true", "[1]", "{}", "+5", "05", "-", "1.", ".5", "1e", "0x10",
        " 5", "5 ", "5\n", "1,5", "NaN", "nan", "Infinity", "inf", "-inf", "1_000", "5\0",
    ];
    for stored in texts {
        let integer = step(&cache, stored, 1, |sum: i64| sum.to_string()).await;
        assert_eq!(integer, Err("not a number"), "{stored:?} + 1");
        let double = step(&cache, stored, 1.5, |_: f64| String::new()).await;
        assert_eq!(double, Err("not a number"), "{stored:?} + 1.5");
    }
}

pub async fn an_absent_key_is_not_added_to(cx: Context) {
    let cache = cx.cache().await;
    let errors = [
        cache.incr("no such key", 1).await.unwrap_err(),
        cache.decr("no such key", 1).await.unwrap_err(),
        cache.incr("no such key", 1.5).await.unwrap_err(),
        cache.decr("no such key", i64::MIN).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::KeyNotFound { .. }), "{error:?}");
        assert!(error.to_string().contains("no such key"), "{error}");
    }
    assert!(!cache.contains("no such key").await.unwrap());
}

pub async fn a_sum_keeps_its_keys_timeout(cx: Context) {
    let cache = cx.cache().await;
    cache.set("forever", 1).await.unwrap();
    cache.set("for long", 1).timeout(LONG).await.unwrap();
    for key in ["forever", "for long"] {
        cache.incr(key, 1).await.unwrap();
        cache.decr(key, 0.5).await.unwrap();
    }
    assert_eq!(cache.remaining("forever").await.unwrap(), async_caches::Remaining::Forever);
    assert_within(cache.remaining("for long").await.unwrap(), LONG, "for long");
    cache.set("for short", 1).timeout(SHORT).await.unwrap();
    let _ = cache.incr("for short", 1).await;
    cx.sleep(PAST_SHORT).await;
    assert_eq!(cache.get::<i64>("for short").await.unwrap(), None);
}

pub async fn sums_of_many_tasks_lose_nothing(cx: Context) {
    let cache = cx.cache().await;
    cache.set("n", 0).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let cache = cache.clone();
            cx.spawn(async move {
                for _ in 0..50 {
                    match n % 2 {
                        0 => cache.incr("n", 3).await.unwrap(),
                        _ => cache.decr("n", 1).await.unwrap(),
                    };
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    assert_eq!(cache.get::<i64>("n").await.unwrap(), Some(8 * 50 * 2));
}

/// Stores a text and adds to it. Returns the text that is stored then, or the kind of the error,
/// after which the text must be unchanged. The key must keep its timeout in both cases.
async fn step<D>(
    cache: &Cache,
    stored: &'static str,
    delta: D,
    spell: impl Fn(D) -> String,
) -> Result<String, &'static str>
where
    D: async_caches::Delta,
{
    cache.set_raw("n", stored).timeout(Duration::from_secs(3600)).await.unwrap();
    let sum = cache.incr("n", delta).await;
    let text = cache.get_raw("n").await.unwrap().expect("it is still there");
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert_within(cache.remaining("n").await.unwrap(), Duration::from_secs(3600), stored);
    match sum {
        Ok(sum) => {
            let spelled = spell(sum);
            assert!(spelled.is_empty() || spelled == text, "{spelled} is stored as {text}");
            Ok(text)
        }
        Err(error) => {
            assert_eq!(text, stored, "{error}");
            match error {
                Error::NotANumber { .. } => Err("not a number"),
                Error::NotAnInteger { .. } => Err("not an integer"),
                Error::Overflow { .. } => Err("overflow"),
                other => panic!("{stored}: {other:?}"),
            }
        }
    }
}
