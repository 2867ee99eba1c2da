//! The backends behind one call.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_caches_core::cluster::redirect::Hops;
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::Command;
use async_caches_core::dummy;
use async_caches_core::large::LargeKeys;
use async_caches_core::planted::{self, Bug};
use async_caches_core::reply::{Answer, Reply};
use bytes::Bytes;

use crate::cache::Cache;
use crate::cluster::{Cluster, Nodes};
use crate::error::Error;
use crate::flights::LoadTable;
use crate::memory::Store;
use crate::redis::{self, Outcome, Pool, Redis, Shared, Ticket};

/// A backend in use.
#[derive(Debug)]
pub(crate) enum Backend {
    Dummy,
    Memory(Arc<Store>),
    Redis { redis: Arc<Redis>, loads: Arc<LoadTable> },
    Cluster { cluster: Arc<Cluster>, loads: Arc<LoadTable> },
}

/// A backend with connections, which has to be connected and closed.
#[derive(Debug)]
pub(crate) enum Service {
    Redis(Arc<Redis>),
    Cluster(Arc<Cluster>),
}

impl Service {
    /// Prepares for calls that come before anything is connected.
    pub(crate) fn begin_lazily(&self) {
        match self {
            Self::Redis(redis) => redis.begin_lazily(),
            // Its calls wait for the first map, and fail once all nodes of the URL have failed.
            Self::Cluster(_) => {}
        }
    }

    /// Starts the service on the runtime of the calling thread.
    pub(crate) fn start(&self) {
        match self {
            Self::Redis(redis) => redis.start(),
            Self::Cluster(cluster) => cluster.start(),
        }
    }

    /// Ready once the service can be used, or has failed. For the caller that connects.
    pub(crate) fn poll_first(
        &self,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Error>> {
        match self {
            Self::Redis(redis) => redis.poll_first(ticket, cx),
            Self::Cluster(cluster) => cluster.poll_first(ticket, cx),
        }
    }

    /// Makes the service visible to callers.
    pub(crate) fn publish(&self) {
        match self {
            Self::Redis(redis) => redis.publish(),
            Self::Cluster(cluster) => cluster.publish(),
        }
    }

    /// Hides the service from callers.
    pub(crate) fn withdraw(&self) {
        match self {
            Self::Redis(redis) => redis.withdraw(),
            Self::Cluster(cluster) => cluster.withdraw(),
        }
    }

    /// Accepts no more commands and closes every connection. Ready once that is done.
    pub(crate) fn poll_close(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Redis(redis) => redis.poll_close(ticket, cx),
            Self::Cluster(cluster) => cluster.poll_close(ticket, cx),
        }
    }
}

impl Backend {
    /// Whether its runtime is gone, so that it serves no more calls.
    pub(crate) fn is_over(&self) -> bool {
        if planted::is(Bug::GoneRuntimeKept) {
            return false;
        }
        match self {
            Self::Dummy | Self::Memory(_) => false,
            Self::Redis { redis, .. } => redis.pool().is_over(),
            Self::Cluster { cluster, .. } => cluster.is_over(),
        }
    }

    /// The service to close, if the backend has one.
    pub(crate) fn service(&self) -> Option<Service> {
        match self {
            Self::Dummy | Self::Memory(_) => None,
            Self::Redis { redis, .. } => Some(Service::Redis(Arc::clone(redis))),
            Self::Cluster { cluster, .. } => Some(Service::Cluster(Arc::clone(cluster))),
        }
    }

    /// Where callers that load the same key share a load; the dummy backend has none.
    pub(crate) fn loads(&self) -> Option<&Arc<LoadTable>> {
        match self {
            Self::Dummy => None,
            Self::Memory(store) => Some(store.loads()),
            Self::Redis { loads, .. } | Self::Cluster { loads, .. } => Some(loads),
        }
    }

    /// Notes the size of a value, for later commands of the same key.
    fn note(&self, key: &[u8], len: usize) {
        match self {
            Self::Dummy | Self::Memory(_) => {}
            Self::Redis { redis, .. } => redis.note(key, len),
            Self::Cluster { cluster, .. } => cluster.note(key, len),
        }
    }

    /// The [`loads`](Self::loads), while a load may be under way there.
    fn busy_loads(&self) -> Option<Arc<LoadTable>> {
        self.loads().filter(|loads| loads.is_busy()).cloned()
    }

