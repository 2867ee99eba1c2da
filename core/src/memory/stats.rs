//! Counts of what a store has done and of what it holds.
//!
//! Lookups change nothing in a shard, and are counted by the code that runs them. All other counts
//! change while a shard is lent to one writer. Every entry that was inserted is still stored or was
//! removed for one reason: `insertions = entries + evicted + expired + removed`, in each shard at
//! any time.

use core::ops::Add;

use crate::reply::Reply;

/// What an in-memory store has done since it was made, and what it holds now.
///
/// Shards are read one after another, so the counts of a store in use belong to slightly different
/// moments.
///
/// ```
/// use async_caches_core::memory::Stats;
///
/// let mut one = Stats::default();
/// (one.hits, one.entries) = (3, 2);
/// let sum = one + one;
/// assert_eq!((sum.hits, sum.entries, sum.misses), (6, 4, 0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Lookups that found a value. In a lookup of many keys each key counts. Asking whether a key
    /// exists, or for its remaining time, does not count.
    pub hits: u64,
    /// Lookups that found no value, or an expired one.
    pub misses: u64,
    /// Entries that were stored under a key without an entry. Replacing a value does not count.
    pub insertions: u64,
    /// Entries that were removed for lack of room, or because a value for their key was refused as
    /// too large.
    pub evicted: u64,
    /// Entries that were removed because their timeout had passed. An expired entry is counted when
    /// its memory is reclaimed.
    pub expired: u64,
    /// Entries that were deleted or cleared.
    pub removed: u64,
    /// Values that were not stored because there is no room for them: a value may be larger than
    /// the bound by itself, or take more than an eighth of it without being worth the entries in
    /// use that it would displace (see [`Bounds::max_bytes`](super::Bounds::max_bytes)).
    pub refused: u64,
    /// The number of entries, including expired ones whose memory is not yet reclaimed.
    pub entries: u64,
    /// The number of bytes they count: keys, values and [`ENTRY_OVERHEAD`](super::ENTRY_OVERHEAD).
    pub bytes: u64,
}

/// Adds the counts of stores that are parts of one.
impl Add for Stats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits.wrapping_add(other.hits),
            misses: self.misses.wrapping_add(other.misses),
            insertions: self.insertions.wrapping_add(other.insertions),
            evicted: self.evicted.wrapping_add(other.evicted),
            expired: self.expired.wrapping_add(other.expired),
            removed: self.removed.wrapping_add(other.removed),
            refused: self.refused.wrapping_add(other.refused),
            entries: self.entries.wrapping_add(other.entries),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }
}

/// Why an entry is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    Evicted,
    Expired,
    Removed,
}

/// The numbers of lookups that found a value, and that found no value. They are kept by the code
/// that runs lookups, because it knows its threads and how they best count together.
///
/// ```
/// use async_caches_core::memory::Lookups;
/// use async_caches_core::reply::Reply;
/// use bytes::Bytes;
///
/// let values = vec![Some(Bytes::from("1")), None, None];
/// assert_eq!(Lookups::of(&Reply::Values(values)), Lookups { hits: 1, misses: 2 });
/// assert_eq!(Lookups::of(&Reply::Flag(true)), Lookups::default()); // no lookup
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lookups {
    /// See [`Stats::hits`].
    pub hits: u64,
    /// See [`Stats::misses`].
    pub misses: u64,
}

/// The insertions and removals of one shard.
#[derive(Debug, Default)]
pub(super) struct Changes {
    insertions: u64,
    evicted: u64,
    expired: u64,
    removed: u64,
    refused: u64,
}

impl Lookups {
    /// A lookup of one value.
    #[inline]
    #[must_use]
    pub fn one<T>(found: Option<&T>) -> Self {
        Self { hits: u64::from(found.is_some()), misses: u64::from(found.is_none()) }
    }

    /// The lookups that a reply belongs to.
    #[must_use]
    pub fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Value(value) => Self::one(value.as_ref()),
            Reply::Values(values) => values.iter().fold(Self::default(), |sum, value| {
                let Self { hits, misses } = Self::one(value.as_ref());
                Self { hits: sum.hits + hits, misses: sum.misses + misses }
            }),
            Reply::Done
            | Reply::Flag(_)
            | Reply::Count(_)
            | Reply::Number(_)
            | Reply::Remaining(_)
            | Reply::Scanned { .. }
            | Reply::Topology(_) => Self::default(),
        }
    }

    pub(super) fn stats(self) -> Stats {
        let Self { hits, misses } = self;
        Stats { hits, misses, ..Stats::default() }
    }
}

impl Changes {
    pub(super) fn came(&mut self) {
        self.insertions = self.insertions.wrapping_add(1);
    }

    pub(super) fn went(&mut self, entries: u64, cause: Cause) {
        let count = match cause {
            Cause::Evicted => &mut self.evicted,
            Cause::Expired => &mut self.expired,
            Cause::Removed => &mut self.removed,
        };
        *count = count.wrapping_add(entries);
    }

    pub(super) fn refused(&mut self) {
        self.refused = self.refused.wrapping_add(1);
    }

    pub(super) fn stats(&self) -> Stats {
        let Self { insertions, evicted, expired, removed, refused } = *self;
        Stats { insertions, evicted, expired, removed, refused, ..Stats::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn each_value_that_was_looked_up_is_a_hit_or_a_miss() {
        let value = || Some(Bytes::new());
        for (reply, hits, misses) in [
            (Reply::Value(value()), 1, 0),
            (Reply::Value(None), 0, 1),
            (Reply::Values(vec![value(), None, value(), None, value()]), 3, 2),
            (Reply::Values(vec![]), 0, 0),
            (Reply::Flag(true), 0, 0),
            (Reply::Done, 0, 0),
        ] {
            let lookups = Lookups::of(&reply);
            assert_eq!(lookups, Lookups { hits, misses }, "{reply:?}");
            assert_eq!(lookups.stats(), Stats { hits, misses, ..Stats::default() });
        }
    }
}
