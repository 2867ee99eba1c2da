//! Numbers in the cache: JSON numbers that can be added to.
//!
//! A stored number is text, and every backend must produce the same text for the same sum: the
//! in-memory store in this process and the script on a Redis server. So this module is limited to
//! what such a script can do. The script prints doubles with C's `printf`. The grammar is that of
//! JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259#section-6)), because a stored value is
//! whatever some process serialized.
//!
//! This module does not store the text.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::NumberError;

/// A number to add, or the sum: an integer or a double.
///
/// ```
/// use async_caches_core::command::Number;
///
/// let (sum, text) = Number::Integer(1).add_to(b"41")?;
/// assert_eq!((sum, text.as_slice()), (Number::Integer(42), &b"42"[..]));
/// let (sum, text) = Number::Float(0.5).add_to(b"41")?;
/// assert_eq!((sum, text.as_slice()), (Number::Float(41.5), &b"41.5"[..]));
/// # Ok::<(), async_caches_core::error::NumberError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// An integer; it can only be added to integers. A sum is always within `i64`. A delta may also
    /// be the negation of any `i64`.
    Integer(i128),
    /// A double; it can be added to any number. In a reply it is never infinite or NaN.
    Float(f64),
}

impl Number {
    /// Adds this number to the one that `stored` spells, and returns the sum and its text to store.
    ///
    /// The sum is of this number's kind, whatever the kind of the stored one. A double that is a
    /// whole number below 2^53 is spelled in plain digits. Any other double is the shortest of C's
    /// `%.15g`, `%.16g` and `%.17g` that reads back as the same double.
    ///
    /// # Errors
    /// [`NumberError::NotANumber`] unless `stored` is a JSON number with nothing around it;
    /// [`NumberError::NotAnInteger`] if this number is an integer and `stored` has a fraction or an
    /// exponent, or is `-0`; [`NumberError::Overflow`] if a stored integer or a sum is outside of
    /// `i64`, or if a sum is not finite. Never [`NumberError::KeyNotFound`].
    pub fn add_to(self, stored: &[u8]) -> Result<(Self, Vec<u8>), NumberError> {
        let literal = Literal::parse(stored).ok_or(NumberError::NotANumber)?;
        match self {
            Self::Integer(delta) => {
                let sum = i128::from(literal.integer()?).checked_add(delta);
                let sum =
                    sum.and_then(|sum| i64::try_from(sum).ok()).ok_or(NumberError::Overflow)?;
                Ok((Self::Integer(sum.into()), itoa::Buffer::new().format(sum).as_bytes().to_vec()))
            }
            Self::Float(delta) => {
                // Adding zero turns a negative zero into zero, and changes nothing else.
                let sum = literal.double()? + delta + 0.0;
                if !sum.is_finite() {
                    return Err(NumberError::Overflow);
                }
                Ok((Self::Float(sum), spell(sum).into_bytes()))
            }
        }
    }

    /// The text that this number is stored as; `None` if a backend could not keep it, as for an
    /// integer outside of `i64` or a double that is not finite.
    #[must_use]
    pub fn text(self) -> Option<Vec<u8>> {
        match self {
            Self::Integer(number) => i64::try_from(number).ok().map(|it| it.to_string().into()),
            Self::Float(number) => {
                // Adding zero turns a negative zero into zero, and changes nothing else.
                number.is_finite().then(|| spell(number + 0.0).into_bytes())
            }
        }
    }

    /// Whether the number may be added to a stored one: a double, an integer within `i64`, or the
    /// negation of one. A larger integer would fit some sums but no server's command, so it
    /// overflows with every backend.
    #[must_use]
    pub fn is_a_delta(self) -> bool {
        match self {
            Self::Integer(number) => {
                (i128::from(i64::MIN)..=-i128::from(i64::MIN)).contains(&number)
            }
            Self::Float(_) => true,
        }
    }

    /// The number with the opposite sign. The lowest `i128` has no opposite and stays as it is; it
    /// overflows with any number either way.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Integer(number) => Self::Integer(number.wrapping_neg()),
            Self::Float(number) => Self::Float(-number),
        }
    }
}

/// Text that matches `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
struct Literal<'a> {
    text: &'a str,
    whole: bool,
}

impl<'a> Literal<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let rest = match unsigned.strip_prefix('0') {
            Some(rest) => rest,
            None => digits(unsigned)?,
        };
        let whole = rest.is_empty();
        let rest = match rest.strip_prefix('.') {
            Some(fraction) => digits(fraction)?,
            None => rest,
        };
        let rest = match rest.strip_prefix(['e', 'E']) {
            Some(exponent) => digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))?,
            None => rest,
        };
        rest.is_empty().then_some(Self { text, whole })
    }

    fn integer(&self) -> Result<i64, NumberError> {
        if !self.whole || self.text == "-0" {
            return Err(NumberError::NotAnInteger);
        }
        self.text.parse().map_err(|_| NumberError::Overflow)
    }

    fn double(&self) -> Result<f64, NumberError> {
        self.text.parse().map_err(|_| NumberError::NotANumber)
    }
}

/// The text after the digits that `text` begins with; `None` if it does not begin with a digit.
fn digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

