//! The bytes to be sent: small ones copied into one buffer, large values kept as they are.
//!
//! A command of a few dozen bytes is cheapest to copy behind the one before it, so that many leave
//! in one piece. A value of many thousand bytes is not: it is kept as the caller's own
//! [`Bytes`] and goes from there to the socket. So an output is a sequence of
//! [pieces](Output::pieces), made for vectored writes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

use bytes::{Buf, BufMut, Bytes};

/// Bytes to be sent, in order. The sender reports how many it has sent with [`Buf::advance`].
///
/// `Debug` shows how many bytes there are and not the bytes: a password may be among them.
///
/// ```
/// use async_caches_core::connection::Output;
/// use bytes::{Buf, Bytes};
///
/// let mut tx = Output::new();
/// tx.put_slice(b"$10000\r\n");
/// tx.put_value(&Bytes::from(vec![b'v'; 10_000])); // not copied
/// assert_eq!(tx.pieces().map(<[u8]>::len).collect::<Vec<_>>(), [8, 10_000]);
/// tx.advance(9); // the socket took nine bytes
/// assert_eq!(tx.len(), 9_999);
/// ```
#[derive(Default)]
pub struct Output {
    /// Pieces that nothing more is added to; no piece is empty.
    sealed: VecDeque<Bytes>,
    /// The total length of the sealed pieces in bytes.
    sealed_len: usize,
    /// The bytes behind them, of which the first `sent` have been sent.
    open: Vec<u8>,
    sent: usize,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Output {
    /// A value of at least this many bytes becomes a piece of its own; a shorter one is copied.
    ///
    /// A piece costs two entries of a vectored write and an allocation; copying 8 KiB costs more.
    pub const SEALED_FROM: usize = 8 * 1024;

    /// An output without bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of bytes to be sent.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.sealed_len + self.open.len() - self.sent
    }

    /// Whether no bytes are to be sent.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The capacity in bytes of the buffer for copied bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.open.capacity()
    }

    /// The bytes, as pieces in order; no piece is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let open = Some(self.rest()).filter(|rest| !rest.is_empty());
        self.sealed.iter().map(|piece| &**piece).chain(open)
    }

    /// Takes all bytes, in one piece: for a socket without vectored writes.
    #[must_use]
    pub fn split(&mut self) -> Bytes {
        self.copy_to_bytes(self.len())
    }

    /// Copies bytes to the end.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
    }

    /// Puts a value at the end: copied if it is short, else as it is.
    #[inline]
    pub fn put_value(&mut self, value: &Bytes) {
        if value.len() < Self::SEALED_FROM {
            return self.put_slice(value);
        }
        let mut before = Bytes::from(mem::take(&mut self.open));
        before.advance(mem::take(&mut self.sent));
        self.sealed_len += before.len() + value.len();
        self.sealed.extend([before, value.clone()].into_iter().filter(|piece| !piece.is_empty()));
    }

    /// The end of the output, for writing to it.
    #[inline]
    pub(crate) fn end(&mut self) -> &mut impl BufMut {
        &mut self.open
    }

    fn rest(&self) -> &[u8] {
        self.open.get(self.sent..).unwrap_or_default()
    }
}

impl Buf for Output {
    #[inline]
    fn remaining(&self) -> usize {
        self.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.sealed.front().map_or(self.rest(), |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.sealed.front_mut() {
            let passed = count.min(piece.len());
            piece.advance(passed);
            self.sealed_len -= passed;
            count -= passed;
            if !piece.is_empty() {
                return;
            }
            self.sealed.pop_front();
        }
        self.sent = self.open.len().min(self.sent + count);
        // Sent bytes are dropped once they are the larger part, so that each byte is moved at most
        // once.
        if self.sent * 2 >= self.open.len() {
            self.open.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn output() -> Output {
        let mut tx = Output::new();
        tx.put_slice(b"head");
        tx.put_value(&Bytes::from(vec![b'a'; Output::SEALED_FROM]));
        tx.put_slice(b"between");
        tx.put_value(&Bytes::from(vec![b'b'; Output::SEALED_FROM - 1]));
        tx.put_value(&Bytes::from(vec![b'c'; Output::SEALED_FROM]));
        tx.put_value(&Bytes::from(vec![b'd'; Output::SEALED_FROM]));
        tx.put_slice(b"tail");
        tx
    }

    fn flat(tx: &Output) -> Vec<u8> {
        tx.pieces().collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_large_value_is_shared_and_a_small_one_is_copied() {
        let [small, large] = [8_191, 8_192].map(|len| Bytes::from(vec![b'x'; len]));
        let mut tx = Output::new();
        assert!(tx.is_empty() && tx.capacity() == 0);
        tx.put_value(&small);
        assert!(!tx.is_empty() && tx.capacity() >= small.len());
        tx.put_value(&large);
        let pieces: Vec<_> = tx.pieces().map(<[u8]>::as_ptr).collect();
        assert_eq!(pieces.len(), 2);
        assert_ne!(pieces[0], small.as_ptr());
        assert_eq!(pieces[1], large.as_ptr());
    }

    #[test]
    fn sent_bytes_free_their_room_while_others_still_wait() {
        let mut tx = Output::new();
        tx.put_slice(&[b'x'; 10]);
        for _ in 0..1_000 {
            tx.put_slice(&[b'x'; 100]);
            tx.advance(100);
        }
        assert_eq!(tx.len(), 10);
        assert!(tx.capacity() < 1_000, "{}", tx.capacity());
    }

    #[test]
    fn output_is_the_same_in_steps_of_any_size() {
        let expected = flat(&output());
        assert_eq!(output().len(), expected.len());
        for step in [1, 3, 4, 5, 4_096, Output::SEALED_FROM, Output::SEALED_FROM + 11, 1 << 20] {
            let (mut tx, mut sent) = (output(), vec![]);
            while tx.has_remaining() {
                assert!(tx.pieces().all(|piece| !piece.is_empty()));
                assert_eq!(tx.pieces().next(), Some(tx.chunk()));
                let front: Vec<u8> = flat(&tx).into_iter().take(step).collect();
                tx.advance(front.len());
                sent.extend(front);
                assert_eq!(tx.len(), expected.len() - sent.len());
            }
            assert_eq!(sent, expected, "in steps of {step}");
        }
    }

    #[test]
    fn bytes_put_after_a_partial_send_follow_the_rest() {
        let mut tx = output();
        let mut expected = flat(&tx);
        tx.advance(6);
        tx.put_slice(b"more");
        expected.drain(..6);
        expected.extend(b"more");
        assert_eq!(tx.split(), expected);
        assert!(tx.is_empty());
    }

    #[test]
    fn advancing_past_the_end_ends_there() {
        let mut tx = output();
        tx.advance(tx.len() + 1);
        assert!(tx.is_empty());
        assert_eq!(tx.pieces().count(), 0);
    }
}
