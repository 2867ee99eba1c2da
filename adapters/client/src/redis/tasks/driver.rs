//! The one task of a connection: connects, and then reads, wakes, writes.
//!
//! It reads and writes at every turn, whichever the socket is ready for, so that a server which
//! writes before it reads cannot make both sides wait. After it has woken callers it yields once
//! before it writes, and again before each later write while some of them are still on their way.
//! They run and queue their next commands, which then leave in one write. If many replies have
//! arrived, it takes in at most half as many as are in flight before it wakes callers and writes.
//! So the server can work on one half while callers have the other.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_caches_core::connection::{Connection, Event, Greeting, ServerInfo};
use async_caches_core::resp::output::Output;
use async_caches_core::time::{Deadline, Instant};
use async_caches_core::url::Endpoint;
use bytes::{Buf, BytesMut};

use super::intake::Intake;
use super::race::{self, Dialler, Greeted, Handshake, Plain, Tls, Wrap};
use super::serving::ServerConnection;
use crate::error::ConnectionFailure;
use crate::redis::connection::meter::Measured;
use crate::redis::connection::turn::Settled;
use crate::resolver::Resolve;
use crate::runtime::{Socket, Timer};
use crate::shared::Shared;
use crate::waker::Spare;

impl ServerConnection {
    /// Connects and then serves the callers of this connection until it ends: the whole life of a
    /// connection, run as one task. `resolve`, `connect` and the handshake share the connect
    /// timeout.
    ///
    /// Dropping the future closes the connection; the callers that wait on it get an error.
    pub(in crate::redis) async fn drive<S: Socket, T: Timer, F>(
        mut self,
        resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send,
        connect: impl FnMut(Option<SocketAddr>) -> Option<F> + Send,
        timer: T,
    ) where
        F: Future<Output = io::Result<S>> + Send,
    {
        // When the connection is dropped, for whatever reason, it notifies its callers and the
        // pool.
        self.end = match self.pool.config.tls.clone() {
            None => self.dial_and_serve(&Plain, resolve, connect, timer).await,
            Some(tls) => {
                let at = self.at.clone();
                self.dial_and_serve(&Tls(&tls, &at), resolve, connect, timer).await
            }
        };
    }

    /// Like [`drive`](Self::drive), over wrapped sockets. Returns why it ended.
    async fn dial_and_serve<R, W: Wrap<R> + Sync, T: Timer, F>(
        &mut self,
        wrap: &W,
        resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send,
        connect: impl FnMut(Option<SocketAddr>) -> Option<F> + Send,
        mut timer: T,
    ) -> ConnectionFailure
    where
        F: Future<Output = io::Result<R>> + Send,
    {
        match self.dial(wrap, resolve, connect, &mut timer).await {
            Err(error) => {
                self.greets = true;
                error
            }
            Ok(Greeted { socket, intake, out, greeting }) => {
                let ServerHandshake { connection, server, .. } = greeting;
                self.shared.greeted(connection, server);
                let mut driver = Driver::new(socket, timer, intake, out);
                driver.opened(self);
                let end = poll_fn(|cx| driver.poll(self, cx)).await;
                wrap.explain(&driver.socket, end)
            }
        }
    }

    async fn dial<R, W: Wrap<R> + Sync, F>(
        &mut self,
        wrap: &W,
        resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send,
        connect: impl FnMut(Option<SocketAddr>) -> Option<F> + Send,
        timer: &mut impl Timer,
    ) -> Result<Greeted<W::Socket, ServerHandshake>, ConnectionFailure>
    where
        F: Future<Output = io::Result<R>> + Send,
    {
        if let Some(provider) = self.pool.config.credentials.provider() {
            let credentials = race::in_time(self, provider.credentials(), timer).await?;
            let credentials =
                credentials.map_err(|error| ConnectionFailure::Credentials(Shared::of(error)))?;
            self.credentials = Some(credentials);
        }
        let addresses = race::addresses(self, resolve, timer).await?;
        race::run(self, wrap, addresses, connect, timer).await
    }
}

