//! The share of the room that the small queue gets, learnt from the keys that come back.
//!
//! A key that comes back after it was evicted from the small queue shows how long that queue should
//! be. If it was away only *briefly*, a slightly longer small queue would have kept it. If it was
//! away for *long*, only the main queue could have. The first kind of return lengthens the small
//! queue, and the second shortens it. Few keys can return briefly and many after long, so a brief
//! return counts as much as eight long ones. Once the small queue has a fifth of the room, where
//! each lost entry costs the main queue more, it counts as much as four.
//!
//! A longer small queue must also prove useful. In a loop slightly longer than the room, all keys
//! return briefly however long the small queue is, because the main queue loses what the small
//! queue gets. So each brief return uses up a credit. A credit is earned by an entry that was used
//! in the small queue and passed on to the main queue. Without a credit, a brief return counts a
//! little towards a shorter queue.
//!
//! The more entries there are, the smaller the steps: a quarter as many returns as there are
//! entries can undo what was learnt, in either direction. With few entries the returns are mostly
//! chance, so the share keeps its initial value, the tenth that S3-FIFO gives.
//!
//! The idea that ghosts show which queue is too short comes from Megiddo and Modha, "ARC" (FAST
//! 2003). The constants were found on recorded and generated traces; the result is not sensitive to
//! them.

use super::ghosts::Absence;

#[derive(Clone, Debug)]
pub(super) struct QueueShare {
    /// A fraction of [`WHOLE`].
    parts: u32,
    credit: u8,
}

impl QueueShare {
    pub(super) const fn new() -> Self {
        Self { parts: FIRST, credit: 0 }
    }

    /// Whether a small queue of this weight has reached its share of the total.
    #[inline]
    pub(super) fn is_reached(&self, small: u64, total: u64) -> bool {
        u128::from(small) * u128::from(WHOLE) >= u128::from(total) * u128::from(self.parts)
    }

    /// Notes that an entry was used in the small queue, and passed on to the main queue.
    pub(super) fn earn(&mut self) {
        self.credit = MOST_CREDIT.min(self.credit + 1);
    }

    /// Notes that a key came back, with this number of entries in the store.
    pub(super) fn learn(&mut self, absence: Absence, entries: u32) {
        if entries < FEWEST_ENTRIES {
            return;
        }
        let unit = (WHOLE / 2 / entries.max(FEWEST_STEPS)).max(1);
        match absence {
            Absence::Brief if self.credit > 0 => {
                self.credit -= 1;
                let units = if self.parts < KNEE { BRIEF } else { BRIEF_PAST_KNEE };
                self.parts = MOST.min(self.parts.saturating_add(unit.saturating_mul(units)));
            }
            Absence::Brief => self.shorten(unit),
            Absence::Long => self.shorten(unit.saturating_mul(LONG)),
        }
    }

    fn shorten(&mut self, by: u32) {
        self.parts = LEAST.max(self.parts.saturating_sub(by));
    }
}

const WHOLE: u32 = 1 << 24;
const FIRST: u32 = WHOLE / 10;
const LEAST: u32 = WHOLE / 128;
const MOST: u32 = WHOLE / 2;
const KNEE: u32 = WHOLE / 5;
/// The units that a return counts; a brief return without a credit counts one.
const BRIEF: u32 = 32;
const BRIEF_PAST_KNEE: u32 = 16;
const LONG: u32 = 4;
const MOST_CREDIT: u8 = 8;
/// With fewer entries, nothing is learnt.
const FEWEST_ENTRIES: u32 = 64;
/// However few entries there are, the share does not move faster than with this many.
const FEWEST_STEPS: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(
        absences: impl IntoIterator<Item = Absence>,
        entries: u32,
        credit: bool,
    ) -> QueueShare {
        let mut share = QueueShare::new();
        for absence in absences {
            if credit {
                share.earn();
            }
            share.learn(absence, entries);
        }
        share
    }

    #[test]
    fn the_small_queue_begins_with_a_tenth() {
        assert!(QueueShare::new().is_reached(10, 100) && !QueueShare::new().is_reached(9, 100));
        assert!(QueueShare::new().is_reached(u64::MAX / 10 + 1, u64::MAX));
        assert!(!QueueShare::new().is_reached(u64::MAX / 11, u64::MAX));
    }

    #[test]
    fn long_absences_of_a_tenth_of_the_entries_shrink_the_queue_to_its_minimum() {
        let share = learnt([Absence::Long; 1000], 10_000, false);
        assert_eq!(share.parts, LEAST);
    }

    #[test]
    fn brief_absences_grow_the_queue_to_its_maximum_while_it_pays() {
        assert_eq!(learnt([Absence::Brief; 1000], 10_000, true).parts, MOST);
        assert!(learnt([Absence::Brief; 1000], 10_000, false).parts < FIRST);
    }

    /// The share after many returns, one in `one_in` of which is brief.
    fn settled(one_in: usize) -> u32 {
        let returns = [Absence::Long; 20].into_iter().take(one_in - 1).chain([Absence::Brief]);
        learnt(returns.cycle().take(20_000), 10_000, true).parts
    }

    #[test]
    fn the_queue_keeps_its_size_if_one_return_in_nine_is_brief() {
        assert!(settled(9).abs_diff(FIRST) < WHOLE / 100);
        assert!(settled(10) < FIRST / 2);
    }

    #[test]
    fn past_a_fifth_the_queue_grows_only_if_one_return_in_five_is_brief() {
        assert!(settled(8).abs_diff(KNEE) < WHOLE / 100);
        assert!(settled(6).abs_diff(KNEE) < WHOLE / 100);
        assert!(settled(4) > MOST - WHOLE / 100);
    }

    #[test]
    fn from_a_fifth_on_a_brief_return_counts_for_half_as_much() {
        for (parts, units) in [(KNEE - 1, BRIEF), (KNEE, BRIEF_PAST_KNEE)] {
            let mut share = QueueShare { parts, credit: 1 };
            share.learn(Absence::Brief, 10_000);
            assert_eq!(share.parts - parts, units * (WHOLE / 2 / 10_000));
        }
    }

    #[test]
    fn credit_is_not_hoarded() {
        let mut share = QueueShare::new();
        (0..1000).for_each(|_| share.earn());
        (0..8).for_each(|_| share.learn(Absence::Brief, 10_000));
        let high = share.parts;
        share.learn(Absence::Brief, 10_000);
        assert!(high > FIRST && share.parts < high);
    }

    #[test]
    fn nothing_is_learnt_among_few_entries_but_something_among_very_many() {
        assert_eq!(learnt([Absence::Long; 1000], 63, false).parts, FIRST);
        assert!(learnt([Absence::Long], u32::MAX, false).parts < FIRST);
        let small_steps = [64, 256].map(|entries| learnt([Absence::Long], entries, false).parts);
        assert!(small_steps[0] == small_steps[1] && small_steps[0] > FIRST - WHOLE / 100);
    }
}
