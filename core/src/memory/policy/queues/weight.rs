//! A weight in two bytes: exact up to 4,095, and to one part in two thousand above.
//!
//! It steers the choice of a victim, and bounds nothing. A larger weight than fits counts as the
//! largest.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Weight(u16);

impl Weight {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn of(weight: u64) -> Self {
        let bits = u64::BITS - weight.leading_zeros();
        let shift = bits.saturating_sub(DIGITS).min(MOST_SHIFT);
        let digits = u16::try_from(weight >> shift).map_or(MASK, |digits| digits.min(MASK));
        let shift = u16::try_from(shift).unwrap_or(0);
        Self(shift << DIGITS | digits)
    }

    #[inline]
    pub(super) fn get(self) -> u64 {
        u64::from(self.0 & MASK) << (self.0 >> DIGITS)
    }
}

const DIGITS: u32 = 12;
const MASK: u16 = (1 << DIGITS) - 1;
const MOST_SHIFT: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_exact_if_it_is_small_and_nearly_so_if_it_is_large() {
        assert!((0..4096).all(|weight| Weight::of(weight).get() == weight));
        for weight in (0..27).flat_map(|bit| [1 << bit, (1 << bit) - 1, 3 << bit, 12_345 << bit]) {
            let got = Weight::of(weight).get();
            let most = u64::from(MASK) << MOST_SHIFT;
            assert!(got <= weight && (weight.min(most) - got) * 2048 <= weight, "{weight}: {got}");
        }
        assert_eq!(Weight::of(u64::MAX).get(), u64::from(MASK) << MOST_SHIFT);
    }
}
