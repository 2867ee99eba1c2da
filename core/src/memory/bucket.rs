//! One bucket of the hash table: the numbers of a few entries in one cache line, each with a tag.
//!
//! A tag is a byte of the key's print, so that most entries of other keys are ruled out without
//! reading them. All tags of a bucket are compared at once, as one large integer. Used places come
//! first, in no particular order. Numbers for which there is no room are in another bucket, which
//! this one names. A bucket knows neither prints nor other buckets.

use super::slab::Id;

/// The places, and the number of the bucket that continues this one, in 64 bytes.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Bucket {
    ids: [Id; PLACES],
    tags: [u8; PLACES],
    pub(super) next: NextBucket,
}

/// A part of a print. It is never zero, which is the tag of a free place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PrintTag(u8);

/// The number of the bucket that continues another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NextBucket(u32);

impl PrintTag {
    /// The tag for a byte of the print.
    #[inline]
    pub(super) fn of(byte: u8) -> Self {
        Self(byte.max(1))
    }
}

impl NextBucket {
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The index of the bucket; out of range if there is no next bucket.
    #[inline]
    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Bucket {
    pub(super) const EMPTY: Self =
        Self { ids: [Id::NONE; PLACES], tags: [FREE; PLACES], next: NextBucket::NONE };

    /// The numbers with this tag, and rarely one with another tag.
    #[inline]
    pub(super) fn like(&self, tag: PrintTag) -> impl Iterator<Item = Id> {
        let mut places = self.equal(tag.0);
        core::iter::from_fn(move || {
            let id = self.ids.get(first(places)).copied();
            places &= places.wrapping_sub(1);
            id
        })
    }

    /// All numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = Id> {
        self.ids.iter().copied().take(self.len())
    }

    /// Any of the numbers.
    pub(super) fn first(&self) -> Option<Id> {
        self.all().next()
    }

    /// Adds a number that is not in the bucket. Returns whether there was room.
    pub(super) fn push(&mut self, tag: PrintTag, id: Id) -> bool {
        self.put(self.len(), tag, id)
    }

    /// Removes the last number.
    pub(super) fn pop(&mut self) -> Option<(PrintTag, Id)> {
        let last = self.len().checked_sub(1)?;
        let tag = core::mem::replace(self.tags.get_mut(last)?, FREE);
        Some((PrintTag(tag), *self.ids.get(last)?))
    }

    /// Replaces a number by another one. Returns whether it was in the bucket.
    pub(super) fn replace(&mut self, old: Id, tag: PrintTag, id: Id) -> bool {
        let place = self.ids.iter().zip(self.tags).position(|(id, tag)| *id == old && tag != FREE);
        place.is_some_and(|place| self.put(place, tag, id))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&mut self, place: usize, tag: PrintTag, id: Id) -> bool {
        let (Some(ids), Some(tags)) = (self.ids.get_mut(place), self.tags.get_mut(place)) else {
            return false;
        };
        (*ids, *tags) = (id, tag.0);
        true
    }

    fn len(&self) -> usize {
        first(self.equal(FREE)).min(PLACES)
    }

    /// Returns a mask with the highest bit of each byte whose place has this tag. The bit of a byte
    /// above such a place may be set too, because of the borrow in the subtraction.
    #[inline]
    fn equal(&self, tag: u8) -> u128 {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.tags;
        let tags = u128::from_le_bytes([a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 0]);
        let differ = tags ^ (LOWEST * u128::from(tag));
        differ.wrapping_sub(LOWEST) & !differ & (LOWEST << 7)
    }
}

/// The index of the first of these places; past the last one if there is no such place.
#[inline]
fn first(places: u128) -> usize {
    usize::try_from(places.trailing_zeros() / u8::BITS).unwrap_or(usize::MAX)
}

/// As many as fit into a cache line.
const PLACES: usize = 12;
const FREE: u8 = 0;
/// The lowest bit of each place's byte.
const LOWEST: u128 = (1 << (PLACES * 8)) / 0xFF;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn no_byte_makes_the_tag_of_a_free_place() {
        assert!((0..=u8::MAX).all(|byte| PrintTag::of(byte).0 != FREE));
        assert!((1..=u8::MAX).all(|byte| PrintTag::of(byte).0 == byte));
        assert_eq!(Bucket::EMPTY.like(PrintTag::of(0)).next(), None);
    }

    #[test]
    fn a_full_bucket_takes_in_no_more() {
        let mut bucket = Bucket::EMPTY;
        let places = u32::try_from(PLACES).unwrap();
        assert!((0..places).all(|number| bucket.push(PrintTag::of(255), Id::new(number))));
        assert!(!bucket.push(PrintTag::of(255), Id::new(places)));
        assert_eq!(bucket.like(PrintTag::of(255)).count(), PLACES);
        assert_eq!(bucket.next, NextBucket::NONE);
    }

    proptest! {
        #[test]
        fn all_entries_with_a_tag_are_found_and_others_rarely(
            steps in proptest::collection::vec((0..20_u32, any::<u8>(), 0..4_u8), 1..60),
        ) {
            let (mut bucket, mut model) = (Bucket::EMPTY, BTreeMap::new());
            for (number, byte, action) in steps {
                let (id, tag) = (Id::new(number), PrintTag::of(byte));
                match action {
                    0 => if let Some((tag, id)) = bucket.pop() {
                        prop_assert_eq!(model.remove(&id.number()), Some(tag.0));
                        prop_assert!(!bucket.replace(id, tag, id));
                    } else {
                        prop_assert!(model.is_empty());
                    },
                    1 => if let Some((&old, _)) = model.first_key_value() && !model.contains_key(&number) {
                        prop_assert!(bucket.replace(Id::new(old), tag, id));
                        model.remove(&old);
                        model.insert(number, tag.0);
                    },
                    _ => if !model.contains_key(&number) && bucket.push(tag, id) {
                        model.insert(number, tag.0);
                    },
                }
                prop_assert_eq!(bucket.is_empty(), model.is_empty());
                prop_assert!(!bucket.replace(Id::new(99), tag, id));
                for tag in 1..=u8::MAX {
                    let found: Vec<_> = bucket.like(PrintTag(tag)).map(Id::number).collect();
                    let with = model.iter().filter(|(_, other)| **other == tag);
                    let wanted: Vec<_> = with.map(|(number, _)| *number).collect();
                    prop_assert!(wanted.iter().all(|number| found.contains(number)));
                    prop_assert!(!wanted.is_empty() || found.is_empty());
                }
            }
        }
    }
}
