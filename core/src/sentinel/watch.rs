//! One connection to a sentinel: bytes go in, and who the master is comes out.
//!
//! # Theory of operation
//!
//! All that is said goes out in few writes, each of which a sentinel reads as a whole: `AUTH` where
//! it wants that, who the master is, who the other sentinels are, and last `SUBSCRIBE`, so that
//! nothing that happens behind the answer is missed. From then on it says of itself when the master is
//! another. Who has subscribed may ask nothing else in RESP2; so to ask again is `UNSUBSCRIBE`, the
//! question and `SUBSCRIBE`, in one write again.
//!
//! ```text
//!          open                 subscribed             time, or doubt
//!  (none) ──────▶ asked, not yet ────────▶ listening ─────────────────▶ asked, and to hear by when
//!                    answered                  ▲                              │
//!                                              └────────── subscribed ────────┘
//! ```
//!
//! It asks again after [`Watch::KEEPALIVE`] in any case. That is how a sentinel that has gone silent
//! is found out, and it mends whatever was missed. In [doubt](Watch::doubt), as when the master is
//! gone or is none, it asks every [`Watch::IN_DOUBT`] until it is [trusted](Watch::trust) again: a
//! sentinel knows a new master some time before it says so of itself. However often it is told to
//! doubt, it asks no more often than that.
//!
//! A sentinel whose user may not `SUBSCRIBE` is asked every [`Watch::POLLED`] instead, and never to
//! subscribe again. One that does not name the others is asked all the same.
//!
//! Whatever does not fit ends the watch, as on any connection; the next sentinel is to be asked then.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::mem;
use core::time::Duration;

use bytes::BytesMut;

use super::said::{self, CHANNEL, Heard};
use crate::error::{ConnectionError, ProtocolError, ServerError, ServerErrorKind};
use crate::resp::output::Output;
use crate::resp::scan::{Limits, Scanner};
use crate::resp::{decode, encode};
use crate::time::{Deadline, Instant};
use crate::url::{Credentials, Endpoint};

/// What a sentinel is asked for, and by whom.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who we are to the sentinels, which have credentials of their own.
    pub credentials: Option<Credentials>,
    /// The name of the service whose master is wanted.
    pub service: Box<str>,
    /// How long it may take until the master is known, dialling included. No more than
    /// [`Watch::PATIENCE`] is taken, as there are other sentinels to ask.
    pub connect_timeout: Duration,
    /// How long an answer may take afterwards; of this, too, no more.
    pub response_timeout: Duration,
}

/// What a sentinel said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Where the master is, whether that is news or not.
    Master(Endpoint),
    /// Where other sentinels of the service are: [`Rounds::MOST`](super::Rounds::MOST) at most.
    Sentinels(alloc::vec::Vec<Endpoint>),
    /// The sentinel refused to say of itself when the master is another, and is asked every
    /// [`Watch::POLLED`] instead. Told once a connection.
    Polled,
}

/// A connection to a sentinel.
#[derive(Debug)]
pub struct Watch {
    setup: Setup,
    scanner: Scanner,
    /// What was asked and not answered yet.
    asked: VecDeque<Ask>,
    /// Until when all of it is to be answered.
    until: Instant,
    subscribed: bool,
    /// Whether it refused to say of itself when the master is another: it is asked more often then.
    polled: bool,
    /// Whether all was answered once.
    ready: bool,
    doubted: bool,
    last_asked: Instant,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ask {
    Auth,
    Master,
    Sentinels,
    Subscribe,
    Unsubscribe,
}

impl Watch {
    /// How long a sentinel may take to answer: it has nothing to do that takes long.
    pub const PATIENCE: Duration = Duration::from_secs(2);
    /// How long it is not asked again where nothing is wrong.
    pub const KEEPALIVE: Duration = Duration::from_secs(10);
    /// How long it is not asked again in doubt.
    pub const IN_DOUBT: Duration = Duration::from_millis(200);

    /// How long one is not asked again that does not say of itself when the master is another.
    pub const POLLED: Duration = Duration::from_secs(1);

    /// Begins a watch: its questions are put into `tx`. May be called before there is a socket; the
    /// connect timeout runs from `now`.
    #[must_use]
    pub fn open(setup: Setup, now: Instant, tx: &mut Output) -> Self {
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
            this.asked.push_back(Ask::Auth);
        }
        for ask in [Ask::Master, Ask::Sentinels, Ask::Subscribe] {
            this.put(ask, tx);
        }
        this
    }

