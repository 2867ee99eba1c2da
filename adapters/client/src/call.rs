//! One command on its way to the cache's backend and back.

use std::task::{Context, Poll, ready};

use async_caches_core::cluster::redirect::Hops;
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::Command;
use async_caches_core::dummy;
use async_caches_core::large::LargeKeys;
use async_caches_core::reply::{Answer, Reply};
use bytes::Bytes;

use crate::backend::{Backend, Remote};
use crate::cache::{AtOnce, Cache};
use crate::cluster::RedirectState;
use crate::error::Error;
use crate::redis::{Exchange, Outcome};

/// One command on its way to the cache's backend and back.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// Whether the command need not wait for a load, or has done so.
    clear: bool,
    /// Whether it was sent as a command with a large value.
    large: bool,
    /// Whether it is for several keys, so that it can be sent in parts if a cluster replies
    /// `TRYAGAIN`.
    several: bool,
    /// Whether the fault switch was already checked.
    tested: bool,
    exchange: Exchange<RedirectState>,
}

impl Call {
    /// A call for the store of a load, which no load delays.
    pub(crate) fn store() -> Self {
        Self { clear: true, ..Self::default() }
    }

    /// A call for several keys, each of which could be sent by itself.
    pub(crate) fn several() -> Self {
        Self { several: true, ..Self::default() }
    }

    /// A call for some of this call's keys, after this call ended its connection.
    pub(crate) fn part(&self, several: bool) -> Self {
        Self { several, exchange: self.exchange.part(), ..Self::default() }
    }

    /// A call for the node of a cluster that serves this slot, for commands without keys.
    pub(crate) fn for_slot(slot: Slot) -> Self {
        Self { exchange: Exchange::for_slot(slot), ..Self::default() }
    }

    /// Ready with the value of `name`, which `command` requests, or `None`; otherwise like
    /// [`poll`](Self::poll).
    #[inline(always)]
    pub(crate) fn poll_value<'c>(
        &mut self,
        cache: &Cache,
        name: &[u8],
        cx: &Context<'_>,
        command: impl FnOnce() -> Result<Command<'c>, Error>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        let value = match self.exchange.take_value() {
            Some(value) => value,
            None => match ready!(self.poll(cache, name, cx, command))? {
                Reply::Value(value) => value,
                _ => return Poll::Ready(Err(Error::mismatch())),
            },
        };
        if let Some(value) = &value {
            self.note(cache, name, value.len());
        }
        Poll::Ready(Ok(value))
    }

    /// Ready with the reply to `command`, which must be the same in every poll. `name` is the key
    /// that errors quote. `command` is called only when it is about to be sent.
    #[inline(always)]
    pub(crate) fn poll<'c>(
        &mut self,
        cache: &Cache,
        name: &[u8],
        cx: &Context<'_>,
        command: impl FnOnce() -> Result<Command<'c>, Error>,
    ) -> Poll<Result<Reply, Error>> {
        let outcome = match ready!(self.exchange.poll_sent(cx)) {
            Some(Outcome::Answered(Ok(reply))) => return Poll::Ready(Ok(reply)),
            outcome => outcome,
        };
        let command = command()?;
        let answer = match outcome.and_then(|outcome| self.unanswered(cache, outcome, &command)) {
            Some(answer) => answer,
            None => ready!(self.poll_send(cache, &command, cx)),
        };
        Poll::Ready(answer?.map_err(|failure| Error::failure(name, failure)))
    }

    /// Converts an outcome of `command` that is no reply; `None` if the command must be sent again.
    #[cold]
    fn unanswered(
        &mut self,
        cache: &Cache,
        outcome: Outcome,
        command: &Command<'_>,
    ) -> Option<Result<Answer, Error>> {
        if let Some(nodes) = cache.nodes() {
            return self.exchange.diverted(&nodes, outcome, command, self.several);
        }
        let answer = self.exchange.unanswered(outcome, command)?;
        match &answer {
            // It was redirected, and the cache has been disconnected meanwhile.
            Ok(answer) if cache.is_cluster() && Hops::concern(answer) => {
                Some(Err(self.exchange.over(Error::NotConnected)))
            }
            Ok(_) | Err(_) => Some(answer),
        }
    }

    /// Notes the size of a value, if it is large or was expected to be.
    #[inline(always)]
    fn note(&self, cache: &Cache, name: &[u8], len: usize) {
        if self.large || len >= LargeKeys::FROM {
            cache.note(name, len);
        }
    }

    /// Sends the command at once if nothing delays it; otherwise finds out what does.
    #[inline(always)]
    fn poll_send(
        &mut self,
        cache: &Cache,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Result<Answer, Error>> {
        match cache.at_once(command, cx, || self.exchange.is_plain()) {
            Some(AtOnce::Read(value)) => Poll::Ready(Ok(Ok(Reply::Value(value)))),
            Some(AtOnce::GiveWay) => Poll::Pending,
            Some(AtOnce::Send { connection, large }) => {
                self.large = large;
                match self.exchange.send_plain(connection, command, cx) {
                    Ok(()) => Poll::Pending,
                    Err(_) => self.poll_begin(cache, command, cx),
                }
            }
            None => self.poll_begin(cache, command, cx),
        }
    }

    /// Ready if there is nothing to send: the backend completes the command in place, or no backend
    /// can.
    #[inline(never)]
    fn poll_begin(
        &mut self,
        cache: &Cache,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Result<Answer, Error>> {
        ready!(cache.poll_turn(cx));
        if let Some(faults) = cache.faults()
            && !self.tested
            && cache.is_connected()
        {
            ready!(cache.poll_turn_to_fail(cx));
            self.tested = true;
            if let Some(fault) = faults.next() {
                return Poll::Ready(fault.answer(cache.settings().response_timeout));
            }
        }
        cache.revive_if_over();
        match cache.with_backend(|backend| self.poll_in(backend, command, cx)) {
            Ok(polled) => polled,
            Err(error) => {
                ready!(cache.poll_turn_to_fail(cx));
                Poll::Ready(Err(self.exchange.over(error)))
            }
        }
    }

    /// Like [`poll_begin`](Self::poll_begin), with the backend in use. A write waits there for a
    /// load of the same key that is being stored.
    #[inline]
    fn poll_in(
        &mut self,
        backend: &Backend,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Result<Answer, Error>> {
        if !self.clear
            && let Some(loads) = backend.busy_loads()
            && loads.poll_clear(command, cx).is_pending()
        {
            // A store in memory is written in place, which takes so little time that its callers
            // need no timer.
            let timed = |remote: &Remote| remote.poll_held(&mut self.exchange, command, cx);
            return backend.remote().map_or(Poll::Pending, timed).map(Err);
        }
        self.clear = true;
        match backend {
            Backend::Dummy => Poll::Ready(Ok(dummy::execute(command))),
            Backend::Memory(store) => Poll::Ready(Ok(store.execute(command))),
            Backend::Remote { remote, .. } => {
                remote.poll_send(&mut self.exchange, command, cx).map(Err)
            }
        }
    }
}
