//! Things by number: a row with holes, in which a thing keeps its number while it is there.
//!
//! Numbers are small, so that lists through the things cost four bytes a link, and stable, so
//! that a walk can go on where it stopped whatever happened in between. Freed numbers are used
//! again, the latest first. It does not know what it holds.

use core::ops::Range;

use super::row::Row;

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

    #[inline]
    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Row<Slot<T>>,
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
        Self { slots: Row::new(), free: Id::NONE, len: 0 }
    }

    /// How many things there are.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The first number that no thing has ever had.
    pub(super) fn extent(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn get(&self, id: Id) -> Option<&T> {
        match self.slots.get(id.index())? {
            Slot::Full(thing) => Some(thing),
            Slot::Free { .. } => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.slots.get_mut(id.index())? {
            Slot::Full(thing) => Some(thing),
            Slot::Free { .. } => None,
        }
    }

    /// Takes `thing` in. The caller keeps the number of things below [`Id::LIMIT`].
    pub(super) fn insert(&mut self, thing: T) -> Id {
        self.len += 1;
        let id = self.free;
        match self.slots.get_mut(id.index()) {
            Some(slot) => {
                let old = core::mem::replace(slot, Slot::Full(thing));
                if let Slot::Free { next } = old {
                    self.free = next;
                }
                id
            }
            None => {
                let id = Id(self.extent());
                self.slots.push(Slot::Full(thing));
                id
            }
        }
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let next = self.free;
        let slot = self.slots.get_mut(id.index())?;
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
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

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
}
