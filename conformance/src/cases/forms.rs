//! The forms in which operations take keys, versions, numbers, timeouts and bytes.
#![allow(clippy::needless_borrows_for_generic_args, reason = "references are forms as well")]

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_caches::{Cache, Error, NameBytes, Remaining, Version};
use bytes::Bytes;

use super::ops::LONG;
use super::timeouts::assert_within;
use crate::context::{Context, connected};

/// A key type of an application's own.
struct UserKey(String);

impl NameBytes for UserKey {
    fn name_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

pub async fn a_key_is_the_same_in_whatever_form_it_is_given(cx: Context) {
    let cache = cx.cache().await;
    let text = "7".to_owned();
    cache.set(&text, 1).await.unwrap();
    cache.incr(text.clone(), 1).await.unwrap();
    cache.incr(Cow::Borrowed("7"), 1).await.unwrap();
    cache.incr(&Cow::<str>::Owned(text.clone()), 1).await.unwrap();
    cache.incr(Cow::Borrowed(&b"7"[..]), 1).await.unwrap();
    cache.incr(Arc::<str>::from("7"), 1).await.unwrap();
    cache.incr(&Arc::<[u8]>::from(&b"7"[..]), 1).await.unwrap();
    cache.incr(Rc::<str>::from("7"), 1).await.unwrap();
    cache.incr(text.clone().into_boxed_str(), 1).await.unwrap();
    cache.incr(Bytes::from_static(b"7"), 1).await.unwrap();
    cache.incr(*b"7", 1).await.unwrap();
    cache.incr(b"7", 1).await.unwrap();
    cache.incr(vec![b'7'], 1).await.unwrap();
    cache.incr(&&text, 1).await.unwrap();
    cache.incr(7_u8, 1).await.unwrap();
    cache.incr(7_u64, 1).await.unwrap();
    cache.incr(&7_i128, 1).await.unwrap();
    cache.incr(7, 1).await.unwrap();
    cache.incr(UserKey(text.clone()), 1).await.unwrap();
    cache.incr(&UserKey(text.clone()), 1).await.unwrap();
    let sum = 20;
    assert_eq!(cache.get::<i32>(7_usize).await.unwrap(), Some(sum));
    assert_eq!(cache.get_raw(Arc::new(text.clone())).await.unwrap().unwrap(), "20");
    assert_eq!(cache.get_many::<i32>([7, 8]).await.unwrap(), [Some(sum), None]);
    let keys = [Cow::Borrowed("7"), Cow::Owned("8".to_owned())];
    assert_eq!(cache.get_many::<i32>(&keys).await.unwrap(), [Some(sum), None]);
    assert!(cache.touch(7).await.unwrap() && cache.contains(7).await.unwrap());
    assert_eq!(cache.remaining(7).await.unwrap(), Remaining::Forever);
    assert_eq!(cache.get_or_set(7, async { 0 }).await.unwrap(), sum);
    assert!(!cache.add(7, 0).await.unwrap());
    cache.set_many([(u64::MAX, 1), (0, 2)]).await.unwrap();
    assert_eq!(cache.get::<i32>("18446744073709551615").await.unwrap(), Some(1));
    assert_eq!(cache.delete_many([u64::MAX, 0, 1]).await.unwrap(), 2);
    cache.set(i64::MIN, 3).await.unwrap();
    assert!(cache.delete("-9223372036854775808").await.unwrap());
    assert!(cache.delete(7_i8).await.unwrap());
}

pub async fn a_version_may_be_an_integer_of_any_type(cx: Context) {
    let cache = cx.cache().await;
    let versions: [(Version, String); 12] = [
        (i8::MIN.into(), i8::MIN.to_string()),
        (i16::MIN.into(), i16::MIN.to_string()),
        (i32::MIN.into(), i32::MIN.to_string()),
        (i64::MIN.into(), i64::MIN.to_string()),
        (i128::MIN.into(), i128::MIN.to_string()),
        (isize::MAX.into(), isize::MAX.to_string()),
        (u8::MAX.into(), u8::MAX.to_string()),
        (u16::MAX.into(), u16::MAX.to_string()),
        (u32::MAX.into(), u32::MAX.to_string()),
        (u64::MAX.into(), u64::MAX.to_string()),
        (u128::MAX.into(), u128::MAX.to_string()),
        (0_usize.into(), "0".to_owned()),
    ];
    for (n, (version, text)) in versions.into_iter().enumerate() {
        cache.set("key", n).version(version.clone()).await.unwrap();
        assert_eq!(cache.get::<usize>("key").version(text.as_str()).await.unwrap(), Some(n));
        assert_eq!(version, Version::from(text.as_str()));
        let apart = connected(cx.builder().version(version)).await;
        assert_eq!(apart.get::<usize>("key").await.unwrap(), Some(n));
    }
    assert_eq!(cache.get::<usize>("key").await.unwrap(), None);
}

/// The delta may be an integer of any type; the sum is an `i64`.
pub async fn integers_of_every_type_are_added(cx: Context) {
    let cache = cx.cache().await;
    cache.set("n", 0).await.unwrap();
    let mut sum: i64 = 0;
    macro_rules! add {
        ($($integer:ty)*) => {$(
            sum += 2;
            let (two, one): ($integer, $integer) = (2, 1);
            assert_eq!(cache.incr_by("n", two).await.unwrap(), sum);
            sum -= 1;
            assert_eq!(cache.decr_by("n", one).await.unwrap(), sum);
        )*};
    }
    add!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);
    let large = 3_000_000_000_u32;
    assert_eq!(cache.incr_by("n", large).await.unwrap(), sum + i64::from(large));
    // The type of a literal does not limit the sum.
    assert_eq!(cache.incr_by("n", 1).await.unwrap(), sum + i64::from(large) + 1);
}

