//! Estimates the time on a server's clock from the replies to `TIME` on one connection.
//!
//! # Theory of operation
//!
//! A server decides by its own clock when an entry expires, so the client decides by that clock
//! whether an entry is fresh. The client has a monotonic clock of its own. A sample connects the
//! two: the server read its clock after `TIME` was sent and before the answer arrived. The machine
//! assumes the middle of that span, so half of the round trip is the error.
//!
//! * **A sample ages.** The two clocks do not run equally fast, so its error grows by
//!   [`ServerClock::DRIFT_PPM`]. A new sample replaces the old one once its error is no larger than
//!   the old one's has become: a slow round trip does not displace a quick one of a moment ago, and
//!   a quick one does not stay for ever.
//! * **A clock that was set is followed at the next sample.** If the errors of the two samples
//!   together do not explain their difference, then one of the clocks was set, or this machine was
//!   suspended. The new sample counts, however slow it was.
//! * **A reply that cannot be right changes nothing**, and is reported as an error.
//!
//! A small jump goes unnoticed if the next sample is slow: the errors of the two samples explain
//! it, and the old sample stays. Until a sample replaces the old one, the estimate may then be
//! wrong by the error that [`ServerTime`] reports and twice the error of the slow sample.
//!
//! Each connection has a machine of its own, because the next one may lead to another server.

#[cfg(test)]
mod tests;

use core::time::Duration;

use thiserror::Error;

use crate::time::{Instant, WallTime};

/// What one connection knows of its server's clock.
///
/// ```
/// use async_caches_core::server_clock::{ClockSource, Sampled, ServerClock};
/// use async_caches_core::time::{Instant, WallTime};
/// use core::time::Duration;
///
/// let mut clock = ServerClock::new();
/// clock.asked(Instant::from_millis(5_000));
/// let sampled = clock.answered(Instant::from_millis(5_004), b"946684800", b"250000")?;
/// assert_eq!((sampled, clock.source()), (Sampled::Taken, ClockSource::Server));
///
/// // A second after the middle of the round trip.
/// let now = clock.to_server(Instant::from_millis(6_002)).expect("a sample");
/// assert_eq!(now.time, WallTime::from_millis(946_684_801_250));
/// assert!(now.error > Duration::from_millis(2) && now.error < Duration::from_millis(4));
/// # Ok::<(), async_caches_core::server_clock::ServerClockError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerClock {
    sample: Option<Sample>,
    /// When the oldest `TIME` without an answer was sent.
    asked: Option<Instant>,
    refused: bool,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    server: WallTime,
    error: Duration,
}

/// A time on a server's clock, as far as the client knows it.
///
/// The example of [`ServerClock`] gets one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ServerTime {
    /// The best estimate.
    pub time: WallTime,
    /// The most by which the server's clock may differ from it, in either direction.
    pub error: Duration,
}

/// The clock that decides whether an entry is fresh.
///
/// ```
/// use async_caches_core::server_clock::{ClockSource, ServerClock};
/// use async_caches_core::time::Instant;
///
/// let mut clock = ServerClock::new();
/// assert_eq!(clock.source(), ClockSource::Unknown);
/// clock.asked(Instant::from_millis(1));
/// clock.refused(); // the user may not run TIME
/// assert_eq!(clock.source(), ClockSource::WallClock);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ClockSource {
    /// None so far: the server has not given its time yet.
    Unknown,
    /// The server's clock.
    Server,
    /// The wall clock of this machine, because the server does not give its time.
    WallClock,
}

/// What became of a sample.
///
/// The example of [`ServerClock`] gets one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Sampled {
    /// It counts from now on.
    Taken,
    /// An earlier sample is more exact even now, and stays.
    Kept,
    /// It counts from now on, and contradicts the earlier one: a clock was set.
    Jumped,
}

/// Why an answer to `TIME` was not used. What the machine knows of the server's clock stays.
///
/// ```
/// use async_caches_core::server_clock::{ServerClock, ServerClockError};
/// use async_caches_core::time::Instant;
///
/// let mut clock = ServerClock::new();
/// clock.asked(Instant::from_millis(1));
/// let answered = clock.answered(Instant::from_millis(2), b"946684800", b"1000000");
/// assert_eq!(answered, Err(ServerClockError::OutOfRange));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ServerClockError {
    /// The server was not asked, or its answer was already handled.
    #[error("an answer to TIME came without a question")]
    NotAsked,
    /// The answer came before the question: the caller mixed up its instants.
    #[error("the answer to TIME came before the question")]
    BeforeAsked,
    /// One of the two parts of the answer is not a number in decimal digits.
    #[error("the answer to TIME is not two numbers")]
    Malformed,
    /// A million microseconds or more, or a time after the year 2554.
    #[error("the answer to TIME is out of range")]
    OutOfRange,
}

