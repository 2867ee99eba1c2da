//! One sleeper, and many threads that may know of a deadline before its planned wake-up.
//!
//! A thread notes a deadline somewhere, under the lock that guards it, and then calls
//! [`say`](Bell::say). That costs one load, unless the sleeper would come too late. The sleeper
//! calls [`look_around`](Bell::look_around), checks all deadlines under their locks, and sleeps
//! until the earliest.
//!
//! No deadline is missed. If it was noted before the sleeper took its lock, the sleeper saw it. A
//! thread that notes one after that has, through the same lock, seen that the sleeper was looking
//! around, or a later state, and rings. So the number needs no ordering of its own. The bell knows
//! no clock and no thread, and takes its locks from `crate::sync`, so that a test can replace them.

use std::time::Duration;

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, lock, wait};

#[derive(Debug)]
pub(crate) struct Bell {
    /// The sleeper sleeps until then at most, so it need not be woken for later deadlines. Zero
    /// while it is awake and has yet to look around.
    until: AtomicU64,
    rung: Mutex<bool>,
    wake: Condvar,
}

impl Bell {
    /// Makes a bell of these parts: false, [`ASLEEP`] and a new one. Not every kind of them can be
    /// made in a constant.
    pub(crate) const fn with(rung: Mutex<bool>, until: AtomicU64, wake: Condvar) -> Self {
        Self { until, rung, wake }
    }

    /// Reports that something noted before this call is due at `deadline`. Returns whether that is
    /// news to the sleeper, which is then woken.
    #[inline]
    pub(crate) fn say(&self, deadline: u64) -> bool {
        deadline < self.until.load(Ordering::Relaxed) && self.ring(deadline)
    }

    #[cold]
    fn ring(&self, deadline: u64) -> bool {
        let mut rung = lock(&self.rung);
        let news = deadline < self.until.load(Ordering::Relaxed);
        if news {
            *rung = true;
            self.until.store(AWAKE, Ordering::Relaxed);
            self.wake.notify_one();
        }
        news
    }

    /// Called by the sleeper before it looks around: threads that note a deadline from now on ring.
    pub(crate) fn look_around(&self) {
        let mut rung = lock(&self.rung);
        *rung = false;
        self.until.store(ASLEEP, Ordering::Relaxed);
    }

    /// Called by the sleeper after it has looked around. Sleeps until something due before `until`
    /// is reported, or for `span`, if given.
    pub(crate) fn sleep(&self, until: u64, span: Option<Duration>) {
        let mut rung = lock(&self.rung);
        if !*rung {
            self.until.store(until, Ordering::Relaxed);
            rung = wait(&self.wake, rung, span, |rung| !*rung);
        }
        self.until.store(AWAKE, Ordering::Relaxed);
        drop(rung);
    }
}

/// No deadline is before this, so no thread rings.
const AWAKE: u64 = 0;
/// Every deadline is before this.
pub(crate) const ASLEEP: u64 = u64::MAX;
