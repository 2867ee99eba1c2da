//! The socket within TLS, over one in memory that is as slow and as broken as a test needs.

use std::io::{self, IoSlice, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use async_caches_core::tls::{Session, TlsError};
use bytes::BytesMut;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};

use super::{Authority, opened, place, write};
use crate::error::ConnectionFailure;
use crate::runtime::Socket;
use crate::tls::TlsClient;
use crate::tls::socket::TlsSocket;

#[test]
fn data_crosses_byte_by_byte() {
    let (ours, client) = ends();
    for version in [&TLS12, &TLS13] {
        let (mut socket, far) = connect(&client, ours.issue(&["localhost"]).server(version));
        far.lock().unwrap().step = 1;
        say(&mut socket, b"PING").unwrap();
        far.lock().unwrap().server.writer().write_all(b"PONG").unwrap();
        assert_eq!(hear(&mut socket).unwrap(), b"PONG");
        assert_eq!(far.lock().unwrap().heard, b"PING");
    }
}

#[test]
fn the_next_read_writes_data_taken_while_the_wire_was_blocked() {
    let (mut socket, far) = shaken();
    far.lock().unwrap().room = 0;
    say(&mut socket, b"PING").unwrap();
    assert_eq!(far.lock().unwrap().heard, b"");
    far.lock().unwrap().room = usize::MAX;
    assert_eq!(hear(&mut socket).unwrap(), b"", "there is nothing to hear");
    assert_eq!(far.lock().unwrap().heard, b"PING");
}

#[test]
fn a_wire_that_stays_blocked_takes_no_more_than_the_session_keeps() {
    let (mut socket, far) = shaken();
    far.lock().unwrap().room = 0;
    let (piece, mut taken) = (vec![b'x'; 10_000], 0);
    while let Poll::Ready(count) = socket.poll_write(&[IoSlice::new(&piece)], &mut context()) {
        taken += count.unwrap();
    }
    assert!((Session::KEPT / 2..=2 * Session::KEPT).contains(&taken), "{taken}");
    far.lock().unwrap().room = usize::MAX;
    assert_eq!(hear(&mut socket).unwrap(), b"");
    assert_eq!(far.lock().unwrap().heard.len(), taken);
}

#[test]
fn a_failed_write_is_reported_as_the_servers_alert() {
    let (mut socket, far) = shaken();
    let mut guard = far.lock().unwrap();
    let forged = [&[23, 3, 3, 0, 32][..], &[0; 32]].concat();
    guard.server.read_tls(&mut &forged[..]).unwrap();
    guard.server.process_new_packets().unwrap_err();
    guard.broken = true;
    drop(guard);
    say(&mut socket, b"PING").unwrap();
    let error = hear(&mut socket).unwrap_err();
    let ConnectionFailure::Tls(TlsError::Alert { alert }) = error.into() else {
        panic!("no alert")
    };
    assert_eq!(alert, "bad_record_mac");
}

