//! Maps keys to shards and buckets: one hash per operation selects both.
//!
//! A shard keeps 32 bits of the hash with each entry, its print, and needs no others.

use core::fmt;
use core::hash::Hasher as _;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// The secret that a store's keys are hashed with: foldhash in its quality variant.
///
/// Give every store a random seed. A client that does not know the seed cannot prepare a set of
/// keys that fall into one bucket, which would turn lookups into searches ("hash flooding"). The
/// hash is fast and not cryptographic. It gives no guarantee against an attacker who can time
/// single lookups closely enough to learn about the seed. Hashes are never shown outside.
///
/// ```
/// use async_caches_core::memory::Seed;
///
/// let seed = Seed::new(42); // a random number
/// assert_eq!(seed.hash(b"::user:1").shard(32), seed.hash(b"::user:1").shard(32));
/// assert_eq!(format!("{seed:?}"), "Seed"); // it stays a secret
/// ```
#[derive(Clone)]
pub struct Seed {
    own: u64,
    shared: SharedSeed,
}

impl Seed {
    /// A seed from a random number.
    #[must_use]
    pub const fn new(random: u64) -> Self {
        Self { own: random.rotate_left(32), shared: SharedSeed::from_u64(random) }
    }

    /// The full hash of a whole key, for tables of keys other than a store's.
    #[inline]
    pub(crate) fn hash_whole(&self, whole: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.own, &self.shared);
        hasher.write(whole);
        hasher.finish()
    }

    /// Hashes a whole key: `prefix:version:name`.
    #[inline]
    #[must_use]
    pub fn hash<'a>(&self, whole: &'a [u8]) -> Hashed<'a> {
        let [a, b, c, d, .., low, high, _] = self.hash_whole(whole).to_le_bytes();
        Hashed {
            print: Print(u32::from_le_bytes([a, b, c, d])),
            shard: u16::from_le_bytes([low, high]),
            whole,
        }
    }
}

/// Prints nothing of the secret.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// A whole key and its hash.
///
/// ```
/// use async_caches_core::memory::Seed;
///
/// let key = Seed::new(42).hash(b"::user:1");
/// assert!(key.shard(32) < 32);
/// assert_eq!(key.shard(1), 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    pub(super) print: Print,
    /// The bits that select the shard; they are not part of the print.
    shard: u16,
    pub(super) whole: &'a [u8],
}

/// The half of a key's hash that is kept. Different keys may have the same print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Print(pub(super) u32);

impl Hashed<'_> {
    /// The shard that this key belongs to, out of `shards`, which is at most [`Self::MAX_SHARDS`].
    #[inline]
    #[must_use]
    pub fn shard(self, shards: usize) -> usize {
        usize::from(self.shard).saturating_mul(shards) >> u16::BITS
    }

    /// The highest number of shards that the hash can select from.
    pub const MAX_SHARDS: usize = 1 << 15;
}

/// Different keys with the same hash under foldhash's fixed shared seed, whatever the seed of the
/// hasher: their last eight bytes cancel the shared seed, so that the product is zero.
#[cfg(test)]
pub(crate) fn colliding_keys(count: u64) -> std::vec::Vec<bytes::Bytes> {
    const FIXED: u64 = 0x3f84_d5b5_b547_0917;
    (0..count).map(|key| [key.to_ne_bytes(), FIXED.to_ne_bytes()].concat().into()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::format;
    use std::vec;

    use super::*;

    #[test]
    fn keys_spread_evenly_over_any_number_of_shards() {
        let seed = Seed::new(1);
        for shards in [1, 2, 3, 8, 100] {
            let mut counts = vec![0_u32; shards];
            for number in 0..shards * 1000 {
                counts[seed.hash(format!("::user:{number}").as_bytes()).shard(shards)] += 1;
            }
            assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn hashes_distinguish_the_largest_number_of_shards() {
        let seed = Seed::new(1);
        let shard = |number| seed.hash(format!("::{number}").as_bytes()).shard(Hashed::MAX_SHARDS);
        let met: BTreeSet<_> = (0..200_000).map(shard).collect();
        assert!(met.len() > 32_000 && met.last() < Some(&Hashed::MAX_SHARDS), "{}", met.len());
    }

    #[test]
    fn keys_that_collide_under_a_fixed_seed_do_not_under_this_one() {
        use core::hash::BuildHasher as _;

        use foldhash::quality::FixedState;

        let keys = colliding_keys(1_000);
        let fixed: BTreeSet<u64> =
            keys.iter().map(|key| FixedState::with_seed(7).hash_one(key)).collect();
        assert_eq!(fixed.len(), 1, "they are the keys that an attacker prepares");
        let met: BTreeSet<u64> = keys.iter().map(|key| Seed::new(7).hash_whole(key)).collect();
        assert_eq!(met.len(), 1_000);
    }

    #[test]
    fn a_seed_changes_the_hash_and_is_not_printed() {
        let hash = |seed| Seed::new(seed).hash(b"::k").print;
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
        assert_ne!(hash(0), hash(1 << 63));
        assert_eq!(format!("{:?}", Seed::new(42)), "Seed");
    }
}
