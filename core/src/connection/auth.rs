//! `AUTH`: who we are, told anew on a connection that is in use.
//!
//! It goes in line with the commands: those before it run as who we were, those behind it as who we
//! are. Its reply is nobody's. A connection whose server refuses it takes no more commands, and ends
//! once those that it took are answered.

use super::Connection;
use crate::error::{ConnectionError, Failure, Refused};
use crate::reply::Answer;
use crate::resp::answer::Expect;
use crate::resp::encode;
use crate::resp::output::Output;
use crate::time::Instant;
use crate::url::Credentials;

impl Connection {
    /// Puts `AUTH` into `tx`. Where the server refuses it the connection ends, once it has answered
    /// what it took, in [`ConnectionError::Refused`], which shows no password.
    ///
    /// # Errors
    /// [`Refused::NotOpen`], and then nothing was put: a handshake that is under way tells who we
    /// were.
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
        request(credentials, tx);
        self.put += (tx.len() - before) as u64;
        self.queue_up(Expect::WELCOME, None, now + self.response_timeout, begins_at);
        self.password = Some(credentials.password.clone());
        Ok(())
    }

    /// Takes in the answer to `AUTH`.
    pub(super) fn authenticated(&mut self, answer: &Answer) {
        if let Err(Failure::Server(error)) = answer {
            let password = self.password.as_ref().map_or("", |password| password.expose());
            let error = error.clone().masking(password);
            self.phase.leave(ConnectionError::Refused(error));
        }
    }
}

/// Puts the command alone.
pub(crate) fn request(credentials: &Credentials, tx: &mut Output) {
    let password = credentials.password.expose().as_bytes();
    match &credentials.username {
        Some(user) => encode::request(tx, &[b"AUTH", user.as_bytes(), password]),
        None => encode::request(tx, &[b"AUTH", password]),
    }
}
