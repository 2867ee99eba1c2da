//! Callers that wait for the loads of others, on a cache without a runtime.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use async_caches::{Cache, open};

/// The smallest possible runtime: a thread that polls one future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn cache(url: &str) -> Cache {
    let cache = open(url).unwrap();
    block_on(cache.connect()).unwrap();
    cache
}

#[test]
fn a_follower_without_a_runtime_ends_after_load_wait() {
    let cache = cache("locmem://follower-without-a-runtime?load_wait=0.02");
    let mut kept = Box::pin(cache.get_or_set("key", pending::<i32>()));
    assert!(is_pending(&mut kept));
    for n in 0..3 {
        // The alarm's thread has slept in between, also without any deadline.
        assert_eq!(block_on(cache.get_or_set("key", async { n })).unwrap(), n);
        assert!(block_on(cache.delete("key")).unwrap());
        kept = Box::pin(cache.get_or_set("key", pending::<i32>()));
        assert!(is_pending(&mut kept));
    }
}

#[test]
fn a_shorter_wait_is_not_delayed_by_a_longer_one() {
    let cache = cache("locmem://a-shorter-wait?load_wait=3600");
    let mut kept = Box::pin(cache.get_or_set("key", pending::<i32>()));
    let mut long = Box::pin(cache.get_or_set("key", pending::<i32>()));
    assert!(is_pending(&mut kept) && is_pending(&mut long));
    let short = cache.get_or_set("key", async { 1 }).load_wait(Duration::from_millis(20));
    assert_eq!(block_on(short).unwrap(), 1);
}

/// A task whose last reference is its waker, and which holds another operation.
struct Task(Mutex<Option<Box<dyn std::any::Any + Send>>>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Task {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap().take());
    }
}

/// Runs `act` on a thread of its own, and panics if it does not end.
fn ends(what: &'static str, act: impl FnOnce() + Send + 'static) {
    let (done, ended): (Sender<()>, _) = mpsc::channel();
    let thread = thread::spawn(move || {
        act();
        drop(done);
    });
    let timeout = Duration::from_secs(20);
    if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(timeout) {
        panic!("{what} locks itself out");
    }
    thread.join().unwrap();
}

/// A waker that is the last reference to a task which follows a load.
fn last_reference(cache: &'static Cache) -> Waker {
    let mut operation = Box::pin(cache.get_or_set("key", pending::<i32>()));
    assert!(is_pending(&mut operation));
    Waker::from(Arc::new(Task(Mutex::new(Some(Box::new(operation))))))
}

fn poll_with<F: Future + Unpin>(future: &mut F, waker: Waker) {
    assert!(Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
}

#[test]
fn a_follower_drops_its_waker_after_the_lock() {
    ends("a waker that is displaced", || {
        let cache: &'static Cache = Box::leak(Box::new(cache("locmem://wakers-displaced")));
        let mut leader = Box::pin(cache.get_or_set("key", pending::<i32>()));
        assert!(is_pending(&mut leader));
        let mut follower = Box::pin(cache.get_or_set("key", pending::<i32>()));
        poll_with(&mut follower, last_reference(cache));
        // Replaced by another one, and left behind.
        poll_with(&mut follower, last_reference(cache));
        drop(follower);
        // Not needed, as there is a value.
        let mut follower = Box::pin(cache.get_or_set("key", pending::<i32>()));
        poll_with(&mut follower, last_reference(cache));
        // The heir is woken, and its new waker is not needed.
        drop(leader);
        drop(follower);
    });
}