    /// How a caller that waits for the store of a load is timed. A store in memory is written in
    /// place, which takes so little time that its callers need no timer.
    fn timed(&self) -> Timed {
        match self {
            Self::Dummy | Self::Memory(_) => Timed::ByNobody,
            Self::Redis { redis, .. } => Timed::By(redis.pool()),
            Self::Cluster { cluster, .. } => Timed::ByNodes(Arc::clone(cluster.nodes())),
        }
    }
}

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
    redis: redis::Call,
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
        Self { several, redis: self.redis.part(), ..Self::default() }
    }

    /// A call for the node of a cluster that serves this slot, for commands without keys.
    pub(crate) fn for_slot(slot: Slot) -> Self {
        Self { redis: redis::Call::for_slot(slot), ..Self::default() }
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
        let value = match self.redis.take_value() {
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
        let outcome = match ready!(self.redis.poll_sent(cx)) {
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
            return self.redis.diverted(&nodes, outcome, command, self.several);
        }
        let answer = self.redis.unanswered(outcome, command)?;
        match &answer {
            // It was redirected, and the cache has been disconnected meanwhile.
            Ok(answer) if cache.is_cluster() && Hops::concern(answer) => {
                Some(Err(self.redis.over(Error::NotConnected)))
            }
            Ok(_) | Err(_) => Some(answer),
        }
    }

    /// Notes the size of a value, if it is large or was expected to be.
    #[inline(always)]
    fn note(&self, cache: &Cache, name: &[u8], len: usize) {
        if self.large || len >= LargeKeys::FROM {
            // A cache that was disconnected meanwhile has no backend to note it.
            let _ = cache.with_backend(|backend| backend.note(name, len));
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
        match cache.at_once(command, cx, || self.redis.is_plain()) {
            Some(AtOnce::Read(value)) => Poll::Ready(Ok(Ok(Reply::Value(value)))),
            Some(AtOnce::GiveWay) => Poll::Pending,
            Some(AtOnce::Link { link, large }) => {
                self.large = large;
                match self.redis.send_plain(link, command, cx) {
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
                return Poll::Ready(fault.answer(cache.parts().1.response_timeout));
            }
        }
        let mut revived = false;
        loop {
            let begun = cache.with_backend(|backend| match backend.busy_loads() {
                _ if !revived && backend.is_over() => Begun::Over,
                Some(loads) if !self.clear => Begun::Held(loads, backend.timed()),
                _ => match backend {
                    Backend::Dummy => Begun::Answered(dummy::execute(command)),
                    Backend::Memory(store) => Begun::Answered(store.execute(command)),
                    Backend::Redis { redis, .. } => Begun::Calling(redis.pool()),
                    Backend::Cluster { cluster, .. } => {
                        Begun::CallingNodes(Arc::clone(cluster.nodes()))
                    }
                },
            });
            match begun {
                Ok(Begun::Over) => {
                    revived = true;
                    cache.revive();
                    continue;
                }
                Ok(Begun::Held(loads, timed)) => {
                    if loads.poll_clear(command, cx).is_pending() {
                        return match timed {
                            Timed::ByNobody => Poll::Pending,
                            Timed::By(pool) => self.redis.poll_held(&pool, command, cx).map(Err),
                            Timed::ByNodes(nodes) => {
                                self.redis.poll_held_in(&nodes, command, cx).map(Err)
                            }
                        };
                    }
                }
                Ok(Begun::Answered(answer)) => return Poll::Ready(Ok(answer)),
                Ok(Begun::Calling(pool)) => {
                    return self.redis.poll_send(&pool, command, cx).map(Err);
                }
                Ok(Begun::CallingNodes(nodes)) => {
                    return self.redis.poll_send_to(&nodes, command, cx).map(Err);
                }
                Err(error) => {
                    ready!(cache.poll_turn_to_fail(cx));
                    return Poll::Ready(Err(self.redis.over(error)));
                }
            }
            self.clear = true;
        }
    }
}

/// The result of a command on the fast path.
pub(crate) enum AtOnce {
    Link {
        link: Arc<Shared>,
        large: bool,
    },
    Read(Option<Bytes>),
    /// Other tasks run first; this one has been woken to poll again.
    GiveWay,
}

/// The result of passing a command to a backend.
enum Begun {
    /// The runtime that ran the backend is gone.
    Over,
    /// A load may be under way: the table of loads must be asked first, outside of all locks. The caller
    /// waits there as long as it would for a connection of the pool.
    Held(Arc<LoadTable>, Timed),
    Answered(Answer),
    Calling(Arc<Pool>),
    CallingNodes(Arc<Nodes>),
}

/// How a waiting caller is timed.
enum Timed {
    ByNobody,
    By(Arc<Pool>),
    ByNodes(Arc<Nodes>),
}
