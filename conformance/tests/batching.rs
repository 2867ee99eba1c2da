//! Commands of many tasks leave one connection in batches, on every runtime.
//!
//! Writes are counted, not timed, in a runtime of this test's own: the adapter's runtime, with a
//! counting socket around the adapter's socket. This shows as well that a fourth adapter needs
//! nothing but [`async_caches::runtime`].
//! [`async_caches::runtime`].
#![allow(clippy::print_stderr, reason = "it tells what it counted")]

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Socket, Timer};
use async_caches_conformance::server::{Kind, Server, Setup};
use bytes::BytesMut;

const TASKS: usize = 64;
const GETS: usize = 200;

/// Dials as the adapter does, except for the socket.
type Dial = fn(&Counting, Endpoint, ConnectionTask);

/// An adapter's runtime whose sockets count their writes.
struct Counting {
    inner: Arc<dyn Runtime>,
    dial: Dial,
    writes: Arc<AtomicUsize>,
}

impl Runtime for Counting {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.inner.spawn(task);
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.inner.timer()
    }

    fn dial(&self, to: Endpoint, connection: ConnectionTask) {
        (self.dial)(self, to, connection);
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counting {:?}", self.inner)
    }
}

/// A socket that counts its writes.
struct Counted<S> {
    inner: S,
    writes: Arc<AtomicUsize>,
}

impl<S: Socket> Socket for Counted<S> {
    fn poll_read(&mut self, rx: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inner.poll_read(rx, cx)
    }

    fn poll_write(&mut self, tx: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.inner.poll_write(tx, cx)
    }
}

impl Counting {
    /// Drives a connection on a socket that counts.
    fn drive<S: Socket, T: Timer>(
        &self,
        connection: ConnectionTask,
        connect: impl Future<Output = io::Result<S>> + Send + 'static,
        timer: T,
    ) {
        let writes = Arc::clone(&self.writes);
        let connect = async move { Ok(Counted { inner: connect.await?, writes }) };
        self.inner.spawn(Box::pin(connection.drive(connect, timer)));
    }
}

fn address(to: Endpoint) -> SocketAddr {
    let Endpoint::Tcp { host, port } = to else { panic!("{to} is not a port") };
    SocketAddr::new(host.parse().expect("an IP address"), port)
}

/// Makes gets of many tasks at once over one connection, and counts the writes that they take.
async fn gets_leave_in_batches<J: Future>(
    runtime: impl Runtime,
    dial: Dial,
    spawn: impl Fn(BoxFuture<'static, ()>) -> J,
) {
    let server = Server::start(Kind::Redis, &Setup::default());
    let writes = Arc::new(AtomicUsize::new(0));
    let runtime = Counting { inner: Arc::new(runtime), dial, writes: Arc::clone(&writes) };
    let url = server.url(0);
    let builder = async_caches::builder(&url).maxsize(1).runtime(runtime);
    let cache = builder.connect().await.expect("the server is there");
    cache.set("key", "value").await.expect("it is stored");
    let before = writes.load(Ordering::Relaxed);
    let tasks: Vec<J> = (0..TASKS)
        .map(|_| {
            let cache = cache.clone();
            spawn(Box::pin(async move {
                for _ in 0..GETS {
                    let value = cache.get::<String>("key").await.expect("the server answers");
                    assert_eq!(value.as_deref(), Some("value"));
                }
            }))
        })
        .collect();
    for task in tasks {
        task.await;
    }
    let (commands, writes) = (TASKS * GETS, writes.load(Ordering::Relaxed) - before);
    let each = commands / writes.max(1);
    eprintln!("{commands} commands in {writes} writes: {each} commands a write");
    // Replies are received in waves of half of the gets, and threads share those out.
    assert!(writes * 4 < commands, "{commands} commands took {writes} writes");
    cache.disconnect().await.expect("it was connected");
}

fn on_tokio() -> (async_caches_tokio::Tokio, Dial) {
    let dial: Dial = |this, to, connection| {
        let timer = async_caches_tokio::Timer::new(&async_caches_tokio::Tokio::new());
        this.drive(connection, async_caches_tokio::Tokio::connect_tcp(address(to)), timer);
    };
    (async_caches_tokio::Tokio::new(), dial)
}

#[test]
fn on_tokios_current_thread_gets_leave_in_batches() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (tokio, dial) = on_tokio();
        gets_leave_in_batches(tokio, dial, tokio::spawn).await;
    });
}

#[test]
fn on_tokios_threads_gets_leave_in_batches() {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.worker_threads(2).enable_all().build().unwrap().block_on(async {
        let (tokio, dial) = on_tokio();
        gets_leave_in_batches(tokio, dial, tokio::spawn).await;
    });
}

#[test]
fn on_smol_gets_leave_in_batches() {
    let dial: Dial = |this, to, connection| {
        let timer = async_caches_smol::Timer::new(&async_caches_smol::Smol::new());
        this.drive(connection, async_caches_smol::Smol::connect_tcp(address(to)), timer);
    };
    let smol = async_caches_smol::Smol::new();
    smol::block_on(gets_leave_in_batches(smol, dial, smol::spawn));
}

#[test]
fn on_async_std_gets_leave_in_batches() {
    let dial: Dial = |this, to, connection| {
        let timer = async_caches_async_std::Timer::new(&async_caches_async_std::AsyncStd::new());
        this.drive(connection, async_caches_async_std::AsyncStd::connect_tcp(address(to)), timer);
    };
    let runtime = async_caches_async_std::AsyncStd::new();
    let test = gets_leave_in_batches(runtime, dial, async_std::task::spawn);
    async_std::task::block_on(test);
}
