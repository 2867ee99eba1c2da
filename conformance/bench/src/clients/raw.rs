//! The wire itself: a bound on what any client can do, and nothing more clever than that.
//!
//! One connection keeps as many commands in flight as there are tasks. They are encoded
//! beforehand; of the replies, whose lengths are known, only the bytes are counted. Whatever was
//! answered since is written anew, in one write.

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

/// How it is configured.
pub(crate) const ABOUT: &str = "a bare tokio `TcpStream` with `TCP_NODELAY` that keeps as many \
    pre-encoded commands in flight as there are tasks and only counts the bytes of replies";

/// Commands in the order they are sent, over and over.
#[derive(Debug)]
struct Script {
    bytes: BytesMut,
    /// Where in the bytes each command ends.
    ends: Vec<usize>,
    /// How long the reply to each is.
    replies: Vec<usize>,
}

/// How far the script was sent.
#[derive(Debug)]
struct Sent<'s> {
    script: &'s Script,
    /// Commands that may be sent, the first of them perhaps in part.
    allowed: usize,
    /// The first of them.
    command: usize,
    /// How many bytes of the script were written.
    written: usize,
}

/// Measures it.
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
    // The reply that is awaited and how much of it has come.
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
    /// What may be written now.
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
        // So long that a write seldom has to be cut in two at the end of it.
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
