//! One connection to a sentinel: bytes go in, and the master's address comes out.
//!
//! # Theory of operation
//!
//! The client sends its commands in few writes, each of which a sentinel reads as a whole: `AUTH`
//! if there are credentials, the question for the master, the question for the other sentinels, and
//! last `SUBSCRIBE`, so that no change after the answer is missed. From then on the sentinel
//! announces each new master. In RESP2 a subscribed client may ask nothing else. To ask again it
//! sends `UNSUBSCRIBE`, the questions and `SUBSCRIBE`, in one write again.
//!
//! ```text
//!          open                 subscribed             time, or doubt
//!  (none) ──────▶ asked, not yet ────────▶ listening ─────────────────▶ asked, and to hear by when
//!                    answered                  ▲                              │
//!                                              └────────── subscribed ────────┘
//! ```
//!
//! The client asks again after [`Watch::KEEPALIVE`] in any case. That detects a silent sentinel,
//! and makes up for anything that was missed. In [doubt](Watch::doubt), as when the master is gone
//! or turns out not to be one, it asks every [`Watch::IN_DOUBT`] until the master is
//! [trusted](Watch::trust) again: a sentinel knows a new master some time before it announces it.
//! However often the caller reports doubt, the client asks no more often than that.
//!
//! If the user may not `SUBSCRIBE`, the client asks the sentinel every [`Watch::POLLED`] instead,
//! and does not try to subscribe again. A sentinel that does not name the others is still asked for
//! the master.
//!
//! Anything that does not fit ends the watch, as on any connection. The caller asks the next
//! sentinel then.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::mem;
use core::time::Duration;

use bytes::BytesMut;

use super::message::{self, CHANNEL, SentinelMessage};
use crate::cluster::address::Address;
use crate::error::{ConnectionError, ProtocolError, ServerError, ServerErrorKind};
use crate::resp::output::Output;
use crate::resp::scan::{Limits, Scanner};
use crate::resp::{decode, encode};
use crate::server::{Credentials, Endpoint};
use crate::time::{Deadline, Instant};

/// The settings of a watch. Built by [`WatchSetup::new`]; each field may be set after that.
///
/// ```
/// use async_caches_core::sentinel::WatchSetup;
/// use async_caches_core::server::Credentials;
/// use core::time::Duration;
///
/// let timeout = Duration::from_secs(1);
/// let mut setup = WatchSetup::new("mymaster", timeout, timeout);
/// assert_eq!(setup.credentials, None); // those of the server are not sent to sentinels
/// setup.credentials = Some(Credentials { username: None, password: "hunter2".into() });
/// assert!(!format!("{setup:?}").contains("hunter2"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchSetup {
    /// The client's credentials for the sentinels, which are separate from the server's.
    pub credentials: Option<Credentials>,
    /// The name of the service whose master is wanted.
    pub service: Box<str>,
    /// How long it may take until the master is known, including the dial. Capped at
    /// [`Watch::PATIENCE`], as there are other sentinels to ask.
    pub connect_timeout: Duration,
    /// How long an answer may take afterwards; capped likewise.
    pub response_timeout: Duration,
}

impl WatchSetup {
    /// A watch for the master of this service, without credentials for the sentinels.
    #[must_use]
    pub fn new(
        service: impl Into<Box<str>>,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Self {
        Self { credentials: None, service: service.into(), connect_timeout, response_timeout }
    }
}

/// News from a sentinel.
///
/// ```
/// use async_caches_core::cluster::address::Address;
/// use async_caches_core::sentinel::WatchEvent;
/// use async_caches_core::server::Endpoint;
///
/// let endpoint = |host: &str| Endpoint::Tcp { host: host.into(), port: 6379 };
/// let outside = |inside: Address| Address::new("gate.example", inside.port()).unwrap_or(inside);
/// let event = WatchEvent::Master(endpoint("10.0.0.1")).translated(&outside);
/// assert_eq!(event, WatchEvent::Master(endpoint("gate.example")));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchEvent {
    /// The master's address, whether it is new or not.
    Master(Endpoint),
    /// The addresses of other sentinels of the service: [`Rounds::MOST`](super::Rounds::MOST) at
    /// most.
    Sentinels(alloc::vec::Vec<Endpoint>),
    /// The sentinel refused to announce new masters, and is asked every [`Watch::POLLED`] instead.
    /// Returned once for a connection.
    Polled,
}

impl WatchEvent {
    /// The same event, with each address that the sentinel named replaced by the one that
    /// `translate` returns for it, such as the outer side of a translation of addresses.
    #[must_use]
    pub fn translated(self, translate: &dyn Fn(Address) -> Address) -> Self {
        let place = |told: Endpoint| match &told {
            Endpoint::Tcp { host, port } => match Address::new(host, *port) {
                Ok(address) => translate(address).into(),
                Err(_) => told,
            },
            Endpoint::Unix { .. } => told,
        };
        match self {
            Self::Master(told) => Self::Master(place(told)),
            Self::Sentinels(others) => Self::Sentinels(others.into_iter().map(place).collect()),
            Self::Polled => Self::Polled,
        }
    }
}

