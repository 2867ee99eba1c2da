//! The first words on a connection.
//!
//! Two round trips. First `HELLO 3` with the credentials and the client's name; a server that refuses
//! it, in whatever words, is greeted in RESP2 with `AUTH` and `CLIENT SETNAME` instead.
//! A [`Greeting`] may spare it `HELLO`, and all that can be left out.
//! Then, in one pipeline: `SELECT` where a database was named, `CLIENT SETINFO` (since Redis 7.2;
//! its errors are ignored), `CLIENT TRACKING` where pushes are asked for, and a `PING`, which a
//! server that is still loading its data refuses.
//!
//! No error of the handshake shows the password, though old servers quote the arguments of a
//! command they do not know: what is decided by an error is decided by what the server wrote, and of
//! one that answers a command with the password in it only the kind is told.
//!
//! A server that must be a master says whether it is one in its answer to `HELLO`. Where it does not,
//! as in RESP2, it is asked by `ROLE`, before the `PING`. So is a replica told `READONLY` that is to answer
//! reads.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Greeting, Pushes, Role, ServerInfo, Setup, Tracking, auth};
use crate::command::Command;
use crate::error::{ConnectionError, ProtocolError, ServerError, ServerErrorKind};
use crate::planted::{self, Bug};
use crate::resp::encode::Scripts;
use crate::resp::output::Output;
use crate::resp::{decode, encode};
use crate::secret::Secret;
use crate::url::Credentials;

/// A handshake under way: what was asked and not yet answered.
#[derive(Debug)]
pub(super) struct Handshake {
    credentials: Option<Credentials>,
    name: Option<String>,
    database: u32,
    greeting: Greeting,
    /// What the server has not said yet that it is.
    role: Role,
    /// Whether it is told to answer reads as a replica.
    reads: bool,
    tracking: Option<Tracking>,
    asked: VecDeque<Ask>,
    info: ServerInfo,
    /// How many bytes were heard.
    heard: usize,
}

