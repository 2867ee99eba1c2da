//! What a subscriber hears of the links of a cache: what servers push, and when links come and go.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use async_caches_core::resp::decode::{Invalidated, Push};

/// What a subscriber is told. See [`Builder::on_notice`](crate::Builder::on_notice).
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A link has opened. The server tracks from now on what it was asked to; of what changed
    /// before nothing is said.
    Opened {
        /// Which.
        link: LinkName,
    },
    /// The server has pushed something.
    Pushed {
        /// On which link.
        link: LinkName,
        /// What.
        push: &'a Push,
    },
    /// A link that was open has ended: what the server would have said on it is lost. Whatever was
    /// kept because it would be named there once it changed, must be dropped now.
    Ended {
        /// Which.
        link: LinkName,
    },
}

/// Which link: no other one that the same subscriber is told of has this name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkName(u64);

/// Which keys a server is asked to name once they have changed. See
/// [`Builder::tracking`](crate::Builder::tracking).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Tracking {
    /// Those that were read on a link since they were named there last, on that link. The server
    /// remembers them.
    Read,
    /// All of this cache's prefix, whoever read or wrote them, once on each link.
    Prefix,
}

/// A subscriber that a cache was given.
#[derive(Clone)]
pub(crate) struct Subscriber {
    tell: Arc<dyn Fn(Notice<'_>) + Send + Sync>,
    /// How many links it was told of, of all pools.
    links: Arc<AtomicU64>,
}

impl Subscriber {
    pub(crate) fn new(tell: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), links: Arc::default() }
    }

    pub(crate) fn tell(&self, notice: Notice<'_>) {
        (self.tell)(notice);
    }

    /// Tells of a link that has opened, by a new name.
    pub(crate) fn opened(&self) -> LinkName {
        let link = LinkName(self.links.fetch_add(1, Ordering::Relaxed));
        self.tell(Notice::Opened { link });
        link
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscriber")
    }
}
