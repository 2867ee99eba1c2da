//! Races the addresses of a name against each other: the sockets, and the handshake on each until
//! one server has completed it.
//!
//! Decisions are made in [`core::dial`](async_caches_core::dial). All attempts belong to one
//! connection that is being dialled. They run in one task, and when that ends their sockets close.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_caches_core::dial::{self, Dial, DialAction, DialEnd, DialInput};
use async_caches_core::error::ConnectionError;
use async_caches_core::resp::output::Output;
use async_caches_core::time::Instant;
use async_caches_core::url::Endpoint;
use bytes::{Buf, BytesMut};

use super::intake::Intake;
use crate::error::ConnectionFailure;
use crate::resolver::Resolve;
use crate::runtime::{Socket, Timer};
use crate::shared::Shared;
use crate::tls::{TlsClient, TlsSocket};

/// The owner of a race: a connection to a server, or a connection to a sentinel.
pub(in crate::redis) trait Dialler: Send {
    /// The handshake with each server.
    type Handshake: Handshake;

    fn now(&self) -> Instant;

    /// When a server must have completed its handshake.
    fn until(&self) -> Instant;

    /// The address that it dials.
    fn at(&self) -> &Endpoint;

    /// The resolver to use instead of the runtime's, if any.
    fn resolver(&self) -> Option<&Arc<dyn Resolve>>;

    /// Whether there is one way to connect, and no list of addresses.
    fn has_one_address(&self) -> bool;

    /// Begins the handshake with a server; the first bytes are put into `out`.
    fn greet(&self, out: &mut Output) -> Self::Handshake;

    /// Takes in that an attempt with this greeting has failed. Returns whether its address is worth
    /// dialling again at once with another greeting.
    fn greets_anew(&mut self, greeting: &Self::Handshake, why: &ConnectionFailure) -> bool;

    /// Checks whether to go on. The task is woken when the result may have changed.
    ///
    /// # Errors
    /// Why dialling must stop.
    fn check(&mut self, cx: &Context<'_>) -> Result<(), ConnectionFailure>;
}

/// The handshake with one server.
pub(in crate::redis) trait Handshake: Send {
    /// Takes in the bytes that were read. Returns whether the handshake is complete; the rest stays
    /// in `rx`.
    fn take(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        out: &mut Output,
    ) -> Result<bool, ConnectionFailure>;

    /// Notes that the socket has taken `count` bytes.
    fn wrote(&mut self, count: usize);
}

/// Wraps the adapter's socket into the one that the connection uses.
pub(in crate::redis) trait Wrap<R>: Send {
    type Socket: Socket;

    fn wrap(&self, socket: R) -> Result<Self::Socket, ConnectionFailure>;

    /// Why a connection ended, with what the socket knows about it.
    fn explain(&self, socket: &Self::Socket, end: ConnectionFailure) -> ConnectionFailure;
}

/// Uses sockets as they are.
pub(in crate::redis) struct Plain;

/// Wraps sockets in TLS, to the server at this address.
pub(in crate::redis) struct Tls<'t>(
    pub(in crate::redis) &'t TlsClient,
    pub(in crate::redis) &'t Endpoint,
);

/// A connection whose handshake is complete.
pub(in crate::redis) struct Greeted<S, G> {
    pub(in crate::redis) socket: S,
    pub(in crate::redis) intake: Intake,
    pub(in crate::redis) out: Output,
    pub(in crate::redis) greeting: G,
}

/// Finds the addresses, in the order in which to try them.
pub(in crate::redis) async fn addresses<D: Dialler>(
    dialler: &mut D,
    resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send,
    timer: &mut impl Timer,
) -> Result<Vec<Option<SocketAddr>>, ConnectionFailure> {
    let (host, port) = match dialler.at().clone() {
        Endpoint::Tcp { host, port } if !dialler.has_one_address() => (host, port),
        Endpoint::Tcp { .. } | Endpoint::Unix { .. } => return Ok(vec![None]),
    };
    let found = match (host.parse::<IpAddr>(), dialler.resolver().cloned()) {
        (Ok(ip), _) => Ok(vec![SocketAddr::new(ip, port)]),
        (Err(_), Some(resolver)) => in_time(dialler, resolver.resolve(&host, port), timer).await?,
        (Err(_), None) => in_time(dialler, resolve, timer).await?,
    };
    let unnamed =
        |error| ConnectionFailure::Name { host: host.clone(), source: Shared::new(error) };
    let found = dial::order(&found.map_err(unnamed)?);
    if found.is_empty() {
        let nothing = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        return Err(ConnectionFailure::Name { host, source: Shared::new(nothing) });
    }
    Ok(found.into_iter().map(Some).collect())
}