#[test]
fn a_failed_write_without_an_alert_is_an_io_error() {
    for ended in [false, true] {
        let (mut socket, far) = shaken();
        (far.lock().unwrap().broken, far.lock().unwrap().ended) = (true, ended);
        let written = socket.poll_write(&[IoSlice::new(b"PING")], &mut context());
        assert!(matches!(written, Poll::Ready(Ok(4))), "it may have left: {written:?}");
        assert_eq!(hear(&mut socket).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

#[test]
fn an_end_without_close_notify_is_a_truncation() {
    for said in [true, false] {
        let (mut socket, far) = shaken();
        let mut guard = far.lock().unwrap();
        guard.server.writer().write_all(b"bye").unwrap();
        if said {
            guard.server.send_close_notify();
        }
        guard.ended = true;
        drop(guard);
        assert_eq!(hear(&mut socket).unwrap(), b"bye");
        match socket.poll_read(&mut BytesMut::with_capacity(64), &mut context()) {
            Poll::Ready(Ok(0)) => assert!(said),
            Poll::Ready(Err(error)) => {
                assert!(
                    matches!(error.into(), ConnectionFailure::Tls(TlsError::Truncated)) && !said
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn data_before_an_error_is_read_first() {
    let (mut socket, far) = shaken();
    let mut guard = far.lock().unwrap();
    guard.server.writer().write_all(b"bye").unwrap();
    let Far { server, said, .. } = &mut *guard;
    server.write_tls(said).unwrap();
    said.extend([&[23, 3, 3, 0, 32][..], &[0; 32]].concat());
    drop(guard);
    let mut rx = BytesMut::with_capacity(64);
    assert!(matches!(socket.poll_read(&mut rx, &mut context()), Poll::Ready(Ok(3))));
    assert_eq!(rx, "bye");
    let Poll::Ready(Err(error)) = socket.poll_read(&mut rx, &mut context()) else {
        panic!("there is nothing more to wait for")
    };
    assert!(matches!(error.into(), ConnectionFailure::Tls(TlsError::Failed { .. })));
}

#[test]
fn a_read_yields_while_a_server_sends_byte_by_byte() {
    let (mut socket, far) = shaken();
    let text = [b'x'; 10_000];
    far.lock().unwrap().server.writer().write_all(&text).unwrap();
    (far.lock().unwrap().step, far.lock().unwrap().reads) = (1, 0);
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut rx = BytesMut::with_capacity(64);
    assert!(socket.poll_read(&mut rx, &mut Context::from_waker(&waker)).is_pending());
    assert!((2..100).contains(&far.lock().unwrap().reads), "{}", far.lock().unwrap().reads);
    assert!(woken.take(), "it goes on in its next turn");
    assert_eq!(hear(&mut socket).unwrap(), text);
}

#[test]
fn dropping_the_socket_sends_close_notify() {
    let (socket, far) = shaken();
    let gone = || far.lock().unwrap().server.reader().read(&mut [0]);
    assert_eq!(gone().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(socket);
    assert_eq!(gone().unwrap(), 0);
}

/// The other end of the wire.
struct Far {
    server: ServerConnection,
    /// The bytes that the server has received.
    heard: Vec<u8>,
    /// The bytes on their way to the client.
    said: Vec<u8>,
    /// How many bytes cross at once.
    step: usize,
    /// How often the client has read.
    reads: usize,
    /// How many bytes the wire takes before it blocks.
    room: usize,
    /// Whether the wire takes no more bytes.
    broken: bool,
    /// Whether the wire ends after the bytes on their way.
    ended: bool,
}

struct Near(Arc<Mutex<Far>>);

impl Socket for Near {
    fn poll_read(&mut self, rx: &mut BytesMut, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut far = self.0.lock().unwrap();
        far.reads += 1;
        let Far { server, said, .. } = &mut *far;
        while server.wants_write() {
            server.write_tls(said).unwrap();
        }
        let count = far.step.min(rx.capacity() - rx.len()).min(far.said.len());
        rx.extend_from_slice(&far.said[..count]);
        far.said.drain(..count);
        if count == 0 && !far.ended { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn poll_write(&mut self, tx: &[IoSlice<'_>], _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut far = self.0.lock().unwrap();
        if far.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = far.step.min(far.room).min(tx[0].len());
        if count == 0 {
            return Poll::Pending;
        }
        far.room -= count;
        let mut piece = &tx[0][..count];
        while !piece.is_empty() {
            far.server.read_tls(&mut piece).unwrap();
            // Errors are reported to the client.
            let _ = far.server.process_new_packets();
            let Far { server, heard, .. } = &mut *far;
            let _ = server.reader().read_to_end(heard);
        }
        Poll::Ready(Ok(count))
    }
}

type Ends = (TlsSocket<Near>, Arc<Mutex<Far>>);

fn ends() -> (Authority, TlsClient) {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    (ours, opened(&format!("rediss://localhost?tls_ca={ca}")))
}

fn connect(client: &TlsClient, server: Arc<ServerConfig>) -> Ends {
    let server = ServerConnection::new(server).unwrap();
    let (heard, said, step, room) = (Vec::new(), Vec::new(), usize::MAX, usize::MAX);
    let far = Far { server, heard, said, step, reads: 0, room, broken: false, ended: false };
    let far = Arc::new(Mutex::new(far));
    (client.wrap(&place("rediss://localhost"), Near(Arc::clone(&far))).unwrap(), far)
}

fn shaken() -> Ends {
    let (ours, client) = ends();
    let (mut socket, far) = connect(&client, ours.issue(&["localhost"]).server(&TLS13));
    say(&mut socket, b"!").unwrap();
    far.lock().unwrap().heard.clear();
    assert_eq!(hear(&mut socket).unwrap(), b"");
    (socket, far)
}

/// Writes all of `text`, after a handshake if one is due.
fn say(socket: &mut TlsSocket<Near>, mut text: &[u8]) -> io::Result<()> {
    for _ in 0..100 {
        if let Poll::Ready(count) = socket.poll_write(&[IoSlice::new(text)], &mut context()) {
            text = &text[count?..];
        }
        if text.is_empty() {
            return Ok(());
        }
        assert_eq!(hear(socket)?, b"");
    }
    panic!("it is never taken");
}

/// Reads what there is, in as many turns as needed.
fn hear(socket: &mut TlsSocket<Near>) -> io::Result<Vec<u8>> {
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut rx = BytesMut::with_capacity(64);
    loop {
        match socket.poll_read(&mut rx, &mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(0)) => break,
            Poll::Ready(Ok(_)) => rx.reserve(64),
            Poll::Ready(Err(error)) if rx.is_empty() => return Err(error),
            Poll::Ready(Err(_)) => break,
            Poll::Pending if woken.take() => {}
            Poll::Pending => break,
        }
    }
    Ok(rx.to_vec())
}

/// Whether a task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
