//! A socket within TLS, over any adapter's socket.
//!
//! Bytes taken from the driver count as sent, even while they are still to be written. Writing them
//! is tried again in every turn, whether the driver reads or writes.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_caches_core::error::ConnectionError;
use async_caches_core::tls::{Session, TlsError};
use async_caches_core::url::Endpoint;
use bytes::BytesMut;

use super::config::TlsClient;
use crate::error::{ConnectionFailure, TlsConfigError};
use crate::runtime::Socket;

/// A socket whose bytes are those of a TLS session. When dropped, it notifies its peer, if that can
/// be written at once.
#[derive(Debug)]
pub(crate) struct TlsSocket<S: Socket> {
    socket: S,
    session: Session,
    incoming: BytesMut,
    /// Why nothing can be written any more. The bytes left to read may explain more.
    broken: Option<io::Error>,
}

impl TlsClient {
    /// Wraps a socket to the server at `place` in TLS.
    pub(crate) fn wrap<S: Socket>(
        &self,
        place: &Endpoint,
        socket: S,
    ) -> Result<TlsSocket<S>, ConnectionFailure> {
        let unnamed = |error: TlsConfigError| TlsError::Failed { problem: error.to_string() };
        let name = self.name_at(place).map_err(unnamed)?;
        let session = Session::new(Arc::clone(&self.config), name)?;
        Ok(TlsSocket { socket, session, incoming: BytesMut::new(), broken: None })
    }
}

impl<S: Socket> TlsSocket<S> {
    /// Why a connection over it ended, with what TLS knows about it.
    pub(crate) fn explain(&self, end: ConnectionFailure) -> ConnectionFailure {
        match end {
            ConnectionFailure::Connection(ConnectionError::NotReadyInTime)
                if self.session.is_handshaking() =>
            {
                TlsError::Stalled.into()
            }
            end => end,
        }
    }

    /// Writes as much of the outgoing bytes as possible. Pending if some are left.
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.session.outgoing().is_empty() {
            match self.socket.poll_write(&[IoSlice::new(self.session.outgoing())], cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.session.sent(count),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes outgoing bytes; the next read reports a failure.
    fn try_flush(&mut self, cx: &mut Context<'_>) {
        if self.broken.is_none()
            && let Poll::Ready(Err(error)) = self.flush(cx)
        {
            self.broken = Some(error);
            cx.waker().wake_by_ref();
        }
    }

    /// There is nothing to read now.
    fn nothing(&mut self) -> Poll<io::Result<usize>> {
        match self.broken.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }
}

impl<S: Socket> Socket for TlsSocket<S> {
    fn poll_read(&mut self, rx: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        for _ in 0..READS {
            let opened = self.session.open(&mut self.incoming, rx);
            self.try_flush(cx);
            match opened {
                Ok(0) if self.session.is_ended() => return Poll::Ready(Ok(0)),
                Ok(0) => {}
                done => return Poll::Ready(done.map_err(io::Error::other)),
            }
            let room = rx.capacity() - rx.len();
            self.incoming.reserve(room.clamp(Session::RECORD, READ_MOST));
            match self.socket.poll_read(&mut self.incoming, cx) {
                Poll::Pending => return self.nothing(),
                Poll::Ready(Ok(0)) => {
                    let end = self.session.end().map(|()| 0).map_err(io::Error::other);
                    return Poll::Ready(self.broken.take().map_or(end, Err));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write(&mut self, tx: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.try_flush(cx);
        let taken = if self.broken.is_some() { 0 } else { self.session.seal(tx) };
        if taken == 0 {
            return Poll::Pending;
        }
        self.try_flush(cx);
        Poll::Ready(Ok(taken))
    }
}

impl<S: Socket> Drop for TlsSocket<S> {
    fn drop(&mut self) {
        if self.broken.is_none() {
            self.session.close();
            let _ = self.flush(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// After this many reads without plain text other tasks get a turn, and the driver checks its
/// deadlines: a server may send session messages without end.
const READS: usize = 32;

/// The maximum number of bytes read at once.
const READ_MOST: usize = 64 * 1024;
