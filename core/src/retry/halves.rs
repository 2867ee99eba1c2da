//! How a command for many keys is split after its connection ended.
//!
//! Its reply may be larger than the server, or this client, allows, though no single value is. So
//! the keys are halved, and each half is requested on its own, until the piece that is too large is
//! one value. One such value among many costs one connection for each halving. If two pieces that
//! do not overlap were both too large, however, the size is the reason and no single value. Then
//! all pieces to come are cut to half the size of the last one.

use core::ops::Range;

/// How far the keys of one batch have to be split.
#[derive(Clone, Debug, Default)]
pub struct Halves {
    /// The last piece that ended its connection.
    last: Option<Range<usize>>,
    most: Option<usize>,
}

impl Halves {
    /// Reports that a piece ended its connection. Returns its halves, or `None` for a piece of one
    /// key.
    pub fn ended(&mut self, piece: &Range<usize>) -> Option<[Range<usize>; 2]> {
        let half = piece.len() / 2;
        if half == 0 {
            return None;
        }
        let overlaps = |last: &Range<usize>| last.start < piece.end && piece.start < last.end;
        if self.last.as_ref().is_some_and(|last| !overlaps(last)) {
            self.most = Some(self.most.map_or(half, |most| most.min(half)));
        }
        self.last = Some(piece.clone());
        let middle = piece.start + half;
        Some([piece.start..middle, middle..piece.end])
    }

    /// How many keys a piece may have, as far as is known.
    #[must_use]
    pub fn most(&self) -> Option<usize> {
        self.most
    }

    /// Cuts a piece in two: the part to request first, and the rest.
    #[must_use]
    pub fn cut(&self, piece: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
        match self.most {
            Some(most) if piece.len() > most => {
                let middle = piece.start + most;
                (piece.start..middle, Some(middle..piece.end))
            }
            Some(_) | None => (piece, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    /// Asks for all keys, in pieces one after the other; returns how many connections ended and how
    /// many commands were answered, or the key that is too large by itself.
    fn ask(
        len: usize,
        is_too_large: impl Fn(&Range<usize>) -> bool,
    ) -> Result<(u32, u32), (usize, u32)> {
        let whole = 0..len;
        let (mut halves, mut left) = (Halves::default(), vec![whole]);
        let (mut ended, mut answered, mut seen) = (0, 0, 0);
        while let Some(piece) = left.pop() {
            let (piece, rest) = halves.cut(piece);
            left.extend(rest);
            assert_eq!(piece.start, seen, "in order, and each key once");
            if !is_too_large(&piece) {
                answered += 1;
                seen = piece.end;
                continue;
            }
            ended += 1;
            match halves.ended(&piece) {
                Some([first, second]) => left.extend([second, first]),
                None => return Err((piece.start, ended)),
            }
        }
        assert_eq!(seen, len);
        Ok((ended, answered))
    }

    #[test]
    fn a_piece_is_halved_until_it_fits() {
        assert_eq!(ask(512, |piece| piece.len() > 512), Ok((0, 1)));
        assert_eq!(ask(512, |piece| piece.len() > 300), Ok((1, 2)));
        // 512, 256, 128, and the piece beside it, which proves that the size is the reason.
        assert_eq!(ask(512, |piece| piece.len() > 100), Ok((4, 8)));
        assert_eq!(ask(512, |piece| piece.len() > 1).map(|(ended, _)| ended < 16), Ok(true));
    }

    #[test]
    fn one_value_that_is_too_large_is_found_with_one_connection_for_each_halving() {
        for key in [0, 255, 256, 511] {
            assert_eq!(ask(512, |piece| piece.contains(&key)), Err((key, 10)));
        }
        assert_eq!(ask(1, |_| true), Err((0, 1)));
    }

    #[test]
    fn a_server_that_ends_every_connection_costs_one_for_each_halving() {
        assert_eq!(ask(512, |_| true), Err((0, 10)));
        assert_eq!(ask(4_096, |_| true), Err((0, 13)));
    }
}
