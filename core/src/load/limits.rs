//! What one caller of a load accepts, and what it keeps in case the load does not come.

use core::time::Duration;

use crate::time::Instant;

/// How long one caller waits for a load, and whether its load may go on without it. The default has
/// no timeout, and ends the load with its caller.
///
/// ```
/// use async_caches_core::load::LoadLimits;
/// use core::time::Duration;
///
/// let limits = LoadLimits { hard_timeout: Some(Duration::from_secs(3)), ..LoadLimits::NONE };
/// assert_eq!((limits.soft_timeout, limits.background), (None, false));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LoadLimits {
    /// After which time the caller returns the value that it keeps, if it keeps one. A caller whose
    /// own load may not go on in the background waits on.
    pub soft_timeout: Option<Duration>,
    /// After which time the caller waits no longer. It returns the value that it keeps, or an
    /// error.
    pub hard_timeout: Option<Duration>,
    /// Whether the load may outlive its caller. Then a refresh runs in the background, and so does
    /// the rest of a load that takes too long.
    pub background: bool,
}

impl LoadLimits {
    /// No timeouts, and no load outlives its caller.
    pub const NONE: Self = Self { soft_timeout: None, hard_timeout: None, background: false };
}

/// A value that a caller returns if its load fails or is slow.
///
/// The example of [`LoadEvent`](super::LoadEvent) keeps one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept<V> {
    /// The value.
    pub value: V,
    /// The first moment at which it may no longer be returned.
    pub until: Instant,
}
