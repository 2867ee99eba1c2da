//! A snapshot of a pool, for [`PoolInfo`].

use super::state::Pool;
use crate::info::{LastError, PoolInfo, ServerSeen};
use crate::runtime::to_system_time;
use crate::sync::lock;

impl Pool {
    /// Fills in the snapshot.
    pub(crate) fn describe(&self, info: &mut PoolInfo) {
        let (now, wall_time) = (self.now(), self.config.runtime.wall_time());
        let state = lock(&self.state);
        let tally = state.decisions.tally();
        info.endpoint.clone_from(&state.at);
        info.in_cluster = state.in_cluster;
        info.open = tally.open;
        info.dialling = tally.dialling;
        info.closing = tally.closing;
        info.lost = tally.lost;
        info.reconnects = tally.reconnects;
        info.failed_dials = tally.failed_dials;
        info.held_back = state.decisions.held_back(now);
        info.failing_fast = state.decisions.is_hopeless(now);
        info.waiting = state.queue.waiting();
        info.held = state.queue.held();
        info.last_error = state.last_end.as_ref().map(|(error, at)| {
            let (error, ago) = (error.clone(), now.since(*at));
            LastError { error, ago, at: to_system_time(wall_time.before(ago)) }
        });
        // These are all open connections: adding or removing one takes this lock.
        for (_, connection) in &state.connections {
            let snapshot = connection.snapshot();
            info.idle += usize::from(snapshot.idle);
            // A connection that takes no more commands, or is kept apart, may be idle all the same.
            info.busy += usize::from(!snapshot.idle && snapshot.load >= self.config.bounds.busy());
            info.queued += snapshot.queued;
            info.in_flight += snapshot.in_flight;
            info.queued_bytes += snapshot.queued_bytes;
            note(&mut info.servers, snapshot.server);
        }
    }
}

/// Counts one more connection to this server.
fn note(servers: &mut Vec<ServerSeen>, seen: ServerSeen) {
    let same = |known: &&mut ServerSeen| {
        ServerSeen { connections: seen.connections, ..(**known).clone() } == seen
    };
    match servers.iter_mut().find(same) {
        Some(known) => known.connections += seen.connections,
        None => servers.push(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_servers_of_one_version_are_counted_together() {
        let seen = |version: &str, protocol, connections| ServerSeen {
            name: Some("valkey".to_owned()),
            version: Some(version.to_owned()),
            protocol,
            connections,
        };
        let mut servers = Vec::new();
        for (version, protocol) in [("9.0.0", 3), ("9.1.0", 3), ("9.0.0", 3), ("9.0.0", 2)] {
            note(&mut servers, seen(version, protocol, 1));
        }
        assert_eq!(servers, [seen("9.0.0", 3, 2), seen("9.1.0", 3, 1), seen("9.0.0", 2, 1)]);
    }
}