/// A connection to a sentinel.
///
/// ```
/// use async_caches_core::connection::Output;
/// use async_caches_core::sentinel::{Watch, WatchEvent, WatchSetup};
/// use async_caches_core::server::Endpoint;
/// use async_caches_core::time::Instant;
/// use bytes::BytesMut;
/// use core::time::Duration;
///
/// let timeout = Duration::from_secs(1);
/// let (now, mut rx, mut tx) = (Instant::ORIGIN, BytesMut::new(), Output::new());
/// let mut watch = Watch::open(WatchSetup::new("mymaster", timeout, timeout), now, &mut tx);
/// assert!(tx.split().ends_with(b"$14\r\n+switch-master\r\n"));
/// rx.extend_from_slice(b"*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n"); // the sentinel's answer
/// let master = WatchEvent::Master(Endpoint::Tcp { host: "10.0.0.1".into(), port: 6379 });
/// assert_eq!(watch.poll(&mut rx, now, &mut tx)?, Some(master));
/// # Ok::<(), async_caches_core::error::ConnectionError>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    setup: WatchSetup,
    scanner: Scanner,
    /// The commands that are not answered yet.
    asked: VecDeque<SentinelQuery>,
    /// When all of them must have been answered.
    until: Instant,
    subscribed: bool,
    /// Whether the sentinel refused to announce new masters, so that it is asked more often.
    polled: bool,
    /// Whether all questions have been answered once.
    ready: bool,
    doubted: bool,
    last_asked: Instant,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SentinelQuery {
    Auth,
    Master,
    Sentinels,
    Subscribe,
    Unsubscribe,
}

impl Watch {
    /// How long a sentinel may take to answer: none of its work takes long.
    pub const PATIENCE: Duration = Duration::from_secs(2);
    /// The interval between questions if nothing is wrong.
    pub const KEEPALIVE: Duration = Duration::from_secs(10);
    /// The interval between questions in doubt.
    pub const IN_DOUBT: Duration = Duration::from_millis(200);

    /// The interval between questions to a sentinel that does not announce new masters.
    pub const POLLED: Duration = Duration::from_secs(1);

    /// Begins a watch: puts its questions into `tx`. May be called before there is a socket; the
    /// connect timeout runs from `now`.
    #[must_use]
    pub fn open(setup: WatchSetup, now: Instant, tx: &mut Output) -> Self {
        let until = now + setup.connect_timeout.min(Self::PATIENCE);
        let mut this = Self {
            setup,
            scanner: Scanner::new(LIMITS),
            asked: VecDeque::new(),
            until,
            subscribed: false,
            polled: false,
            ready: false,
            doubted: false,
            last_asked: now,
            closed: false,
        };
        if let Some(credentials) = &this.setup.credentials {
            crate::connection::put_auth(credentials, 2, tx);
            this.asked.push_back(SentinelQuery::Auth);
        }
        for ask in [SentinelQuery::Master, SentinelQuery::Sentinels, SentinelQuery::Subscribe] {
            this.put(ask, tx);
        }
        this
    }

    /// Returns the next event. To be called after every read and at every deadline, until it
    /// returns `None`. Takes whole frames off the front of `rx` and may put bytes into `tx`.
    ///
    /// # Errors
    /// [`ConnectionError`]: the watch is closed, and nothing more will come from this sentinel.
    /// Further polls return `None`.
    pub fn poll(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        tx: &mut Output,
    ) -> Result<Option<WatchEvent>, ConnectionError> {
        if self.closed {
            return Ok(None);
        }
        let next = self.next(rx, now, tx);
        self.closed = next.is_err();
        next
    }

    /// Reports that the master is gone, or is not one. The sentinel is asked again, as soon as
    /// possible and then often, until [`trust`](Self::trust) is called.
    pub fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Reports that the master is reachable, and is one.
    pub fn trust(&mut self) {
        self.doubted = false;
    }

