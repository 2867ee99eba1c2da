//! The interface that a runtime implements to be tested: four functions, not one of them generic.

use std::pin::Pin;
use std::time::Duration;

use async_caches::Builder;

/// A boxed future that may move between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A boxed future that stays on its thread.
pub type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A runtime and its adapter, as the suite needs them.
///
/// The suite calls [`block_on`](Self::block_on) once a test, from a thread of its own, and
/// everything else from inside of it. An implementation is a value without state: a runtime that
/// must be built is built in `block_on`, and is entered there.
///
/// The suite demands of a runtime that
///
/// * a task which wakes itself and returns `Pending` lets all other tasks run, and lets timers and
///   sockets report, before it is polled again. If a runtime always serves ready tasks first, the
///   cases that wait by turns never end;
/// * spawned tasks go on while the test waits, and a panic in one ends no other;
/// * `sleep` is woken within some tens of milliseconds of its end on a machine that is not
///   overloaded.
///
/// Each case has 90 seconds by the runtime's own timer. A thread of the suite ends the process,
/// with the name of the case, if a case is not over after 180 seconds.
pub trait Harness: Send + Sync {
    /// The adapter's builder for this URL.
    fn builder(&self, url: &str) -> Builder;

    /// Runs a test on the runtime until it is done, on the calling thread. A panic of the test is
    /// passed on.
    fn block_on(&self, test: LocalBoxFuture<()>);

    /// Runs a task beside the test, which may end before the task does.
    fn spawn(&self, task: BoxFuture<()>);

    /// A future that ends no earlier than `span` from now.
    fn sleep(&self, span: Duration) -> BoxFuture<()>;
}
