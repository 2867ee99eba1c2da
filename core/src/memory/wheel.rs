//! Which entries have expired: a hierarchical timing wheel.
//!
//! Time is cut into ticks of a millisecond, and a tick is read as a number in base 64. A timer
//! that is due at tick `t` hangs on the level of the highest digit in which `t` differs from the
//! wheel's own time, in the slot of `t`'s digit there. So the slots of level 0 are single ticks,
//! those of level 1 are 64 ticks long, and so on; everything on a level is due before everything
//! on the next, and a slot before those with higher digits. Finding the slot that comes first is
//! two bit scans, however far away it is: empty time is never stepped through, be it years.
//!
//! The wheel's time moves only to a tick before which nothing is left. When that is the start of
//! a long slot, the slot's timers are dealt out to the levels below, one a step; a timer comes
//! down at most once a level. A slot that lies in the past as a whole is not dealt out: all that
//! hangs in it is due.
//!
//! Nothing is ever done all at once. [`Wheel::step`] moves or expires one timer and says which;
//! its caller decides how many steps an operation can afford. As long as that is no less than the
//! number of levels for each timer that it starts, the wheel keeps up. In between it lags behind,
//! and whoever reads an entry compares its deadline with the clock.
//!
//! A timer that is put off, as most are that are started anew, stays where it hangs. When its slot
//! comes it hangs where it belongs by then. So to put one off touches no timer but that one, and
//! costs no more steps later than starting one does.
//!
//! Timers hang in lists threaded through the entries, so starting and stopping one is O(1) and
//! allocates nothing. The wheel does not know what expires.

use alloc::vec::Vec;

use super::slab::Id;
use crate::planted::{self, Bug};
use crate::time::Instant;

/// What the wheel keeps of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    /// When the entry expires, to the nanosecond; [`Instant::MAX`] for never.
    pub(super) at: Instant,
    before: Before,
    after: Id,
}

impl Timer {
    /// The timer of an entry that never expires.
    pub(super) const NEVER: Self =
        Self { at: Instant::MAX, before: Before::UNHUNG, after: Id::NONE };

    fn hangs(&self) -> bool {
        self.before.0 != Before::UNHUNG.0
    }

    #[inline]
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at <= now && !planted::is(Bug::ExpiredIsSeen) && self.at != Instant::MAX
    }
}

/// Where the timers of entries are.
pub(super) trait Timers {
    fn timer(&mut self, id: Id) -> Option<&mut Timer>;
}

/// What one step of the wheel came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing is due, and nothing is left to be dealt out.
    Idle,
    /// A timer came down a level or was put off, or a slot turned out to be empty.
    Moved,
    /// This timer is due and hangs no more.
    Expired(Id),
}

#[derive(Debug)]
pub(super) struct Wheel {
    /// Every timer hangs where its difference from this tick says, but for those that are still
    /// to be dealt out. One started behind it hangs in a slot that lies in the past as a whole.
    time: u64,
    /// The level whose slot at `time` is being dealt out.
    dealing: Option<u32>,
    /// No slot that holds a timer begins before this tick.
    next: u64,
    occupied: [u64; LEVELS],
    /// What hangs first in each slot. Empty until a timer is started.
    first: Vec<Id>,
}

impl Wheel {
    pub(super) const fn new() -> Self {
        Self { time: 0, dealing: None, next: u64::MAX, occupied: [0; LEVELS], first: Vec::new() }
    }

    /// Starts or restarts a timer that is due at `at`, or never if that is [`Instant::MAX`].
    pub(super) fn start(&mut self, all: &mut impl Timers, id: Id, at: Instant) {
        let Some(timer) = all.timer(id) else { return };
        let old = core::mem::replace(&mut timer.at, at);
        if timer.hangs() {
            if old <= at {
                return;
            }
            self.unhang(all, id);
        }
        self.hang(all, id);
    }

    /// Stops a timer; it is then one that is never due.
    pub(super) fn stop(&mut self, all: &mut impl Timers, id: Id) {
        self.unhang(all, id);
        if let Some(timer) = all.timer(id) {
            timer.at = Instant::MAX;
        }
    }

    /// Notes that the entry at `id` was at another number before.
    pub(super) fn moved(&mut self, all: &mut impl Timers, id: Id) {
        let Some(&mut Timer { before, after, .. }) = all.timer(id) else { return };
        match before.place() {
            Place::Unhung => return,
            Place::Entry(other) => {
                if let Some(timer) = all.timer(other) {
                    timer.after = id;
                }
            }
            Place::Slot(index) => {
                if let Some(first) = self.first.get_mut(to_usize(index)) {
                    *first = id;
                }
            }
        }
        if let Some(timer) = all.timer(after) {
            timer.before = Before::entry(id);
        }
    }

    /// Does one step of the work that there is up to `now`.
    #[inline]
    pub(super) fn step(&mut self, all: &mut impl Timers, now: Instant) -> Step {
        let now = tick_before(now);
        if now < self.next {
            self.time = self.time.max(now);
            return Step::Idle;
        }
        self.work(all, now)
    }

    fn work(&mut self, all: &mut impl Timers, now: u64) -> Step {
        if let Some(level) = self.dealing {
            return self.deal(all, level, now);
        }
        let Some(slot) = self.earliest() else {
            self.time = self.time.max(now);
            self.next = u64::MAX;
            return Step::Idle;
        };
        if slot.start > now {
            self.time = self.time.max(now);
            self.next = slot.start;
            Step::Idle
        } else if slot.last <= now {
            self.next = slot.start;
            self.take_first(all, slot.index, now).unwrap_or(Step::Moved)
        } else {
            self.time = slot.start;
            self.next = slot.start;
            self.dealing = Some(slot.level);
            self.deal(all, slot.level, now)
        }
    }

