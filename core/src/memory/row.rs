//! A row that grows at its end and never moves: made of chunks of one size that stay where they
//! are, so that to grow it copies no more than one chunk, however long it is.

use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Row<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Row<T> {
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

    pub(super) fn push(&mut self, thing: T) {
        let chunk = self.len / CHUNK;
        if self.chunks.len() <= chunk {
            // A row that stays short has a short chunk; others are filled as a rule.
            let room = if chunk == 0 { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(thing);
            self.len += 1;
        }
    }
}

const CHUNK: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_in_many_chunks_stay_where_they_are_while_it_grows() {
        let mut row = Row::new();
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
}
