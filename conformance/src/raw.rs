//! A raw connection to a server, to look at the data that a cache left there and to store data that
//! a cache would not. Blocking: for a test's short questions to a server that answers.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::frame::{Frame, command};

/// A blocking RESP2 connection.
#[derive(Debug)]
pub struct Raw {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
    /// The other nodes, by their ports, if the connection is to a cluster.
    others: Vec<(u16, Raw)>,
}

trait Stream: Read + Write + Debug + Send {}

impl<S: Read + Write + Debug + Send> Stream for S {}

impl Raw {
    /// Connects. Every read is given up after ten seconds.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Box::new(stream), unread: Vec::new(), others: Vec::new() })
    }

    /// Connects to a unix socket. This avoids TLS on servers whose port demands it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn connect_unix(to: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: Box::new(stream), unread: Vec::new(), others: Vec::new() })
    }

    /// A connection to a cluster with these other nodes, by their ports. A command goes to the node
    /// that has its key, `DBSIZE` counts all keys, and `SCRIPT FLUSH` and `FLUSHALL` go to all
    /// nodes.
    pub(crate) fn beside(self, others: Vec<(u16, Self)>) -> Self {
        Self { others, ..self }
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// Those of the operating system; a closed connection is an unexpected end of file.
    pub fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> std::io::Result<Frame> {
        let mut frame = self.ask_one(words)?;
        if self.others.is_empty() {
            return Ok(frame);
        }
        let is = |word: &str| words.first().is_some_and(|first| first.as_ref() == word.as_bytes());
        if is("DBSIZE") || is("SCRIPT") || is("FLUSHALL") {
            for (_, node) in &mut self.others {
                frame = match (frame, node.ask_one(words)?) {
                    (Frame::Integer(sum), Frame::Integer(more)) => Frame::Integer(sum + more),
                    (_, last) => last,
                };
            }
            return Ok(frame);
        }
        let Frame::Error(text) = &frame else { return Ok(frame) };
        let Some(to) = text.strip_prefix("MOVED ") else { return Ok(frame) };
        let port = to.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let node = self.others.iter_mut().find(|(known, _)| Some(*known) == port);
        match node {
            Some((_, node)) => node.ask_one(words),
            None => Ok(frame),
        }
    }

    fn ask_one(&mut self, words: &[impl AsRef<[u8]>]) -> std::io::Result<Frame> {
        self.stream.write_all(&command(words))?;
        loop {
            if let Some((frame, length)) = Frame::parse(&self.unread) {
                self.unread.drain(..length);
                return Ok(frame);
            }
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.unread.extend_from_slice(&piece[..length]),
                // A signal came, for example that of a child that has ended.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a command that must not fail, and waits for its reply.
    ///
    /// # Panics
    /// When the connection fails, or the reply is an error.
    pub fn call(&mut self, words: &[impl AsRef<[u8]>]) -> Frame {
        let shown = || words.iter().map(|word| word.as_ref().escape_ascii().to_string());
        match self.ask(words) {
            Err(error) => panic!("{:?}: {error}", shown().collect::<Vec<_>>()),
            Ok(Frame::Error(text)) => panic!("{:?}: {text}", shown().collect::<Vec<_>>()),
            Ok(frame) => frame,
        }
    }

    /// Sends a command again and again until its reply, as text, is right. `what` names that state
    /// for the panic message.
    ///
    /// # Panics
    /// When the connection fails, or the reply is not right for half a minute.
    pub fn ask_until(&mut self, what: &str, words: &[&str], is_right: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let said = self.ask(words).expect("it answers").text();
            if is_right(&said) {
                return;
            }
            let is_early = start.elapsed() < Duration::from_secs(30);
            assert!(is_early, "waited in vain until {what}; it said:\n{said}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a command whose reply is an integer.
    ///
    /// # Panics
    /// When the reply is something else.
    pub fn number(&mut self, words: &[impl AsRef<[u8]>]) -> i64 {
        let frame = self.call(words);
        let Frame::Integer(number) = frame else { panic!("no integer: {frame:?}") };
        number
    }

    /// Sends a command whose reply is text.
    ///
    /// # Panics
    /// When the reply is something else.
    pub fn text(&mut self, words: &[impl AsRef<[u8]>]) -> String {
        self.call(words).text()
    }

    /// The server's connections apart from raw ones and those of replication and sentinels, one
    /// line each, in the form of `CLIENT LIST`.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn other_clients(&mut self) -> Vec<String> {
        let own = format!(" name={OBSERVER} ");
        let list = self.text(&["CLIENT", "LIST"]);
        let others = [own.as_str(), " flags=S ", " flags=M ", " name=sentinel-"];
        let is_other = |line: &&str| others.iter().any(|other| line.contains(other));
        let mut clients: Vec<_> =
            list.lines().filter(|line| !is_other(line)).map(str::to_owned).collect();
        for (_, node) in &mut self.others {
            clients.extend(node.other_clients());
        }
        clients
    }
}

/// The name of raw connections at a [`Server`](crate::server::Server).
pub(crate) const OBSERVER: &str = "conformance-observer";
const PATIENCE: Duration = Duration::from_secs(10);
