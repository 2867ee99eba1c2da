//! Copies small values out of the memory that they lie in: out of a receive buffer, which a kept
//! value would keep alive, or out of a store, which a caller must not share while it looks at a
//! value.
//!
//! An allocation for each would cost more than everything else about a small value, so many share
//! a block of [`Copies::BLOCK`] bytes. A block is written once from front to back, and again when
//! none of its values is left.

use bytes::{Bytes, BytesMut};

/// The memory that small values are copied to.
#[derive(Debug, Default)]
pub struct Copies {
    block: BytesMut,
}

impl Copies {
    /// The size of a shared block in bytes: at most that much memory stays alive for one small
    /// value.
    pub const BLOCK: usize = 2 * 1024;

    /// The longest value that shares a block; a longer one has an allocation of its own.
    pub const LONGEST: usize = 256;

    /// A copy of `value`.
    #[inline(always)]
    pub fn copy(&mut self, value: &[u8]) -> Bytes {
        if value.len() > Self::LONGEST {
            return Bytes::copy_from_slice(value);
        }
        if self.block.len() < value.len() {
            self.renew();
        }
        // The block is zeroed in advance and cut from the front: this takes two thirds of the time
        // of appending to a block that is not.
        let mut part = self.block.split_to(value.len());
        part.copy_from_slice(value);
        part.freeze()
    }

    fn renew(&mut self) {
        self.block.clear();
        self.block.reserve(Self::BLOCK);
        self.block.resize(Self::BLOCK, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn values_of_any_length_are_copied_as_they_are() {
        let mut copies = Copies::default();
        let values: Vec<Vec<u8>> = (0..600).map(|len| vec![len as u8; len]).collect();
        let kept: Vec<Bytes> = values.iter().map(|value| copies.copy(value)).collect();
        assert_eq!(kept, values);
    }

    #[test]
    fn only_values_up_to_the_longest_share_a_block() {
        for (len, lie_side_by_side) in [(Copies::LONGEST, true), (Copies::LONGEST + 1, false)] {
            let mut copies = Copies::default();
            let values = [copies.copy(&[1; 8]), copies.copy(&vec![2; len])];
            let [first, second] = values.each_ref().map(|value| value.as_ptr() as usize);
            assert_eq!(first + 8 == second, lie_side_by_side, "{len}");
        }
    }

    #[test]
    fn kept_values_share_blocks_of_bounded_size() {
        let mut copies = Copies::default();
        let kept: Vec<Bytes> = (0..1_000).map(|_| copies.copy(&[7; 64])).collect();
        let mut starts: Vec<usize> = kept.iter().map(|value| value.as_ptr() as usize).collect();
        starts.sort_unstable();
        let shared = starts.windows(2).filter(|pair| pair[1] - pair[0] == 64).count();
        assert!(shared >= 1_000 * 9 / 10, "{shared} of 1,000 lie side by side");
        // Each run of neighbours is within one block, and the longest fills it.
        let runs = starts.chunk_by(|a, b| b - a == 64).map(|run| run.len() * 64).max().unwrap();
        assert!((2_048..=2 * Copies::BLOCK).contains(&runs), "{runs}");
    }

    #[test]
    fn a_block_is_reused_when_all_its_values_are_dropped() {
        let mut copies = Copies::default();
        let places: BTreeSet<usize> =
            (0..10_000).map(|_| copies.copy(&[1; 100]).as_ptr() as usize).collect();
        assert!(places.len() <= 2 * Copies::BLOCK / 100, "{} places", places.len());
    }
}
