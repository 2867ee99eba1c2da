//! One virtual connection: two streams of bytes, and their state.
//!
//! The bytes of the client are parsed here as soon as they are written, since a command is known
//! from then on. The server runs a command once its last byte has arrived. Positions in a stream
//! are counted in bytes from its beginning.

use std::collections::VecDeque;
use std::task::Waker;

use async_caches::runtime::Instant;
use async_caches_conformance::request::Request;
use bytes::BytesMut;

use crate::ledger::EntryId;
use crate::model::Session;
use crate::plan::{Fate, Ways};

/// A connection.
pub(crate) struct Line {
    /// The pool that dialled it.
    pub(crate) pool: usize,
    /// The server that it leads to.
    pub(crate) node: usize,
    /// The race that it runs in, or has won.
    pub(crate) race: Option<usize>,
    pub(crate) phase: Phase,
    pub(crate) fate: Fate,
    pub(crate) outward: Outward,
    pub(crate) inward: Inward,
    /// The server's side, while it has one.
    pub(crate) session: Option<Session>,
    /// Whether the server has answered the last command of the handshake.
    pub(crate) greeted: bool,
    /// How many bytes the server had sent by then.
    pub(crate) greeting: u64,
    /// When that reply was sent.
    pub(crate) greeted_at: Instant,
    /// How many replies had been sent by then.
    pub(crate) greetings: u64,
    /// Whether replies may be altered, or may be another command's.
    pub(crate) tainted: bool,
    /// When it was last used for a command, other than PING.
    pub(crate) used: Instant,
    /// How many replies were sent.
    pub(crate) replies: u64,
    /// Whether the last command written was `ASKING`, and whether the last one run was.
    pub(crate) asking: (bool, bool),
    /// Whether it has declared that it only reads (`READONLY`).
    pub(crate) reads: bool,
}

/// The state of the client's side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Dialling,
    Open,
    Refused,
    /// Given up, closed or dropped.
    Closed,
}

/// From the client to the server.
#[derive(Default)]
pub(crate) struct Outward {
    /// The bytes of a command that is not whole yet.
    pub(crate) begun: BytesMut,
    /// Commands that have not run yet.
    pub(crate) asked: VecDeque<Asked>,
    pub(crate) written: u64,
    pub(crate) delivered: u64,
    pub(crate) last: Instant,
    pub(crate) writer: Option<Waker>,
}

/// A command on its way.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) ends_at: u64,
    pub(crate) entry: Option<EntryId>,
}

/// From the server to the client.
#[derive(Default)]
pub(crate) struct Inward {
    pub(crate) said: Vec<u8>,
    pub(crate) arrived: u64,
    pub(crate) read: u64,
    pub(crate) last: Instant,
    pub(crate) reader: Option<Waker>,
    /// Nothing after this position arrives.
    pub(crate) limit: Option<u64>,
    /// The client learns of the cut once it has read the bytes that have arrived.
    pub(crate) cut: bool,
}

impl Line {
    /// A line that is being dialled.
    pub(crate) fn dialled(pool: usize, node: usize, fate: Fate, now: Instant) -> Self {
        Self {
            pool,
            node,
            race: None,
            phase: Phase::Dialling,
            fate,
            outward: Outward::default(),
            inward: Inward::default(),
            session: None,
            greeted: false,
            greeting: 0,
            greeted_at: now,
            greetings: 0,
            tainted: false,
            used: now,
            replies: 0,
            asking: (false, false),
            reads: false,
        }
    }

    /// Whether a command would be answered.
    pub(crate) fn is_healthy(&self, now: Instant) -> bool {
        let muted = self.is_muted(Ways::In, now) || self.is_muted(Ways::Out, now);
        self.phase == Phase::Open && self.session.is_some() && self.greeted && !muted
    }

    /// Whether nothing gets through in this direction any more.
    pub(crate) fn is_muted(&self, way: Ways, now: Instant) -> bool {
        self.fate
            .mute
            .is_some_and(|(from, ways)| from <= now && (ways == way || ways == Ways::Both))
    }

    /// How many bytes there are to read.
    pub(crate) fn unread(&self) -> u64 {
        let arrived =
            self.inward.limit.map_or(self.inward.arrived, |it| it.min(self.inward.arrived));
        arrived.saturating_sub(self.inward.read)
    }
}
