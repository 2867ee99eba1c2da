//! A sequence that grows and shrinks at its end and never moves its elements. It consists of chunks
//! of one size that stay in place, so growing copies at most one chunk, however long the sequence
//! is. One chunk that has become empty is kept for later use.

use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct ChunkedVec<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> ChunkedVec<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(super) fn push(&mut self, thing: T) {
        let chunk = self.len / CHUNK;
        if self.chunks.len() <= chunk {
            // The first chunk starts small, as the row may stay short; later chunks are usually
            // filled.
            let room = if chunk == 0 { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            chunk.push(thing);
            self.len += 1;
        }
    }

    /// Removes the last element. Its chunk stays until it is [trimmed](Self::trim).
    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        let thing = self.chunks.get_mut(last / CHUNK)?.pop()?;
        self.len = last;
        Some(thing)
    }

    /// Returns an empty chunk for the caller to drop, if there is more than one.
    pub(super) fn trim(&mut self) -> Option<Vec<T>> {
        if self.chunks.len() <= self.len.div_ceil(CHUNK) + 1 {
            return None;
        }
        let chunk = self.chunks.pop();
        if self.chunks.len() * 4 < self.chunks.capacity() {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
        chunk
    }
}

const CHUNK: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_do_not_move_while_chunks_are_added() {
        let mut row = ChunkedVec::new();
        (0..CHUNK).for_each(|thing| row.push(thing));
        let place = core::ptr::from_ref(row.get(0).unwrap());
        (CHUNK..3 * CHUNK + 1).for_each(|thing| row.push(thing));
        assert!(row.chunks.iter().all(|chunk| chunk.capacity() == CHUNK));
        assert_eq!((row.chunks.len(), row.len()), (4, 3 * CHUNK + 1));
        assert_eq!(place, core::ptr::from_ref(row.get(0).unwrap()));
        assert!((0..row.len()).all(|index| row.get(index) == Some(&index)));
        assert_eq!(row.get(row.len()), None);
        assert_eq!(row.get_mut(3 * CHUNK + 1), None);
    }

    #[test]
    fn shrinking_releases_all_empty_chunks_but_one() {
        let mut row = ChunkedVec::new();
        (0..3 * CHUNK + 1).for_each(|thing| row.push(thing));
        assert_eq!((row.pop(), row.trim()), (Some(3 * CHUNK), None));
        row.push(7);
        assert_eq!((row.pop(), row.chunks.len()), (Some(7), 4));
        (0..CHUNK).for_each(|_| assert!(row.pop().is_some()));
        assert_eq!(row.trim().map(|chunk| chunk.len()), Some(0));
        assert_eq!((row.trim(), row.len(), row.get(2 * CHUNK)), (None, 2 * CHUNK, None));
        assert_eq!(row.get(2 * CHUNK - 1), Some(&(2 * CHUNK - 1)));
        while row.pop().is_some() {}
        assert_eq!(core::iter::from_fn(|| row.trim()).count(), 2);
        assert_eq!((row.len(), row.chunks.len()), (0, 1));
        row.push(1);
        assert_eq!((row.get(0), row.len()), (Some(&1), 1));
    }
}
