//! `AUTH`: sends new credentials on a connection that is in use.
//!
//! It is queued with the commands: those before it run with the old credentials, those behind it
//! with the new ones. Its reply goes to no caller. If the server refuses it, the connection takes
//! no more commands, and ends once the commands in flight are answered.

use super::Connection;
use super::passwords::request;
use crate::error::{ConnectionError, Failure, Refused};
use crate::reply::Answer;
use crate::resp::answer::Expect;
use crate::resp::output::Output;
use crate::server::Credentials;
use crate::time::Instant;

impl Connection {
    /// Puts `AUTH` into `tx`. If the server refuses it, the connection ends in
    /// [`ConnectionError::Refused`], which shows no password, once the commands in flight are
    /// answered.
    ///
    /// # Errors
    /// [`Refused::NotOpen`], and then nothing was put: a handshake under way sends the old
    /// credentials.
    pub fn authenticate(
        &mut self,
        credentials: &Credentials,
        now: Instant,
        tx: &mut Output,
    ) -> Result<(), Refused> {
        if !self.is_ready() {
            return Err(Refused::NotOpen);
        }
        let (before, begins_at) = (tx.len(), self.put);
        request(credentials, self.protocol, tx);
        self.put += (tx.len() - before) as u64;
        self.queue_up(Expect::WELCOME, None, now + self.response_timeout, begins_at);
        self.passwords.add(credentials.password.clone());
        Ok(())
    }

    /// Handles the answer to `AUTH`.
    pub(super) fn authenticated(&mut self, answer: &Answer) {
        self.passwords.answered();
        if let Err(Failure::Server(error)) = answer {
            self.phase.leave(ConnectionError::Refused(error.clone().withheld()));
        }
    }
}
