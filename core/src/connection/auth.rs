//! `AUTH`: who we are, told anew on a connection that is in use.
//!
//! It goes in line with the commands: those before it run as who we were, those behind it as who we
//! are. Its reply is nobody's. A connection whose server refuses it takes no more commands, and ends
//! once those that it took are answered.
//!
//! No error shows a password that was told on the connection: of the one that answers `AUTH` only the
//! kind is kept, and of any other the words only where no part of a password is in them.

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
        request(credentials, self.protocol, tx);
        self.put += (tx.len() - before) as u64;
        self.queue_up(Expect::WELCOME, None, now + self.response_timeout, begins_at);
        self.told.tell(credentials.password.clone());
        Ok(())
    }

    /// Takes in the answer to `AUTH`.
    pub(super) fn authenticated(&mut self, answer: &Answer) {
        self.told.answered();
        if let Err(Failure::Server(error)) = answer {
            self.phase.leave(ConnectionError::Refused(error.clone().withheld()));
        }
    }
}

/// The passwords that no error may show: the one that is in force, and those that were told and are not
/// answered yet.
#[derive(Debug, Default)]
pub(super) struct Told {
    secrets: VecDeque<Secret>,
    unanswered: usize,
}

impl Told {
    /// What was told in the handshake.
    pub(super) fn new(credentials: Option<&Credentials>) -> Self {
        let secrets = credentials.map(|known| known.password.clone()).into_iter().collect();
        Self { secrets, unanswered: 0 }
    }

    /// Keeps the passwords out of the error that a command is answered with.
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
/// and the others take it for that one.
pub(crate) fn request(credentials: &Credentials, protocol: u8, tx: &mut Output) {
    let password = credentials.password.expose().as_bytes();
    let named = |user: &&str| protocol > 2 || *user != super::handshake::DEFAULT_USER;
    match credentials.username.as_deref().filter(named) {
        Some(user) => encode::request(tx, &[b"AUTH", user.as_bytes(), password]),
        None => encode::request(tx, &[b"AUTH", password]),
    }
}
