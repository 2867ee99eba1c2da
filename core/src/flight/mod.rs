//! Single-flight: if several callers miss the same key at the same time, one loads and the others
//! wait.
//!
//! # Theory of operation
//!
//! A *flight* is the load of one key. A caller that finds no flight for its key leads a new one. A
//! caller that comes later takes a seat in it and follows. A flight goes through these phases, and
//! every transition is a method of [`Flights`]:
//!
//! ```text
//!            join                loaded                landed
//!   (none) ───────▶ Loading ──────────────▶ Loaded ──────────▶ (none)
//!                    │  ▲                      ▲
//!        the last    │  │ a follower           │ leave: nothing
//!        leader left ▼  │ inherits             │
//!                   Vacant ──▶ (none)          ┘
//!                          no follower left
//! ```
//!
//! Once the value is loaded, [`Flights::leave`] changes nothing. A flight that has landed is kept
//! until its followers have taken the value.
//!
//! A leader that goes away before its load is done (dropped, failed or panicking; all are treated
//! the same) hands the lead to the follower that has waited longest, which then runs its own load.
//! A load's error is returned only to its leader. A loaded value is given to all followers at once;
//! they do not wait for the store.
//!
//! **No follower depends on its leader for longer than it is willing to wait.** Each follower has
//! its own deadline. A follower that is polled at its deadline stops waiting and loads beside the
//! leader: the flight then has several leaders. The first of them that has a value gives it to all
//! followers and stores it; the values of the others go only to their own callers. So a leader that
//! hangs, or that is kept and not polled, delays a follower by its wait and no more. The same holds
//! for an heir that never takes the lead. [`Flights::deadline`] and [`Flights::expire`] report when
//! to wake which follower.
//!
//! A write of the key during its flight wins. [`Flights::invalidate`] takes the flight off the key,
//! so that callers that come after the write do not get a value that was loaded before it, and
//! forbids the flight's leaders to store. Followers that already have a seat still get the loaded
//! value. If a leader is already storing, the write has to wait for it ([`Clearance::Storing`]),
//! because two commands on two connections have no order.
//!
//! A flight that lasts longer than [`Flights::MAX_AGE`] is taken off its key as well, so that a
//! load that hangs does not delay later callers.
//!
//! A caller that missed just before a flight of its key ended would lead a second load of the value
//! that was just stored. [`Flights::seen`], taken before the lookup, detects this:
//! [`Joined::Again`] means that the caller should look the key up once more. A caller that has done
//! so leads. Without this limit it could look up for ever, because loads of this key, and of others
//! that share its slot, may end as often as it looks up.
//!
//! [`Waits`] handles loads that wait for each other in a circle.
//!
//! # Cost
//!
//! Each step is a few look-ups in hash tables and in a slab, and one in the ordered set of
//! deadlines. Announcing a value, and noticing a leader's end, takes one pass over the seats. So N
//! followers of a key cost N such steps altogether, plus a logarithm of N for each deadline.
//!
//! The machine has no locks and no wakers. It keeps a handle `W` for each waiting follower, and
//! returns every handle ([`Handles`]) to be woken, or to be dropped where dropping is safe.

mod failures;
mod id;
mod index;
mod seats;
#[cfg(test)]
mod tests;
mod waits;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use bytes::Bytes;
use foldhash::quality::FixedState;
use hashbrown::HashMap;

pub use self::failures::Failures;
pub use self::id::FlightId;
use self::index::Index;
pub use self::seats::Seat;
use self::seats::Seats;
pub use self::waits::Waits;
use crate::time::{Deadline, Instant};
use crate::work::Work;

