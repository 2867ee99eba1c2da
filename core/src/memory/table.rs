//! Which entry a key is: numbers of entries by the prints of their keys.
//!
//! A hash table that doubles moves everything it holds at once, and one caller waits for that. So
//! this one is made of parts, and grows by one part at a time (linear hashing, after Litwin, 1980):
//! with `n` parts, and `p` the largest power of two up to `n`, a key is in the part that its print
//! says modulo `2p`, or modulo `p` where there is no such part yet. The next part takes its keys
//! from part `n - p` and from no other. An insertion so moves one part at most, of about a thousand
//! numbers.
//!
//! It keeps numbers alone, and asks for the print of one where it must move it. The bits of a print
//! that decide on the part are not those that decide on the bucket in it.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::hash::Print;
use super::slab::Id;

#[derive(Debug)]
pub(super) struct Table {
    parts: Vec<HashTable<Id>>,
    len: usize,
    /// The bits that tell twice as many parts apart as the largest power of two up to their number.
    mask: u32,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { parts: Vec::new(), len: 0, mask: 0 }
    }

    /// What `look` makes of the number of that print for which it makes something.
    #[inline]
    pub(super) fn find<T>(&self, print: Print, mut look: impl FnMut(Id) -> Option<T>) -> Option<T> {
        let part = self.parts.get(self.part_of(print))?;
        let mut found = None;
        part.find(spread(print), |id| {
            found = look(*id);
            found.is_some()
        });
        found
    }

    /// Takes in a number that is not there. `print_of` tells the print of any that is.
    pub(super) fn insert(&mut self, print: Print, id: Id, print_of: impl Fn(Id) -> Print) {
        if self.len >= self.parts.len() * FILL {
            self.grow(&print_of);
        }
        let index = self.part_of(print);
        if let Some(part) = self.parts.get_mut(index) {
            part.insert_unique(spread(print), id, |id| spread(print_of(*id)));
            self.len += 1;
        }
    }

    /// Lets go of a number of that print.
    pub(super) fn remove(&mut self, print: Print, id: Id) {
        let index = self.part_of(print);
        let Some(part) = self.parts.get_mut(index) else { return };
        if let Ok(bucket) = part.find_entry(spread(print), |other| *other == id) {
            bucket.remove();
            self.len -= 1;
        }
    }

    /// Makes one part more, and moves over what belongs there now.
    fn grow(&mut self, print_of: &impl Fn(Id) -> Print) {
        let count = self.parts.len();
        self.parts.push(HashTable::new());
        let Some(bits) = count.checked_ilog2() else { return };
        self.mask = (2 << bits) - 1;
        let source = count - (1 << bits);
        let Some(part) = self.parts.get_mut(source).map(core::mem::take) else { return };
        // What stays goes into a table of its size too: the old one would stay as large as it is.
        let half = part.len() / 2;
        let mut stay = HashTable::with_capacity(half);
        let mut go = HashTable::with_capacity(half);
        for id in part {
            let print = print_of(id);
            let to = if self.part_of(print) == source { &mut stay } else { &mut go };
            to.insert_unique(spread(print), id, |id| spread(print_of(*id)));
        }
        for (index, part) in [(source, stay), (count, go)] {
            if let Some(place) = self.parts.get_mut(index) {
                *place = part;
            }
        }
    }

    /// Which part a print belongs to.
    #[inline]
    fn part_of(&self, print: Print) -> usize {
        let number = print.0 >> BUCKET_BITS;
        let [wide, narrow] = [self.mask, self.mask >> 1]
            .map(|mask| usize::try_from(number & mask).unwrap_or(usize::MAX));
        if wide < self.parts.len() { wide } else { narrow }
    }
}

/// A print as the table of a part wants it: the bucket is in the lowest bits, and a tag that
/// spares most comparisons in the topmost seven.
#[inline]
fn spread(print: Print) -> u64 {
    u64::from(print.0).wrapping_mul(ODD)
}

/// How many numbers a part has on average before there is another part: with this many the parts,
/// split or not, are well filled tables of 512 and 1,024 buckets.
const FILL: usize = 400;
/// More than a part's buckets can tell apart.
const BUCKET_BITS: u32 = 12;
/// Some odd number with ones and zeros mixed: 2^64 by the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::memory::hash::Seed;

    fn print(id: Id) -> Print {
        Seed::new(1).hash(&id.number().to_le_bytes()).print
    }

    #[test]
    fn what_was_inserted_is_found_until_it_is_removed_while_the_table_grows() {
        let mut table = Table::new();
        let mut inside = BTreeSet::new();
        for number in 0..20_000_u32 {
            table.insert(print(Id::new(number)), Id::new(number), print);
            inside.insert(number);
            let gone = number.wrapping_mul(number) % 20_011;
            if inside.remove(&gone) {
                table.remove(print(Id::new(gone)), Id::new(gone));
            }
            assert_eq!(table.len, inside.len());
        }
        for number in 0..20_000 {
            let id = Id::new(number);
            let found = table.find(print(id), |other| (other == id).then_some(()));
            assert_eq!(found.is_some(), inside.contains(&number), "{number}");
        }
    }

    #[test]
    fn an_insertion_moves_no_more_than_one_part_holds() {
        let mut table = Table::new();
        let mut most = 0;
        for number in 0..200_000_u32 {
            let asked = core::cell::Cell::new(0);
            table.insert(print(Id::new(number)), Id::new(number), |id| {
                asked.set(asked.get() + 1);
                print(id)
            });
            most = most.max(asked.get());
        }
        assert!((FILL..=4 * FILL).contains(&most), "{most}");
    }

    #[test]
    fn parts_are_filled_evenly() {
        let mut table = Table::new();
        (0..FILL * 300).for_each(|number| {
            let id = Id::new(u32::try_from(number).unwrap());
            table.insert(print(id), id, print);
        });
        assert_eq!(table.parts.len(), 300);
        assert!(table.parts.iter().all(|part| (100..900).contains(&part.len())));
        let buckets: usize = table.parts.iter().map(HashTable::capacity).sum();
        assert!(buckets < 3 * table.len, "{buckets}");
    }
}
