//! The map of a cluster is in doubt: who finds that out tells its keeper.

use std::sync::Mutex;
use std::task::{Context, Waker};

use crate::sync::lock;
use crate::waker::Spare;

/// Whether the map is in doubt, and whom that wakes. Knows neither, so that a pool can have it
/// without knowing of clusters.
#[derive(Debug, Default)]
pub(crate) struct Doubt(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    raised: bool,
    keeper: Option<Waker>,
}

impl Doubt {
    /// The map may be wrong.
    pub(crate) fn raise(&self) {
        self.tell(true);
    }

    /// Something else has changed that the keeper is to see.
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

    /// Whether the map was doubted since this was asked last. The keeper is woken once there is more.
    pub(super) fn take(&self, cx: &Context<'_>) -> bool {
        let mut waker = Spare::of(cx);
        let mut told = lock(&self.0);
        waker.put(&mut told.keeper);
        std::mem::take(&mut told.raised)
    }
}
