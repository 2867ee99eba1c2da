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
use super::waiter::WaiterId;
use crate::waker::Spare;

/// The callers that wait for something of a pool, and those that wait for something else.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    /// Wait for a connection, or for room on one.
    waiting: BTreeMap<WaiterId, Waker>,
    /// Woken elsewhere; only their timeout is driven here.
    held: BTreeMap<WaiterId, Waker>,
    /// Wait for a connection of their own.
    suspects: Suspects,
    last: u64,
}

impl WaitQueue {
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
        waiter: Option<WaiterId>,
        expires: Instant,
        waker: &mut Spare,
    ) -> WaiterId {
        let waiter = waiter.unwrap_or_else(|| self.new_waiter(expires));
        waker.put_by(|waker| self.waiting.insert(waiter, waker));
        waiter
    }

    /// Adds a caller that waits for something else, at its place or else at a new one.
    pub(crate) fn hold(
        &mut self,
        waiter: Option<WaiterId>,
        expires: Instant,
        waker: &mut Spare,
    ) -> WaiterId {
        let waiter = waiter.unwrap_or_else(|| self.new_waiter(expires));
        waker.put_by(|waker| self.held.insert(waiter, waker));
        waiter
    }

    /// Adds a caller that waits for a connection of its own, at its place or else at a new one. Its
    /// last connection ended at `since`.
    pub(crate) fn wait_alone(
        &mut self,
        waiter: Option<WaiterId>,
        expires: Instant,
        since: Instant,
        waker: &mut Spare,
    ) -> WaiterId {
        let waiter = waiter.unwrap_or_else(|| self.new_waiter(expires));
        waker.put_by(|waker| self.suspects.wait(waiter, since, waker));
        waiter
    }

    /// The callers that wait for a connection of their own.
    pub(crate) fn suspects(&mut self) -> &mut Suspects {
        &mut self.suspects
    }

    /// Removes a caller that waits for something of the pool. Returns its waker, unless it was
    /// woken.
    pub(crate) fn forget(&mut self, waiter: WaiterId) -> Option<Waker> {
        self.waiting.remove(&waiter)
    }

    /// Removes a caller that waits for something else. Returns its waker, unless it was woken.
    pub(crate) fn let_go(&mut self, waiter: WaiterId) -> Option<Waker> {
        self.held.remove(&waiter)
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
        for queue in [&mut self.waiting, &mut self.held] {
            while let Some(first) = queue.first_entry()
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
        let first =
            |queue: &BTreeMap<WaiterId, Waker>| queue.keys().next().map(|place| place.expires);
        let alone = self.suspects.deadline();
        let due = first(&self.waiting).into_iter().chain(first(&self.held)).chain(alone).min();
        due.filter(|at| *at < Instant::MAX)
    }

    fn new_waiter(&mut self, expires: Instant) -> WaiterId {
        self.last += 1;
        WaiterId { expires, number: self.last }
    }
}
