//! Events on a connection that only the passing of time causes.
//!
//! The connection keeps the earliest expiry that it has seen ([`Connection::deadline`]). At that
//! time it walks through its queue once, and finds all expired commands and the next expiry.

use super::sweep::Sweep;
use super::{Connection, ConnectionPhase, Event};
use crate::command::Command;
use crate::error::ConnectionError;
use crate::resp::output::Output;
use crate::time::{Deadline, Instant};

impl Connection {
    /// When to poll even if nothing was read. Changes with every submit and poll.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        match &self.phase {
            ConnectionPhase::Closed => None,
            ConnectionPhase::Handshake { until, .. } => {
                Some(Deadline { at: *until, why: "handshake" })
            }
            ConnectionPhase::Ready { .. } | ConnectionPhase::Leaving(_) => {
                match self.queue.front() {
                    None => Some(Deadline { at: self.keepalive_at(), why: "keepalive" }),
                    Some(front) => {
                        let expiry = Some(Deadline { at: self.next_expiry, why: "command expiry" });
                        let at = front.expires + self.response_timeout;
                        Deadline::earlier(expiry, Some(Deadline { at, why: "overdue reply" }))
                    }
                }
            }
        }
    }

    /// When to ping the server, if the queue stays empty until then.
    fn keepalive_at(&self) -> Instant {
        self.last_used.max(self.last_ours) + Self::KEEPALIVE
    }

    /// The event or error that is due at `now`.
    pub(super) fn due(
        &mut self,
        now: Instant,
        tx: &mut Output,
    ) -> Result<Option<Event>, ConnectionError> {
        if self.sweep.is_none() && self.next_expiry <= now {
            self.sweep = Some(Sweep { next: 0, next_expiry: Instant::MAX, silent: false });
        }
        if let Some(mut sweep) = self.sweep.take() {
            if let Some(event) = self.sweep_on(&mut sweep, now) {
                self.sweep = Some(sweep);
                return Ok(Some(event));
            }
            self.next_expiry = sweep.next_expiry;
            if sweep.silent {
                return Err(ConnectionError::Unresponsive);
            }
        }
        match self.queue.front() {
            Some(front) if front.expires + self.response_timeout <= now => {
                Err(ConnectionError::Unresponsive)
            }
            Some(_) => Ok(None),
            None => {
                if self.keepalive_at() <= now {
                    self.put(&Command::Ping, None, now + self.response_timeout, tx);
                }
                Ok(None)
            }
        }
    }

    fn sweep_on(&mut self, sweep: &mut Sweep, now: Instant) -> Option<Event> {
        while let Some(waiting) = self.queue.get_mut(sweep.next) {
            sweep.next += 1;
            if waiting.expires > now {
                sweep.next_expiry = sweep.next_expiry.min(waiting.expires);
                continue;
            }
            // Nothing was read since it was submitted, provided that it had the whole response
            // timeout.
            sweep.silent |= self.last_read + self.response_timeout <= waiting.expires;
            if let Some(tag) = waiting.tag.take() {
                return Some(Event::Expired(tag));
            }
        }
        None
    }
}
