//! Operations that do not wait first ask the runtime whether it is the task's turn.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Timer};
use async_caches::{Builder, Cache, builder};

/// A runtime that grants this many turns, and keeps all other defaults.
#[derive(Clone, Debug)]
struct Turns(Arc<AtomicU32>);

impl Runtime for Turns {
    fn now(&self) -> Instant {
        Instant::ORIGIN
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {}

    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        let take = |left: u32| left.checked_sub(1);
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(_) => Poll::Ready(()),
            Err(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn timer(&self) -> Box<dyn Timer> {
        unreachable!("nothing waits")
    }

    fn dial(&self, _: Endpoint, _: ConnectionTask) {}
}

/// A runtime that keeps the default for turns.
#[derive(Debug)]
struct Plain;

impl Runtime for Plain {
    fn now(&self) -> Instant {
        Instant::ORIGIN
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {}

    fn timer(&self) -> Box<dyn Timer> {
        unreachable!("nothing waits")
    }

    fn dial(&self, _: Endpoint, _: ConnectionTask) {}
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn connected(builder: Builder) -> Cache {
    let cache = builder.build().unwrap();
    assert!(poll(&mut pin!(cache.connect())).is_ready());
    cache
}

#[test]
fn an_operation_that_waits_for_its_turn_has_done_nothing() {
    let turns = Turns(Arc::default());
    let cache = connected(builder("locmem://turns").runtime(turns.clone()));
    let mut add = cache.add("key", 1);
    assert!(poll(&mut add).is_pending() && poll(&mut add).is_pending());
    drop(add);
    assert_eq!(cache.stats().unwrap().insertions, 0);
    let mut incr = cache.incr("key", 1);
    assert!(poll(&mut incr).is_pending());
    let mut set = cache.set("key", 1);
    assert!(poll(&mut set).is_pending());
    turns.0.store(2, Ordering::SeqCst);
    assert!(matches!(poll(&mut set), Poll::Ready(Ok(()))));
    assert!(matches!(poll(&mut incr), Poll::Ready(Ok(sum)) if sum == 2));
    assert_eq!(turns.0.load(Ordering::SeqCst), 0, "a turn for each");
}

#[test]
fn one_in_64_operations_of_a_thread_yields_and_wakes_its_task() {
    for url in ["locmem://default", "dummy://"] {
        let cache = connected(builder(url).runtime(Plain));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut pending = 0;
        for _ in 0..640 {
            let mut get = cache.get_raw("key");
            let poll = Pin::new(&mut get).poll(&mut Context::from_waker(&waker));
            pending += u32::from(poll.is_pending());
        }
        assert_eq!((pending, woken.0.load(Ordering::SeqCst)), (10, 10), "{url}");
    }
}

#[test]
fn without_a_runtime_every_operation_completes_on_its_first_poll() {
    for url in ["locmem://without", "dummy://"] {
        let cache = connected(builder(url));
        for _ in 0..1000 {
            assert!(poll(&mut cache.get_raw("key")).is_ready());
            assert!(poll(&mut cache.set("key", 1)).is_ready());
        }
    }
}
