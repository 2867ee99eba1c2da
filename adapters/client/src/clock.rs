//! A clock that a test sets by hand.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_caches_core::time::{Instant, WallTime};

use crate::sync::lock;

/// A clock that stands still until a test advances it. A cache that gets it from
/// [`Builder::clock`](crate::Builder::clock) uses it everywhere. Clones are one clock.
///
/// It decides when entries of a store in memory expire, how long callers of `get_or_set` wait for
/// another's load, and when the deadlines of a server's connections pass. None of these happens
/// until the clock is advanced. Timeouts that a server keeps itself are not affected.
///
/// Caches of one `locmem://` name and one clock share a store. With another clock, or without one,
/// the store is another. So tests that run at the same time need no names of their own.
///
/// ```
/// # futures_lite::future::block_on(async {
/// # use std::time::Duration;
/// # use async_caches::{ManualClock, Error};
/// let clock = ManualClock::new();
/// let cache = async_caches::builder("locmem://test").clock(&clock).connect().await?;
/// cache.set("key", 1).timeout(Duration::from_secs(60)).await?;
/// clock.advance(Duration::from_millis(59_999));
/// assert!(cache.contains("key").await?);
/// clock.advance(Duration::from_millis(1));
/// assert!(!cache.contains("key").await?);
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Face>);

struct Face {
    id: u64,
    /// In nanoseconds; changed under the lock of the alarms.
    now: AtomicU64,
    /// The time of day that was set last, and when it was set.
    day: Mutex<(WallTime, Instant)>,
    alarms: Mutex<Alarms>,
}

/// The alarms that are set, and the tasks that they wake.
#[derive(Default)]
struct Alarms {
    next: u64,
    set: HashMap<u64, (Instant, Waker)>,
}

impl ManualClock {
    /// Returns a clock that stands still.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances the clock by `span`, at once, and wakes every task whose time has come. Saturates
    /// after 584 years. A woken task runs when its executor polls it, so a test must await the
    /// effect.
    pub fn advance(&self, span: Duration) {
        let mut alarms = lock(&self.0.alarms);
        let now = self.now() + span;
        self.0.now.store(now.as_nanos(), Ordering::SeqCst);
        let due: Vec<u64> =
            alarms.set.iter().filter(|(_, (at, _))| *at <= now).map(|(id, _)| *id).collect();
        let rung: Vec<_> = due.iter().filter_map(|id| alarms.set.remove(id)).collect();
        drop(alarms);
        rung.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// How far the clock has been advanced since it was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now().since(BEGINNING)
    }

    /// Sets the time of day, as a user or a time server does, and leaves everything else as it is:
    /// no entry expires and no deadline passes. From there it advances with the clock. Before it is
    /// set first, the clock begins at 2000-01-01 00:00 UTC. A time before 1970 is taken for 1970.
    pub fn set_time_of_day(&self, time: SystemTime) {
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut day = lock(&self.0.day);
        *day = (WallTime::EPOCH + since_1970, self.now());
    }

    /// The time of day.
    pub(crate) fn wall_time(&self) -> WallTime {
        let (time, set) = *lock(&self.0.day);
        time + self.now().since(set)
    }

    /// A number that no other clock of the process has.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.0.now.load(Ordering::SeqCst))
    }
}

impl Default for Face {
    fn default() -> Self {
        static CLOCKS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: CLOCKS.fetch_add(1, Ordering::Relaxed),
            now: AtomicU64::new(BEGINNING.as_nanos()),
            day: Mutex::new((FIXED_DAY, BEGINNING)),
            alarms: Mutex::default(),
        }
    }
}

/// One alarm of a clock. It is removed from the clock when it is dropped.
pub(crate) struct ManualAlarm {
    clock: ManualClock,
    id: u64,
}

impl ManualAlarm {
    pub(crate) fn of(clock: &ManualClock) -> Self {
        let mut alarms = lock(&clock.0.alarms);
        alarms.next += 1;
        Self { clock: clock.clone(), id: alarms.next }
    }

    /// Ready once it is `at` or later; otherwise the task is woken then. `None` means never.
    pub(crate) fn poll(&self, at: Option<Instant>, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut alarms = lock(&self.clock.0.alarms);
        let rings = at.is_some_and(|at| at <= self.clock.now());
        let before = match at {
            Some(at) if !rings => alarms.set.insert(self.id, (at, waker)),
            Some(_) | None => alarms.set.remove(&self.id),
        };
        drop(alarms);
        drop(before);
        if rings { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for ManualAlarm {
    fn drop(&mut self) {
        let gone = lock(&self.clock.0.alarms).set.remove(&self.id);
        drop(gone);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

/// When the clock of a test, or of a runtime with a time of its own, begins: 2000-01-01 00:00 UTC.
pub(crate) const FIXED_DAY: WallTime = WallTime::from_millis(946_684_800_000);

/// Some time after the origin, as on any machine.
const BEGINNING: Instant = Instant::from_millis(1_000);
