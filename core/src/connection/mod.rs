//! One pipelined connection: commands go in, bytes and events come out.
//!
//! # Theory of operation
//!
//! A server replies in the order of the commands, so a connection is a queue: each submitted
//! command joins the back with its caller's [`Tag`], and each reply belongs to the front. A command
//! only ever leaves the queue by its reply or with the whole connection. If a caller goes away, or
//! its deadline passes, its command keeps its place and the reply is discarded; so no reply can
//! reach a caller that did not ask for it. Pushes are recognised by their type and have no place in
//! the queue. Anything that does not fit closes the connection.
//!
//! ```text
//!         open               Ready       READONLY, or AUTH refused      close, or an error of poll
//!  (none) ────▶ Handshake ─────────▶ Ready ─────────────────▶ Leaving ───────────▶ Closed
//!                   │                  │                                             ▲
//!                   └──────────────────┴─────────────────────────────────────────────┘
//! ```
//!
//! A server that refuses a write as a replica has either become one or has always been one. A new
//! connection mends the first case, as the name may lead to another server by now. So a connection
//! that is at least [`Connection::DEMOTED_FROM`] old takes no more commands then, and ends once
//! those that it took are answered. If the server has always been a replica, reconnecting that
//! rarely does no harm. If the server had to be a master to begin with ([`Role::Master`]), the age
//! does not matter: the connection takes no more commands, and a refused write is returned as not
//! run, so that another server can run it.
//!
//! A server that replies `NOAUTH` or `WRONGPASS` although it had accepted the client no longer
//! knows the client: its user was changed, or a password was set. Such a connection takes no more
//! commands either, and a command refused for that reason is returned as not run
//! ([`Event::Refused`]). The next connection sends the credentials again.
//!
//! Deadlines: the handshake has one. Each command has its own, and gets [`Event::Expired`] if it
//! has no reply by then. A connection is silent and ends if nothing at all was read while a command
//! waited for the whole response timeout. It also ends if the command at the front has waited for
//! twice that long, whatever trickles in. A connection without a reply for
//! [`Connection::KEEPALIVE`] sends a `PING`, even if pushes arrive: they do not prove that commands
//! reach the server.
//!
//! The caller owns both buffers, and reports with [`Connection::wrote`] how much of `tx` its socket
//! has taken. A command whose last byte was not taken cannot have run.

mod asking;
mod auth;
mod due;
mod greeting;
mod handshake;
mod passwords;
mod push;
mod setup;
mod sweep;
#[cfg(test)]
mod tests;
mod tracking;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

pub use self::greeting::Greetings;
use self::handshake::{Handshake, HandshakeStep};
use self::passwords::Passwords;
pub(crate) use self::passwords::request as put_auth;
pub use self::setup::{Greeting, Role, ServerInfo, Setup};
use self::sweep::Sweep;
pub use self::tracking::{Pushes, Tracking};
use crate::command::Command;
use crate::copies::Copies;
use crate::error::{ConnectionError, Failure, ProtocolError, Refused, ServerError};
pub use crate::protocol::Protocol;
use crate::reply::{Answer, Reply};
use crate::resp::answer::Expect;
use crate::resp::decode;
pub use crate::resp::decode::{Invalidated, Push};
use crate::resp::encode::{self, Scripts};
pub use crate::resp::limits::Limits;
pub use crate::resp::output::Output;
use crate::resp::scan::{Expected, Scanner};
use crate::retry;
pub use crate::retry::Blame;
use crate::time::Instant;

/// The caller's name for a command, returned with its outcome.
///
/// ```
/// use async_caches_core::connection::{Event, Tag};
///
/// let callers = ["Ada", "Grace"]; // one command each
/// let expired = Event::Expired(Tag(1));
/// let Event::Expired(Tag(number)) = expired else { unreachable!() };
/// assert_eq!(callers[number as usize], "Grace");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag(pub u64);