impl Dialler for ServerConnection {
    type Handshake = ServerHandshake;

    fn now(&self) -> Instant {
        self.pool.now()
    }

    fn until(&self) -> Instant {
        self.shared.dialled() + self.pool.config.setup.connect_timeout
    }

    fn at(&self) -> &Endpoint {
        &self.at
    }

    fn has_one_address(&self) -> bool {
        self.has_one_address
    }

    fn resolver(&self) -> Option<&Arc<dyn Resolve>> {
        self.pool.config.resolver.0.as_ref()
    }

    fn greet(&self, out: &mut Output) -> ServerHandshake {
        let mut setup = self.pool.config.setup.clone();
        setup.credentials = self.credentials.clone();
        setup.greeting = self.greeting;
        let connection = Connection::open(&setup, self.shared.dialled(), out);
        ServerHandshake { connection, server: ServerInfo::default(), greeting: self.greeting }
    }

    fn greets_anew(&mut self, greeting: &ServerHandshake, why: &ConnectionFailure) -> bool {
        // A connection with one address can connect only once: the pool dials it again.
        if self.has_one_address {
            return false;
        }
        match self.pool.greets_anew(greeting.greeting, why) {
            Some(greeting) => {
                self.greeting = greeting;
                true
            }
            None => false,
        }
    }

    fn check(&mut self, cx: &Context<'_>) -> Result<(), ConnectionFailure> {
        self.shared.dialling(cx)
    }
}

/// A handshake; `server` holds what the server reported about itself once it is complete.
#[derive(Debug)]
pub(in crate::redis) struct ServerHandshake {
    pub(in crate::redis) connection: Connection,
    pub(in crate::redis) server: ServerInfo,
    greeting: Greeting,
}

impl Handshake for ServerHandshake {
    fn take(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        out: &mut Output,
    ) -> Result<bool, ConnectionFailure> {
        loop {
            match self.connection.poll(rx, now, out)? {
                None => return Ok(false),
                Some(Event::Ready(server)) => {
                    self.server = server;
                    return Ok(true);
                }
                // A push. It is dropped, as no subscriber knows of the connection yet.
                Some(_) => {}
            }
        }
    }

    fn wrote(&mut self, count: usize) {
        self.connection.wrote(count);
    }
}

struct Driver<S, T> {
    socket: S,
    timer: T,
    intake: Intake,
    out: Output,
    settled: Settled,
    /// How many bytes were read since the task was woken.
    read: usize,
    /// Whether some of the bytes read can still be taken in.
    more: bool,
    armed: Option<Instant>,
    yielded: bool,
    /// Used when the driver rests.
    waker: Spare,
    /// Why the socket can take no more bytes, if so. The bytes left to read may explain more.
    unwritable: Option<ConnectionFailure>,
}

impl<S: Socket, T: Timer> Driver<S, T> {
    fn new(socket: S, timer: T, intake: Intake, out: Output) -> Self {
        Self {
            socket,
            timer,
            intake,
            out,
            settled: Settled::default(),
            read: 0,
            more: false,
            armed: None,
            yielded: false,
            waker: Spare::default(),
            unwritable: None,
        }
    }

    /// Takes commands from now on.
    fn opened(&mut self, serving: &mut ServerConnection) {
        serving.name = serving.shared.observer().pushes_may_come();
        serving.pool.opened(serving.id, &serving.at);
    }

