//! The name of a flight.

/// Identifies the load of one key. Never reused within one [`Flights`](super::Flights).
///
/// The example of [`Clearance`](super::Clearance) compares two of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlightId(pub(super) u64);
