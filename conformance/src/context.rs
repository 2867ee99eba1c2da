//! The context of a case: a namespace of its own on one backend, and a runtime to use it on.

use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context as Wakers, Poll, Waker};
use std::time::{Duration, Instant};

use async_caches::{Builder, Cache};

use crate::backend::{Backend, PASSWORD, Place};
use crate::harness::Harness;
use crate::raw::Raw;
use crate::server::{Server, Setup};
use crate::tell::tell;

/// A runtime, a backend, and a namespace there that no other test uses. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    harness: &'static dyn Harness,
    place: Arc<Place>,
}

impl Context {
    pub(crate) fn new(harness: &'static dyn Harness, place: Place) -> Self {
        Self { harness, place: Arc::new(place) }
    }

    /// A context for a program that starts its servers itself.
    ///
    /// # Panics
    /// Never: the backend needs no server.
    #[must_use]
    pub fn without_server(harness: &'static dyn Harness) -> Self {
        Self::new(harness, Place::new(Backend::Dummy).expect("it is always there"))
    }

    /// The backend of this test.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.place.backend
    }

    /// The URL of this test's own namespace.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.place.url
    }

    /// The same URL with options behind it, such as `timeout=60&version=2`.
    #[must_use]
    pub fn url_with(&self, options: &str) -> String {
        let mark = if self.url().contains('?') { '&' } else { '?' };
        format!("{}{mark}{options}", self.url())
    }

    /// The adapter's builder for this test's own namespace.
    pub fn builder(&self) -> Builder {
        self.builder_of(self.url())
    }

    /// The adapter's builder for any URL.
    pub fn builder_of(&self, url: &str) -> Builder {
        self.harness.builder(url)
    }

    /// A connected cache in this test's own namespace.
    pub async fn cache(&self) -> Cache {
        connected(self.builder()).await
    }

    /// A connected cache in this test's own namespace, with options as a URL's query has them.
    pub async fn cache_with(&self, options: &str) -> Cache {
        connected(self.builder_of(&self.url_with(options))).await
    }

    /// The shared server behind the backend.
    ///
    /// # Panics
    /// When the backend is not a server.
    #[must_use]
    pub fn server(&self) -> &'static Server {
        self.place.server().expect("the backend is a server")
    }

    /// Starts a server of this test's own, of the backend's kind. It demands a password, so that
    /// every error and message could leak one.
    ///
    /// # Panics
    /// When the backend is not a server, or the server does not start.
    #[must_use]
    pub fn start(&self, setup: &Setup) -> Server {
        let kind = self.backend().kind().expect("the backend is a server");
        let setup = self.backend().complete(setup.clone().password_or(PASSWORD));
        Server::start(kind, &setup)
    }

    /// A raw connection to this test's own database of the shared server, or to all nodes of its
    /// cluster.
    ///
    /// # Panics
    /// When the backend is not a server, or the server does not answer.
    #[must_use]
    pub fn raw(&self) -> Raw {
        self.place.raw().expect("the backend is a server")
    }

    /// Waits for `span`.
    pub async fn sleep(&self, span: Duration) {
        self.harness.sleep(span).await;
    }

    /// Runs a task beside the test.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let seat = Arc::<Mutex<Seat<T>>>::default();
        let end = seat.clone();
        let mut task = Box::pin(task);
        self.harness.spawn(Box::pin(async move {
            // Caught here because runtimes differ in what they do with a task's panic.
            let outcome = std::future::poll_fn(|cx| {
                end.lock().expect("no panic happens under this lock").polls += 1;
                match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
                    Ok(poll) => poll.map(Ok),
                    Err(panic) => Poll::Ready(Err(panic)),
                }
            });
            let outcome = outcome.await;
            drop(task);
            let mut seat = end.lock().expect("no panic happens under this lock");
            seat.outcome = Some(outcome);
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }));
        Task { seat }
    }

    /// The output of `future`, which must come within `limit`; the output is printed.
    ///
    /// # Panics
    /// When it does not come in time. The message names `what` took too long.
    pub async fn within<T: Debug>(
        &self,
        limit: Duration,
        what: &str,
        future: impl Future<Output = T>,
    ) -> T {
        let output = self.in_time(limit, what, future).await;
        tell(what, &output);
        output
    }

    /// The output of `future`, which must come within `limit`.
    ///
    /// # Panics
    /// When it does not come in time. The message names `what` took too long.
    pub async fn in_time<T>(
        &self,
        limit: Duration,
        what: &str,
        future: impl Future<Output = T>,
    ) -> T {
        let mut future = pin!(future);
        let mut alarm = self.harness.sleep(limit);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => match alarm.as_mut().poll(cx) {
                Poll::Ready(()) => panic!("{what} took longer than {limit:?}"),
                Poll::Pending => Poll::Pending,
            },
        })
        .await
    }

    /// Waits until each of these tasks waits for something: all were polled, and none was polled
    /// again for a while, however busy the machine is with other tasks.
    ///
    /// # Panics
    /// When some task is polled again and again for ten seconds.
    pub async fn settled<T>(&self, tasks: &[Task<T>]) {
        let polls = || tasks.iter().map(Task::polls).collect::<Vec<_>>();
        let mut before = Vec::new();
        self.until("the tasks wait", async || {
            self.sleep(STILL).await;
            let now = polls();
            let is_still = now == before && !now.contains(&0);
            before = now;
            is_still
        })
        .await;
    }

    /// Waits until `holds` returns true; calls it every few milliseconds for up to ten seconds.
    ///
    /// # Panics
    /// When it never returns true. The message names `what` was waited for.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let start = Instant::now();
        while !holds().await {
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            self.sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Connects what a builder builds.
///
/// # Panics
/// When it cannot be built or connected.
pub async fn connected(builder: Builder) -> Cache {
    let cache = builder.connect().await.expect("the cache connects");
    tell("connected", &cache);
    cache
}

/// A task beside the test. Awaiting it returns the task's output or passes its panic on. A task
/// whose handle is dropped runs on.
pub struct Task<T> {
    seat: Arc<Mutex<Seat<T>>>,
}

struct Seat<T> {
    polls: usize,
    outcome: Option<Result<T, Box<dyn Any + Send>>>,
    waker: Option<Waker>,
}

impl<T> Default for Seat<T> {
    fn default() -> Self {
        Self { polls: 0, outcome: None, waker: None }
    }
}

impl<T> Task<T> {
    /// Whether the task is done.
    ///
    /// # Panics
    /// Never: nothing panics under its lock.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.seat.lock().expect("no panic happens under this lock").outcome.is_some()
    }

    fn polls(&self) -> usize {
        self.seat.lock().expect("no panic happens under this lock").polls
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Wakers<'_>) -> Poll<T> {
        let mut seat = self.seat.lock().expect("no panic happens under this lock");
        match seat.outcome.take() {
            Some(Ok(output)) => Poll::Ready(output),
            Some(Err(panic)) => {
                drop(seat);
                // On a runtime's own thread libtest attributes the panic's output to another test.
                tell("a task panicked", &message(&*panic));
                resume_unwind(panic)
            }
            None => {
                seat.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
}

const PATIENCE: Duration = Duration::from_secs(10);
const STILL: Duration = Duration::from_millis(20);
