//! How much a store may hold, and how many shards that takes.

/// How much a store may hold. Beyond that, it evicts the entries that its policy chooses.
///
/// ```
/// use async_caches_core::memory::{Bounds, new_shards};
///
/// let bounds = Bounds { max_entries: Some(1_000), max_bytes: None };
/// assert_eq!(new_shards(bounds).len(), 1); // a small store has few shards
/// assert!(new_shards(Bounds::default()).len() > 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// The most entries; `None` means no bound.
    pub max_entries: Option<u64>,
    /// The most bytes, counting each entry's key, its value and
    /// [`ENTRY_OVERHEAD`](super::ENTRY_OVERHEAD); `None` means no bound.
    ///
    /// An entry that alone is larger is refused: it is not stored, and a set removes the old value
    /// of its key. An entry of more than an eighth of the bound is also refused if it would
    /// displace too many entries that were requested lately: more than sixteen, which take more
    /// than an eighth of the bound. Entries that were not requested lately do not count. It is
    /// stored once its key was looked up in vain as often as the entry takes eighths beyond the
    /// first.
    pub max_bytes: Option<u64>,
}

impl Bounds {
    /// The number of shards of a store with these bounds.
    pub(super) fn shards(self) -> usize {
        let room = |bound: Option<u64>, fewest: u64| {
            bound.map_or(MOST_SHARDS, |bound| usize::try_from(bound / fewest).unwrap_or(usize::MAX))
        };
        let by_entries = room(self.max_entries, FEWEST_ENTRIES);
        let by_bytes = room(self.max_bytes, FEWEST_BYTES);
        MOST_SHARDS.min(by_entries).min(by_bytes).max(1)
    }
}

/// More than the threads that write at the same time on most machines.
pub(super) const MOST_SHARDS: usize = 32;
/// If there are several shards, each has at least this part of the bounds.
const FEWEST_ENTRIES: u64 = 8192;
const FEWEST_BYTES: u64 = 16 << 20;
