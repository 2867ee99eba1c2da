//! Small values in a row, cut out of one copy of what lies at the front of a receive buffer.
//!
//! A value that is kept must not keep the receive buffer, so a small one is copied. Where many lie
//! in a row they are copied together, and each is a slice of that copy: half the work of copying
//! one by one. The copy goes into a block of [`BLOCK`](Copies::BLOCK) bytes, behind the one before
//! it, and the block is written again when no value in it is left.
//!
//! Whoever takes bytes off the buffer has to say so, by [`pass`](Mirror::pass) or
//! [`forget`](Mirror::forget).

use core::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use crate::copies::Copies;

/// A copy of the first bytes of a buffer.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    copy: Bytes,
    block: BytesMut,
}

impl Mirror {
    /// What lies at `range` in the buffer that has all of it, or nothing where it does not.
    #[inline]
    pub(crate) fn slice(&mut self, rx: &[u8], range: Range<usize>) -> Bytes {
        if range.end > self.copy.len() {
            self.renew(rx, range.end);
        }
        if range.end > self.copy.len() {
            return Bytes::new();
        }
        self.copy.slice(range)
    }

    /// The first `count` bytes were taken off the buffer.
    #[inline]
    pub(crate) fn pass(&mut self, count: usize) {
        self.copy.advance(count.min(self.copy.len()));
    }

    /// The buffer begins with something else.
    pub(crate) fn forget(&mut self) {
        self.copy = Bytes::new();
    }

    /// Copies at least `least` bytes of the buffer, as far as it has them, and as many more as the
    /// block has room for.
    #[inline(never)]
    fn renew(&mut self, rx: &[u8], least: usize) {
        self.forget();
        if self.block.capacity() < least {
            self.block.reserve(Copies::BLOCK.max(least));
        }
        let most = self.block.capacity().min(Copies::BLOCK.max(least));
        self.block.extend_from_slice(rx.get(..most).unwrap_or(rx));
        self.copy = self.block.split().freeze();
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// A buffer of so many frames of `len` bytes, each of another byte than the one before.
    fn frames(count: usize, len: usize) -> BytesMut {
        (0..count).flat_map(|at| core::iter::repeat_n(at as u8, len)).collect()
    }

    fn take(mirror: &mut Mirror, rx: &mut BytesMut, len: usize) -> Bytes {
        let value = mirror.slice(rx, 1..len - 1);
        rx.advance(len);
        mirror.pass(len);
        value
    }

    #[test]
    fn values_are_what_lies_in_the_buffer_whatever_their_length_and_however_the_buffer_grows() {
        for len in [3, 70, 258, Copies::BLOCK - 1, Copies::BLOCK + 7] {
            let (mut mirror, mut rx) = (Mirror::default(), BytesMut::new());
            let mut kept = Vec::new();
            for round in 0..100_usize {
                rx.extend_from_slice(&frames(round % 7 + 1, len));
                for at in 0..round % 7 + 1 {
                    let value = take(&mut mirror, &mut rx, len);
                    assert_eq!(value, core::iter::repeat_n(at as u8, len - 2).collect::<Vec<_>>());
                    kept.push((at as u8, value));
                }
            }
            assert!(kept.iter().all(|(byte, value)| value.iter().all(|other| other == byte)));
        }
    }

    #[test]
    fn what_others_took_off_the_buffer_is_not_seen_again() {
        let (mut mirror, mut rx) = (Mirror::default(), frames(9, 10));
        assert_eq!(take(&mut mirror, &mut rx, 10), [0; 8][..]);
        rx.advance(20);
        mirror.forget();
        assert_eq!(take(&mut mirror, &mut rx, 10), [3; 8][..]);
    }

    #[test]
    fn a_range_that_the_buffer_does_not_have_is_nothing() {
        let (mut mirror, rx) = (Mirror::default(), frames(1, 10));
        assert_eq!(mirror.slice(&rx, 4..11), Bytes::new());
        assert_eq!(mirror.slice(&rx, 4..10), [0; 6][..]);
    }

    #[test]
    fn single_values_that_are_kept_share_blocks() {
        let mut mirror = Mirror::default();
        let kept: Vec<Bytes> =
            (0..1_000).map(|_| take(&mut mirror, &mut frames(1, 70), 70)).collect();
        let starts: Vec<usize> = kept.iter().map(|value| value.as_ptr() as usize).collect();
        let near = starts.windows(2).filter(|pair| pair[1].abs_diff(pair[0]) == 70).count();
        assert!(near >= 1_000 * 9 / 10, "{near} of 1,000 lie side by side");
    }

    #[test]
    fn a_block_is_written_again_when_none_of_its_values_is_left() {
        let mut mirror = Mirror::default();
        let mut places: Vec<usize> = (0..10_000)
            .map(|_| take(&mut mirror, &mut frames(1, 100), 100).as_ptr() as usize)
            .collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() <= 2 * Copies::BLOCK / 100, "{} places", places.len());
    }
}
