//! The boundary between this crate and a runtime: everything that an adapter implements.
//!
//! An adapter implements [`Socket`] and [`Timer`] for its runtime's types and [`Runtime`] once, and
//! passes the latter to [`Builder::runtime`](crate::Builder::runtime). The work of a connection is
//! done by [`ConnectionTask::race`], which is generic over the adapter's types: one task per
//! connection, and no allocation and no dynamic call per operation.
//!
//! The crates `async-caches-tokio`, `async-caches-async-std` and `async-caches-smol` are such
//! adapters; `async-caches-conformance` tests an adapter.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;

use crate::clock::{FIXED_DAY, ManualClock};
use crate::seed;
pub use async_caches_core::time::{Instant, WallTime};
pub use async_caches_core::url::Endpoint;

/// A future on the heap, as passed to [`Runtime::spawn`].
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connected stream socket in non-blocking mode.
///
/// Only the task that drives the connection calls it, for reading and for writing in turn. A
/// direction that is not ready is polled again when the task is woken, whatever woke it.
///
/// ```
/// use async_caches::runtime::Socket;
/// use bytes::BytesMut;
/// use std::io::{self, IoSlice};
/// use std::task::{Context, Poll, Waker};
///
/// /// Sends everything back. It need not wake a task, as it is read only after it was written.
/// struct Echo(BytesMut);
///
/// impl Socket for Echo {
///     fn poll_read(&mut self, rx: &mut BytesMut, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
///         if self.0.is_empty() {
///             return Poll::Pending;
///         }
///         rx.extend_from_slice(&self.0);
///         let count = self.0.len();
///         self.0.clear();
///         Poll::Ready(Ok(count))
///     }
///
///     fn poll_write(&mut self, tx: &[IoSlice<'_>], _: &mut Context<'_>) -> Poll<io::Result<usize>> {
///         tx.iter().for_each(|piece| self.0.extend_from_slice(piece));
///         Poll::Ready(Ok(tx.iter().map(|piece| piece.len()).sum()))
///     }
/// }
///
/// let (mut socket, mut rx) = (Echo(BytesMut::new()), BytesMut::new());
/// let mut cx = Context::from_waker(Waker::noop());
/// let tx = [IoSlice::new(b"PING"), IoSlice::new(b"\r\n")];
/// assert!(matches!(socket.poll_write(&tx, &mut cx), Poll::Ready(Ok(6))));
/// assert!(matches!(socket.poll_read(&mut rx, &mut cx), Poll::Ready(Ok(6))));
/// assert_eq!(rx, "PING\r\n");
/// ```
pub trait Socket: Send + 'static {
    /// Reads the available bytes and appends them to `rx`, which has room reserved for the most
    /// that is wanted. Ready with the number of bytes, zero at the end of the stream. Otherwise the
    /// task is woken when reading is worth a try.
    ///
    /// # Errors
    /// The operating system's errors. Any but [`io::ErrorKind::Interrupted`] ends the connection.
    fn poll_read(&mut self, rx: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Writes the first bytes of `tx`, which is not empty. Ready with their number. Otherwise the
    /// task is woken when writing is worth a try.
    ///
    /// # Errors
    /// The operating system's errors. Any but [`io::ErrorKind::Interrupted`] ends the connection.
    fn poll_write(&mut self, tx: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}

/// A timer that can be reset.
///
/// ```
/// use async_caches::runtime::{Clock, Instant, Timer};
/// use std::task::{Context, Poll, Waker};
///
/// /// A thread for each poll. A runtime has something better.
/// struct Threads(Clock);
///
/// impl Timer for Threads {
///     fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
///         let Some(at) = at else { return Poll::Pending };
///         let left = at.since(self.0.now());
///         if left.is_zero() {
///             return Poll::Ready(());
///         }
///         let waker = cx.waker().clone();
///         std::thread::spawn(move || {
///             std::thread::sleep(left);
///             waker.wake();
///         });
///         Poll::Pending
///     }
/// }
///
/// let (clock, mut cx) = (Clock::start(), Context::from_waker(Waker::noop()));
/// let mut timer = Threads(clock);
/// assert!(timer.poll_until(None, &mut cx).is_pending());
/// let now = clock.now();
/// assert!(timer.poll_until(Some(now), &mut cx).is_ready());
/// assert!(timer.poll_until(Some(now), &mut cx).is_ready()); // and once more
/// ```
pub trait Timer: Send + 'static {
    /// Ready once it is `at` or later, on the clock of [`Runtime::now`]; otherwise the task is
    /// woken then. `None` means never. Each call replaces the instant set before, and the task to
    /// be woken.
    ///
    /// After it was ready it is polled again, often with a later instant and sometimes with the
    /// same one. For the same one it must be ready at once again. So a timer that fires only once,
    /// as a future does, must be reset after it has fired; it must neither panic nor stay pending.
    /// A timer that fires early, or wakes its task for nothing, costs a poll and nothing else. A
    /// timer that never fires holds up callers past their deadlines.
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A runtime, as far as a cache needs one. Called on the cold path only, once per connection,
/// except for [`now`](Self::now) and [`poll_budget`](Self::poll_budget).
///
/// # Threads
///
/// | call | thread |
/// |---|---|
/// | [`now`](Self::now), [`wall_time`](Self::wall_time), [`seed`](Self::seed), [`is_here`](Self::is_here) | on any thread, also outside of the runtime |
/// | [`spawn`](Self::spawn), [`timer`](Self::timer) | inside the runtime: on the thread that connects, on a thread whose call opens the connections again on another runtime, and, for the nodes of a cluster, in a spawned task. If the runtime has its own time, `timer` also on any thread that waits for another caller's load |
/// | [`dial`](Self::dial) | in a spawned task |
/// | [`poll_budget`](Self::poll_budget) | in the task of a caller, on any thread |
///
/// The sockets and the future of [`ConnectionTask::race`] that `dial` starts may stay on the thread
/// of that call, as a runtime with a thread per core wants. They need not move between threads,
/// though they can. Callers on other threads reach a connection through a lock and wake its task,
/// so a waker of that task must work from any thread.
///
/// A panic in any of these calls leaves the cache as it was.
///
/// # Example
///
/// A runtime of threads that reaches no server. Those of the adapters do, in fewer than 200 lines
/// each.
///
/// ```
/// use async_caches::runtime::{BoxFuture, Clock, ConnectionTask, Endpoint, Instant, Runtime, Timer};
/// # use std::task::{Context, Poll};
/// #
/// # struct Never;
/// #
/// # impl Timer for Never {
/// #     fn poll_until(&mut self, _: Option<Instant>, _: &mut Context<'_>) -> Poll<()> {
/// #         Poll::Pending
/// #     }
/// # }
///
/// #[derive(Debug)]
/// struct Threads(Clock);
///
/// impl Runtime for Threads {
///     fn now(&self) -> Instant {
///         self.0.now()
///     }
///
///     fn spawn(&self, task: BoxFuture<'static, ()>) {
///         std::thread::spawn(|| futures_lite::future::block_on(task));
///     }
///
///     fn timer(&self) -> Box<dyn Timer> {
///         Box::new(Never)
///     }
///
///     fn dial(&self, _to: Endpoint, connection: ConnectionTask) {
///         drop(connection); // a failed dial; an adapter spawns `connection.race(..)` here
///     }
/// }
///
/// let runtime = Threads(Clock::start());
/// let cache = async_caches::builder("redis://localhost").runtime(runtime).build()?;
/// assert!(!cache.is_connected());
/// # Ok::<(), async_caches::Error>(())
/// ```
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// The current time, counted from a fixed origin.
    fn now(&self) -> Instant;

    /// The time of day. It may be wrong, and may jump in either direction when the machine's clock
    /// is set, so no deadline depends on it.
    ///
    /// This implementation returns the system's time. If the runtime [has its own
    /// time](Self::has_own_time), it returns a time of day that passes as [`now`](Self::now) does,
    /// so that a test sees the same one in every run.
    fn wall_time(&self) -> WallTime {
        match self.has_own_time() {
            true => FIXED_DAY + self.now().since(Instant::ORIGIN),
            false => system_time(),
        }
    }

    /// Whether tasks can be spawned and timers made on the calling thread: `false` outside of a
    /// runtime that has to be entered. Checked before a cache connects, and before a cache whose
    /// runtime has shut down opens its connections on another.
    fn is_here(&self) -> bool {
        true
    }

    /// Runs a task in the background until it is done.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Returns an unpredictable number, for jitter and for hash tables.
    fn seed(&self) -> u64 {
        seed::new()
    }

    /// Whether all behaviour follows from the runtime's own time and seeds, as in a simulation. A
    /// store in memory that is opened on it then uses its clock too
    /// ([`has_own_time`](Self::has_own_time)), and no thread frees its expired entries.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Whether a store in memory that is opened now, and the waits of `get_or_set`, use the clock
    /// of [`now`](Self::now) instead of the system's: because time is simulated, or paused for a
    /// test. Checked when a cache connects.
    fn has_own_time(&self) -> bool {
        self.is_simulated()
    }

    /// The manual clock that the runtime takes its time from, if it has one.
    #[doc(hidden)]
    fn manual_clock(&self) -> Option<&ManualClock> {
        None
    }

    /// Ready if the calling task may do one more operation before other tasks get their turn.
    /// Polled before each operation that does not wait: with `locmem://` and `dummy://`, and on a
    /// cache that is not connected. While it is `Pending` the operation has done nothing. The task
    /// must be woken at once, and polls again.
    ///
    /// Without it a loop of such operations would keep its thread for itself: a task that is to end
    /// the loop, or a timeout around it, would never run. In addition to this method, one in 64
    /// operations of a thread yields, on any runtime that is not [simulated](Self::is_simulated). A
    /// runtime that counts what its tasks do should allow more: a task that has used up its whole
    /// budget cannot see that a timer has fired.
    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Returns a timer on the clock of [`now`](Self::now).
    fn timer(&self) -> Box<dyn Timer>;

    /// Runs [`connection.race(resolve, connect, timer)`](ConnectionTask::race) in the background.
    /// `resolve` is a future that looks up the addresses of the host in `to` anew, and `connect`
    /// connects to one of them. For a unix socket it runs [`connection.drive(connect,
    /// timer)`](ConnectionTask::drive). `TCP_NODELAY` must be set on a TCP socket.
    fn dial(&self, to: Endpoint, connection: ConnectionTask);
}

