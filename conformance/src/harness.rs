//! What a runtime must offer to be tested: four things, none of them generic.

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
pub trait Harness: Send + Sync {
    /// The adapter's builder for this URL.
    fn builder(&self, url: &str) -> Builder;

    /// Runs a test on the runtime until it is done, on the calling thread; a panic of the test is
    /// passed on.
    fn block_on(&self, test: LocalBoxFuture<()>);

    /// Runs a task beside the test, which may end before the task does.
    fn spawn(&self, task: BoxFuture<()>);

    /// Ends no earlier than `span` from now.
    fn sleep(&self, span: Duration) -> BoxFuture<()>;
}
