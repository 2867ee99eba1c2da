//! `AUTH`: sends new credentials on a connection that is in use.
//!
//! It is queued with the commands: those before it run with the old credentials, those behind it with
//! the new ones. Its reply goes to no caller. If the server refuses it, the connection takes no more
//! commands, and ends once the commands in flight are answered.
//!
//! No error shows a password that was sent on the connection. An error in reply to `AUTH` keeps only its
//! kind. Any other error keeps its text only if no part of a password is in it.

use alloc::collections::VecDeque;

use super::Connection;
use crate::error::{ConnectionError, Failure, Refused};
use crate::reply::Answer;
use crate::resp::answer::Expect;
use crate::resp::encode;
use crate::resp::output::Output;
use crate::secret::Secret;
use crate::time::Instant;
use crate::url::Credentials;

impl Connection {
    /// Puts `AUTH` into `tx`. If the server refuses it, the connection ends in
    /// [`ConnectionError::Refused`], which shows no password, once the commands in flight are answered.
    ///
    /// # Errors
    /// [`Refused::NotOpen`], and then nothing was put: a handshake under way sends the old credentials.
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
        self.told.tell(credentials.password.clone());
        Ok(())
    }

    /// Handles the answer to `AUTH`.
    pub(super) fn authenticated(&mut self, answer: &Answer) {
        self.told.answered();
        if let Err(Failure::Server(error)) = answer {
            self.phase.leave(ConnectionError::Refused(error.clone().withheld()));
        }
    }
}

/// The passwords that no error may show: the one in force, and those that were sent but not answered
/// yet.
#[derive(Debug, Default)]
pub(super) struct Told {
    secrets: VecDeque<Secret>,
    unanswered: usize,
}

impl Told {
    /// The password that the handshake sends.
    pub(super) fn new(credentials: Option<&Credentials>) -> Self {
        let secrets = credentials.map(|known| known.password.clone()).into_iter().collect();
        Self { secrets, unanswered: 0 }
    }

    /// Keeps the passwords out of an error in reply to a command.
    #[cold]
    pub(super) fn conceal(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Server(error) => error.without(&self.secrets).into(),
            failure @ Failure::Number(_) => failure,
        }
    }

    fn tell(&mut self, secret: Secret) {
        self.secrets.push_back(secret);
        self.unanswered += 1;
    }

    fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        while self.secrets.len() > self.unanswered + 1 {
            self.secrets.pop_front();
        }
    }
}

/// Puts the command alone. In RESP2 the default user is not named: servers before Redis 6 know no users,
/// and the others use that user if the command names no other.
pub(crate) fn request(credentials: &Credentials, protocol: u8, tx: &mut Output) {
    let password = credentials.password.expose().as_bytes();
    let named = |user: &&str| protocol > 2 || *user != super::handshake::DEFAULT_USER;
    match credentials.username.as_deref().filter(named) {
        Some(user) => encode::request(tx, &[b"AUTH", user.as_bytes(), password]),
        None => encode::request(tx, &[b"AUTH", password]),
    }
}
