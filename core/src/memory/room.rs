//! The room of a store, which all of its shards take from, counted exactly.
//!
//! Fixed parts of a bound, one for each shard, would not work. Keys do not spread evenly, so one
//! part would be full while another has room, and no value could be larger than a part. So an entry
//! takes its room from the whole store before it is stored, and returns it after it is removed. A
//! shard's equal part only determines which shard makes room when there is no room left.
//!
//! Many shards change the counts at once, without a lock. Room is taken only if it is available, so
//! the bounds hold at any moment. Of the shards this module knows only how many there are.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::bounds::Bounds;

#[derive(Debug)]
pub(super) struct Room {
    entries: Count,
    bytes: Count,
    /// The number of shards that take from it.
    shards: usize,
}

/// A number of entries and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Footprint {
    pub(super) entries: u32,
    pub(super) bytes: u64,
}

/// How much of a quantity is taken, and how much there is.
#[derive(Debug)]
struct Count {
    taken: AtomicUsize,
    /// `usize::MAX` if there is no bound; then nothing is counted.
    most: usize,
}

impl Room {
    pub(super) fn new(bounds: Bounds, shards: usize) -> Self {
        let Bounds { max_entries, max_bytes } = bounds;
        Self { entries: Count::new(max_entries), bytes: Count::new(max_bytes), shards }
    }

    /// Takes this much room, if it is available.
    #[inline]
    pub(super) fn take(&self, load: Footprint) -> bool {
        let (entries, bytes) = load.numbers();
        if !self.entries.take(entries, self.is_alone()) {
            return false;
        }
        let taken = self.bytes.take(bytes, self.is_alone());
        if !taken {
            self.entries.give(entries, self.is_alone());
        }
        taken
    }

    /// Returns room that was taken.
    #[inline]
    pub(super) fn give(&self, load: Footprint) {
        let (entries, bytes) = load.numbers();
        self.entries.give(entries, self.is_alone());
        self.bytes.give(bytes, self.is_alone());
    }

    /// Whether this much room is available now.
    pub(super) fn has(&self, load: Footprint) -> bool {
        let (entries, bytes) = load.numbers();
        self.entries.has(entries) && self.bytes.has(bytes)
    }

    /// Whether an entry of this many bytes would fit into an empty store.
    #[inline]
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.entries.most > 0 && to_usize(bytes) <= self.bytes.most
    }

    /// Whether this many bytes are more than an eighth of the room.
    #[inline]
    pub(super) fn is_large(&self, bytes: u64) -> bool {
        self.bounds_bytes() && to_usize(bytes) > self.bytes.most / PARTS
    }

    /// The number of eighths of the room that this many bytes take, beyond the first.
    pub(super) fn further_parts(&self, bytes: u64) -> usize {
        let parts = wide(to_usize(bytes)) * wide(PARTS);
        let parts = parts.div_ceil(wide(self.bytes.most).max(1));
        usize::try_from(parts).unwrap_or(usize::MAX).saturating_sub(1)
    }

    /// Whether a value of this many bytes displaces few of the entries that are `in_use`, after all
    /// other entries were evicted for it. That is so if the displaced entries take no more than an
    /// eighth of the room, or are no more than [`FEW`] of average size.
    pub(super) fn displaces_few(&self, bytes: u64, in_use: Footprint) -> bool {
        let (entries, used) = in_use.numbers();
        let displaced = wide(used).saturating_add(wide(to_usize(bytes)));
        let displaced = displaced.saturating_sub(wide(self.bytes.most));
        displaced <= wide(self.bytes.most / PARTS)
            || displaced.saturating_mul(wide(entries)) <= wide(FEW).saturating_mul(wide(used))
    }

    /// The approximate number of entries that a shard may hold; `None` if only bytes are bounded,
    /// as it cannot be known beforehand then.
    pub(super) fn entries_of_a_shard(&self) -> Option<u32> {
        let unbounded = self.entries.most == usize::MAX;
        let part = self.entries.most / self.shards.max(1);
        let part = u32::try_from(part).unwrap_or(u32::MAX);
        (!unbounded || !self.bounds_bytes()).then_some(part)
    }

    /// The number of bytes in an equal part of the room, if bytes are bounded.
    pub(super) fn bytes_of_a_shard(&self) -> Option<u64> {
        let part = u64::try_from(self.bytes.most / self.shards.max(1)).unwrap_or(u64::MAX);
        self.bounds_bytes().then_some(part)
    }

    /// The number of bytes that are missing to make room for `load`.
    pub(super) fn lacks(&self, load: Footprint) -> u64 {
        let free = self.bytes.most.saturating_sub(self.bytes.taken.load(Ordering::Relaxed));
        load.bytes.saturating_sub(u64::try_from(free).unwrap_or(u64::MAX))
    }

    pub(super) fn bounds_bytes(&self) -> bool {
        self.bytes.most < usize::MAX
    }

    /// Whether a shard that holds `held` should make room for `more` by itself. A little less than
    /// an equal part is enough for that, so that shards rarely have to ask each other.
    pub(super) fn makes_way(&self, held: Footprint, more: Footprint) -> bool {
        self.is_alone() || self.compare(held, more, |held, part| 8 * held >= 7 * part)
    }

    /// Whether a shard that holds `held` has more than an equal part of a quantity that is short
    /// for `more`.
    pub(super) fn is_over_its_part(&self, held: Footprint, more: Footprint) -> bool {
        self.compare(held, more, |held, part| held > part)
    }

    /// Compares a shard's load with an equal part of the room, both multiplied by the number of
    /// shards, in each quantity that is short.
    fn compare(&self, held: Footprint, more: Footprint, is: impl Fn(u128, u128) -> bool) -> bool {
        let shards = wide(self.shards);
        let one = |count: &Count, held, more| {
            !count.has(more) && is(wide(held).saturating_mul(shards), wide(count.most))
        };
        let ((entries, bytes), (more_entries, more_bytes)) = (held.numbers(), more.numbers());
        one(&self.entries, entries, more_entries) || one(&self.bytes, bytes, more_bytes)
    }

    /// Whether only one shard takes from it, so that there are no concurrent changes.
    fn is_alone(&self) -> bool {
        self.shards <= 1
    }
}

