//! The boundary between this crate and a runtime: all that an adapter has to bring.
//!
//! An adapter implements [`Socket`] and [`Timer`] for its runtime's types and [`Runtime`] once,
//! and hands that to [`Builder::runtime`](crate::Builder::runtime). The work of a connection is
//! done by [`Link::race`], which is generic over the adapter's types: one task a connection, no
//! box and no dynamic call for an operation.
//!
//! The crates `async-caches-tokio`, `async-caches-async-std` and `async-caches-smol` are such
//! adapters; `async-caches-conformance` proves one.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;

use crate::clock::ManualClock;
pub use crate::redis::Link;
pub use async_caches_core::time::Instant;
pub use async_caches_core::url::Endpoint;

/// A future on the heap: what a runtime is asked to spawn.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connected stream socket in non-blocking mode.
///
/// Only the task that drives the link ever calls it, for reading and for writing in turn: a
/// direction that is not ready is asked again when the task is woken, whatever woke it.
pub trait Socket: Send + 'static {
    /// Reads what is there and appends it to `rx`, which has room reserved for what is wanted at
    /// most. Ready with how many bytes that were, zero at the end of the stream; else the task is
    /// woken when reading is worth a try.
    ///
    /// # Errors
    /// Those of the operating system. Any but [`io::ErrorKind::Interrupted`] ends the connection.
    fn poll_read(&mut self, rx: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Writes the first bytes of `tx`, which is not empty. Ready with how many; else the task is
    /// woken when writing is worth a try.
    ///
    /// # Errors
    /// Those of the operating system. Any but [`io::ErrorKind::Interrupted`] ends the connection.
    fn poll_write(&mut self, tx: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}

/// One alarm that can be set anew.
pub trait Timer: Send + 'static {
    /// Ready once it is `at` or later, on the clock of [`Runtime::now`]; else the task is woken
    /// then. `None` is never. Each call replaces what was set before, also the task to be woken.
    ///
    /// After it was ready it is asked again, often with a later instant and sometimes with the same
    /// one: then it is ready at once again. So an alarm that rings once, as a future does, is to be
    /// set anew after it has rung; it must neither panic nor stay pending. One that rings early, or
    /// wakes its task for nothing, costs a poll and nothing else; one that never rings holds up
    /// callers past their deadlines.
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A runtime, as far as a cache needs one. Called on the cold path only, once a connection, but for
/// [`now`](Self::now) and [`poll_budget`](Self::poll_budget).
///
/// # On which thread
///
/// | call | where it is made |
/// |---|---|
/// | [`now`](Self::now), [`seed`](Self::seed), [`is_here`](Self::is_here) | on any thread, also outside of the runtime |
/// | [`spawn`](Self::spawn), [`timer`](Self::timer) | on the thread that connects, or whose call opens the connections again on another runtime, inside of the runtime; for the nodes of a cluster in a task that was spawned. With time of its own, `timer` also on any thread that waits for another's load |
/// | [`dial`](Self::dial) | in a task that was spawned |
/// | [`poll_budget`](Self::poll_budget) | in the task of a caller, on any thread |
///
/// What `dial` starts may stay on the thread that `dial` was called on, as a runtime with a thread for each
/// core wants it: sockets and the future of [`Link::race`] need not move between threads, though they
/// can. Callers on other threads reach a connection through a lock and wake its task, so a waker of
/// that task must work from any thread.
///
/// A panic in any of these calls leaves the cache as it was.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// What time it is, counted from an origin that stays the same.
    fn now(&self) -> Instant;

    /// Whether tasks can be spawned, and timers made, on the thread that asks: `false` for a runtime
    /// that has to be entered, outside of it. Asked before a cache connects, and before a cache whose
    /// runtime has shut down opens its connections on another.
    fn is_here(&self) -> bool {
        true
    }

    /// Runs a task in the background, to its end.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// A number that nobody can foresee, for jitter and for hash tables.
    fn seed(&self) -> u64 {
        crate::seed()
    }

    /// Whether everything that happens on it follows from its own time and seeds, as in a
    /// simulation. A store in memory that is opened on it then goes by its clock as well
    /// ([`has_own_time`](Self::has_own_time)), and no thread takes back what has expired there.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Whether a store in memory that is opened now goes by the clock of [`now`](Self::now), and
    /// callers of `get_or_set` wait by it, instead of the system's clock: because time is simulated,
    /// or paused for a test. Asked when a cache connects.
    fn has_own_time(&self) -> bool {
        self.is_simulated()
    }

    /// The clock that its time is taken from, if that is set by hand.
    #[doc(hidden)]
    fn manual_clock(&self) -> Option<&ManualClock> {
        None
    }

    /// Whether the calling task may do one operation more before others get their turn. Asked
    /// before each operation that waits for nothing: with `locmem://` and `dummy://`, and on a
    /// cache that is not connected. If it is `Pending` the operation has done nothing yet, the task
    /// is to be woken at once, and asks again.
    ///
    /// Without it a loop of such operations would keep its thread for itself: a task that is to end
    /// it, or a timeout around it, would never run. Besides what is decided here, one in 64
    /// operations of a thread gives way, on any runtime that is not
    /// [simulated](Self::is_simulated). A runtime that counts what its tasks do should allow more:
    /// a task that has used up all of it cannot see that an alarm has rung.
    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// An alarm on the clock of [`now`](Self::now).
    fn timer(&self) -> Box<dyn Timer>;

    /// Runs [`link.race(resolve, connect, timer)`](Link::race) in the background, where `resolve` is a
    /// future that asks anew for the addresses of the host in `to`, and `connect` connects to one of
    /// them; for a unix socket [`link.drive(connect, timer)`](Link::drive). A TCP socket is to have
    /// `TCP_NODELAY` set.
    fn dial(&self, to: Endpoint, link: Link);
}

