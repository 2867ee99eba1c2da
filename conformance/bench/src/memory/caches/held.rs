//! The value that a cache without timeouts stores: the value and, if the measurement uses timeouts,
//! its deadline.

use std::sync::LazyLock;
use std::time::Duration;

use async_caches::runtime::Clock;
use bytes::Bytes;

/// A stored value.
pub(crate) trait Held: Clone + Send + Sync + 'static {
    /// Wraps a value.
    fn hold(value: Bytes, timeout: Option<Duration>) -> Self;
    /// The value, or `None` if it has expired.
    fn open(self) -> Option<Bytes>;
    /// The time until it expires; `None` means never.
    fn left(&self) -> Option<Duration>;
    /// Whether it has expired.
    fn is_over(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

/// A value without a timeout.
impl Held for Bytes {
    fn hold(value: Bytes, _: Option<Duration>) -> Self {
        value
    }

    fn open(self) -> Option<Bytes> {
        Some(self)
    }

    fn left(&self) -> Option<Duration> {
        None
    }
}

/// A value with a deadline, in nanoseconds since the program began.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    value: Bytes,
    deadline: u64,
}

impl Held for Timed {
    fn hold(value: Bytes, timeout: Option<Duration>) -> Self {
        let timeout = timeout.map_or(u64::MAX, |timeout| timeout.as_nanos() as u64);
        Self { value, deadline: now().saturating_add(timeout) }
    }

    fn open(self) -> Option<Bytes> {
        (now() < self.deadline).then_some(self.value)
    }

    fn left(&self) -> Option<Duration> {
        let is_timed = self.deadline < u64::MAX;
        is_timed.then(|| Duration::from_nanos(self.deadline.saturating_sub(now())))
    }
}

fn now() -> u64 {
    CLOCK.now().as_nanos()
}

/// The same clock as our cache's, so that reading it costs the same.
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_value_expires_after_its_timeout() {
        let value = Bytes::from_static(b"v");
        let held = Timed::hold(value.clone(), Some(Duration::from_secs(60)));
        assert!(held.left().unwrap() <= Duration::from_secs(60) && !held.is_over());
        assert_eq!(held.open(), Some(value.clone()));
        let over = Timed::hold(value.clone(), Some(Duration::ZERO));
        assert!(over.is_over());
        assert_eq!(over.open(), None);
        assert_eq!(Timed::hold(value, None).left(), None);
    }
}
