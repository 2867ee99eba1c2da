//! The bytes that a driver has read and not yet taken in, and the room for the next read.
//!
//! The room doubles while reads fill it. A large value gets the room for its missing bytes at once,
//! so that it is read in one piece into one block. But on a server's word alone it gets no more
//! than the server has sent already, or [`TRUSTED`]. A buffer that a burst has grown is freed once
//! it is empty.

use std::io;
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::error::ConnectionFailure;
use crate::runtime::Socket;

#[derive(Debug)]
pub(in crate::redis) struct Intake {
    pub(in crate::redis) rx: BytesMut,
    room: usize,
}

impl Intake {
    pub(in crate::redis) fn new() -> Self {
        Self { rx: BytesMut::new(), room: LEAST }
    }

    /// Reads once and returns the number of bytes. Zero means that there is nothing to read; the
    /// task is woken when there is.
    pub(in crate::redis) fn read(
        &mut self,
        socket: &mut impl Socket,
        cx: &mut Context<'_>,
    ) -> Result<usize, ConnectionFailure> {
        self.rx.reserve(self.room);
        loop {
            match socket.poll_read(&mut self.rx, cx) {
                Poll::Pending => return Ok(0),
                Poll::Ready(Ok(0)) => return Err(ConnectionFailure::Eof),
                Poll::Ready(Ok(count)) => {
                    let filled = count >= self.room;
                    self.room = if filled { (self.room * 2).min(MOST) } else { LEAST };
                    return Ok(count);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Sizes the room for the next read. The value that is being read still `lacks` this many
    /// bytes.
    pub(in crate::redis) fn resize(&mut self, lacks: usize) {
        self.room = self.room.max(lacks.min(self.rx.len().max(TRUSTED)));
        if self.rx.is_empty() && self.rx.capacity() > KEPT {
            self.rx = BytesMut::new();
        }
    }
}

/// The least and the most room for a read of small values.
const LEAST: usize = 16 * 1024;
const MOST: usize = 256 * 1024;

/// A value's length as sent by a server is trusted up to this many bytes.
const TRUSTED: usize = 1024 * 1024;

/// An empty buffer larger than this is freed.
const KEPT: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::task::Waker;

    use bytes::BufMut;

    use super::*;

    /// A socket that fills the room of each read, up to its own bound.
    struct Endless(usize);

    impl Socket for Endless {
        fn poll_read(&mut self, rx: &mut BytesMut, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
            let count = self.0.min(rx.capacity() - rx.len());
            rx.put_bytes(b'x', count);
            Poll::Ready(Ok(count))
        }

        fn poll_write(
            &mut self,
            _: &[IoSlice<'_>],
            _: &mut Context<'_>,
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    fn read(intake: &mut Intake, most: usize) -> usize {
        intake.read(&mut Endless(most), &mut Context::from_waker(Waker::noop())).unwrap()
    }

    #[test]
    fn the_read_buffer_grows_while_reads_fill_it_and_shrinks_again() {
        let mut intake = Intake::new();
        assert!(read(&mut intake, usize::MAX) >= LEAST);
        for _ in 0..10 {
            intake.rx.clear();
            read(&mut intake, usize::MAX);
        }
        assert_eq!(intake.room, MOST);
        read(&mut intake, 10);
        assert_eq!(intake.room, LEAST);
    }

    #[test]
    fn a_large_value_gets_room_at_once_but_a_false_length_gets_little() {
        let mut intake = Intake::new();
        intake.resize(1_000_000);
        assert_eq!(intake.room, 1_000_000);
        let mut intake = Intake::new();
        intake.resize(usize::MAX);
        assert_eq!(intake.room, TRUSTED);
        intake.rx.put_bytes(b'x', 3 * TRUSTED);
        intake.resize(usize::MAX);
        assert_eq!(intake.room, 3 * TRUSTED, "as much again as it has sent");
    }

    #[test]
    fn memory_that_a_burst_needed_is_released() {
        let mut intake = Intake::new();
        intake.rx.put_bytes(b'x', 64 << 20);
        intake.resize(0);
        assert!(intake.rx.capacity() >= 64 << 20, "it is in use");
        intake.rx.clear();
        intake.resize(0);
        assert!(intake.rx.capacity() <= KEPT);
    }
}
