//! Many items in few commands. A batch is cut into chunks, so that no command and no reply grows
//! without bound. A few chunks are under way at once.

use std::ops::Range;
use std::task::{Context, Poll};

use async_caches_core::command::Command;
use async_caches_core::error::ServerErrorKind;
use async_caches_core::reply::Reply;
use async_caches_core::retry::Halves;

use crate::cache::Cache;
use crate::call::Call;
use crate::error::Error;

/// The chunks of one batch, and the calls under way.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: Vec<Range<usize>>,
    next: usize,
    active: Vec<(Range<usize>, Call)>,
    /// Parts of chunks that ended their connections, last first. One at a time is under way.
    parts: Vec<(Range<usize>, Call)>,
    part: Option<Range<usize>>,
    halves: Halves,
    /// How many chunks are under way at once.
    window: usize,
    begun: bool,
}

impl Chunks {
    /// Cuts items of these sizes, in bytes, into chunks.
    pub(super) fn of(sizes: impl ExactSizeIterator<Item = usize>) -> Self {
        let (len, mut sizes) = (sizes.len(), sizes);
        let chunks = cut(0..len, |_| sizes.next().unwrap_or_default());
        Self { chunks, window: WINDOW, ..Self::default() }
    }

    /// A batch that has begun, of these chunks, each for a node of a cluster.
    pub(super) fn of_chunks(chunks: Vec<Range<usize>>) -> Self {
        Self { chunks, window: WINDOW_OF_PARTS, begun: true, ..Self::default() }
    }

    /// Must be called first in every poll. Without a connection no batch begins, not even an empty
    /// one. A batch that has begun goes on while the cache disconnects.
    pub(super) fn begin(&mut self, cache: &Cache) -> Result<(), Error> {
        if !std::mem::replace(&mut self.begun, true) {
            cache.with_backend(|_| ())?;
        }
        Ok(())
    }

    /// Sends a command for each chunk and passes each reply to `take`. Ready once all are done, or
    /// one has failed.
    pub(super) fn poll<'a>(
        &mut self,
        cache: &Cache,
        cx: &Context<'_>,
        command: impl Fn(Range<usize>) -> Command<'a>,
        mut take: impl FnMut(Range<usize>, Reply) -> Result<(), Error>,
    ) -> Poll<Result<(), Error>> {
        let mut at = 0;
        loop {
            if at == self.active.len() && at < self.window {
                let Some(next) = self.next() else { break };
                self.active.push(next);
            }
            let Some((chunk, call)) = self.active.get_mut(at) else { break };
            match call.poll(cache, b"", cx, || Ok(command(chunk.clone()))) {
                Poll::Pending => at += 1,
                Poll::Ready(reply) => {
                    let (chunk, call) = self.active.swap_remove(at);
                    if self.part.as_ref() == Some(&chunk) {
                        self.part = None;
                    }
                    match reply {
                        Err(error) if chunk.len() > 1 && error.may_do_in_parts() => {
                            self.halve(&chunk, &call);
                            // Look again at the chunk that took its place, and at those before.
                            at = 0;
                        }
                        // A slot is being moved: some of its keys are on one node, and some on
                        // another.
                        Err(Error::Server(error))
                            if error.kind == ServerErrorKind::TryAgain && chunk.len() > 1 =>
                        {
                            self.chunks.extend(chunk.map(|item| item..item + 1));
                        }
                        reply => take(chunk, reply?)?,
                    }
                }
            }
        }
        if self.active.is_empty() && self.parts.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

impl Chunks {
    /// The next chunk to send. Parts go one after the other, as each may end its connection.
    fn next(&mut self) -> Option<(Range<usize>, Call)> {
        let several = |chunk: &Range<usize>| chunk.len() > 1;
        if self.part.is_none()
            && let Some((part, call)) = self.parts.pop()
        {
            let (part, rest) = self.halves.cut(part);
            if let Some(rest) = rest {
                self.parts.push((rest.clone(), call.part(several(&rest))));
            }
            self.part = Some(part.clone());
            let call = call.part(several(&part));
            return Some((part, call));
        }
        let chunk = self.chunks.get_mut(self.next)?;
        let (first, rest) = self.halves.cut(chunk.clone());
        match rest {
            Some(rest) => *chunk = rest,
            None => self.next += 1,
        }
        let chunk = first;
        let call = if several(&chunk) { Call::several() } else { Call::default() };
        Some((chunk, call))
    }

    /// A chunk ended its connection: its halves are sent one by one.
    fn halve(&mut self, chunk: &Range<usize>, call: &Call) {
        for half in self.halves.ended(chunk).into_iter().flatten().rev() {
            let part = call.part(half.len() > 1);
            self.parts.push((half, part));
        }
    }
}

/// Cuts items into chunks; `size` returns an item's size in bytes.
pub(super) fn cut(items: Range<usize>, mut size: impl FnMut(usize) -> usize) -> Vec<Range<usize>> {
    let mut chunks: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for index in items {
        let size = size(index);
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ITEMS && bytes + size <= CHUNK_BYTES => {
                chunk.end = index + 1;
                bytes += size;
            }
            Some(_) | None => {
                chunks.push(index..index + 1);
                bytes = size;
            }
        }
    }
    chunks
}

/// The maximum number of items in a chunk.
const CHUNK_ITEMS: usize = 512;

/// The maximum size of a chunk of more than one item, in bytes of names and values.
const CHUNK_BYTES: usize = 256 * 1024;

/// How many chunks are under way at once.
const WINDOW: usize = 8;

/// How many chunks of a few keys each are under way at once, on a cluster.
const WINDOW_OF_PARTS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_bounded_in_items_and_in_bytes_and_lose_nothing() {
        assert!(Chunks::of(std::iter::empty()).chunks.is_empty());
        let many = Chunks::of(std::iter::repeat_n(1, 1_200));
        assert_eq!(many.chunks, [0..512, 512..1024, 1024..1200]);
        let large = Chunks::of([CHUNK_BYTES, 1, CHUNK_BYTES - 1, 2 * CHUNK_BYTES, 1].into_iter());
        assert_eq!(large.chunks, [0..1, 1..3, 3..4, 4..5]);
    }
}
