//! The seats of one flight: a slab with a queue through it. Taking a seat, leaving it and finding
//! the first one have a constant cost, however many are taken.

use alloc::vec::Vec;

use crate::time::Instant;

/// One follower's slot in a flight.
///
/// The example of [`Flights`](super::Flights) takes one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seat {
    index: u32,
    /// How often this slot of the slab was used before.
    generation: u32,
}

/// The taken seats of one flight, in the order in which they were taken.
#[derive(Debug)]
pub(super) struct Seats<W> {
    slots: Vec<SeatSlot<W>>,
    free: Vec<u32>,
    first: Option<u32>,
    last: Option<u32>,
    taken: usize,
}

/// The data that a flight keeps for one follower.
#[derive(Debug)]
pub(super) struct Sitting<W> {
    /// Wakes the follower; absent before its first poll and after it was woken.
    pub(super) handle: Option<W>,
    /// When the follower stops waiting.
    pub(super) until: Instant,
    /// Whether `until` is in the flight table's set of deadlines.
    pub(super) timed: bool,
}

#[derive(Debug)]
struct SeatSlot<W> {
    generation: u32,
    before: Option<u32>,
    after: Option<u32>,
    sitting: Option<Sitting<W>>,
}

impl<W> Seats<W> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), first: None, last: None, taken: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// The seat that was taken longest ago.
    pub(super) fn first(&self) -> Option<Seat> {
        self.seat_at(self.first?)
    }

    /// Takes a seat behind all others.
    pub(super) fn take(&mut self, until: Instant) -> Seat {
        let sitting = Some(Sitting { handle: None, until, timed: false });
        let before = self.last;
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(slot) = self.slot(index) {
                    slot.before = before;
                    slot.sitting = sitting;
                }
                index
            }
            None => {
                let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.push(SeatSlot { generation: 0, before, after: None, sitting });
                index
            }
        };
        match before.and_then(|last| self.slot(last)) {
            Some(last) => last.after = Some(index),
            None => self.first = Some(index),
        }
        self.last = Some(index);
        self.taken += 1;
        let generation = self.slot(index).map_or(0, |slot| slot.generation);
        Seat { index, generation }
    }

    /// The data of a seat, if it is still taken.
    pub(super) fn get(&mut self, seat: Seat) -> Option<&mut Sitting<W>> {
        let slot = self.slot(seat.index)?;
        slot.sitting.as_mut().filter(|_| slot.generation == seat.generation)
    }

    /// Frees a seat, and returns its data.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<Sitting<W>> {
        self.get(seat)?;
        let slot = self.slot(seat.index)?;
        slot.generation = slot.generation.wrapping_add(1);
        let sitting = slot.sitting.take();
        let (before, after) = (slot.before.take(), slot.after.take());
        match before.and_then(|before| self.slot(before)) {
            Some(before) => before.after = after,
            None => self.first = after,
        }
        match after.and_then(|after| self.slot(after)) {
            Some(after) => after.before = before,
            None => self.last = before,
        }
        self.free.push(seat.index);
        self.taken -= 1;
        sitting
    }

    /// The data of each taken seat.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Sitting<W>> {
        self.slots.iter_mut().filter_map(|slot| slot.sitting.as_mut())
    }

    fn seat_at(&self, index: u32) -> Option<Seat> {
        let generation = self.slots.get(usize::try_from(index).ok()?)?.generation;
        Some(Seat { index, generation })
    }

    fn slot(&mut self, index: u32) -> Option<&mut SeatSlot<W>> {
        self.slots.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn order(seats: &mut Seats<u32>) -> Vec<Seat> {
        let mut order = vec![];
        while let Some(first) = seats.first() {
            order.push(first);
            seats.leave(first);
        }
        order
    }

    #[test]
    fn leaving_a_seat_keeps_the_order_of_the_others() {
        let mut seats = Seats::new();
        let all: Vec<Seat> = (0..6).map(|_| seats.take(Instant::MAX)).collect();
        for gone in [0, 3, 5] {
            assert!(seats.leave(all[gone]).is_some());
            assert!(seats.leave(all[gone]).is_none(), "it was left before");
        }
        let again = seats.take(Instant::MAX);
        assert!(!all.contains(&again), "a slot that is used again is another seat");
        assert_eq!(order(&mut seats), [all[1], all[2], all[4], again]);
        assert!(seats.is_empty() && seats.last.is_none());
        assert_eq!(seats.slots.len(), 6, "slots are used again");
    }
}
