//! Metrics of a pool of connections, for an application to collect as they occur.
//!
//! This is a trait of ours and not a metrics crate: those differ in how they name and keep their
//! counts, and looking up a name costs more than the rest of a command. Here a batch costs one
//! check for a recorder, and a command costs nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Receives events of a cache on a server, to count them. Each method does nothing by default.
///
/// A cache calls the methods one after another for each connection, and from several threads at
/// once for several connections and callers; never under a lock of its own. They must not block, as
/// the connection or the caller waits meanwhile, and must not panic. For the present state of a
/// cache use [`Cache::info`](crate::Cache::info) instead.
///
/// Backends without a server record only entries that could not be read.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::{Batch, Recorder};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Counts {
///     bytes_sent: AtomicU64,
///     unreadable: AtomicU64,
/// }
///
/// struct Metrics(Arc<Counts>);
///
/// impl Recorder for Metrics {
///     fn batch_written(&self, batch: Batch) {
///         self.0.bytes_sent.fetch_add(batch.bytes as u64, Ordering::Relaxed);
///     }
///
///     fn unreadable(&self, _operation: &'static str) {
///         self.0.unreadable.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let counts = Arc::new(Counts::default());
/// let metrics = Metrics(Arc::clone(&counts));
/// let cache = async_caches::builder("locmem://").recorder(metrics).connect().await?;
/// cache.set("user:1", "Ada").await?;
/// assert!(cache.get::<u32>("user:1").await.is_err());
/// assert_eq!(counts.unreadable.load(Ordering::Relaxed), 1);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
pub trait Recorder: Send + Sync + 'static {
    /// A connection has written a batch of commands. Called before any reply reaches its caller.
    fn batch_written(&self, batch: Batch) {
        let _ = batch;
    }

    /// The time of one command, from just before its batch was written until its reply was read.
    /// Measured for the first command of a batch, and for one batch at a time on each connection.
    fn round_trip(&self, took: Duration) {
        let _ = took;
    }

    /// A caller has waited this long for a connection, or for room on one, and got it.
    fn waited_for_connection(&self, span: Duration) {
        let _ = span;
    }

    /// A connection was opened. `reconnect` is true if it replaces a lost one.
    fn connection_opened(&self, reconnect: bool) {
        let _ = reconnect;
    }

    /// An open connection was lost.
    fn connection_lost(&self) {}

    /// A connection could not be opened.
    fn dial_failed(&self) {}

    /// Another server is the master, according to a sentinel. Not called for the first master.
    fn master_changed(&self) {}

    /// The sentinel that was asked for the master was lost, or could not be asked. The next one is
    /// asked.
    fn sentinel_lost(&self) {}

    /// An operation's time was over before its reply came, or before it got a connection. Its name
    /// is that of [`Command::name`](async_caches_core::command::Command::name): `GET`, `SET`.
    fn timed_out(&self, operation: &'static str) {
        let _ = operation;
    }

    /// An operation whose connection was lost is sent again.
    fn sent_again(&self, operation: &'static str) {
        let _ = operation;
    }

    /// An entry could not be read as the type asked for. `GET` or `MGET` found it;
    /// [`Cache::get_or_set`](crate::Cache::get_or_set) begins with a `GET` as well. Called in the
    /// caller's task. The cache may be one in memory.
    fn unreadable(&self, operation: &'static str) {
        let _ = operation;
    }

    /// A node of a cluster redirected an operation, or a part of one, to another node.
    fn redirected(&self, operation: &'static str) {
        let _ = operation;
    }
}

/// A batch that was sent in one write.
///
/// The example of [`Recorder`] counts the bytes of batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// How many commands were completed by this write; zero for a part of a large one. Our own
    /// `PING` and `AUTH` count, except those of the handshake.
    pub commands: usize,
    /// The size in bytes; with TLS, before encryption.
    pub bytes: usize,
    /// How many commands had been written by then and had no reply, including these.
    pub in_flight: usize,
    /// How many commands were left to write.
    pub queued: usize,
}

/// A recorder that a cache was given.
#[derive(Clone)]
pub(crate) struct Recording(Arc<dyn Recorder>);

impl Recording {
    pub(crate) fn new(recorder: impl Recorder) -> Self {
        Self(Arc::new(recorder))
    }
}

impl std::ops::Deref for Recording {
    type Target = dyn Recorder;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}