    /// When to poll even if nothing was read. Changes with every poll, doubt and trust.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        if self.closed {
            return None;
        }
        Some(match self.asked.is_empty() {
            true => Deadline { at: self.ask_at(), why: "ask the sentinel again" },
            false => Deadline { at: self.until, why: "the sentinel's answer" },
        })
    }

    fn next(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        tx: &mut Output,
    ) -> Result<Option<WatchEvent>, ConnectionError> {
        while let Some(len) = self.scanner.scan(rx)? {
            let frame = rx.split_to(len);
            let event = match message::heard(&frame)? {
                SentinelMessage::Message(message) if self.subscribed => {
                    message::switched(&self.setup.service, message)?.map(WatchEvent::Master)
                }
                SentinelMessage::Message(_) => return Err(ProtocolError::Unasked.into()),
                SentinelMessage::Answer => self.answered(&frame)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        if !self.asked.is_empty() {
            return match self.until <= now {
                true if self.ready => Err(ConnectionError::Unresponsive),
                true => Err(ConnectionError::NotReadyInTime),
                false => Ok(None),
            };
        }
        if self.ask_at() <= now {
            self.last_asked = now;
            self.until = now + self.setup.response_timeout.min(Self::PATIENCE);
            // In doubt only the master matters.
            let others = (!self.doubted).then_some(SentinelQuery::Sentinels);
            let subscribes = !self.polled;
            let before = subscribes.then_some(SentinelQuery::Unsubscribe);
            let behind = subscribes.then_some(SentinelQuery::Subscribe);
            let all = before.into_iter().chain([SentinelQuery::Master]).chain(others).chain(behind);
            all.for_each(|ask| self.put(ask, tx));
        }
        Ok(None)
    }

    fn answered(&mut self, frame: &[u8]) -> Result<Option<WatchEvent>, ConnectionError> {
        let ask = self.asked.pop_front().ok_or(ProtocolError::Unasked)?;
        if let Some(error) = decode::error(frame)? {
            if let Some(event) = self.goes_on_without(ask, &error) {
                return Ok(event);
            }
            return Err(ConnectionError::Refused(match ask {
                SentinelQuery::Auth => error.withheld(),
                SentinelQuery::Master
                | SentinelQuery::Sentinels
                | SentinelQuery::Subscribe
                | SentinelQuery::Unsubscribe => {
                    let told = self.setup.credentials.as_ref().map(|known| &known.password);
                    error.without(told)
                }
            }));
        }
        match ask {
            SentinelQuery::Auth => Ok(None),
            SentinelQuery::Master => match message::master(frame)? {
                Some(place) => Ok(Some(WatchEvent::Master(place))),
                None => {
                    let service = self.setup.service.clone();
                    Err(ConnectionError::UnknownService { service })
                }
            },
            SentinelQuery::Sentinels => Ok(Some(WatchEvent::Sentinels(message::sentinels(frame)?))),
            SentinelQuery::Subscribe => {
                message::subscription(frame, b"subscribe")?;
                self.subscribed = true;
                self.ready = true;
                Ok(None)
            }
            SentinelQuery::Unsubscribe => {
                message::subscription(frame, b"unsubscribe")?;
                self.subscribed = false;
                Ok(None)
            }
        }
    }

    /// The event for a refusal that the watch can live with, or `None` for any other refusal: a
    /// user may be allowed to ask for the master and no more.
    fn goes_on_without(
        &mut self,
        ask: SentinelQuery,
        error: &ServerError,
    ) -> Option<Option<WatchEvent>> {
        if !matches!(error.kind, ServerErrorKind::NoPerm | ServerErrorKind::Other) {
            return None;
        }
        match ask {
            SentinelQuery::Sentinels => Some(None),
            SentinelQuery::Subscribe | SentinelQuery::Unsubscribe => {
                self.ready = true;
                self.subscribed = false;
                let news = !mem::replace(&mut self.polled, true);
                Some(news.then_some(WatchEvent::Polled))
            }
            SentinelQuery::Auth | SentinelQuery::Master => None,
        }
    }

    fn ask_at(&self) -> Instant {
        self.last_asked
            + match (self.doubted, self.polled) {
                (true, _) => Self::IN_DOUBT,
                (false, true) => Self::POLLED,
                (false, false) => Self::KEEPALIVE,
            }
    }

    fn put(&mut self, ask: SentinelQuery, tx: &mut Output) {
        let service = self.setup.service.as_bytes();
        let words: &[&[u8]] = match ask {
            // Put by `open`, which has the credentials.
            SentinelQuery::Auth => return,
            SentinelQuery::Master => &[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service],
            SentinelQuery::Sentinels => &[b"SENTINEL", b"SENTINELS", service],
            SentinelQuery::Subscribe => &[b"SUBSCRIBE", CHANNEL],
            SentinelQuery::Unsubscribe => &[b"UNSUBSCRIBE", CHANNEL],
        };
        encode::request(tx, words);
        self.asked.push_back(ask);
    }
}

/// A description of a sentinel has some thirty words, and there may be a hundred descriptions.
const LIMITS: Limits = Limits {
    depth: 4,
    elements: 1024,
    total: 16 << 10,
    blob: 16 << 10,
    line: 16 << 10,
    frame: 1 << 20,
};
