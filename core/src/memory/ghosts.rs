//! Which keys were let go lately: a table of fingerprints, one place for each.
//!
//! A fingerprint is the 32 bits that are kept of a key's hash; its low bits are its place, where it
//! replaces what was there. So a note costs O(1) and four bytes, and is forgotten after about as
//! many others as there are places. It may be wrong about a key that it never saw, by a chance of about one in
//! 2^32 for each note; that costs a place in a queue, never a wrong answer.

use alloc::vec;
use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Ghosts {
    places: Vec<u32>,
}

impl Ghosts {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new() }
    }

    /// Notes a key, in a table that remembers about as many keys as `residents`.
    pub(super) fn note(&mut self, hash: u32, residents: u32) {
        let wanted = usize::try_from(residents.max(FEWEST_PLACES)).unwrap_or(usize::MAX);
        if self.places.len() < wanted {
            self.grow(wanted);
        }
        self.put(fingerprint(hash));
    }

    /// Whether a key was noted lately; forgets it.
    pub(super) fn take(&mut self, hash: u32) -> bool {
        let print = fingerprint(hash);
        let found = self.place(print).filter(|place| **place == print);
        found.map(|place| *place = EMPTY).is_some()
    }

    fn grow(&mut self, wanted: usize) {
        let places = vec![EMPTY; wanted.next_power_of_two()];
        let old = core::mem::replace(&mut self.places, places);
        old.into_iter().filter(|&print| print != EMPTY).for_each(|print| self.put(print));
    }

    fn put(&mut self, print: u32) {
        if let Some(place) = self.place(print) {
            *place = print;
        }
    }

    fn place(&mut self, print: u32) -> Option<&mut u32> {
        let mask = self.places.len().checked_sub(1)?;
        self.places.get_mut(usize::try_from(print).unwrap_or(usize::MAX) & mask)
    }
}

fn fingerprint(hash: u32) -> u32 {
    hash.max(EMPTY + 1)
}

const EMPTY: u32 = 0;
const FEWEST_PLACES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_taken_once() {
        let mut ghosts = Ghosts::new();
        assert!(!ghosts.take(7));
        ghosts.note(7, 1);
        ghosts.note(0, 1);
        assert!(ghosts.take(7) && !ghosts.take(7));
        assert!(ghosts.take(0) && !ghosts.take(0));
    }

    #[test]
    fn notes_survive_growth_and_give_way_to_later_ones() {
        let mut ghosts = Ghosts::new();
        (1..=16).for_each(|hash| ghosts.note(hash, 1));
        ghosts.note(1000, 1000);
        assert!((1..=16).all(|hash| ghosts.take(hash)));
        ghosts.note(5, 1);
        ghosts.note(5 + 1024, 1);
        assert!(!ghosts.take(5) && ghosts.take(5 + 1024));
    }
}
