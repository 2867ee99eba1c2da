//! The hash table from keys to entries: numbers of entries by the prints of their keys.
//!
//! A hash table that doubles moves all of its contents at once, and one caller has to wait for
//! that. So this one grows by one bucket at a time (linear hashing, after Litwin, 1980). Let `n` be
//! the number of buckets and `p` the largest power of two up to `n`. A key is in the bucket given
//! by its print modulo `2p`, or modulo `p` if that bucket does not exist yet. A new bucket gets its
//! keys from bucket `n - p` and from no other. So an insertion moves the contents of one bucket at
//! most.
//!
//! It shrinks in the same way. Once it is less than half as full as when it grows, a removal puts
//! the contents of the last bucket back into the bucket that they came from.
//!
//! A [`Bucket`] is one cache line, and most lookups read no more. If a bucket has no room, its
//! numbers continue in a chain of spare buckets, all but the last of which are full. All spare
//! buckets are in use: when one is given up, the last one moves into its place.
//!
//! A walk visits the buckets in the order of the bit-reversed prints. In that order the prints of a
//! bucket are adjacent, and stay so when the bucket is split or merged. So a walk visits every
//! number that stays in the table exactly once, however the table changes.
//!
//! The table keeps numbers and one byte of each print. It asks its owner for the print of a number
//! that it must move. The byte is the highest one, and the lowest bits select the bucket. So tags
//! are less selective only in a table of more than 2^24 buckets.

use alloc::vec::Vec;

use super::bucket::{Bucket, NextBucket, PrintTag};
use super::chunked::ChunkedVec;
use super::hash::Print;
use super::slab::Id;

#[derive(Debug)]
pub(super) struct Table {
    buckets: ChunkedVec<Bucket>,
    spare: ChunkedVec<Bucket>,
    /// Empty except while a bucket is taken apart.
    scratch: Vec<(PrintTag, Id)>,
    len: usize,
    /// See [`mask_of`].
    mask: u32,
}

