//! Things by number: a row with holes, in which a thing keeps its number while it is there.
//!
//! Numbers are small, so that lists through the things cost four bytes a link, and stable, so
//! that a walk can go on where it stopped whatever happened in between. Freed numbers are used
//! again, the latest first. The row is made of chunks of one size that stay where they are: to
//! grow it never copies more than one chunk, however long it is. It does not know what it holds.

use alloc::vec::Vec;
use core::ops::Range;

/// The number of a thing in a [`Slab`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id(u32);

impl Id {
    /// The number of nothing.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// How many things a slab may hold; every number is below this.
    pub(super) const LIMIT: u32 = 1 << 31;

    pub(super) fn new(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// The chunk, and the place in it.
    #[inline]
    fn place(self) -> (usize, usize) {
        let index = usize::try_from(self.0).unwrap_or(usize::MAX);
        (index / CHUNK, index % CHUNK)
    }
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    extent: u32,
    free: Id,
    len: u32,
}

#[derive(Debug)]
pub(super) enum Slot<T> {
    Full(T),
    Free { next: Id },
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), extent: 0, free: Id::NONE, len: 0 }
    }

    /// How many things there are.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The first number that no thing has ever had.
    pub(super) fn extent(&self) -> u32 {
        self.extent
    }

    #[inline]
    pub(super) fn get(&self, id: Id) -> Option<&T> {
        let (chunk, place) = id.place();
        match self.chunks.get(chunk)?.get(place)? {
            Slot::Full(thing) => Some(thing),
            Slot::Free { .. } => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.slot(id)? {
            Slot::Full(thing) => Some(thing),
            Slot::Free { .. } => None,
        }
    }

    /// Takes `thing` in. The caller keeps the number of things below [`Id::LIMIT`].
    pub(super) fn insert(&mut self, thing: T) -> Id {
        self.len += 1;
        let id = self.free;
        match self.slot(id) {
            Some(slot) => {
                let old = core::mem::replace(slot, Slot::Full(thing));
                if let Slot::Free { next } = old {
                    self.free = next;
                }
                id
            }
            None => self.push(thing),
        }
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let next = self.free;
        let slot = self.slot(id)?;
        match slot {
            Slot::Free { .. } => None,
            Slot::Full(_) => match core::mem::replace(slot, Slot::Free { next }) {
                Slot::Full(thing) => {
                    self.free = id;
                    self.len -= 1;
                    Some(thing)
                }
                Slot::Free { .. } => None,
            },
        }
    }

    /// The things whose numbers are in `range`.
    pub(super) fn range(&self, range: Range<u32>) -> impl Iterator<Item = &T> {
        range.filter_map(|number| self.get(Id(number)))
    }

    fn push(&mut self, thing: T) -> Id {
        let id = Id(self.extent);
        let (chunk, _) = id.place();
        if self.chunks.len() <= chunk {
            // A slab that stays small has a small chunk; others are filled as a rule.
            let room = if chunk == 0 { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(Slot::Full(thing));
            self.extent += 1;
        }
        id
    }

    #[inline]
    fn slot(&mut self, id: Id) -> Option<&mut Slot<T>> {
        let (chunk, place) = id.place();
        self.chunks.get_mut(chunk)?.get_mut(place)
    }
}

const CHUNK: usize = 512;

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn a_thing_keeps_its_number_and_a_freed_number_is_used_again() {
        let mut slab = Slab::new();
        let [a, b, c] = ["a", "b", "c"].map(|thing| slab.insert(thing));
        assert_eq!(slab.remove(b), Some("b"));
        assert_eq!(slab.remove(b), None);
        assert_eq!((slab.get(b), slab.get(Id::NONE), slab.len()), (None, None, 2));
        assert_eq!((slab.get(a), slab.get(c)), (Some(&"a"), Some(&"c")));
        assert_eq!(slab.range(0..9).copied().collect::<Vec<_>>(), vec!["a", "c"]);
        assert_eq!(slab.insert("d"), b);
        assert_eq!((slab.extent(), slab.len()), (3, 3));
        assert_eq!(slab.remove(Id::NONE), None);
    }

    #[test]
    fn freed_numbers_are_used_again_before_new_ones() {
        let mut slab = Slab::new();
        let ids: Vec<_> = (0..4).map(|thing| slab.insert(thing)).collect();
        ids.iter().for_each(|&id| assert!(slab.remove(id).is_some()));
        let mut again: Vec<_> = (0..4).map(|thing| slab.insert(thing)).collect();
        again.reverse();
        assert_eq!(again, ids);
        assert_eq!(slab.insert(4).number(), 4);
    }

    #[test]
    fn things_in_many_chunks_stay_where_they_are_while_it_grows() {
        let mut slab = Slab::new();
        let first = slab.insert(0);
        (1..CHUNK).for_each(|thing| assert_eq!(slab.insert(thing).place(), (0, thing)));
        let place: *const usize = slab.get(first).unwrap();
        let ids: Vec<_> = (CHUNK..3 * CHUNK + 1).map(|thing| slab.insert(thing)).collect();
        assert_eq!(ids.last().unwrap().place(), (3, 0));
        assert_eq!(place, core::ptr::from_ref(slab.get(first).unwrap()));
        let all = u32::try_from(3 * CHUNK + 1).unwrap();
        assert_eq!((slab.len(), slab.extent()), (all, all));
        assert!(slab.range(0..all).copied().eq(0..3 * CHUNK + 1));
    }
}