/// All loads under way in one cache. `W` is a handle with which the caller wakes a follower.
///
/// ```
/// use async_caches_core::flight::{Flights, Handles, Joined, Turn};
/// use async_caches_core::time::Instant;
/// use bytes::Bytes;
/// use core::time::Duration;
///
/// let (key, value) = (Bytes::from("::user:1"), Bytes::from("\"Ada\""));
/// let (now, wait) = (Instant::ORIGIN, Duration::from_secs(10));
/// let (mut flights, mut handles) = (Flights::new(42), Handles::new());
///
/// // Two callers miss the key; the second waits, and leaves a handle to wake it with.
/// let Joined::Lead(load) = flights.join(&key, None, now, wait) else { unreachable!() };
/// let Joined::Follow(_, seat) = flights.join(&key, None, now, wait) else { unreachable!() };
/// assert_eq!(flights.follow(load, seat, now, "second", &mut handles), Turn::Wait);
///
/// assert!(flights.loaded(load, value.clone(), &mut handles)); // so the leader stores the value
/// assert_eq!(handles.wake, ["second"]);
/// assert_eq!(flights.follow(load, seat, now, "second", &mut handles), Turn::Value(value));
/// flights.landed(load, &mut handles);
/// assert!(flights.is_empty());
/// ```
#[derive(Debug)]
pub struct Flights<W> {
    index: Index,
    flights: HashMap<FlightId, Flight<W>, FixedState>,
    next: u64,
    /// The deadlines of followers that wait.
    deadlines: BTreeSet<(Instant, FlightId, Seat)>,
    /// The number of seats that were looked at.
    visited: Work,
}

/// The number of flights that had ended at some point in time.
///
/// ```
/// use async_caches_core::flight::{Flights, Handles, Joined};
/// use async_caches_core::time::Instant;
/// use bytes::Bytes;
/// use core::time::Duration;
///
/// let (key, now, wait) = (Bytes::from("::user:1"), Instant::ORIGIN, Duration::from_secs(10));
/// let (mut flights, mut handles) = (Flights::<()>::new(42), Handles::new());
/// let Joined::Lead(load) = flights.join(&key, None, now, wait) else { unreachable!() };
///
/// let seen = flights.seen(); // another caller looks the key up, and misses it
/// flights.loaded(load, Bytes::from("1"), &mut handles);
/// flights.landed(load, &mut handles); // meanwhile the value is stored
/// assert_eq!(flights.join(&key, Some(seen), now, wait), Joined::Again);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seen(pub u64);

/// The next step of a caller that missed.
///
/// The examples of [`Flights`] and [`Seen`] show each of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    /// Load, then call [`Flights::loaded`] and [`Flights::landed`], or [`Flights::leave`].
    Lead(FlightId),
    /// Wait: [`Flights::follow`].
    Follow(FlightId, Seat),
    /// A flight ended since the lookup began: look the key up again.
    Again,
}

/// The next step of a follower.
///
/// ```
/// use async_caches_core::flight::{Flights, Handles, Joined, Turn};
/// use async_caches_core::time::Instant;
/// use bytes::Bytes;
/// use core::time::Duration;
///
/// let (key, now, wait) = (Bytes::from("::user:1"), Instant::ORIGIN, Duration::from_secs(10));
/// let (mut flights, mut handles) = (Flights::new(42), Handles::new());
/// flights.join(&key, None, now, wait); // a leader that hangs
/// let Joined::Follow(load, seat) = flights.join(&key, None, now, wait) else { unreachable!() };
/// assert_eq!(flights.follow(load, seat, now, "second", &mut handles), Turn::Wait);
/// let turn = flights.follow(load, seat, now + wait, "second", &mut handles);
/// assert_eq!(turn, Turn::Lead(load)); // it has waited long enough
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Keep waiting; the handle is kept.
    Wait,
    /// Lead this flight: the leader of the follower's flight went away, or the follower has waited
    /// long enough.
    Lead(FlightId),
    /// The value that a leader loaded.
    Value(Bytes),
}

/// How a write of a key has to treat a flight of that key.
///
/// ```
/// use async_caches_core::flight::{Clearance, Flights, Handles, Joined};
/// use async_caches_core::time::Instant;
/// use bytes::Bytes;
/// use core::time::Duration;
///
/// let (key, now, wait) = (Bytes::from("::user:1"), Instant::ORIGIN, Duration::from_secs(10));
/// let (mut flights, mut handles) = (Flights::<()>::new(42), Handles::new());
/// let Joined::Lead(load) = flights.join(&key, None, now, wait) else { unreachable!() };
/// flights.loaded(load, Bytes::from("1"), &mut handles);
/// assert_eq!(flights.invalidate(&key), Clearance::Storing(load)); // the writer waits
/// flights.landed(load, &mut handles);
/// assert_eq!(flights.invalidate(&key), Clearance::Clear);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clearance {
    /// Proceed.
    Clear,
    /// Wait for this flight to end ([`Flights::await_end`]): it is being stored.
    Storing(FlightId),
}