/// What came of a reply.
#[derive(Debug)]
pub(super) enum Step {
    /// More replies are to come.
    Pending,
    /// That was the last one.
    Done(ServerInfo),
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Hello,
    /// As [`Must`](Self::Must), and the error may quote the password.
    Auth,
    /// Any error ends the handshake.
    Must,
    /// The connection's name. A server that refuses it, as it knows no `CLIENT` or as the user may not,
    /// serves all the same.
    Name,
    /// An error is as good as a success.
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
            // Nothing of it depends on an answer, so all of it is one round trip.
            Greeting::Resp2 | Greeting::Bare => {
                this.greet_in_resp2(tx);
                this.settle(tx);
            }
        }
        this
    }

    /// So many more bytes were heard, pushes included.
    pub(super) fn bear(&mut self, len: usize) -> Result<(), ProtocolError> {
        self.heard = self.heard.saturating_add(len);
        if self.heard > MOST_HEARD {
            let (value, limit) = (self.heard as u64, MOST_HEARD as u64);
            return Err(ProtocolError::TooLarge { what: "a greeting's length", value, limit });
        }
        Ok(())
    }

    /// Takes in the reply to what was asked first.
    pub(super) fn handle(
        &mut self,
        frame: &[u8],
        tx: &mut Output,
    ) -> Result<Step, ConnectionError> {
        let error = decode::error(frame)?;
        match (self.asked.pop_front(), error) {
            (None, _) => return Err(ProtocolError::Unasked.into()),
            (Some(Ask::Hello), None) => {
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
                };
                self.go_on(tx)?;
            }
            (Some(Ask::Hello), Some(error)) if self.may_speak_resp2(&error) => {
                if self.greeting == Greeting::Resp3 {
                    return Err(ConnectionError::NoResp3);
                }
                self.greet_in_resp2(tx);
                self.go_on(tx)?;
            }
            (Some(Ask::Auth | Ask::Must | Ask::Name), None) | (Some(Ask::May), _) => {}
            (Some(Ask::Name), Some(error)) if is_worth_going_on(&error) => self.info.unnamed = true,
            (Some(Ask::Role), None) => {
                let word = decode::elements(frame)?.next().transpose()?;
                self.be(word.and_then(|word| word.bytes()).unwrap_or_default())?;
            }
            (Some(Ask::Ping), None) if self.tracking.is_some() && self.info.protocol < 3 => {
                return Err(ConnectionError::NoPushes);
            }
            (Some(Ask::Ping), error) if error.as_ref().is_none_or(is_worth_going_on) => {
                return Ok(Step::Done(core::mem::take(&mut self.info)));
            }
            (Some(Ask::Hello), Some(error)) if self.credentials.is_none() => {
                return Err(ConnectionError::Refused(error));
            }
            (Some(Ask::Hello | Ask::Auth), Some(error)) => {
                return Err(ConnectionError::Refused(error.withheld()));
            }
            (Some(Ask::Must | Ask::Name | Ask::Role | Ask::Ping), Some(error)) => {
                return Err(ConnectionError::Refused(error.without(self.secret())));
            }
            (Some(Ask::Ping), None) => {}
        }
        Ok(Step::Pending)
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
        self.asked.push_back(Ask::Hello);
    }

    fn greet_in_resp2(&mut self, tx: &mut Output) {
        if let Some(credentials) = &self.credentials {
            auth::request(credentials, 2, tx);
            self.asked.push_back(Ask::Auth);
        }
        if let Some(name) = &self.name {
            if self.greeting == Greeting::Bare {
                self.info.unnamed = true;
            } else {
                encode::request(tx, &[b"CLIENT", b"SETNAME", name.as_bytes()]);
                self.asked.push_back(Ask::Name);
            }
        }
        self.info.protocol = 2;
    }

    /// Goes on where `HELLO` was answered.
    fn go_on(&mut self, tx: &mut Output) -> Result<(), ConnectionError> {
        // In RESP2 a server takes the request to track, and then says nothing.
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
            self.asked.push_back(Ask::Must);
        }
        let says_more = matches!(self.greeting, Greeting::Either | Greeting::Resp3);
        let library = [("LIB-NAME", LIBRARY), ("LIB-VER", env!("CARGO_PKG_VERSION"))];
        for (what, value) in library.into_iter().filter(|_| says_more) {
            encode::request(tx, &[b"CLIENT", b"SETINFO", what.as_bytes(), value.as_bytes()]);
            self.asked.push_back(Ask::May);
        }
        if self.role == Role::Master {
            encode::request(tx, &[b"ROLE"]);
            self.asked.push_back(Ask::Role);
        }
        if self.reads {
            encode::command(&Command::ReadOnly, &mut Scripts::default(), tx);
            self.asked.push_back(Ask::Must);
        }
        if let Some(tracking) = self.tracking.as_ref().filter(|_| self.info.protocol > 2) {
            tracking.request(tx);
            self.asked.push_back(Ask::Must);
        }
        encode::request(tx, &[b"PING"]);
        self.asked.push_back(Ask::Ping);
    }

    /// The server says what it is.
    fn be(&mut self, role: &[u8]) -> Result<(), ConnectionError> {
        match core::mem::take(&mut self.role) {
            Role::Master if role != b"master" => Err(ConnectionError::NotMaster),
            Role::Master | Role::Reader | Role::Any => Ok(()),
        }
    }

    /// Whether a server that refused `HELLO` may take RESP2. Proxies refuse it in words of their own, so
    /// any error is taken for that but those that RESP2 would be answered with as well. One that wants
    /// `AUTH` though it was told the credentials has not read them.
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
            | ServerErrorKind::Other => {
                !planted::is(Bug::HelloMustBeUnknown)
                    || error.text().starts_with("ERR unknown command")
            }
        }
    }

    fn secret(&self) -> Option<&Secret> {
        self.credentials.as_ref().map(|credentials| &credentials.password)
    }

    /// What the server says of itself, unless the password is in it, or eight bytes of that in a row.
    fn concealed(&self, text: String) -> String {
        let shows = |secret: &Secret| secret.shows_in(&text, secret.expose().len().clamp(6, 8));
        if self.secret().is_some_and(shows) { String::new() } else { text }
    }
}

/// A server that answers a `PING` with, say, `MISCONF` or `BUSY` still serves what it can; one that
/// is loading, or does not know us, serves nothing.
fn is_worth_going_on(error: &ServerError) -> bool {
    let loading = error.kind == ServerErrorKind::Loading && !planted::is(Bug::LoadingIsReady);
    !loading && !matches!(error.kind, ServerErrorKind::NoAuth | ServerErrorKind::MaxClients)
}

/// What `HELLO` wants to be told where the URL names no user.
pub(super) const DEFAULT_USER: &str = "default";

/// How many bytes all that a server says in the handshake may have.
const MOST_HEARD: usize = 1 << 20;

const LIBRARY: &str = "async-caches-rs";
