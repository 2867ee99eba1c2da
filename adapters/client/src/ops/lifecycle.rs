//! `connect`, `disconnect` and `ping`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::reply::Reply;

use super::options::owns_its_cache;
use crate::backend::Remote;
use crate::cache::{Begin, Cache};
use crate::call::Call;
use crate::error::Error;
use crate::handle::Handle;
use crate::redis::WaiterId;

/// The future of [`Cache::connect`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Error;
///
/// let cache = async_caches::open("locmem://")?;
/// assert!(matches!(cache.ping().await, Err(Error::NotConnected)));
/// cache.connect().await?;
/// cache.ping().await?;
/// assert!(matches!(cache.connect().await, Err(Error::AlreadyConnected)));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Connect<'c> {
    cache: Handle<'c>,
    waiting: Option<Remote>,
    waiter: Option<WaiterId>,
}

/// The future of [`Cache::disconnect`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Error;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.disconnect().await?;
/// assert!(matches!(cache.get::<i32>("key").await, Err(Error::NotConnected)));
/// cache.connect().await?; // it may connect again
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Disconnect<'c> {
    cache: Handle<'c>,
    waiting: Option<(Remote, Option<WaiterId>)>,
}

/// The future of [`Cache::ping`].
///
/// The example of [`Connect`] pings a cache before and after it.
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Ping<'c> {
    cache: Handle<'c>,
    call: Call,
}

impl Cache {
    /// Connects: opens the store in memory or the first connection to the server, or asks a cluster
    /// for its nodes. Ends within the connect timeout. Wrong credentials fail at once.
    ///
    /// If it is dropped before it is done, the cache is not connected.
    ///
    /// # Errors
    /// [`Error::AlreadyConnected`], [`Error::Unavailable`], [`Error::BoundsMismatch`].
    pub fn connect(&self) -> Connect<'_> {
        Connect { cache: self.into(), waiting: None, waiter: None }
    }

    /// Disconnects. No new operation begins. Operations in flight may still end, within the
    /// response timeout, and then every connection is closed. The cache may be connected again.
    ///
    /// If it is dropped before it is done, it goes on in the background.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn disconnect(&self) -> Disconnect<'_> {
        Disconnect { cache: self.into(), waiting: None }
    }

    /// Checks that the backend can be reached and replies.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn ping(&self) -> Ping<'_> {
        Ping { cache: self.into(), call: Call::default() }
    }
}

owns_its_cache!(Ping { call });

impl Connect<'_> {
    /// The same operation with a clone of the cache. It does not borrow the cache, so a task can be
    /// spawned from it.
    pub fn into_owned(mut self) -> Connect<'static> {
        let (waiting, waiter) = (self.waiting.take(), self.waiter.take());
        Connect { cache: self.cache.owned(), waiting, waiter }
    }
}

impl Disconnect<'_> {
    /// The same operation with a clone of the cache. It does not borrow the cache, so a task can be
    /// spawned from it.
    pub fn into_owned(mut self) -> Disconnect<'static> {
        Disconnect { cache: self.cache.owned(), waiting: self.waiting.take() }
    }
}

impl Future for Connect<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            match this.cache.begin_connect(Begin::Waiting)? {
                None => return Poll::Ready(Ok(())),
                waiting => this.waiting = waiting,
            }
        }
        if let Some(remote) = &this.waiting {
            ready!(remote.poll_first(&mut this.waiter, cx))?;
        }
        if let Some(remote) = this.waiting.take() {
            this.cache.connected(remote);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Connect<'_> {
    fn drop(&mut self) {
        if self.waiting.take().is_some() {
            self.cache.idle();
        }
    }
}

impl Future for Disconnect<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            match this.cache.begin_disconnect()? {
                None => return Poll::Ready(Ok(())),
                Some(remote) => this.waiting = Some((remote, None)),
            }
        }
        if let Some((remote, waiter)) = &mut this.waiting {
            ready!(remote.poll_close(waiter, cx));
        }
        this.waiting = None;
        this.cache.idle();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Disconnect<'_> {
    fn drop(&mut self) {
        if self.waiting.take().is_some() {
            self.cache.idle();
        }
    }
}

impl Future for Ping<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Reply::Done = ready!(this.call.poll(&this.cache, b"", cx, || Ok(Command::Ping)))?
        else {
            return Poll::Ready(Err(Error::mismatch()));
        };
        Poll::Ready(Ok(()))
    }
}
