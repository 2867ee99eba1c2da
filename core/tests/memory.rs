//! The memory that a server can make this side use: at most [`MULTIPLE`] bytes for each byte that
//! it has sent, plus [`CAP`], whatever lengths and counts it announces.
//!
//! This is the only test in its program, because it counts all allocations of the program.

use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::connection::Output;
use async_caches_core::connection::{Connection, Event, Pushes, Setup, Tag};
use async_caches_core::key::{KeySpace, Names};
use async_caches_core::time::Instant;
use bytes::BytesMut;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The most bytes that are kept for each received byte.
const MULTIPLE: usize = 8;
/// The bytes that are kept besides: buffers and a queue.
const CAP: usize = 256 * 1024;

#[test]
fn memory_is_bounded_by_a_multiple_of_the_bytes_received() {
    const MIB: usize = 1 << 20;
    let replies: Vec<(&str, Vec<u8>)> = vec![
        ("a value", [b"$1048576\r\n".to_vec(), vec![b'x'; MIB], b"\r\n".to_vec()].concat()),
        ("small values", b"$1\r\na\r\n".repeat(100_000)),
        ("empty values", b"$0\r\n\r\n".repeat(100_000)),
        ("nulls", b"_\r\n".repeat(100_000)),
        ("an array of values", [b"*500\r\n".to_vec(), b"$1\r\na\r\n".repeat(500)].concat()),
        ("an array of nulls", [b"*500\r\n".to_vec(), b"_\r\n".repeat(500)].concat()),
        ("keys", scanned(b"$1\r\na\r\n", 100_000)),
        ("empty keys", scanned(b"$0\r\n\r\n", 100_000)),
        ("more nulls than were asked for", nulls(b'*', 1 << 18)),
        ("a push of nulls", nulls(b'>', 1 << 18)),
        ("a map of nulls", nulls(b'%', 1 << 17)),
        ("many pushes", b">1\r\n+invalidate\r\n".repeat(100_000)),
        ("nested arrays", b"*1\r\n".repeat(200_000)),
        ("nested attributes", b"|1\r\n".repeat(200_000)),
        ("a blob that never comes", b"$536870912\r\n".to_vec()),
        ("elements that never come", b"*1048576\r\n".to_vec()),
        ("a line without an end", [b"+".to_vec(), vec![b'x'; MIB]].concat()),
        (
            "an error of any length",
            [b"-ERR ".to_vec(), vec![b'x'; 60_000], b"\r\n".to_vec()].concat(),
        ),
        ("errors", b"-ERR no such luck\r\n".repeat(50_000)),
        ("a blob error", [b"!1048576\r\n".to_vec(), vec![b'x'; MIB], b"\r\n".to_vec()].concat()),
        ("a big number", [b"(".to_vec(), vec![b'7'; 60_000], b"\r\n".to_vec()].concat()),
        ("replies to nobody", b"+OK\r\n".repeat(300_000)),
        ("no protocol", vec![0; MIB]),
    ];
    for (name, reply) in &replies {
        for (asked, command) in ["get", "get_many", "scan", "incr"].iter().zip(0..) {
            let (peak, received) = peak(reply, command);
            let bound = MULTIPLE * received + CAP;
            assert!(peak <= bound, "{name} to {asked}: {peak} bytes for {received}");
        }
    }
    pushes_that_nobody_wants_take_no_memory();
}

/// The peak of the bytes in use, above the level before, while a reply was received; and the number
/// of bytes that were received until the connection failed, or else of the whole reply.
fn peak(reply: &[u8], asked: u8) -> (usize, usize) {
    let (space, names) = (KeySpace::default(), (0..500).map(|n| n.to_string()).collect::<Names>());
    let scope = space.scope(None).expect("no version, no colon");
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let (mut connection, now) = ready(Pushes::Told { tracking: None });
    let (mut rx, mut tx) = (BytesMut::new(), Output::new());
    for tag in 0..100 {
        let command = match asked {
            0 => Command::Get(scope.key(b"key")),
            1 => Command::GetMany(scope.keys(&names)),
            2 => Command::Scan { stem: b"::", cursor: 0 },
            _ => Command::Contains(scope.key(b"key")),
        };
        connection.submit(&command, Tag(tag), Instant::MAX, &mut tx).expect("it is ready");
        tx = Output::new();
    }
    let mut received = 0;
    'all: for piece in reply.chunks(16 * 1024) {
        rx.extend_from_slice(piece);
        received += piece.len();
        loop {
            match connection.poll(&mut rx, now, &mut tx) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => break 'all,
            }
        }
    }
    (ALLOCATOR.peak_usage().saturating_sub(before), received)
}

/// A connection that is ready, and the current time.
fn ready(pushes: Pushes) -> (Connection, Instant) {
    let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
    setup.pushes = pushes;
    let now = Instant::from_millis(1);
    let (mut rx, mut tx) = (BytesMut::new(), Output::new());
    let mut connection = Connection::open(&setup, now, &mut tx);
    rx.extend_from_slice(b"%1\r\n+proto\r\n:3\r\n+OK\r\n+OK\r\n+PONG\r\n");
    while !matches!(connection.poll(&mut rx, now, &mut tx), Ok(Some(Event::Ready(_)))) {}
    (connection, now)
}

fn pushes_that_nobody_wants_take_no_memory() {
    let (mut connection, now) = ready(Pushes::Dropped);
    let (mut rx, mut tx) = (BytesMut::new(), Output::new());
    rx.extend_from_slice(&b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n".repeat(1_000));
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    assert_eq!(connection.poll(&mut rx, now, &mut tx), Ok(None));
    assert!(rx.is_empty());
    assert_eq!(ALLOCATOR.peak_usage(), before);
}

fn scanned(key: &[u8], count: usize) -> Vec<u8> {
    let head = format!("*2\r\n$1\r\n0\r\n*{count}\r\n");
    [head.as_bytes(), &key.repeat(count)].concat()
}

/// An aggregate of this kind with this many elements, all of them null.
fn nulls(kind: u8, count: usize) -> Vec<u8> {
    let frames = if kind == b'%' { 2 * count } else { count };
    [&[kind], format!("{count}\r\n").as_bytes(), &b"_\r\n".repeat(frames)].concat()
}
