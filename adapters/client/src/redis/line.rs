//! The wait queue: callers that wait until they are woken to try again, or until their time is
//! over.
//!
//! It stands under a lock, so it neither drops nor clones a waker. The caller of each method does
//! that once the lock is free.

use std::collections::BTreeMap;
use std::mem;
use std::task::Waker;

use async_caches_core::time::Instant;

use super::suspects::Suspects;
use crate::waker::Spare;

/// The callers that wait for something of a pool, and those that wait for something else.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Wait for a connection, or for room on one.
    waiting: BTreeMap<Ticket, Waker>,
    /// Woken elsewhere; only their timeout is driven here.
    held: BTreeMap<Ticket, Waker>,
    /// Wait for a connection of their own.
    suspects: Suspects,
    last: u64,
}

/// A place in the queue, ordered by when the wait is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Ticket {
    pub(super) expires: Instant,
    number: u64,
}

impl Line {
    /// How many wait for something of the pool.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait for something else.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Adds a caller that waits for something of the pool, at its place or else at a new one.
    pub(crate) fn wait(
        &mut self,
        ticket: Option<Ticket>,
        expires: Instant,
        waker: &mut Spare,
    ) -> Ticket {
        let ticket = ticket.unwrap_or_else(|| self.ticket(expires));
        waker.put_by(|waker| self.waiting.insert(ticket, waker));
        ticket
    }

    /// Adds a caller that waits for something else, at its place or else at a new one.
    pub(crate) fn hold(
        &mut self,
        ticket: Option<Ticket>,
        expires: Instant,
        waker: &mut Spare,
    ) -> Ticket {
        let ticket = ticket.unwrap_or_else(|| self.ticket(expires));
        waker.put_by(|waker| self.held.insert(ticket, waker));
        ticket
    }

    /// Adds a caller that waits for a connection of its own, at its place or else at a new one. Its
    /// last connection ended at `since`.
    pub(crate) fn wait_alone(
        &mut self,
        ticket: Option<Ticket>,
        expires: Instant,
        since: Instant,
        waker: &mut Spare,
    ) -> Ticket {
        let ticket = ticket.unwrap_or_else(|| self.ticket(expires));
        waker.put_by(|waker| self.suspects.wait(ticket, since, waker));
        ticket
    }

    /// The callers that wait for a connection of their own.
    pub(crate) fn suspects(&mut self) -> &mut Suspects {
        &mut self.suspects
    }

    /// Removes a caller that waits for something of the pool. Returns its waker, unless it was
    /// woken.
    pub(crate) fn forget(&mut self, ticket: Ticket) -> Option<Waker> {
        self.waiting.remove(&ticket)
    }

    /// Removes a caller that waits for something else. Returns its waker, unless it was woken.
    pub(crate) fn let_go(&mut self, ticket: Ticket) -> Option<Waker> {
        self.held.remove(&ticket)
    }

    /// Takes the first caller that waits for something of the pool: the one whose time is over
    /// first.
    pub(crate) fn take_first(&mut self) -> Option<Waker> {
        self.waiting.pop_first().map(|(_, waker)| waker)
    }

    /// Takes all callers that wait for something of the pool.
    pub(crate) fn take_waiting(&mut self) -> Vec<Waker> {
        mem::take(&mut self.waiting).into_values().collect()
    }

    /// Takes all callers.
    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        let held = mem::take(&mut self.held);
        let mut all = self.suspects.take_all();
        all.extend(mem::take(&mut self.waiting).into_values().chain(held.into_values()));
        all
    }

    /// Takes the callers whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        for line in [&mut self.waiting, &mut self.held] {
            while let Some(first) = line.first_entry()
                && first.key().expires <= now
            {
                due.push(first.remove());
            }
        }
        self.suspects.expire(now, &mut due);
        due
    }

    /// When the first caller's time is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first = |line: &BTreeMap<Ticket, Waker>| line.keys().next().map(|place| place.expires);
        let alone = self.suspects.deadline();
        let due = first(&self.waiting).into_iter().chain(first(&self.held)).chain(alone).min();
        due.filter(|at| *at < Instant::MAX)
    }

    fn ticket(&mut self, expires: Instant) -> Ticket {
        self.last += 1;
        Ticket { expires, number: self.last }
    }
}
