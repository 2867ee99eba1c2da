//! The keys that were evicted recently, and how long ago: a table of fingerprints in buckets of
//! four.
//!
//! There is a bucket for every three entries. With a power of two of buckets, the number of entries
//! would decide how long keys are remembered; with two places for each entry, Zipf(0.99) hits a
//! tenth of a point less.
//!
//! The bits of a key's hash, in reverse order, select its bucket, so the low bits count most. The
//! entry there consists of the upper three bytes of the 32 bits that are kept of the hash and, in
//! the lowest byte, a *stamp*. The stamp is a time that is counted in evicted keys: while as many
//! keys are evicted as there are entries, it advances by 64. A new note replaces the oldest one in
//! its bucket. So a note costs O(1) and four bytes, and is forgotten after about as many others as
//! there are places. If instead each key had only one place, two keys of a loop that share it would
//! replace each other for ever.
//!
//! The table may report a key that it never saw. The probability is one in a million with room for
//! a few thousand entries, and one in some thousands with room for a million, because the bucket
//! then implies some of the bits that are written. This costs a place in a queue, and never gives a
//! wrong answer.
//!
//! Stamps start again after twice as many keys as there are entries. A note of that age, in a
//! bucket that receives few keys, then looks new and stays for another round. This is of use: if
//! all notes ended with their round, no key of a loop longer than the table would be remembered
//! when it comes back.

use alloc::vec;
use alloc::vec::Vec;

/// How long a key was absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Absence {
    /// At most about a sixteenth as many other keys were evicted as there are entries.
    Brief,
    Long,
}

#[derive(Clone, Debug)]
pub(super) struct Ghosts {
    buckets: Vec<GhostBucket>,
    /// Counts from 1 to [`LAST_STAMP`], and then from 1 again.
    stamp: u8,
    /// The number of notes with this stamp.
    noted: u32,
}

type GhostBucket = [u32; 4];

impl Ghosts {
    pub(super) const fn new() -> Self {
        Self { buckets: Vec::new(), stamp: 1, noted: 0 }
    }

    /// Notes an evicted key, in a table that remembers a third more keys than there are `entries`.
    /// A table that has fewer places than there are entries is replaced by an empty one.
    pub(super) fn note(&mut self, hash: u32, entries: u32) {
        let places = self.buckets.len().saturating_mul(PLACES);
        if places < to_usize(entries).max(FEWEST_BUCKETS * PLACES) {
            let buckets = to_usize(entries).div_ceil(ENTRIES_OF_A_BUCKET).max(FEWEST_BUCKETS);
            self.buckets = vec![[EMPTY; PLACES]; buckets];
        }
        self.noted += 1;
        if self.noted >= entries / STAMPS {
            self.noted = 0;
            self.stamp = if self.stamp == LAST_STAMP { 1 } else { self.stamp + 1 };
        }
        let stamp = self.stamp;
        let oldest = self.bucket(hash).and_then(|bucket| {
            bucket
                .iter_mut()
                .max_by_key(|place| if **place == EMPTY { u8::MAX } else { age(**place, stamp) })
        });
        if let Some(place) = oldest {
            *place = (hash & PRINT) | u32::from(stamp);
        }
    }

    /// Returns how long a key was absent, if it is remembered, and forgets it.
    pub(super) fn take(&mut self, hash: u32) -> Option<Absence> {
        let stamp = self.stamp;
        let place = self
            .bucket(hash)?
            .iter_mut()
            .find(|place| (**place ^ hash) & PRINT == 0 && **place != EMPTY)?;
        let brief = age(*place, stamp) <= BRIEF;
        *place = EMPTY;
        Some(if brief { Absence::Brief } else { Absence::Long })
    }

    /// Frees the table if far fewer `entries` are left than it was made for.
    pub(super) fn follow(&mut self, entries: u32) {
        if self.buckets.len() / FAR_FEWER > to_usize(entries).max(FEWEST_BUCKETS) {
            self.buckets = Vec::new();
        }
    }

    fn bucket(&mut self, hash: u32) -> Option<&mut GhostBucket> {
        let buckets = u64::try_from(self.buckets.len()).unwrap_or(u64::MAX);
        let at = u64::from(hash.reverse_bits()).saturating_mul(buckets) >> u32::BITS;
        self.buckets.get_mut(usize::try_from(at).unwrap_or(usize::MAX))
    }
}

fn to_usize(entries: u32) -> usize {
    usize::try_from(entries).unwrap_or(usize::MAX)
}

/// The number of stamps since a place was written, provided that this was less than a round ago.
fn age(place: u32, stamp: u8) -> u8 {
    let [.., then] = place.to_be_bytes();
    if then <= stamp { stamp - then } else { LAST_STAMP - then + stamp }
}

