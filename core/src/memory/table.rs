//! Which entry a key is: numbers of entries by the prints of their keys.
//!
//! A hash table that doubles moves everything it holds at once, and one caller waits for that. So
//! this one grows by one bucket at a time (linear hashing, after Litwin, 1980): with `n` buckets,
//! and `p` the largest power of two up to `n`, a key is in the bucket that its print says modulo
//! `2p`, or modulo `p` where there is no such bucket yet. The next bucket takes its keys from bucket
//! `n - p` and from no other. An insertion so moves what is in one bucket at most.
//!
//! A [`Bucket`] is one line of memory, and most lookups look at no more. What a bucket has no room
//! for is in a chain of spare ones behind it, of which all but the last are full.
//!
//! The table keeps numbers and a byte of each print, and asks for the print of one where it must
//! move it. That byte is the topmost, and the lowest bits are those that decide on the bucket: only
//! in a table of more than 2^24 buckets do tags tell less.

use super::bucket::{Bucket, Next, Tag};
use super::hash::Print;
use super::row::Row;
use super::slab::Id;

#[derive(Debug)]
pub(super) struct Table {
    buckets: Row<Bucket>,
    spare: Row<Bucket>,
    /// The first of the spare buckets that are not in use, which are a chain of their own.
    free: Next,
    len: usize,
    /// The bits that tell twice as many buckets apart as the largest power of two up to their number.
    mask: u32,
}

/// Where a bucket is.
#[derive(Clone, Copy, Debug)]
enum Place {
    First(usize),
    Spare(Next),
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { buckets: Row::new(), spare: Row::new(), free: Next::NONE, len: 0, mask: 0 }
    }

    /// What `look` makes of the number of that print for which it makes something.
    #[inline]
    pub(super) fn find<T>(&self, print: Print, mut look: impl FnMut(Id) -> Option<T>) -> Option<T> {
        let tag = tag(print);
        let mut bucket = self.buckets.get(self.bucket_of(print))?;
        loop {
            if let Some(found) = bucket.like(tag).find_map(&mut look) {
                return Some(found);
            }
            bucket = self.spare.get(bucket.next.index())?;
        }
    }

    /// Takes in a number that is not there. `print_of` tells the print of any that is.
    pub(super) fn insert(&mut self, print: Print, id: Id, print_of: impl Fn(Id) -> Print) {
        if self.len >= self.buckets.len() * FILL {
            self.grow(&print_of);
        }
        self.put(self.bucket_of(print), tag(print), id);
        self.len += 1;
    }

    /// Lets go of a number of that print, if it is there.
    pub(super) fn remove(&mut self, print: Print, id: Id) {
        let first = Place::First(self.bucket_of(print));
        let (mut before, mut last, mut holds) = (first, first, None);
        while let Some(bucket) = self.get_mut(last) {
            if holds.is_none() && bucket.like(tag(print)).any(|other| other == id) {
                holds = Some(last);
            }
            if bucket.next == Next::NONE {
                break;
            }
            before = last;
            last = Place::Spare(bucket.next);
        }
        let Some(holds) = holds else { return };
        self.len -= 1;
        // The last of the chain comes into the place that is free now.
        let Some((tag, moved)) = self.get_mut(last).and_then(Bucket::pop) else { return };
        if moved != id
            && let Some(bucket) = self.get_mut(holds)
        {
            bucket.replace(id, tag, moved);
        }
        self.cut_off(before, last);
    }

    /// Lets go of the last bucket of a chain, if it is a spare one and empty.
    fn cut_off(&mut self, before: Place, last: Place) {
        let free = self.free;
        let Place::Spare(index) = last else { return };
        match self.get_mut(last) {
            Some(bucket) if bucket.is_empty() => bucket.next = free,
            Some(_) | None => return,
        }
        self.free = index;
        if let Some(bucket) = self.get_mut(before) {
            bucket.next = Next::NONE;
        }
    }

    /// Makes one bucket more, and moves over what belongs there now.
    fn grow(&mut self, print_of: &impl Fn(Id) -> Print) {
        let count = self.buckets.len();
        self.buckets.push(Bucket::EMPTY);
        let Some(bits) = count.checked_ilog2() else { return };
        self.mask = (2 << bits) - 1;
        let mut from = Place::First(count - (1 << bits));
        while let Some(bucket) = self.get_mut(from) {
            let mut bucket = core::mem::replace(bucket, Bucket::EMPTY);
            if let Place::Spare(index) = from {
                let free = core::mem::replace(&mut self.free, index);
                if let Some(emptied) = self.get_mut(from) {
                    emptied.next = free;
                }
            }
            from = Place::Spare(bucket.next);
            while let Some((tag, id)) = bucket.pop() {
                self.put(self.bucket_of(print_of(id)), tag, id);
            }
        }
    }

    /// Puts a number into a bucket, or into one of those behind it.
    fn put(&mut self, index: usize, tag: Tag, id: Id) {
        let mut place = Place::First(index);
        while let Some(bucket) = self.get_mut(place) {
            if bucket.push(tag, id) {
                return;
            }
            let next = match bucket.next {
                Next::NONE => self.lengthen(place),
                next => next,
            };
            place = Place::Spare(next);
        }
    }

    /// Hangs a spare bucket behind the last of a chain.
    fn lengthen(&mut self, last: Place) -> Next {
        let mut next = self.free;
        match self.get_mut(Place::Spare(next)) {
            Some(bucket) => {
                let free = core::mem::replace(&mut bucket.next, Next::NONE);
                self.free = free;
            }
            None => {
                next = Next::new(self.spare.len());
                self.spare.push(Bucket::EMPTY);
            }
        }
        if let Some(bucket) = self.get_mut(last) {
            bucket.next = next;
        }
        next
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut Bucket> {
        match place {
            Place::First(index) => self.buckets.get_mut(index),
            Place::Spare(next) => self.spare.get_mut(next.index()),
        }
    }

    /// Which bucket a print belongs to.
    #[inline]
    fn bucket_of(&self, print: Print) -> usize {
        let [wide, narrow] = [self.mask, self.mask >> 1]
            .map(|mask| usize::try_from(print.0 & mask).unwrap_or(usize::MAX));
        if wide < self.buckets.len() { wide } else { narrow }
    }
}

