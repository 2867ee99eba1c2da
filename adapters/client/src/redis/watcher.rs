//! The one task of a connection to a sentinel: hears who the master is, and tells the pool.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_caches_core::error::ConnectionError;
use async_caches_core::resp::output::Output;
use async_caches_core::sentinel::Watch;
use async_caches_core::time::Instant;
use async_caches_core::url::Endpoint;
use bytes::Buf;

use super::Pool;
use super::intake::Intake;
use super::sentinels::Orders;
use crate::error::LinkError;
use crate::runtime::{Socket, Timer};

/// A connection to a sentinel, from before it is dialled to its end. Dropped, it tells the pool.
#[derive(Debug)]
pub(crate) struct Watcher {
    pool: Arc<Pool>,
    at: Endpoint,
    orders: Arc<Orders>,
    /// When it was dialled.
    dialled: Instant,
    /// Why it ends, once it does.
    end: LinkError,
}

impl Watcher {
    pub(super) fn new(
        pool: Arc<Pool>,
        at: Endpoint,
        orders: Arc<Orders>,
        dialled: Instant,
    ) -> Self {
        Self { pool, at, orders, dialled, end: LinkError::Closed }
    }

    /// Connects, asks and listens until the connection ends.
    pub(super) async fn drive<S: Socket, T: Timer>(
        mut self,
        connect: impl Future<Output = io::Result<S>> + Send,
        mut timer: T,
    ) {
        let Some(setup) = self.pool.sentinel_setup() else { return };
        let mut out = Output::new();
        let mut watch = Watch::open(setup, self.dialled, &mut out);
        self.end = match self.dial(&mut watch, connect, &mut timer).await {
            Err(error) => error,
            Ok(socket) => match self.pool.tls.clone() {
                None => self.listen(watch, out, socket, timer).await.0,
                Some(tls) => match tls.wrap(&self.at, socket) {
                    Err(error) => error,
                    Ok(socket) => {
                        let (end, socket) = self.listen(watch, out, socket, timer).await;
                        socket.explain(end)
                    }
                },
            },
        };
    }

    /// Asks and listens over a socket until the connection ends; answers why, and the socket.
    async fn listen<S: Socket>(
        &self,
        watch: Watch,
        out: Output,
        socket: S,
        timer: impl Timer,
    ) -> (LinkError, S) {
        let mut driver = Driver { socket, timer, watch, intake: Intake::new(), out };
        let end = poll_fn(|cx| driver.poll(self, cx)).await;
        (end, driver.socket)
    }

    async fn dial<S: Socket>(
        &self,
        watch: &mut Watch,
        connect: impl Future<Output = io::Result<S>> + Send,
        timer: &mut impl Timer,
    ) -> Result<S, LinkError> {
        let mut connect = pin!(connect);
        poll_fn(|cx| {
            self.obey(watch, cx)?;
            if let Poll::Ready(socket) = connect.as_mut().poll(cx) {
                return Poll::Ready(Ok(socket?));
            }
            ready!(timer.poll_until(watch.deadline().map(|due| due.at), cx));
            Poll::Ready(Err(ConnectionError::NotReadyInTime.into()))
        })
        .await
    }

    /// Passes on what the pool has told. The task is woken once there is more.
    fn obey(&self, watch: &mut Watch, cx: &Context<'_>) -> Result<(), LinkError> {
        match self.orders.take(cx)? {
            Some(true) => watch.doubt(),
            Some(false) => watch.trust(),
            None => {}
        }
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.pool.unwatched(&self.at, &self.end);
    }
}

struct Driver<S, T> {
    socket: S,
    timer: T,
    watch: Watch,
    intake: Intake,
    out: Output,
}

impl<S: Socket, T: Timer> Driver<S, T> {
    fn poll(&mut self, watcher: &Watcher, cx: &mut Context<'_>) -> Poll<LinkError> {
        // After so many rounds others get a turn, however much the sentinel has to say.
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

    /// Reads, tells, writes. Pending where there is nothing more to do until the task is woken.
    fn round(&mut self, watcher: &Watcher, cx: &mut Context<'_>) -> Result<Poll<()>, LinkError> {
        watcher.obey(&mut self.watch, cx)?;
        let count = self.intake.read(&mut self.socket, cx)?;
        let now = watcher.pool.now();
        while let Some(event) = self.watch.poll(&mut self.intake.rx, now, &mut self.out)? {
            watcher.pool.heard(event);
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

/// How often the task reads and writes before it lets others run.
const ROUNDS: usize = 32;
