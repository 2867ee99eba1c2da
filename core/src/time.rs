//! Time as a value: the caller passes the time in, and the core never reads a clock.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A point in time: nanoseconds since an origin that the caller chooses once and keeps.
///
/// The range is 584 years; arithmetic saturates at both ends instead of overflowing.
///
/// ```
/// use async_caches_core::time::Instant;
/// use core::time::Duration;
///
/// let began = Instant::from_millis(1_000);
/// let now = began + Duration::from_secs(2);
/// assert_eq!(now.since(began), Duration::from_secs(2));
/// assert_eq!(began.since(now), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ORIGIN: Self = Self(0);
    /// The last instant that can be represented; as a deadline it means "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// A time of day: nanoseconds since 1970-01-01 00:00 UTC, without leap seconds. The range ends in
/// the year 2554; arithmetic saturates at both ends.
///
/// Unlike an [`Instant`] it means the same in every process, and it may jump in either direction
/// when the clock of the machine is set. So it may be wrong by minutes, and no deadline is ever
/// computed from it.
///
/// ```
/// use async_caches_core::time::WallTime;
/// use core::time::Duration;
///
/// let noon = WallTime::from_millis(946_728_000_000); // 2000-01-01 12:00 UTC
/// assert_eq!((noon + Duration::from_secs(60)).since(noon), Duration::from_secs(60));
/// assert_eq!(noon.before(Duration::MAX), WallTime::EPOCH);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// The beginning of 1970.
    pub const EPOCH: Self = Self(0);

    /// The time `nanos` nanoseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The time `millis` milliseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the beginning of 1970.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this time is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time `span` before this one; the beginning of 1970 if that would be earlier still.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1970 + {:?}", Duration::from_nanos(self.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// When a machine wants to be called again, and why.
///
/// ```
/// use async_caches_core::time::{Deadline, Instant};
///
/// let reply = Deadline { at: Instant::from_millis(5_000), why: "a reply is due" };
/// let ping = Deadline { at: Instant::from_millis(30_000), why: "keepalive" };
/// assert_eq!(Deadline::earlier(Some(ping), Some(reply)), Some(reply));
/// assert_eq!(Deadline::earlier(Some(ping), None), Some(ping));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// The reason for the alarm, in a few words for a log.
    pub why: &'static str,
}

impl Deadline {
    /// The earlier of two deadlines, if there is one; the first if both are at the same time.
    #[must_use]
    pub fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (one, None) | (None, one) => one,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX);
        assert_eq!(Instant::ORIGIN + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::ORIGIN.since(Instant::MAX), Duration::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::MAX);
        let last = WallTime::from_nanos(u64::MAX);
        assert_eq!(last + Duration::from_secs(1), last);
        assert_eq!(WallTime::EPOCH + Duration::MAX, last);
        assert_eq!(WallTime::from_millis(u64::MAX), last);
        assert_eq!(WallTime::EPOCH.since(last), Duration::ZERO);
        assert_eq!(last.before(Duration::MAX), WallTime::EPOCH);
        assert_eq!(last.before(Duration::from_nanos(1)).as_nanos(), u64::MAX - 1);
    }

    #[test]
    fn the_earlier_deadline_wins_over_a_later_or_missing_one() {
        let soon = Deadline { at: Instant::from_millis(1), why: "soon" };
        let late = Deadline { at: Instant::from_millis(2), why: "late" };
        assert_eq!(Deadline::earlier(Some(late), Some(soon)), Some(soon));
        let as_soon = Deadline { why: "as soon", ..soon };
        assert_eq!(Deadline::earlier(Some(as_soon), Some(soon)), Some(as_soon));
        assert_eq!(Deadline::earlier(None, Some(late)), Some(late));
        assert_eq!(Deadline::earlier(None, None), None);
    }
}
