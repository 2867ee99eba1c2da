//! Chance: the jitter of timeouts, and when XFetch refreshes early.
//!
//! Everything is computed in integers, so that one roll has the same result on every machine.

use core::fmt;
use core::time::Duration;

/// A part of a whole: more than nothing and less than all of it, in millionths.
///
/// ```
/// use async_caches_core::freshness::Share;
///
/// let share = Share::new(0.8).expect("a share is between 0 and 1");
/// assert_eq!(share.to_string(), "0.8");
/// assert_eq!(Share::from_millionths(800_000), Some(share));
/// assert_eq!(Share::new(0.0).or(Share::new(1.0)).or(Share::new(f64::NAN)), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Share(u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// A share of so many millionths; `None` for zero, and for a million and more.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if 0 < millionths && millionths < Self::WHOLE { Some(Self(millionths)) } else { None }
    }

    /// The share that is nearest to this number; `None` unless the number is above 0 and below 1.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        let is_part = 0.0 < share && share < 1.0;
        let millionths = (share * f64::from(Self::WHOLE) + 0.5) as u32;
        is_part.then(|| Self(millionths.clamp(1, Self::WHOLE - 1)))
    }

    /// The share, in millionths: 1 to 999,999.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// This share of a span, rounded down. So it is less than the span, unless that is zero.
    pub(super) fn of(self, span: Duration) -> Duration {
        from_nanos(span.as_nanos() * u128::from(self.0) / u128::from(Self::WHOLE))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut digits, mut width) = (self.0, 6);
        while digits % 10 == 0 && width > 1 {
            (digits, width) = (digits / 10, width - 1);
        }
        write!(f, "0.{digits:0width$}")
    }
}

/// How eagerly XFetch refreshes, in thousandths: above [`Beta::ONE`] earlier, below it later.
///
/// ```
/// use async_caches_core::freshness::Beta;
///
/// assert_eq!(Beta::from_thousandths(1000), Some(Beta::ONE));
/// assert_eq!(Beta::from_thousandths(0), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Beta(u32);

impl Beta {
    /// The value that the authors of XFetch recommend.
    pub const ONE: Self = Self(1000);

    /// So many thousandths; `None` for zero, which would never refresh early.
    #[must_use]
    pub const fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths > 0 { Some(Self(thousandths)) } else { None }
    }
}

impl Default for Beta {
    fn default() -> Self {
        Self::ONE
    }
}

/// Shortens a timeout by chance, so that entries that were stored together do not get stale
/// together.
///
/// At most `share` of the timeout is cut off, and all lengths down to there are equally likely. The
/// result is never zero unless the timeout is. `roll` is drawn evenly from all `u64`s; a larger
/// roll shortens more.
///
/// ```
/// use async_caches_core::freshness::{Share, jittered};
/// use core::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// let tenth = Share::new(0.1).expect("a share is between 0 and 1");
/// assert_eq!(jittered(minute, tenth, 0), minute);
/// assert_eq!(jittered(minute, tenth, 1 << 63), Duration::from_secs(57));
/// assert!(jittered(minute, tenth, u64::MAX) > Duration::from_secs(54));
/// ```
#[must_use]
pub fn jittered(timeout: Duration, share: Share, roll: u64) -> Duration {
    let (most, roll) = (share.of(timeout).as_nanos(), u128::from(roll));
    // The product has more than 128 bits if the timeout is longer than 584 years.
    let (high, low) = (most >> 64, most & u128::from(u64::MAX));
    timeout.saturating_sub(from_nanos(high * roll + ((low * roll) >> 64)))
}

/// How long before an entry gets stale XFetch refreshes it: `-cost * beta * ln(random)`, where
/// `random` is `(roll + 1) / 2^64`. Rounded down; a cost of more than 584 years counts as that.
pub(super) fn early_by(cost: Duration, beta: Beta, roll: u64) -> Duration {
    let cost = u128::from(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX));
    let ahead = (cost * u128::from(minus_ln(roll))) >> FRACTION_BITS;
    from_nanos(ahead * u128::from(beta.0) / u128::from(Beta::ONE.0))
}

/// `-ln((roll + 1) / 2^64)` with 32 bits after the point, from 0 to 44.4. At most 2^-31 from the
/// exact value.
///
/// The logarithm to the base 2 is found bit by bit. With each squaring of a number between 1 and 2
/// its logarithm doubles: if the square is 2 or more, the next bit is one, and the square is
/// halved.
fn minus_ln(roll: u64) -> u64 {
    let Some(number) = roll.checked_add(1) else { return 0 };
    let zeros = number.leading_zeros();
    let mut log = u64::from(63 - zeros);
    // Between 1 and 2, with 63 bits after the point.
    let mut rest = number << zeros;
    for _ in 0..FRACTION_BITS {
        let square = u128::from(rest) * u128::from(rest);
        let bit = (square >> 127) as u64;
        rest = (square >> (63 + bit)) as u64;
        log = (log << 1) | bit;
    }
    let minus_log = (64 << FRACTION_BITS) - log;
    ((u128::from(minus_log) * LN_2) >> 64) as u64
}

fn from_nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % 1_000_000_000) as u32)
}

const FRACTION_BITS: u32 = 32;

