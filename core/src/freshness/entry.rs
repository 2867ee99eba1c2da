//! A stored entry as the reader sees it: its times, its windows, and the stage of its life.

use core::time::Duration;

use crate::reply::Remaining;
use crate::time::WallTime;

/// For how long a stale entry may be used, counted from the end of its timeout. The names and their
/// meaning are those of RFC 5861.
///
/// ```
/// use async_caches_core::freshness::Windows;
/// use core::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let entry = Windows { stale_while_revalidate: seconds(10), stale_if_error: seconds(60) };
/// let reader = Windows { stale_while_revalidate: seconds(30), stale_if_error: seconds(20) };
/// let both = Windows { stale_while_revalidate: seconds(10), stale_if_error: seconds(20) };
/// assert_eq!(entry.shorter(reader), both);
/// assert_eq!(entry.shorter(Windows::ANY), entry);
/// assert_eq!(entry.longest(), seconds(60));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Windows {
    /// For how long it is returned at once while one caller refreshes it.
    pub stale_while_revalidate: Duration,
    /// For how long it is returned if a load fails or is slow.
    pub stale_if_error: Duration,
}

impl Windows {
    /// No stale entry may be used.
    pub const NONE: Self =
        Self { stale_while_revalidate: Duration::ZERO, stale_if_error: Duration::ZERO };
    /// As a reader's windows: those of the entry count.
    pub const ANY: Self =
        Self { stale_while_revalidate: Duration::MAX, stale_if_error: Duration::MAX };

    /// Of each window the shorter one.
    #[must_use]
    pub fn shorter(self, other: Self) -> Self {
        Self {
            stale_while_revalidate: self.stale_while_revalidate.min(other.stale_while_revalidate),
            stale_if_error: self.stale_if_error.min(other.stale_if_error),
        }
    }

    /// The longer window: when it is over, the entry is gone.
    #[must_use]
    pub fn longest(self) -> Duration {
        self.stale_while_revalidate.max(self.stale_if_error)
    }
}

/// The stage of an entry's life. It only ever advances, unless the clock is set back or the entry
/// is written anew.
///
/// ```
/// use async_caches_core::freshness::Stage;
///
/// assert!(Stage::Fresh < Stage::Stale && Stage::Stale < Stage::Gone);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Younger than its timeout.
    Fresh,
    /// Past its timeout, inside a window.
    Stale,
    /// Not there, or no longer to be used by this reader.
    Gone,
}

/// The times of a stored entry.
///
/// ```
/// use async_caches_core::freshness::{Meta, Stage, Windows};
/// use async_caches_core::reply::Remaining;
/// use async_caches_core::time::WallTime;
/// use core::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let written = WallTime::from_millis(946_684_800_000);
/// let meta = Meta {
///     written,
///     fresh_until: Some(written + seconds(30)),
///     windows: Windows { stale_while_revalidate: seconds(10), ..Windows::NONE },
///     load_cost: Duration::from_millis(120),
/// };
/// assert_eq!(meta.remaining(written + seconds(12)), Remaining::For(seconds(18)));
/// assert_eq!(meta.stage(written + seconds(30), Windows::ANY), Stage::Stale);
/// assert_eq!(meta.stage(written + seconds(30), Windows::NONE), Stage::Gone);
/// assert_eq!(meta.expires(), Some(written + seconds(40)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// When it was written.
    pub written: WallTime,
    /// The first moment at which it is stale; `None` if it has no timeout. May be before `written`.
    pub fresh_until: Option<WallTime>,
    /// The windows that it was written with.
    pub windows: Windows,
    /// How long its load took; zero if that is unknown.
    pub load_cost: Duration,
}

impl Meta {
    /// The stage of the entry for a reader with these windows.
    #[must_use]
    pub fn stage(&self, now: WallTime, reader: Windows) -> Stage {
        match self.stale_for(now) {
            None => Stage::Fresh,
            Some(stale_for) if stale_for < self.windows.shorter(reader).longest() => Stage::Stale,
            Some(_) => Stage::Gone,
        }
    }

    /// How long the entry has been stale; `None` while it is fresh.
    #[must_use]
    pub fn stale_for(&self, now: WallTime) -> Option<Duration> {
        let fresh_until = self.fresh_until?;
        (now >= fresh_until).then(|| now.since(fresh_until))
    }

    /// How long the entry stays fresh, in whole milliseconds and rounded up;
    /// [`Absent`](Remaining::Absent) once it is stale.
    #[must_use]
    pub fn remaining(&self, now: WallTime) -> Remaining {
        match self.fresh_until {
            None => Remaining::Forever,
            Some(end) if now >= end => Remaining::Absent,
            Some(end) => {
                let millis = end.since(now).as_nanos().div_ceil(1_000_000);
                Remaining::For(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
            }
        }
    }

    /// How long ago the entry was written; zero if the clock has been set back since.
    #[must_use]
    pub const fn age(&self, now: WallTime) -> Duration {
        now.since(self.written)
    }

    /// The first moment at which the entry is gone for every reader: `fresh_until` and the longer
    /// window. `None` if that is never, or after the last [`WallTime`].
    #[must_use]
    pub fn expires(&self) -> Option<WallTime> {
        let window = u64::try_from(self.windows.longest().as_nanos()).ok()?;
        self.fresh_until?.as_nanos().checked_add(window).map(WallTime::from_nanos)
    }
}

/// The result of looking a key up.
///
/// ```
/// use async_caches_core::freshness::{Meta, Stage, Stored, Windows};
/// use async_caches_core::time::WallTime;
/// use core::time::Duration;
///
/// let (written, second) = (WallTime::from_millis(946_684_800_000), Duration::from_secs(1));
/// let stored = Stored::Entry(Meta {
///     written,
///     fresh_until: Some(written + second),
///     windows: Windows { stale_if_error: second * 9, ..Windows::NONE },
///     load_cost: Duration::ZERO,
/// });
/// let now = written + second * 5;
/// assert_eq!(stored.read(now, None), Stage::Gone);
/// assert_eq!(stored.read(now, Some(Windows::ANY)), Stage::Stale);
/// assert_eq!(Stored::Plain.read(now, None), Stage::Fresh);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// Nothing.
    Absent,
    /// Bytes that cannot be read: damaged, of an unknown version, or of another schema.
    Unreadable,
    /// An entry with a tag that was invalidated after the entry was loaded.
    Invalidated,
    /// A value that was stored without times of its own. The backend lets it expire.
    Plain,
    /// An entry with its times.
    Entry(Meta),
}

impl Stored {
    /// What a plain read (`get`, `contains`, `add`) finds. A stale entry is [gone](Stage::Gone)
    /// unless the caller allows stale entries; then the shorter one counts of the entry's windows
    /// and those that the caller allows.
    #[must_use]
    pub fn read(&self, now: WallTime, allow_stale: Option<Windows>) -> Stage {
        match self {
            Self::Absent | Self::Unreadable | Self::Invalidated => Stage::Gone,
            Self::Plain => Stage::Fresh,
            Self::Entry(meta) => meta.stage(now, allow_stale.unwrap_or(Windows::NONE)),
        }
    }
}
