//! `clear` and `clear_prefix`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::reply::Reply;
use bytes::Bytes;

use crate::backend::Call;
use crate::cache::Cache;
use crate::error::Error;

/// The future of [`Cache::clear`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Clear<'c> {
    cache: &'c Cache,
    call: Call,
}

/// The future of [`Cache::clear_prefix`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct ClearPrefix<'c> {
    cache: &'c Cache,
    stem: Bytes,
    cursor: u64,
    found: Vec<Bytes>,
    removed: u64,
    call: Call,
}

impl Cache {
    /// Removes every key of the database, or of the store in memory, whatever its prefix and
    /// whoever wrote it.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn clear(&self) -> Clear<'_> {
        Clear { cache: self, call: Call::default() }
    }

    /// Removes every key under this cache's prefix, of whatever version, and no other; answers how
    /// many. Goes through the keys in steps that do not hold the server up; a key written
    /// meanwhile may stay. Each step has the response timeout.
    ///
    /// Dropped, or failed, before it is done, some of the keys are removed.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn clear_prefix(&self) -> ClearPrefix<'_> {
        ClearPrefix {
            cache: self,
            stem: self.stem(),
            cursor: 0,
            found: Vec::new(),
            removed: 0,
            call: Call::default(),
        }
    }
}

impl Future for Clear<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Reply::Done = ready!(this.call.poll(this.cache, b"", cx, || Ok(Command::Clear)))?
        else {
            return Poll::Ready(Err(Error::mismatch()));
        };
        Poll::Ready(Ok(()))
    }
}

impl Future for ClearPrefix<'_> {
    type Output = Result<u64, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            // A step is a scan, and the removal of what it found.
            if this.found.is_empty() {
                let scan = || Ok(Command::Scan { stem: &this.stem, cursor: this.cursor });
                let reply = ready!(this.call.poll(this.cache, b"", cx, scan))?;
                let Reply::Scanned { cursor, keys } = reply else {
                    return Poll::Ready(Err(Error::mismatch()));
                };
                this.cursor = cursor;
                this.found = keys;
                this.found.retain(|key| key.starts_with(&this.stem));
            } else {
                let unlink = || Ok(Command::Unlink(&this.found));
                let reply = ready!(this.call.poll(this.cache, b"", cx, unlink))?;
                let Reply::Count(removed) = reply else {
                    return Poll::Ready(Err(Error::mismatch()));
                };
                this.removed += removed;
                this.found.clear();
            }
            this.call = Call::default();
            if this.found.is_empty() && this.cursor == 0 {
                return Poll::Ready(Ok(this.removed));
            }
        }
    }
}
