//! The coming events and their times: the simulation's only source of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use async_caches::runtime::Instant;

use crate::turns::Turn;

/// Coming events in order of time. Events of the same time keep the order in which they were noted.
#[derive(Default)]
pub(crate) struct Agenda {
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    noted: u64,
    alarms: Vec<Alarm>,
    free: Vec<usize>,
}

/// An event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Event {
    /// An alarm rings.
    Alarm(usize),
    /// A dial ends, in success or not.
    Dialled(usize),
    /// Bytes of a client arrive at the server, up to this position in the stream.
    Delivered(usize, u64),
    /// Bytes of the server arrive at a client, up to this position in the stream.
    Arrived(usize, u64),
    /// A line is cut.
    Cut(usize),
    /// The server continues after a pause.
    Resumed,
    /// The server sends a push on a line.
    Pushed(usize),
    /// A strike hits the server or the clocks.
    Struck(usize),
    /// An event of the cluster happens.
    Turned(Turn),
    /// An operation must have ended by this time.
    Due { op: usize, at: Instant },
    /// A race of addresses must have ended by this time.
    Raced { race: usize, at: Instant },
    /// A pool that lost a line must have dialled again by this time.
    Redial { pool: usize, events: usize, at: Instant },
}

#[derive(Default)]
struct Alarm {
    at: Option<Instant>,
    waker: Option<Waker>,
}

impl Agenda {
    /// Notes a coming event.
    pub(crate) fn note(&mut self, at: Instant, event: Event) {
        self.noted += 1;
        self.events.push(Reverse((at, self.noted, event)));
    }

    /// Takes the next event.
    pub(crate) fn next(&mut self) -> Option<(Instant, Event)> {
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }

    /// The time of the next event.
    pub(crate) fn peek(&self) -> Option<Instant> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// A new alarm, not set yet.
    pub(crate) fn alarm(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.alarms.push(Alarm::default());
            self.alarms.len() - 1
        })
    }

    /// Sets an alarm to this time, and to no other.
    pub(crate) fn set(&mut self, id: usize, at: Option<Instant>, waker: &Waker, late: u64) {
        let alarm = &mut self.alarms[id];
        match &mut alarm.waker {
            Some(kept) => kept.clone_from(waker),
            kept @ None => *kept = Some(waker.clone()),
        }
        if alarm.at != at {
            alarm.at = at;
            if let Some(at) = at.filter(|at| *at < Instant::MAX) {
                let rings = Instant::from_nanos(at.as_nanos() + late);
                self.note(rings, Event::Alarm(id));
            }
        }
    }

    /// Releases an alarm that is not needed any more.
    pub(crate) fn release(&mut self, id: usize) {
        self.alarms[id] = Alarm::default();
        self.free.push(id);
    }

    /// Rings an alarm, if it is still set.
    pub(crate) fn ring(&mut self, id: usize, now: Instant) {
        let alarm = &mut self.alarms[id];
        if alarm.at.is_some_and(|at| at <= now)
            && let Some(waker) = alarm.waker.take()
        {
            alarm.at = None;
            waker.wake();
        }
    }
}
