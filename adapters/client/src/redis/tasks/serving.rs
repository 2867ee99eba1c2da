//! A connection to a server, as its task holds it.

use std::sync::Arc;

use async_caches_core::connection::Greeting;
use async_caches_core::pool::ConnectionId;
use async_caches_core::url::{Credentials, Endpoint};

use crate::error::ConnectionFailure;
use crate::notices::ConnectionName;
use crate::redis::connection::shared::SharedConnection;
use crate::redis::pool::changes::Ended;
use crate::redis::pool::state::Pool;

/// A connection to a server, from before it is dialled to its end. If it is dropped without having
/// been driven, it counts as a failed dial.
#[derive(Debug)]
pub(in crate::redis) struct ServerConnection {
    pub(in crate::redis) pool: Arc<Pool>,
    pub(in crate::redis) id: ConnectionId,
    pub(in crate::redis) shared: Arc<SharedConnection>,
    /// The address that is dialled.
    pub(in crate::redis) at: Endpoint,
    /// Whether there is one way to connect, and no list of addresses.
    pub(in crate::redis) has_one_address: bool,
    /// The credentials for the server.
    pub(in crate::redis) credentials: Option<Credentials>,
    /// How many bytes the socket has taken since the connection was last told.
    pub(in crate::redis) wrote: usize,
    /// Why the connection ends, once it does.
    pub(in crate::redis) end: ConnectionFailure,
    /// Its name for the subscriber that was told of its opening.
    pub(in crate::redis) name: Option<ConnectionName>,
    /// Whether it ended before its handshake was complete.
    pub(in crate::redis) greets: bool,
    /// How it opens its handshake.
    pub(in crate::redis) greeting: Greeting,
}

impl ServerConnection {
    /// A connection of a pool to `at` that is about to be dialled.
    pub(in crate::redis) fn new(
        pool: Arc<Pool>,
        id: ConnectionId,
        shared: Arc<SharedConnection>,
        at: Endpoint,
        greeting: Greeting,
    ) -> Self {
        Self {
            credentials: pool.config.credentials.now().0,
            pool,
            id,
            shared,
            at,
            has_one_address: false,
            wrote: 0,
            end: ConnectionFailure::Closed,
            name: None,
            greets: false,
            greeting,
        }
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.shared.observer().no_more_pushes(name);
        }
        self.shared.end(self.wrote, self.end.clone(), self.pool.now_anyhow());
        self.pool.ended(&Ended {
            id: self.id,
            endpoint: &self.at,
            shared: &self.shared,
            error: &self.end,
            greeting: self.greets.then_some(self.greeting),
        });
    }
}
