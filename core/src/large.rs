//! Which keys had large values lately, so that commands for them can be kept apart from others.
//!
//! A command that is sent on a connection behind one for a large value waits for all of that value.
//! Nothing about a `GET` tells how large its reply will be. But a value that was large the last
//! time most likely is again. So a key is noted when a large value of it arrives, and forgotten
//! when a small one does.
//!
//! A key is noted by 32 bits of its hash, in a small table in which a later key replaces an
//! earlier one. Two keys are confused with a chance of one in 2^32, which costs time and nothing
//! else. Many threads may read and write at once, and none waits for another. While no key is
//! noted, a lookup is one atomic load.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::command::Command;
use crate::memory::Seed;

/// The keys whose values were large when they were last read.
#[derive(Debug)]
pub struct LargeKeys {
    noted: AtomicUsize,
    places: [AtomicU32; PLACES],
    seed: Seed,
}

impl LargeKeys {
    /// A value of at least this many bytes is large.
    pub const FROM: usize = 64 * 1024;

    /// No keys. The seed, a random number that callers cannot know, decides which keys share a
    /// place. So an attacker cannot prepare keys that share one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            noted: AtomicUsize::new(0),
            places: [const { AtomicU32::new(NONE) }; PLACES],
            seed: Seed::new(seed),
        }
    }

    /// Whether a command is for a large value, as far as that is known.
    #[inline(always)]
    pub fn expects(&self, command: &Command<'_>) -> bool {
        if let Command::Get(key) = command {
            return self.contains(key.name());
        }
        command.value().is_some_and(|value| value.len() >= Self::FROM)
    }

    /// Whether this key is noted.
    #[inline]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.noted.load(Ordering::Relaxed) > 0 && self.finds(key)
    }

    /// Takes note of the length of a key's value, `len` bytes.
    pub fn note(&self, key: &[u8], len: usize) {
        let print = self.print(key);
        let Some(place) = self.place(print) else { return };
        if len >= Self::FROM {
            if place.swap(print, Ordering::Relaxed) == NONE {
                self.noted.fetch_add(1, Ordering::Relaxed);
            }
        } else if place.compare_exchange(print, NONE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.noted.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn finds(&self, key: &[u8]) -> bool {
        let print = self.print(key);
        self.place(print).is_some_and(|place| place.load(Ordering::Relaxed) == print)
    }

    fn print(&self, key: &[u8]) -> u32 {
        let [low @ .., _, _, _, _] = self.seed.hash_whole(key).to_le_bytes();
        u32::from_le_bytes(low).max(NONE + 1)
    }

    fn place(&self, print: u32) -> Option<&AtomicU32> {
        self.places.get(usize::try_from(print).unwrap_or_default() % PLACES)
    }
}

const PLACES: usize = 256;
const NONE: u32 = 0;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::key::KeySpace;
    use crate::ttl::Expiry;

    const LARGE: usize = 65_536;

    #[test]
    fn a_key_is_noted_while_its_last_value_was_large() {
        let keys = LargeKeys::new(1);
        assert!(!keys.contains(b"a"));
        keys.note(b"a", LARGE);
        keys.note(b"a", LARGE);
        assert!(keys.contains(b"a") && !keys.contains(b"b"));
        keys.note(b"b", LARGE - 1);
        assert!(keys.contains(b"a"));
        keys.note(b"a", LARGE - 1);
        keys.note(b"a", 0);
        assert!(!keys.contains(b"a"));
        assert_eq!(keys.noted.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_sent_value_is_judged_by_its_size_and_a_requested_one_by_its_key() {
        let keys = LargeKeys::new(1);
        let space = KeySpace::default();
        let key = space.scope(None).unwrap().key(b"a");
        let [small, large] = [LARGE - 1, LARGE].map(|len| Bytes::from(std::vec![0; len]));
        let set = |value| Command::Set { key, value, expiry: Expiry::Never };
        assert!(keys.expects(&set(&large)) && !keys.expects(&set(&small)));
        assert!(!keys.expects(&Command::Get(key)));
        keys.note(b"a", LARGE);
        assert!(keys.expects(&Command::Get(key)) && !keys.expects(&Command::Contains(key)));
    }

    #[test]
    fn keys_that_collide_under_a_fixed_seed_use_different_places() {
        let many = crate::memory::colliding_keys(200);
        for seed in 0..8 {
            let keys = LargeKeys::new(seed);
            many.iter().for_each(|key| keys.note(key, LARGE));
            let noted = keys.noted.load(Ordering::Relaxed);
            assert!(noted > 100, "200 keys share {noted} places under the seed {seed}");
        }
    }

    #[test]
    fn with_more_keys_than_places_the_latest_are_remembered() {
        let keys = LargeKeys::new(1);
        let many = 0..10_000_u32;
        many.clone().for_each(|key| keys.note(&key.to_le_bytes(), LARGE));
        assert!(keys.contains(&9_999_u32.to_le_bytes()));
        let known = many.clone().filter(|key| keys.contains(&key.to_le_bytes())).count();
        assert_eq!(known, keys.noted.load(Ordering::Relaxed));
        assert_eq!(known, PLACES);
        many.for_each(|key| keys.note(&key.to_le_bytes(), 0));
        assert_eq!(keys.noted.load(Ordering::Relaxed), 0);
    }
}
