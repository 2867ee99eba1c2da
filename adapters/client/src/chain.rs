//! The loads that the running code is part of, and which load waits for which.
//!
//! While a loader is polled, its load is on a stack of the thread: whatever the loader polls, on
//! any runtime, is part of that load. So a follower that is polled inside a loader knows which load
//! waits for it. The graph of those waits spans all caches of the process ([`Waits`]). Only
//! followers inside a load touch it. Work that a loader passes to another task is not polled inside
//! it, and is not known here.

use std::cell::RefCell;
use std::sync::Mutex;

use async_caches_core::flight::{FlightId, Waits};

use crate::sync::lock;

/// The load of one key, in any table of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LoadRef {
    pub(crate) table: u64,
    pub(crate) flight: FlightId,
}

/// While this guard exists, code on this thread is part of a load.
#[derive(Debug)]
pub(crate) struct Inside(());

/// A follower's wait, as far as loads depend on it.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// The loads that the follower was last polled inside of, and the one that they wait for.
    edge: Option<(Box<[LoadRef]>, LoadRef)>,
}

impl Inside {
    /// Makes code on this thread part of this load until the guard is dropped, also by a panic.
    pub(crate) fn enter(node: LoadRef) -> Option<Self> {
        STACK.try_with(|stack| stack.borrow_mut().push(node)).ok().map(|()| Self(()))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = STACK.try_with(|stack| stack.borrow_mut().pop());
    }
}

impl Chain {
    /// Called when a follower of this load, polled on this thread, is about to wait. Returns
    /// whether it may: false if a load would wait for itself.
    pub(crate) fn may_wait(&mut self, on: LoadRef) -> bool {
        STACK.try_with(|stack| self.draw(&stack.borrow(), on)).unwrap_or(true)
    }

    fn draw(&mut self, inside: &[LoadRef], on: LoadRef) -> bool {
        match &self.edge {
            None if inside.is_empty() => return true,
            Some((known, _)) if **known == *inside => return true,
            None | Some(_) => self.end(),
        }
        if inside.is_empty() {
            return true;
        }
        let may = lock(&WAITS).begin(inside, on);
        self.edge = may.then(|| (inside.into(), on));
        may
    }

    /// Ends the follower's wait.
    pub(crate) fn end(&mut self) {
        if let Some((inside, on)) = self.edge.take() {
            lock(&WAITS).end(&inside, on);
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.end();
    }
}

thread_local! {
    static STACK: RefCell<Vec<LoadRef>> = const { RefCell::new(Vec::new()) };
}

static WAITS: Mutex<Waits<LoadRef>> = Mutex::new(Waits::new());
