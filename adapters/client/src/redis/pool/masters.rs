//! What the pool makes of what sentinels report: which one is asked next, and which server is the
//! master.

use std::sync::{Arc, MutexGuard};
use std::task::Waker;

use async_caches_core::pool;
use async_caches_core::sentinel::{RoundsInput, WatchEvent, WatchSetup};
use async_caches_core::time::Instant;
use async_caches_core::url::Endpoint;

use super::sentinels::{Orders, Sentinels};
use super::state::{Pool, PoolState, unlock_and_wake};
use crate::error::ConnectionFailure;
use crate::redis::connection::closing::Closing;
use crate::shared::Shared;
use crate::sync::lock;

impl PoolState {
    /// Whether callers should stop waiting for a first connection: no sentinel knows the master,
    /// the master refuses us, or connecting has taken too long.
    pub(in crate::redis) fn gives_up_on(&self, sentinels: &Sentinels, now: Instant) -> bool {
        let unknown = self.at.is_none() && sentinels.are_in_vain();
        let refused = self.last_error.as_ref().is_some_and(ConnectionFailure::is_refusal);
        unknown || refused || sentinels.first_until() <= now
    }

    /// Whether no sentinel could name the master, and none has named it before.
    pub(in crate::redis) fn knows_no_master(&self) -> bool {
        self.at.is_none() && self.sentinels.as_ref().is_some_and(Sentinels::are_in_vain)
    }

    /// The sentinel to ask now, the setup of its connection, and the orders for that connection.
    pub(in crate::redis) fn ask(
        &mut self,
        now: Instant,
    ) -> Option<(Endpoint, WatchSetup, Arc<Orders>)> {
        let sentinels = self.sentinels.as_mut()?;
        let place = sentinels.rounds.poll(now)?;
        let orders = Arc::new(Orders::new(sentinels.doubted));
        sentinels.orders = Some(Arc::clone(&orders));
        Some((place, sentinels.setup.clone(), orders))
    }
}

impl Pool {
    /// Takes in an event from a sentinel.
    pub(in crate::redis) fn heard(&self, at: &Endpoint, event: WatchEvent) {
        let event = event.translated(self.config.named_by_sentinels.as_fn());
        let now = self.now();
        let mut state = lock(&self.state);
        let Some(sentinels) = &mut state.sentinels else { return };
        match event {
            WatchEvent::Polled => {
                drop(state);
                return self.config.observer.sentinel_polled(at);
            }
            WatchEvent::Sentinels(others) => {
                sentinels.rounds.handle(RoundsInput::Named(others), now);
            }
            WatchEvent::Master(place) => {
                sentinels.rounds.handle(RoundsInput::Answered, now);
                sentinels.last_error = None;
                if state.at.as_ref() != Some(&place) && !state.closed {
                    return self.moved(state, &place, now);
                }
            }
        }
        unlock_and_wake(state);
    }

    /// Makes another server the master: connections to the old one end at once, and new ones are
    /// dialled.
    fn moved(&self, mut state: MutexGuard<'_, PoolState>, place: &Endpoint, now: Instant) {
        let before = state.at.replace(place.clone());
        state.last_error = None;
        state.decisions.handle(pool::PoolInput::Moved, now);
        if let Some(sentinels) = &mut state.sentinels {
            sentinels.denials = 0;
        }
        let open = std::mem::take(&mut state.connections);
        let connections: Vec<_> =
            open.into_iter().chain(std::mem::take(&mut state.dialling)).collect();
        self.reroute(&mut state);
        unlock_and_wake(state);
        connections.iter().for_each(|(_, connection)| connection.close(Closing::Moved));
        if before.is_some() {
            self.config.observer.moved(place);
        }
    }

    /// The connection to a sentinel has ended or could not be opened.
    pub(in crate::redis) fn unwatched(&self, at: &Endpoint, error: &ConnectionFailure) {
        let now = self.now_anyhow();
        let mut orders = None;
        let mut state = lock(&self.state);
        if let Some(sentinels) = &mut state.sentinels {
            orders = sentinels.orders.take();
            sentinels.rounds.handle(RoundsInput::Ended, now);
            let source = Shared::new(error.clone());
            sentinels.last_error = Some(ConnectionFailure::Sentinel { at: at.to_string(), source });
        }
        // Each waiting caller checks whether there is still hope.
        let woken = state.queue.take_waiting();
        let wanted = !state.closed;
        unlock_and_wake(state);
        drop(orders);
        if wanted {
            self.config.observer.sentinel_lost(at, error);
        }
        woken.into_iter().for_each(Waker::wake);
    }
}