fn spell(number: f64) -> String {
    if number.abs() < FIRST_INEXACT {
        // Below the bound, the cast loses only the fraction.
        let whole = number as i64;
        if whole as f64 == number {
            return whole.to_string();
        }
    }
    let reads_back = |text: &String| text.parse() == Ok(number);
    (15..17)
        .map(|precision| general(number, precision))
        .find(reads_back)
        .unwrap_or_else(|| general(number, 17))
}

/// Formats a finite `number` as C's `printf` does with `%.{precision}g`.
///
/// The C standard chooses the form by the exponent of the *rounded* number. So the exponent comes
/// from the scientific form even if the result is in the plain form.
fn general(number: f64, precision: usize) -> String {
    let scientific = format!("{number:.*e}", precision.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let decimals = i32::try_from(precision).unwrap_or(i32::MAX) - 1 - exponent;
    if exponent < -4 || decimals < 0 {
        let sign = if exponent.is_negative() { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    trimmed(&format!("{number:.*}", usize::try_from(decimals).unwrap_or(0))).to_owned()
}

fn trimmed(decimal: &str) -> &str {
    if !decimal.contains('.') {
        return decimal;
    }
    decimal.trim_end_matches('0').trim_end_matches('.')
}

/// 2^53: from here on, a double cannot represent every whole number.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Number::{Float, Integer};
    use super::*;

    fn text(delta: Number, stored: &str) -> Result<String, NumberError> {
        delta.add_to(stored.as_bytes()).map(|(_, text)| String::from_utf8(text).unwrap())
    }

    #[test]
    fn integers_add_within_64_bits_and_not_past_them() {
        assert_eq!(Integer(1).add_to(b"41"), Ok((Integer(42), b"42".to_vec())));
        assert_eq!(text(Integer(-43), "42").unwrap(), "-1");
        assert_eq!(text(Integer(0), "-9223372036854775808").unwrap(), "-9223372036854775808");
        assert_eq!(text(Integer(-1), "9223372036854775807").unwrap(), "9223372036854775806");
        let past =
            ["9223372036854775807", "9223372036854775808", "99999999999999999999999999999999"];
        for stored in past {
            assert_eq!(text(Integer(1), stored), Err(NumberError::Overflow), "{stored}");
        }
        assert_eq!(text(Integer(-1), "-9223372036854775808"), Err(NumberError::Overflow));
    }

    #[test]
    fn an_integer_does_not_add_to_a_fraction_an_exponent_or_a_negative_zero() {
        for stored in ["1.5", "1.0", "1e3", "1E+3", "-0", "-0.0", "9223372036854775808.5"] {
            assert_eq!(text(Integer(1), stored), Err(NumberError::NotAnInteger), "{stored}");
        }
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        let not = "|-|+1|01|-01|00|1.|.5|1e|1e+|1.e1|0x10|1_0|NaN|inf|Infinity|nan|--1|null|\"1\"| 1|1 \
                   |1\n|1,|1.5.5|1e5e5|1e5.5|\u{661}|1\0";
        for stored in not.split('|') {
            assert_eq!(text(Integer(1), stored), Err(NumberError::NotANumber), "{stored:?}");
            assert_eq!(text(Float(1.0), stored), Err(NumberError::NotANumber), "{stored:?}");
        }
        assert_eq!(Integer(1).add_to(b"\xff"), Err(NumberError::NotANumber));
        for stored in ["0", "-0", "10", "-1.50", "0.0e0", "1E-05", "1e+0005"] {
            assert!(text(Float(1.0), stored).is_ok(), "{stored}");
        }
    }

    #[test]
    fn a_double_adds_to_an_integer_and_gives_a_double() {
        assert_eq!(Float(0.5).add_to(b"1"), Ok((Float(1.5), b"1.5".to_vec())));
        assert_eq!(Float(1.0).add_to(b"1"), Ok((Float(2.0), b"2".to_vec())));
    }

    #[test]
    fn a_zero_sum_has_no_sign() {
        for (delta, stored) in [(-0.0, "-0"), (-1.5, "1.5"), (0.0, "-0.0e9")] {
            let (Float(sum), text) = Float(delta).add_to(stored.as_bytes()).unwrap() else {
                panic!("the answer is of the delta's kind");
            };
            assert_eq!((sum.is_sign_negative(), text), (false, b"0".to_vec()));
        }
    }

    #[test]
    fn a_sum_of_doubles_that_is_not_finite_is_an_overflow() {
        let cases = [
            (1.0, "1e999"),
            (1.0, "-1e999"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::INFINITY, "1"),
            (f64::NAN, "1"),
            (f64::NEG_INFINITY, "1e999"),
        ];
        for (delta, stored) in cases {
            assert_eq!(text(Float(delta), stored), Err(NumberError::Overflow), "{stored}");
        }
    }

    /// Checked against glibc's `printf`.
    #[test]
    fn doubles_are_formatted_as_by_printf() {
        let cases = [
            ("0.1", 0.2, "0.30000000000000004"),
            ("0.1", 0.0, "0.1"),
            ("9007199254740991", 0.0, "9007199254740991"),
            ("-9007199254740991", 0.0, "-9007199254740991"),
            ("9007199254740992", 0.0, "9007199254740992"),
            ("90071992547409920", 0.0, "9.007199254740992e+16"),
            ("1e15", 0.0, "1000000000000000"),
            ("1e16", 0.0, "1e+16"),
            ("1e17", 0.0, "1e+17"),
            ("1e20", 0.0, "1e+20"),
            ("123456789012345680000", 0.0, "1.2345678901234568e+20"),
            ("1e100", 0.0, "1e+100"),
            ("0.0001", 0.0, "0.0001"),
            ("0.00001", 0.0, "1e-05"),
            ("0.00000015", 0.0, "1.5e-07"),
            ("-0.00012345", 0.0, "-0.00012345"),
            ("2251799813685248.5", 0.0, "2251799813685248.5"),
            ("123456789012345.6", 0.0, "123456789012345.6"),
            ("99999.99999999999", 0.0, "99999.99999999999"),
            ("5e-324", 0.0, "4.94065645841247e-324"),
            ("2.2250738585072014e-308", 0.0, "2.2250738585072014e-308"),
            ("1.7976931348623157e308", 0.0, "1.7976931348623157e+308"),
        ];
        for (stored, delta, spelled) in cases {
            assert_eq!(text(Float(delta), stored).unwrap(), spelled, "{stored} + {delta}");
        }
    }

    #[test]
    fn a_number_is_formatted_like_its_sum_with_zero() {
        for number in [Integer(0), Integer(-7), Integer(i64::MAX.into()), Float(1.5), Float(-0.0)] {
            let text = number.text().unwrap();
            let zero = if let Integer(_) = number { Integer(0) } else { Float(0.0) };
            assert_eq!(zero.add_to(&text).unwrap().1, text, "{number:?}");
        }
        for number in [Integer(1 << 63), Float(f64::NAN), Float(f64::INFINITY)] {
            assert_eq!(number.text(), None, "{number:?}");
        }
    }

    #[test]
    fn the_negated_lowest_i64_is_added_if_the_sum_fits() {
        let opposite = Integer(i64::MIN.into()).negated();
        assert_eq!(opposite, Integer(1 << 63));
        assert_eq!(text(opposite, "-1"), Ok(i64::MAX.to_string()));
        assert_eq!(text(opposite, "0"), Err(NumberError::Overflow));
        assert_eq!(text(Integer(i128::MIN).negated(), "-1"), Err(NumberError::Overflow));
        assert_eq!(Float(1.5).negated(), Float(-1.5));
    }

    fn doubles() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
            (any::<i64>(), -30..30_i32).prop_map(|(m, e)| m as f64 * 10_f64.powi(e)),
            any::<i32>().prop_map(|cents| f64::from(cents) / 100.0),
        ]
    }

    proptest! {
        #[test]
        fn integers_add_like_wide_integers_or_overflow(stored: i64, delta: i64) {
            let wide = i128::from(stored) + i128::from(delta);
            let sum = Integer(delta.into()).add_to(stored.to_string().as_bytes());
            match i64::try_from(wide) {
                Ok(_) => prop_assert_eq!(sum, Ok((Integer(wide), wide.to_string().into_bytes()))),
                Err(_) => prop_assert_eq!(sum, Err(NumberError::Overflow)),
            }
        }

        #[test]
        fn the_text_of_a_sum_is_a_json_number_that_reads_back(stored in doubles(), delta in doubles()) {
            let wanted = stored + delta;
            match Float(delta).add_to(format!("{stored:e}").as_bytes()) {
                Ok((sum, text)) => {
                    prop_assert_eq!(sum, Float(wanted));
                    prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok());
                    prop_assert_eq!(core::str::from_utf8(&text).unwrap().parse(), Ok(wanted));
                    prop_assert_eq!(Float(0.0).add_to(&text), Ok((sum, text)));
                }
                Err(error) => {
                    prop_assert_eq!(error, NumberError::Overflow);
                    prop_assert!(!wanted.is_finite());
                }
            }
        }

        #[test]
        fn a_general_form_keeps_the_value_to_its_precision(number in doubles()) {
            for precision in 15..=17 {
                let text = general(number, precision);
                let significant = text.trim_start_matches(['-', '0', '.']);
                let mantissa = significant.split('e').next().unwrap();
                let kept = mantissa.bytes().filter(u8::is_ascii_digit).count();
                prop_assert!(kept <= precision || !mantissa.contains('.'), "{}", text);
                let read: f64 = text.parse().unwrap();
                prop_assert!((read - number).abs() <= number.abs() * 1e-14, "{}", text);
            }
            prop_assert_eq!(general(number, 17).parse(), Ok(number));
        }

        #[test]
        fn bytes_are_a_number_exactly_if_serde_parses_one(
            stored in "[-+]?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][-+]?[0-9]{0,2})?[ n]?"
        ) {
            let json = serde_json::from_str::<f64>(&stored).is_ok() && !stored.ends_with(' ');
            prop_assert_eq!(Float(0.0).add_to(stored.as_bytes()).is_ok(), json);
        }
    }
}
