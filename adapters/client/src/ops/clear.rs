//! `clear` and `clear_prefix`.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::cluster::address::Address;
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::Command;
use async_caches_core::reply::Reply;
use bytes::Bytes;

use super::batch::{Chunks, cut};
use super::options::owns_its_cache;
use crate::cache::Cache;
use crate::call::Call;
use crate::error::Error;
use crate::handle::Handle;

/// The future of [`Cache::clear`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://?key_prefix=forum").connect().await?;
/// let other = cache.with_prefix("shop")?;
/// other.set("item", 1).await?;
/// cache.clear().await?;
/// assert!(!other.contains("item").await?); // whatever the prefix
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Clear<'c> {
    cache: Handle<'c>,
    call: Call,
    /// Present on a cluster, once the operation has begun: a call for each master that has not
    /// replied.
    shards: Option<Vec<Call>>,
    /// Why one of them failed.
    failed: Option<Error>,
}

/// The future of [`Cache::clear_prefix`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://?key_prefix=forum").connect().await?;
/// let other = cache.with_prefix("shop")?;
/// cache.set_many([("a", 1), ("b", 2)]).await?;
/// other.set("item", 1).await?;
/// assert_eq!(cache.clear_prefix().await?, 2);
/// assert!(other.contains("item").await?);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct ClearPrefix<'c> {
    cache: Handle<'c>,
    stem: Bytes,
    cursor: u64,
    found: Vec<Bytes>,
    removed: u64,
    call: Call,
    /// Present on a cluster, once the operation has begun.
    shards: Option<Box<Shards>>,
}

/// The masters of a cluster whose keys are scanned, one after the other.
#[derive(Debug)]
struct Shards {
    /// A slot of each master that is left; the last one is under way.
    left: Vec<Slot>,
    /// The node that has served it so far, as a cursor is valid on one node alone.
    master: Option<Address>,
    /// The removal of the keys found.
    batch: Chunks,
}

owns_its_cache!(
    Clear { call, shards, failed },
    ClearPrefix { stem, cursor, found, removed, call, shards },
);

impl Cache {
    /// Removes every key of the database, or of the store in memory, whatever its prefix and
    /// writer. On a cluster each master does so by itself: if one fails, others have done it.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn clear(&self) -> Clear<'_> {
        Clear { cache: self.into(), call: Call::default(), shards: None, failed: None }
    }

    /// Removes every key under this cache's prefix, of any version, and returns how many. It scans
    /// the keys in steps that do not block the server. A key written meanwhile may stay, and so may
    /// a key that a cluster moves from one node to another. Each step has the response timeout.
    ///
    /// If it fails or is dropped before it is done, some of the keys are removed.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn clear_prefix(&self) -> ClearPrefix<'_> {
        ClearPrefix {
            cache: self.into(),
            stem: self.stem(),
            cursor: 0,
            found: Vec::new(),
            removed: 0,
            call: Call::default(),
            shards: None,
        }
    }
}

impl Future for Clear<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.shards.is_none()
            && let Some(nodes) = this.cache.nodes()
        {
            let calls = nodes.view().shards().into_iter().map(Call::for_slot);
            this.shards = Some(calls.collect());
        }
        let Some(shards) = &mut this.shards else {
            return this.call.poll(&this.cache, b"", cx, || Ok(Command::Clear)).map(done);
        };
        shards.retain_mut(|call| {
            match call.poll(&this.cache, b"", cx, || Ok(Command::Clear)).map(done) {
                Poll::Pending => true,
                Poll::Ready(outcome) => {
                    this.failed = outcome.err().or(this.failed.take());
                    false
                }
            }
        });
        match (shards.is_empty(), this.failed.take()) {
            (true, None) => Poll::Ready(Ok(())),
            (true, Some(error)) => Poll::Ready(Err(error)),
            (false, failed) => {
                this.failed = failed;
                Poll::Pending
            }
        }
    }
}

