//! The handshake of a connection.
//!
//! It takes two round trips. First comes `HELLO 3` with the credentials and the client's name. If
//! the server refuses that, with whatever error, the client sends `AUTH` and `CLIENT SETNAME` in
//! RESP2 instead. A [`Greeting`] may leave out `HELLO`, and every other command that is not
//! necessary. These commands follow in one pipeline: `SELECT` if the setup names a database,
//! `CLIENT SETINFO` (since Redis 7.2; its errors are ignored), `CLIENT TRACKING` if the setup asks
//! for pushes, and a `PING`, which a server that is still loading its data refuses.
//!
//! No error of the handshake shows the password, though old servers quote the arguments of an
//! unknown command. Decisions are made on the error as the server wrote it. If the error is the
//! reply to a command that contains the password, only its kind is passed on.
//!
//! If the server must be a master, the client reads the role in the reply to `HELLO`. If the reply
//! has no role, as in RESP2, the client sends `ROLE`, before the `PING`. To a replica that is to
//! answer reads it sends `READONLY` at that point.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::passwords::{self, DEFAULT_USER};
use super::setup::{Greeting, Role, ServerInfo, Setup};
use super::tracking::{Pushes, Tracking};
use crate::command::Command;
use crate::error::{ConnectionError, ProtocolError, ServerError, ServerErrorKind};
use crate::resp::encode::Scripts;
use crate::resp::output::Output;
use crate::resp::{decode, encode};
use crate::secret::Secret;
use crate::server::Credentials;

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake {
    credentials: Option<Credentials>,
    name: Option<String>,
    database: u32,
    greeting: Greeting,
    /// The role that the server must have, until it has reported one.
    role: Role,
    /// Whether to let the server answer reads as a replica.
    reads: bool,
    tracking: Option<Tracking>,
    asked: VecDeque<Asked>,
    info: ServerInfo,
    /// How many bytes the server has sent.
    heard: usize,
}

/// The result of handling a reply.
#[derive(Debug)]
pub(super) enum HandshakeStep {
    /// More replies are to come.
    Pending,
    /// That was the last one.
    Done(ServerInfo),
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Hello,
    /// Like [`Must`](Self::Must), and the error may quote the password.
    Auth,
    /// Any error ends the handshake.
    Must,
    /// The connection's name. A server may refuse it, as it knows no `CLIENT` or as the user lacks
    /// the permission, and still serve the client.
    Name,
    /// An error is ignored.
    May,
    Role,
    /// The last one.
    Ping,
}

impl Handshake {
    pub(super) fn begin(setup: &Setup, tx: &mut Output) -> Self {
        let mut this = Self {
            credentials: setup.credentials.clone(),
            name: setup.name.clone(),
            database: setup.database,
            greeting: setup.greeting,
            role: setup.role,
            reads: setup.role == Role::Reader,
            tracking: match &setup.pushes {
                Pushes::Dropped => None,
                Pushes::Told { tracking } => tracking.clone(),
            },
            asked: VecDeque::new(),
            info: ServerInfo::default(),
            heard: 0,
        };
        match this.greeting {
            Greeting::Either | Greeting::Resp3 => this.hello(tx),
            // No command depends on a reply, so all of them take one round trip.
            Greeting::Resp2 | Greeting::Bare => {
                this.greet_in_resp2(tx);
                this.settle(tx);
            }
        }
        this
    }

    /// Counts `len` more bytes from the server, pushes included, and fails if they are too many.
    pub(super) fn bear(&mut self, len: usize) -> Result<(), ProtocolError> {
        self.heard = self.heard.saturating_add(len);
        if self.heard > MOST_HEARD {
            let (value, limit) = (self.heard as u64, MOST_HEARD as u64);
            return Err(ProtocolError::TooLarge { what: "a greeting's length", value, limit });
        }
        Ok(())
    }

