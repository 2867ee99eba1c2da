//! Timeouts: how long an entry lives, and which setting decides that.

use std::time::Duration;

use async_caches::{Error, Remaining};

use super::ops::{LONG, PAST_SHORT, SHORT, timed};
use crate::context::{Context, connected};

pub async fn a_key_is_absent_after_its_timeout(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).timeout(SHORT).await.unwrap();
    cache.set("other", 2).timeout(LONG).await.unwrap();
    cx.sleep(PAST_SHORT).await;
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
    assert_eq!(cache.get_many::<i32>(["key", "other"]).await.unwrap(), [None, Some(2)]);
    assert!(!cache.contains("key").await.unwrap());
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Absent);
}

pub async fn a_key_is_present_until_its_timeout(cx: Context) {
    let cache = cx.cache().await;
    let start = std::time::Instant::now();
    cache.set("key", 1).timeout(SHORT).await.unwrap();
    cx.until("the key is gone", async || cache.get::<i32>("key").await.unwrap().is_none()).await;
    assert!(start.elapsed() >= SHORT - Duration::from_millis(2), "{:?}", start.elapsed());
}

pub async fn an_expired_key_can_be_added_again(cx: Context) {
    let cache = cx.cache().await;
    assert!(cache.add("key", 1).timeout(SHORT).await.unwrap());
    assert!(!cache.add("key", 2).await.unwrap());
    cx.sleep(PAST_SHORT).await;
    assert!(cache.add("key", 3).await.unwrap());
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(3));
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Forever);
}

pub async fn an_expired_key_can_be_neither_touched_nor_deleted_nor_added_to(cx: Context) {
    let cache = cx.cache().await;
    let keys = ["touched", "deleted", "deleted too", "added to"];
    cache.set_many(keys.map(|key| (key, 1))).timeout(SHORT).await.unwrap();
    cx.sleep(PAST_SHORT).await;
    assert!(!cache.touch("touched").timeout(LONG).await.unwrap());
    assert!(!cache.delete("deleted").await.unwrap());
    assert_eq!(cache.delete_many(["deleted too"]).await.unwrap(), 0);
    let error = cache.incr("added to", 1).await.unwrap_err();
    assert!(matches!(error, Error::KeyNotFound { .. }), "{error:?}");
    assert_eq!(cache.get_many::<i32>(keys).await.unwrap(), [None; 4]);
}

pub async fn without_a_timeout_a_key_never_expires(cx: Context) {
    let cache = cx.cache().await;
    cache.set("set", 1).await.unwrap();
    cache.set_raw("set_raw", "1").await.unwrap();
    cache.set_many([("set_many", 1)]).await.unwrap();
    cache.add("add", 1).await.unwrap();
    cache.get_or_set("get_or_set", async { 1 }).await.unwrap();
    for key in ["set", "set_raw", "set_many", "add", "get_or_set"] {
        assert_eq!(cache.remaining(key).await.unwrap(), Remaining::Forever, "{key}");
    }
}

pub async fn the_default_timeout_applies_to_operations_without_one(cx: Context) {
    let cache = connected(cx.builder().timeout(LONG)).await;
    cache.set("default", 1).await.unwrap();
    cache.set("longer", 1).timeout(2 * LONG).await.unwrap();
    cache.set("forever", 1).forever().await.unwrap();
    cache.set_raw("raw default", "1").await.unwrap();
    cache.set_many([("many default", 1)]).await.unwrap();
    cache.add("add default", 1).await.unwrap();
    cache.get_or_set("load default", async { 1 }).await.unwrap();
    for key in ["default", "raw default", "many default", "add default", "load default"] {
        assert_within(cache.remaining(key).await.unwrap(), LONG, key);
    }
    assert_within(cache.remaining("longer").await.unwrap(), 2 * LONG, "longer");
    assert_eq!(cache.remaining("forever").await.unwrap(), Remaining::Forever);
}

pub async fn forever_beats_a_default_timeout_in_every_writing_operation(cx: Context) {
    let cache = connected(cx.builder().timeout(LONG)).await;
    cache.set_raw("raw", "1").forever().await.unwrap();
    cache.set_many([("many", 1)]).forever().await.unwrap();
    cache.add("add", 1).forever().await.unwrap();
    cache.get_or_set("load", async { 1 }).forever().await.unwrap();
    cache.set("touch", 1).await.unwrap();
    assert!(cache.touch("touch").forever().await.unwrap());
    for key in ["raw", "many", "add", "load", "touch"] {
        assert_eq!(cache.remaining(key).await.unwrap(), Remaining::Forever, "{key}");
    }
}

pub async fn forever_on_the_builder_beats_a_timeout_in_the_url(cx: Context) {
    let url = cx.url_with("timeout=60");
    let cache = connected(cx.builder_of(&url).forever()).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Forever);
}

pub async fn setting_a_key_again_forgets_its_timeout(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).timeout(LONG).await.unwrap();
    cache.set("key", 2).await.unwrap();
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Forever);
    cache.set("key", 3).timeout(LONG).await.unwrap();
    assert_within(cache.remaining("key").await.unwrap(), LONG, "key");
}

