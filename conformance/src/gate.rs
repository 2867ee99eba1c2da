//! A gate at which a task waits. A test learns that the task has reached it, and lets the task go
//! on.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use async_caches::Cache;

use crate::context::{Context, Task};

/// A closed gate; clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    reached: bool,
    open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    /// Waits until the gate is open.
    pub async fn pass(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            state.reached = true;
            if state.open {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits until a task is at the gate.
    pub async fn reached(&self, cx: &Context) {
        cx.until("the gate is reached", async || self.lock().reached).await;
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        let mut state = self.lock();
        state.open = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }
}

/// Spawns a caller that loads `value` for `key`, and waits until its loader is at a gate.
pub async fn held_load(
    cx: &Context,
    cache: &Cache,
    key: &'static str,
    value: i32,
) -> (Gate, Task<i32>) {
    let gate = Gate::default();
    let (inner, cache) = (gate.clone(), cache.clone());
    let load = cx.spawn(async move {
        let loader = async {
            inner.pass().await;
            value
        };
        cache.get_or_set(key, loader).await.unwrap()
    });
    gate.reached(cx).await;
    (gate, load)
}
