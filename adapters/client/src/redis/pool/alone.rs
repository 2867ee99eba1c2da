//! Callers whose command may have ended its connection, and must be repeated alone.
//!
//! The core decides which connection is kept for which caller.

use std::sync::Arc;
use std::task::{Context, Waker};

use async_caches_core::pool::{PoolInput, allot};
use async_caches_core::time::Instant;

use super::acquire::Acquired;
use super::state::{Pool, PoolState, unlock_and_wake};
use super::waiter::WaiterId;
use crate::error::{ConnectionFailure, Error};
use crate::redis::connection::shared::SharedConnection;
use crate::sync::lock;
use crate::waker::Spare;

impl Pool {
    /// A connection for one command alone that was dialled after `since`. Otherwise the caller
    /// waits, and is woken to call again, as with [`acquire`](Self::acquire).
    #[cold]
    pub(in crate::redis) fn acquire_alone(
        &self,
        waiter: Option<WaiterId>,
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
        if waiter.is_none() && state.queue.suspects().waiting() >= self.config.bounds.waiting {
            return Acquired::Failed(self.overloaded());
        }
        let waiter = state.queue.wait_alone(waiter, expires, since, &mut waker);
        let Allotted { own, woken, spare } = state.allot(now, Some(waiter));
        let mut unused = None;
        let acquired = match own {
            Some(connection) => {
                unused = state.queue.suspects().forget(waiter);
                Acquired::Connection(connection)
            }
            // Without a keeper nothing is dialled and no wait ends.
            None if state.over => {
                unused = state.queue.suspects().forget(waiter);
                Acquired::Failed(self.failed_by(ConnectionFailure::RuntimeGone))
            }
            None => Acquired::Wait(waiter),
        };
        unlock_and_wake(state);
        drop((unused, spare));
        woken.into_iter().for_each(Waker::wake);
        acquired
    }

    /// Allots connections to suspects again after a change.
    #[cold]
    pub(in crate::redis) fn allot(&self) {
        let mut state = lock(&self.state);
        let woken = state.allot(self.now(), None).woken;
        unlock_and_wake(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// The result of allotting connections to suspects.
#[derive(Debug, Default)]
pub(in crate::redis) struct Allotted {
    /// The connection for the asking caller, if it may go.
    own: Option<Arc<SharedConnection>>,
    /// The callers to wake: other suspects that may go, and those that can use a connection that is
    /// no longer kept apart.
    pub(in crate::redis) woken: Vec<Waker>,
    /// The waker of the asking caller, for that caller to drop.
    spare: Option<Waker>,
}

impl PoolState {
    /// Allots connections to suspects. `asking` is the caller that asks, if any.
    pub(in crate::redis) fn allot(&mut self, now: Instant, asking: Option<WaiterId>) -> Allotted {
        let mut allotted = Allotted::default();
        let suspects = self.queue.suspects();
        if suspects.is_empty() && !self.apart {
            return allotted;
        }
        let takes = |(_, connection): &'_ (_, Arc<SharedConnection>)| {
            Some((Arc::clone(connection), connection.lane()?))
        };
        let connections: Vec<_> = self.connections.iter().filter_map(takes).collect();
        let lanes: Vec<_> = connections.iter().map(|(_, lane)| *lane).collect();
        let allotment = allot(&lanes, suspects.in_line().map(|(_, since)| since));
        let mut freed = false;
        for ((connection, lane), kept) in connections.iter().zip(&allotment.kept) {
            if lane.kept != *kept {
                connection.keep_apart(*kept);
                freed |= lane.kept;
            }
        }
        self.apart = allotment.kept.contains(&true);
        let called = allotment.go.last().map_or(0, |(place, _)| place + 1);
        let go: Vec<_> = suspects.in_line().take(called).map(|(waiter, _)| waiter).collect();
        for (place, at) in allotment.go {
            let Some(waiter) = go.get(place) else { continue };
            let waker = suspects.call(*waiter, now);
            if asking == Some(*waiter) {
                allotted.own = connections.get(at).map(|(connection, _)| Arc::clone(connection));
                allotted.spare = waker;
            } else {
                allotted.woken.extend(waker);
            }
        }
        if allotment.demand {
            self.decisions.handle(PoolInput::Demand, now);
        }
        if freed {
            allotted.woken.extend(self.queue.take_waiting());
        }
        allotted
    }
}
