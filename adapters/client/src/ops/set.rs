//! `set`, `set_raw`, `add` and `add_raw`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::IntoName;
use async_caches_core::reply::Reply;
use async_caches_core::ttl::Timeout;
use bytes::Bytes;
use serde::Serialize;

use super::keyed::Keyed;
use super::options::{becomes_owned, takes_timeout, takes_version};
use crate::cache::Cache;
use crate::error::Error;
use crate::form::{Encode, Json, Raw};

/// The future of [`Cache::set`] and [`Cache::set_raw`]: a `Set<'_, Json<T>>` or a `Set<'_, Raw>`.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Remaining;
/// use std::time::Duration;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("user:1", "Ada").timeout(Duration::from_secs(60)).await?;
/// assert!(matches!(cache.remaining("user:1").await?, Remaining::For(_)));
/// cache.set("user:1", "Grace").forever().await?;
/// assert_eq!(cache.remaining("user:1").await?, Remaining::Forever);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Set<'c, V> {
    keyed: Keyed<'c>,
    value: Value<V>,
    timeout: Timeout,
}

/// The future of [`Cache::add`] and [`Cache::add_raw`]: an `Add<'_, Json<T>>` or an `Add<'_, Raw>`.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// assert!(cache.add("leader", "worker-1").await?);
/// assert!(!cache.add("leader", "worker-2").await?); // it exists
/// assert_eq!(cache.get("leader").await?, Some(String::from("worker-1")));
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Add<'c, V> {
    keyed: Keyed<'c>,
    value: Value<V>,
    timeout: Timeout,
}

takes_version!(Set<'c, V> { keyed.version }, Add<'c, V> { keyed.version });
takes_timeout!(Set<'c, V>, Add<'c, V>);
becomes_owned!(Set<V> { value, timeout }, Add<V> { value, timeout });

/// A value that is encoded once, when first needed.
#[derive(Debug)]
pub(super) enum Value<V> {
    Given(V),
    Encoded(Bytes),
}

impl Cache {
    /// Stores a value under a key, and replaces any other.
    ///
    /// If it is dropped before it is done, the value may or may not have been stored.
    ///
    /// # Errors
    /// [`Error::Serialize`] if the value has no JSON, [`Error::ZeroTimeout`], and the backend's
    /// errors. The command is never sent twice. If the connection was lost before the reply, the
    /// error reports whether the command [may have run](Error::may_have_run), or may yet.
    pub fn set<'c, K: IntoName + 'c, T: Serialize>(&'c self, key: K, value: T) -> Set<'c, Json<T>> {
        Set::new(self, key, Json(value))
    }

    /// Stores bytes as they are under a key, and replaces any other value.
    ///
    /// # Errors
    /// [`Error::ZeroTimeout`], and the backend's errors.
    pub fn set_raw<'c, K: IntoName + 'c>(
        &'c self,
        key: K,
        value: impl Into<Bytes>,
    ) -> Set<'c, Raw> {
        Set::new(self, key, Raw(value.into()))
    }

    /// Stores a value under a key if the key does not exist or has expired, and returns whether it
    /// did so. One atomic step.
    pub fn add<'c, K: IntoName + 'c, T: Serialize>(&'c self, key: K, value: T) -> Add<'c, Json<T>> {
        Add::new(self, key, Json(value))
    }

    /// Stores bytes as they are under a key if the key does not exist; otherwise like
    /// [`add`](Self::add).
    ///
    /// # Errors
    /// As [`set_raw`](Self::set_raw).
    pub fn add_raw<'c, K: IntoName + 'c>(
        &'c self,
        key: K,
        value: impl Into<Bytes>,
    ) -> Add<'c, Raw> {
        Add::new(self, key, Raw(value.into()))
    }
}

impl<'c, V> Set<'c, V> {
    #[inline(always)]
    fn new(cache: &'c Cache, key: impl IntoName + 'c, value: V) -> Self {
        let (keyed, value) = (Keyed::new(cache, key), Value::Given(value));
        Self { keyed, value, timeout: Timeout::Default }
    }
}

impl<'c, V> Add<'c, V> {
    #[inline(always)]
    fn new(cache: &'c Cache, key: impl IntoName + 'c, value: V) -> Self {
        let (keyed, value) = (Keyed::new(cache, key), Value::Given(value));
        Self { keyed, value, timeout: Timeout::Default }
    }
}

impl<V: Encode> Value<V> {
    pub(super) fn encoded(&mut self, name: &[u8]) -> Result<&Bytes, Error> {
        if let Self::Given(value) = self {
            let bytes = value.encode().map_err(|source| Error::serialize(name, source))?;
            *self = Self::Encoded(bytes);
        }
        match self {
            Self::Encoded(bytes) => Ok(bytes),
            Self::Given(_) => Err(Error::mismatch()),
        }
    }
}

impl<V> Unpin for Set<'_, V> {}

impl<V: Encode> Future for Set<'_, V> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { keyed, value, timeout } = self.get_mut();
        let reply = ready!(keyed.poll(cx, |cache, key| {
            let expiry = cache.expiry(*timeout)?;
            Ok(Command::Set { key, value: value.encoded(key.name())?, expiry })
        }))?;
        let Reply::Done = reply else { return Poll::Ready(Err(Error::mismatch())) };
        Poll::Ready(Ok(()))
    }
}

impl<V> Unpin for Add<'_, V> {}

impl<V: Encode> Future for Add<'_, V> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { keyed, value, timeout } = self.get_mut();
        keyed.poll_flag(cx, |cache, key| {
            let expiry = cache.expiry(*timeout)?;
            Ok(Command::Add { key, value: value.encoded(key.name())?, expiry })
        })
    }
}
