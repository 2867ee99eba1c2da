//! A thread that sleeps until the earliest deadline, started by the first caller that has one.
//!
//! Several callers may come before the thread runs. One of them starts it, and the others wait
//! until that has worked or failed, whichever of them has the earliest deadline: none takes a
//! thread that is being started for one that cannot be. If it cannot, the next caller tries again.
//! Like the [bell](crate::bell), this knows no clock, and takes its locks from `crate::sync`.

use crate::bell::Bell;
use crate::sync::{AtomicBool, Mutex, Ordering, lock};

#[derive(Debug)]
pub(crate) struct Sleeper {
    bell: Bell,
    runs: AtomicBool,
    starting: Mutex<()>,
}

impl Sleeper {
    /// Makes a sleeper of these parts: a new bell, false and a new lock. Not every kind of them can
    /// be made in a constant.
    pub(crate) const fn with(bell: Bell, runs: AtomicBool, starting: Mutex<()>) -> Self {
        Self { bell, runs, starting }
    }

    /// The bell that wakes the thread.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Reports that something noted before this call is due at `deadline`. Returns whether the
    /// thread will see it: false if there is no thread, and `start` could not start one.
    pub(crate) fn expect(&self, deadline: u64, start: impl FnOnce() -> bool) -> bool {
        self.bell.say(deadline);
        // Another caller may be starting the thread, because of an earlier deadline: wait for that.
        self.runs.load(Ordering::Acquire) || self.start(start)
    }

    #[cold]
    fn start(&self, start: impl FnOnce() -> bool) -> bool {
        let one = lock(&self.starting);
        let runs = self.runs.load(Ordering::Acquire) || start();
        self.runs.store(runs, Ordering::Release);
        drop(one);
        runs
    }
}
