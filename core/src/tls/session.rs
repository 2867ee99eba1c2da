use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::io::{BufRead, ErrorKind, IoSlice, Write};

use bytes::{Buf, BytesMut};
use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};

use super::error::TlsError;
use super::explain::{explain, failed};

/// The client's side of one TLS session, between two buffers.
///
/// After any call there may be [`outgoing`](Self::outgoing) bytes to send: the handshake, the reply
/// to a key update, or the closing alert, also after an error.
///
/// It takes plain text only while fewer than [`KEPT`](Self::KEPT) bytes are outgoing, and it keeps
/// at most one received record.
///
/// ```
/// use async_caches_core::tls::Session;
/// use bytes::BytesMut;
/// use rustls::{ClientConfig, RootCertStore};
/// use std::io::IoSlice;
/// use std::sync::Arc;
///
/// # let provider = Arc::new(rustls::crypto::ring::default_provider());
/// let config = ClientConfig::builder_with_provider(provider)
///     .with_safe_default_protocol_versions()?
///     .with_root_certificates(RootCertStore::empty())
///     .with_no_client_auth();
/// let mut session = Session::new(Arc::new(config), "cache.example".try_into()?)?;
/// let hello = session.outgoing().len(); // to be sent to the server
/// session.sent(hello);
/// assert!(session.outgoing().is_empty() && session.is_handshaking());
/// assert_eq!(session.seal(&[IoSlice::new(b"PING\r\n")]), 0); // not before the handshake is over
///
/// let (mut incoming, mut rx) = (BytesMut::from(&b"-ERR no TLS here\r\n"[..]), BytesMut::new());
/// assert!(session.open(&mut incoming, &mut rx).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    tls: ClientConnection,
    name: ServerName<'static>,
    /// The bytes to send; the first `sent` of them are sent.
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether any TLS message was received.
    greeted: bool,
    /// Whether the peer has closed its side.
    ended: bool,
    /// Whether we have closed our side.
    closed: bool,
    /// Why no more bytes are taken in.
    failed: Option<TlsError>,
}

impl Session {
    /// The size of the largest record in bytes, for which a read of the transport should have room:
    /// a header of 5, 2^14 of text, and 2048 more that TLS 1.2 allows for protection.
    pub const RECORD: usize = 18_437;

    /// No more plain text is accepted while this many bytes are outgoing.
    pub const KEPT: usize = 64 * 1024;

    /// Starts a session with the server of this name, whose certificate must be for that name. The
    /// first message is outgoing at once.
    ///
    /// # Errors
    /// [`TlsError::Failed`] if the configuration is not usable.
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsError> {
        let mut tls = ClientConnection::new(config, name.clone()).map_err(failed)?;
        tls.set_buffer_limit(Some(Self::KEPT));
        let mut session = Self {
            tls,
            name,
            outgoing: Vec::new(),
            sent: 0,
            greeted: false,
            ended: false,
            closed: false,
            failed: None,
        };
        session.collect();
        Ok(session)
    }

    /// Takes in all bytes that the transport received, and appends their plain text to `rx`.
    /// Returns the number of bytes appended. It is zero if the records were only about the session,
    /// if a record is incomplete, or after [`close`](Self::close).
    ///
    /// # Errors
    /// [`TlsError`]; the session is then over, except for an alert that may be outgoing, and every
    /// later call returns the same error. Plain text in front of the error is returned first; the
    /// error then comes from the next call, even if that brings no bytes.
    pub fn open(&mut self, incoming: &mut BytesMut, rx: &mut BytesMut) -> Result<usize, TlsError> {
        let before = rx.len();
        while !incoming.is_empty() && !self.closed && self.failed.is_none() {
            if let Err(error) = self.take_in(incoming, rx) {
                self.failed = Some(error);
            }
        }
        incoming.clear();
        match (rx.len() - before, &self.failed) {
            (0, Some(error)) => Err(error.clone()),
            (count, _) => Ok(count),
        }
    }

    /// Takes in as much of the received bytes as the TLS library reads at once.
    fn take_in(&mut self, incoming: &mut BytesMut, rx: &mut BytesMut) -> Result<(), TlsError> {
        if self.tls.read_tls(&mut incoming.reader()).map_err(failed)? == 0 {
            // Ignore bytes that follow the peer's closing alert.
            incoming.clear();
        }
        let processed = self.tls.process_new_packets();
        self.collect();
        // Read the plain text in front of a record that is refused.
        self.read(rx)?;
        match processed {
            Ok(state) => self.ended |= state.peer_has_closed(),
            Err(error) => return Err(explain(&error, &self.name, self.greeted)),
        }
        self.greeted = self.greeted || self.tls.protocol_version().is_some();
        Ok(())
    }

    /// Takes plain text from the front of `pieces` to send it, and returns the number of bytes
    /// taken. It is zero before the handshake is over, while [`KEPT`](Self::KEPT) bytes are
    /// outgoing, and once the session is over. Pieces share records.
    pub fn seal(&mut self, pieces: &[IoSlice<'_>]) -> usize {
        let over = self.closed || self.failed.is_some();
        if over || self.is_handshaking() || self.outgoing().len() >= Self::KEPT {
            return 0;
        }
        let taken = self.tls.writer().write_vectored(pieces).unwrap_or_default();
        self.collect();
        taken
    }

    /// The capacity of the buffer of outgoing bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.outgoing.capacity()
    }

    /// The bytes to send.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.get(self.sent..).unwrap_or_default()
    }

    /// Reports that the first `count` outgoing bytes were sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.outgoing.len().min(self.sent + count);
        // Sent bytes are removed once they are the larger part, so that each byte is moved at most
        // once.
        if self.sent * 2 >= self.outgoing.len() {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
        if self.outgoing.is_empty() && self.outgoing.capacity() > Self::KEPT {
            self.outgoing = Vec::new();
        }
    }

    /// Closes our side: an alert is outgoing, unless one was already. Bytes that the transport
    /// receives from now on are discarded.
    pub fn close(&mut self) {
        if self.closed || self.failed.is_some() {
            return;
        }
        self.closed = true;
        self.tls.send_close_notify();
        self.collect();
    }

    /// Reports that the transport has ended.
    ///
    /// # Errors
    /// [`TlsError::Truncated`] if the peer has not closed the session before.
    pub fn end(&self) -> Result<(), TlsError> {
        if self.ended { Ok(()) } else { Err(TlsError::Truncated) }
    }

    /// Whether the peer has closed its side, so that it sends nothing more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether the handshake is not yet over.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the session resumed an earlier one of the same configuration, which saves exchanging
    /// certificates. Known once the handshake is over.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Appends the deciphered text to `rx`.
    fn read(&mut self, rx: &mut BytesMut) -> Result<(), TlsError> {
        let mut reader = self.tls.reader();
        loop {
            let taken = match reader.fill_buf() {
                Ok(text) => {
                    rx.extend_from_slice(text);
                    text.len()
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(failed(error)),
            };
            if taken == 0 {
                return Ok(());
            }
            reader.consume(taken);
        }
    }

    /// Moves the TLS library's output to the outgoing bytes.
    fn collect(&mut self) {
        // Writing to memory does not fail.
        while self.tls.wants_write() && self.tls.write_tls(&mut self.outgoing).is_ok() {}
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("name", &self.name)
            .field("handshaking", &self.is_handshaking())
            .field("outgoing", &self.outgoing().len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