/// Returns the result of a part of the dial, unless the dial's time is over first.
pub(in crate::redis) async fn in_time<D: Dialler, R>(
    dialler: &mut D,
    part: impl Future<Output = R> + Send,
    timer: &mut impl Timer,
) -> Result<R, ConnectionFailure> {
    let mut part = pin!(part);
    std::future::poll_fn(|cx| {
        dialler.check(cx)?;
        if let Poll::Ready(result) = part.as_mut().poll(cx) {
            return Poll::Ready(Ok(result));
        }
        if timer.poll_until(Some(dialler.until()), cx).is_ready() {
            return Poll::Ready(Err(ConnectionError::NotReadyInTime.into()));
        }
        Poll::Pending
    })
    .await
}

/// Connects to `addresses`, as decided by the core, until one handshake is complete.
pub(in crate::redis) async fn run<D, W, R, F>(
    dialler: &mut D,
    wrap: &W,
    addresses: Vec<Option<SocketAddr>>,
    connect: impl FnMut(Option<SocketAddr>) -> Option<F> + Send,
    timer: &mut impl Timer,
) -> Result<Greeted<W::Socket, D::Handshake>, ConnectionFailure>
where
    D: Dialler,
    W: Wrap<R>,
    F: Future<Output = io::Result<R>> + Send,
{
    let decisions = Dial::new(addresses.len(), dialler.until(), dialler.now());
    let mut race = Race { decisions, addresses, connect, attempts: Vec::new(), failed: None };
    std::future::poll_fn(|cx| race.poll(dialler, wrap, timer, cx)).await
}

struct Race<C, F, S, G> {
    decisions: Dial,
    addresses: Vec<Option<SocketAddr>>,
    connect: C,
    attempts: Vec<(usize, Attempt<F, S, G>)>,
    /// The error if no handshake completes: that of the last attempt, or the first refusal.
    failed: Option<ConnectionFailure>,
}

enum Attempt<F, S, G> {
    Connecting(Pin<Box<F>>),
    Greeting(Greeted<S, G>),
}

