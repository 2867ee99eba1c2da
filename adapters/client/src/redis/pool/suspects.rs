//! The callers whose command may have ended its connection, in the order in which their time is
//! over.
//!
//! A caller that is called has [`GRACE`] to come, and its connection is kept for it meanwhile. The
//! limit is needed because a future that is kept but not polled must not delay the others.

use std::collections::BTreeMap;
use std::mem;
use std::task::Waker;
use std::time::Duration;

use async_caches_core::time::Instant;

use super::waiter::WaiterId;

/// The callers that wait for a connection of their own.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    waiting: BTreeMap<WaiterId, Waiting>,
    /// Those that were called, and until when their connection is kept for them.
    called: BTreeMap<WaiterId, Called>,
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
    pub(in crate::redis) fn wait(
        &mut self,
        waiter: WaiterId,
        since: Instant,
        waker: Waker,
    ) -> Option<Waker> {
        self.called.remove(&waiter);
        let before = self.waiting.insert(waiter, Waiting { since, waker });
        before.map(|waiting| waiting.waker)
    }

    /// Whether no callers are waiting or called.
    pub(in crate::redis) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.called.is_empty()
    }

    /// How many wait.
    pub(in crate::redis) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Removes a caller. Returns its waker if it was not called.
    pub(in crate::redis) fn forget(&mut self, waiter: WaiterId) -> Option<Waker> {
        self.called.remove(&waiter);
        self.waiting.remove(&waiter).map(|waiting| waiting.waker)
    }

    pub(in crate::redis) fn take_all(&mut self) -> Vec<Waker> {
        self.called.clear();
        mem::take(&mut self.waiting).into_values().map(|waiting| waiting.waker).collect()
    }

    /// Takes the callers whose time is over. Forgets those that did not come when called.
    pub(in crate::redis) fn expire(&mut self, now: Instant, due: &mut Vec<Waker>) {
        self.called.retain(|_, called| called.until > now);
        while let Some(first) = self.waiting.first_entry()
            && first.key().expires <= now
        {
            due.push(first.remove().waker);
        }
    }

    pub(in crate::redis) fn deadline(&self) -> Option<Instant> {
        let first = self.waiting.keys().next().map(|waiter| waiter.expires);
        first.into_iter().chain(self.called.values().map(|called| called.until)).min()
    }

    /// The time since which each of them needs a connection; those that were called come first.
    pub(in crate::redis) fn in_line(&self) -> impl Iterator<Item = (WaiterId, Instant)> {
        let called = self.called.iter().map(|(waiter, called)| (*waiter, called.since));
        called.chain(self.waiting.iter().map(|(waiter, waiting)| (*waiter, waiting.since)))
    }

    /// Calls a caller, unless it was called already.
    pub(in crate::redis) fn call(&mut self, waiter: WaiterId, now: Instant) -> Option<Waker> {
        let Waiting { since, waker } = self.waiting.remove(&waiter)?;
        let until = (now + GRACE).min(waiter.expires);
        self.called.insert(waiter, Called { since, until });
        Some(waker)
    }
}

/// How long a connection is kept for a suspect that was called.
const GRACE: Duration = Duration::from_millis(100);
