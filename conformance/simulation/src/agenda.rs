//! What will happen, and when: the simulation's only source of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use async_caches::runtime::Instant;

use crate::turns::Turn;

/// What is to happen, in order of time; of the same time, in the order in which it was noted.
#[derive(Default)]
pub(crate) struct Agenda {
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    noted: u64,
    alarms: Vec<Alarm>,
    free: Vec<usize>,
}

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Event {
    /// An alarm rings.
    Alarm(usize),
    /// A dial comes to what it comes to.
    Dialled(usize),
    /// Bytes of a client arrive at the server, up to this place of the stream.
    Delivered(usize, u64),
    /// Bytes of the server arrive at a client, up to this place of the stream.
    Arrived(usize, u64),
    /// A line is cut.
    Cut(usize),
    /// The server goes on after a pause.
    Resumed,
    /// A push is said on a line.
    Pushed(usize),
    /// Something happens to the server, or to the clocks.
    Struck(usize),
    /// Something happens to the cluster.
    Turned(Turn),
    /// An operation should be over at this time.
    Due { op: usize, at: Instant },
    /// A race of addresses should be over.
    Raced { race: usize, at: Instant },
    /// A pool that lost a link should have dialled again.
    Redial { pool: usize, events: usize, at: Instant },
}

#[derive(Default)]
struct Alarm {
    at: Option<Instant>,
    waker: Option<Waker>,
}

impl Agenda {
    /// Notes what is to happen.
    pub(crate) fn note(&mut self, at: Instant, event: Event) {
        self.noted += 1;
        self.events.push(Reverse((at, self.noted, event)));
    }

    /// Takes off what happens first.
    pub(crate) fn next(&mut self) -> Option<(Instant, Event)> {
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }

    /// When something happens next.
    pub(crate) fn peek(&self) -> Option<Instant> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// A new alarm, which is not set.
    pub(crate) fn alarm(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.alarms.push(Alarm::default());
            self.alarms.len() - 1
        })
    }

    /// Sets an alarm to wake at this time, and no other.
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

    /// An alarm is not needed any more.
    pub(crate) fn release(&mut self, id: usize) {
        self.alarms[id] = Alarm::default();
        self.free.push(id);
    }

    /// An alarm rings, if that is still wanted.
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