fn done(reply: Result<Reply, Error>) -> Result<(), Error> {
    match reply? {
        Reply::Done => Ok(()),
        _ => Err(Error::mismatch()),
    }
}

impl Future for ClearPrefix<'_> {
    type Output = Result<u64, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.begin();
        loop {
            // A step is a scan, and the removal of the keys found.
            if this.found.is_empty() {
                let scan = || Ok(Command::Scan { stem: &this.stem, cursor: this.cursor });
                let reply = ready!(this.call.poll(&this.cache, b"", cx, scan))?;
                let Reply::Scanned { cursor, keys } = reply else {
                    return Poll::Ready(Err(Error::mismatch()));
                };
                this.cursor = cursor;
                this.found = keys;
                this.found.retain(|key| key.starts_with(&this.stem));
                if this.scanned() {
                    this.call = this.next_call();
                    continue;
                }
            } else if let Some(shards) = &mut this.shards {
                let (found, removed) = (&this.found, &mut this.removed);
                let unlink = |chunk: Range<usize>| Command::Unlink(&found[chunk]);
                ready!(shards.batch.poll(&this.cache, cx, unlink, |_, reply| {
                    let Reply::Count(count) = reply else { return Err(Error::mismatch()) };
                    *removed += count;
                    Ok(())
                }))?;
                this.found.clear();
            } else {
                let unlink = || Ok(Command::Unlink(&this.found));
                let reply = ready!(this.call.poll(&this.cache, b"", cx, unlink))?;
                let Reply::Count(removed) = reply else {
                    return Poll::Ready(Err(Error::mismatch()));
                };
                this.removed += removed;
                this.found.clear();
            }
            if this.found.is_empty() && this.cursor == 0 && !this.next_shard() {
                return Poll::Ready(Ok(this.removed));
            }
            this.call = this.next_call();
        }
    }
}

impl ClearPrefix<'_> {
    fn next_call(&self) -> Call {
        match self.shards.as_ref().and_then(|shards| shards.left.last()) {
            Some(slot) => Call::for_slot(*slot),
            None => Call::default(),
        }
    }

    /// Starts with the first master, if the cache is on a cluster and the operation has not begun.
    fn begin(&mut self) {
        if self.shards.is_some() {
            return;
        }
        let Some(nodes) = self.cache.nodes() else { return };
        let (left, batch) = (nodes.view().shards(), Chunks::of_chunks(Vec::new()));
        self.shards = Some(Box::new(Shards { left, master: None, batch }));
        self.follow();
        self.call = self.next_call();
    }

    /// Takes in a step's reply. Returns whether the shard must be scanned from the start, as
    /// another node has become its master in this step or since the last one.
    fn scanned(&mut self) -> bool {
        let begun = self.shards.as_ref().and_then(|shards| shards.master.clone());
        self.follow();
        let Some(shards) = &mut self.shards else { return false };
        if shards.master != begun {
            self.cursor = 0;
            self.found.clear();
            return true;
        }
        self.found.sort_by_cached_key(|key| Slot::of(key));
        let by_slot = self.found.chunk_by(|a, b| Slot::of(a) == Slot::of(b));
        let (mut chunks, mut at) = (Vec::new(), 0);
        for run in by_slot {
            chunks
                .extend(cut(at..at + run.len(), |item| self.found.get(item).map_or(0, Bytes::len)));
            at += run.len();
        }
        shards.batch = Chunks::of_chunks(chunks);
        false
    }

    /// Notes which node serves the shard.
    fn follow(&mut self) {
        let (Some(shards), Some(nodes)) = (&mut self.shards, self.cache.nodes()) else { return };
        let master = shards.left.last().and_then(|slot| nodes.master(*slot));
        shards.master = master.map(|node| node.address().clone());
    }

    /// Goes on to the next master. Returns whether there is one.
    fn next_shard(&mut self) -> bool {
        let Some(shards) = &mut self.shards else { return false };
        shards.left.pop();
        let more = !shards.left.is_empty();
        self.follow();
        more
    }
}
