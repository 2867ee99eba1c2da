//! What an application's metrics want to know of a pool of links, as it happens.
//!
//! A trait of ours and no crate of metrics: those differ in how they name and keep what they count, and looking
//! up a name costs more than the rest of a command. Here a batch costs one look at whether there is a recorder, and a
//! command nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Takes in what a cache on a server does, to be counted. Each method does nothing unless it is
/// given something to do.
///
/// A cache calls them one after another for each link, and from several threads at once for
/// several links and callers; never under a lock of its own. They must not block, as the
/// link, or the caller, waits meanwhile, and must not panic. What a cache is doing at the moment is
/// for [`Cache::info`](crate::Cache::info), not for these.
///
/// Backends that are no server record nothing but entries that could not be read.
pub trait Recorder: Send + Sync + 'static {
    /// A link has written a batch of commands. Told before any of their callers is.
    fn wrote(&self, batch: Batch) {
        let _ = batch;
    }

    /// How long one command took from when its batch was about to be written until its reply was
    /// taken in: that of the first command of a batch, of one batch at a time on each link.
    fn round_trip(&self, took: Duration) {
        let _ = took;
    }

    /// A caller has waited so long for a link, or for room on one, and got it.
    fn waited(&self, span: Duration) {
        let _ = span;
    }

    /// A link was opened; whether in the place of one that was lost.
    fn opened(&self, reconnect: bool) {
        let _ = reconnect;
    }

    /// An open link was lost.
    fn lost(&self) {}

    /// A link could not be opened.
    fn dial_failed(&self) {}

    /// Another server is the master, as a sentinel says. Not told of the first.
    fn moved(&self) {}

    /// The sentinel that was asked who the master is says it no more, or could not be asked: the
    /// next one is.
    fn sentinel_lost(&self) {}

    /// An operation was over before it was answered, or had a link. It is named as in
    /// [`Command::name`](async_caches_core::command::Command::name): `GET`, `SET`.
    fn timed_out(&self, operation: &'static str) {
        let _ = operation;
    }

    /// An operation whose link was lost is sent again.
    fn sent_again(&self, operation: &'static str) {
        let _ = operation;
    }

    /// An entry could not be read as what was asked for: `GET` or `MGET` found it, which is also what
    /// [`Cache::get_or_set`](crate::Cache::get_or_set) begins with. Told in the caller's task. The
    /// cache may be one in memory.
    fn unreadable(&self, operation: &'static str) {
        let _ = operation;
    }

    /// An operation, or a part of one, was sent to another node of a cluster by the one that it went
    /// to.
    fn redirected(&self, operation: &'static str) {
        let _ = operation;
    }
}

/// What left in one write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// How many commands left, the last of each one's bytes; zero for a part of a large one. Our
    /// own `PING` and `AUTH` are among them, but for those that greet the server.
    pub commands: usize,
    /// How many bytes: of what TLS encrypts, where there is TLS.
    pub bytes: usize,
    /// How many commands had been written by then and were not answered, these among them.
    pub in_flight: usize,
    /// How many commands were left to be written.
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
