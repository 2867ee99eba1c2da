//! A key and its value, in as few blocks of memory as they can be kept in.
//!
//! A small value lies behind its key in one block, with a count of who holds it in front. It is
//! copied on the way in, so that it keeps nothing alive of which it was a part; who reads it shares
//! the block, which costs one addition on the cache line that the comparison of keys has brought. A
//! large value stays the caller's own and is shared.

use alloc::boxed::Box;

use bytes::{BufMut as _, Bytes};

#[derive(Debug)]
pub(super) enum Body {
    /// How long the key is in one byte, the key, and the value.
    Near(Bytes),
    /// What does not fit the record is behind one pointer, so that all records are smaller.
    Far(Box<Far>),
}

#[derive(Debug)]
pub(super) struct Far {
    key: Box<[u8]>,
    value: Bytes,
}

impl Body {
    pub(super) fn new(key: &[u8], value: &Bytes) -> Self {
        match u8::try_from(key.len()) {
            Ok(key_len) if value.len() <= LONGEST_VALUE => Self::Near(block(key_len, key, value)),
            Ok(_) | Err(_) => Self::Far(Box::new(Far { key: key.into(), value: value.clone() })),
        }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        self.split().0
    }

    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        self.split().1
    }

    /// The value for a caller to keep.
    #[inline]
    pub(super) fn share(&self) -> Bytes {
        match self {
            Self::Near(block) => block.slice(block.len() - self.value().len()..),
            Self::Far(far) => far.value.clone(),
        }
    }

    #[inline]
    fn split(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Near(block) => block
                .split_first()
                .and_then(|(key_len, rest)| rest.split_at_checked(usize::from(*key_len)))
                .unwrap_or_default(),
            Self::Far(far) => (&far.key, &far.value),
        }
    }
}

/// Whether a value is kept in one block with its key.
pub(super) fn is_near(key: &[u8], value: &[u8]) -> bool {
    u8::try_from(key.len()).is_ok() && value.len() <= LONGEST_VALUE
}

/// Puts key and value into one block: of few sizes, so that there is a program for each.
fn block(key_len: u8, key: &[u8], value: &[u8]) -> Bytes {
    let make = match 1 + key.len() + value.len() {
        0..=16 => filled::<16>,
        17..=32 => filled::<32>,
        33..=48 => filled::<48>,
        49..=64 => filled::<64>,
        65..=80 => filled::<80>,
        81..=96 => filled::<96>,
        97..=112 => filled::<112>,
        113..=128 => filled::<128>,
        129..=160 => filled::<160>,
        161..=192 => filled::<192>,
        193..=224 => filled::<224>,
        225..=256 => filled::<256>,
        257..=320 => filled::<320>,
        321..=384 => filled::<384>,
        385..=448 => filled::<448>,
        _ => filled::<LARGEST_BLOCK>,
    };
    make(key_len, key, value)
}

/// A block with room for `ROOM` bytes, behind the count of those who hold it: the one way to have
/// both in one allocation. With multiples of sixteen nothing is lost to an allocator's rounding.
fn filled<const ROOM: usize>(key_len: u8, key: &[u8], value: &[u8]) -> Bytes {
    let mut room = [0; ROOM];
    let mut rest = room.as_mut_slice();
    rest.put_u8(key_len);
    rest.put_slice(key);
    rest.put_slice(value);
    let len = ROOM - rest.len();
    let mut block = Bytes::from_owner(room);
    block.truncate(len);
    block
}

const LONGEST_KEY: usize = 255;
/// The longest value that is kept in one block with its key.
const LONGEST_VALUE: usize = 256;
const LARGEST_BLOCK: usize = 1 + LONGEST_KEY + LONGEST_VALUE;

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn keys_and_values_of_any_length_are_kept_as_they_are() {
        let lens = (0..300).chain([511, 512, 513, 5000]);
        for key_len in [0, 1, 20, 127, 254, 255, 256, 5000] {
            for value_len in lens.clone() {
                let (key, value) = (vec![b'k'; key_len], Bytes::from(vec![b'v'; value_len]));
                let body = Body::new(&key, &value);
                assert_eq!((body.key(), body.value()), (&*key, &*value));
                assert_eq!(body.share(), value);
                assert_eq!(matches!(body, Body::Near(_)), is_near(&key, &value));
            }
        }
    }

    #[test]
    fn a_small_value_keeps_nothing_alive_and_a_large_one_is_shared() {
        let block = Bytes::from(vec![7; 10_000]);
        let small = Body::new(b"k", &block.slice(..100));
        assert!(block.is_unique());
        let large = Body::new(b"k", &block);
        assert!(!block.is_unique());
        assert_eq!(large.share().as_ptr(), block.as_ptr());
        assert_eq!(small.value(), &[7; 100]);
    }

    #[test]
    fn who_reads_a_small_value_shares_it_and_may_keep_it() {
        let body = Body::new(b"key", &Bytes::from_static(b"value"));
        let (one, other) = (body.share(), body.share());
        assert_eq!(one.as_ptr(), body.value().as_ptr());
        assert_eq!(one.as_ptr(), other.as_ptr());
        drop(body);
        assert_eq!((&*one, &*other), (&b"value"[..], &b"value"[..]));
    }
}
