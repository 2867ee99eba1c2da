//! `touch`, `remaining` and `contains`: operations on a key that leave its value alone.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::{IntoName, Version};
use async_caches_core::reply::{Remaining, Reply};
use async_caches_core::ttl::Timeout;

use super::options::{becomes_owned, takes_timeout, takes_version};
use crate::cache::Cache;
use crate::call::Call;
use crate::error::Error;
use crate::handle::Handle;

/// The future of [`Cache::touch`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Touch<'c, K> {
    cache: Handle<'c>,
    key: K,
    version: Option<Version>,
    timeout: Timeout,
    call: Call,
}

/// The future of [`Cache::remaining`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct GetRemaining<'c, K> {
    cache: Handle<'c>,
    key: K,
    version: Option<Version>,
    call: Call,
}

/// The future of [`Cache::contains`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Contains<'c, K> {
    cache: Handle<'c>,
    key: K,
    version: Option<Version>,
    call: Call,
}

takes_version!(Touch<'c, K>, GetRemaining<'c, K>, Contains<'c, K>);
takes_timeout!(Touch<'c, K>);
becomes_owned!(
    Touch<> { version, timeout, call },
    GetRemaining<> { version, call },
    Contains<> { version, call },
);

impl Cache {
    /// Gives a key a new timeout and returns whether the key exists. The timeout is the one given
    /// here, or else the cache's default, or else none, so that the key never expires.
    ///
    /// On a server a script takes a timeout away, in one atomic step. If the server refuses the script to its
    /// user (`EVAL` and `EVALSHA`), `PERSIST` and `EXISTS` are sent in its place, in one round trip; the
    /// connection keeps that in mind. Then another client may change the key between the two: if it stores the
    /// absent key with a timeout just then, this returns `true` and the timeout stays; if it removes the key,
    /// this returns `false`.
    ///
    /// # Errors
    /// [`Error::ZeroTimeout`], and the backend's errors.
    pub fn touch<K: IntoName>(&self, key: K) -> Touch<'_, K::Name> {
        let call = Call::default();
        Touch {
            cache: self.into(),
            key: key.into_name(),
            version: None,
            timeout: Timeout::Default,
            call,
        }
    }

    /// Returns how long a key has left.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn remaining<K: IntoName>(&self, key: K) -> GetRemaining<'_, K::Name> {
        GetRemaining {
            cache: self.into(),
            key: key.into_name(),
            version: None,
            call: Call::default(),
        }
    }

    /// Whether a key exists.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn contains<K: IntoName>(&self, key: K) -> Contains<'_, K::Name> {
        Contains { cache: self.into(), key: key.into_name(), version: None, call: Call::default() }
    }
}

impl<K> Unpin for Touch<'_, K> {}

impl<K: AsRef<[u8]>> Future for Touch<'_, K> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version) = (&*this.cache, this.version.as_ref());
        let touch = || {
            let key = cache.scope(version)?.key(name);
            Ok(Command::Touch { key, expiry: cache.expiry(this.timeout)? })
        };
        let Reply::Flag(found) = ready!(this.call.poll(cache, name, cx, touch))? else {
            return Poll::Ready(Err(Error::mismatch()));
        };
        Poll::Ready(Ok(found))
    }
}

impl<K> Unpin for GetRemaining<'_, K> {}

impl<K: AsRef<[u8]>> Future for GetRemaining<'_, K> {
    type Output = Result<Remaining, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version) = (&*this.cache, this.version.as_ref());
        let remaining = || Ok(Command::Remaining(cache.scope(version)?.key(name)));
        let Reply::Remaining(remaining) = ready!(this.call.poll(cache, name, cx, remaining))?
        else {
            return Poll::Ready(Err(Error::mismatch()));
        };
        Poll::Ready(Ok(remaining))
    }
}

impl<K> Unpin for Contains<'_, K> {}

impl<K: AsRef<[u8]>> Future for Contains<'_, K> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version) = (&*this.cache, this.version.as_ref());
        let contains = || Ok(Command::Contains(cache.scope(version)?.key(name)));
        let Reply::Flag(found) = ready!(this.call.poll(cache, name, cx, contains))? else {
            return Poll::Ready(Err(Error::mismatch()));
        };
        Poll::Ready(Ok(found))
    }
}
