//! The background task of a cluster. It reads the map when due, starts pools, waits for closing
//! pools, and ends waits whose time is over.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_caches_core::cluster::refresh::RefreshInput;
use async_caches_core::time::Deadline;

use super::fetch::Fetching;
use super::nodes::Nodes;
use crate::redis::{PoolOwner, WaiterId};
use crate::runtime::Timer;
use crate::sync::lock;

/// Runs the cluster's keeper until the cluster and its last pool are closed.
pub(super) fn spawn(nodes: &Arc<Nodes>) {
    let mut keeper =
        ClusterKeeper { nodes: Arc::clone(nodes), fetching: None, leaving: Vec::new() };
    let mut timer = nodes.runtime.timer();
    nodes.runtime.spawn(Box::pin(async move {
        poll_fn(|cx| keeper.keep(timer.as_mut(), cx)).await;
    }));
}

/// A cluster's keeper. Without it no map is read and no wait ends. So when it is dropped, also
/// because its runtime shuts down, the cluster is over.
struct ClusterKeeper {
    nodes: Arc<Nodes>,
    /// The request for the map, while one is under way.
    fetching: Option<Fetching>,
    leaving: Vec<(Arc<PoolOwner>, Option<WaiterId>)>,
}

impl Drop for ClusterKeeper {
    fn drop(&mut self) {
        let mut state = lock(&self.nodes.state);
        state.over = true;
        let woken = state.queue.take_all();
        let never = std::mem::take(&mut state.beginning);
        drop(state);
        never.iter().for_each(|redis| redis.abandon());
        woken.into_iter().for_each(Waker::wake);
    }
}

impl ClusterKeeper {
    fn keep(&mut self, timer: &mut dyn Timer, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let doubted = self.nodes.signal.take(cx);
            let now = self.nodes.now();
            self.fetch(cx);
            let mut state = lock(&self.nodes.state);
            if doubted {
                state.refresh.handle(RefreshInput::Doubted, now);
            }
            let woken = state.queue.expire(now);
            let beginning = std::mem::take(&mut state.beginning);
            let left = state.leaving.drain(..).map(|redis| (redis, None));
            self.leaving.extend(left);
            let (closed, dismissed) = (state.closed, state.dismissed);
            let begun = !closed
                && self.fetching.is_none()
                && match state.refresh.poll(self.nodes.view.load().map(), now) {
                    Some(fetch) => {
                        self.fetching = Some(Fetching::new(fetch, now));
                        true
                    }
                    None => false,
                };
            let line = state.queue.deadline().map(|at| Deadline { at, why: "a caller's wait" });
            let refresh = if closed { None } else { state.refresh.deadline() };
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            // A pool whose start panics is over, and its node gets another when needed.
            for redis in beginning {
                let _ = catch_unwind(AssertUnwindSafe(|| redis.start()));
            }
            if closed && let Some(fetching) = self.fetching.take() {
                self.leaving.extend(fetching.end().map(|redis| (redis, None)));
            }
            self.leaving.retain_mut(|(redis, waiter)| redis.poll_close(waiter, cx).is_pending());
            if dismissed && self.leaving.is_empty() {
                return Poll::Ready(());
            }
            let fetch = self.fetching.as_ref().map(Fetching::deadline);
            let deadline = Deadline::earlier(line, Deadline::earlier(refresh, fetch));
            if !begun && timer.poll_until(deadline.map(|due| due.at), cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Continues the request for the map, if one is under way.
    fn fetch(&mut self, cx: &Context<'_>) {
        let Some(fetching) = &mut self.fetching else { return };
        let Poll::Ready(outcome) = fetching.poll(&self.nodes, cx) else { return };
        match outcome {
            Ok(map) => self.nodes.read(map),
            Err((input, why)) => self.nodes.unread(input, why),
        }
        if let Some(fetching) = self.fetching.take() {
            self.leaving.extend(fetching.end().map(|redis| (redis, None)));
        }
    }
}
