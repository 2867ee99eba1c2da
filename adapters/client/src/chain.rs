//! Which loads the code that runs now is part of, and which of them wait for which.
//!
//! While a loader is polled its load is on a stack of the thread: whatever it polls, on whichever
//! runtime, is part of that load. So a follower that is polled inside a loader knows for whom it
//! waits. The graph of those waits spans all caches of the process ([`Waits`]); it is touched only
//! by followers inside a load. What a loader hands to another task is not polled inside it, and is
//! not known here.

use std::cell::RefCell;
use std::sync::Mutex;

use async_caches_core::flight::{FlightId, Waits};

use crate::sync::lock;

/// The load of one key, in any table of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Node {
    pub(crate) table: u64,
    pub(crate) flight: FlightId,
}

/// While this is there, what runs on this thread is part of a load.
#[derive(Debug)]
pub(crate) struct Inside(());

/// A follower's wait, as far as loads depend on it.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// The loads that the follower was last polled inside of, and the one that they wait for.
    edge: Option<(Box<[Node]>, Node)>,
}

impl Inside {
    /// What this thread runs is part of this load until the guard is dropped, by a panic too.
    pub(crate) fn enter(node: Node) -> Option<Self> {
        STACK.try_with(|stack| stack.borrow_mut().push(node)).ok().map(|()| Self(()))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = STACK.try_with(|stack| stack.borrow_mut().pop());
    }
}

impl Chain {
    /// A follower of this load is about to wait, polled from here. Returns whether it may: not if a
    /// load would wait for itself.
    pub(crate) fn may_wait(&mut self, on: Node) -> bool {
        STACK.try_with(|stack| self.draw(&stack.borrow(), on)).unwrap_or(true)
    }

    fn draw(&mut self, inside: &[Node], on: Node) -> bool {
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

    /// The follower waits no more.
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
    static STACK: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
}

static WAITS: Mutex<Waits<Node>> = Mutex::new(Waits::new());
