//! What an application hangs into a cache: whom to tell what, beside the results of calls.

use async_caches_core::connection::{self, Pushes};
use async_caches_core::key::KeySpace;

use crate::builder::Builder;
use crate::notices::{Notice, Subscriber, Tracking};
use crate::recorder::{Recorder, Recording};

/// Whom a cache tells what happens on its links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) recorder: Option<Recording>,
    pub(crate) subscriber: Option<Subscriber>,
    tracking: Option<Tracking>,
}

impl Hooks {
    /// What connections do about pushes. Without a subscriber nobody hears of them, so the server
    /// is asked for none.
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
    /// Who takes in how links are used, for an application's metrics. See [`Recorder`].
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.hooks.recorder = Some(Recording::new(recorder));
        self
    }

    /// Whom to tell what servers push, and when links come and go; a later one takes the place of
    /// an earlier one. Together with [`tracking`](Self::tracking) this is what a cache in front of
    /// this one needs.
    ///
    /// `tell` is called in the task of the link, on whichever thread that runs, under no lock of the
    /// cache. It must not block, as all commands of that link wait for it, nor panic, as
    /// that ends the link. What is slow is to be sent elsewhere.
    ///
    /// Of one link all is told in order: [`Notice::Opened`], what was pushed in the order in which
    /// it came, [`Notice::Ended`]. Whoever hears of a reply hears it after all has been told that
    /// was pushed on the same link before that reply; what was pushed behind it may be told before
    /// as well. So whoever notes that a key is being read before it asks, and keeps the reply only
    /// if the key was not named meanwhile and no link has ended, keeps nothing that is stale. Of
    /// two links nothing is in order, and they may be told of at the same time.
    ///
    /// Of a cluster the links to all nodes are told of; a node names the keys that it has.
    ///
    /// Backends that are no server push nothing.
    pub fn on_notice(mut self, tell: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.subscriber = Some(Subscriber::new(tell));
        self
    }

    /// Which keys servers are asked to name once they have changed, on each link from its beginning
    /// on, in pushes for [`on_notice`](Self::on_notice); without that nothing is asked for. It
    /// wants Redis 6 or Valkey, and RESP3: where that lacks, or the server refuses, links do not
    /// open, and [`connect`](Self::connect) fails with why; of a cluster, which has no links to keep
    /// before a key is asked for, the first operation does.
    pub fn tracking(mut self, tracking: Tracking) -> Self {
        self.hooks.tracking = Some(tracking);
        self
    }
}
