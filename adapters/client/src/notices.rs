//! The notices for a subscriber: what servers push, and when connections open and end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use async_caches_core::resp::decode::{Invalidated, Push};

/// A notice for a subscriber. See [`Builder::on_notice`](crate::Builder::on_notice).
///
/// ```
/// use async_caches::{Invalidated, Notice, Tracking};
///
/// let builder = async_caches::builder("redis://localhost").tracking(Tracking::Prefix);
/// let builder = builder.on_notice(|notice| match notice {
///     Notice::Pushed { push, .. } => match push.invalidated() {
///         Some(Invalidated::Keys(keys)) => println!("these keys have changed: {keys:?}"),
///         Some(Invalidated::All) => println!("all keys have changed"),
///         None => {} // another kind of push
///     },
///     Notice::Ended { .. } => println!("changes may be missed from now on"),
///     _ => {}
/// });
/// # drop(builder);
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A connection has opened. From now on the server tracks what it was asked to track; earlier
    /// changes are not reported.
    Opened {
        /// The connection.
        connection: ConnectionName,
    },
    /// The server has pushed something.
    Pushed {
        /// The connection.
        connection: ConnectionName,
        /// The push.
        push: &'a Push,
    },
    /// An open connection has ended, and the server's further pushes on it are lost. Entries that
    /// were kept because the server would report their changes on it must be dropped now.
    Ended {
        /// The connection.
        connection: ConnectionName,
    },
}

/// The name of a connection. A subscriber never gets notices of two connections with the same name.
///
/// ```
/// use async_caches::{ConnectionName, Notice};
/// use std::collections::HashSet;
/// use std::sync::Mutex;
///
/// let open = Mutex::new(HashSet::<ConnectionName>::new());
/// let builder = async_caches::builder("redis://localhost").on_notice(move |notice| {
///     let mut open = open.lock().unwrap();
///     match notice {
///         Notice::Opened { connection } => assert!(open.insert(connection)),
///         Notice::Ended { connection } => assert!(open.remove(&connection)),
///         _ => {}
///     }
/// });
/// # drop(builder);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionName(u64);

/// The keys whose changes a server reports. See [`Builder::tracking`](crate::Builder::tracking).
///
/// The example of [`Notice`] asks for all keys of a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Tracking {
    /// Keys that were read on a connection since they were last reported on it. The server
    /// remembers them.
    Read,
    /// All keys of this cache's prefix, whichever client reads or writes them, once on each
    /// connection.
    Prefix,
}

/// A cache's subscriber.
#[derive(Clone)]
pub(crate) struct Subscriber {
    tell: Arc<dyn Fn(Notice<'_>) + Send + Sync>,
    /// The number of connections it was told of, in all pools.
    connections: Arc<AtomicU64>,
}

impl Subscriber {
    pub(crate) fn new(tell: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), connections: Arc::default() }
    }

    pub(crate) fn tell(&self, notice: Notice<'_>) {
        (self.tell)(notice);
    }

    /// Reports a newly opened connection, under a new name.
    pub(crate) fn opened(&self) -> ConnectionName {
        let connection = ConnectionName(self.connections.fetch_add(1, Ordering::Relaxed));
        self.tell(Notice::Opened { connection });
        connection
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscriber")
    }
}