/// An event on a connection.
///
/// ```
/// use async_caches_core::connection::{Blame, Event, Tag};
///
/// /// Whether the command of this event may be sent once more, even if it is a write.
/// fn has_not_run(event: &Event) -> bool {
///     matches!(event, Event::Lost { may_have_run: false, .. } | Event::Refused { .. })
/// }
///
/// let lost = |may_have_run| Event::Lost { tag: Tag(7), may_have_run, blame: Blame::Suspect };
/// assert!(has_not_run(&lost(false)) && !has_not_run(&lost(true)));
/// assert!(!has_not_run(&Event::Expired(Tag(7))));
/// ```
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is done: commands may be submitted.
    Ready(ServerInfo),
    /// The server answered a command.
    Reply {
        /// The command.
        tag: Tag,
        /// Its answer.
        answer: Answer,
    },
    /// The server sent a push. Returned only if [`Setup::pushes`] asks for it, in the order of
    /// arrival between the replies.
    Push(Push),
    /// A command's deadline passed. It may have run, or may still run: it keeps its place in the
    /// queue, even if it was not written so far. If its reply still comes it is discarded.
    Expired(Tag),
    /// The connection closed before the command was answered. Or its server had to be a master and
    /// refused the command as a replica; then the connection is about to close.
    Lost {
        /// The command.
        tag: Tag,
        /// Whether the server may have run the command.
        may_have_run: bool,
        /// How likely the command was the cause, in case the server ended the connection.
        blame: Blame,
    },
    /// The server refused the command, which has not run, as it no longer knows the client. The
    /// connection is about to close.
    Refused {
        /// The command.
        tag: Tag,
        /// The server's error.
        error: ServerError,
    },
}

/// One pipelined connection.
///
/// ```
/// use async_caches_core::command::Command;
/// use async_caches_core::connection::{Connection, Event, Output, Setup, Tag};
/// use async_caches_core::key::KeySpace;
/// use async_caches_core::reply::Reply;
/// use async_caches_core::time::Instant;
/// use bytes::{Bytes, BytesMut};
/// use core::time::Duration;
///
/// let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let (now, mut rx, mut tx) = (Instant::ORIGIN, BytesMut::new(), Output::new());
/// let mut connection = Connection::open(&setup, now, &mut tx);
/// connection.wrote(tx.split().len()); // the socket took all of it
/// rx.extend_from_slice(b"%1\r\n+proto\r\n:3\r\n+OK\r\n+OK\r\n+PONG\r\n"); // the server's greeting
/// assert!(matches!(connection.poll(&mut rx, now, &mut tx)?, Some(Event::Ready(_))));
/// connection.wrote(tx.split().len());
///
/// let space = KeySpace::default();
/// let get = Command::Get(space.scope(None)?.key(b"user:1"));
/// connection.submit(&get, Tag(7), now + setup.response_timeout, &mut tx)?;
/// assert_eq!(tx.split(), "*2\r\n$3\r\nGET\r\n$8\r\n::user:1\r\n");
/// rx.extend_from_slice(b"$3\r\nAda\r\n");
/// let answer = Ok(Reply::Value(Some(Bytes::from("Ada"))));
/// assert_eq!(connection.poll(&mut rx, now, &mut tx)?, Some(Event::Reply { tag: Tag(7), answer }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    phase: ConnectionPhase,
    role: Role,
    response_timeout: Duration,
    tells_pushes: bool,
    scanner: Scanner,
    copies: Copies,
    scripts: Scripts,
    queue: VecDeque<Waiting>,
    /// How many bytes were put into `tx`, and how many of them the socket has taken.
    put: u64,
    written: u64,
    /// The length of `rx` after the last poll.
    unscanned: usize,
    last_read: Instant,
    /// When a caller's command was last answered, and when one of the connection's own was.
    last_used: Instant,
    last_ours: Instant,
    next_expiry: Instant,
    sweep: Option<Sweep>,
    /// See [`Connection::has_answered`].
    answered: bool,
    /// Whether the server has accepted the client's credentials.
    known: bool,
    /// Whether a bad frame in place of the reply at the front ended the connection.
    broken: bool,
    /// Whether the command at the front was blamed for that.
    blamed: bool,
    /// The passwords that no error may show.
    passwords: Passwords,
    /// The version of RESP that is spoken, once the connection is ready.
    protocol: u8,
}

