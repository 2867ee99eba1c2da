//! The core without async: a hand-made loop over `mio` drives one pipelined connection.
//!
//! ```text
//! cargo run --example custom_loop                             # against a small server in here
//! cargo run --example custom_loop redis://localhost           # against a real one
//! cargo run --example custom_loop redis://:secret@localhost/2
//! ```
//!
//! `async-caches-core` does no I/O and reads no clock. It puts bytes into one buffer and takes
//! bytes out of another. The caller passes in the time, and the core returns events and the time at
//! which it wants to be polled again. Everything else (the socket, the waiting and the clock) is in
//! [`Client`], for you to replace.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod server;

use std::env;
use std::error::Error;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::ToSocketAddrs;
use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::connection::{Connection, Event, Output, Setup, Tag};
use async_caches_core::key::{KeySpace, Names, Version};
use async_caches_core::options::Settings;
use async_caches_core::reply::Reply;
use async_caches_core::time::Instant;
use async_caches_core::ttl::Expiry;
use async_caches_core::url::{Backend, CacheUrl, Endpoint, Topology};
use bytes::{Buf, Bytes, BytesMut};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let url = match env::args().nth(1) {
        Some(url) => url,
        None => format!("redis://{}", server::start()?),
    };
    let mut client = Client::connect(&url)?;
    let Event::Ready(info) = client.next()? else { return Err("no greeting".into()) };
    println!("ready: RESP{} with {} {}", info.protocol, info.server, info.version);
    pipeline(&mut client)?;
    one_deadline(&mut client)?;
    tidy_up(&mut client)?;
    close(client)
}

/// Submits hundreds of commands before anything is sent, and then runs the loop.
fn pipeline(client: &mut Client) -> Result<()> {
    let space = space()?;
    let scope = space.scope(None)?;
    let minute = Expiry::after(Duration::from_secs(60))?;
    let expires = client.now() + client.patience;

    // A tag is any number. It comes back with the command's result.
    for number in 0..PAIRS {
        let (name, value) = (name(number), Bytes::from(format!("value {number}")));
        let key = scope.key(name.as_bytes());
        client.submit(&Command::Set { key, value: &value, expiry: minute }, 2 * number, expires)?;
        client.submit(&Command::Get(key), 2 * number + 1, expires)?;
    }
    println!("submitted {} commands, {} bytes to send", 2 * PAIRS, client.tx.len());
    let (writes, reads) = (client.writes, client.reads);

    // Replies come in the order of the commands, each with its command's tag.
    for number in 0..PAIRS {
        assert_eq!(client.reply()?, (2 * number, Reply::Done));
        let value = Bytes::from(format!("value {number}"));
        assert_eq!(client.reply()?, (2 * number + 1, Reply::Value(Some(value))));
    }
    let (writes, reads) = (client.writes - writes, client.reads - reads);
    println!("all answered, after {writes} write(s) and {reads} read(s)");
    Ok(())
}

/// A command that expires before its reply arrives, and another behind it that gets its reply.
fn one_deadline(client: &mut Client) -> Result<()> {
    let space = space()?;
    let scope = space.scope(None)?;
    let (slow, other) = (server::SLOW.as_bytes(), name(7));
    let soon = client.now() + Duration::from_millis(20);
    let later = client.now() + client.patience;
    client.submit(&Command::Get(scope.key(slow)), IMPATIENT, soon)?;
    client.submit(&Command::Get(scope.key(other.as_bytes())), PATIENT, later)?;

    if let Event::Expired(Tag(IMPATIENT)) = client.next()? {
        println!("no reply within 20 ms: given up");
    } else {
        println!("a reply within 20 ms");
    }
    // A late reply to the first command is read and discarded. It is never taken for the reply to
    // this one.
    let (tag, reply) = client.reply()?;
    println!("the one behind it got its own: {reply:?}");
    assert_eq!((tag, reply), (PATIENT, Reply::Value(Some(Bytes::from("value 7")))));
    Ok(())
}

fn tidy_up(client: &mut Client) -> Result<()> {
    let space = space()?;
    let names: Names = (0..PAIRS).map(name).collect();
    let expires = client.now() + client.patience;
    client.submit(&Command::Delete(space.scope(None)?.keys(&names)), 0, expires)?;
    println!("deleted: {:?}", client.reply()?.1);
    Ok(())
}