impl ServerClock {
    /// How far the two clocks may drift apart, in millionths of the time that passes. Linux lets a
    /// time server slew a clock by at most 500 millionths (`adjtimex(2)`), and there are two
    /// clocks.
    pub const DRIFT_PPM: u32 = 1000;

    /// A machine that has no sample yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { sample: None, asked: None, refused: false }
    }

    /// Reports that `TIME` was sent. `at` must not be later than the moment of sending.
    ///
    /// If the answer to an earlier `TIME` has not come, that earlier moment counts: it makes the
    /// error larger and is never wrong.
    pub fn asked(&mut self, at: Instant) {
        self.asked = self.asked.or(Some(at));
    }

    /// Handles the answer to `TIME`: two texts in decimal digits, the seconds since 1970 and the
    /// microseconds of the second. `at` must not be earlier than the moment of its arrival.
    ///
    /// # Errors
    /// Those of [`ServerClockError`]. Earlier samples stay, and the question counts as answered.
    pub fn answered(
        &mut self,
        at: Instant,
        seconds: &[u8],
        micros: &[u8],
    ) -> Result<Sampled, ServerClockError> {
        let asked = self.asked.take().ok_or(ServerClockError::NotAsked)?;
        if at < asked {
            return Err(ServerClockError::BeforeAsked);
        }
        let server = time_of(digits(seconds)?, digits(micros)?)?;
        let new = Sample::new(asked, at, server);
        let sampled = match self.sample {
            Some(old) if old.contradicts(new) => Sampled::Jumped,
            Some(old) if old.to_server(new.at).error < new.error => Sampled::Kept,
            Some(_) | None => Sampled::Taken,
        };
        if sampled != Sampled::Kept {
            self.sample = Some(new);
        }
        self.refused = false;
        Ok(sampled)
    }

    /// Reports that the server does not give its time: it answered `TIME` with an error, as it does
    /// if the user may not run it, or with something other than a time. Earlier samples are
    /// forgotten, because no later one would correct them. The next answer is used again.
    pub fn refused(&mut self) {
        *self = Self { sample: None, asked: None, refused: true };
    }

    /// The time on the server's clock at an instant of the client, before or after the sample.
    /// `None` unless [`source`](Self::source) is [`ClockSource::Server`]; then the wall clock has
    /// to do.
    #[must_use]
    pub fn to_server(&self, at: Instant) -> Option<ServerTime> {
        self.sample.map(|sample| sample.to_server(at))
    }

    /// The clock that decides.
    #[must_use]
    pub const fn source(&self) -> ClockSource {
        match (&self.sample, self.refused) {
            (Some(_), _) => ClockSource::Server,
            (None, true) => ClockSource::WallClock,
            (None, false) => ClockSource::Unknown,
        }
    }
}

impl Sample {
    /// The server read its clock between `asked` and `answered`.
    fn new(asked: Instant, answered: Instant, server: WallTime) -> Self {
        let trip = answered.as_nanos().saturating_sub(asked.as_nanos());
        let at = Instant::from_nanos(asked.as_nanos() + trip / 2);
        let half = Duration::from_nanos(trip.div_ceil(2));
        Self { at, server, error: half + drift(half) + RESOLUTION }
    }

    fn to_server(self, at: Instant) -> ServerTime {
        let (after, before) = (at.since(self.at), self.at.since(at));
        let time = (self.server + after).before(before);
        ServerTime { time, error: self.error + drift(after.max(before)) }
    }

    /// Whether the errors of both do not explain their difference.
    fn contradicts(self, new: Self) -> bool {
        let expected = self.to_server(new.at);
        let apart = expected.time.since(new.server).max(new.server.since(expected.time));
        apart > expected.error + new.error
    }
}

/// By how much two clocks may have drifted apart in this span, rounded up.
fn drift(span: Duration) -> Duration {
    let parts = span.as_nanos() * u128::from(ServerClock::DRIFT_PPM);
    Duration::from_nanos(u64::try_from(parts.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// The value of a text in decimal digits.
fn digits(text: &[u8]) -> Result<u64, ServerClockError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(ServerClockError::Malformed);
    }
    text.iter()
        .try_fold(0_u64, |value, &digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(ServerClockError::OutOfRange)
}

fn time_of(seconds: u64, micros: u64) -> Result<WallTime, ServerClockError> {
    if micros >= 1_000_000 {
        return Err(ServerClockError::OutOfRange);
    }
    let nanos = seconds.checked_mul(1_000_000_000).and_then(|it| it.checked_add(micros * 1000));
    nanos.map(WallTime::from_nanos).ok_or(ServerClockError::OutOfRange)
}

/// `TIME` reports whole microseconds, rounded down.
const RESOLUTION: Duration = Duration::from_micros(1);