#[derive(Debug)]
enum ConnectionPhase {
    Handshake {
        steps: Box<Handshake>,
        until: Instant,
    },
    Ready {
        since: Instant,
    },
    /// It takes no more commands, and ends with this error.
    Leaving(Box<ConnectionError>),
    Closed,
}

/// A place in the queue.
#[derive(Debug)]
struct Waiting {
    /// `None` if the command is the connection's own, or has expired.
    tag: Option<Tag>,
    expect: Expect,
    /// How many replies are still to come.
    left: usize,
    /// The first failure among the replies so far.
    failure: Option<Box<Failure>>,
    /// Whether at least one of the replies so far succeeded.
    ran: bool,
    expires: Instant,
    /// How many bytes had been put into `tx` before it.
    begins_at: u64,
    /// How many bytes must have been written before it can have run: all of it, or, if it is sent
    /// as several commands with a reply each, its first byte, as the first of them runs before the
    /// last.
    runs_at: u64,
}

impl Connection {
    /// How long a connection goes without a reply before it checks that the server still responds.
    pub const KEEPALIVE: Duration = Duration::from_secs(30);
    /// How old a connection must be to end because its server is a replica.
    pub const DEMOTED_FROM: Duration = Duration::from_secs(2);

    /// Begins a connection: puts the start of the handshake into `tx`, which must be empty. May be
    /// called before there is a socket; the connect timeout runs from `now`.
    #[must_use]
    pub fn open(setup: &Setup, now: Instant, tx: &mut Output) -> Self {
        let steps = Handshake::begin(setup, tx);
        Self {
            phase: ConnectionPhase::Handshake {
                steps: Box::new(steps),
                until: now + setup.connect_timeout,
            },
            role: setup.role,
            response_timeout: setup.response_timeout,
            tells_pushes: setup.pushes != Pushes::Dropped,
            scanner: Scanner::new(setup.limits),
            copies: Copies::default(),
            scripts: Scripts::default(),
            queue: VecDeque::new(),
            put: tx.len() as u64,
            written: 0,
            unscanned: 0,
            last_read: now,
            last_used: now,
            last_ours: now,
            next_expiry: Instant::MAX,
            sweep: None,
            answered: false,
            known: setup.credentials.is_some(),
            broken: false,
            blamed: false,
            passwords: Passwords::new(setup.credentials.as_ref()),
            protocol: 2,
        }
    }

    /// Puts a command into `tx`. Exactly one event will carry its tag.
    ///
    /// # Errors
    /// [`Refused`]: nothing was put and no event will come.
    #[inline(always)]
    pub fn submit(
        &mut self,
        command: &Command<'_>,
        tag: Tag,
        expires: Instant,
        tx: &mut Output,
    ) -> Result<(), Refused> {
        self.check(command)?;
        self.put(command, Some(tag), expires, tx);
        Ok(())
    }

    /// Returns the next event. To be called after every read, at every deadline and after
    /// [`close`](Self::close), until it returns `None`. Takes whole frames off the front of `rx`
    /// and may put bytes into `tx`.
    ///
    /// # Errors
    /// [`ConnectionError`]: the connection is closed and nothing more will arrive. Further polls
    /// return [`Event::Lost`] for the commands that were waiting.
    #[inline(always)]
    pub fn poll(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        tx: &mut Output,
    ) -> Result<Option<Event>, ConnectionError> {
        let outcome = match &self.phase {
            ConnectionPhase::Closed => return Ok(self.next_lost()),
            ConnectionPhase::Handshake { .. }
            | ConnectionPhase::Ready { .. }
            | ConnectionPhase::Leaving(_) => self.next_event(rx, now, tx),
        };
        if outcome.is_err() {
            self.close();
        }
        outcome
    }