pub async fn an_add_that_stores_nothing_leaves_the_timeout_alone(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    assert!(!cache.add("key", 2).timeout(SHORT).await.unwrap());
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Forever);
}

pub async fn touch_sets_the_given_timeout(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    assert!(cache.touch("key").timeout(LONG).await.unwrap());
    assert_within(cache.remaining("key").await.unwrap(), LONG, "longer");
    assert!(cache.touch("key").timeout(SHORT).await.unwrap());
    cx.sleep(PAST_SHORT).await;
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
}

pub async fn touch_without_a_timeout_sets_the_default_timeout(cx: Context) {
    let cache = connected(cx.builder().timeout(LONG)).await;
    cache.set("key", 1).forever().await.unwrap();
    assert!(cache.touch("key").await.unwrap());
    assert_within(cache.remaining("key").await.unwrap(), LONG, "key");
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
}

pub async fn touch_without_any_timeout_makes_a_key_stay_forever(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).timeout(SHORT).await.unwrap();
    let touched = cache.touch("key").await.unwrap();
    cx.sleep(PAST_SHORT).await;
    // A machine that stood still for longer than the timeout proves nothing either way.
    let kept = touched.then_some(1);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), kept);
    cache.set("key", 1).timeout(LONG).await.unwrap();
    assert!(cache.touch("key").await.unwrap());
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::Forever);
}

pub async fn touch_of_an_absent_key_creates_nothing(cx: Context) {
    let cache = cx.cache().await;
    assert!(!cache.touch("key").await.unwrap());
    assert!(!cache.touch("key").timeout(LONG).await.unwrap());
    assert!(!cache.touch("key").forever().await.unwrap());
    assert!(!cache.contains("key").await.unwrap());
}

pub async fn remaining_counts_in_milliseconds(cx: Context) {
    let cache = cx.cache().await;
    let span = Duration::from_millis(59_001);
    cache.set("key", 1).timeout(span).await.unwrap();
    let Remaining::For(left) = cache.remaining("key").await.unwrap() else { panic!() };
    assert!(left <= span && left > span - Duration::from_secs(10), "{left:?}");
    cx.sleep(Duration::from_millis(5)).await;
    let Remaining::For(later) = cache.remaining("key").await.unwrap() else { panic!() };
    assert!(later < left, "{later:?} is not less than {left:?}");
}

pub async fn a_fraction_of_a_millisecond_is_not_forever(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).timeout(Duration::from_nanos(1)).await.unwrap();
    cx.until("the key is gone", async || !cache.contains("key").await.unwrap()).await;
}

pub async fn a_timeout_in_the_url_is_in_seconds_and_may_have_decimals(cx: Context) {
    let cache = cx.cache_with("ttl=59.5").await;
    cache.set("key", 1).await.unwrap();
    assert_within(cache.remaining("key").await.unwrap(), Duration::from_millis(59_500), "key");
    let brief = cx.cache_with("timeout=0.05").await;
    brief.set("brief", 1).await.unwrap();
    cx.sleep(PAST_SHORT).await;
    assert_eq!(brief.get::<i32>("brief").await.unwrap(), None);
}

pub async fn a_timeout_of_zero_is_an_error_in_every_operation(cx: Context) {
    let cache = cx.cache().await;
    for (name, operation) in timed() {
        let error = operation(cache.clone(), Duration::ZERO.into()).await.unwrap_err();
        assert!(matches!(error, Error::ZeroTimeout), "{name}: {error:?}");
    }
    assert!(!cache.contains("key").await.unwrap());
}

pub async fn a_timeout_past_the_longest_is_an_error_in_every_operation(cx: Context) {
    let cache = cx.cache().await;
    for (name, operation) in timed() {
        let error = operation(cache.clone(), Duration::MAX.into()).await.unwrap_err();
        assert!(matches!(error, Error::TimeoutTooLong), "{name}: {error:?}");
    }
    assert!(!cache.contains("key").await.unwrap());
}

pub async fn the_longest_timeout_is_kept(cx: Context) {
    let cache = cx.cache().await;
    let longest = Duration::from_secs(100_000 * 365 * 24 * 60 * 60);
    cache.set("key", 1).timeout(longest).await.unwrap();
    let Remaining::For(left) = cache.remaining("key").await.unwrap() else { panic!() };
    // A store in memory counts in nanoseconds, which reach 584 years.
    assert!(left > Duration::from_secs(500 * 365 * 24 * 60 * 60) && left <= longest, "{left:?}");
    assert!(cache.touch("key").timeout(longest).await.unwrap());
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
}

/// Asserts that a key has at most `span` left, and less than ten seconds short of it.
pub(crate) fn assert_within(remaining: Remaining, span: Duration, key: &str) {
    match remaining {
        Remaining::For(left) => {
            assert!(left <= span && left > span - Duration::from_secs(10), "{key}: {left:?}");
        }
        Remaining::Absent | Remaining::Forever => panic!("{key}: {remaining:?}"),
    }
}
