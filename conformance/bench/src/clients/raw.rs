//! The bare wire: an upper bound on what any client can reach, and deliberately no more than that.
//!
//! One connection keeps as many commands in flight as there are tasks. They are encoded beforehand.
//! The lengths of the replies are known, so their bytes are only counted. After each read, one
//! write sends a new command for every reply that has arrived.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::TIMEOUT_SECONDS;
use crate::cell::{BATCH, Cell, Op};
use crate::dataset::Dataset;
use crate::turn::host::Host;
use crate::turn::meter::{Measured, Meter};
use crate::turn::{Order, Until};

/// The configuration.
pub(crate) const ABOUT: &str = "a bare tokio `TcpStream` with `TCP_NODELAY` that keeps as many \
    pre-encoded commands in flight as there are tasks and only counts the bytes of replies";

/// Encoded commands in the order in which they are sent, in a loop.
#[derive(Debug)]
struct Script {
    bytes: BytesMut,
    /// The offset in `bytes` at which each command ends.
    ends: Vec<usize>,
    /// The length of the reply to each command.
    replies: Vec<usize>,
}

/// How much of the script has been sent.
#[derive(Debug)]
struct Sent<'s> {
    script: &'s Script,
    /// The number of commands that may be sent now; the first of them may already be sent in part.
    allowed: usize,
    /// The index of the first of them.
    command: usize,
    /// The number of bytes of the script that were written.
    written: usize,
}

/// Runs a turn.
pub(crate) fn turn(order: &Order) -> Option<Measured> {
    let Order { cell, url, until } = order.clone();
    let script = Script::of(cell);
    Host::Tokio.run(cell.flavour, async move {
        let address = url.trim_start_matches("redis://").split('/').next().expect("an address");
        let stream = TcpStream::connect(address).await.expect("it connects");
        stream.set_nodelay(true).expect("a TCP socket");
        let in_all = match until {
            Until::Count(each) => Until::Count(each * cell.tasks as u64),
            Until::Span(_) => until,
        };
        let meter = Arc::new(Meter::new(1, in_all, 1));
        let wire = Host::Tokio.spawn(exchange(stream, script, cell.tasks, Arc::clone(&meter)));
        let measured = meter.measure(Host::Tokio).await;
        wire.join().await;
        measured
    })
}

async fn exchange(mut stream: TcpStream, script: Script, in_flight: usize, meter: Arc<Meter>) {
    let mut pace = meter.pace(0);
    let mut rx = vec![0; READ];
    let mut sent = Sent { script: &script, allowed: in_flight, command: 0, written: 0 };
    // The index of the awaited reply, and the number of its bytes that have arrived.
    let (mut reply, mut come) = (0, 0);
    while pace.goes_on() {
        let read = poll_fn(|cx| {
            while let Some(bytes) = sent.next() {
                match Pin::new(&mut stream).poll_write(cx, bytes) {
                    Poll::Ready(length) => sent.wrote(length.expect("the server reads")),
                    Poll::Pending => break,
                }
            }
            let mut buffer = ReadBuf::new(&mut rx);
            let read = ready!(Pin::new(&mut stream).poll_read(cx, &mut buffer));
            Poll::Ready(read.map(|()| buffer.filled().len()))
        });
        let length = read.await.expect("the server writes");
        assert!(length > 0, "the server has gone");
        come += length;
        let mut answered = 0;
        while come >= script.replies[reply] {
            come -= script.replies[reply];
            reply = if reply + 1 == script.replies.len() { 0 } else { reply + 1 };
            answered += 1;
        }
        sent.allowed += answered;
        pace.end(None, answered as u64);
    }
}

impl<'s> Sent<'s> {
    /// The bytes that may be written now.
    fn next(&self) -> Option<&'s [u8]> {
        let last = (self.command + self.allowed).min(self.script.ends.len());
        (self.allowed > 0).then(|| &self.script.bytes[self.written..self.script.ends[last - 1]])
    }

    fn wrote(&mut self, length: usize) {
        let Script { ends, .. } = self.script;
        self.written += length;
        while self.command < ends.len() && ends[self.command] <= self.written {
            self.command += 1;
            self.allowed -= 1;
        }
        if self.command == ends.len() {
            (self.command, self.written) = (0, 0);
        }
    }
}

impl Script {
    fn of(cell: Cell) -> Self {
        let data = Dataset::of(cell);
        let mut script = Self { bytes: BytesMut::new(), ends: Vec::new(), replies: Vec::new() };
        let timeout = TIMEOUT_SECONDS.to_string();
        let value = bulk(data.value.len());
        // Long enough that a write is rarely cut in two by the end of the script.
        let enough =
            |script: &Self| script.ends.len() >= cell.tasks * 16 || script.bytes.len() >= LONG;
        while !enough(&script) {
            for (at, key) in data.keys.iter().enumerate() {
                let sets = match cell.op {
                    Op::Set => true,
                    Op::Mix => at % 10 == 9,
                    Op::Get | Op::Mget | Op::GetJson | Op::GetOrSet | Op::BesideLarge => false,
                };
                match (cell.op, sets) {
                    (Op::Mget, _) if at % BATCH != 0 => {}
                    (Op::Mget, _) => {
                        let keys = data.keys[at..at + BATCH].iter().map(String::as_bytes);
                        let words: Vec<_> = [&b"MGET"[..]].into_iter().chain(keys).collect();
                        let header = format!("*{BATCH}\r\n").len();
                        script.add(&words, header + BATCH * value);
                    }
                    (_, true) => {
                        let words =
                            [b"SET", key.as_bytes(), &data.value, b"EX", timeout.as_bytes()];
                        script.add(&words, "+OK\r\n".len());
                    }
                    (_, false) => script.add(&[b"GET", key.as_bytes()], value),
                }
            }
        }
        script
    }

    fn add(&mut self, words: &[&[u8]], reply: usize) {
        self.bytes.put_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.bytes.put_slice(format!("${}\r\n", word.len()).as_bytes());
            self.bytes.put_slice(word);
            self.bytes.put_slice(b"\r\n");
        }
        self.ends.push(self.bytes.len());
        self.replies.push(reply);
    }
}

/// The length of a bulk string on the wire.
fn bulk(length: usize) -> usize {
    format!("${length}\r\n").len() + length + "\r\n".len()
}

const READ: usize = 256 * 1024;
const LONG: usize = 16 * 1024 * 1024;
