//! How a caller gets a connection: at once, or after waiting in the queue for one, or for room on
//! one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use async_caches_core::pool::PoolInput;
use async_caches_core::time::Instant;

use super::routes::pick;
use super::state::{Pool, PoolState, unlock_and_wake};
use super::waiter::WaiterId;
use crate::error::{ConnectionFailure, Error};
use crate::redis::connection::shared::SharedConnection;
use crate::sync::lock;
use crate::waker::Spare;

/// The result for a caller without a connection.
pub(in crate::redis) enum Acquired {
    Connection(Arc<SharedConnection>),
    Wait(WaiterId),
    Failed(Error),
}

impl Pool {
    /// Returns the connection to use now. Otherwise the caller waits, and is woken to call again
    /// once there is a connection, once there is no hope of one, or once its time is over.
    pub(in crate::redis) fn acquire(
        &self,
        waiter: Option<WaiterId>,
        expires: &mut Option<Instant>,
        cx: &Context<'_>,
    ) -> Acquired {
        let now = self.now();
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        if state.closed {
            return Acquired::Failed(Error::NotConnected);
        }
        let busy = self.config.bounds.busy();
        let found = pick(&state.connections, busy);
        if found.is_none() && state.over {
            return Acquired::Failed(self.failed_by(ConnectionFailure::RuntimeGone));
        }
        if found.as_ref().is_none_or(|(_, load)| *load >= busy) {
            state.decisions.handle(PoolInput::Demand, now);
        }
        let expires = *expires.get_or_insert(now + self.response_timeout());
        let acquired = if let Some((connection, _)) = found {
            Acquired::Connection(connection)
        } else if Self::is_hopeless(&state, now) {
            Acquired::Failed(self.unavailable(&state))
        } else if expires <= now {
            Acquired::Failed(self.given_up(&state))
        } else {
            self.line_up(&mut state, waiter, expires, &mut waker)
        };
        unlock_and_wake(state);
        acquired
    }

    /// Queues the caller until it is woken to call again. All connections are full and `connection`
    /// is the least so; it is returned if it has room by now.
    pub(in crate::redis) fn queue(
        &self,
        connection: &Arc<SharedConnection>,
        waiter: Option<WaiterId>,
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
        if expires <= now {
            return Acquired::Failed(self.overloaded());
        }
        let acquired = self.line_up(&mut state, waiter, expires, &mut waker);
        self.lined_up.store(true, Ordering::Relaxed);
        unlock_and_wake(state);
        // The connection's lock orders this check: if a driver makes room after it, the driver sees
        // the queue.
        if let Acquired::Wait(waiter) = acquired
            && !connection.is_full()
        {
            self.forget(waiter);
            return Acquired::Connection(Arc::clone(connection));
        }
        acquired
    }

    /// Whether no connection will open soon.
    fn is_hopeless(state: &PoolState, now: Instant) -> bool {
        state.decisions.is_hopeless(now) || state.knows_no_master()
    }

    fn line_up(
        &self,
        state: &mut PoolState,
        waiter: Option<WaiterId>,
        expires: Instant,
        waker: &mut Spare,
    ) -> Acquired {
        if waiter.is_none() && state.queue.waiting() >= self.config.bounds.waiting {
            return Acquired::Failed(self.overloaded());
        }
        Acquired::Wait(state.queue.wait(waiter, expires, waker))
    }

    /// Registers a caller that waits for something other than the pool and is woken by that. Its
    /// wait ends at `expires`, or at once if its command could not be sent anyway.
    pub(in crate::redis) fn hold(
        &self,
        waiter: Option<WaiterId>,
        expires: &mut Option<Instant>,
        cx: &Context<'_>,
    ) -> Acquired {
        let now = self.now();
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        if state.closed {
            return Acquired::Failed(Error::NotConnected);
        }
        if state.over {
            return Acquired::Failed(self.failed_by(ConnectionFailure::RuntimeGone));
        }
        let expires = *expires.get_or_insert(now + self.response_timeout());
        let is_open = pick(&state.connections, self.config.bounds.busy()).is_some();
        let held = if !is_open && Self::is_hopeless(&state, now) {
            Acquired::Failed(self.unavailable(&state))
        } else if expires <= now {
            let after = self.response_timeout();
            Acquired::Failed(Error::Timeout { after, may_have_run: false })
        } else if waiter.is_none() && state.queue.held() >= self.config.bounds.waiting {
            Acquired::Failed(self.overloaded())
        } else {
            Acquired::Wait(state.queue.hold(waiter, expires, &mut waker))
        };
        unlock_and_wake(state);
        held
    }

    /// Removes a caller that is held up no more.
    pub(in crate::redis) fn let_go(&self, waiter: WaiterId) {
        let waker = lock(&self.state).queue.let_go(waiter);
        drop(waker);
    }

    /// Removes a caller that waits no more. Returns whether it was still waiting; if not, it was
    /// woken.
    pub(in crate::redis) fn forget(&self, waiter: WaiterId) -> bool {
        let mut state = lock(&self.state);
        let waited = state.queue.forget(waiter);
        if state.queue.suspects().is_empty() {
            drop(state);
            return waited.is_some();
        }
        let alone = state.queue.suspects().forget(waiter);
        let woken = state.allot(self.now(), None).woken;
        unlock_and_wake(state);
        woken.into_iter().for_each(Waker::wake);
        waited.is_some() || alone.is_some()
    }

    /// Removes a caller that has got its connection. `expires` is when its wait would have ended.
    #[cold]
    pub(in crate::redis) fn arrived(&self, waiter: WaiterId, expires: Option<Instant>) {
        self.forget(waiter);
        self.config.observer.waited(|| {
            let left = expires.map_or(Duration::ZERO, |expires| expires.since(self.now()));
            self.response_timeout().saturating_sub(left)
        });
    }

    /// Removes a caller that goes away. If it was already woken, its turn passes to another.
    pub(crate) fn leave(&self, waiter: WaiterId) {
        if !self.forget(waiter) {
            self.has_room(1);
        }
    }

    /// Whether callers may be waiting for room.
    pub(in crate::redis) fn has_line(&self) -> bool {
        self.lined_up.load(Ordering::Relaxed)
    }

    /// Wakes as many waiting callers as a connection takes more commands.
    pub(in crate::redis) fn has_room(&self, room: usize) {
        let mut state = lock(&self.state);
        let mut woken = Vec::new();
        while woken.len() < room
            && let Some(waker) = state.queue.take_first()
        {
            woken.push(waker);
        }
        self.lined_up.store(state.queue.waiting() > 0, Ordering::Relaxed);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}
