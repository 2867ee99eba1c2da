//! When loads failed last: for how long no other begins while there is a value to return.

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

use crate::memory::Seed;
use crate::time::Instant;

/// The last failed load of each key, in a table of a fixed size.
///
/// If two keys have the same place in the table, the later failure replaces the earlier one. So a
/// failure may be forgotten, which costs one more load. It is not found under another key, because
/// the place holds the hash of its key, under a seed that callers cannot know. The table takes no
/// memory before the first failure.
///
/// ```
/// use async_caches_core::flight::Failures;
/// use async_caches_core::time::Instant;
/// use core::time::Duration;
///
/// let mut failures = Failures::new(42);
/// let (now, backoff) = (Instant::from_millis(5_000), Duration::from_secs(1));
/// failures.failed(b"::user:1", now);
/// assert!(failures.backs_off(b"::user:1", now + backoff / 2, backoff));
/// assert!(!failures.backs_off(b"::user:1", now + backoff, backoff));
/// failures.succeeded(b"::user:1");
/// assert_eq!(failures.last(b"::user:1"), None);
/// ```
#[derive(Debug)]
pub struct Failures {
    seed: Seed,
    places: Box<[Option<FailedLoad>]>,
}

#[derive(Clone, Copy, Debug)]
struct FailedLoad {
    hash: u64,
    at: Instant,
}

impl Failures {
    /// How many failures the table holds at most: some 24 KiB of them.
    pub const MOST: usize = 1024;

    /// Creates an empty table. The seed is a random number that callers cannot know.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed: Seed::new(seed), places: Box::default() }
    }

    /// Notes that a load of the key failed.
    pub fn failed(&mut self, key: &[u8], now: Instant) {
        if self.places.is_empty() {
            self.places = vec![None; Self::MOST].into_boxed_slice();
        }
        let hash = self.seed.hash_whole(key);
        if let Some(place) = self.places.get_mut(place_of(hash)) {
            *place = Some(FailedLoad { hash, at: now });
        }
    }

    /// Notes that a load of the key succeeded: no earlier failure counts any more.
    pub fn succeeded(&mut self, key: &[u8]) {
        if self.places.is_empty() {
            return;
        }
        let hash = self.seed.hash_whole(key);
        if let Some(place) = self.places.get_mut(place_of(hash)) {
            *place = place.filter(|failure| failure.hash != hash);
        }
    }

    /// When a load of the key failed last, unless one has succeeded since.
    #[must_use]
    pub fn last(&self, key: &[u8]) -> Option<Instant> {
        if self.places.is_empty() {
            return None;
        }
        let hash = self.seed.hash_whole(key);
        let failure = self.places.get(place_of(hash)).copied().flatten()?;
        (failure.hash == hash).then_some(failure.at)
    }

    /// Whether a load of the key failed less than `backoff` ago.
    #[must_use]
    pub fn backs_off(&self, key: &[u8], now: Instant, backoff: Duration) -> bool {
        self.last(key).is_some_and(|at| now.since(at) < backoff)
    }
}

/// Bits that the tables of other modules do not look at.
fn place_of(hash: u64) -> usize {
    usize::try_from((hash >> 32) % Failures::MOST as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_failure_counts_until_the_backoff_is_over() {
        let (mut failures, now) = (Failures::new(1), Instant::from_millis(7));
        assert!(!failures.backs_off(b"a", now, SECOND), "none yet");
        failures.failed(b"a", now);
        assert!(failures.backs_off(b"a", now, SECOND));
        assert!(failures.backs_off(b"a", now + (SECOND - Duration::from_nanos(1)), SECOND));
        assert!(!failures.backs_off(b"a", now + SECOND, SECOND));
        assert!(!failures.backs_off(b"a", now, Duration::ZERO));
        assert!(!failures.backs_off(b"b", now, SECOND), "of another key");
    }

    #[test]
    fn the_last_failure_counts() {
        let (mut failures, now) = (Failures::new(1), Instant::ORIGIN);
        failures.failed(b"a", now);
        failures.failed(b"a", now + SECOND);
        assert_eq!(failures.last(b"a"), Some(now + SECOND));
    }

    #[test]
    fn a_success_ends_the_backoff_of_its_own_key_alone() {
        let (mut failures, now) = (Failures::new(1), Instant::ORIGIN);
        failures.succeeded(b"a");
        failures.failed(b"a", now);
        failures.failed(b"b", now);
        failures.succeeded(b"a");
        assert_eq!((failures.last(b"a"), failures.last(b"b")), (None, Some(now)));
    }

    #[test]
    fn the_table_is_bounded_and_never_mistakes_a_key_for_another() {
        let mut failures = Failures::new(1);
        let keys = 20 * Failures::MOST as u64;
        for number in 0..keys {
            let key = format!("key-{number}");
            failures.failed(key.as_bytes(), Instant::from_millis(number));
            assert_eq!(failures.last(key.as_bytes()), Some(Instant::from_millis(number)));
        }
        assert_eq!(failures.places.len(), Failures::MOST);
        let remembered = (0..keys).filter(|number| {
            let last = failures.last(format!("key-{number}").as_bytes());
            assert!(last.is_none_or(|at| at == Instant::from_millis(*number)));
            last.is_some()
        });
        let remembered = remembered.count();
        assert!(remembered > Failures::MOST / 2 && remembered <= Failures::MOST, "{remembered}");
    }
}
