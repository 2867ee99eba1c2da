//! A clock that a test sets by hand.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches_core::time::Instant;

use crate::flights::LoadTable;
use crate::memory::Store;
use crate::registry::Registry;
use crate::runtime::{BoxFuture, Endpoint, Link, Runtime, Timer};
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
/// # use std::time::Duration;
/// # use async_caches::{ManualClock, Error};
/// # async fn test() -> Result<(), Error> {
/// let clock = ManualClock::new();
/// let cache = async_caches::builder("locmem://test").clock(&clock).connect().await?;
/// cache.set("key", 1).timeout(Duration::from_secs(60)).await?;
/// clock.advance(Duration::from_millis(59_999));
/// assert!(cache.contains("key").await?);
/// clock.advance(Duration::from_millis(1));
/// assert!(!cache.contains("key").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Face>);

/// The clock, and the registries of the things that use it.
struct Face {
    /// In nanoseconds; changed under the lock of the alarms.
    now: AtomicU64,
    alarms: Mutex<Alarms>,
    stores: Registry<Store>,
    load_tables: Registry<LoadTable>,
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

    pub(crate) fn stores(&self) -> &Registry<Store> {
        &self.0.stores
    }

    pub(crate) fn load_tables(&self) -> &Registry<LoadTable> {
        &self.0.load_tables
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.now.load(Ordering::SeqCst))
    }
}

impl Default for Face {
    fn default() -> Self {
        Self {
            now: AtomicU64::new(BEGINNING.as_nanos()),
            alarms: Mutex::default(),
            stores: Registry::new(),
            load_tables: Registry::new(),
        }
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

/// A runtime, if the cache has one, with the time of a manual clock.
#[derive(Debug)]
pub(crate) struct ByHand {
    pub(crate) clock: ManualClock,
    pub(crate) runtime: Option<Arc<dyn Runtime>>,
}

impl Runtime for ByHand {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn is_here(&self) -> bool {
        self.runtime.as_ref().is_none_or(|runtime| runtime.is_here())
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }

    fn seed(&self) -> u64 {
        self.runtime.as_ref().map_or_else(crate::seed, |runtime| runtime.seed())
    }

    fn is_simulated(&self) -> bool {
        self.runtime.as_ref().is_none_or(|runtime| runtime.is_simulated())
    }

    fn has_own_time(&self) -> bool {
        true
    }

    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.runtime {
            Some(runtime) => runtime.poll_budget(cx),
            None => Poll::Ready(()),
        }
    }

    fn timer(&self) -> Box<dyn Timer> {
        let mut alarms = lock(&self.clock.0.alarms);
        alarms.next += 1;
        Box::new(Alarm { clock: self.clock.clone(), id: alarms.next })
    }

    fn dial(&self, to: Endpoint, link: Link) {
        if let Some(runtime) = &self.runtime {
            runtime.dial(to, link);
        }
    }

    fn manual_clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

/// An alarm of a manual clock.
struct Alarm {
    clock: ManualClock,
    id: u64,
}

impl Timer for Alarm {
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
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

impl Drop for Alarm {
    fn drop(&mut self) {
        let gone = lock(&self.clock.0.alarms).set.remove(&self.id);
        drop(gone);
    }
}

/// Some time after the origin, as on any machine.
const BEGINNING: Instant = Instant::from_millis(1_000);
