//! The race between the addresses of a name: which is tried when, and which wins.
//!
//! # Theory of operation
//!
//! RFC 8305 (happy eyeballs), with one change: the winner is the first address that has *greeted*,
//! not the first that has connected. A proxy, or a kernel with a backlog, accepts on behalf of a
//! server that is dead; only an answer proves that the server works.
//!
//! Addresses are [interleaved](order) by family, so that a family without a route costs one delay.
//! The next address starts [`Dial::STAGGER`] after the one before, or at once when an attempt has
//! failed. With many addresses the delay shrinks, so that the last one starts before half of the
//! time is over. At most [`Dial::MOST_AT_ONCE`] attempts run at the same time; to start one more,
//! the oldest is closed.
//!
//! The machine knows no socket and no resolver. The caller reports the outcome of each attempt
//! (`handle`), carries out the actions of `poll` until it returns `None`, and polls again at the
//! `deadline`.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::time::{Deadline, Instant};

/// The attempts to reach one server by its addresses, as one connection. Addresses are named by
/// their index in the order in which they are to be tried.
#[derive(Clone, Debug)]
pub struct Dial {
    phases: Vec<AttemptPhase>,
    /// How many have been started: the index of the next one.
    started: usize,
    stagger: Duration,
    next_at: Instant,
    until: Instant,
    end: Option<DialEnd>,
    /// Whether the end was reported.
    over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AttemptPhase {
    Waiting,
    Running,
    Over,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialInput {
    /// The attempt ended without a greeting.
    Failed(usize),
    /// The server at this address has greeted.
    Greeted(usize),
}

/// An action for the caller to carry out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialAction {
    /// Connect to this address and greet the server there.
    Start(usize),
    /// Close this attempt, which has lost.
    Close(usize),
    /// The race is over, and no attempt runs any more except the winner. The last action.
    Finish(DialEnd),
}

/// How a race ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialEnd {
    /// This address won.
    Won(usize),
    /// Every attempt has failed, or there was no address.
    AllFailed,
    /// The time was over before any server had greeted.
    OutOfTime,
}

impl Dial {
    /// The longest time that the next attempt waits for the one before: the *Connection Attempt
    /// Delay* that RFC 8305, section 5, recommends.
    pub const STAGGER: Duration = Duration::from_millis(250);
    /// The most attempts that run at the same time.
    pub const MOST_AT_ONCE: usize = 32;

    /// A race between this many addresses, which is over at `until`.
    #[must_use]
    pub fn new(addresses: usize, until: Instant, now: Instant) -> Self {
        let count = u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
        let stagger = Self::STAGGER.min(until.since(now) / count.saturating_mul(2));
        let phases = alloc::vec![AttemptPhase::Waiting; addresses];
        Self { phases, started: 0, stagger, next_at: now, until, end: None, over: false }
    }

    /// Handles the outcome of an attempt. An outcome of an attempt that does not run is ignored.
    pub fn handle(&mut self, input: DialInput) {
        match input {
            DialInput::Failed(index) => {
                if self.stop(index) {
                    self.next_at = Instant::ORIGIN;
                }
            }
            DialInput::Greeted(index) => {
                if self.end.is_none() && self.stop(index) {
                    self.end = Some(DialEnd::Won(index));
                }
            }
        }
    }

    /// Returns the next action; to be called until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<DialAction> {
        if self.over {
            return None;
        }
        if self.end.is_none() && self.until <= now {
            self.end = Some(DialEnd::OutOfTime);
        }
        let left = self.started < self.phases.len();
        if self.end.is_none() && self.running() == 0 && !left {
            self.end = Some(DialEnd::AllFailed);
        }
        if let Some(end) = self.end {
            return Some(self.close_first().unwrap_or_else(|| {
                self.over = true;
                DialAction::Finish(end)
            }));
        }
        if !left || !self.may_start(now) {
            return None;
        }
        if self.running() >= Self::MOST_AT_ONCE {
            return self.close_first();
        }
        let index = self.started;
        self.started += 1;
        self.next_at = now + self.stagger;
        *self.phases.get_mut(index)? = AttemptPhase::Running;
        Some(DialAction::Start(index))
    }

    /// When [`poll`](Self::poll) may return something else without a new outcome.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        if self.over {
            return None;
        }
        let end = Deadline { at: self.until, why: "the end of a dial" };
        let left = self.started < self.phases.len();
        let next = left.then_some(Deadline { at: self.next_at, why: "the next address" });
        Deadline::earlier(next, Some(end))
    }

    fn may_start(&self, now: Instant) -> bool {
        self.running() == 0 || self.next_at <= now
    }

    fn running(&self) -> usize {
        self.phases.iter().filter(|phase| **phase == AttemptPhase::Running).count()
    }

    /// Marks the attempt as over; returns whether it was running.
    fn stop(&mut self, index: usize) -> bool {
        let running = self.phases.get_mut(index).filter(|phase| **phase == AttemptPhase::Running);
        running.is_some_and(|phase| {
            *phase = AttemptPhase::Over;
            true
        })
    }

    /// Closes the running attempt that was started first.
    fn close_first(&mut self) -> Option<DialAction> {
        let index = self.phases.iter().position(|phase| *phase == AttemptPhase::Running)?;
        self.stop(index).then_some(DialAction::Close(index))
    }
}

/// The addresses in the order in which to try them: each once, those of both families in
/// turn, beginning with the family that the resolver named first (RFC 8305, section 4). Within a
/// family the resolver's order stays.
#[must_use]
pub fn order(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut seen = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !seen.contains(address) {
            seen.push(*address);
        }
    }
    let Some(first) = seen.first().map(SocketAddr::is_ipv6) else { return seen };
    let family = |v6: bool| seen.iter().filter(move |address| address.is_ipv6() == v6).copied();
    let (mut ours, mut others) = (family(first), family(!first));
    let mut ordered = Vec::with_capacity(seen.len());
    while ordered.len() < seen.len() {
        ordered.extend(ours.next());
        ordered.extend(others.next());
    }
    ordered
}

#[cfg(test)]
mod tests;
