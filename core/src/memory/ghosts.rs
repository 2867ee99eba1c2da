//! Which keys were let go lately, and how long ago: a table of fingerprints in buckets of four.
//!
//! A key's place is in the bucket that the low bits of its hash name. What is written there is the
//! upper three bytes of the 32 bits that are kept of the hash and, in the lowest byte, a *stamp*:
//! time, counted in keys that were let go, 64 stamps to as many keys as there are entries. A note
//! replaces the oldest in its bucket. So it costs O(1) and four bytes, and is forgotten after about
//! as many others as there are places. With one place a key instead, two keys of a loop that share
//! a place would drive each other out for ever.
//!
//! It may be wrong about a key that it never saw: by a chance of one in a million where there is
//! room for a few thousand entries, one in some thousands where there is for a million, as a
//! bucket then implies the same bits that are written. Either way it costs a place in a queue,
//! never a wrong answer.
//!
//! Stamps begin anew after twice as many keys as there are entries. What is as old as that, in a
//! bucket that few keys fall into, looks young again and stays for another round. Without this, of
//! a loop longer than the table no key at all would be remembered until it comes back.

use alloc::vec;
use alloc::vec::Vec;

/// How long a key was away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Absence {
    /// At most about a sixteenth as many others went as there are entries.
    Brief,
    Long,
}

#[derive(Clone, Debug)]
pub(super) struct Ghosts {
    buckets: Vec<Bucket>,
    /// From 1 to [`LAST_STAMP`], and then 1 again.
    stamp: u8,
    /// How many were noted with this stamp.
    noted: u32,
}

type Bucket = [u32; 4];

impl Ghosts {
    pub(super) const fn new() -> Self {
        Self { buckets: Vec::new(), stamp: 1, noted: 0 }
    }

    /// Notes a key that is let go, in a table that remembers about as many keys as there are
    /// `entries`. A table that has become too small is replaced by one that knows none yet.
    pub(super) fn note(&mut self, hash: u32, entries: u32) {
        let wanted = usize::try_from(entries).unwrap_or(usize::MAX).div_ceil(PLACES);
        if self.buckets.len() < wanted.max(FEWEST_BUCKETS) {
            self.buckets = vec![[EMPTY; PLACES]; wanted.max(FEWEST_BUCKETS).next_power_of_two()];
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

    /// For how long a key was away, if it is remembered; forgets it.
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

    fn bucket(&mut self, hash: u32) -> Option<&mut Bucket> {
        let mask = self.buckets.len().checked_sub(1)?;
        self.buckets.get_mut(usize::try_from(hash).unwrap_or(usize::MAX) & mask)
    }
}

/// How many stamps ago a place was written, if its own is none of an earlier round.
fn age(place: u32, stamp: u8) -> u8 {
    let [.., then] = place.to_be_bytes();
    if then <= stamp { stamp - then } else { LAST_STAMP - then + stamp }
}

const PLACES: usize = 4;
const FEWEST_BUCKETS: usize = 4;
const EMPTY: u32 = 0;
/// The part of a place that is the key's hash.
const PRINT: u32 = !0xFF;
const LAST_STAMP: u8 = 127;
/// To as many keys as there are entries.
const STAMPS: u32 = 64;
/// The most stamps of a brief absence.
const BRIEF: u8 = 4;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// A hash with this print, whose bucket is the first.
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
    fn what_is_remembered_is_what_went_last() {
        let mut ghosts = Ghosts::new();
        (1..=9).for_each(|print| ghosts.note(hash(print), 1));
        let left: Vec<_> = (1..=9).filter(|&print| ghosts.take(hash(print)).is_some()).collect();
        assert_eq!(left, [6, 7, 8, 9]);
    }

    #[test]
    fn a_place_that_is_empty_is_taken_before_any_note_is_lost() {
        let mut ghosts = Ghosts::new();
        // The notes are written when stamps are about to begin anew, and look old soon.
        (0..120).for_each(|_| ghosts.note(1, 1));
        (1..=4).for_each(|print| ghosts.note(hash(print), 1));
        assert!(ghosts.take(hash(3)).is_some());
        (0..10).for_each(|_| ghosts.note(1, 1));
        ghosts.note(hash(5), 1);
        assert!([1, 2, 4, 5].into_iter().all(|print| ghosts.take(hash(print)).is_some()));
    }

    #[test]
    fn an_absence_is_long_once_a_sixteenth_as_many_others_went_as_there_are_entries() {
        let absent = |others: u32| {
            let mut ghosts = Ghosts::new();
            // Others are spread over the other buckets.
            (0..others).for_each(|_| ghosts.note(1, 6400));
            ghosts.note(hash(9), 6400);
            (0..others).for_each(|_| ghosts.note(1, 6400));
            ghosts.take(hash(9)).unwrap()
        };
        assert_eq!(absent(0), Absence::Brief);
        assert_eq!(absent(400), Absence::Brief);
        assert_eq!(absent(500), Absence::Long);
        // Until stamps begin anew.
        assert_eq!(absent(12_500), Absence::Long);
    }

    #[test]
    fn an_absence_is_told_across_the_stamp_that_begins_anew() {
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
        assert_eq!(ghosts.buckets.len(), 256);
    }
}