const PLACES: usize = 4;
const ENTRIES_OF_A_BUCKET: usize = 3;
const FEWEST_BUCKETS: usize = 4;
/// A table that has more buckets for each entry than this is freed: fewer than one in twenty-four
/// of the entries that it was made for are left.
const FAR_FEWER: usize = 8;
const EMPTY: u32 = 0;
/// The part of a place that holds bits of the key's hash.
const PRINT: u32 = !0xFF;
const LAST_STAMP: u8 = 127;
/// The number of stamps while as many keys are evicted as there are entries.
const STAMPS: u32 = 64;
/// The highest age of a brief absence, in stamps.
const BRIEF: u8 = 4;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// A hash with this print that belongs to the first bucket, if there are no more than 256.
    fn hash(print: u32) -> u32 {
        print << 8
    }

    #[test]
    fn a_note_is_taken_once() {
        let mut ghosts = Ghosts::new();
        assert_eq!(ghosts.take(7), None);
        ghosts.note(7, 1);
        ghosts.note(0, 1);
        assert_eq!(ghosts.take(7), Some(Absence::Brief));
        assert_eq!(ghosts.take(7), None);
        assert_eq!(ghosts.take(0), Some(Absence::Brief));
        assert_eq!(ghosts.take(0), None);
    }

    #[test]
    fn a_print_that_differs_in_any_bit_is_another_key() {
        let mut ghosts = Ghosts::new();
        ghosts.note(0, 1);
        assert!((8..32).all(|bit| ghosts.take(1 << bit).is_none()));
        assert!(ghosts.take(0).is_some());
    }

    #[test]
    fn the_latest_evictions_are_remembered() {
        let mut ghosts = Ghosts::new();
        (1..=9).for_each(|print| ghosts.note(hash(print), 1));
        let left: Vec<_> = (1..=9).filter(|&print| ghosts.take(hash(print)).is_some()).collect();
        assert_eq!(left, [6, 7, 8, 9]);
    }

    #[test]
    fn a_place_that_is_empty_is_taken_before_any_note_is_lost() {
        let mut ghosts = Ghosts::new();
        // The notes are written just before stamps start again, so they soon look old.
        (0..120).for_each(|_| ghosts.note(1, 1));
        (1..=4).for_each(|print| ghosts.note(hash(print), 1));
        assert!(ghosts.take(hash(3)).is_some());
        (0..10).for_each(|_| ghosts.note(1, 1));
        ghosts.note(hash(5), 1);
        assert!([1, 2, 4, 5].into_iter().all(|print| ghosts.take(hash(print)).is_some()));
    }

    #[test]
    fn an_absence_is_long_after_evictions_of_a_sixteenth_of_the_entries() {
        let absent = |others: u32| {
            let mut ghosts = Ghosts::new();
            // The other notes all go into another bucket.
            (0..others).for_each(|_| ghosts.note(1, 6400));
            ghosts.note(hash(9), 6400);
            (0..others).for_each(|_| ghosts.note(1, 6400));
            ghosts.take(hash(9)).unwrap()
        };
        assert_eq!(absent(0), Absence::Brief);
        assert_eq!(absent(400), Absence::Brief);
        assert_eq!(absent(500), Absence::Long);
        // This holds until stamps start again.
        assert_eq!(absent(12_500), Absence::Long);
    }

    #[test]
    fn absences_are_measured_across_a_wrap_of_the_stamp() {
        let absent = |others: u32| {
            let mut ghosts = Ghosts::new();
            (0..125).for_each(|_| ghosts.note(1, 1));
            ghosts.note(hash(9), 1);
            assert_eq!(ghosts.stamp, LAST_STAMP);
            (0..others).for_each(|_| ghosts.note(1, 1));
            ghosts.take(hash(9))
        };
        assert_eq!(absent(4), Some(Absence::Brief));
        assert_eq!(absent(5), Some(Absence::Long));
    }

    #[test]
    fn a_table_that_has_become_too_small_is_replaced() {
        let mut ghosts = Ghosts::new();
        ghosts.note(1, 1);
        ghosts.note(2, 1000);
        assert_eq!((ghosts.take(1), ghosts.take(2)), (None, Some(Absence::Brief)));
        assert_eq!(ghosts.buckets.len(), 334);
    }

    #[test]
    fn a_key_is_remembered_for_a_third_more_evictions_than_entries() {
        for entries in [1000, 1024, 1500, 2000] {
            let mut ghosts = Ghosts::new();
            let hash = |number: u32| number.wrapping_mul(0x9E37_79B1);
            (0..10 * entries).for_each(|number| ghosts.note(hash(number), entries));
            let known = (0..10 * entries).filter(|&number| ghosts.take(hash(number)).is_some());
            let known = known.count() * 100 / to_usize(entries);
            assert!((130..=134).contains(&known), "{entries}: {known} %");
        }
    }

    #[test]
    fn a_table_is_freed_below_a_24th_of_its_entries() {
        let mut ghosts = Ghosts::new();
        ghosts.note(1, 24_000);
        ghosts.follow(1000);
        assert!(ghosts.buckets.len() == 8000 && ghosts.take(1).is_some());
        ghosts.follow(999);
        assert!(ghosts.buckets.capacity() == 0 && ghosts.take(1).is_none());
        (0..2).for_each(|_| ghosts.note(1, 1));
        ghosts.follow(0);
        assert!(ghosts.take(1).is_some(), "the least table stays");
    }
}
