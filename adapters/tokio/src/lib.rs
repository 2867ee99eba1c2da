//! `async-caches` on tokio: sockets, timers, spawning tasks and connecting.
//!
//! Everything that is not specific to tokio is in [`async_caches`], which is re-exported here.
//!
//! ```no_run
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use async_caches_tokio as caches;
//!
//! let cache = caches::connect("redis://localhost?timeout=600").await?;
//! cache.set("greeting", "hello").await?;
//! let greeting: Option<String> = cache.get("greeting").await?;
//! assert_eq!(greeting.as_deref(), Some("hello"));
//! # Ok::<(), caches::Error>(())
//! # }).unwrap();
//! ```

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime};
pub use async_caches::*;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{self, Sleep};

/// Opens a cache without connecting it.
///
/// # Errors
/// [`Error::Url`] and [`Error::Option`].
pub fn open(url: &str) -> Result<Cache, Error> {
    builder(url).build()
}

/// Opens a cache and connects it.
///
/// # Errors
/// Those of [`open`] and of [`Cache::connect`].
pub async fn connect(url: &str) -> Result<Cache, Error> {
    builder(url).connect().await
}

/// Returns a builder of a cache on tokio.
pub fn builder(url: &str) -> Builder {
    async_caches::builder(url).runtime(Tokio::new())
}

/// Connects a cache, passes it to `act` and disconnects it, whether `act` succeeded or not.
///
/// # Errors
/// Those of [`connect`] and of `act`.
pub async fn with<T, E: From<Error>>(
    url: &str,
    act: impl AsyncFnOnce(Cache) -> Result<T, E>,
) -> Result<T, E> {
    builder(url).with(act).await
}

/// The runtime: the tokio runtime on which the cache connects. It needs tokio's I/O and time
/// drivers, and all tasks of the cache are spawned on it.
#[doc = include_str!("example.md")]
#[derive(Clone, Debug)]
pub struct Tokio {
    origin: time::Instant,
}

impl Tokio {
    /// Creates a runtime whose clock starts now.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it reads the clock")]
    pub fn new() -> Self {
        Self { origin: time::Instant::now() }
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn connect_tcp(to: SocketAddr) -> io::Result<Socket> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Socket::Tcp(stream))
    }

    /// Connects to a unix socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn connect_unix(path: String) -> io::Result<Socket> {
        UnixStream::connect(path).await.map(Socket::Unix)
    }
}

impl Runtime for Tokio {
    fn now(&self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }

    fn is_here(&self) -> bool {
        tokio::runtime::Handle::try_current().is_ok()
    }

    /// Whether tokio's clock is paused, or was while it was advanced: it then differs from the
    /// system's.
    fn has_own_time(&self) -> bool {
        let before = std::time::Instant::now();
        let now = time::Instant::now().into_std();
        now < before || now > std::time::Instant::now()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        tokio::task::coop::poll_proceed(cx).map(|progress| progress.made_progress())
    }

    fn timer(&self) -> Box<dyn async_caches::runtime::Timer> {
        Box::new(Timer::new(self))
    }

    fn dial(&self, to: Endpoint, connection: ConnectionTask) {
        let timer = Timer::new(self);
        drop(match to {
            Endpoint::Tcp { host, port } => {
                let addresses = async move { Ok(lookup_host((host, port)).await?.collect()) };
                tokio::spawn(connection.race(addresses, Self::connect_tcp, timer))
            }
            Endpoint::Unix { path } => {
                tokio::spawn(connection.drive(Self::connect_unix(path), timer))
            }
        });
    }
}

/// A connected socket. The example of [`Tokio`] connects one.
#[derive(Debug)]
pub enum Socket {
    /// A TCP socket, with `TCP_NODELAY` set.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl async_caches::runtime::Socket for Socket {
    fn poll_read(&mut self, rx: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // These futures keep no state between polls.
        match self {
            Self::Tcp(stream) => pin!(stream.read_buf(rx)).poll(cx),
            Self::Unix(stream) => pin!(stream.read_buf(rx)).poll(cx),
        }
    }

    fn poll_write(&mut self, tx: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, tx),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, tx),
        }
    }
}

/// A timer on tokio's clock. The example of [`Tokio`] sets one.
#[derive(Debug)]
pub struct Timer {
    origin: time::Instant,
    at: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    /// Creates a timer that is not set.
    #[must_use]
    pub fn new(runtime: &Tokio) -> Self {
        let sleep = Box::pin(time::sleep_until(runtime.origin));
        Self { origin: runtime.origin, at: None, sleep }
    }
}

impl async_caches::runtime::Timer for Timer {
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(wanted) = at else { return Poll::Pending };
        if self.at != at {
            self.at = at;
            let deadline = self.origin.checked_add(wanted.since(Instant::ORIGIN));
            let Some(deadline) = deadline else { return Poll::Pending };
            self.sleep.as_mut().reset(deadline);
        }
        let rung = self.sleep.as_mut().poll(cx);
        if rung.is_ready() {
            self.at = None;
        }
        rung
    }
}
