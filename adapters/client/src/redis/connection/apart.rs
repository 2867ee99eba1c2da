//! A connection that is kept apart for commands that must be alone, one at a time.
//!
//! For all other commands it is full. The pool decides, under its lock, which connections are kept
//! apart ([`core::pool::allot`](async_caches_core::pool::allot)).

use std::sync::atomic::Ordering;
use std::task::Waker;

use async_caches_core::command::Command;
use async_caches_core::connection::Tag;
use async_caches_core::pool::Lane;
use async_caches_core::time::Instant;

use super::closing::Closing;
use super::shared::{ConnectionState, Rejected, SharedConnection};
use crate::redis::load::CLOSED;
use crate::sync::lock;

impl SharedConnection {
    /// Submits a command that must be alone; otherwise like [`submit`](Self::submit).
    #[cold]
    pub(in crate::redis) fn submit_alone(
        &self,
        command: &Command<'_>,
        expires: &mut Option<Instant>,
        waker: &Waker,
    ) -> Result<Tag, Rejected> {
        self.submit_by(ConnectionState::is_taken, expires, waker, |connection, tag, expires, tx| {
            connection.submit(command, tag, expires, tx)
        })
    }

    /// Like [`submit_alone`](Self::submit_alone), with `ASKING` right before the command.
    #[cold]
    pub(in crate::redis) fn submit_asking_alone(
        &self,
        command: &Command<'_>,
        expires: &mut Option<Instant>,
        waker: &Waker,
    ) -> Result<Tag, Rejected> {
        self.submit_by(ConnectionState::is_taken, expires, waker, |connection, tag, expires, tx| {
            connection.submit_asking(command, tag, expires, tx)
        })
    }

    /// What the pool decides by; `None` for a connection that takes no more commands.
    pub(in crate::redis) fn lane(&self) -> Option<Lane> {
        let state = lock(&self.state);
        let takes = state.closing == Closing::No && state.connection.is_ready();
        let idle = state.connection.in_flight() == 0;
        takes.then_some(Lane { dialled: self.dialled, kept: state.apart, idle })
    }

    /// Keeps the connection apart, or no longer.
    pub(in crate::redis) fn keep_apart(&self, apart: bool) {
        let mut state = lock(&self.state);
        state.apart = apart;
        if self.load.load(Ordering::Relaxed) != CLOSED {
            self.load.store(state.load(), Ordering::Relaxed);
        }
    }
}
