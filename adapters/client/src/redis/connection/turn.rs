//! The driver's side of a connection: its turn, and how a connection ends.

use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use async_caches_core::connection::{Connection, Event, ServerInfo, Tag};
use async_caches_core::reply::Reply;
use async_caches_core::resp::output::Output;
use async_caches_core::time::{Deadline, Instant};
use bytes::BytesMut;

use super::closing::Closing;
use super::meter::Measured;
use super::shared::{ConnectionState, DriverState, SharedConnection};
use super::slots::Outcome;
use crate::error::ConnectionFailure;
use crate::notices::Push;
use crate::redis::load::CLOSED;
use crate::sync::lock;
use crate::waker::Spare;

/// The results of a batch of events, to be handled outside of the lock: callers to wake, and
/// outcomes whose callers went away.
#[derive(Debug, Default)]
pub(in crate::redis) struct Settled {
    wakers: Vec<Waker>,
    unwanted: Vec<Outcome>,
    measured: Option<Measured>,
    pub(in crate::redis) pushes: Vec<Push>,
}

/// What a driver does after it has taken in what it read.
#[derive(Debug)]
pub(in crate::redis) struct DriverTurn {
    /// Whether there is more to take in at once.
    pub(in crate::redis) more: bool,
    /// How many more commands are taken than before.
    pub(in crate::redis) room: usize,
    /// Whether the connection is kept apart and has no command in flight.
    pub(in crate::redis) vacant: bool,
    /// How many callers were woken and have not taken their outcomes yet.
    pub(in crate::redis) unheard: usize,
    /// How many bytes of the frame that is being read are missing, as far as that is known.
    pub(in crate::redis) lacks: usize,
    /// When to come back if nothing else happens.
    pub(in crate::redis) deadline: Option<Deadline>,
    /// How the connection was closing at the time of the turn.
    pub(in crate::redis) closing: Closing,
    /// Why the connection ends, if it does.
    pub(in crate::redis) end: Option<ConnectionFailure>,
}

impl Settled {
    fn len(&self) -> usize {
        self.wakers.len() + self.unwanted.len()
    }

    /// The measurements, if there are any.
    pub(in crate::redis) fn take_measured(&mut self) -> Option<Measured> {
        if self.measured.is_some() { self.measured.take() } else { None }
    }