/// Handles that are no longer kept. Waking or dropping one may run a user's code, so both must be
/// done outside of every lock.
///
/// The example of [`Flights`] wakes a follower. Its handle would be a `Waker`:
///
/// ```
/// use async_caches_core::flight::Handles;
/// use std::task::Waker;
///
/// let mut handles = Handles::new();
/// handles.wake.push(Waker::noop().clone()); // as a method of `Flights` does, under a lock
/// for waker in handles.wake {
///     waker.wake(); // after the lock was released
/// }
/// drop(handles.spent);
/// ```
#[derive(Debug)]
pub struct Handles<W> {
    /// Handles to wake.
    pub wake: Vec<W>,
    /// Handles to drop.
    pub spent: Vec<W>,
}

#[derive(Debug)]
struct Flight<W> {
    key: Bytes,
    began: Instant,
    phase: FlightPhase,
    valid: bool,
    seats: Seats<W>,
    writers: Vec<W>,
}

#[derive(Debug)]
enum FlightPhase {
    /// This many leaders are loading, at least one.
    Loading { leaders: usize },
    /// The last leader went away; the follower in this seat has yet to notice that it leads.
    Vacant(Seat),
    /// The value is loaded; a leader is storing it, or followers have yet to take it.
    Loaded { value: Bytes, storing: bool },
}

impl<W> Flights<W> {
    /// How long a flight keeps later callers of its key waiting.
    pub const MAX_AGE: Duration = Duration::from_secs(30);

