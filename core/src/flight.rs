//! Single-flight: of all callers that miss one key at one time, one loads and the others wait.
//!
//! # Theory of operation
//!
//! A *flight* is one load of one key. Whoever finds no flight for its key leads a new one; who
//! comes later takes a seat in it and follows. A flight goes through these phases, and every
//! transition is a method of [`Flights`]:
//!
//! ```text
//!            join                loaded                landed
//!   (none) ───────▶ Loading ──────────────▶ Storing ──────────▶ (none)
//!                    │  ▲                      │
//!              leave │  │ a follower           │ leave
//!                    ▼  │ inherits             ▼
//!                   Vacant ──▶ (none)        (none)
//!                          nobody left
//! ```
//!
//! A leader that goes away before its load is done (dropped, failed or panicking, which are all
//! one here) hands the lead to the follower that has waited longest, and that one runs its own
//! load. A load's error is its leader's alone. A loaded value is every follower's at once; it does
//! not wait for the store.
//!
//! A write of the key during its flight wins: [`Flights::invalidate`] takes the flight off the
//! key, so that whoever comes after the write does not get what was loaded before it, and forbids
//! the leader to store. Those who were on board keep what they came for. Where the leader is
//! storing already, the write has to wait for it ([`Invalidated::Storing`]): two commands on two
//! connections have no order.
//!
//! A flight that lasts longer than [`Flights::MAX_AGE`] is taken off its key as well, so that a
//! load that hangs holds up nobody who comes later.
//!
//! A caller that missed just before a flight of its key ended would lead a second load of what
//! was just stored. [`Flights::seen`], taken before the lookup, tells: [`Role::Again`] means "look
//! once more". Who has done so leads: loads of this key, and of others that are taken for it, may
//! end as often as there are lookups.
//!
//! The machine knows no lock and no waker: it keeps a handle `W` for each waiting follower and
//! gives it back when the follower must look again.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::time::Duration;

use bytes::Bytes;
use foldhash::quality::FixedState;
use hashbrown::HashMap;

use crate::planted::{self, Bug};
use crate::time::Instant;

/// All loads under way in one cache. `W` is what the caller wakes a follower with.
#[derive(Debug)]
pub struct Flights<W> {
    by_key: HashMap<Bytes, FlightId, FixedState>,
    flights: HashMap<FlightId, Flight<W>, FixedState>,
    next: u64,
    /// How many flights have ended, and how many had when the last one of a slot did.
    ended: u64,
    last: [u64; SLOTS],
}

/// One load of one key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlightId(u64);

/// One follower's place in a flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat(u64);

/// How many flights had ended when this was taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seen(pub u64);

/// What a caller that missed is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Load, then say [`Flights::loaded`] and [`Flights::landed`], or [`Flights::leave`].
    Lead(FlightId),
    /// Wait: [`Flights::follow`].
    Follow(FlightId, Seat),
    /// A flight ended since the lookup began: look the key up again.
    Again,
}

/// What a follower is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Go on waiting; the handle is kept.
    Wait,
    /// The leader went away: lead.
    Lead,
    /// Here is what the leader loaded.
    Value(Bytes),
}

/// What a write of a key is to do about a flight of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalidated {
    /// Go on.
    Clear,
    /// Wait for this flight to end ([`Flights::await_end`]): its store is under way.
    Storing(FlightId),
}

#[derive(Debug)]
struct Flight<W> {
    key: Bytes,
    began: Instant,
    phase: Phase,
    valid: bool,
    seats: VecDeque<(Seat, Option<W>)>,
    next_seat: u64,
    writers: Vec<W>,
}

#[derive(Debug)]
enum Phase {
    /// The leader is loading.
    Loading,
    /// The leader went away and the follower in this seat is to notice that it leads.
    Vacant(Seat),
    /// The value is there; the leader is storing it, or followers have yet to take it.
    Loaded { value: Bytes, storing: bool },
}

impl<W> Flights<W> {
    /// How long a flight keeps its key to itself.
    pub const MAX_AGE: Duration = Duration::from_secs(30);

