//! Measures a connection's batches, if there is a recorder: twice a turn, and nothing for each
//! command.

use std::time::Duration;

use async_caches_core::connection::Connection;
use async_caches_core::time::Instant;

use crate::recorder::Batch;

#[derive(Debug, Default)]
pub(in crate::redis) struct Meter {
    /// How many replies are left until that of the timed command, and since when it is timed.
    timed: Option<(usize, Instant)>,
    /// How many commands waited for replies when the last turn began.
    waited: usize,
}

/// The measurements of a turn.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct Measured {
    pub(in crate::redis) batch: Option<Batch>,
    pub(in crate::redis) round_trip: Option<Duration>,
}

impl Meter {
    /// The socket has taken `count` bytes, in a write that began at `began`. Called before newly
    /// read bytes are taken in.
    pub(in crate::redis) fn wrote(
        &mut self,
        connection: &mut Connection,
        count: usize,
        began: Instant,
    ) -> Option<Batch> {
        let unsent = connection.unsent();
        connection.wrote(count);
        self.waited = connection.in_flight();
        let queued = connection.unsent();
        let (commands, in_flight) = (unsent - queued, self.waited - queued);
        // Without commands the connection is still in its handshake.
        if count == 0 || self.waited == 0 {
            return None;
        }
        if commands > 0 && self.timed.is_none() {
            self.timed = Some((in_flight - commands + 1, began));
        }
        Some(Batch { commands, bytes: count, in_flight, queued })
    }

    /// The newly read bytes were taken in. Returns the time of the timed command, if its reply was
    /// among them.
    pub(in crate::redis) fn took_in(
        &mut self,
        connection: &Connection,
        now: Instant,
    ) -> Option<Duration> {
        let (left, began) = self.timed?;
        let left = left.saturating_sub(self.waited.saturating_sub(connection.in_flight()));
        if left > 0 {
            self.timed = Some((left, began));
            return None;
        }
        self.timed = None;
        Some(now.since(began))
    }
}
