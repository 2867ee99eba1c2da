//! A signal to the cluster's keeper that the map is in doubt.

use std::sync::Mutex;
use std::task::{Context, Waker};

use crate::sync::lock;
use crate::waker::Spare;

/// Whether the map is in doubt, and the waker of the keeper. It knows neither maps nor keepers, so
/// that a pool can hold it without knowing of clusters.
#[derive(Debug, Default)]
pub(crate) struct RefreshSignal(Mutex<SignalState>);

#[derive(Debug, Default)]
struct SignalState {
    raised: bool,
    keeper: Option<Waker>,
}

impl RefreshSignal {
    /// Marks the map as possibly wrong.
    pub(crate) fn raise(&self) {
        self.notify(true);
    }

    /// Wakes the keeper for another change.
    pub(crate) fn wake(&self) {
        self.notify(false);
    }

    fn notify(&self, raised: bool) {
        let mut state = lock(&self.0);
        state.raised |= raised;
        let keeper = state.keeper.take();
        drop(state);
        if let Some(keeper) = keeper {
            keeper.wake();
        }
    }

    /// Whether the map was doubted since the last call. The keeper is woken on the next change.
    pub(crate) fn take(&self, cx: &Context<'_>) -> bool {
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.0);
        waker.put(&mut state.keeper);
        std::mem::take(&mut state.raised)
    }
}