    /// No flights yet. The seed keeps the table's order from being foreseen.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            by_key: HashMap::with_hasher(hasher.clone()),
            flights: HashMap::with_hasher(hasher),
            next: 0,
            ended: 0,
            last: [0; SLOTS],
        }
    }

    /// Whether no flight is under way at all: then no write needs to [`invalidate`](Self::invalidate).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// What has ended so far, to be taken before the key is looked up. An older one is good as
    /// well: at worst its caller looks once more for nothing.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(self.ended)
    }

    /// Joins the flight of a key that was just missed, or begins one. What was `seen` before the
    /// lookup is left out where looking again is no use, as for the second time, and then the answer
    /// is never [`Role::Again`].
    pub fn join(&mut self, key: &Bytes, seen: Option<Seen>, now: Instant) -> Role {
        if let Some(&id) = self.by_key.get(key)
            && let Some(flight) = self.flights.get_mut(&id)
            && !planted::is(Bug::EverybodyLeads)
        {
            if now.since(flight.began) < Self::MAX_AGE || planted::is(Bug::FlightsNeverAge) {
                return Role::Follow(id, flight.take_seat());
            }
            flight.valid = false;
            self.by_key.remove(key);
        } else if seen.is_some_and(|seen| seen.0 < self.last_ended(key)) {
            return Role::Again;
        }
        let id = FlightId(self.next);
        self.next += 1;
        self.by_key.insert(key.clone(), id);
        let flight = Flight {
            key: key.clone(),
            began: now,
            phase: Phase::Loading,
            valid: true,
            seats: VecDeque::new(),
            next_seat: 0,
            writers: Vec::new(),
        };
        self.flights.insert(id, flight);
        Role::Lead(id)
    }

    /// What the follower in `seat` is to do now; where it is to wait, `handle` is kept for it.
    ///
    /// A follower that got [`Turn::Value`] or [`Turn::Lead`] has left its seat.
    pub fn follow(&mut self, id: FlightId, seat: Seat, handle: W) -> Turn {
        let Some(flight) = self.flights.get_mut(&id) else { return Turn::Lead };
        let turn = match &flight.phase {
            Phase::Loaded { value, .. } => Turn::Value(value.clone()),
            Phase::Vacant(heir) if *heir == seat => {
                flight.phase = Phase::Loading;
                Turn::Lead
            }
            Phase::Loading | Phase::Vacant(_) => {
                if let Some((_, kept)) = flight.seats.iter_mut().find(|(one, _)| *one == seat) {
                    *kept = Some(handle);
                }
                return Turn::Wait;
            }
        };
        flight.seats.retain(|(one, _)| *one != seat);
        self.end_if_over(id);
        turn
    }

    /// The leader has loaded `value`: followers to wake are pushed to `wake`. Answers whether the
    /// leader may store it; then it must say [`landed`](Self::landed) afterwards.
    pub fn loaded(&mut self, id: FlightId, value: Bytes, wake: &mut Vec<W>) -> bool {
        let Some(flight) = self.flights.get_mut(&id) else { return false };
        let storing = flight.valid;
        flight.phase = Phase::Loaded { value, storing };
        wake.extend(flight.seats.iter_mut().filter_map(|(_, handle)| handle.take()));
        self.end_if_over(id);
        storing
    }

    /// The leader's store has ended, one way or the other: writers to wake are pushed to `wake`.
    pub fn landed(&mut self, id: FlightId, wake: &mut Vec<W>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        if let Phase::Loaded { storing, .. } = &mut flight.phase {
            *storing = false;
        }
        if !planted::is(Bug::WriterNotWoken) {
            wake.append(&mut flight.writers);
        }
        self.detach(id);
        self.end_if_over(id);
    }

    /// The leader goes away without a value: the heir to wake, where there is one, is pushed to
    /// `wake`.
    pub fn leave(&mut self, id: FlightId, wake: &mut Vec<W>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        if matches!(flight.phase, Phase::Loaded { .. }) {
            return self.landed(id, wake);
        }
        match flight.seats.front_mut() {
            Some(_) if planted::is(Bug::NobodyInherits) => {}
            Some((seat, handle)) => {
                flight.phase = Phase::Vacant(*seat);
                wake.extend(handle.take());
            }
            None => self.end(id),
        }
    }

    /// A follower goes away. Where it was the heir, the next one is, and is pushed to `wake`.
    pub fn leave_seat(&mut self, id: FlightId, seat: Seat, wake: &mut Vec<W>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        flight.seats.retain(|(one, _)| *one != seat);
        if matches!(flight.phase, Phase::Vacant(heir) if heir == seat) {
            self.leave(id, wake);
        } else {
            self.end_if_over(id);
        }
    }

    /// A write of `key` is about to be sent: what was loading is not stored any more.
    pub fn invalidate(&mut self, key: &[u8]) -> Invalidated {
        let Some(&id) = self.by_key.get(key) else { return Invalidated::Clear };
        let Some(flight) = self.flights.get_mut(&id) else { return Invalidated::Clear };
        let storing = matches!(flight.phase, Phase::Loaded { storing: true, .. });
        if storing && !planted::is(Bug::StoreNotAwaited) {
            return Invalidated::Storing(id);
        }
        if planted::is(Bug::LoadBeatsDelete) {
            return Invalidated::Clear;
        }
        flight.valid = false;
        self.by_key.remove(key);
        Invalidated::Clear
    }

    /// Every key that starts with `stem` is about to be removed: as [`invalidate`](Self::invalidate)
    /// for each of them.
    pub fn invalidate_all(&mut self, stem: &[u8]) -> Invalidated {
        let keys: Vec<Bytes> =
            self.by_key.keys().filter(|key| key.starts_with(stem)).cloned().collect();
        keys.iter().map(|key| self.invalidate(key)).fold(Invalidated::Clear, |all, one| match one {
            Invalidated::Clear => all,
            Invalidated::Storing(_) => one,
        })
    }

    /// Keeps `handle` until the store of this flight has ended; `false` if it has already.
    pub fn await_end(&mut self, id: FlightId, handle: W) -> bool {
        match self.flights.get_mut(&id) {
            Some(Flight { phase: Phase::Loaded { storing: true, .. }, writers, .. }) => {
                writers.push(handle);
                true
            }
            Some(_) | None => false,
        }
    }

    /// A flight whose value is loaded and stored stays for the followers that have yet to take it.
    fn end_if_over(&mut self, id: FlightId) {
        let over = self.flights.get(&id).is_some_and(|flight| match flight.phase {
            Phase::Loaded { storing, .. } => !storing && flight.seats.is_empty(),
            Phase::Loading | Phase::Vacant(_) => false,
        });
        if over {
            self.end(id);
        }
    }

    fn end(&mut self, id: FlightId) {
        self.detach(id);
        self.flights.remove(&id);
    }

    /// Takes a flight off its key, if it is the key's, and counts it as ended.
    fn detach(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get(&id) else { return };
        let key = flight.key.clone();
        if self.by_key.get(&key) == Some(&id) {
            self.by_key.remove(&key);
            let slot = self.slot(&key);
            self.ended += 1;
            if let Some(last) = self.last.get_mut(slot) {
                *last = self.ended;
            }
        }
    }

    /// How many flights had ended when the last one of this key did, or of one in the same slot.
    fn last_ended(&self, key: &[u8]) -> u64 {
        self.last.get(self.slot(key)).copied().unwrap_or_default()
    }

    fn slot(&self, key: &[u8]) -> usize {
        let mut hasher = self.by_key.hasher().build_hasher();
        hasher.write(key);
        usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or_default()
    }
}

