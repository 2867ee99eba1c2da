//! Takes in that a connection has opened or ended, or that the credentials have changed.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use async_caches_core::connection::Greeting;
use async_caches_core::error::ConnectionError;
use async_caches_core::pool::{ConnectionId, PoolInput};
use async_caches_core::time::Instant;
use async_caches_core::url::{Credentials, Endpoint};

use super::sentinels::Sentinels;
use super::state::{Pool, PoolState, unlock_and_wake};
use crate::error::ConnectionFailure;
use crate::redis::connection::closing::Closing;
use crate::redis::connection::shared::SharedConnection;
use crate::redis::observer::Ending;
use crate::sync::lock;

/// A connection that has ended, or could not be dialled.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct Ended<'c> {
    pub(in crate::redis) id: ConnectionId,
    pub(in crate::redis) endpoint: &'c Endpoint,
    pub(in crate::redis) shared: &'c SharedConnection,
    /// Why it ended.
    pub(in crate::redis) error: &'c ConnectionFailure,
    /// How it opened its handshake, if it ended before that was complete.
    pub(in crate::redis) greeting: Option<Greeting>,
}

impl Pool {
    /// Records that a connection is ready for commands, and wakes the callers that can use it.
    pub(in crate::redis) fn opened(&self, id: ConnectionId, endpoint: &Endpoint) {
        let now = self.now();
        let mut state = lock(&self.state);
        let (mut late, mut told, mut news) = (None, None, None);
        if let Some(at) = state.dialling.iter().position(|(connection, _)| *connection == id) {
            let connection = state.dialling.swap_remove(at);
            late = self
                .config
                .credentials
                .since(connection.1.told())
                .map(|who| (who, Arc::clone(&connection.1)));
            let unnamed = connection.1.is_unnamed() && !std::mem::replace(&mut state.unnamed, true);
            let in_cluster = connection.1.is_in_cluster()
                && !std::mem::replace(&mut state.in_cluster, true)
                && self.config.member.is_none();
            let before = state.decisions.tally().reconnects;
            state.decisions.handle(PoolInput::Opened(id), now);
            let reconnect = state.decisions.tally().reconnects > before;
            news = Some((Arc::clone(&connection.1), reconnect, unnamed, in_cluster));
            state.last_error = None;
            state.connections.push(connection);
            state.publication.change();
            self.reroute_grown(&mut state);
            told = state.sentinels.as_mut().and_then(Sentinels::trust);
        }
        let mut woken = state.queue.take_waiting();
        woken.extend(told);
        woken.extend(state.allot(now, None).woken);
        unlock_and_wake(state);
        if let Some((who, connection)) = late {
            connection.authenticate(&who);
        }
        if let Some((connection, reconnect, unnamed, in_cluster)) = news {
            self.config.observer.opened(endpoint, || connection.snapshot().server, reconnect);
            if unnamed {
                self.config.observer.unnamed(endpoint);
            }
            if in_cluster {
                self.config.observer.is_in_cluster(endpoint);
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Records that a connection has ended, or could not be dialled.
    pub(in crate::redis) fn ended(&self, connection: &Ended<'_>) {
        let Ended { id, endpoint, error, .. } = *connection;
        let now = self.now_anyhow();
        let mut state = lock(&self.state);
        if let Some(greeting) = connection.greeting
            && state.greetings.ended(greeting, error.is_hang_up(), now)
            && !state.closed
            && let Some(at) = state.dialling.iter().position(|(connection, _)| *connection == id)
        {
            // The race of a dial with one address cannot connect again, so the pool dials again.
            let (_, connection) = state.dialling.swap_remove(at);
            state.dialled_anew = Some(connection.dialled());
            state.decisions.handle(PoolInput::GreetedAnew(id), now);
            unlock_and_wake(state);
            return self.config.observer.ended(endpoint, Ending::Closed, error, None);
        }
        let dialled = state.dialling.iter().any(|(connection, _)| *connection == id);
        let known = self.remove(&mut state, id);
        let silent = self.silent(&mut state, connection, now);
        let refused = error.is_refusal();
        let answered = known.as_ref().is_some_and(|connection| connection.has_answered());
        state.decisions.handle(PoolInput::Ended { connection: id, refused, answered }, now);
        let mut told = None;
        let doubted = known.is_some()
            && !matches!(error, ConnectionFailure::Moved | ConnectionFailure::Closed);
        if known.is_some() {
            told = state.sentinels.as_mut().and_then(|sentinels| sentinels.doubt(error));
            state.last_end = Some((error.clone(), now));
            state.last_error = Some(error.clone());
        }
        self.reroute_shrunk(&mut state);
        let how = match dialled {
            _ if known.is_none() || state.closed => Ending::Closed,
            true => Ending::NotOpened { in_a_row: state.decisions.tally().failed_dials },
            false => Ending::Lost,
        };
        let held_back = state.decisions.held_back(now);
        // The woken callers check for themselves whether to wait on, to send or to fail.
        let mut woken = state.queue.take_waiting();
        woken.extend(told);
        if state.decisions.is_hopeless(now) {
            woken.extend(state.queue.suspects().take_all());
        } else {
            woken.extend(state.allot(now, None).woken);
        }
        unlock_and_wake(state);
        drop(known);
        silent.into_iter().for_each(|connection| connection.close(Closing::Drained));
        self.config.observer.ended(endpoint, how, error, held_back);
        woken.into_iter().for_each(Waker::wake);
        if let Some(member) = self.config.member.as_ref().filter(|_| doubted) {
            member.signal.raise();
        }
    }

    /// If a connection ends because the server fell silent, checks the others. If nothing was read
    /// on any of them for half a response timeout, takes them out and returns them: they take no
    /// more commands. The ending connection may have stopped taking commands already because of its
    /// age, but it must lead to the server's present address.
    fn silent(
        &self,
        state: &mut PoolState,
        ending: &Ended<'_>,
        now: Instant,
    ) -> Vec<Arc<SharedConnection>> {
        let unanswered =
            matches!(ending.error, ConnectionFailure::Connection(ConnectionError::Unresponsive));
        let elsewhere = state.at.as_ref() != Some(ending.endpoint);
        let heard = ending.shared.last_heard();
        if !unanswered || elsewhere || now.since(heard) < self.response_timeout() {
            return Vec::new();
        }
        let connections: OnceCell<HashMap<_, _>> = OnceCell::new();
        let heard = |id: ConnectionId| {
            let connections =
                connections.get_or_init(|| state.connections.iter().cloned().collect());
            connections.get(&id).map_or(Instant::ORIGIN, |connection| connection.last_heard())
        };
        let closing = state.decisions.silent(ending.id, now, heard);
        let mut connections = connections.into_inner().unwrap_or_default();
        let silent: HashMap<_, _> =
            closing.iter().filter_map(|id| Some((*id, connections.remove(id)?))).collect();
        state.connections.retain(|(id, _)| !silent.contains_key(id));
        silent.iter().for_each(|_| state.publication.change());
        closing.into_iter().filter_map(|id| silent.get(&id).cloned()).collect()
    }

    /// Records that a dial with this greeting has failed. Returns another greeting, if it is worth
    /// dialling again at once.
    pub(in crate::redis) fn greets_anew(
        &self,
        greeting: Greeting,
        why: &ConnectionFailure,
    ) -> Option<Greeting> {
        let now = self.now_anyhow();
        let mut state = lock(&self.state);
        let anew = state.greetings.ended(greeting, why.is_hang_up(), now);
        anew.then(|| state.greetings.next(now))
    }

    /// Sends the credentials to the server on each open connection. Those that are being dialled
    /// send them once they are open.
    pub(crate) fn authenticate(&self, credentials: &Credentials) {
        let now = self.now();
        let mut state = lock(&self.state);
        state.decisions.handle(PoolInput::Renewed, now);
        let connections: Vec<_> =
            state.connections.iter().map(|(_, connection)| Arc::clone(connection)).collect();
        unlock_and_wake(state);
        connections.iter().for_each(|connection| connection.authenticate(credentials));
    }
}