#[inline]
fn tag(print: Print) -> Tag {
    let [.., topmost] = print.0.to_le_bytes();
    Tag::of(topmost)
}

/// How many numbers a bucket has on average before there is another one, of the twelve that fit.
/// Those that are not split yet have up to twice as many as those that are.
const FILL: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::memory::hash::Seed;

    fn print(id: Id) -> Print {
        Seed::new(1).hash(&id.number().to_le_bytes()).print
    }

    /// A table of so many numbers, from zero on.
    fn table(len: u32) -> Table {
        let mut table = Table::new();
        (0..len).map(Id::new).for_each(|id| table.insert(print(id), id, print));
        table
    }

    /// How many buckets each key's chain is long.
    fn chains(table: &Table) -> impl Iterator<Item = usize> {
        (0..table.buckets.len()).map(|index| {
            let next = |bucket: &&Bucket| table.spare.get(bucket.next.index());
            core::iter::successors(table.buckets.get(index), next).count()
        })
    }

    #[test]
    fn what_was_inserted_is_found_until_it_is_removed_while_the_table_grows() {
        let mut table = Table::new();
        let mut inside = BTreeSet::new();
        for number in 0..20_000_u32 {
            table.insert(print(Id::new(number)), Id::new(number), print);
            inside.insert(number);
            let gone = number.wrapping_mul(number) % 20_011;
            // Often one that is not there, which is nothing.
            table.remove(print(Id::new(gone)), Id::new(gone));
            inside.remove(&gone);
            assert_eq!(table.len, inside.len());
        }
        for number in 0..20_000 {
            let id = Id::new(number);
            let found = table.find(print(id), |other| (other == id).then_some(()));
            assert_eq!(found.is_some(), inside.contains(&number), "{number}");
        }
    }

    #[test]
    fn an_insertion_moves_no_more_than_a_chain_holds() {
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
        assert!((FILL..=6 * FILL).contains(&most), "{most}");
    }

    #[test]
    fn numbers_with_one_print_are_all_found_and_their_buckets_are_used_again() {
        let mut table = Table::new();
        let all = || (0..1000).map(Id::new);
        for _ in 0..3 {
            all().for_each(|id| table.insert(Print(7), id, |_| Print(7)));
            for id in all() {
                assert!(table.find(Print(7), |other| (other == id).then_some(())).is_some());
            }
            all().for_each(|id| table.remove(Print(7), id));
            assert!(table.find(Print(7), Some).is_none());
            assert!(table.len == 0 && chains(&table).all(|buckets| buckets == 1));
        }
        assert!(table.spare.len() <= 1000 / 12 + 1, "{}", table.spare.len());
    }

    #[test]
    fn most_buckets_are_alone_whatever_the_size() {
        for len in [40_000, 50_000, 60_000, 70_000] {
            let table = table(len);
            let (all, longest) = (table.buckets.len() + table.spare.len(), chains(&table).max());
            assert!(all * FILL < table.len * 5 / 4, "{len}: {all}");
            assert!(longest <= Some(4), "{len}: {longest:?}");
        }
    }
}