    fn poll(
        &mut self,
        serving: &mut ServerConnection,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionFailure> {
        // After this many rounds or bytes other tasks get a turn, whatever the socket still has.
        let mut rounds = 0;
        self.read = 0;
        while rounds < ROUNDS && self.read < READ_MOST {
            rounds += 1;
            match self.round(serving, cx) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(())) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads, wakes, writes. Pending if there is nothing more to do until the task is woken.
    fn round(
        &mut self,
        serving: &mut ServerConnection,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, ConnectionFailure> {
        let mut exhausted = false;
        if !self.more {
            let read = self.intake.read(&mut self.socket, cx);
            // The server's last bytes before it closes are worth reading, as they may say why.
            let count = match (read, self.unwritable.take()) {
                (Ok(count), None) => count,
                (Ok(0), Some(error)) | (Err(_), Some(error)) => return Err(error),
                (Ok(count), error @ Some(_)) => {
                    self.unwritable = error;
                    count
                }
                (Err(error), None) => return Err(error),
            };
            self.read += count;
            exhausted = count == 0;
        }
        let wrote = std::mem::take(&mut serving.wrote);
        let turn =
            serving.shared.turn(&mut self.intake.rx, &mut self.out, wrote, &mut self.settled);
        self.more = turn.more;
        // Recorded before the callers get their replies.
        if let Some(Measured { batch, round_trip }) = self.settled.take_measured() {
            serving.pool.config.observer.measured(batch, round_trip);
        }
        // Pushes are reported before the replies that came after them.
        if !self.settled.pushes.is_empty() {
            self.tell_pushes(serving);
        }
        self.settled.hand_out();
        if turn.vacant {
            serving.pool.allot();
        }
        if turn.room > 0 && serving.pool.has_line() {
            serving.pool.has_room(turn.room);
        }
        if let Some(error) = turn.end {
            return Err(error);
        }
        // A single caller is next to run anyway, and wakes the driver with its next command. Many
        // callers may not all have run by then, if some run on other threads.
        if turn.unheard > 1 && !std::mem::replace(&mut self.yielded, true) {
            cx.waker().wake_by_ref();
            return Ok(Poll::Pending);
        }
        self.yielded = false;
        if self.unwritable.is_none()
            && let Err(error) = self.write(&mut serving.wrote, cx)
        {
            self.unwritable = Some(error.into());
        }
        if self.unwritable.is_some() {
            return Ok(Poll::Ready(()));
        }
        self.intake.resize(turn.lacks);
        let idle = exhausted && !turn.more && serving.wrote == 0;
        if !idle || self.is_due(turn.deadline, cx) {
            return Ok(Poll::Ready(()));
        }
        self.waker.renew(cx);
        let rests = serving.shared.rest(&turn, self.out.is_empty(), &mut self.waker);
        Ok(if rests { Poll::Pending } else { Poll::Ready(()) })
    }

    #[cold]
    fn tell_pushes(&mut self, serving: &ServerConnection) {
        for push in self.settled.pushes.drain(..) {
            serving.shared.observer().pushed(serving.name, &push);
        }
    }

    /// Writes as much as the socket takes. Adds the number of bytes to `wrote`, even if an error
    /// follows them.
    fn write(&mut self, wrote: &mut usize, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.out.is_empty() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slot, piece) in pieces.iter_mut().zip(self.out.pieces()) {
                *slot = IoSlice::new(piece);
                count += 1;
            }
            match self.socket.poll_write(&pieces[..count], cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.out.advance(count);
                    *wrote += count;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if self.out.capacity() > KEPT {
            self.out = Output::new();
        }
        Ok(())
    }

    /// Whether the deadline has come. Called only before resting, as a driver that goes on reads
    /// the clock anyway. The alarm is only moved to an earlier time: one that rings early costs a
    /// turn, but setting it for every command costs more.
    fn is_due(&mut self, deadline: Option<Deadline>, cx: &mut Context<'_>) -> bool {
        let wanted = deadline.map(|due| due.at);
        let at = match (self.armed, wanted) {
            (Some(armed), Some(wanted)) => Some(armed.min(wanted)),
            (armed, wanted) => wanted.or(armed),
        };
        let due = self.timer.poll_until(at, cx).is_ready();
        self.armed = if due { None } else { at };
        due
    }
}

/// An empty buffer larger than this is freed.
const KEPT: usize = 512 * 1024;

/// How many pieces are passed to one write.
const PIECES: usize = 64;

/// How often a driver reads and writes before other tasks run, and how many bytes it reads. Copying
/// more than that from the socket takes as long as hundreds of small commands.
const ROUNDS: usize = 32;
const READ_MOST: usize = 256 * 1024;