    /// When [`step`](Self::step) will next have work, at the earliest.
    pub(super) fn next(&self) -> Option<Instant> {
        let at = Instant::from_millis(self.next);
        (at != Instant::MAX).then_some(at)
    }

    fn deal(&mut self, all: &mut impl Timers, level: u32, now: u64) -> Step {
        let index = slot_index(level, digit(self.time, level));
        self.take_first(all, index, now).unwrap_or_else(|| {
            self.dealing = None;
            Step::Moved
        })
    }

    /// Takes the first timer from a slot: it expires, or hangs elsewhere. `None` if there is none.
    fn take_first(&mut self, all: &mut impl Timers, index: u32, now: u64) -> Option<Step> {
        let id = self.first.get(to_usize(index)).copied()?;
        let due = tick_after(all.timer(id)?.at);
        self.unhang(all, id);
        if due <= now {
            return Some(Step::Expired(id));
        }
        self.hang(all, id);
        Some(Step::Moved)
    }

    /// The slot that comes first. Not asked while one is being dealt out, which would be missed.
    fn earliest(&self) -> Option<Slot> {
        let (level, slots) = (0..).zip(&self.occupied).find(|(_, slots)| **slots != 0)?;
        let digit = slots.trailing_zeros();
        let below = level * BITS;
        let above = below + BITS;
        let start = (self.time >> above << above) | (u64::from(digit) << below);
        Some(Slot { level, index: slot_index(level, digit), start, last: start | !(!0 << below) })
    }

    /// Hangs a timer where it belongs: nowhere if it is never due.
    fn hang(&mut self, all: &mut impl Timers, id: Id) {
        let at = all.timer(id).map_or(Instant::MAX, |timer| timer.at);
        if at == Instant::MAX {
            return;
        }
        let due = tick_after(at);
        let highest = (due ^ self.time).checked_ilog2().unwrap_or(0);
        let level = highest / BITS;
        let index = slot_index(level, digit(due, level));
        if planted::is(Bug::SlotSkipped) && matches!(digit(due, level), 9) {
            return;
        }
        if self.first.is_empty() {
            self.first.resize(LEVELS * SLOTS, Id::NONE);
        }
        let Some(first) = self.first.get_mut(to_usize(index)) else { return };
        let after = core::mem::replace(first, id);
        if let Some(timer) = all.timer(id) {
            timer.before = Before::slot(index);
            timer.after = after;
        }
        if let Some(timer) = all.timer(after) {
            timer.before = Before::entry(id);
        }
        if let Some(slots) = self.occupied.get_mut(to_usize(level)) {
            *slots |= 1 << digit(due, level);
        }
        let below = level * BITS;
        self.next = self.next.min(due >> below << below);
    }

    fn unhang(&mut self, all: &mut impl Timers, id: Id) {
        let Some(timer) = all.timer(id) else { return };
        let before = core::mem::replace(&mut timer.before, Before::UNHUNG);
        let after = core::mem::replace(&mut timer.after, Id::NONE);
        match before.place() {
            Place::Unhung => return,
            Place::Entry(other) => {
                if let Some(timer) = all.timer(other) {
                    timer.after = after;
                }
            }
            Place::Slot(index) => {
                if let Some(first) = self.first.get_mut(to_usize(index)) {
                    *first = after;
                }
                if after == Id::NONE
                    && let Some(slots) = self.occupied.get_mut(to_usize(index >> BITS))
                {
                    *slots &= !(1 << (index & DIGIT));
                }
            }
        }
        if let Some(timer) = all.timer(after) {
            timer.before = before;
        }
    }
}

struct Slot {
    level: u32,
    index: u32,
    start: u64,
    last: u64,
}

/// What stands before a timer in its list, packed: another entry, or the slot itself if it is the
/// first. With the slot known from there, no timer needs to remember where it hangs.
#[derive(Clone, Copy, Debug)]
struct Before(u32);

enum Place {
    Unhung,
    Entry(Id),
    Slot(u32),
}

impl Before {
    const UNHUNG: Self = Self(u32::MAX);

    fn entry(id: Id) -> Self {
        Self(id.number())
    }

    fn slot(index: u32) -> Self {
        Self(Id::LIMIT | index)
    }

    fn place(self) -> Place {
        match self.0.checked_sub(Id::LIMIT) {
            None => Place::Entry(Id::new(self.0)),
            Some(_) if self.0 == u32::MAX => Place::Unhung,
            Some(index) => Place::Slot(index),
        }
    }
}

/// The first tick at which all of `at` has passed.
fn tick_after(at: Instant) -> u64 {
    at.as_nanos().div_ceil(NANOS_PER_TICK)
}

/// The last tick that begins no later than `now`.
fn tick_before(now: Instant) -> u64 {
    now.as_nanos() / NANOS_PER_TICK
}

fn digit(tick: u64, level: u32) -> u32 {
    // Cut to six bits, it fits.
    ((tick >> (level * BITS)) as u32) & DIGIT
}

fn slot_index(level: u32, digit: u32) -> u32 {
    (level << BITS) | digit
}

fn to_usize(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

const NANOS_PER_TICK: u64 = 1_000_000;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const DIGIT: u32 = (1 << BITS) - 1;
/// Enough for every tick of an [`Instant`]: 2^64 nanoseconds are some 2^44.1 ticks.
const LEVELS: usize = 8;

#[cfg(test)]
mod tests;