    /// Handles the reply to the oldest unanswered command.
    pub(super) fn handle(
        &mut self,
        frame: &[u8],
        tx: &mut Output,
    ) -> Result<HandshakeStep, ConnectionError> {
        let error = decode::error(frame)?;
        match (self.asked.pop_front(), error) {
            (None, _) => return Err(ProtocolError::Unasked.into()),
            (Some(Asked::Hello), None) => {
                let hello = decode::hello(frame)?;
                if self.greeting == Greeting::Resp3 && hello.proto != 3 {
                    return Err(ConnectionError::NoResp3);
                }
                if let Some(role) = &hello.role {
                    self.be(role.as_bytes())?;
                }
                self.info = ServerInfo {
                    protocol: hello.proto,
                    server: self.concealed(hello.server),
                    version: self.concealed(hello.version),
                    unnamed: false,
                    in_cluster: hello.mode.as_deref() == Some("cluster"),
                };
                self.go_on(tx)?;
            }
            (Some(Asked::Hello), Some(error)) if self.may_speak_resp2(&error) => {
                if self.greeting == Greeting::Resp3 {
                    return Err(ConnectionError::NoResp3);
                }
                self.greet_in_resp2(tx);
                self.go_on(tx)?;
            }
            (Some(Asked::Auth | Asked::Must | Asked::Name), None) | (Some(Asked::May), _) => {}
            (Some(Asked::Name), Some(error)) if is_worth_going_on(&error) => {
                self.info.unnamed = true;
            }
            (Some(Asked::Role), None) => {
                let word = decode::elements(frame)?.next().transpose()?;
                self.be(word.and_then(|word| word.bytes()).unwrap_or_default())?;
            }
            (Some(Asked::Ping), None) if self.tracking.is_some() && self.info.protocol < 3 => {
                return Err(ConnectionError::NoPushes);
            }
            (Some(Asked::Ping), error) if error.as_ref().is_none_or(is_worth_going_on) => {
                return Ok(HandshakeStep::Done(core::mem::take(&mut self.info)));
            }
            (Some(Asked::Hello), Some(error)) if self.credentials.is_none() => {
                return Err(ConnectionError::Refused(error));
            }
            (Some(Asked::Hello | Asked::Auth), Some(error)) => {
                return Err(ConnectionError::Refused(error.withheld()));
            }
            (Some(Asked::Must | Asked::Name | Asked::Role | Asked::Ping), Some(error)) => {
                return Err(ConnectionError::Refused(error.without(self.secret())));
            }
            (Some(Asked::Ping), None) => {}
        }
        Ok(HandshakeStep::Pending)
    }

    fn hello(&mut self, tx: &mut Output) {
        let mut words: Vec<&[u8]> = alloc::vec![b"HELLO", b"3"];
        if let Some(credentials) = &self.credentials {
            let user = credentials.username.as_deref().unwrap_or(DEFAULT_USER);
            words.extend([b"AUTH", user.as_bytes(), credentials.password.expose().as_bytes()]);
        }
        if let Some(name) = &self.name {
            words.extend([b"SETNAME", name.as_bytes()]);
        }
        encode::request(tx, &words);
        self.asked.push_back(Asked::Hello);
    }

    fn greet_in_resp2(&mut self, tx: &mut Output) {
        if let Some(credentials) = &self.credentials {
            passwords::request(credentials, 2, tx);
            self.asked.push_back(Asked::Auth);
        }
        if let Some(name) = &self.name {
            if self.greeting == Greeting::Bare {
                self.info.unnamed = true;
            } else {
                encode::request(tx, &[b"CLIENT", b"SETNAME", name.as_bytes()]);
                self.asked.push_back(Asked::Name);
            }
        }
        self.info.protocol = 2;
    }

