//! Slots: which of the 16,384 parts of a cluster a key belongs to.
//!
//! The slot is the CRC16 of the key (XMODEM: polynomial 0x1021, from zero, not reflected), modulo
//! 16,384. If a key has a `{` and a `}` behind it with something in between, only the part
//! between the first of each counts, so that callers can place keys together.
//!
//! Source: `keyHashSlot` in Redis's `src/cluster.c`, and the cluster specification.

use core::fmt;

use crate::key::Key;

/// One of the 16,384 parts that the keys of a cluster are divided into.
///
/// ```
/// use async_caches_core::cluster::slot::Slot;
///
/// assert_eq!(Slot::of(b"::user:1").number(), 6_009);
/// assert_eq!(Slot::of(b"::{user:1}:name"), Slot::of(b"::{user:1}:mail")); // placed together
/// assert_eq!(Slot::new(Slot::COUNT), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// How many slots every cluster has.
    pub const COUNT: u16 = 16_384;

    /// The slot with this number; `None` from [`Slot::COUNT`] on.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The slot of a whole key: `prefix:version:name`.
    #[inline]
    #[must_use]
    pub fn of(whole: &[u8]) -> Self {
        Self(crc16(tag(whole)) % Self::COUNT)
    }

    /// The slot of a key. A tag may lie in its prefix, its version or its name, or extend over
    /// them.
    #[inline]
    #[must_use]
    pub fn of_key(key: &Key<'_>) -> Self {
        key.with_bytes(Self::of)
    }

    /// Its number, below [`Slot::COUNT`].
    #[inline]
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of a key that decides its slot: the part between the first `{` and the next `}`, if
/// that is not empty, else all of the key.
#[inline]
#[must_use]
pub fn tag(whole: &[u8]) -> &[u8] {
    match braced(whole) {
        Some(tag) if !tag.is_empty() => tag,
        Some(_) | None => whole,
    }
}

fn braced(whole: &[u8]) -> Option<&[u8]> {
    let open = whole.iter().position(|&byte| byte == b'{')?;
    let behind = whole.get(open + 1..)?;
    let close = behind.iter().position(|&byte| byte == b'}')?;
    behind.get(..close)
}

/// Takes four bytes in one step: with steps of one byte, each would have to wait for the one
/// before.
fn crc16(bytes: &[u8]) -> u16 {
    let (steps, rest) = bytes.as_chunks::<4>();
    let crc = steps.iter().fold(0, |crc, &[a, b, c, d]| {
        let [high, low] = u16::to_be_bytes(crc);
        at(3, a ^ high) ^ at(2, b ^ low) ^ at(1, c) ^ at(0, d)
    });
    rest.iter().fold(crc, |crc, byte| {
        let [high, low] = crc.to_be_bytes();
        at(0, byte ^ high) ^ u16::from_be_bytes([low, 0])
    })
}

/// The remainder of `byte` with this many zero bytes behind it.
#[inline(always)]
fn at(zeros: usize, byte: u8) -> u16 {
    let table = TABLES.get(zeros);
    table.and_then(|table| table.get(usize::from(byte))).copied().unwrap_or_default()
}

static TABLES: [[u16; 256]; 4] = tables();

#[allow(clippy::indexing_slicing, reason = "it runs while this is compiled, and never after")]
const fn tables() -> [[u16; 256]; 4] {
    const POLYNOMIAL: u16 = 0x1021;
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut zeros = 0;
        while zeros < 4 {
            let mut bit = 0;
            while bit < 8 {
                let carry = crc & 0x8000 != 0;
                crc <<= 1;
                if carry {
                    crc ^= POLYNOMIAL;
                }
                bit += 1;
            }
            tables[zeros][byte] = crc;
            zeros += 1;
        }
        byte += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::key::{KeySpace, Version};

    /// The definition, bit by bit.
    fn naive(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc: u16, _| {
                (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
            })
        })
    }

    #[test]
    fn crc16_matches_the_check_value_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn slots_match_known_replies_of_a_server() {
        for (key, slot) in [
            (&b""[..], 0),
            (b"foo", 12182),
            (b"bar", 5061),
            (b"somekey", 11058),
            (b"foo{hash_tag}", 2515),
            (b"bar{hash_tag}", 2515),
            (b"hash_tag", 2515),
        ] {
            assert_eq!(Slot::of(key).number(), slot, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn a_hash_tag_is_the_nonempty_text_in_the_first_braces() {
        for (key, part) in [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("{", "{"),
            ("}{a}", "a"),
            ("a}b{c", "a}b{c"),
            ("{}", "{}"),
            ("a{b", "a{b"),
        ] {
            assert_eq!(tag(key.as_bytes()), part.as_bytes(), "{key}");
        }
    }

    #[test]
    fn a_tag_may_reach_over_prefix_version_and_name() {
        let space = KeySpace::new("p{q", Version::Integer(2)).unwrap();
        let scope = space.scope(None).unwrap();
        assert_eq!(Slot::of_key(&scope.key(b"na}me")), Slot::of(b"q:2:na"));
    }

    #[test]
    fn exactly_the_numbers_below_the_count_are_slots() {
        let slots: Vec<_> = (0..=u16::MAX).filter_map(Slot::new).collect();
        assert_eq!(slots.len(), usize::from(Slot::COUNT));
        assert!(slots.iter().zip(0..).all(|(slot, number)| slot.number() == number));
    }

    proptest! {
        #[test]
        fn crc16_by_four_bytes_agrees_with_crc16_by_bits(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(crc16(&bytes), naive(&bytes));
        }
    }
}
