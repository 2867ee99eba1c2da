//! One sleeper, and many who may know of something that is due before it means to wake.
//!
//! Who notes a deadline somewhere, under whatever lock guards it, then says so here; that costs a
//! look at one number, unless the sleeper would come too late. The sleeper says that it is about to
//! look around, looks at all deadlines under their locks, and sleeps until the earliest.
//!
//! No deadline is missed: one that was noted before the sleeper came by its lock was seen, and who
//! notes one after that has, through the same lock, seen that the sleeper was looking around or
//! later news, and rings. So the number needs no ordering of its own. It knows no clock and no
//! thread, and takes its locks from `crate::sync`, so that a test can put others in their place.

use std::time::Duration;

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, lock, wait};

#[derive(Debug)]
pub(crate) struct Bell {
    /// Up to when the sleeper has nothing to be told: it sleeps no longer than until then. Zero
    /// while it is awake and has yet to look around.
    until: AtomicU64,
    rung: Mutex<bool>,
    wake: Condvar,
}

impl Bell {
    /// A bell of these parts: false, [`ASLEEP`] and a new one, which not everywhere can be made in
    /// a constant.
    pub(crate) const fn with(rung: Mutex<bool>, until: AtomicU64, wake: Condvar) -> Self {
        Self { until, rung, wake }
    }

    /// Says that something noted before this call is due at `deadline`. Answers whether that is
    /// news to the sleeper, who is then woken.
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

    /// The sleeper is about to look around: whoever notes a deadline from now on rings.
    pub(crate) fn look_around(&self) {
        let mut rung = lock(&self.rung);
        *rung = false;
        self.until.store(ASLEEP, Ordering::Relaxed);
    }

    /// The sleeper has looked around and sleeps until it is told of something due before `until`,
    /// or for `span` if that is not for ever.
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

/// Nothing is due before this, so nobody rings.
const AWAKE: u64 = 0;
/// Everything is due before this.
pub(crate) const ASLEEP: u64 = u64::MAX;
