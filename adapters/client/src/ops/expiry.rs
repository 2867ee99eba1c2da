//! `touch`, `remaining` and `contains`: operations on a key that leave its value alone.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::IntoName;
use async_caches_core::reply::{Remaining, Reply};
use async_caches_core::ttl::Timeout;

use super::keyed::Keyed;
use super::options::{becomes_owned, takes_timeout, takes_version};
use crate::cache::Cache;
use crate::error::Error;

/// The future of [`Cache::touch`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Remaining;
/// use std::time::Duration;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("session", 1).timeout(Duration::from_secs(60)).await?;
/// assert!(cache.touch("session").forever().await?);
/// assert_eq!(cache.remaining("session").await?, Remaining::Forever);
/// assert!(!cache.touch("none").await?); // there is no such key
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Touch<'c> {
    keyed: Keyed<'c>,
    timeout: Timeout,
}

/// The future of [`Cache::remaining`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Remaining;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// assert_eq!(cache.remaining("session").await?, Remaining::Absent);
/// cache.set("session", 1).await?;
/// assert_eq!(cache.remaining("session").await?, Remaining::Forever);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct GetRemaining<'c> {
    keyed: Keyed<'c>,
}

/// The future of [`Cache::contains`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("user:1", "Ada").await?;
/// assert!(cache.contains("user:1").await?);
/// assert!(!cache.contains("user:1").version(2).await?);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Contains<'c> {
    keyed: Keyed<'c>,
}

takes_version!(
    Touch<'c> { keyed.version },
    GetRemaining<'c> { keyed.version },
    Contains<'c> { keyed.version },
);
takes_timeout!(Touch<'c>);
becomes_owned!(Touch { timeout }, GetRemaining {}, Contains {});

impl Cache {
    /// Gives a key a new timeout and returns whether the key exists. The timeout is the one given
    /// here, or else the cache's default, or else none, so that the key never expires.
    ///
    /// On a server a script takes a timeout away, in one atomic step. If the server refuses the
    /// script to its user (`EVAL` and `EVALSHA`), `PERSIST` and `EXISTS` are sent in its place, in
    /// one round trip; the connection keeps that in mind. Then another client may change the key
    /// between the two: if it stores the absent key with a timeout just then, this returns `true`
    /// and the timeout stays; if it removes the key, this returns `false`.
    ///
    /// # Errors
    /// [`Error::ZeroTimeout`], and the backend's errors.
    pub fn touch<'c, K: IntoName + 'c>(&'c self, key: K) -> Touch<'c> {
        Touch { keyed: Keyed::new(self, key), timeout: Timeout::Default }
    }

    /// Returns how long a key has left.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn remaining<'c, K: IntoName + 'c>(&'c self, key: K) -> GetRemaining<'c> {
        GetRemaining { keyed: Keyed::new(self, key) }
    }

    /// Whether a key exists.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn contains<'c, K: IntoName + 'c>(&'c self, key: K) -> Contains<'c> {
        Contains { keyed: Keyed::new(self, key) }
    }
}

impl Future for Touch<'_> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { keyed, timeout } = self.get_mut();
        keyed
            .poll_flag(cx, |cache, key| Ok(Command::Touch { key, expiry: cache.expiry(*timeout)? }))
    }
}

impl Future for GetRemaining<'_> {
    type Output = Result<Remaining, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.get_mut().keyed.poll(cx, |_, key| Ok(Command::Remaining(key))))?;
        let Reply::Remaining(remaining) = reply else {
            return Poll::Ready(Err(Error::mismatch()));
        };
        Poll::Ready(Ok(remaining))
    }
}

impl Future for Contains<'_> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().keyed.poll_flag(cx, |_, key| Ok(Command::Contains(key)))
    }
}
