//! Finds the entries that have expired: a hierarchical timing wheel.
//!
//! Time is divided into ticks of a millisecond, and a tick is read as a number in base 64. A timer
//! that is due at tick `t` is kept on the level of the highest digit in which `t` differs from the
//! wheel's own time, in the slot of `t`'s digit there. So the slots of level 0 are single ticks,
//! those of level 1 are 64 ticks long, and so on. All that is due later than the wheel's time is in
//! order: everything on a level is due before everything on the next level, and a slot is due
//! before those with higher digits. Finding the first slot takes two bit scans, however far away it
//! is: the wheel never steps through empty time, even if that is years.
//!
//! The wheel's time only moves to a tick before which nothing is left. If that is the start of a
//! long slot, the slot's timers are distributed over the levels below, one per step. A timer moves
//! down at most once per level. A slot that lies entirely in the past is not distributed: all
//! timers in it are due.
//!
//! No work is ever done all at once. [`Wheel::step`] moves or expires one timer and returns which;
//! its caller decides how many steps an operation can afford. The wheel keeps up if that is at
//! least the number of levels for each timer that the operation starts. Meanwhile the wheel may lag
//! behind, so code that reads an entry compares its deadline with the clock.
//!
//! Most timers that are restarted are postponed. A postponed timer stays in its slot, and moves to
//! the right one when the time of that slot comes. So postponing a timer touches no other timer,
//! and costs no more steps later than starting one.
//!
//! The lists of timers are threaded through the entries, so starting and stopping one is O(1) and
//! allocates nothing. The wheel does not know what expires.

use alloc::vec::Vec;

use super::slab::Id;
use crate::time::Instant;

/// The data that the wheel keeps in an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    /// The time at which the entry expires, to the nanosecond; [`Instant::MAX`] means never.
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
        self.at <= now && self.at != Instant::MAX
    }
}

/// Gives access to the timers of entries.
pub(super) trait Timers {
    fn timer(&mut self, id: Id) -> Option<&mut Timer>;
}

/// The result of one step of the wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// No timer is due, and there is nothing left to distribute.
    Idle,
    /// A timer moved down a level or was postponed, or a slot turned out to be empty.
    Moved,
    /// This timer is due, and was removed from the wheel.
    Expired(Id),
}

#[derive(Debug)]
pub(super) struct Wheel {
    /// Every timer is in the slot given by its difference from this tick, except those that are
    /// still to be distributed or were postponed. A timer that is started with a deadline before
    /// this tick is in this tick's own slot.
    time: u64,
    /// The level whose slot at `time` is being distributed.
    dealing: Option<u32>,
    /// No slot that holds a timer begins before this tick.
    next: u64,
    occupied: [u64; LEVELS],
    /// The first timer of each slot. Empty until a timer is started.
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

    /// Stops a timer, which is then never due.
    pub(super) fn stop(&mut self, all: &mut impl Timers, id: Id) {
        self.unhang(all, id);
        if let Some(timer) = all.timer(id) {
            timer.at = Instant::MAX;
        }
    }

    /// Updates the lists after the entry that is now at `id` was given that number.
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

    /// Does one step of the work that is due by `now`.
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

    /// The earliest time at which [`step`](Self::step) will have work.
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

    /// Takes the first timer out of a slot, and expires it or moves it. `None` if the slot is
    /// empty.
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

    /// The slot that comes first. Not called while a slot is being distributed, as it would miss
    /// that one.
    fn earliest(&self) -> Option<WheelSlot> {
        let (level, slots) = (0..).zip(&self.occupied).find(|(_, slots)| **slots != 0)?;
        let digit = slots.trailing_zeros();
        let below = level * BITS;
        let above = below + BITS;
        let start = (self.time >> above << above) | (u64::from(digit) << below);
        Some(WheelSlot {
            level,
            index: slot_index(level, digit),
            start,
            last: start | !(!0 << below),
        })
    }

    /// Puts a timer into its slot; a timer that is never due gets no slot.
    fn hang(&mut self, all: &mut impl Timers, id: Id) {
        let at = all.timer(id).map_or(Instant::MAX, |timer| timer.at);
        if at == Instant::MAX {
            return;
        }
        // A slot before the wheel's time would be on a level above those of timers that are due
        // later, which come first.
        let due = tick_after(at).max(self.time);
        let highest = (due ^ self.time).checked_ilog2().unwrap_or(0);
        let level = highest / BITS;
        let index = slot_index(level, digit(due, level));
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

struct WheelSlot {
    level: u32,
    index: u32,
    start: u64,
    last: u64,
}

/// What precedes a timer in its list, packed: another entry, or the slot itself for the first
/// timer. As the slot can be found this way, no timer needs to remember its slot.
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

/// The first tick at or after `at`.
fn tick_after(at: Instant) -> u64 {
    at.as_nanos().div_ceil(NANOS_PER_TICK)
}

/// The last tick that begins no later than `now`.
fn tick_before(now: Instant) -> u64 {
    now.as_nanos() / NANOS_PER_TICK
}

fn digit(tick: u64, level: u32) -> u32 {
    // The value fits, as it is cut to six bits.
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
