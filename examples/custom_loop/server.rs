//! A server for use without Redis: a thread on the loopback interface that speaks enough RESP3.
//!
//! Requests are RESP frames like replies, so the core's scanner and decoder can read them too.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use async_caches_core::resp::decode;
use async_caches_core::resp::scan::{Limits, Scanner};
use bytes::{Buf, BytesMut};

/// The name of a key that this server takes 100 ms to reply for.
pub(crate) const SLOW: &str = "slow";

/// Serves one connection at a time in the background, until the process ends.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // An error on one connection concerns only its client.
            let _ = serve(stream);
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut values = HashMap::new();
    let mut scanner = Scanner::new(Limits::default());
    let (mut rx, mut tx, mut room) = (BytesMut::new(), Vec::new(), [0; 16 * 1024]);
    loop {
        let count = stream.read(&mut room)?;
        if count == 0 {
            return Ok(());
        }
        rx.extend_from_slice(&room[..count]);
        while let Some(len) = scanner.scan(&rx).map_err(io::Error::other)? {
            let words: Vec<Vec<u8>> = decode::elements(&rx[..len])
                .map_err(io::Error::other)?
                .filter_map(|word| Some(word.ok()?.bytes()?.to_vec()))
                .collect();
            rx.advance(len);
            answer(&words, &mut values, &mut tx);
        }
        stream.write_all(&tx)?;
        tx.clear();
    }
}

fn answer(words: &[Vec<u8>], values: &mut HashMap<Vec<u8>, Vec<u8>>, tx: &mut Vec<u8>) {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match words.as_slice() {
        [b"HELLO", ..] => {
            tx.extend(b"%3\r\n+server\r\n+example\r\n+version\r\n+0\r\n+proto\r\n:3\r\n");
        }
        [b"PING"] => tx.extend(b"+PONG\r\n"),
        [b"CLIENT" | b"SELECT", ..] => tx.extend(b"+OK\r\n"),
        [b"SET", key, value, ..] => {
            values.insert(key.to_vec(), value.to_vec());
            tx.extend(b"+OK\r\n");
        }
        [b"GET", key] => {
            if key.ends_with(SLOW.as_bytes()) {
                thread::sleep(Duration::from_millis(100));
            }
            match values.get(*key) {
                Some(value) => {
                    tx.extend(format!("${}\r\n", value.len()).bytes());
                    tx.extend(value);
                    tx.extend(b"\r\n");
                }
                None => tx.extend(b"_\r\n"),
            }
        }
        [b"UNLINK", keys @ ..] => {
            let removed = keys.iter().filter(|key| values.remove(**key).is_some()).count();
            tx.extend(format!(":{removed}\r\n").bytes());
        }
        _ => tx.extend(b"-ERR unknown command\r\n"),
    }
}
