//! `set`, `set_raw`, `add` and `add_raw`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::{IntoName, Version};
use async_caches_core::reply::Reply;
use async_caches_core::ttl::Timeout;
use bytes::Bytes;
use serde::Serialize;

use super::options::{becomes_owned, takes_timeout, takes_version};
use crate::cache::Cache;
use crate::call::Call;
use crate::error::Error;
use crate::form::{Encode, Json, Raw};
use crate::handle::Handle;

/// The future of [`Cache::set`] and [`Cache::set_raw`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Set<'c, K, V> {
    cache: Handle<'c>,
    key: K,
    value: Value<V>,
    version: Option<Version>,
    timeout: Timeout,
    call: Call,
}

/// The future of [`Cache::add`] and [`Cache::add_raw`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Add<'c, K, V> {
    cache: Handle<'c>,
    key: K,
    value: Value<V>,
    version: Option<Version>,
    timeout: Timeout,
    call: Call,
}

takes_version!(Set<'c, K, V>, Add<'c, K, V>);
takes_timeout!(Set<'c, K, V>, Add<'c, K, V>);

becomes_owned!(
    Set<V> { value, version, timeout, call },
    Add<V> { value, version, timeout, call },
);

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
    pub fn set<K: IntoName, T: Serialize>(&self, key: K, value: T) -> Set<'_, K::Name, Json<T>> {
        set(self, key.into_name(), Json(value))
    }

    /// Stores bytes as they are under a key, and replaces any other value.
    ///
    /// # Errors
    /// [`Error::ZeroTimeout`], and the backend's errors.
    pub fn set_raw<K: IntoName>(&self, key: K, value: impl Into<Bytes>) -> Set<'_, K::Name, Raw> {
        set(self, key.into_name(), Raw(value.into()))
    }

    /// Stores a value under a key if the key does not exist or has expired, and returns whether it
    /// did so. One atomic step.
    pub fn add<K: IntoName, T: Serialize>(&self, key: K, value: T) -> Add<'_, K::Name, Json<T>> {
        add(self, key.into_name(), Json(value))
    }

    /// Stores bytes as they are under a key if the key does not exist; otherwise like
    /// [`add`](Self::add).
    ///
    /// # Errors
    /// As [`set_raw`](Self::set_raw).
    pub fn add_raw<K: IntoName>(&self, key: K, value: impl Into<Bytes>) -> Add<'_, K::Name, Raw> {
        add(self, key.into_name(), Raw(value.into()))
    }
}

fn add<K, V>(cache: &Cache, key: K, value: V) -> Add<'_, K, V> {
    Add {
        cache: cache.into(),
        key,
        value: Value::Given(value),
        version: None,
        timeout: Timeout::Default,
        call: Call::default(),
    }
}

fn set<K, V>(cache: &Cache, key: K, value: V) -> Set<'_, K, V> {
    Set {
        cache: cache.into(),
        key,
        value: Value::Given(value),
        version: None,
        timeout: Timeout::Default,
        call: Call::default(),
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

impl<K, V> Unpin for Set<'_, K, V> {}

impl<K: AsRef<[u8]>, V: Encode> Future for Set<'_, K, V> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version, value) = (&*this.cache, this.version.as_ref(), &mut this.value);
        let reply = ready!(this.call.poll(cache, name, cx, || {
            let key = cache.scope(version)?.key(name);
            let expiry = cache.expiry(this.timeout)?;
            Ok(Command::Set { key, value: value.encoded(name)?, expiry })
        }))?;
        let Reply::Done = reply else { return Poll::Ready(Err(Error::mismatch())) };
        Poll::Ready(Ok(()))
    }
}

impl<K, V> Unpin for Add<'_, K, V> {}

impl<K: AsRef<[u8]>, V: Encode> Future for Add<'_, K, V> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version, value) = (&*this.cache, this.version.as_ref(), &mut this.value);
        let reply = ready!(this.call.poll(cache, name, cx, || {
            let key = cache.scope(version)?.key(name);
            let expiry = cache.expiry(this.timeout)?;
            Ok(Command::Add { key, value: value.encoded(name)?, expiry })
        }))?;
        let Reply::Flag(added) = reply else { return Poll::Ready(Err(Error::mismatch())) };
        Poll::Ready(Ok(added))
    }
}
