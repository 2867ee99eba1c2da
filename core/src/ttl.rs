//! Timeouts: what a caller may ask for ([`Timeout`]) and what it results in ([`Expiry`]).
//!
//! Backends count in whole milliseconds. A fraction of a millisecond is rounded up, so that a
//! timeout above zero never becomes zero.

use core::num::NonZeroU64;
use core::time::Duration;

use crate::error::TimeoutError;

/// How long an entry may live, as a caller specifies it for one operation.
///
/// ```
/// use async_caches_core::ttl::{Expiry, Timeout};
/// use core::time::Duration;
///
/// let default = Expiry::after(Duration::from_secs(600))?;
/// assert_eq!(Timeout::Default.resolve(default), Ok(default));
/// assert_eq!(Timeout::Never.resolve(default), Ok(Expiry::Never));
/// let minute = Duration::from_secs(60);
/// assert_eq!(Timeout::from(minute).resolve(default), Expiry::after(minute));
/// # Ok::<(), async_caches_core::error::TimeoutError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Timeout {
    /// The cache's default timeout; the entry never expires if the cache has no default.
    #[default]
    Default,
    /// The entry never expires, whatever the cache's default is.
    Never,
    /// The entry expires after this long; zero is an error.
    After(Duration),
}

impl Timeout {
    /// The expiry that this timeout results in, in a cache whose default is `default`.
    ///
    /// # Errors
    /// [`TimeoutError`] for zero and for more than [`Expiry::MAX_MILLIS`].
    pub fn resolve(self, default: Expiry) -> Result<Expiry, TimeoutError> {
        match self {
            Self::Default => Ok(default),
            Self::Never => Ok(Expiry::Never),
            Self::After(span) => Expiry::after(span),
        }
    }
}

impl From<Duration> for Timeout {
    fn from(span: Duration) -> Self {
        Self::After(span)
    }
}

/// `None` is like no timeout: the cache's default applies.
impl From<Option<Duration>> for Timeout {
    fn from(span: Option<Duration>) -> Self {
        span.map_or(Self::Default, Self::After)
    }
}

/// How long an entry will live: a validated [`Timeout`].
///
/// ```
/// use async_caches_core::ttl::Expiry;
/// use core::time::Duration;
///
/// // Rounded up, so that a timeout above zero never becomes zero.
/// assert_eq!(Expiry::after(Duration::from_micros(1)), Expiry::after(Duration::from_millis(1)));
/// assert!(Expiry::after(Duration::ZERO).is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Expiry {
    /// For ever.
    #[default]
    Never,
    /// For this many milliseconds from the moment the backend stores it.
    Millis(NonZeroU64),
}

impl Expiry {
    /// The longest timeout: 2^53 milliseconds, some 285,000 years. A server's script counts in
    /// doubles, which represent all whole numbers up to this one exactly.
    pub const MAX_MILLIS: u64 = 1 << 53;

    /// An expiry after `span`, rounded up to a whole millisecond.
    ///
    /// # Errors
    /// [`TimeoutError::Zero`] and [`TimeoutError::TooLong`].
    pub fn after(span: Duration) -> Result<Self, TimeoutError> {
        let millis = span.as_nanos().div_ceil(1_000_000);
        match u64::try_from(millis).ok().filter(|&millis| millis <= Self::MAX_MILLIS) {
            None => Err(TimeoutError::TooLong),
            Some(millis) => NonZeroU64::new(millis).map(Self::Millis).ok_or(TimeoutError::Zero),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_refused_and_a_fraction_of_a_millisecond_is_rounded_up() {
        assert_eq!(Expiry::after(Duration::ZERO), Err(TimeoutError::Zero));
        let one = Expiry::Millis(NonZeroU64::MIN);
        assert_eq!(Expiry::after(Duration::from_nanos(1)), Ok(one));
        assert_eq!(Expiry::after(Duration::from_millis(1)), Ok(one));
    }

    #[test]
    fn the_longest_timeout_is_the_last_exact_double() {
        let longest = Duration::from_millis(Expiry::MAX_MILLIS);
        assert!(Expiry::after(longest).is_ok());
        assert_eq!(Expiry::after(longest + Duration::from_nanos(1)), Err(TimeoutError::TooLong));
        assert_eq!(Expiry::after(Duration::MAX), Err(TimeoutError::TooLong));
    }

    #[test]
    fn the_default_timeout_applies_only_if_none_is_given() {
        let default = Expiry::Millis(NonZeroU64::MIN);
        assert_eq!(Timeout::Default.resolve(default), Ok(default));
        assert_eq!(Timeout::Never.resolve(default), Ok(Expiry::Never));
        let minute = Timeout::from(Duration::from_secs(60));
        assert_eq!(minute.resolve(default), Expiry::after(Duration::from_secs(60)));
        assert_eq!(Timeout::from(Some(Duration::from_secs(60))), minute);
        assert_eq!(Timeout::from(None::<Duration>), Timeout::Default);
        assert_eq!(Timeout::from(Some(Duration::ZERO)).resolve(default), Err(TimeoutError::Zero));
    }
}
