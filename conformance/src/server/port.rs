//! A port for a server to listen on.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// A free port outside the range of ephemeral ports. An ephemeral one could be in use by a
/// connection when a server returns to it, and a connection that is dialled to it in the meantime
/// could reach itself.
pub(super) fn free_port() -> u16 {
    let drawn = || {
        let some = RandomState::new().hash_one(()) % u64::from(PORTS.end - PORTS.start);
        PORTS.start + u16::try_from(some).expect("it is less")
    };
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(drawn).take(1_000).find(is_free).expect("a free port")
}

const PORTS: Range<u16> = 10_000..32_000;
