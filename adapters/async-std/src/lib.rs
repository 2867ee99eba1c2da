//! `async-caches` on async-std: sockets, timers, spawning tasks and connecting.
//!
//! Everything that is not specific to async-std is in [`async_caches`], which is re-exported here.
//!
//! ```no_run
//! # async_std::task::block_on(async {
//! use async_caches_async_std as caches;
//!
//! let cache = caches::connect("redis://localhost?timeout=600").await?;
//! cache.set("greeting", "hello").await?;
//! let greeting: Option<String> = cache.get("greeting").await?;
//! assert_eq!(greeting.as_deref(), Some("hello"));
//! # Ok::<(), caches::Error>(())
//! # }).unwrap();
//! ```

use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches::runtime::{
    BoxFuture, Clock, ConnectionTask, Endpoint, Instant, Runtime, read_through,
};
pub use async_caches::*;
use async_io::{Async, Timer as Alarm};
use async_std::net::ToSocketAddrs;
use bytes::BytesMut;

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

/// Returns a builder of a cache on async-std.
pub fn builder(url: &str) -> Builder {
    async_caches::builder(url).runtime(AsyncStd::new())
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

/// The runtime: async-std's global executor and reactor.
#[doc = include_str!("example.md")]
#[derive(Clone, Debug)]
pub struct AsyncStd {
    clock: Clock,
}

impl AsyncStd {
    /// Creates a runtime whose clock starts now.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it reads the clock")]
    pub fn new() -> Self {
        Self { clock: Clock::start() }
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn connect_tcp(to: SocketAddr) -> io::Result<Socket<TcpStream>> {
        let stream = Async::<TcpStream>::connect(to).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(Socket(stream))
    }

    /// Connects to a unix socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn connect_unix(path: String) -> io::Result<Socket<UnixStream>> {
        Async::<UnixStream>::connect(path).await.map(Socket)
    }
}

impl Runtime for AsyncStd {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        async_std::task::spawn(task);
    }

    fn timer(&self) -> Box<dyn async_caches::runtime::Timer> {
        Box::new(Timer::new(self))
    }

    fn dial(&self, to: Endpoint, connection: ConnectionTask) {
        let timer = Timer::new(self);
        match to {
            Endpoint::Tcp { host, port } => {
                let addresses =
                    async move { Ok((host.as_str(), port).to_socket_addrs().await?.collect()) };
                self.spawn(Box::pin(connection.race(addresses, Self::connect_tcp, timer)));
            }
            Endpoint::Unix { path } => {
                self.spawn(Box::pin(connection.drive(Self::connect_unix(path), timer)));
            }
        }
    }
}

/// A connected socket; a TCP socket has `TCP_NODELAY` set. The example of [`AsyncStd`] connects
/// one.
#[derive(Debug)]
pub struct Socket<S>(Async<S>);

impl<S: Send + Sync + 'static> async_caches::runtime::Socket for Socket<S>
where
    for<'s> &'s S: Read + Write,
{
    fn poll_read(&mut self, rx: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_readable(cx))?;
            match read_through(self.0.get_ref(), rx) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    fn poll_write(&mut self, tx: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().write_vectored(tx) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                wrote => return Poll::Ready(wrote),
            }
            ready!(self.0.poll_writable(cx))?;
        }
    }
}

/// A timer on the system's monotonic clock. The example of [`AsyncStd`] sets one.
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    at: Option<Instant>,
    alarm: Alarm,
}

impl Timer {
    /// Creates a timer that is not set.
    #[must_use]
    pub fn new(runtime: &AsyncStd) -> Self {
        Self { clock: runtime.clock, at: None, alarm: Alarm::never() }
    }
}

impl async_caches::runtime::Timer for Timer {
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at != at {
            self.at = at;
            self.alarm =
                at.and_then(|at| self.clock.to_system(at)).map_or(Alarm::never(), Alarm::at);
        }
        ready!(Pin::new(&mut self.alarm).poll(cx));
        self.at = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_sockets_do_not_delay_small_writes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = async_std::task::block_on(AsyncStd::connect_tcp(address)).unwrap();
        assert!(socket.0.get_ref().nodelay().unwrap());
    }
}
