//! Things by number: a row with holes, in which a thing keeps its number until it is moved.
//!
//! Numbers are small, so that lists through the things cost four bytes per link. Freed numbers are
//! used again, the latest first. If there are many more holes than things, the slab is *sparse*,
//! and its owner shrinks it one step at a time. Each step gives up the last number, and moves the
//! thing with that number into a hole. The slab knows neither the things nor what refers to them by
//! number.

use alloc::vec::Vec;

use super::chunked::ChunkedVec;

/// The number of a thing in a [`Slab`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id(u32);

impl Id {
    /// The number that stands for no thing.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// The limit of the number of things in a slab; every number is below it.
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
    slots: ChunkedVec<SlabCell<T>>,
    free: Id,
    len: u32,
}

#[derive(Debug)]
pub(super) enum SlabCell<T> {
    Full(T),
    /// A free slot. Free slots form a doubly linked list, so that the last slot can be removed from
    /// it.
    Free {
        before: Id,
        after: Id,
    },
}

/// A thing that was given another number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moved {
    pub(super) from: Id,
    pub(super) to: Id,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { slots: ChunkedVec::new(), free: Id::NONE, len: 0 }
    }

    /// The number of things.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The number of slots, holes included; every thing's number is below it.
    pub(super) fn extent(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn get(&self, id: Id) -> Option<&T> {
        match self.slots.get(id.index())? {
            SlabCell::Full(thing) => Some(thing),
            SlabCell::Free { .. } => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.slots.get_mut(id.index())? {
            SlabCell::Full(thing) => Some(thing),
            SlabCell::Free { .. } => None,
        }
    }

    /// Adds `thing`. The caller keeps the number of things below [`Id::LIMIT`].
    pub(super) fn insert(&mut self, thing: T) -> Id {
        self.len += 1;
        match self.fill(thing) {
            Ok(id) => id,
            Err(thing) => {
                let id = Id(self.extent());
                self.slots.push(SlabCell::Full(thing));
                id
            }
        }
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let after = self.free;
        let slot = self.slots.get_mut(id.index())?;
        if let SlabCell::Free { .. } = slot {
            return None;
        }
        let old = core::mem::replace(slot, SlabCell::Free { before: Id::NONE, after });
        if let Some(SlabCell::Free { before, .. }) = self.slots.get_mut(after.index()) {
            *before = id;
        }
        self.free = id;
        self.len -= 1;
        match old {
            SlabCell::Full(thing) => Some(thing),
            SlabCell::Free { .. } => None,
        }
    }

    /// The things whose numbers are in `range`.
    #[cfg(test)]
    pub(super) fn range(&self, range: core::ops::Range<u32>) -> impl Iterator<Item = &T> {
        range.filter_map(|number| self.get(Id(number)))
    }

    /// All things, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| match slot {
            SlabCell::Full(thing) => Some(thing),
            SlabCell::Free { .. } => None,
        })
    }

    /// Whether it takes more than twice the memory that its things need, plus a reserve for later
    /// things.
    pub(super) fn is_sparse(&self) -> bool {
        self.extent() > self.len.saturating_mul(2).saturating_add(SPARE)
    }

    /// The last number, which [`shrink`](Self::shrink) would give up.
    pub(super) fn last(&self) -> Id {
        self.extent().checked_sub(1).map_or(Id::NONE, Id)
    }

    /// Gives up the last number of a slab with holes. If a thing had it, returns its old and new
    /// number.
    pub(super) fn shrink(&mut self) -> Option<Moved> {
        let from = self.last();
        match self.slots.pop()? {
            SlabCell::Full(thing) => {
                // There is a hole, because the slab has more slots than things.
                let to = self.fill(thing).ok()?;
                Some(Moved { from, to })
            }
            SlabCell::Free { before, after } => {
                match self.slots.get_mut(before.index()) {
                    Some(SlabCell::Free { after: next, .. }) => *next = after,
                    Some(SlabCell::Full(_)) | None => self.free = after,
                }
                if let Some(SlabCell::Free { before: next, .. }) = self.slots.get_mut(after.index())
                {
                    *next = before;
                }
                None
            }
        }
    }

    /// Returns memory that is no longer needed; see [`ChunkedVec::trim`].
    pub(super) fn trim(&mut self) -> Option<Vec<SlabCell<T>>> {
        self.slots.trim()
    }

    /// Puts a thing into the latest hole; returns the thing if there is no hole.
    fn fill(&mut self, thing: T) -> Result<Id, T> {
        let id = self.free;
        let Some(slot) = self.slots.get_mut(id.index()) else { return Err(thing) };
        if let SlabCell::Free { after, .. } = core::mem::replace(slot, SlabCell::Full(thing)) {
            self.free = after;
            if let Some(SlabCell::Free { before, .. }) = self.slots.get_mut(after.index()) {
                *before = Id::NONE;
            }
        }
        Ok(id)
    }
}

/// The number of slots that are kept free, whatever the number of things.
const SPARE: u32 = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_item_keeps_its_number_and_a_freed_number_is_reused() {
        let mut slab = Slab::new();
        let [a, b, c] = ["a", "b", "c"].map(|thing| slab.insert(thing));
        assert_eq!(slab.remove(b), Some("b"));
        assert_eq!(slab.remove(b), None);
        assert_eq!((slab.get(b), slab.get(Id::NONE), slab.len()), (None, None, 2));
        assert_eq!((slab.get(a), slab.get(c)), (Some(&"a"), Some(&"c")));
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

    proptest! {
        #[test]
        fn a_shrinking_slab_keeps_its_items_and_reports_which_it_moved(
            steps in proptest::collection::vec((0..3_u8, 0..64_usize), 1..300),
        ) {
            let (mut slab, mut model, mut made) = (Slab::new(), BTreeMap::new(), 0);
            for (action, which) in steps {
                let some = model.keys().nth(which % model.len().max(1)).copied();
                match (action, some) {
                    (0, Some(number)) => {
                        prop_assert_eq!(slab.remove(Id(number)), model.remove(&number));
                    }
                    (1, _) if slab.extent() > slab.len() => {
                        let extent = slab.extent();
                        if let Some(Moved { from, to }) = slab.shrink() {
                            prop_assert_eq!(from.number(), extent - 1);
                            let thing = model.remove(&from.number()).unwrap();
                            prop_assert_eq!(model.insert(to.number(), thing), None);
                        }
                        prop_assert_eq!(slab.extent(), extent - 1);
                    }
                    _ => {
                        made += 1;
                        let holes = slab.extent() - slab.len();
                        let (id, extent) = (slab.insert(made), slab.extent());
                        prop_assert_eq!(model.insert(id.number(), made), None);
                        prop_assert_eq!(extent - slab.len(), holes.saturating_sub(1));
                    }
                }
                prop_assert_eq!(usize::try_from(slab.len()).unwrap(), model.len());
                let all = (0..slab.extent()).filter_map(|n| Some((n, *slab.get(Id(n))?)));
                prop_assert_eq!(all.collect::<BTreeMap<_, _>>(), model.clone());
            }
        }
    }
}
