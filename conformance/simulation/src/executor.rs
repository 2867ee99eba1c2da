//! Runs tasks one at a time, in an order that a seed draws.
//!
//! Any of the woken tasks may be next. Now and then a task is polled that was not woken, as a
//! future must tolerate. It knows no time.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use async_caches::runtime::BoxFuture;
use async_caches_conformance::random::Random;

use crate::world::lock;

/// The tasks.
#[derive(Default)]
pub(crate) struct Executor {
    tasks: Vec<Option<Task>>,
    ready: Arc<Ready>,
    alive: usize,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// Whether the client has spawned it, on the runtime that it was given.
    of_runtime: bool,
    waker: Waker,
    wake: Arc<Woken>,
}

/// The woken tasks, and the spawned tasks that are not taken in yet.
#[derive(Default)]
pub(crate) struct Ready {
    woken: Mutex<Vec<Arc<Woken>>>,
    spawned: Mutex<Vec<BoxFuture<'static, ()>>>,
}

struct Woken {
    task: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready.woken).push(Arc::clone(self));
        }
    }
}

impl Ready {
    /// Spawns a task from any place, also from inside a poll.
    pub(crate) fn spawn(&self, task: BoxFuture<'static, ()>) {
        lock(&self.spawned).push(task);
    }
}

impl Executor {
    /// The handle through which tasks are woken and spawned.
    pub(crate) fn ready(&self) -> Arc<Ready> {
        Arc::clone(&self.ready)
    }

    /// Spawns a task.
    pub(crate) fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.take_in(Box::pin(future), false);
    }

    /// How many tasks have not ended.
    pub(crate) fn alive(&mut self) -> usize {
        self.take_in_spawned();
        self.alive
    }

    /// Polls one task. Returns whether there was one to poll.
    pub(crate) fn step(&mut self, random: &mut Random, unasked: u64) -> bool {
        self.take_in_spawned();
        let chosen = {
            let mut woken = lock(&self.ready.woken);
            match woken.len() {
                0 => return false,
                1 => woken.pop(),
                many => {
                    let at = random.below(many as u64) as usize;
                    Some(woken.swap_remove(at))
                }
            }
        };
        if let Some(chosen) = chosen {
            chosen.queued.store(false, Ordering::Relaxed);
            self.poll(chosen.task);
        }
        if unasked > 0 && random.below(unasked) == 0 {
            let any = random.below(self.tasks.len() as u64) as usize;
            self.poll(any);
        }
        true
    }

    /// Drops all tasks that the client has spawned, as a runtime does that is shut down.
    pub(crate) fn shut_down(&mut self) {
        self.take_in_spawned();
        let of_runtime = |task: &mut Task| task.of_runtime;
        let gone: Vec<_> =
            self.tasks.iter_mut().filter_map(|task| task.take_if(of_runtime)).collect();
        self.alive -= gone.len();
    }

    fn poll(&mut self, index: usize) {
        let Some(Some(task)) = self.tasks.get_mut(index) else { return };
        let mut cx = Context::from_waker(&task.waker);
        if task.future.as_mut().poll(&mut cx).is_ready() {
            self.tasks[index] = None;
            self.alive -= 1;
        }
    }

    fn take_in_spawned(&mut self) {
        let spawned = std::mem::take(&mut *lock(&self.ready.spawned));
        spawned.into_iter().for_each(|future| self.take_in(future, true));
    }

    fn take_in(&mut self, future: Pin<Box<dyn Future<Output = ()>>>, of_runtime: bool) {
        let (task, ready) = (self.tasks.len(), Arc::clone(&self.ready));
        let wake = Arc::new(Woken { task, queued: AtomicBool::new(false), ready });
        wake.wake_by_ref();
        let waker = Waker::from(Arc::clone(&wake));
        self.tasks.push(Some(Task { future, of_runtime, waker, wake }));
        self.alive += 1;
    }

    /// Drops all tasks.
    pub(crate) fn abandon(&mut self) {
        self.take_in_spawned();
        for task in self.tasks.drain(..).flatten() {
            task.wake.queued.store(true, Ordering::Relaxed);
        }
        lock(&self.ready.woken).clear();
        self.alive = 0;
    }
}
