//! A runtime whose time is that of a manual clock.

use std::sync::Arc;
use std::task::{Context, Poll};

use async_caches_core::time::{Instant, WallTime};
use async_caches_core::url::Endpoint;

use crate::clock::{ManualAlarm, ManualClock};
use crate::runtime::{BoxFuture, ConnectionTask, Runtime, Timer};
use crate::seed;

/// A runtime, if the cache has one, with the time of a manual clock.
#[derive(Debug)]
pub(crate) struct ByHand {
    pub(crate) clock: ManualClock,
    pub(crate) runtime: Option<Arc<dyn Runtime>>,
}

impl Runtime for ByHand {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn wall_time(&self) -> WallTime {
        self.clock.wall_time()
    }

    fn is_here(&self) -> bool {
        self.runtime.as_ref().is_none_or(|runtime| runtime.is_here())
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }

    fn seed(&self) -> u64 {
        self.runtime.as_ref().map_or_else(seed::new, |runtime| runtime.seed())
    }

    fn is_simulated(&self) -> bool {
        self.runtime.as_ref().is_none_or(|runtime| runtime.is_simulated())
    }

    fn has_own_time(&self) -> bool {
        true
    }

    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.runtime {
            Some(runtime) => runtime.poll_budget(cx),
            None => Poll::Ready(()),
        }
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(ManualAlarm::of(&self.clock))
    }

    fn dial(&self, to: Endpoint, connection: ConnectionTask) {
        if let Some(runtime) = &self.runtime {
            runtime.dial(to, connection);
        }
    }

    fn manual_clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

impl Timer for ManualAlarm {
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(at, cx)
    }
}