/// The position of a bucket.
#[derive(Clone, Copy, Debug)]
enum BucketPlace {
    First(usize),
    Spare(NextBucket),
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            buckets: ChunkedVec::new(),
            spare: ChunkedVec::new(),
            scratch: Vec::new(),
            len: 0,
            mask: 0,
        }
    }

    /// Calls `look` with numbers that may have this print, and returns its first result.
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

    /// Adds a number that is not in the table. `print_of` returns the print of any number in it.
    pub(super) fn insert(&mut self, print: Print, id: Id, print_of: impl Fn(Id) -> Print) {
        if self.len >= self.buckets.len() * FILL {
            self.grow(&print_of);
        }
        self.put(self.bucket_of(print), tag(print), id);
        self.len += 1;
    }

    /// Removes a number with this print, if it is in the table. `print_of` returns the print of any
    /// other.
    pub(super) fn remove(&mut self, print: Print, id: Id, print_of: impl Fn(Id) -> Print) {
        let first = BucketPlace::First(self.bucket_of(print));
        let (mut before, mut last, mut holds) = (first, first, None);
        while let Some(bucket) = self.get_mut(last) {
            if holds.is_none() && bucket.like(tag(print)).any(|other| other == id) {
                holds = Some(last);
            }
            if bucket.next == NextBucket::NONE {
                break;
            }
            before = last;
            last = BucketPlace::Spare(bucket.next);
        }
        let Some(holds) = holds else { return };
        self.len -= 1;
        // The last number of the chain moves into the place that has become free.
        let Some((tag, moved)) = self.get_mut(last).and_then(Bucket::pop) else { return };
        if moved != id
            && let Some(bucket) = self.get_mut(holds)
        {
            bucket.replace(id, tag, moved);
        }
        self.cut_off(before, last, &print_of);
        if 2 * self.len < self.buckets.len().saturating_sub(FEWEST) * FILL {
            self.shrink(&print_of);
        }
    }

    /// Changes a number with this print, which must be in the table, to another number.
    pub(super) fn rename(&mut self, print: Print, old: Id, new: Id) {
        let mut place = BucketPlace::First(self.bucket_of(print));
        while let Some(bucket) = self.get_mut(place) {
            if bucket.replace(old, tag(print), new) {
                return;
            }
            place = BucketPlace::Spare(bucket.next);
        }
    }

    /// Calls `look` with all numbers in the bucket that contains the print `from`, bit-reversed.
    /// Returns the start of the next bucket; `None` after the last one.
    pub(super) fn walk(&self, from: u32, mut look: impl FnMut(Id)) -> Option<u32> {
        let index = self.bucket_of(Print(from.reverse_bits()));
        let mut next = self.buckets.get(index);
        while let Some(bucket) = next {
            bucket.all().for_each(&mut look);
            next = self.spare.get(bucket.next.index());
        }
        // All prints of a bucket have the same lowest bits: one bit less if it is not split yet.
        let narrow = self.mask >> 1;
        let is_whole = (index & to_usize(narrow)) + to_usize(narrow) + 1 >= self.buckets.len();
        let bits = if is_whole { narrow } else { self.mask }.count_ones();
        let last = from | u32::MAX.checked_shr(bits).unwrap_or(0);
        last.checked_add(1)
    }

    /// Returns memory that is no longer needed; see [`ChunkedVec::trim`].
    pub(super) fn trim(&mut self) -> Option<Vec<Bucket>> {
        self.buckets.trim().or_else(|| self.spare.trim())
    }

    #[cfg(test)]
    pub(super) fn buckets(&self) -> u32 {
        u32::try_from(self.buckets.len()).unwrap()
    }

    /// Gives up the last bucket of a chain, if it is a spare one and empty.
    fn cut_off(&mut self, before: BucketPlace, last: BucketPlace, print_of: &impl Fn(Id) -> Print) {
        let BucketPlace::Spare(index) = last else { return };
        if self.get_mut(last).is_none_or(|bucket| !bucket.is_empty()) {
            return;
        }
        if let Some(bucket) = self.get_mut(before) {
            bucket.next = NextBucket::NONE;
        }
        self.give_up(index, print_of);
    }

    /// Gives up a spare bucket that no other bucket refers to: the last spare bucket moves into its
    /// place.
    fn give_up(&mut self, index: NextBucket, print_of: &impl Fn(Id) -> Print) {
        let Some(last) = self.spare.len().checked_sub(1).map(NextBucket::new) else { return };
        if index != last
            && let Some(id) = self.spare.get(last.index()).and_then(Bucket::first)
        {
            let mut place = BucketPlace::First(self.bucket_of(print_of(id)));
            while let Some(bucket) = self.get_mut(place) {
                if bucket.next == last {
                    bucket.next = index;
                    break;
                }
                place = BucketPlace::Spare(bucket.next);
            }
        }
        if let Some(moved) = self.spare.pop()
            && let Some(bucket) = self.spare.get_mut(index.index())
        {
            *bucket = moved;
        }
    }

    /// Adds a bucket, and moves the numbers that now belong into it.
    fn grow(&mut self, print_of: &impl Fn(Id) -> Print) {
        let count = self.buckets.len();
        let from = count.checked_ilog2().map(|bits| count - (1 << bits));
        let mut moved = self.take_apart(from, print_of);
        self.buckets.push(Bucket::EMPTY);
        self.mask = mask_of(count + 1);
        for (tag, id) in moved.drain(..) {
            self.put(self.bucket_of(print_of(id)), tag, id);
        }
        self.scratch = moved;
    }

    /// Puts the contents of the last bucket back into the one that they came from, and gives it up.
    fn shrink(&mut self, print_of: &impl Fn(Id) -> Print) {
        let Some(last) = self.buckets.len().checked_sub(1) else { return };
        let Some(to) = last.checked_ilog2().map(|bits| last - (1 << bits)) else { return };
        let mut moved = self.take_apart(Some(last), print_of);
        self.buckets.pop();
        self.mask = mask_of(last);
        for (tag, id) in moved.drain(..) {
            self.put(to, tag, id);
        }
        self.scratch = moved;
    }

    /// Removes all numbers from a bucket and the spare ones behind it, and gives up the spare ones.
    fn take_apart(
        &mut self,
        index: Option<usize>,
        print_of: &impl Fn(Id) -> Print,
    ) -> Vec<(PrintTag, Id)> {
        let mut all = core::mem::take(&mut self.scratch);
        let mut spare = NextBucket::NONE;
        if let Some(bucket) = index.and_then(|index| self.buckets.get_mut(index)) {
            all.extend(core::iter::from_fn(|| bucket.pop()));
            spare = bucket.next;
        }
        while let Some(bucket) = self.spare.get_mut(spare.index()) {
            all.extend(core::iter::from_fn(|| bucket.pop()));
            let after = core::mem::replace(&mut bucket.next, NextBucket::NONE);
            // Unlink it from the chain first, so that the spare bucket that moves is found behind
            // it.
            if let Some(bucket) = index.and_then(|index| self.buckets.get_mut(index)) {
                bucket.next = after;
            }
            self.give_up(spare, print_of);
            let first = index.and_then(|index| self.buckets.get(index));
            spare = first.map_or(NextBucket::NONE, |bucket| bucket.next);
        }
        all
    }

    /// Puts a number into a bucket, or into one of the spare ones behind it.
    fn put(&mut self, index: usize, tag: PrintTag, id: Id) {
        let mut place = BucketPlace::First(index);
        while let Some(bucket) = self.get_mut(place) {
            if bucket.push(tag, id) {
                return;
            }
            let next = match bucket.next {
                NextBucket::NONE => self.lengthen(place),
                next => next,
            };
            place = BucketPlace::Spare(next);
        }
    }

    /// Appends a spare bucket to a chain.
    fn lengthen(&mut self, last: BucketPlace) -> NextBucket {
        let next = NextBucket::new(self.spare.len());
        self.spare.push(Bucket::EMPTY);
        if let Some(bucket) = self.get_mut(last) {
            bucket.next = next;
        }
        next
    }

    fn get_mut(&mut self, place: BucketPlace) -> Option<&mut Bucket> {
        match place {
            BucketPlace::First(index) => self.buckets.get_mut(index),
            BucketPlace::Spare(next) => self.spare.get_mut(next.index()),
        }
    }

    /// The bucket that a print belongs to.
    #[inline]
    fn bucket_of(&self, print: Print) -> usize {
        let [wide, narrow] = [self.mask, self.mask >> 1]
            .map(|mask| usize::try_from(print.0 & mask).unwrap_or(usize::MAX));
        if wide < self.buckets.len() { wide } else { narrow }
    }
}