impl<W> Flight<W> {
    fn take_seat(&mut self) -> Seat {
        let seat = Seat(self.next_seat);
        self.next_seat += 1;
        self.seats.push_back((seat, None));
        seat
    }
}

/// Ended flights are counted in this many slots, shared by the keys that hash to them: a collision
/// costs one more lookup.
const SLOTS: usize = 64;

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    type Desk = Flights<&'static str>;

    const KEY: Bytes = Bytes::from_static(b"::k");
    const NOW: Instant = Instant::ORIGIN;

    fn value(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn lead(desk: &mut Desk) -> FlightId {
        let Role::Lead(id) = desk.join(&KEY, Some(desk.seen()), NOW) else { panic!() };
        id
    }

    fn follow(desk: &mut Desk, name: &'static str) -> (FlightId, Seat) {
        let Role::Follow(id, seat) = desk.join(&KEY, Some(desk.seen()), NOW) else { panic!() };
        assert_eq!(desk.follow(id, seat, name), Turn::Wait);
        (id, seat)
    }

    #[test]
    fn one_leads_and_all_who_come_during_the_load_share_its_value() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        let (_, a) = follow(&mut desk, "a");
        let (_, b) = follow(&mut desk, "b");
        let mut wake = vec![];
        assert!(desk.loaded(id, value("v"), &mut wake));
        assert_eq!(wake, ["a", "b"]);
        assert_eq!(desk.follow(id, a, "a"), Turn::Value(value("v")));
        desk.landed(id, &mut wake);
        assert!(!desk.is_empty(), "b has yet to take its value");
        assert_eq!(desk.follow(id, b, "b"), Turn::Value(value("v")));
        assert!(desk.is_empty());
    }

    #[test]
    fn who_joins_while_the_leader_stores_gets_the_value_at_once() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        desk.loaded(id, value("v"), &mut vec![]);
        let Role::Follow(id, seat) = desk.join(&KEY, Some(desk.seen()), NOW) else { panic!() };
        assert_eq!(desk.follow(id, seat, "a"), Turn::Value(value("v")));
    }

    #[test]
    fn a_leader_that_leaves_is_inherited_by_the_longest_waiting() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        let (_, a) = follow(&mut desk, "a");
        let (_, b) = follow(&mut desk, "b");
        let mut wake = vec![];
        desk.leave(id, &mut wake);
        assert_eq!(wake, ["a"]);
        assert_eq!(desk.follow(id, b, "b"), Turn::Wait);
        assert_eq!(desk.follow(id, a, "a"), Turn::Lead);
    }

    #[test]
    fn an_heir_that_leaves_before_it_noticed_passes_the_lead_on() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        let (_, a) = follow(&mut desk, "a");
        let (_, b) = follow(&mut desk, "b");
        let mut wake = vec![];
        desk.leave(id, &mut wake);
        desk.leave_seat(id, a, &mut wake);
        assert_eq!(wake, ["a", "b"]);
        assert_eq!(desk.follow(id, b, "b"), Turn::Lead);
        desk.leave(id, &mut wake);
        assert!(desk.is_empty(), "the last one out ends the flight");
    }

    #[test]
    fn a_write_during_a_load_forbids_its_store_and_starts_afresh() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        let (_, seat) = follow(&mut desk, "early");
        assert_eq!(desk.invalidate(&KEY), Invalidated::Clear);
        let second = lead(&mut desk);
        assert_ne!(second, id, "who comes after the write does not get what was loaded before it");
        let mut wake = vec![];
        assert!(!desk.loaded(id, value("old"), &mut wake), "a delete wins over a load");
        assert_eq!(desk.follow(id, seat, "early"), Turn::Value(value("old")));
        assert!(desk.loaded(second, value("new"), &mut wake));
    }

    #[test]
    fn a_write_waits_for_a_store_that_is_under_way() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        desk.loaded(id, value("v"), &mut vec![]);
        assert_eq!(desk.invalidate_all(b":"), Invalidated::Storing(id));
        assert!(desk.await_end(id, "writer"));
        let mut wake = vec![];
        desk.landed(id, &mut wake);
        assert_eq!(wake, ["writer"]);
        assert!(!desk.await_end(id, "writer"));
        assert_eq!(desk.invalidate(&KEY), Invalidated::Clear);
    }

    #[test]
    fn a_leader_dropped_while_storing_releases_writers_and_followers() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        let (_, seat) = follow(&mut desk, "a");
        let mut wake = vec![];
        desk.loaded(id, value("v"), &mut wake);
        desk.await_end(id, "writer");
        desk.leave(id, &mut wake);
        assert_eq!(wake, ["a", "writer"]);
        assert_eq!(desk.follow(id, seat, "a"), Turn::Value(value("v")));
        assert!(desk.is_empty());
    }

    #[test]
    fn who_missed_before_a_flight_ended_looks_again_instead_of_loading_again() {
        let mut desk = Desk::new(1);
        let before = desk.seen();
        let id = lead(&mut desk);
        desk.loaded(id, value("v"), &mut vec![]);
        desk.landed(id, &mut vec![]);
        assert_eq!(desk.join(&KEY, Some(before), NOW), Role::Again);
        assert!(matches!(desk.join(&KEY, None, NOW), Role::Lead(_)));
    }

    #[test]
    fn a_flight_of_another_key_that_ended_makes_nobody_look_again() {
        let mut desk = Desk::new(1);
        let before = desk.seen();
        let id = lead(&mut desk);
        desk.leave(id, &mut vec![]);
        assert!(desk.seen() > before);
        let again = (0..200_u8)
            .filter(|&other| {
                let role = desk.join(&Bytes::from(vec![other]), Some(before), NOW);
                role == Role::Again
            })
            .count();
        // Those that share a slot with it.
        assert!(again < 200 / 10, "{again}");
    }

    #[test]
    fn a_flight_past_its_age_holds_up_nobody() {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        let late = NOW + Desk::MAX_AGE;
        let Role::Lead(second) = desk.join(&KEY, Some(desk.seen()), late) else { panic!() };
        assert!(!desk.loaded(id, value("old"), &mut vec![]), "the second leader stores, not this");
        assert!(desk.loaded(second, value("new"), &mut vec![]));
    }
}
