//! The observers that an application adds to a cache, beside the results of calls.

use async_caches_core::connection::{self, Pushes};
use async_caches_core::key::KeySpace;

use crate::notices::{Subscriber, Tracking};
use crate::recorder::Recording;

/// The observers of a cache's connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) recorder: Option<Recording>,
    pub(crate) subscriber: Option<Subscriber>,
    pub(crate) tracking: Option<Tracking>,
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