    /// Creates an empty table. The seed is a random number that callers cannot know, so that they
    /// cannot prepare keys that slow each other down.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            index: Index::new(seed),
            flights: HashMap::with_hasher(FixedState::default()),
            next: 0,
            deadlines: BTreeSet::new(),
            visited: Work::new(),
        }
    }

    /// Whether no flight is under way. If so, no write needs to call
    /// [`invalidate`](Self::invalidate).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// The number of flights that have ended so far, to be taken before the key is looked up. An
    /// older value works as well: at worst its caller looks the key up once more in vain.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(self.index.ended())
    }

    /// Joins the flight of a key that was just missed, or begins one. A caller that follows waits
    /// until `now + wait` at most; with a `wait` of zero it leads as soon as it is polled. `seen`
    /// is the value of [`seen`](Self::seen) from before the lookup. Pass `None` if looking up again
    /// is of no use, as after the second lookup; the role is then never [`Joined::Again`].
    pub fn join(
        &mut self,
        key: &Bytes,
        seen: Option<Seen>,
        now: Instant,
        wait: Duration,
    ) -> Joined {
        if let Some(id) = self.index.get(key)
            && let Some(flight) = self.flights.get_mut(&id)
        {
            if now.since(flight.began) < Self::MAX_AGE {
                self.visited.count();
                return Joined::Follow(id, flight.seats.take(now + wait));
            }
            flight.valid = false;
            self.index.remove(key, id);
        } else if seen.is_some_and(|seen| seen.0 < self.index.last_ended(key)) {
            return Joined::Again;
        }
        Joined::Lead(self.begin(key.clone(), now))
    }

    /// Returns what the follower in `seat` should do now; if it should wait, `handle` is kept for
    /// it.
    ///
    /// A follower that got [`Turn::Value`] or [`Turn::Lead`] has left its seat. The result changes
    /// when a leader has loaded, when the last leader leaves, and at the follower's deadline.
    pub fn follow(
        &mut self,
        id: FlightId,
        seat: Seat,
        now: Instant,
        handle: W,
        handles: &mut Handles<W>,
    ) -> Turn {
        self.visited.count();
        let Some(flight) = self.flights.get_mut(&id) else {
            handles.spent.push(handle);
            return Turn::Lead(id);
        };
        let turn = match &flight.phase {
            FlightPhase::Loaded { value, .. } => Turn::Value(value.clone()),
            FlightPhase::Vacant(heir) if *heir == seat => {
                flight.phase = FlightPhase::Loading { leaders: 1 };
                Turn::Lead(id)
            }
            FlightPhase::Loading { .. } | FlightPhase::Vacant(_) => {
                if let Some(sitting) = flight.seats.get(seat)
                    && now < sitting.until
                {
                    handles.spent.extend(sitting.handle.replace(handle));
                    if !mem::replace(&mut sitting.timed, true) && sitting.until < Instant::MAX {
                        self.deadlines.insert((sitting.until, id, seat));
                    }
                    return Turn::Wait;
                }
                let key = flight.key.clone();
                self.leave_seat(id, seat, handles);
                handles.spent.push(handle);
                return self.lead_beside(key, now);
            }
        };
        handles.spent.push(handle);
        self.free_seat(id, seat, handles);
        self.end_if_over(id);
        turn
    }

    /// The earliest time at which a follower has waited long enough.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        let first = self.deadlines.first();
        first.map(|&(at, ..)| Deadline { at, why: "a caller has waited long enough for a load" })
    }

    /// Collects the handles of followers whose deadline has come; once woken, they call
    /// [`follow`](Self::follow) again.
    pub fn expire(&mut self, now: Instant, handles: &mut Handles<W>) {
        while let Some(&(at, id, seat)) = self.deadlines.first()
            && at <= now
        {
            self.visited.count();
            self.deadlines.pop_first();
            let flight = self.flights.get_mut(&id);
            if let Some(sitting) = flight.and_then(|flight| flight.seats.get(seat)) {
                sitting.timed = false;
                handles.wake.extend(sitting.handle.take());
            }
        }
    }

    /// A leader has loaded `value`; the followers are to be woken. Returns whether the leader may
    /// store the value. If so, it must call [`landed`](Self::landed) afterwards; if not, it no
    /// longer leads.
    pub fn loaded(&mut self, id: FlightId, value: Bytes, handles: &mut Handles<W>) -> bool {
        let Some(flight) = self.flights.get_mut(&id) else { return false };
        if matches!(flight.phase, FlightPhase::Loaded { .. }) {
            return false;
        }
        let storing = flight.valid;
        flight.phase = FlightPhase::Loaded { value, storing };
        for sitting in flight.seats.iter_mut() {
            self.visited.count();
            handles.wake.extend(sitting.handle.take());
        }
        self.end_if_over(id);
        storing
    }

    /// A leader's store has ended, successfully or not; the writers that wait for it are to be
    /// woken.
    pub fn landed(&mut self, id: FlightId, handles: &mut Handles<W>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        if let FlightPhase::Loaded { storing, .. } = &mut flight.phase {
            *storing = false;
        }
        handles.wake.append(&mut flight.writers);
        self.index.end(&flight.key, id);
        self.end_if_over(id);
    }

    /// A leader goes away before it has loaded. If it was the last one, its heir is to be woken.
    pub fn leave(&mut self, id: FlightId, handles: &mut Handles<W>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let FlightPhase::Loading { leaders } = &mut flight.phase else { return };
        *leaders -= 1;
        if *leaders == 0 {
            self.vacate(id, handles);
        }
    }

    /// A follower goes away. If it was the heir, the next follower becomes the heir and is
    /// to be woken.
    pub fn leave_seat(&mut self, id: FlightId, seat: Seat, handles: &mut Handles<W>) {
        self.visited.count();
        self.free_seat(id, seat, handles);
        let phase = self.flights.get(&id).map(|flight| &flight.phase);
        if matches!(phase, Some(FlightPhase::Vacant(heir)) if *heir == seat) {
            self.vacate(id, handles);
        } else {
            self.end_if_over(id);
        }
    }

    /// A write of `key` is about to be sent: the load under way may no longer be stored.
    pub fn invalidate(&mut self, key: &[u8]) -> Clearance {
        let Some(id) = self.index.get(key) else { return Clearance::Clear };
        let Some(flight) = self.flights.get_mut(&id) else { return Clearance::Clear };
        if flight.is_kept_from(&mut Vec::new(), id) {
            return Clearance::Storing(id);
        }
        self.index.remove(key, id);
        Clearance::Clear
    }

    /// Every key that starts with `stem` is about to be removed: like
    /// [`invalidate`](Self::invalidate) for each of them, in one pass over the keys that have a
    /// flight. If several flights are being stored, it returns the youngest, which most likely ends
    /// last.
    pub fn invalidate_all(&mut self, stem: &[u8]) -> Clearance {
        let Self { index, flights, .. } = self;
        let mut storing = Vec::new();
        index.retain_of(stem, |id| {
            let Some(flight) = flights.get_mut(&id) else { return false };
            flight.is_kept_from(&mut storing, id)
        });
        storing.into_iter().max().map_or(Clearance::Clear, Clearance::Storing)
    }

    /// Keeps `handle` until the store of this flight has ended. Returns `false`, and the handle in
    /// [`Handles::spent`], if it has ended already. A handle that is the `same` as the last one is
    /// not kept twice, so that a writer that is polled often while it waits costs no memory.
    pub fn await_end(
        &mut self,
        id: FlightId,
        handle: W,
        same: impl FnOnce(&W, &W) -> bool,
        handles: &mut Handles<W>,
    ) -> bool {
        match self.flights.get_mut(&id) {
            Some(Flight { phase: FlightPhase::Loaded { storing: true, .. }, writers, .. }) => {
                match writers.last() {
                    Some(last) if same(last, &handle) => handles.spent.push(handle),
                    Some(_) | None => writers.push(handle),
                }
                true
            }
            Some(_) | None => {
                handles.spent.push(handle);
                false
            }
        }
    }

    fn begin(&mut self, key: Bytes, now: Instant) -> FlightId {
        let id = FlightId(self.next);
        self.next += 1;
        self.index.insert(key.clone(), id);
        let flight = Flight {
            key,
            began: now,
            phase: FlightPhase::Loading { leaders: 1 },
            valid: true,
            seats: Seats::new(),
            writers: Vec::new(),
        };
        self.flights.insert(id, flight);
        id
    }

    /// A caller that has waited long enough loads beside the current leader of its key. If a write
    /// came in between, that leader belongs to another flight than the caller's own. If that flight
    /// already has a value, the caller takes it instead of loading.
    fn lead_beside(&mut self, key: Bytes, now: Instant) -> Turn {
        let id = self.index.get(&key);
        let Some((id, flight)) = id.and_then(|id| Some((id, self.flights.get_mut(&id)?))) else {
            return Turn::Lead(self.begin(key, now));
        };
        match &mut flight.phase {
            FlightPhase::Loading { leaders } => *leaders += 1,
            phase @ FlightPhase::Vacant(_) => *phase = FlightPhase::Loading { leaders: 1 },
            FlightPhase::Loaded { value, .. } => return Turn::Value(value.clone()),
        }
        Turn::Lead(id)
    }

    /// No leader is left: the follower that has waited longest becomes the heir and is to be
    /// woken.
    fn vacate(&mut self, id: FlightId, handles: &mut Handles<W>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        match flight.seats.first() {
            Some(heir) => {
                flight.phase = FlightPhase::Vacant(heir);
                let sitting = flight.seats.get(heir);
                handles.wake.extend(sitting.and_then(|sitting| sitting.handle.take()));
            }
            None => self.end(id),
        }
    }

    fn free_seat(&mut self, id: FlightId, seat: Seat, handles: &mut Handles<W>) {
        let flight = self.flights.get_mut(&id);
        if let Some(sitting) = flight.and_then(|flight| flight.seats.leave(seat)) {
            handles.spent.extend(sitting.handle);
            if sitting.timed {
                self.deadlines.remove(&(sitting.until, id, seat));
            }
        }
    }

    /// Ends a flight that is loaded and stored, unless followers have yet to take the value.
    fn end_if_over(&mut self, id: FlightId) {
        let over = self.flights.get(&id).is_some_and(|flight| match flight.phase {
            FlightPhase::Loaded { storing, .. } => !storing && flight.seats.is_empty(),
            FlightPhase::Loading { .. } | FlightPhase::Vacant(_) => false,
        });
        if over {
            self.end(id);
        }
    }

    fn end(&mut self, id: FlightId) {
        if let Some(flight) = self.flights.remove(&id) {
            self.index.end(&flight.key, id);
        }
    }
}

impl<W> Flight<W> {
    /// A write of the flight's key is about to be sent. If the flight is being stored, it is added
    /// to `storing` and the write has to wait; otherwise the flight may no longer be stored.
    fn is_kept_from(&mut self, storing: &mut Vec<FlightId>, id: FlightId) -> bool {
        if matches!(self.phase, FlightPhase::Loaded { storing: true, .. }) {
            storing.push(id);
            return true;
        }
        self.valid = false;
        false
    }
}

impl<W> Handles<W> {
    /// Creates an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { wake: Vec::new(), spent: Vec::new() }
    }
}

impl<W> Default for Handles<W> {
    fn default() -> Self {
        Self::new()
    }
}