pub async fn an_integer_that_no_sum_can_hold_overflows_and_changes_nothing(cx: Context) {
    let cache = cx.cache().await;
    for stored in [0, i64::MAX, i64::MIN, -1] {
        cache.set("n", stored).await.unwrap();
        let too_large = [
            cache.incr_by("n", u64::MAX).await,
            cache.incr_by("n", u128::MAX).await,
            cache.incr_by("n", i128::MAX).await,
            cache.incr_by("n", i128::MIN).await,
            cache.incr_by("n", i128::from(i64::MIN) - 1).await,
            cache.decr_by("n", u64::MAX).await,
            cache.decr_by("n", u128::MAX).await,
            cache.decr_by("n", i128::MIN).await,
            cache.decr_by("n", i128::MAX).await,
            cache.decr_by("n", u64::MAX / 2 + 2).await,
        ];
        for error in too_large {
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Overflow { .. }), "{error:?}");
        }
        assert_eq!(cache.get::<i64>("n").await.unwrap(), Some(stored));
    }
    // 2^63 is the negation of the lowest integer, so it is added if the sum fits.
    cache.set("n", -1).await.unwrap();
    assert_eq!(cache.incr_by("n", 1_u64 << 63).await.unwrap(), i64::MAX);
    assert_eq!(cache.decr_by("n", 1_u64 << 63).await.unwrap(), -1);
}

pub async fn a_timeout_may_be_an_option_and_be_called_ttl(cx: Context) {
    const DEFAULT: Duration = Duration::from_secs(1_000);
    let cache = connected(cx.builder().ttl(DEFAULT)).await;
    for (given, kept) in [(Some(LONG), LONG), (None, DEFAULT)] {
        check(&cache, "set", kept, cache.set("key", 1).timeout(given)).await;
        check(&cache, "set ttl", kept, cache.set("key", 1).ttl(given)).await;
        check(&cache, "set_raw", kept, cache.set_raw("key", "1").ttl(given)).await;
        check(&cache, "set_many", kept, cache.set_many([("key", 1)]).ttl(given)).await;
        check(&cache, "set_many_raw", kept, cache.set_many_raw([("key", "1")]).ttl(given)).await;
        check(&cache, "touch", kept, cache.touch("key").ttl(given)).await;
        cache.delete("key").await.unwrap();
        check(&cache, "add", kept, cache.add("key", 1).ttl(given)).await;
        cache.delete("key").await.unwrap();
        check(&cache, "add_raw", kept, cache.add_raw("key", "1").ttl(given)).await;
        cache.delete("key").await.unwrap();
        check(&cache, "get_or_set", kept, cache.get_or_set("key", async { 1 }).ttl(given)).await;
    }
    let zero = cache.set("key", 1).ttl(Some(Duration::ZERO)).await.unwrap_err();
    assert!(matches!(zero, Error::ZeroTimeout));
    let plain = connected(cx.builder().timeout(None::<Duration>)).await;
    plain.set("key", 1).timeout(None::<Duration>).await.unwrap();
    assert_eq!(plain.remaining("key").await.unwrap(), Remaining::Forever);
}

async fn check<T>(
    cache: &Cache,
    what: &str,
    kept: Duration,
    operation: impl Future<Output = Result<T, Error>>,
) {
    operation.await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_within(cache.remaining("key").await.unwrap(), kept, what);
}

pub async fn raw_bytes_are_added_and_stored_in_batches_as_they_are(cx: Context) {
    let cache = cx.cache().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    assert!(cache.add_raw("a", every_byte.clone()).await.unwrap());
    assert!(!cache.add_raw("a", "other").await.unwrap());
    let entries = [("b", Bytes::from(every_byte.clone())), ("c", Bytes::new())];
    cache.set_many_raw(entries).await.unwrap();
    cache.set_many_raw(vec![("d".to_owned(), b"\r\n".to_vec())]).version(2).await.unwrap();
    let many = cache.get_many_raw(["a", "b", "c", "d"]).await.unwrap();
    let whole = Some(Bytes::from(every_byte));
    assert_eq!(many, [whole.clone(), whole, Some(Bytes::new()), None]);
    assert_eq!(cache.get_raw("d").version(2).await.unwrap().unwrap(), "\r\n");
}
