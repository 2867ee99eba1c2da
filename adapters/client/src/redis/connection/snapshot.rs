//! A snapshot of a connection.

use async_caches_core::connection::ServerInfo;

use super::shared::SharedConnection;
use crate::info::ServerSeen;
use crate::sync::lock;

/// What a connection is doing.
#[derive(Debug)]
pub(in crate::redis) struct ConnectionSnapshot {
    /// Whether no caller waits for anything.
    pub(in crate::redis) idle: bool,
    /// Its load, as the pool counts it.
    pub(in crate::redis) load: usize,
    /// Commands that are not written yet.
    pub(in crate::redis) queued: usize,
    /// Commands that are written and have no reply.
    pub(in crate::redis) in_flight: usize,
    pub(in crate::redis) queued_bytes: usize,
    pub(in crate::redis) server: ServerSeen,
}

impl SharedConnection {
    /// Whether it is open and has no name although it should have one.
    pub(in crate::redis) fn is_unnamed(&self) -> bool {
        lock(&self.state).server.unnamed
    }

    /// Whether its server has said that it is a node of a cluster.
    pub(in crate::redis) fn is_in_cluster(&self) -> bool {
        lock(&self.state).server.in_cluster
    }

    pub(in crate::redis) fn snapshot(&self) -> ConnectionSnapshot {
        let state = lock(&self.state);
        let connection = &state.connection;
        let queued = connection.unsent();
        let ServerInfo { protocol, server, version, unnamed: _, in_cluster: _ } = &state.server;
        let told = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        ConnectionSnapshot {
            idle: connection.idle_since().is_some(),
            // It changes under this lock alone.
            load: self.load(),
            queued,
            in_flight: connection.in_flight() - queued,
            queued_bytes: connection.unwritten(),
            server: ServerSeen {
                name: told(server),
                version: told(version),
                protocol: *protocol,
                connections: 1,
            },
        }
    }
}
