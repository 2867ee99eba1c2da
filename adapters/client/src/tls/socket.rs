//! A socket within TLS, over any adapter's socket.
//!
//! What was taken from the driver counts as sent, also while it is still to be written: that is
//! tried again in every turn, whichever way the driver asks.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_caches_core::error::ConnectionError;
use async_caches_core::tls::{Session, TlsError};
use async_caches_core::url::Endpoint;
use bytes::BytesMut;

use super::{TlsClient, TlsConfigError};
use crate::error::LinkError;
use crate::runtime::Socket;

/// A socket whose bytes are those of a TLS session. Dropped, it says so to its peer, if that can be
/// said at once.
#[derive(Debug)]
pub(crate) struct TlsSocket<S: Socket> {
    socket: S,
    session: Session,
    incoming: BytesMut,
    /// Why nothing can be written any more. What there is to read may say more about that.
    broken: Option<io::Error>,
}

impl TlsClient {
    /// A socket within TLS to whoever is dialled there.
    pub(crate) fn wrap<S: Socket>(
        &self,
        place: &Endpoint,
        socket: S,
    ) -> Result<TlsSocket<S>, LinkError> {
        let unnamed = |error: TlsConfigError| TlsError::Failed { problem: error.to_string() };
        let name = self.name_at(place).map_err(unnamed)?;
        let session = Session::new(Arc::clone(&self.config), name)?;
        Ok(TlsSocket { socket, session, incoming: BytesMut::new(), broken: None })
    }
}

impl<S: Socket> TlsSocket<S> {
    /// Why a connection over it ended, where TLS knows more of that.
    pub(crate) fn explain(&self, end: LinkError) -> LinkError {
        match end {
            LinkError::Connection(ConnectionError::NotReadyInTime)
                if self.session.is_handshaking() =>
            {
                TlsError::Stalled.into()
            }
            end => end,
        }
    }

    /// Writes what is to be written, as far as that goes. Pending where something is left.
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

    /// Writes what is to be written; where that fails, it is for the next read to tell.
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

/// After so many reads that brought no plain text, others get a turn, and the driver a look at its
/// deadlines: a server may talk about the session without end.
const READS: usize = 32;

/// How many bytes are read at once at most.
const READ_MOST: usize = 64 * 1024;