/// A connection about to be dialled. A [`Runtime`] passes it back to [`ConnectionTask::race`] or
/// [`ConnectionTask::drive`]. If it is dropped without that, it counts as a failed dial.
///
/// Only the module that makes connections knows its type, so this module depends on no pool.
///
/// The example of [`Runtime`] shows where one comes from.
pub struct ConnectionTask(Box<dyn Any + Send + Sync>);

impl ConnectionTask {
    /// A connection with this task.
    pub(crate) fn new(task: impl Any + Send + Sync) -> Self {
        Self(Box::new(task))
    }

    /// Its task, if that is a `T`.
    pub(crate) fn into_task<T: Any>(self) -> Option<Box<T>> {
        self.0.downcast().ok()
    }
}

impl fmt::Debug for ConnectionTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionTask")
    }
}

/// Ready once the calling task may do one more operation; see [`Runtime::poll_budget`].
pub(crate) fn poll_turn(runtime: &dyn Runtime, waker: &Waker) -> Poll<()> {
    if runtime.is_simulated() || take_turn() {
        return runtime.poll_budget(&mut Context::from_waker(waker));
    }
    waker.wake_by_ref();
    Poll::Pending
}

/// Whether the thread has an operation left before it must yield.
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

/// Half of tokio's budget for a task, so that some of it is left for a timer around the task.
const TURNS: u8 = 63;

