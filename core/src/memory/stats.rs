//! What a store has done and what it holds, in numbers.
//!
//! Lookups change nothing in a shard, and are counted by whoever runs them. All other counts change
//! while a shard is lent out to one. Every entry that came is still there or left for one reason:
//! `insertions = entries + evicted + expired + removed`, in each shard at any time.

use core::ops::Add;

use crate::reply::Reply;

/// What an in-memory store has done since it was made, and what it holds now.
///
/// Shards are looked at one after another, so numbers of a store in use are of slightly different
/// moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Lookups of a value that found one. Each key of a lookup of many counts; asking whether a
    /// key is there, or for how long, does not.
    pub hits: u64,
    /// Lookups of a value that found none, or one that had expired.
    pub misses: u64,
    /// Entries that were stored where none was. A value in the place of another is none.
    pub insertions: u64,
    /// Entries that went for a lack of room, or because a value for their key was refused as too
    /// large.
    pub evicted: u64,
    /// Entries that went because their timeout had passed. An expired entry is counted when its
    /// memory is taken back.
    pub expired: u64,
    /// Entries that were deleted or cleared.
    pub removed: u64,
    /// Values that were not stored because there is no room for them: as each alone is larger than the
    /// bound, or as it takes more than an eighth of it and is not worth the entries in use that it would
    /// displace (see [`Bounds::max_bytes`](super::Bounds::max_bytes)).
    pub refused: u64,
    /// How many entries there are, among them those that have expired and still take memory.
    pub entries: u64,
    /// How many bytes they count: keys, values and [`ENTRY_OVERHEAD`](super::ENTRY_OVERHEAD).
    pub bytes: u64,
}

/// The two added up, for stores that are parts of one.
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

/// Why an entry goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    Evicted,
    Expired,
    Removed,
}

/// How many lookups of a value found one, and how many did not. To be kept by whoever runs them, who
/// knows which threads there are, and how they best count together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lookups {
    /// See [`Stats::hits`].
    pub hits: u64,
    /// See [`Stats::misses`].
    pub misses: u64,
}

/// The comings and goings in one shard.
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

    /// The lookups that a reply answers.
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
