//! The passwords that were sent on a connection.
//!
//! No error shows one of them. An error in reply to `AUTH` keeps only its kind. Any other error
//! keeps its text only if no part of a password is in it.

use alloc::collections::VecDeque;

use crate::error::Failure;
use crate::resp::encode;
use crate::resp::output::Output;
use crate::secret::Secret;
use crate::server::Credentials;

/// The passwords that no error may show: the one in force, and those that were sent but not
/// answered yet.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    secrets: VecDeque<Secret>,
    unanswered: usize,
}

impl Passwords {
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

    pub(super) fn add(&mut self, secret: Secret) {
        self.secrets.push_back(secret);
        self.unanswered += 1;
    }

    pub(super) fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        while self.secrets.len() > self.unanswered + 1 {
            self.secrets.pop_front();
        }
    }
}

/// Puts the command alone. In RESP2 the default user is not named: servers before Redis 6 know no
/// users, and the others use that user if the command names no other.
pub(crate) fn request(credentials: &Credentials, protocol: u8, tx: &mut Output) {
    let password = credentials.password.expose().as_bytes();
    let named = |user: &&str| protocol > 2 || *user != DEFAULT_USER;
    match credentials.username.as_deref().filter(named) {
        Some(user) => encode::request(tx, &[b"AUTH", user.as_bytes(), password]),
        None => encode::request(tx, &[b"AUTH", password]),
    }
}

/// The user in `HELLO` if the URL names none.
pub(super) const DEFAULT_USER: &str = "default";
