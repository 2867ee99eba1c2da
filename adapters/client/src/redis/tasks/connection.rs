//! The connection that a runtime is asked to dial: to a server or to a sentinel.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::serving::ServerConnection;
use super::watcher::Watcher;
use crate::runtime::{ConnectionTask, Instant, Runtime, Socket, Timer};

/// The task of a connection.
#[derive(Debug)]
enum Task {
    Serving(ServerConnection),
    Watching(Watcher),
}

/// A connection to a server.
pub(in crate::redis) fn serving(connection: ServerConnection) -> ConnectionTask {
    ConnectionTask::new(Task::Serving(connection))
}

/// A connection to a sentinel.
pub(in crate::redis) fn watching(watcher: Watcher) -> ConnectionTask {
    ConnectionTask::new(Task::Watching(watcher))
}

impl Task {
    fn runtime(&self) -> &dyn Runtime {
        match self {
            Self::Serving(connection) => &*connection.pool.config.runtime,
            Self::Watching(watcher) => &*watcher.pool.config.runtime,
        }
    }
}

/// The alarm of a connection: the adapter's, unless the cache has a manual clock.
enum ConnectionTimer<T> {
    OfAdapter(T),
    ByHand(Box<dyn Timer>),
}

impl<T> ConnectionTimer<T> {
    fn of(runtime: &dyn Runtime, timer: T) -> Self {
        match runtime.manual_clock() {
            Some(_) => Self::ByHand(runtime.timer()),
            None => Self::OfAdapter(timer),
        }
    }
}

impl<T: Timer> Timer for ConnectionTimer<T> {
    #[inline]
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::OfAdapter(timer) => timer.poll_until(at, cx),
            Self::ByHand(timer) => timer.poll_until(at, cx),
        }
    }
}

impl ConnectionTask {
    /// Finds the addresses of a host and connects to them in turn, as RFC 8305 describes, until one
    /// handshake is complete. Closes the other sockets, and then serves the connection until it
    /// ends: its whole life, run as one task. `resolve`, `connect` and the handshake share the
    /// connect timeout.
    ///
    /// `resolve` looks the addresses up anew. It is dropped unpolled if the host is an IP address,
    /// or if the cache has a [resolver](crate::Builder::resolver) of its own. `connect` is called
    /// once for each address that is tried. Several of its futures may be under way at the same
    /// time, 32 at most, all polled in this task.
    ///
    /// Dropping the future closes the connection; the callers that wait on it get an error.
    pub async fn race<S: Socket, T: Timer, F>(
        self,
        resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send,
        mut connect: impl FnMut(SocketAddr) -> F + Send,
        timer: T,
    ) where
        F: Future<Output = io::Result<S>> + Send,
    {
        let Some(task) = self.into_task::<Task>() else { return };
        let connect = |address: Option<SocketAddr>| address.map(&mut connect);
        let timer = ConnectionTimer::of(task.runtime(), timer);
        match *task {
            Task::Serving(connection) => connection.drive(resolve, connect, timer).await,
            Task::Watching(watcher) => watcher.drive(resolve, connect, timer).await,
        }
    }

    /// Like [`race`](Self::race), for an endpoint with exactly one address, such as a unix socket:
    /// `connect` connects to it.
    pub async fn drive<S: Socket, T: Timer>(
        self,
        connect: impl Future<Output = io::Result<S>> + Send,
        timer: T,
    ) {
        let Some(task) = self.into_task::<Task>() else { return };
        let timer = ConnectionTimer::of(task.runtime(), timer);
        let mut only = Some(connect);
        let connect = |_: Option<SocketAddr>| only.take();
        match *task {
            Task::Serving(mut connection) => {
                connection.has_one_address = true;
                connection.drive(ready(Ok(Vec::new())), connect, timer).await;
            }
            Task::Watching(mut watcher) => {
                watcher.has_one_address = true;
                watcher.drive(ready(Ok(Vec::new())), connect, timer).await;
            }
        }
    }
}
