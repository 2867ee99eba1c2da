//! `delete` and `delete_many`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::{IntoName, Names, Version};
use async_caches_core::reply::Reply;

use super::batch::Chunks;
use super::options::{owns_its_cache, takes_version};
use super::spread::{Spread, take};
use crate::cache::Cache;
use crate::error::Error;
use crate::handle::Handle;

/// The future of [`Cache::delete`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("user:1", "Ada").await?;
/// assert!(cache.delete("user:1").await?);
/// assert!(!cache.delete("user:1").await?); // it is gone
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Delete<'c>(DeleteMany<'c>);

/// The future of [`Cache::delete_many`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set_many([("a", 1), ("b", 2)]).await?;
/// assert_eq!(cache.delete_many(["a", "b", "c"]).await?, 2); // two of them existed
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct DeleteMany<'c> {
    cache: Handle<'c>,
    names: Names,
    version: Option<Version>,
    deleted: u64,
    batch: Chunks,
    /// Present on a cluster, once the operation has begun.
    spread: Option<Box<Spread>>,
}

takes_version!(Delete<'c> { 0.version }, DeleteMany<'c> { version });
owns_its_cache!(DeleteMany { names, version, deleted, batch, spread });

impl Cache {
    /// Removes a key, and returns whether it existed.
    ///
    /// A load of the key that is under way in this process does not bring it back.
    ///
    /// # Errors
    /// The backend's errors. The command is never sent twice, since the second reply would be
    /// wrong. If the connection was lost before the reply, the error reports whether the command
    /// [may have run](Error::may_have_run).
    pub fn delete(&self, key: impl IntoName) -> Delete<'_> {
        Delete(self.delete_many([key]))
    }

    /// Removes many keys, and returns how many existed. A key given twice counts once.
    ///
    /// Keys are removed in chunks of at most 512; the chunks are not one atomic step.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); some of the keys may have been removed then.
    pub fn delete_many(&self, keys: impl IntoIterator<Item: IntoName>) -> DeleteMany<'_> {
        let names: Names = keys.into_iter().map(IntoName::into_name).collect();
        let sizes = (0..names.len()).map(|index| names.get(index).map_or(0, <[u8]>::len));
        let batch = Chunks::of(sizes);
        DeleteMany { cache: self.into(), names, version: None, deleted: 0, batch, spread: None }
    }
}

impl Delete<'_> {
    /// The same operation with a clone of the cache. It does not borrow the cache, so a task can be
    /// spawned from it.
    pub fn into_owned(self) -> Delete<'static> {
        Delete(self.0.into_owned())
    }
}

impl Future for Delete<'_> {
    type Output = Result<bool, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(|deleted| deleted > 0)
    }
}

impl Future for DeleteMany<'_> {
    type Output = Result<u64, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.batch.begin(&this.cache)?;
        let scope = this.cache.scope(this.version.as_ref())?;
        let keys = scope.keys(&this.names);
        if this.spread.is_none() && this.cache.is_cluster() {
            let (spread, batch) = Spread::of_keys(&this.cache, &keys);
            (this.spread, this.batch) = (Some(Box::new(spread)), batch);
        }
        if let Some(spread) = &mut this.spread {
            let (keys, places, gather) = spread.parts(scope);
            let command = |chunk| Command::Delete(keys.window(chunk));
            ready!(this.batch.poll(&this.cache, cx, command, |chunk, reply| {
                take(gather, places, chunk, reply)
            }))?;
        }
        if let Some(spread) = this.spread.take() {
            return Poll::Ready(spread.count());
        }
        let deleted = &mut this.deleted;
        ready!(this.batch.poll(
            &this.cache,
            cx,
            |chunk| Command::Delete(keys.window(chunk)),
            |_, reply| {
                let Reply::Count(count) = reply else { return Err(Error::mismatch()) };
                *deleted += count;
                Ok(())
            },
        ))?;
        Poll::Ready(Ok(this.deleted))
    }
}
