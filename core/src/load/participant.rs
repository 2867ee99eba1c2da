//! One caller's part in a flight, from the time it joins until it leaves.

use core::time::Duration;

use bytes::Bytes;

use crate::flight::{FlightId, Flights, Handles, Joined, Seat, Seen, Turn};
use crate::time::Instant;

/// A caller's part in a flight. It must [`leave`](Self::leave) when it goes away, for any reason,
/// with the table that it joined. Leaving a second time has no effect.
///
/// ```
/// use async_caches_core::flight::{Flights, Handles, Turn};
/// use async_caches_core::load::Participant;
/// use async_caches_core::time::Instant;
/// use bytes::Bytes;
/// use core::time::Duration;
///
/// let (key, value) = (Bytes::from("::user:1"), Bytes::from("\"Ada\""));
/// let (now, wait) = (Instant::ORIGIN, Duration::from_secs(10));
/// let (mut flights, mut handles) = (Flights::new(42), Handles::new());
/// let mut join = || Participant::join(&mut flights, &key, None, now, wait);
/// let (Some(mut first), Some(mut second)) = (join(), join()) else { unreachable!() };
/// assert!(!first.follows() && second.follows());
///
/// assert!(first.share(&mut flights, value.clone(), &mut handles)); // and then stores it
/// assert_eq!(second.follow(&mut flights, now, "second", &mut handles), Turn::Value(value));
/// first.leave(&mut flights, &mut handles);
/// assert!(flights.is_empty());
/// ```
#[derive(Debug)]
pub struct Participant {
    flight: FlightId,
    part: Participation,
}

#[derive(Clone, Copy, Debug)]
enum Participation {
    Leads,
    /// A leader whose value is being stored.
    Stores,
    Follows(Seat),
    Left,
}

impl Participant {
    /// Joins the flight of a key, as [`Flights::join`]. `None` if the key must be looked up again.
    pub fn join<W>(
        flights: &mut Flights<W>,
        key: &Bytes,
        seen: Option<Seen>,
        now: Instant,
        wait: Duration,
    ) -> Option<Self> {
        match flights.join(key, seen, now, wait) {
            Joined::Lead(flight) => Some(Self { flight, part: Participation::Leads }),
            Joined::Follow(flight, seat) => {
                Some(Self { flight, part: Participation::Follows(seat) })
            }
            Joined::Again => None,
        }
    }

    /// The flight that the caller has a part in. Changes if a follower comes to lead another one.
    #[must_use]
    pub const fn flight(&self) -> FlightId {
        self.flight
    }

    /// Whether the caller waits for a leader.
    #[must_use]
    pub const fn follows(&self) -> bool {
        matches!(self.part, Participation::Follows(_))
    }

    /// Returns what a follower should do now, as [`Flights::follow`]. A caller that leads already
    /// gets [`Turn::Lead`].
    pub fn follow<W>(
        &mut self,
        flights: &mut Flights<W>,
        now: Instant,
        handle: W,
        handles: &mut Handles<W>,
    ) -> Turn {
        let Participation::Follows(seat) = self.part else {
            handles.spent.push(handle);
            return Turn::Lead(self.flight);
        };
        let turn = flights.follow(self.flight, seat, now, handle, handles);
        match &turn {
            Turn::Wait => {}
            Turn::Lead(flight) => {
                *self = Self { flight: *flight, part: Participation::Leads };
            }
            Turn::Value(_) => self.part = Participation::Left,
        }
        turn
    }

    /// Shares a leader's value with the followers. Returns whether the caller must store it too,
    /// and [`leave`](Self::leave) after that.
    pub fn share<W>(
        &mut self,
        flights: &mut Flights<W>,
        value: Bytes,
        handles: &mut Handles<W>,
    ) -> bool {
        let stores = flights.loaded(self.flight, value, handles);
        self.part = if stores { Participation::Stores } else { Participation::Left };
        stores
    }

    /// Gives the part up. A leader's passes to a follower; a store counts as ended.
    pub fn leave<W>(&mut self, flights: &mut Flights<W>, handles: &mut Handles<W>) {
        match core::mem::replace(&mut self.part, Participation::Left) {
            Participation::Leads => flights.leave(self.flight, handles),
            Participation::Stores => flights.landed(self.flight, handles),
            Participation::Follows(seat) => flights.leave_seat(self.flight, seat, handles),
            Participation::Left => {}
        }
    }
}