    /// Goes on once `HELLO` is answered.
    fn go_on(&mut self, tx: &mut Output) -> Result<(), ConnectionError> {
        // In RESP2 a server accepts the request for tracking, and then pushes nothing.
        if self.tracking.is_some() && self.info.protocol < 3 {
            return Err(ConnectionError::NoPushes);
        }
        self.settle(tx);
        Ok(())
    }

    fn settle(&mut self, tx: &mut Output) {
        if self.database != 0 {
            let database = itoa::Buffer::new().format(self.database).as_bytes().to_vec();
            encode::request(tx, &[b"SELECT", &database]);
            self.asked.push_back(Asked::Must);
        }
        let says_more = matches!(self.greeting, Greeting::Either | Greeting::Resp3);
        let library = [("LIB-NAME", LIBRARY), ("LIB-VER", env!("CARGO_PKG_VERSION"))];
        for (what, value) in library.into_iter().filter(|_| says_more) {
            encode::request(tx, &[b"CLIENT", b"SETINFO", what.as_bytes(), value.as_bytes()]);
            self.asked.push_back(Asked::May);
        }
        if self.role == Role::Master {
            encode::request(tx, &[b"ROLE"]);
            self.asked.push_back(Asked::Role);
        }
        if self.reads {
            encode::command(&Command::ReadOnly, &mut Scripts::default(), tx);
            self.asked.push_back(Asked::Must);
        }
        if let Some(tracking) = self.tracking.as_ref().filter(|_| self.info.protocol > 2) {
            tracking.request(tx);
            self.asked.push_back(Asked::Must);
        }
        encode::request(tx, &[b"PING"]);
        self.asked.push_back(Asked::Ping);
    }

    /// Checks the role that the server reports.
    fn be(&mut self, role: &[u8]) -> Result<(), ConnectionError> {
        match core::mem::take(&mut self.role) {
            Role::Master if role != b"master" => Err(ConnectionError::NotMaster),
            Role::Master | Role::Reader | Role::Any => Ok(()),
        }
    }

    /// Whether a server that refused `HELLO` may accept RESP2. Proxies refuse it with errors of
    /// their own, so any error counts, except those that RESP2 would get as well. If a server asks
    /// for `AUTH` although the credentials were in `HELLO`, it has not read them.
    fn may_speak_resp2(&self, error: &ServerError) -> bool {
        match error.kind {
            ServerErrorKind::WrongPass
            | ServerErrorKind::Loading
            | ServerErrorKind::Denied
            | ServerErrorKind::MaxClients => false,
            ServerErrorKind::NoAuth => self.credentials.is_some(),
            ServerErrorKind::Busy
            | ServerErrorKind::NoScript
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::NoReplicas
            | ServerErrorKind::Misconf
            | ServerErrorKind::OutOfMemory
            | ServerErrorKind::NoPerm
            | ServerErrorKind::NoProto
            | ServerErrorKind::WrongType
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::CrossSlot
            | ServerErrorKind::Unreachable
            | ServerErrorKind::Other => true,
        }
    }

    fn secret(&self) -> Option<&Secret> {
        self.credentials.as_ref().map(|credentials| &credentials.password)
    }

    /// The server's text about itself, or nothing if it contains the password, or eight bytes of it
    /// in a row.
    fn concealed(&self, text: String) -> String {
        let shows = |secret: &Secret| secret.shows_in(&text, secret.expose().len().clamp(6, 8));
        if self.secret().is_some_and(shows) { String::new() } else { text }
    }
}

/// Whether a `PING` with this error still leaves a useful connection. With `MISCONF` or `BUSY`,
/// say, the server still serves what it can; while it is loading, or does not know the client, it
/// serves nothing.
fn is_worth_going_on(error: &ServerError) -> bool {
    !matches!(
        error.kind,
        ServerErrorKind::Loading | ServerErrorKind::NoAuth | ServerErrorKind::MaxClients
    )
}

/// The most bytes that a server may send in the handshake.
const MOST_HEARD: usize = 1 << 20;

const LIBRARY: &str = "async-caches-rs";
