//! Callers whose command may have ended its connection, and must be repeated alone.
//!
//! They wait in the order in which their time is over. A caller that is called has [`GRACE`] to
//! come, and its connection is kept for it meanwhile. The limit is needed because a future that is
//! kept but not polled must not delay the others. The core decides which connection is kept for
//! which caller.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use async_caches_core::pool::{Input, allot};
use async_caches_core::time::Instant;

use super::acquire::Acquired;
use super::line::Ticket;
use super::{Pool, Shared, State, unlock_and_wake};
use crate::error::{Error, LinkError};
use crate::sync::lock;
use crate::waker::Spare;

/// The callers that wait for a connection of their own.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    waiting: BTreeMap<Ticket, Waiting>,
    /// Those that were called, and until when their connection is kept for them.
    called: BTreeMap<Ticket, Called>,
}

#[derive(Debug)]
struct Waiting {
    /// When the connection of its command ended.
    since: Instant,
    waker: Waker,
}

#[derive(Clone, Copy, Debug)]
struct Called {
    since: Instant,
    until: Instant,
}

impl Suspects {
    /// Adds a caller at this place. Returns the waker that was there, for the caller to drop.
    pub(super) fn wait(&mut self, ticket: Ticket, since: Instant, waker: Waker) -> Option<Waker> {
        self.called.remove(&ticket);
        let before = self.waiting.insert(ticket, Waiting { since, waker });
        before.map(|waiting| waiting.waker)
    }

    /// Whether no callers are waiting or called.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.called.is_empty()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Removes a caller. Returns its waker if it was not called.
    pub(super) fn forget(&mut self, ticket: Ticket) -> Option<Waker> {
        self.called.remove(&ticket);
        self.waiting.remove(&ticket).map(|waiting| waiting.waker)
    }

    pub(super) fn take_all(&mut self) -> Vec<Waker> {
        self.called.clear();
        mem::take(&mut self.waiting).into_values().map(|waiting| waiting.waker).collect()
    }

    /// Takes the callers whose time is over. Forgets those that did not come when called.
    pub(super) fn expire(&mut self, now: Instant, due: &mut Vec<Waker>) {
        self.called.retain(|_, called| called.until > now);
        while let Some(first) = self.waiting.first_entry()
            && first.key().expires <= now
        {
            due.push(first.remove().waker);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = self.waiting.keys().next().map(|ticket| ticket.expires);
        first.into_iter().chain(self.called.values().map(|called| called.until)).min()
    }

    /// The time since which each of them needs a connection; those that were called come first.
    fn line(&self) -> impl Iterator<Item = (Ticket, Instant)> {
        let called = self.called.iter().map(|(ticket, called)| (*ticket, called.since));
        called.chain(self.waiting.iter().map(|(ticket, waiting)| (*ticket, waiting.since)))
    }

    /// Calls a caller, unless it was called already.
    fn call(&mut self, ticket: Ticket, now: Instant) -> Option<Waker> {
        let Waiting { since, waker } = self.waiting.remove(&ticket)?;
        let until = (now + GRACE).min(ticket.expires);
        self.called.insert(ticket, Called { since, until });
        Some(waker)
    }
}

impl Pool {
    /// A connection for one command alone that was dialled after `since`. Otherwise the caller
    /// waits, and is woken to call again, as with [`acquire`](Self::acquire).
    #[cold]
    pub(super) fn acquire_alone(
        &self,
        ticket: Option<Ticket>,
        since: Instant,
        expires: &mut Option<Instant>,
        cx: &Context<'_>,
    ) -> Acquired {
        let now = self.now();
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        if state.closed {
            return Acquired::Failed(Error::NotConnected);
        }
        let expires = *expires.get_or_insert(now + self.response_timeout());
        if state.decisions.is_hopeless(now) {
            return Acquired::Failed(self.unavailable(&state));
        }
        if expires <= now {
            return Acquired::Failed(self.given_up(&state));
        }
        if ticket.is_none() && state.line.suspects().waiting() >= self.bounds.waiting {
            return Acquired::Failed(self.overloaded());
        }
        let ticket = state.line.wait_alone(ticket, expires, since, &mut waker);
        let Allotted { own, woken, spare } = state.allot(now, Some(ticket));
        let mut unused = None;
        let acquired = match own {
            Some(link) => {
                unused = state.line.suspects().forget(ticket);
                Acquired::Link(link)
            }
            // Without a keeper nothing is dialled and no wait ends.
            None if state.over => {
                unused = state.line.suspects().forget(ticket);
                Acquired::Failed(self.failed_by(LinkError::RuntimeGone))
            }
            None => Acquired::Wait(ticket),
        };
        unlock_and_wake(state);
        drop((unused, spare));
        woken.into_iter().for_each(Waker::wake);
        acquired
    }

    /// Allots connections to suspects again after a change.
    #[cold]
    pub(super) fn allot(&self) {
        let mut state = lock(&self.state);
        let woken = state.allot(self.now(), None).woken;
        unlock_and_wake(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// The result of allotting connections to suspects.
#[derive(Debug, Default)]
pub(super) struct Allotted {
    /// The connection for the asking caller, if it may go.
    own: Option<Arc<Shared>>,
    /// The callers to wake: other suspects that may go, and those that can use a connection that is
    /// no longer kept apart.
    pub(super) woken: Vec<Waker>,
    /// The waker of the asking caller, for that caller to drop.
    spare: Option<Waker>,
}

impl State {
    /// Allots connections to suspects. `asking` is the caller that asks, if any.
    pub(super) fn allot(&mut self, now: Instant, asking: Option<Ticket>) -> Allotted {
        let mut allotted = Allotted::default();
        let suspects = self.line.suspects();
        if suspects.is_empty() && !self.apart {
            return allotted;
        }
        let takes = |(_, link): &'_ (_, Arc<Shared>)| Some((Arc::clone(link), link.lane()?));
        let links: Vec<_> = self.links.iter().filter_map(takes).collect();
        let lanes: Vec<_> = links.iter().map(|(_, lane)| *lane).collect();
        let allotment = allot(&lanes, suspects.line().map(|(_, since)| since));
        let mut freed = false;
        for ((link, lane), kept) in links.iter().zip(&allotment.kept) {
            if lane.kept != *kept {
                link.keep_apart(*kept);
                freed |= lane.kept;
            }
        }
        self.apart = allotment.kept.contains(&true);
        let called = allotment.go.last().map_or(0, |(place, _)| place + 1);
        let go: Vec<_> = suspects.line().take(called).map(|(ticket, _)| ticket).collect();
        for (place, at) in allotment.go {
            let Some(ticket) = go.get(place) else { continue };
            let waker = suspects.call(*ticket, now);
            if asking == Some(*ticket) {
                allotted.own = links.get(at).map(|(link, _)| Arc::clone(link));
                allotted.spare = waker;
            } else {
                allotted.woken.extend(waker);
            }
        }
        if allotment.demand {
            self.decisions.handle(Input::Demand, now);
        }
        if freed {
            allotted.woken.extend(self.line.take_waiting());
        }
        allotted
    }
}

/// How long a connection is kept for a suspect that was called.
const GRACE: Duration = Duration::from_millis(100);
