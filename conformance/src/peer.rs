//! A scripted server that sends what no real server would.
//!
//! [`Peer::start`] greets properly and asks a script how to react to every later command.
//! [`Peer::bare`] asks the script from the first command on. Behaviour that a real server can show
//! is tested with a real server, never with this one.
//!
//! A client that sends it anything but commands in their one form fails the test.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use bytes::BytesMut;

use crate::request::Request;
use crate::server_reply::ServerReply;

/// How a peer reacts to a command.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends these bytes, whatever they are, in one packet and goes on.
    Say(Vec<u8>),
    /// Sends these bytes and closes the connection.
    SayAndClose(Vec<u8>),
    /// Reads on and sends nothing.
    Silence,
    /// Sends the first bytes, and then the others again and again until the connection is gone or
    /// that many bytes were sent.
    Flood(Vec<u8>, Vec<u8>, usize),
}

/// A command and the connection on which it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The connection's number, counted from zero.
    pub connection: usize,
    /// The address that was dialled.
    pub at: SocketAddr,
    /// The command's words, the first in capitals.
    pub words: Vec<String>,
}

/// A running peer. Dropping it closes every connection, and panics if one of them was sent
/// something that is no command.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    hosts: Mutex<BTreeSet<IpAddr>>,
    asked: AtomicUsize,
    flooded: AtomicUsize,
    ended: AtomicBool,
    /// The first thing received that is no command.
    mistake: OnceLock<String>,
}

impl Peer {
    /// Starts a peer that greets as a RESP3 server does and follows `script` otherwise.
    #[must_use]
    pub fn start(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        Self::bare(move |asked| greeting(asked).unwrap_or_else(|| script(asked)))
    }

    /// Starts a peer that follows `script` from the first command on.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn bare(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        Self::listen(Ipv4Addr::LOCALHOST, script)
    }

    /// Like [`bare`](Self::bare), on every address of the loopback, from 127.0.0.1 to
    /// 127.255.255.254, so that the peer can be as many servers.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn everywhere(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        Self::listen(Ipv4Addr::UNSPECIFIED, script)
    }

    fn listen(host: Ipv4Addr, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let shared = Arc::<Shared>::default();
        let peer = Self { address, shared: shared.clone() };
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || accept(&listener, &shared, &script));
        peer
    }

    /// The URL of the peer.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many of the peer's addresses were dialled so far.
    ///
    /// # Panics
    /// Never: no thread of the peer panics.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.shared.hosts.lock().expect("no thread of the peer panics").len()
    }

    /// How many commands were received so far, those of greetings included.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// How many bytes of floods were sent so far, including those that wait in the system's
    /// buffers.
    #[must_use]
    pub fn flooded(&self) -> usize {
        self.shared.flooded.load(Ordering::SeqCst)
    }

    /// The address of the peer.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for connection in
            self.shared.connections.lock().expect("no thread of the peer panics").drain(..)
        {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread, which sees that the peer has ended.
        let _ = TcpStream::connect(self.address);
        if let Some(mistake) = self.shared.mistake.get()
            && !thread::panicking()
        {
            panic!("a client sent the peer no command: {mistake}");
        }
    }
}

type Script = dyn Fn(&Asked) -> Act + Send + Sync;

/// The reply of a RESP3 server to a command of the greeting; `None` for any other command.
#[must_use]
pub fn greeting(asked: &Asked) -> Option<Act> {
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    let reply = match words[..] {
        ["HELLO", ..] => {
            let fields = [
                ("server", ServerReply::Status("redis")),
                ("version", ServerReply::Status("7.0.0")),
                ("proto", ServerReply::Integer(3)),
            ];
            ServerReply::Map(fields.map(|(name, value)| (ServerReply::Status(name), value)).into())
        }
        ["AUTH" | "SELECT" | "CLIENT", ..] => ServerReply::OK,
        ["PING"] => ServerReply::Status("PONG"),
        _ => return None,
    };
    Some(Act::Say(reply.to_bytes(3)))
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, script: &Arc<Script>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let connection = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let mut connections = shared.connections.lock().expect("no thread of the peer panics");
        connections.extend(stream.try_clone());
        let Ok(at) = stream.local_addr() else { continue };
        shared.hosts.lock().expect("no thread of the peer panics").insert(at.ip());
        let asked = Arc::clone(shared);
        let script = script.clone();
        thread::spawn(move || {
            let _ = converse(&stream, (connection, at), &asked, &*script);
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

fn converse(
    mut stream: &TcpStream,
    (connection, at): (usize, SocketAddr),
    shared: &Shared,
    script: &Script,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = BytesMut::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        unread.extend_from_slice(&piece[..length]);
        loop {
            let words = match words(&mut unread) {
                Ok(Some(words)) => words,
                Ok(None) => break,
                Err(mistake) => {
                    let _ = shared.mistake.set(mistake);
                    return Ok(());
                }
            };
            shared.asked.fetch_add(1, Ordering::SeqCst);
            match script(&Asked { connection, at, words }) {
                Act::Say(bytes) => stream.write_all(&bytes)?,
                Act::SayAndClose(bytes) => return stream.write_all(&bytes),
                Act::Silence => {}
                Act::Flood(head, piece, most) => {
                    stream.write_all(&head)?;
                    let mut sent = head.len();
                    while sent < most {
                        let count = stream.write(&piece)?;
                        shared.flooded.fetch_add(count, Ordering::SeqCst);
                        sent += count;
                    }
                }
            }
        }
    }
}

/// Takes the words of the first command off `unread`, if it is whole.
fn words(unread: &mut BytesMut) -> Result<Option<Vec<String>>, String> {
    let Some(command) = Request::take(unread)? else { return Ok(None) };
    let text = |word| String::from_utf8_lossy(word).into_owned();
    let mut words: Vec<String> = command.words().map(text).collect();
    words.first_mut().ok_or("a command without words")?.make_ascii_uppercase();
    Ok(Some(words))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::raw::Raw;

    /// Sends these bytes, and returns once the peer has hung up.
    fn send(peer: &Peer, bytes: &[u8]) {
        let mut stream = TcpStream::connect(peer.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(bytes).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }

    #[test]
    #[should_panic(expected = "no canonical form")]
    fn a_command_without_its_line_end_fails_the_test() {
        let peer = Peer::start(|_| Act::Silence);
        send(&peer, b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n");
    }

    #[test]
    #[should_panic(expected = "a command without words")]
    fn an_empty_command_fails_the_test() {
        let peer = Peer::start(|_| Act::Silence);
        send(&peer, b"*0\r\n");
    }

    #[test]
    fn a_peer_greets_and_then_follows_its_script() {
        let peer = Peer::start(|asked| match asked.words[1].as_str() {
            "bye" => Act::SayAndClose(b":7\r\n".to_vec()),
            name => Act::Say(format!("+{}{name}\r\n", asked.connection).into_bytes()),
        });
        let mut first = Raw::connect(peer.address).unwrap();
        let mut second = Raw::connect(peer.address).unwrap();
        assert_eq!(first.text(&["ping"]), "PONG");
        assert_eq!(second.text(&["get", "a"]), "1a");
        assert_eq!(first.number(&["get", "bye"]), 7);
        assert!(first.ask(&["get", "a"]).is_err());
        assert_eq!(peer.accepted(), 2);
        drop(peer);
        assert!(second.ask(&["get", "a"]).is_err());
    }
}
