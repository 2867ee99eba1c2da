//! The measured caches: in-memory caches behind one trait.
//!
//! Each has its own file, which describes its configuration. All of them that allow it hash with
//! foldhash under a fixed seed, and all read the same clock.

mod held;
mod ours;
mod reference;

#[cfg(feature = "peers")]
mod foyer;
#[cfg(feature = "peers")]
mod moka;
#[cfg(feature = "peers")]
mod quick_cache;
#[cfg(feature = "peers")]
mod sieve_cache;
#[cfg(feature = "peers")]
mod tinyufo;

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use clap::ValueEnum;

use self::held::{Held, Timed};

/// A cache, as the measurements use it.
pub(crate) trait Store: Send + Sync {
    /// The value of a key that exists and has not expired.
    fn get(&self, key: &'static str) -> Option<Bytes>;
    /// Stores a value, whatever was stored before. A timeout is given only if [`Room::timeouts`] is
    /// set.
    fn set(&self, key: &'static str, value: Bytes, timeout: Option<Duration>);
    /// Does the work that the cache has deferred.
    fn settle(&self) {}
    /// The number of entries, including expired ones, if the cache reports it.
    fn entries(&self) -> Option<u64> {
        None
    }
    /// The number of bytes that the cache counts, if it counts them.
    fn bytes(&self) -> Option<u64> {
        None
    }
}

/// The capacity that a cache needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    /// The highest number of entries; `None` means no bound.
    pub(crate) entries: Option<u64>,
    /// Whether values will have timeouts.
    pub(crate) timeouts: bool,
}

/// The implementation of a cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ValueEnum)]
pub(crate) enum Who {
    Ours,
    OursCache,
    #[cfg(feature = "peers")]
    #[value(name = "quick_cache")]
    QuickCache,
    #[cfg(feature = "peers")]
    Moka,
    #[cfg(feature = "peers")]
    Foyer,
    #[cfg(feature = "peers")]
    SieveCache,
    #[cfg(feature = "peers")]
    Tinyufo,
    Lru,
    Unbounded,
}

impl Who {
    /// All caches, or only the named ones.
    pub(crate) fn chosen(named: &[Self]) -> Vec<Self> {
        if named.is_empty() { Self::value_variants().to_vec() } else { named.to_vec() }
    }

    /// An empty cache of this kind.
    pub(crate) fn open(self, room: Room) -> Result<Box<dyn Store>> {
        match (self, room.timeouts) {
            (Self::Ours, _) => Ok(Box::new(ours::Raw::new(room))),
            (Self::OursCache, _) => Ok(Box::new(ours::Public::new(room)?)),
            (_, true) => self.open_other::<Timed>(room),
            (_, false) => self.open_other::<Bytes>(room),
        }
    }

    fn open_other<V: Held>(self, room: Room) -> Result<Box<dyn Store>> {
        let entries = room.entries.unwrap_or(u64::from(u32::MAX));
        // A cache that is too small for many shards gets fewer, as ours does.
        let shards = usize::try_from(entries / FEWEST)?.clamp(1, SHARDS);
        Ok(match self {
            Self::Ours | Self::OursCache => self.open(room)?,
            #[cfg(feature = "peers")]
            Self::QuickCache => Box::new(quick_cache::QuickCache::<V>::new(entries)),
            #[cfg(feature = "peers")]
            Self::Moka => Box::new(moka::Moka::<V>::new(entries, room.timeouts)),
            #[cfg(feature = "peers")]
            Self::Foyer => Box::new(foyer::Foyer::<V>::new(entries, shards)),
            #[cfg(feature = "peers")]
            Self::SieveCache => Box::new(sieve_cache::Sieve::<V>::new(entries, shards)?),
            #[cfg(feature = "peers")]
            Self::Tinyufo => Box::new(tinyufo::Ufo::<V>::new(entries)),
            Self::Lru => Box::new(reference::Lru::<V>::new(entries, shards)),
            Self::Unbounded => Box::new(reference::Unbounded::<V>::new(SHARDS)),
        })
    }

    /// The name on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursCache => "ours-cache",
            #[cfg(feature = "peers")]
            Self::QuickCache => "quick_cache",
            #[cfg(feature = "peers")]
            Self::Moka => "moka",
            #[cfg(feature = "peers")]
            Self::Foyer => "foyer",
            #[cfg(feature = "peers")]
            Self::SieveCache => "sieve-cache",
            #[cfg(feature = "peers")]
            Self::Tinyufo => "tinyufo",
            Self::Lru => "lru",
            Self::Unbounded => "unbounded",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// LRU without the shards that a production cache would have.
pub(crate) fn exact_lru(entries: u32) -> Box<dyn Store> {
    Box::new(reference::Lru::<Bytes>::new(u64::from(entries), 1))
}

/// The seed of every hash and every sequence, so that all runs are the same.
pub(crate) const SEED: u64 = 20_251_124;

/// The number of shards of a large cache that lets us choose it, and the fewest entries of one
/// shard.
const SHARDS: usize = 32;
const FEWEST: u64 = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cache_parses_from_its_printed_name() {
        for &who in Who::value_variants() {
            assert_eq!(Who::from_str(who.name(), false), Ok(who));
        }
    }

    #[test]
    fn every_cache_returns_a_value_until_its_timeout() {
        for &who in Who::value_variants() {
            for timeouts in [false, true] {
                let store = who.open(Room { entries: Some(1000), timeouts }).unwrap();
                assert_eq!(store.get("user:1"), None, "{who}");
                let value = Bytes::from_static(b"one");
                store.set("user:1", value.clone(), timeouts.then_some(Duration::from_secs(60)));
                assert_eq!(store.get("user:1"), Some(value.clone()), "{who}");
                if timeouts {
                    store.set("user:1", value, Some(Duration::from_millis(1)));
                    std::thread::sleep(Duration::from_millis(20));
                    assert_eq!(store.get("user:1"), None, "{who}");
                }
            }
        }
    }

    #[test]
    fn every_bounded_cache_keeps_its_bound() {
        for &who in Who::value_variants().iter().filter(|&&who| who != Who::Unbounded) {
            let store = who.open(Room { entries: Some(100), timeouts: false }).unwrap();
            let keys = super::super::keys::Keys::new(10_000);
            (0..10_000).for_each(|id| store.set(keys.of(id), Bytes::new(), None));
            store.settle();
            let kept = (0..10_000).filter(|&id| store.get(keys.of(id)).is_some()).count();
            assert!((1..=110).contains(&kept), "{who}: {kept}");
        }
    }
}
