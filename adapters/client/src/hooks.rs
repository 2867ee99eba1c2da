//! The observers that an application adds to a cache, beside the results of calls.

use async_caches_core::connection::{self, Pushes};
use async_caches_core::key::KeySpace;

use crate::builder::Builder;
use crate::notices::{Notice, Subscriber, Tracking};
use crate::recorder::{Recorder, Recording};

/// The observers of a cache's connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) recorder: Option<Recording>,
    pub(crate) subscriber: Option<Subscriber>,
    tracking: Option<Tracking>,
}

impl Hooks {
    /// How connections treat pushes. Without a subscriber no push is used, so the server is asked
    /// for no tracking.
    pub(crate) fn pushes(&self, space: &KeySpace) -> Pushes {
        if self.subscriber.is_none() {
            return Pushes::Dropped;
        }
        let tracking = self.tracking.map(|tracking| match tracking {
            Tracking::Read => connection::Tracking::Read,
            Tracking::Prefix => {
                let stem = Box::from(&*space.stem());
                connection::Tracking::Broadcast { prefixes: vec![stem] }
            }
        });
        Pushes::Told { tracking }
    }
}

impl Builder {
    /// The recorder of how connections are used, for an application's metrics. See [`Recorder`].
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.hooks.recorder = Some(Recording::new(recorder));
        self
    }

    /// The subscriber that is told what servers push, and when connections open and end. A later
    /// one replaces an earlier one. Together with [`tracking`](Self::tracking) it is what a near
    /// cache in front of this one needs.
    ///
    /// `tell` is called in the task of the connection, on whichever thread that runs, under no lock
    /// of the cache. It must not block, as all commands of that connection wait for it. It must not
    /// panic, as that ends the connection. Pass slow work to another task.
    ///
    /// The notices of one connection come in order: [`Notice::Opened`], the pushes in the order of
    /// their arrival, [`Notice::Ended`]. A caller gets a reply only after the notices of all pushes
    /// that came before that reply on the same connection; later pushes may be reported before the
    /// reply too. This makes a near cache safe: note that a key is being read before the request,
    /// and keep the reply only if no notice named the key meanwhile and no connection has ended.
    /// Notices of two connections are in no order, and may come at the same time.
    ///
    /// On a cluster the connections to all nodes are reported; a node names the keys that it holds.
    ///
    /// Backends without a server push nothing.
    pub fn on_notice(mut self, tell: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.subscriber = Some(Subscriber::new(tell));
        self
    }

    /// The keys whose changes servers report, on each connection from its beginning, in pushes for
    /// [`on_notice`](Self::on_notice). Without a subscriber nothing is requested. Needs Redis 6 or
    /// Valkey, and RESP3. Without these, or if the server refuses, connections do not open and
    /// [`connect`](Self::connect) fails with the reason. A cluster opens its connections only when
    /// a key is needed; there the first operation fails.
    pub fn tracking(mut self, tracking: Tracking) -> Self {
        self.hooks.tracking = Some(tracking);
        self
    }
}
