use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::io::{BufRead, ErrorKind, IoSlice, Write};

use bytes::{Buf, BytesMut};
use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};

use super::TlsError;
use super::explain::{explain, failed};

/// The client's side of one TLS session, between two buffers.
///
/// Whatever it is asked, there may be something [`outgoing`](Self::outgoing) afterwards, which is to
/// be sent: the handshake, an answer to a change of keys, and the alert with which it ends after
/// an error too.
///
/// It keeps at most [`KEPT`](Self::KEPT) bytes of what is to be sent when it takes more, and one
/// record of what came.
pub struct Session {
    tls: ClientConnection,
    name: ServerName<'static>,
    /// What is to be sent, of which the first `sent` bytes are.
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether anything came that is TLS.
    greeted: bool,
    /// Whether the peer has said that it is done.
    ended: bool,
    /// Whether we have.
    closed: bool,
    /// Why nothing more is taken in.
    failed: Option<TlsError>,
}

impl Session {
    /// How many bytes the largest record has: what a read of the transport should have room for. That
    /// is a head of 5, 2^14 of text, and 2048 more that TLS 1.2 lets protect them.
    pub const RECORD: usize = 18_437;

    /// While so many bytes are outgoing no more plain text is taken.
    pub const KEPT: usize = 64 * 1024;

    /// A session with the server of this name, whose certificate must be for it. The first message
    /// is outgoing at once.
    ///
    /// # Errors
    /// [`TlsError::Failed`] where the configuration is of no use.
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

    /// Takes in what the transport brought, all of it, and appends to `rx` what that says in plain
    /// text. Answers how many bytes of that there were: none where it was about the session alone,
    /// or half a record, or came after [`close`](Self::close).
    ///
    /// # Errors
    /// [`TlsError`]; then the session is over, but for an alert that may be outgoing, and says the
    /// same whenever it is asked again. Plain text that came before that is handed over first: the
    /// error is the next call's, which needs no more bytes for it.
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

    /// Takes in the first of what the transport brought.
    fn take_in(&mut self, incoming: &mut BytesMut, rx: &mut BytesMut) -> Result<(), TlsError> {
        if self.tls.read_tls(&mut incoming.reader()).map_err(failed)? == 0 {
            // Nothing counts that comes behind the peer's last word.
            incoming.clear();
        }
        let processed = self.tls.process_new_packets();
        self.collect();
        // What is in front of a record that does not do.
        self.read(rx)?;
        match processed {
            Ok(state) => self.ended |= state.peer_has_closed(),
            Err(error) => return Err(explain(&error, &self.name, self.greeted)),
        }
        self.greeted = self.greeted || self.tls.protocol_version().is_some();
        Ok(())
    }

    /// Takes plain text from the front of `pieces` to send it. Answers how many bytes: none before
    /// the handshake is over, while [`KEPT`](Self::KEPT) bytes are outgoing, or once the session is
    /// over. Pieces share records.
    pub fn seal(&mut self, pieces: &[IoSlice<'_>]) -> usize {
        let over = self.closed || self.failed.is_some();
        if over || self.is_handshaking() || self.outgoing().len() >= Self::KEPT {
            return 0;
        }
        let taken = self.tls.writer().write_vectored(pieces).unwrap_or_default();
        self.collect();
        taken
    }

    /// How many bytes of memory it keeps for what is to be sent.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.outgoing.capacity()
    }

    /// What is to be sent.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.get(self.sent..).unwrap_or_default()
    }

    /// The first bytes of what was outgoing are sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.outgoing.len().min(self.sent + count);
        // What is sent goes once it is the larger part, so that each byte is moved once at most.
        if self.sent * 2 >= self.outgoing.len() {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
        if self.outgoing.is_empty() && self.outgoing.capacity() > Self::KEPT {
            self.outgoing = Vec::new();
        }
    }

    /// Says that nothing more will be sent: an alert is outgoing, unless one was already. What the
    /// transport brings from now on is thrown away.
    pub fn close(&mut self) {
        if self.closed || self.failed.is_some() {
            return;
        }
        self.closed = true;
        self.tls.send_close_notify();
        self.collect();
    }

    /// The transport has ended.
    ///
    /// # Errors
    /// [`TlsError::Truncated`] where the peer has not said so before.
    pub fn end(&self) -> Result<(), TlsError> {
        if self.ended { Ok(()) } else { Err(TlsError::Truncated) }
    }

    /// Whether the peer has said that it sends nothing more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether the handshake is still to be finished.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the session goes on where an earlier one with the same configuration ended, which
    /// spares the certificates; known once the handshake is over.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Appends what was deciphered.
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

    /// Moves what the session wants to say to what is outgoing.
    fn collect(&mut self) {
        // Memory takes whatever it is given.
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