/// The natural logarithm of 2, with 64 bits after the point.
const LN_2: u128 = 12_786_308_645_202_655_660;

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::retry::Random;

    const COST: Duration = Duration::from_millis(100);

    fn share(millionths: u32) -> Share {
        Share::from_millionths(millionths).expect("a part")
    }

    fn rolls(seed: u64, count: usize) -> Vec<u64> {
        let mut random = Random::new(seed);
        (0..count).map(|_| random.next()).collect()
    }

    #[test]
    fn a_share_is_more_than_nothing_and_less_than_all() {
        assert_eq!(Share::from_millionths(0), None);
        assert_eq!(Share::from_millionths(1_000_000), None);
        assert_eq!(Share::from_millionths(u32::MAX), None);
        for refused in [0.0, -0.0, 1.0, -0.5, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Share::new(refused), None, "{refused}");
        }
        assert_eq!(Share::new(f64::MIN_POSITIVE), Some(share(1)));
        assert_eq!(Share::new(1.0 - f64::EPSILON), Some(share(999_999)));
        assert_eq!(Share::new(0.29), Some(share(290_000)));
    }

    #[test]
    fn a_share_is_shown_as_a_decimal_number() {
        let shown = [1, 10, 50_000, 123_456, 500_000, 999_999].map(|it| share(it).to_string());
        assert_eq!(shown, ["0.000001", "0.00001", "0.05", "0.123456", "0.5", "0.999999"]);
    }

    #[test]
    fn the_logarithm_is_exact_at_the_powers_of_two() {
        assert_eq!(minus_ln(u64::MAX), 0);
        for halvings in 1..=64_u32 {
            let roll = ((1_u128 << (64 - halvings)) - 1) as u64;
            let exact = (u128::from(halvings) * LN_2) >> 32;
            assert_eq!(u128::from(minus_ln(roll)), exact, "2^-{halvings}");
        }
    }

    #[test]
    fn the_logarithm_of_a_roll_is_that_of_a_float() {
        for roll in rolls(1, 10_000).into_iter().chain([0, 1, 2, u64::MAX / 3, u64::MAX - 1]) {
            let exact = -((roll as f64 + 1.0) / 2_f64.powi(64)).ln();
            let ours = minus_ln(roll) as f64 / 2_f64.powi(32);
            assert!((ours - exact).abs() < 2_f64.powi(-30), "{roll}: {ours}, not {exact}");
        }
    }

    #[test]
    fn xfetch_refreshes_as_often_as_its_formula_says() {
        const ROLLS: usize = 100_000;
        for (seed, thousandths) in [(1, 1000), (2, 2500), (3, 400)] {
            let beta = Beta::from_thousandths(thousandths).expect("not zero");
            let rolls = rolls(seed, ROLLS);
            for left in [1, 20, 70, 100, 250, 500].map(Duration::from_millis) {
                let chosen =
                    rolls.iter().filter(|&&roll| left <= early_by(COST, beta, roll)).count();
                let scale = COST.as_secs_f64() * f64::from(thousandths) / 1000.0;
                let exact = (-left.as_secs_f64() / scale).exp();
                let sigma = (exact * (1.0 - exact) / ROLLS as f64).sqrt();
                let found = chosen as f64 / ROLLS as f64;
                assert!((found - exact).abs() < 4.0 * sigma, "{left:?}: {found}, not {exact}");
            }
        }
    }

    #[test]
    fn xfetch_never_refreshes_early_without_a_load_cost() {
        assert_eq!(early_by(Duration::ZERO, Beta(u32::MAX), 0), Duration::ZERO);
    }

    #[test]
    fn xfetch_saturates_at_the_longest_cost() {
        let longest = early_by(Duration::MAX, Beta(u32::MAX), 0);
        assert!(longest > Duration::from_nanos(u64::MAX));
        assert_eq!(early_by(Duration::from_nanos(u64::MAX), Beta(u32::MAX), 0), longest);
    }

    #[test]
    fn jitter_is_spread_evenly_over_its_share() {
        let timeout = Duration::from_secs(1000);
        let mut tenths = [0_u32; 10];
        for roll in rolls(4, 10_000) {
            let cut = timeout - jittered(timeout, share(200_000), roll);
            let tenth = usize::try_from(cut.as_secs() / 20).expect("few");
            tenths[tenth] += 1;
        }
        // Within four standard deviations of a tenth of all.
        assert!(tenths.iter().all(|&count| (880..=1120).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn jitter_works_beyond_584_years() {
        let timeout = Duration::MAX;
        assert_eq!(jittered(timeout, share(500_000), 0), timeout);
        let half = jittered(timeout, share(500_000), u64::MAX);
        assert!(half > timeout / 2 && half < timeout / 2 + timeout / 1_000_000);
    }

    proptest! {
        #[test]
        fn jitter_only_shortens_and_never_to_zero(
            nanos in prop_oneof![1..1000_u64, 1..=u64::MAX],
            millionths in 1..1_000_000_u32,
            roll: u64,
        ) {
            let timeout = Duration::from_nanos(nanos);
            let short = jittered(timeout, share(millionths), roll);
            prop_assert!(short <= timeout && short > Duration::ZERO);
            prop_assert!(short >= timeout - share(millionths).of(timeout));
        }

        #[test]
        fn a_smaller_roll_refreshes_no_later(one: u64, other: u64) {
            let by = |roll| early_by(COST, Beta::ONE, roll);
            prop_assert!(by(one.min(other)) >= by(one.max(other)));
        }
    }
}