/// Ready once the calling task may do one operation more; see [`Runtime::poll_budget`].
pub(crate) fn poll_turn(runtime: &dyn Runtime, waker: &Waker) -> Poll<()> {
    if runtime.is_simulated() || take_turn() {
        return runtime.poll_budget(&mut Context::from_waker(waker));
    }
    waker.wake_by_ref();
    Poll::Pending
}

/// Whether the thread has an operation left before it is to give way.
fn take_turn() -> bool {
    thread_local! {
        static LEFT: Cell<u8> = const { Cell::new(TURNS) };
    }
    // A thread that is ending has nothing else to run.
    let take = |left: &Cell<u8>| {
        let rest = left.get().checked_sub(1);
        left.set(rest.unwrap_or(TURNS));
        rest.is_some()
    };
    LEFT.try_with(take).unwrap_or(true)
}

/// Half of what tokio allows a task, so that some of that is left for an alarm around it.
const TURNS: u8 = 63;

/// The system's monotonic clock, counted from the moment this was made: what most runtimes'
/// [`Runtime::now`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::ORIGIN + self.0.elapsed()
    }

    /// The same instant on the system's clock; `None` where that cannot name it.
    #[must_use]
    pub fn to_system(&self, at: Instant) -> Option<std::time::Instant> {
        self.0.checked_add(at.since(Instant::ORIGIN))
    }
}

/// What a cache goes by where it waits for no alarm.
#[derive(Clone, Debug)]
pub(crate) enum Time {
    System(Clock),
    Simulated(Arc<dyn Runtime>),
}

impl Time {
    /// That of a runtime which has its own, or else the system's from now on.
    pub(crate) fn of(runtime: &Arc<dyn Runtime>) -> Self {
        match runtime.has_own_time() {
            true => Self::Simulated(Arc::clone(runtime)),
            false => Self::System(Clock::start()),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System(clock) => clock.now(),
            Self::Simulated(runtime) => runtime.now(),
        }
    }
}

/// Appends what a source has to `rx`, for a source that reads into a slice: through a buffer of the thread's, as
/// bytes that were never written cannot be lent out safely.
///
/// # Errors
/// Those of the source.
pub fn read_through(mut source: impl io::Read, rx: &mut BytesMut) -> io::Result<usize> {
    thread_local! {
        static SCRATCH: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; SCRATCH_LEN]);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let room = (rx.capacity() - rx.len()).clamp(1, SCRATCH_LEN);
        let count = source.read(&mut scratch[..room])?;
        rx.extend_from_slice(&scratch[..count]);
        Ok(count)
    })
}

const SCRATCH_LEN: usize = 64 * 1024;
