//! A waker on its way to a place that a lock guards.

use std::task::{Context, Waker};

/// A waker that was cloned before a lock is taken; afterwards, the one that it has replaced.
///
/// To clone or drop a waker runs code of a runtime, which may come back to the lock: if the waker
/// is the last reference to a task, dropping it drops the operations of that task. So declare this
/// *before* the guard of the lock. It is then dropped after the guard, also on an early return.
#[derive(Debug, Default)]
pub(crate) struct Spare(Option<Waker>);

impl Spare {
    pub(crate) fn of(cx: &Context<'_>) -> Self {
        Self(Some(cx.waker().clone()))
    }

    /// Replaces the waker by one of this task, unless it wakes this task already.
    pub(crate) fn renew(&mut self, cx: &Context<'_>) {
        if !self.wakes(cx.waker()) {
            self.0 = Some(cx.waker().clone());
        }
    }

    /// Stores the waker in `place`, unless one of the same task is there.
    pub(crate) fn put(&mut self, place: &mut Option<Waker>) {
        match place {
            Some(kept) if self.wakes(kept) => {}
            place => std::mem::swap(place, &mut self.0),
        }
    }

    /// Stores the waker by calling `put`, and keeps the waker that `put` returns.
    pub(crate) fn put_by(&mut self, put: impl FnOnce(Waker) -> Option<Waker>) {
        if let Some(waker) = self.0.take() {
            self.0 = put(waker);
        }
    }

    fn wakes(&self, other: &Waker) -> bool {
        self.0.as_ref().is_some_and(|waker| waker.will_wake(other))
    }
}