/// The system's monotonic clock, counted from its start. Most runtimes can use it for
/// [`Runtime::now`].
///
/// ```
/// use async_caches::runtime::Clock;
///
/// let clock = Clock::start();
/// let now = clock.now();
/// assert!(clock.now() >= now);
/// assert!(clock.to_system(now).is_some_and(|now| now <= std::time::Instant::now()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// Starts a clock at the current time.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::ORIGIN + self.0.elapsed()
    }

    /// The same instant on the system's clock; `None` if that cannot represent it.
    #[must_use]
    pub fn to_system(&self, at: Instant) -> Option<std::time::Instant> {
        self.0.checked_add(at.since(Instant::ORIGIN))
    }
}

/// The system's time of day; 1970 if the machine's clock is set to an earlier year.
fn system_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::EPOCH + since
}

/// The same time as the standard library has it.
pub(crate) fn to_system_time(time: WallTime) -> SystemTime {
    UNIX_EPOCH + time.since(WallTime::EPOCH)
}

/// The clock of stores in memory and of waits for loads.
#[derive(Clone, Debug)]
pub(crate) enum Time {
    System(Clock),
    Simulated(Arc<dyn Runtime>),
}

impl Time {
    /// The runtime's clock if the runtime has its own time, or else the system's, started now.
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

/// Appends available bytes to `rx`, for a source that reads into a slice. They go through a buffer
/// of the thread, as memory that was never written cannot be lent out safely.
///
/// # Errors
/// The source's errors.
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