/// When a connection closes, each command that still waits is reported as lost, so every caller
/// gets a result. No byte of this command was sent, so it can safely be submitted again on another
/// connection.
fn close(mut client: Client) -> Result<()> {
    let space = space()?;
    let expires = client.now() + client.patience;
    client.submit(&Command::Get(space.scope(None)?.key(b"never sent")), 0, expires)?;
    client.connection.close();
    println!("closed: {:?}", client.next()?);
    Ok(())
}

/// A socket, a clock, two buffers, and the state machine between them.
struct Client {
    connection: Connection,
    rx: BytesMut,
    tx: Output,
    socket: TcpStream,
    poll: Poll,
    events: Events,
    clock: std::time::Instant,
    patience: Duration,
    writes: usize,
    reads: usize,
}

impl Client {
    fn connect(url: &str) -> Result<Self> {
        let CacheUrl { backend: Backend::Redis(server), options } = CacheUrl::parse(url)? else {
            return Err("this example is about a server: redis://host:port".into());
        };
        let Topology::Standalone(Endpoint::Tcp { host, port }) = server.topology else {
            return Err("this example takes neither unix sockets nor sentinels".into());
        };
        let settings = Settings::new(options)?;
        let patience = settings.response_timeout;
        let mut setup = Setup::new(settings.connect_timeout, settings.response_timeout);
        setup.credentials = server.credentials;
        setup.database = server.database;
        setup.name = settings.name;

        // This is the only step that blocks. A real program would connect through the loop too.
        let address = (host.as_str(), port).to_socket_addrs()?.next().ok_or("no address")?;
        let stream = std::net::TcpStream::connect_timeout(&address, setup.connect_timeout)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut socket = TcpStream::from_std(stream);
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, Token(0), Interest::READABLE | Interest::WRITABLE)?;

        let mut tx = Output::new();
        Ok(Self {
            connection: Connection::open(&setup, Instant::ORIGIN, &mut tx),
            rx: BytesMut::new(),
            tx,
            socket,
            poll,
            events: Events::with_capacity(8),
            clock: std::time::Instant::now(),
            patience,
            writes: 0,
            reads: 0,
        })
    }

    /// The core counts from an origin that its caller chooses: here, the moment of connecting.
    fn now(&self) -> Instant {
        Instant::ORIGIN + self.clock.elapsed()
    }

    /// Puts a command into `tx`. Nothing is sent yet.
    fn submit(&mut self, command: &Command<'_>, tag: u64, expires: Instant) -> Result<()> {
        Ok(self.connection.submit(command, Tag(tag), expires, &mut self.tx)?)
    }

    /// The next event, which must be a reply.
    fn reply(&mut self) -> Result<(u64, Reply)> {
        let event = self.next()?;
        let Event::Reply { tag: Tag(tag), answer } = event else {
            return Err(format!("{event:?} instead of a reply").into());
        };
        Ok((tag, answer?))
    }

    /// The loop: poll the machine, write, read, and sleep only if none of them has anything to do.
    fn next(&mut self) -> Result<Event> {
        loop {
            let now = self.now();
            if let Some(event) = self.connection.poll(&mut self.rx, now, &mut self.tx)? {
                if matches!(event, Event::Push(_)) {
                    continue;
                }
                return Ok(event);
            }
            self.write()?;
            if self.read()? {
                continue;
            }
            // The time to wake up even if nothing arrives. `why` in the deadline names what is due
            // then.
            let sleep = self.connection.deadline().map(|deadline| deadline.at.since(self.now()));
            match self.poll.poll(&mut self.events, sleep) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
        }
    }

    /// Sends what the socket accepts, and reports the count to the machine. A lost command is
    /// reported as safe to repeat only if its last byte was never sent.
    fn write(&mut self) -> Result<()> {
        while !self.tx.is_empty() {
            let pieces: Vec<_> = self.tx.pieces().map(IoSlice::new).collect();
            match self.socket.write_vectored(&pieces) {
                Ok(count) => {
                    self.writes += 1;
                    self.tx.advance(count);
                    self.connection.wrote(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads once. Returns whether anything was read.
    fn read(&mut self) -> Result<bool> {
        let mut room = [0; 16 * 1024];
        match self.socket.read(&mut room) {
            Ok(0) => Err("the server closed the connection".into()),
            Ok(count) => {
                self.reads += 1;
                self.rx.extend_from_slice(&room[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// The keys of this example, under a prefix of their own.
fn space() -> Result<KeySpace> {
    Ok(KeySpace::new("async-caches-custom-loop", Version::None)?)
}

fn name(number: u64) -> String {
    format!("key {number}")
}

const PAIRS: u64 = 300;
const IMPATIENT: u64 = 1;
const PATIENT: u64 = 2;
