//! A signal to the cluster's keeper that the map is in doubt.

use std::sync::Mutex;
use std::task::{Context, Waker};

use crate::sync::lock;
use crate::waker::Spare;

/// Whether the map is in doubt, and the waker of the keeper. It knows neither maps nor keepers, so
/// that a pool can hold it without knowing of clusters.
#[derive(Debug, Default)]
pub(crate) struct Doubt(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    raised: bool,
    keeper: Option<Waker>,
}

impl Doubt {
    /// Marks the map as possibly wrong.
    pub(crate) fn raise(&self) {
        self.tell(true);
    }

    /// Wakes the keeper for another change.
    pub(super) fn wake(&self) {
        self.tell(false);
    }

    fn tell(&self, raised: bool) {
        let mut told = lock(&self.0);
        told.raised |= raised;
        let keeper = told.keeper.take();
        drop(told);
        if let Some(keeper) = keeper {
            keeper.wake();
        }
    }

    /// Whether the map was doubted since the last call. The keeper is woken on the next change.
    pub(super) fn take(&self, cx: &Context<'_>) -> bool {
        let mut waker = Spare::of(cx);
        let mut told = lock(&self.0);
        waker.put(&mut told.keeper);
        std::mem::take(&mut told.raised)
    }
}
