//! The one task of a connection to a sentinel: learns which server is the master, and tells the
//! pool.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_caches_core::resp::output::Output;
use async_caches_core::sentinel::{Watch, WatchEvent, WatchSetup};
use async_caches_core::time::Instant;
use async_caches_core::url::Endpoint;
use bytes::{Buf, BytesMut};

use super::intake::Intake;
use super::race::{self, Dialler, Greeted, Handshake, Plain, Tls, Wrap};
use crate::error::ConnectionFailure;
use crate::redis::pool::sentinels::Orders;
use crate::redis::pool::state::Pool;
use crate::resolver::Resolve;
use crate::runtime::{Socket, Timer};

/// A connection to a sentinel, from before it is dialled to its end. When dropped, it notifies the
/// pool.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(in crate::redis) pool: Arc<Pool>,
    at: Endpoint,
    orders: Arc<Orders>,
    setup: WatchSetup,
    /// When it was dialled.
    dialled: Instant,
    /// Whether there is one way to connect, and no list of addresses.
    pub(in crate::redis) has_one_address: bool,
    /// Whether the sentinel is in doubt, from the last orders.
    doubted: Option<bool>,
    /// Why it ends, once it does.
    end: ConnectionFailure,
}

impl Watcher {
    pub(in crate::redis) fn new(
        pool: Arc<Pool>,
        at: Endpoint,
        setup: WatchSetup,
        orders: Arc<Orders>,
        dialled: Instant,
    ) -> Self {
        let (has_one_address, doubted, end) = (false, None, ConnectionFailure::Closed);
        Self { pool, at, setup, orders, dialled, has_one_address, doubted, end }
    }

    /// Connects, asks and listens until the connection ends.
    pub(in crate::redis) async fn drive<S: Socket, T: Timer, F>(
        mut self,
        resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send,
        connect: impl FnMut(Option<SocketAddr>) -> Option<F> + Send,
        timer: T,
    ) where
        F: Future<Output = io::Result<S>> + Send,
    {
        self.end = match self.pool.config.tls.clone() {
            None => self.dial_and_listen(&Plain, resolve, connect, timer).await,
            Some(tls) => {
                let at = self.at.clone();
                self.dial_and_listen(&Tls(&tls, &at), resolve, connect, timer).await
            }
        };
    }

    /// Like [`drive`](Self::drive), over wrapped sockets. Returns why it ended.
    async fn dial_and_listen<R, W: Wrap<R> + Sync, T: Timer, F>(
        &mut self,
        wrap: &W,
        resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send,
        connect: impl FnMut(Option<SocketAddr>) -> Option<F> + Send,
        mut timer: T,
    ) -> ConnectionFailure
    where
        F: Future<Output = io::Result<R>> + Send,
    {
        let addresses = match race::addresses(self, resolve, &mut timer).await {
            Ok(addresses) => addresses,
            Err(error) => return error,
        };
        let Greeted { socket, intake, out, greeting } =
            match race::run(self, wrap, addresses, connect, &mut timer).await {
                Ok(greeted) => greeted,
                Err(error) => return error,
            };
        let Questions { mut watch, first } = greeting;
        tell(&mut watch, self.doubted);
        first.into_iter().for_each(|event| self.pool.heard(&self.at, event));
        let mut driver = WatchDriver { socket, timer, watch, intake, out };
        let end = poll_fn(|cx| driver.poll(self, cx)).await;
        wrap.explain(&driver.socket, end)
    }

    /// Passes the pool's orders on. The task is woken on the next order.
    fn obey(&self, watch: &mut Watch, cx: &Context<'_>) -> Result<(), ConnectionFailure> {
        tell(watch, self.orders.take(cx)?);
        Ok(())
    }
}

fn tell(watch: &mut Watch, doubted: Option<bool>) {
    match doubted {
        Some(true) => watch.doubt(),
        Some(false) => watch.trust(),
        None => {}
    }
}

impl Dialler for Watcher {
    type Handshake = Questions;

    fn now(&self) -> Instant {
        self.pool.now()
    }

    fn until(&self) -> Instant {
        self.dialled + self.setup.connect_timeout.min(Watch::PATIENCE)
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

    fn greet(&self, out: &mut Output) -> Questions {
        Questions { watch: Watch::open(self.setup.clone(), self.dialled, out), first: None }
    }

    fn greets_anew(&mut self, _: &Questions, _: &ConnectionFailure) -> bool {
        false
    }

    fn check(&mut self, cx: &Context<'_>) -> Result<(), ConnectionFailure> {
        self.doubted = self.orders.take(cx)?.or(self.doubted);
        Ok(())
    }
}

/// The questions to a sentinel, and its first event.
#[derive(Debug)]
pub(in crate::redis) struct Questions {
    watch: Watch,
    first: Option<WatchEvent>,
}

impl Handshake for Questions {
    fn take(
        &mut self,
        rx: &mut BytesMut,
        now: Instant,
        out: &mut Output,
    ) -> Result<bool, ConnectionFailure> {
        self.first = self.watch.poll(rx, now, out)?;
        Ok(self.first.is_some())
    }

    fn wrote(&mut self, _: usize) {}
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.pool.unwatched(&self.at, &self.end);
    }
}

struct WatchDriver<S, T> {
    socket: S,
    timer: T,
    watch: Watch,
    intake: Intake,
    out: Output,
}

impl<S: Socket, T: Timer> WatchDriver<S, T> {
    fn poll(&mut self, watcher: &Watcher, cx: &mut Context<'_>) -> Poll<ConnectionFailure> {
        // After this many rounds other tasks get a turn, however much the sentinel sends.
        for _ in 0..ROUNDS {
            match self.round(watcher, cx) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(())) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads, reports, writes. Pending if there is nothing more to do until the task is woken.
    fn round(
        &mut self,
        watcher: &Watcher,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, ConnectionFailure> {
        watcher.obey(&mut self.watch, cx)?;
        let count = self.intake.read(&mut self.socket, cx)?;
        let now = watcher.pool.now();
        while let Some(event) = self.watch.poll(&mut self.intake.rx, now, &mut self.out)? {
            watcher.pool.heard(&watcher.at, event);
        }
        self.intake.resize(0);
        self.write(cx)?;
        let due = self.watch.deadline().map(|due| due.at);
        let rests = count == 0 && self.timer.poll_until(due, cx).is_pending();
        Ok(if rests { Poll::Pending } else { Poll::Ready(()) })
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.out.is_empty() {
            let piece = self.out.pieces().next().unwrap_or_default();
            match self.socket.poll_write(&[IoSlice::new(piece)], cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => self.out.advance(count),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How often the task reads and writes before other tasks run.
const ROUNDS: usize = 32;