/// The mask that selects among twice as many buckets as the largest power of two below this number.
fn mask_of(buckets: usize) -> u32 {
    let bits = buckets.checked_sub(1).and_then(usize::checked_ilog2);
    bits.map_or(0, |bits| u32::MAX >> u32::BITS.saturating_sub(bits + 1).min(u32::BITS - 1))
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[inline]
fn tag(print: Print) -> PrintTag {
    let [.., topmost] = print.0.to_le_bytes();
    PrintTag::of(topmost)
}

/// The average number of numbers per bucket at which the table grows; twelve fit. A bucket that is
/// not split yet has up to twice as many as one that is.
const FILL: usize = 8;
/// A table with this few buckets does not shrink.
const FEWEST: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::*;
    use crate::memory::hash::Seed;

    fn print(id: Id) -> Print {
        Seed::new(1).hash(&id.number().to_le_bytes()).print
    }

    /// A table of this many numbers, from zero on.
    fn table(len: u32) -> Table {
        let mut table = Table::new();
        (0..len).map(Id::new).for_each(|id| table.insert(print(id), id, print));
        table
    }

    /// The length of each bucket's chain.
    fn chains(table: &Table) -> impl Iterator<Item = usize> {
        (0..table.buckets.len()).map(|index| {
            let next = |bucket: &&Bucket| table.spare.get(bucket.next.index());
            core::iter::successors(table.buckets.get(index), next).count()
        })
    }

    #[test]
    fn entries_are_found_until_removed_while_the_table_grows() {
        let mut table = Table::new();
        let mut inside = BTreeSet::new();
        for number in 0..20_000_u32 {
            table.insert(print(Id::new(number)), Id::new(number), print);
            inside.insert(number);
            let gone = number.wrapping_mul(number) % 20_011;
            // Often one that is not in the table, which changes nothing.
            table.remove(print(Id::new(gone)), Id::new(gone), print);
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
    fn numbers_with_one_fingerprint_are_found_and_leave_no_bucket_behind() {
        let mut table = Table::new();
        let all = || (0..1000).map(Id::new);
        for _ in 0..3 {
            all().for_each(|id| table.insert(Print(7), id, |_| Print(7)));
            for id in all() {
                assert!(table.find(Print(7), |other| (other == id).then_some(())).is_some());
            }
            all().for_each(|id| table.remove(Print(7), id, |_| Print(7)));
            assert!(table.find(Print(7), Some).is_none());
            assert!(table.len == 0 && chains(&table).all(|buckets| buckets == 1));
            assert_eq!(table.spare.len(), 0);
        }
    }

    #[test]
    fn most_chains_have_one_bucket_at_any_size() {
        for len in [40_000, 50_000, 60_000, 70_000] {
            let table = table(len);
            let (all, longest) = (table.buckets.len() + table.spare.len(), chains(&table).max());
            assert!(all * FILL < table.len * 5 / 4, "{len}: {all}");
            assert!(longest <= Some(4), "{len}: {longest:?}");
        }
    }

    /// All numbers that a walk shows from `from` on, and the number of buckets that it visits.
    fn walked(table: &Table, mut from: u32) -> (Vec<Id>, usize) {
        let (mut all, mut buckets) = (Vec::new(), 0);
        loop {
            let next = table.walk(from, |id| {
                if print(id).0.reverse_bits() >= from {
                    all.push(id);
                }
            });
            buckets += 1;
            match next {
                Some(next) => from = next,
                None => return (all, buckets),
            }
        }
    }

    #[test]
    fn a_table_shrinks_with_its_entries_in_steps_of_one_chain() {
        let mut table = table(100_000);
        for number in 0..99_900 {
            let asked = core::cell::Cell::new(0);
            let before = table.buckets.len();
            table.remove(print(Id::new(number)), Id::new(number), |id| {
                asked.set(asked.get() + 1);
                print(id)
            });
            assert!(asked.get() <= 8, "{} at {number}", asked.get());
            assert!(before - table.buckets.len() <= 1);
            assert!(table.buckets.len() <= 2 * table.len / FILL + FEWEST + 2);
            assert!(table.spare.len() <= table.len / FILL + 1);
        }
        (99_900..100_000).map(Id::new).for_each(|id| {
            assert!(table.find(print(id), |other| (other == id).then_some(())).is_some());
        });
        let handed_out = core::iter::from_fn(|| table.trim()).count();
        assert!(handed_out >= 100_000 / FILL / 512 - 1, "{handed_out}");
    }

    #[test]
    fn a_walk_visits_every_number_once_for_any_number_of_buckets() {
        for len in [0, 1, 8, 9, 16, 17, 33, 40, 100, 129, 1000, 5000] {
            let table = table(len);
            let (mut all, buckets) = walked(&table, 0);
            all.sort_by_key(|id| id.number());
            assert!(all.iter().copied().eq((0..len).map(Id::new)), "{len}");
            assert_eq!(buckets, table.buckets.len().max(1));
        }
    }

    #[test]
    fn a_walk_visits_lasting_entries_while_the_table_grows_and_shrinks() {
        for seed in 0..50_u32 {
            let mut table = table(2_000);
            let (mut from, mut met, mut more) = (Some(0), Vec::new(), 2_000);
            let mut gone = 100..2_000;
            let mut steps = 0_u32;
            while let Some(at) = from {
                from = table.walk(at, |id| {
                    if print(id).0.reverse_bits() >= at {
                        met.push(id.number());
                    }
                });
                steps += 1;
                // In turns it grows to twice the size and shrinks to a tenth.
                if ((steps + seed) / 20).is_multiple_of(2) {
                    for _ in 0..100 {
                        table.insert(print(Id::new(more)), Id::new(more), print);
                        more += 1;
                    }
                } else {
                    for number in gone.by_ref().take(100) {
                        table.remove(print(Id::new(number)), Id::new(number), print);
                    }
                    for number in (2_000..more).rev().take(200) {
                        table.remove(print(Id::new(number)), Id::new(number), print);
                        more = number;
                    }
                }
            }
            let unique: BTreeSet<_> = met.iter().copied().filter(|number| *number < 100).collect();
            assert_eq!(unique.len(), 100, "{seed}");
            assert_eq!(met.iter().filter(|number| **number < 100).count(), 100, "{seed}");
        }
    }
}