    /// Wakes the callers and drops the rest. The storage is kept for the next batch.
    pub(in crate::redis) fn hand_out(&mut self) {
        self.unwanted.clear();
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

impl SharedConnection {
    /// Before the handshake is complete: stores the driver's waker for [`close`](Self::close), and
    /// returns an error if the connection need not be dialled any more.
    pub(in crate::redis) fn dialling(&self, cx: &Context<'_>) -> Result<(), ConnectionFailure> {
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        if state.closing != Closing::No {
            return Err(state.closing.now().unwrap_or(ConnectionFailure::Closed));
        }
        waker.put(&mut state.waker);
        Ok(())
    }

    /// The current time.
    pub(in crate::redis) fn now(&self) -> Instant {
        self.runtime.now()
    }

    /// When it was dialled.
    pub(in crate::redis) fn dialled(&self) -> Instant {
        self.dialled
    }

    /// The handshake is complete: commands may be submitted from now on.
    pub(in crate::redis) fn greeted(&self, connection: Connection, server: ServerInfo) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.connection = connection;
        state.server = server;
        self.load.store(state.load(), Ordering::Relaxed);
    }

    /// The driver's turn: takes in a wave of what was read, settles the outcomes and fetches what
    /// there is to send. `out` is filled only if it is empty. `wrote` is how much of earlier output
    /// the socket has taken since the last turn. `settled` must be handed out afterwards.
    pub(in crate::redis) fn turn(
        &self,
        rx: &mut BytesMut,
        out: &mut Output,
        wrote: usize,
        settled: &mut Settled,
    ) -> DriverTurn {
        let now = self.runtime.now();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.driver = DriverState::Running;
        let began = state.now;
        self.tell(state, now);
        let was_full = state.is_full(self.bounds);
        let batch = match &mut state.meter {
            None => {
                state.connection.wrote(wrote);
                None
            }
            Some(meter) => meter.wrote(&mut state.connection, wrote, began),
        };
        let closing = state.closing;
        let mut end = None;
        let wave = (state.connection.in_flight() / 2).clamp(WAVE_LEAST, WAVE_MOST);
        let more = loop {
            // With nothing in flight the rest was not requested: it must not become the next
            // command's reply.
            if settled.wakers.len() == wave && state.connection.in_flight() > 0 {
                break true;
            }
            if let Some((tag, value)) = state.connection.next_value(rx, now) {
                let value = Reply::Value(Some(value));
                state.settle(tag, Outcome::Answered(Ok(value)), settled);
                continue;
            }
            match state.connection.poll(rx, now, &mut state.tx) {
                Ok(None) => break false,
                Ok(Some(Event::Push(push))) => {
                    settled.pushes.push(push);
                    // A reply behind it is taken in only after the push was reported.
                    let reply_next = rx.first().is_some_and(|first| *first != b'>');
                    if reply_next || settled.pushes.len() == WAVE_MOST {
                        break true;
                    }
                }
                Ok(Some(event)) => state.take_in(event, settled),
                Err(error) => {
                    end = Some(ConnectionFailure::Connection(error));
                    break false;
                }
            }
        };
        if let Some(meter) = &mut state.meter {
            let round_trip = meter.took_in(&state.connection, now);
            settled.measured = Some(Measured { batch, round_trip });
        }
        if out.is_empty() {
            std::mem::swap(out, &mut state.tx);
        }
        if let Some(why) = closing.now() {
            end.get_or_insert(why);
        } else if closing == Closing::Drained && state.connection.idle_since().is_some() {
            end.get_or_insert(ConnectionFailure::Closed);
        }
        if state.connection.lacks() >= HEAVY_FROM {
            state.heavy_until = now + HEAVY_FOR;
        }
        state.burden = state.burden();
        let open = end.is_none() && state.connection.is_ready();
        let load = if open { state.load() } else { CLOSED };
        self.load.store(load, Ordering::Relaxed);
        // One caller for each reply. But if the connection was full, callers that waited for bytes
        // to leave take all the room there is.
        let answered = if was_full { usize::MAX } else { settled.len() };
        let (room, lacks) = (state.room(self.bounds).min(answered), state.connection.lacks());
        DriverTurn {
            more,
            room,
            vacant: state.apart && state.connection.in_flight() == 0,
            unheard: state.slots.unheard(),
            lacks,
            deadline: state.connection.deadline(),
            closing,
            end,
        }
    }

    /// Called before the driver rests: until there is something to send, if `drained` (all output
    /// was sent), or else until its socket takes more. Returns `false` if it must not rest, because
    /// something has changed since its `turn`.
    pub(in crate::redis) fn rest(
        &self,
        turn: &DriverTurn,
        drained: bool,
        waker: &mut Spare,
    ) -> bool {
        let mut state = lock(&self.state);
        let missed = if drained {
            !state.tx.is_empty()
        } else {
            state.connection.deadline() != turn.deadline
        };
        if missed || state.closing != turn.closing {
            return false;
        }
        state.driver = if drained { DriverState::Resting } else { DriverState::Blocked };
        waker.put(&mut state.waker);
        true
    }

    /// Ends the connection. The callers that wait on it learn that their commands are lost.
    pub(in crate::redis) fn end(&self, wrote: usize, why: ConnectionFailure, now: Instant) {
        let mut settled = Settled::default();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.closing = Closing::Now;
        state.ended = Some((why, now));
        state.connection.wrote(wrote);
        state.connection.close();
        let (mut nothing, mut nowhere) = (BytesMut::new(), Output::new());
        while let Ok(Some(event)) =
            state.connection.poll(&mut nothing, Instant::ORIGIN, &mut nowhere)
        {
            state.take_in(event, &mut settled);
        }
        let unsent = std::mem::take(&mut state.tx);
        self.load.store(CLOSED, Ordering::Relaxed);
        drop(guard);
        // Its values may be the callers' own bytes.
        drop(unsent);
        settled.hand_out();
    }
}

impl ConnectionState {
    /// Settles the command of an event.
    fn take_in(&mut self, event: Event, settled: &mut Settled) {
        let (tag, outcome) = match event {
            Event::Reply { tag, answer } => (tag, Outcome::Answered(answer)),
            Event::Expired(tag) => (tag, Outcome::Expired),
            Event::Lost { tag, may_have_run, blame } => {
                (tag, Outcome::Lost { may_have_run, blame })
            }
            Event::Refused { tag, error } => (tag, Outcome::Refused(error)),
            _ => return,
        };
        self.settle(tag, outcome, settled);
    }

    #[inline(always)]
    fn settle(&mut self, tag: Tag, outcome: Outcome, settled: &mut Settled) {
        match self.slots.settle(tag, outcome) {
            Ok(waker) => settled.wakers.push(waker),
            Err(unwanted) => settled.unwanted.push(unwanted),
        }
    }
}

/// The least and the most replies taken in together; the latter is also the most pushes.
const WAVE_LEAST: usize = 8;
const WAVE_MOST: usize = 128;

/// A value with this many missing bytes makes its connection busy, for this long.
const HEAVY_FROM: usize = 1024 * 1024;
const HEAVY_FOR: Duration = Duration::from_secs(1);
