//! A waker may be the last reference to a task that holds other operations of the cache. If it is
//! dropped under a lock that those take as well, the program hangs.

use std::any::Any;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use async_caches::{Cache, builder};

use super::script::Script;

/// A task whose last reference is its waker.
struct Task(Mutex<Option<Box<dyn Any + Send>>>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Task {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap().take());
    }
}

/// The waker of a task that holds this value.
fn waker_of(held: impl Any + Send) -> Waker {
    Waker::from(Arc::new(Task(Mutex::new(Some(Box::new(held))))))
}

/// Runs `act` on a thread of its own, and panics if it does not end.
fn ends(what: &'static str, act: impl FnOnce() + Send + 'static) {
    let (done, ended): (Sender<()>, _) = mpsc::channel();
    let thread = thread::spawn(move || {
        act();
        drop(done);
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_secs(20)) {
        panic!("{what} locks itself out");
    }
    thread.join().unwrap();
}

fn poll<F: Future + Unpin>(future: &mut F, waker: Waker) -> Poll<F::Output> {
    let outcome = Pin::new(future).poll(&mut Context::from_waker(&waker));
    drop(waker);
    outcome
}

/// An operation that has begun to wait, owned by its caller.
fn begun<F: Future + Unpin + Send + 'static>(mut operation: F) -> F {
    assert!(poll(&mut operation, Waker::noop().clone()).is_pending());
    operation
}

fn leaked(cache: Cache) -> &'static Cache {
    Box::leak(Box::new(cache))
}

/// Polls with the wakers of tasks that hold such an operation: one is replaced, one is left behind.
fn try_wakers<F: Future + Unpin, H: Future + Unpin + Send + 'static>(
    operation: &mut F,
    held: impl Fn() -> H,
) {
    for _ in 0..2 {
        assert!(poll(operation, waker_of(begun(held()))).is_pending());
    }
}

#[test]
fn a_caller_of_a_connection_drops_its_waker_after_the_lock() {
    ends("a command that was sent", || {
        let script = Script::default();
        let cache = leaked(script.connected());
        let mut get = begun(cache.get_raw("a"));
        try_wakers(&mut get, || cache.get_raw("b"));
        drop(get);
        let mut get = begun(cache.get_raw("a"));
        try_wakers(&mut get, || cache.get_raw("b"));
        script.reply(&b"$1\r\nv\r\n".repeat(6));
        assert!(poll(&mut get, waker_of(begun(cache.get_raw("c")))).is_ready());
    });
}

#[test]
fn a_caller_in_the_wait_queue_drops_its_waker_after_the_lock() {
    ends("a caller that waits for room", || {
        let script = Script::default();
        let cache = leaked(script.connected_at("redis://script?maxsize=1&max_in_flight=1"));
        let sent = begun(cache.get_raw("sent"));
        let mut get = begun(cache.get_raw("a"));
        try_wakers(&mut get, || cache.get_raw("b"));
        drop(get);
        let mut get = begun(cache.get_raw("a"));
        try_wakers(&mut get, || cache.get_raw("b"));
        drop(sent);
        // It gets its connection, and so leaves the queue.
        script.reply(b"$1\r\nv\r\n");
        assert!(poll(&mut get, waker_of(begun(cache.get_raw("b")))).is_pending());
    });
}

#[test]
fn a_write_that_waits_for_a_load_drops_its_waker_after_the_lock() {
    ends("a write that is held", || {
        let script = Script::default();
        let cache = leaked(script.connected_at("redis://script?maxsize=1&max_in_flight=1"));
        let mut load = begun(cache.get_or_set("key", async { 1 }));
        script.run();
        script.reply(b"$-1\r\n");
        // It has loaded, and its store is under way.
        assert!(poll(&mut load, Waker::noop().clone()).is_pending());
        script.run();
        let held = || cache.delete("key");
        let mut delete = begun(held());
        try_wakers(&mut delete, held);
        drop(delete);
        let mut delete = begun(held());
        try_wakers(&mut delete, held);
        script.reply(b"+OK\r\n");
        assert!(poll(&mut load, Waker::noop().clone()).is_ready());
        // The queue has the last reference to its waker now.
        assert!(poll(&mut delete, Waker::noop().clone()).is_pending());
    });
}

#[test]
fn a_disconnect_drops_its_waker_after_the_lock() {
    ends("a disconnect", || {
        let script = Script::default();
        let cache = leaked(script.connected_at("redis://script?maxsize=1&max_in_flight=1"));
        let sent = begun(cache.get_raw("sent"));
        let waiting: Vec<_> = (0..2).map(|_| begun(cache.get_raw("a"))).collect();
        let mut disconnect = cache.disconnect();
        for waiting in waiting {
            assert!(poll(&mut disconnect, waker_of(waiting)).is_pending());
        }
        assert!(poll(&mut disconnect, Waker::noop().clone()).is_pending());
        drop((disconnect, sent));
    });
}

#[test]
fn a_caller_of_a_cluster_drops_its_waker_after_the_lock() {
    ends("a caller that waits for a map", || {
        let script = Script::default();
        script.socket.lock().unwrap().is_silent = true;
        let builder = builder("redis-cluster://script").runtime(script.clone());
        let cache = leaked(builder.connect_lazily().unwrap());
        script.run();
        let mut get = begun(cache.get_raw("a"));
        try_wakers(&mut get, || cache.get_raw("b"));
        drop(get);
        let mut load = begun(cache.get_or_set("a", pending::<i32>()));
        try_wakers(&mut load, || cache.get_raw("b"));
    });
}

#[test]
fn no_background_task_drops_its_waker_under_a_lock() {
    for url in ["redis://script", "redis-cluster://script", "redis+sentinel://script/master"] {
        for is_silent in [false, true] {
            ends("a background task", move || {
                let script = Script::default();
                script.socket.lock().unwrap().is_silent = is_silent;
                let builder = builder(url).runtime(script.clone());
                let cache = builder.connect_lazily().unwrap();
                // Each task gets the waker of a task that has the last reference to the cache.
                script.run_with(&waker_of(cache));
                script.run();
            });
        }
    }
}
