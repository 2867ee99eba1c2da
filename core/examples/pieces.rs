//! What it costs to receive one large reply in pieces: `cargo run --release -p async-caches-core
//! --example pieces`.
//!
//! An array of 200,000 values goes through a connection once whole and once in pieces of 16 KiB, in
//! turns, and the medians are compared. A framing layer that begins anew with every piece costs a
//! hundred times more in pieces; this one costs the same.
#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::time::{Duration, Instant as Clock};

use async_caches_core::command::Command;
use async_caches_core::connection::Output;
use async_caches_core::connection::{Connection, Event, Setup, Tag};
use async_caches_core::key::{KeySpace, Names};
use async_caches_core::time::Instant;
use bytes::BytesMut;

const VALUES: usize = 200_000;
const PIECE: usize = 16 * 1024;
const ROUNDS: usize = 15;

fn main() {
    let reply = [format!("*{VALUES}\r\n"), "$3\r\nabc\r\n".repeat(VALUES)].concat();
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        whole.push(receive(reply.as_bytes(), reply.len()));
        pieces.push(receive(reply.as_bytes(), PIECE));
    }
    let (whole, pieces) = (median(whole), median(pieces));
    println!("{} bytes whole:                 {whole:?}", reply.len());
    println!("{} bytes in pieces of {PIECE}: {pieces:?}", reply.len());
    println!("ratio: {:.2}", pieces.as_secs_f64() / whole.as_secs_f64());
}

/// Feeds `reply` to a connection that asked for it, so many bytes at a time.
fn receive(reply: &[u8], piece: usize) -> Duration {
    let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
    let (mut rx, mut tx) = (BytesMut::new(), Output::new());
    let now = Instant::ORIGIN;
    let mut connection = Connection::open(&setup, now, &mut tx);
    rx.extend_from_slice(b"%1\r\n$5\r\nproto\r\n:3\r\n+OK\r\n+OK\r\n+PONG\r\n");
    while connection.poll(&mut rx, now, &mut tx).expect("a handshake").is_some() {}

    let names: Names = (0..VALUES).map(|_| "key").collect();
    let space = KeySpace::default();
    let keys = space.scope(None).expect("no version").keys(&names);
    let expires = now + setup.response_timeout;
    connection.submit(&Command::GetMany(keys), Tag(1), expires, &mut tx).expect("it is ready");

    let began = Clock::now();
    let mut answered = false;
    for bytes in reply.chunks(piece) {
        rx.extend_from_slice(bytes);
        while let Some(event) = connection.poll(&mut rx, now, &mut tx).expect("a valid reply") {
            answered |= matches!(event, Event::Reply { tag: Tag(1), answer: Ok(_) });
        }
    }
    assert!(answered);
    began.elapsed()
}

fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans[spans.len() / 2]
}
