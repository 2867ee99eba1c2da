//! Many items on a cluster: sent in the order of their slots, with replies in the order of the
//! caller.
//!
//! A command has keys of one slot, as no node accepts others together. Writes go key by key, as the
//! core requires ([`async_caches_core::cluster::split`]). All commands for one node are under way
//! on its connections together, and nodes take turns, so that all of them work side by side.

use std::ops::Range;

use async_caches_core::cluster::split::{Gather, Gathered, Split};
use async_caches_core::key::{Keys, Names, Scope};
use async_caches_core::reply::Reply;
use bytes::Bytes;

use super::batch::{Chunks, cut};
use crate::cache::Cache;
use crate::error::Error;

/// Names in the order of their slots, and the replies so far.
#[derive(Debug)]
pub(super) struct Spread {
    names: Names,
    /// Each name's place in the caller's order.
    places: Vec<usize>,
    gather: Gather<Error>,
}

impl Spread {
    /// Spreads keys that are read or removed. Each command has keys of one slot.
    pub(super) fn of_keys(cache: &Cache, keys: &Keys<'_>) -> (Self, Chunks) {
        Self::new(cache, keys, &Split::of_keys(keys), |range, names| {
            cut(range, |at| names.get(at).map_or(0, <[u8]>::len))
        })
    }

    /// Spreads keys that are written. Each command has one key.
    pub(super) fn of_writes(cache: &Cache, keys: &Keys<'_>) -> (Self, Chunks) {
        Self::new(cache, keys, &Split::of_writes(keys), |range, _| {
            range.map(|at| at..at + 1).collect()
        })
    }

    fn new(
        cache: &Cache,
        keys: &Keys<'_>,
        split: &Split,
        cut: impl Fn(Range<usize>, &Names) -> Vec<Range<usize>>,
    ) -> (Self, Chunks) {
        let names = split.names(keys);
        let places = split.parts().flat_map(|part| part.places.iter().copied()).collect();
        let view = cache.nodes().map(|nodes| nodes.view());
        let groups = split.by_node(|slot| view.as_ref()?.map().master_at(slot));
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|(_, parts)| parts.into_iter().flat_map(|part| cut(part.range, &names)))
            .collect();
        let mut chunks = Vec::new();
        while !groups.is_empty() {
            groups.retain_mut(|group| {
                let chunk = group.next();
                let more = chunk.is_some();
                chunks.extend(chunk);
                more
            });
        }
        (Self { names, places, gather: Gather::new(split) }, Chunks::of_chunks(chunks))
    }

    /// The keys in the order of their slots, the place of each in the caller's order, and the
    /// collector of their replies.
    pub(super) fn parts<'s>(
        &'s mut self,
        scope: Scope<'s>,
    ) -> (Keys<'s>, &'s [usize], &'s mut Gather<Error>) {
        (scope.keys(&self.names), &self.places, &mut self.gather)
    }

    /// All values, once the batch is done.
    pub(super) fn values(self) -> Result<Vec<Option<Bytes>>, Error> {
        complete(self.gather.values())
    }

    /// How many keys were removed, once the batch is done.
    pub(super) fn count(self) -> Result<u64, Error> {
        complete(self.gather.count())
    }
}

/// Takes the reply to a chunk of the parts.
pub(super) fn take(
    gather: &mut Gather<Error>,
    places: &[usize],
    chunk: Range<usize>,
    reply: Reply,
) -> Result<(), Error> {
    let places = places.get(chunk).unwrap_or_default();
    gather.take(places, Ok(reply)).map_err(|_| Error::mismatch())
}

/// A batch is done once each part has a reply; one failed part ends the batch.
fn complete<T>(gathered: Gathered<T, Error>) -> Result<T, Error> {
    gathered.map_err(|_| Error::mismatch())
}