impl<C, F, S: Socket, G: Handshake> Race<C, F, S, G> {
    fn poll<D, W, R>(
        &mut self,
        dialler: &mut D,
        wrap: &W,
        timer: &mut impl Timer,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Greeted<S, G>, ConnectionFailure>>
    where
        D: Dialler<Handshake = G>,
        W: Wrap<R, Socket = S>,
        C: FnMut(Option<SocketAddr>) -> Option<F>,
        F: Future<Output = io::Result<R>>,
    {
        dialler.check(cx)?;
        let mut won = None;
        loop {
            let now = dialler.now();
            while let Some(action) = self.decisions.poll(now) {
                match action {
                    DialAction::Start(index) => self.start(index),
                    DialAction::Close(index) => self.close(index, wrap),
                    DialAction::Finish(DialEnd::Won(_)) => {
                        let lost = || ConnectionError::NotReadyInTime.into();
                        return Poll::Ready(won.ok_or_else(lost));
                    }
                    DialAction::Finish(DialEnd::AllFailed | DialEnd::OutOfTime) => {
                        let why = self.failed.take();
                        let why = why.unwrap_or(ConnectionError::NotReadyInTime.into());
                        return Poll::Ready(Err(why));
                    }
                }
            }
            let mut changed = false;
            let mut at = 0;
            while let Some((index, attempt)) = self.attempts.get_mut(at).filter(|_| won.is_none()) {
                let index = *index;
                match attempt.poll(dialler, wrap, cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(result) => {
                        changed = true;
                        let (_, attempt) = self.attempts.remove(at);
                        match (result, attempt) {
                            (Ok(()), Attempt::Greeting(greeted)) => {
                                self.decisions.handle(DialInput::Greeted(index));
                                won = Some(greeted);
                            }
                            (Err(why), Attempt::Greeting(greeted))
                                if dialler.greets_anew(&greeted.greeting, &why) =>
                            {
                                self.note(Some(why));
                                self.start(index);
                            }
                            (result, Attempt::Connecting(_) | Attempt::Greeting(_)) => {
                                self.decisions.handle(DialInput::Failed(index));
                                self.note(result.err());
                            }
                        }
                    }
                }
            }
            if changed {
                continue;
            }
            if timer.poll_until(self.decisions.deadline().map(|due| due.at), cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn start<R>(&mut self, index: usize)
    where
        C: FnMut(Option<SocketAddr>) -> Option<F>,
        F: Future<Output = io::Result<R>>,
    {
        let address = self.addresses.get(index).copied().flatten();
        match (self.connect)(address) {
            Some(connect) => {
                self.attempts.push((index, Attempt::Connecting(Box::pin(connect))));
            }
            None => self.decisions.handle(DialInput::Failed(index)),
        }
    }

    /// Drops an attempt that has lost.
    fn close<R, W: Wrap<R, Socket = S>>(&mut self, index: usize, wrap: &W) {
        let Some(at) = self.attempts.iter().position(|(it, _)| *it == index) else { return };
        let (_, attempt) = self.attempts.remove(at);
        let late = ConnectionError::NotReadyInTime.into();
        self.note(Some(match attempt {
            Attempt::Connecting(_) => late,
            Attempt::Greeting(greeted) => wrap.explain(&greeted.socket, late),
        }));
    }

    /// Keeps the error; a refusal is kept over later errors, as it is more specific.
    fn note(&mut self, why: Option<ConnectionFailure>) {
        if !self.failed.as_ref().is_some_and(ConnectionFailure::is_refusal) {
            self.failed = why.or(self.failed.take());
        }
    }
}

impl<F, S: Socket, G: Handshake> Attempt<F, S, G> {
    /// Ready once the handshake is complete, or the attempt has failed.
    fn poll<D, W, R>(
        &mut self,
        dialler: &D,
        wrap: &W,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectionFailure>>
    where
        D: Dialler<Handshake = G>,
        W: Wrap<R, Socket = S>,
        F: Future<Output = io::Result<R>>,
    {
        if let Self::Connecting(connect) = self {
            let Poll::Ready(socket) = connect.as_mut().poll(cx) else { return Poll::Pending };
            let (socket, mut out) = (wrap.wrap(socket?)?, Output::new());
            let greeting = dialler.greet(&mut out);
            *self = Self::Greeting(Greeted { socket, intake: Intake::new(), out, greeting });
        }
        let Self::Greeting(greeted) = self else { return Poll::Pending };
        let result = std::task::ready!(greeted.poll(dialler.now(), cx));
        Poll::Ready(result.map_err(|end| wrap.explain(&greeted.socket, end)))
    }
}

impl<S: Socket, G: Handshake> Greeted<S, G> {
    fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionFailure>> {
        // After this many rounds other tasks get a turn, however much the server sends.
        for _ in 0..ROUNDS {
            let read = self.intake.read(&mut self.socket, cx)?;
            if self.greeting.take(&mut self.intake.rx, now, &mut self.out)? {
                return Poll::Ready(Ok(()));
            }
            let wrote = self.write(cx)?;
            if read == 0 && wrote == 0 {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes as much as the socket takes, and returns how much.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
        let mut wrote = 0;
        while !self.out.is_empty() {
            let piece = self.out.pieces().next().unwrap_or_default();
            match self.socket.poll_write(&[IoSlice::new(piece)], cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.out.advance(count);
                    self.greeting.wrote(count);
                    wrote += count;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(wrote)
    }
}

impl<R: Socket> Wrap<R> for Plain {
    type Socket = R;

    fn wrap(&self, socket: R) -> Result<R, ConnectionFailure> {
        Ok(socket)
    }

    fn explain(&self, _: &R, end: ConnectionFailure) -> ConnectionFailure {
        end
    }
}

impl<R: Socket> Wrap<R> for Tls<'_> {
    type Socket = TlsSocket<R>;

    fn wrap(&self, socket: R) -> Result<TlsSocket<R>, ConnectionFailure> {
        self.0.wrap(self.1, socket)
    }

    fn explain(&self, socket: &TlsSocket<R>, end: ConnectionFailure) -> ConnectionFailure {
        socket.explain(end)
    }
}

/// How often an attempt reads and writes before other tasks get a turn.
const ROUNDS: usize = 32;