impl Footprint {
    fn numbers(self) -> (usize, usize) {
        (to_usize(self.entries.into()), to_usize(self.bytes))
    }
}

impl Count {
    fn new(bound: Option<u64>) -> Self {
        Self { taken: AtomicUsize::new(0), most: bound.map_or(usize::MAX, to_usize) }
    }

    #[inline]
    fn take(&self, more: usize, alone: bool) -> bool {
        if self.most == usize::MAX || more == 0 {
            return true;
        }
        if alone {
            let sum = self.sum(self.taken.load(Ordering::Relaxed), more);
            if let Some(sum) = sum {
                self.taken.store(sum, Ordering::Relaxed);
            }
            return sum.is_some();
        }
        let sum = |taken| self.sum(taken, more);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }

    #[inline]
    fn give(&self, less: usize, alone: bool) {
        if self.most == usize::MAX || less == 0 {
            return;
        }
        if alone {
            let taken = self.taken.load(Ordering::Relaxed);
            self.taken.store(taken.saturating_sub(less), Ordering::Relaxed);
        } else {
            self.taken.fetch_sub(less, Ordering::Relaxed);
        }
    }

    fn has(&self, more: usize) -> bool {
        self.most == usize::MAX || self.sum(self.taken.load(Ordering::Relaxed), more).is_some()
    }

    fn sum(&self, taken: usize, more: usize) -> Option<usize> {
        taken.checked_add(more).filter(|sum| *sum <= self.most)
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn wide(number: usize) -> u128 {
    u128::try_from(number).unwrap_or(u128::MAX)
}

/// The room has this many parts. A value that has not proved its use may take one of them.
const PARTS: usize = 8;
/// So few entries in use may be displaced however much room they take. So a store with room for few
/// entries works like any other.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const fn load(entries: u32, bytes: u64) -> Footprint {
        Footprint { entries, bytes }
    }

    fn room(max_entries: Option<u64>, max_bytes: Option<u64>, shards: usize) -> Room {
        Room::new(Bounds { max_entries, max_bytes }, shards)
    }

    #[test]
    fn room_is_taken_to_the_last_entry_and_the_last_byte_and_given_back() {
        for shards in [1, 3] {
            let room = room(Some(2), Some(100), shards);
            assert!(room.take(load(1, 60)));
            assert!(!room.has(load(1, 41)) && !room.take(load(1, 41)));
            assert!(room.take(load(1, 40)));
            assert!(!room.take(load(1, 0)) && !room.take(load(0, 1)));
            room.give(load(1, 60));
            assert!(room.has(load(1, 60)) && room.take(load(1, 60)));
        }
    }

    #[test]
    fn an_entry_that_does_not_fit_takes_no_room() {
        let room = room(Some(1), Some(10), 2);
        assert!(!room.take(load(1, 11)));
        assert!(room.take(load(1, 10)));
    }

    #[test]
    fn without_bounds_there_is_always_room() {
        let room = room(None, None, 2);
        for _ in 0..3 {
            assert!(room.take(load(u32::MAX, u64::MAX)));
        }
        assert!(room.fits(u64::MAX) && !room.bounds_bytes());
    }

    #[test]
    fn a_value_above_an_eighth_of_the_room_is_large_and_takes_more_parts() {
        let room = room(None, Some(800), 4);
        for (bytes, parts) in [(1, 0), (100, 0), (101, 1), (200, 1), (201, 2), (701, 7), (800, 7)] {
            assert_eq!((room.is_large(bytes), room.further_parts(bytes)), (parts > 0, parts));
        }
        assert!(!super::tests::room(Some(1), None, 1).is_large(u64::MAX));
    }

    #[test]
    fn a_value_may_displace_few_entries_in_use() {
        let room = room(None, Some(8000), 4);
        assert!(room.displaces_few(4000, load(500, 5000)));
        assert!(!room.displaces_few(4001, load(500, 5000)));
        // Sixteen entries of average size.
        assert!(
            room.displaces_few(6000, load(20, 5000)) && !room.displaces_few(6000, load(27, 5000))
        );
        assert!(
            room.displaces_few(8000, load(16, 8000)) && !room.displaces_few(8000, load(17, 8000))
        );
        assert!(room.displaces_few(8000, load(0, 0)));
    }

    #[test]
    fn a_shard_makes_way_from_seven_eighths_of_its_part_of_a_short_bound() {
        let room = room(Some(80), Some(8000), 4);
        assert!(room.take(load(80, 100)));
        assert!(room.makes_way(load(18, 0), load(1, 1)));
        assert!(!room.makes_way(load(17, 8000), load(1, 1)), "bytes are not short");
        assert!(!room.is_over_its_part(load(20, 8000), load(1, 1)));
        assert!(room.is_over_its_part(load(21, 0), load(1, 1)));
    }
}
