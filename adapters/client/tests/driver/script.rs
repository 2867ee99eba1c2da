//! A runtime whose tasks run when told, on sockets that do exactly what a test says.

use std::collections::VecDeque;
use std::future::ready;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Socket, Timer};
use async_caches::{Cache, builder};
use bytes::BytesMut;

/// A runtime that runs its tasks when told, on one thread, and whose time passes when told.
#[derive(Clone, Default)]
pub(crate) struct Script {
    tasks: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
    pub(crate) socket: Arc<Mutex<State>>,
}

/// One socket for all links: the bytes to read, and the results of writes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) replies: VecDeque<u8>,
    pub(crate) written: Vec<u8>,
    /// The results of the next writes; after them every write succeeds completely.
    pub(crate) writes: VecDeque<io::Result<usize>>,
    pub(crate) now: Duration,
    /// Whether servers send nothing.
    pub(crate) is_silent: bool,
}

const HANDSHAKE: &[u8] = b"%1\r\n+proto\r\n:3\r\n+OK\r\n+OK\r\n+PONG\r\n";

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a script")
    }
}

impl Runtime for Script {
    fn now(&self) -> Instant {
        Instant::ORIGIN + self.socket.lock().unwrap().now
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(task);
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Never)
    }

    fn dial(&self, _: Endpoint, connection: ConnectionTask) {
        let mut state = self.socket.lock().unwrap();
        if !state.is_silent {
            state.replies = HANDSHAKE.iter().copied().collect();
        }
        self.spawn(Box::pin(connection.drive(ready(Ok(self.clone())), Never)));
    }
}

impl Socket for Script {
    fn poll_read(&mut self, rx: &mut BytesMut, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = self.socket.lock().unwrap().replies.drain(..).collect();
        rx.extend_from_slice(&bytes);
        if bytes.is_empty() { Poll::Pending } else { Poll::Ready(Ok(bytes.len())) }
    }

    fn poll_write(&mut self, tx: &[IoSlice<'_>], _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.socket.lock().unwrap();
        let all = tx.iter().map(|piece| &**piece).collect::<Vec<_>>().concat();
        let count = state.writes.pop_front().unwrap_or(Ok(all.len()))?.min(all.len());
        state.written.extend_from_slice(&all[..count]);
        Poll::Ready(Ok(count))
    }
}

struct Never;

impl Timer for Never {
    fn poll_until(&mut self, _: Option<Instant>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Script {
    /// Polls every task, and the tasks they spawn, often enough for all of them to come to rest.
    pub(crate) fn run(&self) {
        self.run_with(Waker::noop());
    }

    /// Like [`run`](Self::run), with all tasks woken by this waker.
    pub(crate) fn run_with(&self, waker: &Waker) {
        let mut cx = Context::from_waker(waker);
        for _ in 0..20 {
            let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
            tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
            self.tasks.lock().unwrap().append(&mut tasks);
        }
    }

    /// Polls a future, and then runs everything else.
    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let outcome = Pin::new(future).poll(&mut Context::from_waker(Waker::noop()));
        self.run();
        outcome
    }

    /// The bytes sent since the last call.
    pub(crate) fn sent(&self) -> String {
        let written = std::mem::take(&mut self.socket.lock().unwrap().written);
        String::from_utf8(written).unwrap()
    }

    pub(crate) fn reply(&self, bytes: &[u8]) {
        self.socket.lock().unwrap().replies.extend(bytes);
        self.run();
    }

    pub(crate) fn connected(&self) -> Cache {
        self.connected_at("redis://script?maxsize=1")
    }

    pub(crate) fn connected_at(&self, url: &str) -> Cache {
        let cache = builder(url).runtime(self.clone()).build().unwrap();
        let mut connect = cache.connect();
        assert!(self.poll(&mut connect).is_pending());
        assert!(matches!(self.poll(&mut connect), Poll::Ready(Ok(()))));
        drop(connect);
        cache
    }
}