    /// The next event of [`poll`](Self::poll), if it is a reply with a value that has arrived
    /// whole, as most replies are. It has a function of its own so that the value is moved as
    /// little as possible.
    #[inline(always)]
    pub fn next_value(&mut self, rx: &mut BytesMut, now: Instant) -> Option<(Tag, Bytes)> {
        if !self.is_ready() {
            return None;
        }
        self.look_at(rx, now);
        loop {
            let blob = self.scanner.glance(rx)?;
            if !self.queue.front()?.expect.is_value() {
                return None;
            }
            let value = decode::take(rx, blob.next(), blob.body(), &mut self.copies);
            self.unscanned = rx.len();
            self.answered = true;
            if let Some(tag) = self.pop_answered(now) {
                return Some((tag, value));
            }
        }
    }

    /// The socket has taken `count` more of the bytes in `tx`.
    pub fn wrote(&mut self, count: usize) {
        self.written = (self.written + count as u64).min(self.put);
    }

    /// The socket is gone, or is about to go: nothing more is read or submitted, and the waiting
    /// commands are lost.
    pub fn close(&mut self) {
        self.phase = ConnectionPhase::Closed;
    }

    /// Whether the connection takes commands: the handshake is done, and it is neither closed nor
    /// about to be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Ready { .. })
    }

    fn is_greeting(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Handshake { .. })
    }

    /// How many commands wait for their replies.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.queue.len()
    }

    /// How many of them the socket has not taken whole yet; such a command cannot have run.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.queue.len() - self.queue.partition_point(|waiting| waiting.runs_at <= self.written)
    }

    /// How many of the bytes put into `tx` the socket has not taken yet.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        usize::try_from(self.put - self.written).unwrap_or(usize::MAX)
    }

    /// If `rx` ends inside a blob, how many bytes of the blob and its line break are missing. Zero
    /// if it does not, or if the blob's length is not known yet.
    #[must_use]
    pub fn lacks(&self) -> usize {
        self.scanner.lacks()
    }

    /// Whether the reply at the front is overdue, so that new commands are better sent elsewhere.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.queue.front().is_some_and(|front| front.expires < self.next_expiry)
    }

    /// When bytes were last read, or when the connection began if none were.
    #[must_use]
    pub fn last_heard(&self) -> Instant {
        self.last_read
    }

    /// Whether the server has answered a command, other than with an error that means an outage or
    /// that the server does not know the client.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Since when no caller has had a command in flight; `None` while one has.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let idle = self.is_ready() && self.queue.iter().all(|waiting| waiting.tag.is_none());
        idle.then_some(self.last_used)
    }

    /// Checks that a command may be put.
    #[inline(always)]
    fn check(&self, command: &Command<'_>) -> Result<(), Refused> {
        if !self.is_ready() {
            return Err(Refused::NotOpen);
        }
        // The commonest command has a branch of its own.
        let largest =
            if let Command::Get(key) = command { key.len() } else { command.largest_argument() };
        let (len, limit) = (largest as u64, encode::MAX_ARGUMENT as u64);
        if len > limit {
            return Err(Refused::TooLarge { len, limit });
        }
        Ok(())
    }

    #[inline(always)]
    fn put(&mut self, command: &Command<'_>, tag: Option<Tag>, expires: Instant, tx: &mut Output) {
        let before = tx.len();
        // The commonest command has a branch of its own, in which its expected reply is constant.
        let expect = if let Command::Get(key) = command {
            encode::get(tx, key);
            Expect::VALUE
        } else {
            let replaced = self.replaced(command);
            let command = replaced.as_ref().unwrap_or(command);
            encode::command(command, &mut self.scripts, tx);
            Expect::of(command)
        };
        let begins_at = self.put;
        self.put += (tx.len() - before) as u64;
        self.queue_up(expect, tag, expires, begins_at);
    }

    /// The command that is sent instead of this one, as the server's user may run no scripts.
    #[inline]
    fn replaced<'c>(&self, command: &Command<'c>) -> Option<Command<'c>> {
        if self.scripts.are_refused() { command.without_script() } else { None }
    }

    #[inline(always)]
    fn queue_up(&mut self, expect: Expect, tag: Option<Tag>, expires: Instant, begins_at: u64) {
        let left = expect.replies();
        let runs_at = if left > 1 { begins_at + 1 } else { self.put };
        self.queue.push_back(Waiting {
            tag,
            expect,
            left,
            failure: None,
            ran: false,
            expires,
            begins_at,
            runs_at,
        });
        // A sweep that is under way will reach it.
        self.next_expiry = self.next_expiry.min(expires);
    }

    #[inline(always)]
    fn next_event(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        tx: &mut Output,
    ) -> Result<Option<Event>, ConnectionError> {
        if let Some((tag, value)) = self.next_value(rx, now) {
            return Ok(Some(Event::Reply { tag, answer: Ok(Reply::Value(Some(value))) }));
        }
        self.look_at(rx, now);
        while let Some(len) = self.scan(rx)? {
            let event = self.frame(rx, len, now, tx)?;
            self.unscanned = rx.len();
            if event.is_some() {
                return Ok(event);
            }
        }
        self.unscanned = rx.len();
        match &self.phase {
            ConnectionPhase::Handshake { until, .. } if *until <= now => {
                Err(ConnectionError::NotReadyInTime)
            }
            ConnectionPhase::Handshake { .. } | ConnectionPhase::Closed => Ok(None),
            ConnectionPhase::Leaving(why)
                if self.queue.iter().all(|waiting| waiting.tag.is_none()) =>
            {
                Err((**why).clone())
            }
            ConnectionPhase::Ready { .. } | ConnectionPhase::Leaving(_) => self.due(now, tx),
        }
    }

    /// The length of the next frame, once all of it has arrived. Fails if the frame may not come
    /// now.
    #[inline]
    fn scan(&mut self, rx: &[u8]) -> Result<Option<usize>, ProtocolError> {
        self.scanner.expect(match (&self.phase, self.queue.front()) {
            (ConnectionPhase::Handshake { .. }, _) => Expected::Small,
            (_, Some(front)) => front.expect.expected(),
            (_, None) => Expected::Nothing,
        });
        self.scanner.scan(rx).inspect_err(|_| {
            self.broken = !decode::is_push(rx);
        })
    }

    /// Handles one frame of `len` bytes.
    fn frame(
        &mut self,
        rx: &mut BytesMut,
        len: usize,
        now: Instant,
        tx: &mut Output,
    ) -> Result<Option<Event>, ConnectionError> {
        if let ConnectionPhase::Handshake { steps, .. } = &mut self.phase {
            steps.bear(len)?;
        }
        if decode::is_push(rx) {
            return Ok(self.pushed(rx, len)?);
        }
        if let ConnectionPhase::Handshake { steps, .. } = &mut self.phase {
            let (frame, before) = (rx.split_to(len), tx.len());
            let step = steps.handle(&frame, tx)?;
            self.put += (tx.len() - before) as u64;
            return Ok(match step {
                HandshakeStep::Pending => None,
                // Bytes that have already arrived must not answer the first command.
                HandshakeStep::Done(_)
                    if rx.first().is_some_and(|first| !b">|".contains(first)) =>
                {
                    return Err(ProtocolError::Unasked.into());
                }
                HandshakeStep::Done(info) => {
                    self.phase = ConnectionPhase::Ready { since: now };
                    self.last_used = now;
                    self.protocol = info.protocol;
                    Some(Event::Ready(info))
                }
            });
        }
        let Some(front) = self.queue.front_mut() else { return Err(ProtocolError::Unasked.into()) };
        let expect = front.expect;
        let mut answer = expect.read(rx, len, &mut self.copies).inspect_err(|_| {
            self.broken = true;
        })?;
        if let Err(failure) = answer {
            answer = Err(self.passwords.conceal(failure));
            if expect.is_of_a_script() && retry::lacks_permission(&answer) {
                self.scripts.refuse();
            }
        }
        front.left -= 1;
        if retry::lacks_script(&answer) {
            self.scripts.forget();
        }
        // Sent by an old server on which a password was set meanwhile, or by one that removed the
        // user.
        let is_stranger = retry::as_a_stranger(&answer) && expect != Expect::WELCOME;
        if is_stranger && (self.known || self.answered) {
            self.phase.leave(ConnectionError::Forgotten);
        }
        self.answered |= !is_stranger && !is_outage(&answer);
        if retry::elsewhere(&answer)
            && let ConnectionPhase::Ready { since } = self.phase
            && (self.role == Role::Master || since + Self::DEMOTED_FROM <= now)
        {
            self.phase.leave(ConnectionError::Demoted);
        }
        front.ran |= answer.is_ok() && expect.changed(front.left);
        if front.left > 0 {
            if let Err(failure) = answer {
                front.failure.get_or_insert_with(|| Box::new(failure));
            }
            return Ok(None);
        }
        if let Some(failure) = front.failure.take() {
            answer = Err(*failure);
        }
        if self.role == Role::Master && !front.ran && retry::elsewhere(&answer) {
            let tag = self.pop_answered(now);
            let blame = Blame::Innocent;
            return Ok(tag.map(|tag| Event::Lost { tag, may_have_run: false, blame }));
        }
        if let (ConnectionPhase::Leaving(why), false, Err(Failure::Server(error))) =
            (&self.phase, front.ran, &answer)
            && is_stranger
            && **why == ConnectionError::Forgotten
        {
            let error = error.clone();
            return Ok(self.pop_answered(now).map(|tag| Event::Refused { tag, error }));
        }
        if expect == Expect::WELCOME {
            self.authenticated(&answer);
        }
        Ok(self.pop_answered(now).map(|tag| Event::Reply { tag, answer }))
    }

    #[inline]
    fn look_at(&mut self, rx: &BytesMut, now: Instant) {
        if rx.len() > self.unscanned {
            self.last_read = now;
        }
    }

    /// Removes the answered command at the front. Returns its tag, if a caller still waits for it.
    #[inline(always)]
    fn pop_answered(&mut self, now: Instant) -> Option<Tag> {
        let front = self.queue.pop_front()?;
        if let Some(sweep) = &mut self.sweep {
            sweep.step_back();
        }
        if self.queue.is_empty() {
            self.next_expiry = Instant::MAX;
        }
        match front.tag {
            Some(_) => self.last_used = now,
            None => self.last_ours = now,
        }
        front.tag
    }

    fn next_lost(&mut self) -> Option<Event> {
        while let Some(waiting) = self.queue.pop_front() {
            let own = self.broken && !core::mem::replace(&mut self.blamed, true);
            if let Some(tag) = waiting.tag {
                let may_have_run = waiting.runs_at <= self.written;
                let blame = match (own, self.broken) {
                    (true, _) => Blame::Guilty,
                    (false, true) => Blame::Innocent,
                    (false, false) if waiting.begins_at < self.written => Blame::Suspect,
                    (false, false) => Blame::Innocent,
                };
                return Some(Event::Lost { tag, may_have_run, blame });
            }
        }
        None
    }
}

/// Whether the answer is an error that only reports an outage.
fn is_outage(answer: &Answer) -> bool {
    matches!(answer, Err(Failure::Server(error)) if error.kind.is_outage())
}

impl ConnectionPhase {
    /// Takes no more commands, and ends once the commands in flight are answered.
    fn leave(&mut self, why: ConnectionError) {
        if let Self::Ready { .. } = self {
            *self = Self::Leaving(Box::new(why));
        }
    }
}