    /// What is next: to be asked after every read and at every deadline, until it answers `None`.
    /// Takes whole frames off the front of `rx` and may put bytes into `tx`.
    ///
    /// # Errors
    /// [`ConnectionError`]: nothing more can be expected from this sentinel. It is closed, and
    /// polling it further answers `None`.
    pub fn poll(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        tx: &mut Output,
    ) -> Result<Option<Event>, ConnectionError> {
        if self.closed {
            return Ok(None);
        }
        let next = self.next(rx, now, tx);
        self.closed = next.is_err();
        next
    }

    /// The master is gone, or is none: the sentinel is asked again, as soon as may be and then
    /// often, until it is trusted.
    pub fn doubt(&mut self) {
        self.doubted = true;
    }

    /// The master is there, and is one.
    pub fn trust(&mut self) {
        self.doubted = false;
    }

    /// When to poll though nothing was read. Changes with every poll, doubt and trust.
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
    ) -> Result<Option<Event>, ConnectionError> {
        while let Some(len) = self.scanner.scan(rx)? {
            let frame = rx.split_to(len);
            let event = match said::heard(&frame)? {
                Heard::Message(message) if self.subscribed => {
                    said::switched(&self.setup.service, message)?.map(Event::Master)
                }
                Heard::Message(_) => return Err(ProtocolError::Unasked.into()),
                Heard::Answer => self.answered(&frame)?,
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
            // In doubt only the master is of interest.
            let others = (!self.doubted).then_some(Ask::Sentinels);
            let subscribes = !self.polled;
            let before = subscribes.then_some(Ask::Unsubscribe);
            let behind = subscribes.then_some(Ask::Subscribe);
            let all = before.into_iter().chain([Ask::Master]).chain(others).chain(behind);
            all.for_each(|ask| self.put(ask, tx));
        }
        Ok(None)
    }

    fn answered(&mut self, frame: &[u8]) -> Result<Option<Event>, ConnectionError> {
        let ask = self.asked.pop_front().ok_or(ProtocolError::Unasked)?;
        if let Some(error) = decode::error(frame)? {
            if let Some(event) = self.goes_on_without(ask, &error) {
                return Ok(event);
            }
            return Err(ConnectionError::Refused(match ask {
                Ask::Auth => error.withheld(),
                Ask::Master | Ask::Sentinels | Ask::Subscribe | Ask::Unsubscribe => {
                    let told = self.setup.credentials.as_ref().map(|known| &known.password);
                    error.without(told)
                }
            }));
        }
        match ask {
            Ask::Auth => Ok(None),
            Ask::Master => match said::master(frame)? {
                Some(place) => Ok(Some(Event::Master(place))),
                None => {
                    let service = self.setup.service.clone();
                    Err(ConnectionError::UnknownService { service })
                }
            },
            Ask::Sentinels => Ok(Some(Event::Sentinels(said::sentinels(frame)?))),
            Ask::Subscribe => {
                said::subscription(frame, b"subscribe")?;
                self.subscribed = true;
                self.ready = true;
                Ok(None)
            }
            Ask::Unsubscribe => {
                said::subscription(frame, b"unsubscribe")?;
                self.subscribed = false;
                Ok(None)
            }
        }
    }

    /// What becomes of a refusal that only takes away what can be done without: a user may be allowed
    /// to ask for the master and no more.
    fn goes_on_without(&mut self, ask: Ask, error: &ServerError) -> Option<Option<Event>> {
        if !matches!(error.kind, ServerErrorKind::NoPerm | ServerErrorKind::Other) {
            return None;
        }
        match ask {
            Ask::Sentinels => Some(None),
            Ask::Subscribe | Ask::Unsubscribe => {
                self.ready = true;
                self.subscribed = false;
                let news = !mem::replace(&mut self.polled, true);
                Some(news.then_some(Event::Polled))
            }
            Ask::Auth | Ask::Master => None,
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

    fn put(&mut self, ask: Ask, tx: &mut Output) {
        let service = self.setup.service.as_bytes();
        let words: &[&[u8]] = match ask {
            // Put by who knows the credentials.
            Ask::Auth => return,
            Ask::Master => &[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service],
            Ask::Sentinels => &[b"SENTINEL", b"SENTINELS", service],
            Ask::Subscribe => &[b"SUBSCRIBE", CHANNEL],
            Ask::Unsubscribe => &[b"UNSUBSCRIBE", CHANNEL],
        };
        encode::request(tx, words);
        self.asked.push_back(ask);
    }
}

/// A description of a sentinel has some thirty words, and there may be a hundred of them.
const LIMITS: Limits = Limits {
    depth: 4,
    elements: 1024,
    total: 16 << 10,
    blob: 16 << 10,
    line: 16 << 10,
    frame: 1 << 20,
};
