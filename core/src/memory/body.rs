//! A key and its value, in as few blocks of memory as possible.
//!
//! Every value is copied when it is stored. So it keeps nothing else alive, such as the reply that
//! it was a part of or a vector with spare capacity, and the bytes it takes are the bytes that are
//! counted. A small value lies behind its key in one block, with a reference count in front. A
//! reader shares the block, which costs one addition on the cache line that comparing the keys has
//! already loaded. A large value has a block of its own. That block is made before the shard is
//! locked ([`Own`]), because copying the value takes time.

use alloc::boxed::Box;

use bytes::{BufMut as _, Bytes};

#[derive(Debug)]
pub(super) enum Body {
    /// The length of the key in one byte, the key, and the value.
    Near(Bytes),
    /// A larger key or value is behind one pointer, so that all records are smaller.
    Far(Box<Far>),
}

#[derive(Debug)]
pub(super) struct Far {
    key: Box<[u8]>,
    value: Bytes,
}

/// A value to be stored, in a form that keeps nothing else alive once it is stored.
#[derive(Debug)]
pub(super) enum Own<'a> {
    /// A value that is small enough to be copied when it is put in its place.
    Small(&'a [u8]),
    /// A copy that fills its block.
    Large(Bytes),
}

impl<'a> Own<'a> {
    pub(super) fn of(value: &'a [u8]) -> Self {
        if value.len() <= LONGEST_VALUE { Self::Small(value) } else { Self::Large(copy(value)) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(value) => value,
            Self::Large(value) => value,
        }
    }
}

/// A copy that fills its block, with the reference count that `Bytes` creates when it is first
/// shared: it is better created here than under the lock of a shard.
fn copy(value: &[u8]) -> Bytes {
    let copy = Bytes::copy_from_slice(value);
    drop(copy.clone());
    copy
}

impl Body {
    pub(super) fn new(key: &[u8], value: &Own<'_>) -> Self {
        match (u8::try_from(key.len()), value) {
            (Ok(key_len), Own::Small(value)) => Self::Near(block(key_len, key, value)),
            (Err(_), Own::Small(value)) => Self::far(key, copy(value)),
            (Ok(_) | Err(_), Own::Large(value)) => Self::far(key, value.clone()),
        }
    }

    fn far(key: &[u8], value: Bytes) -> Self {
        Self::Far(Box::new(Far { key: key.into(), value }))
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        self.split().0
    }

    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        self.split().1
    }

    /// The length of key and value together, and whether they are in one block. Does not read them.
    pub(super) fn len(&self) -> (usize, bool) {
        match self {
            Self::Near(block) => (block.len().saturating_sub(1), true),
            Self::Far(far) => (far.key.len().saturating_add(far.value.len()), false),
        }
    }

    /// The value, shared with the caller.
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

/// Whether a value is stored in one block with its key.
pub(super) fn is_near(key: &[u8], value: &[u8]) -> bool {
    u8::try_from(key.len()).is_ok() && value.len() <= LONGEST_VALUE
}

/// Puts key and value into one block. There are only a few sizes, since each has its own code.
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

/// A block with room for `ROOM` bytes behind its reference count. This is the only way to have both
/// in one allocation. With multiples of sixteen, nothing is lost to an allocator's rounding.
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
/// The longest value that is stored in one block with its key.
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
                let body = Body::new(&key, &Own::of(&value));
                assert_eq!((body.key(), body.value()), (&*key, &*value));
                assert_eq!(body.share(), value);
                assert_eq!(body.len(), (key_len + value_len, is_near(&key, &value)));
                assert_eq!(matches!(body, Body::Near(_)), is_near(&key, &value));
            }
        }
    }

    #[test]
    fn a_stored_value_does_not_keep_its_buffer_alive() {
        let block = Bytes::from(vec![7; 100_000]);
        for (key_len, len) in [(1, 0), (1, 10), (1, 256), (1, 257), (1, 99_999), (300, 10)] {
            let part = block.slice(1..=len);
            let body = Body::new(&vec![b'k'; key_len], &Own::of(&part));
            drop(part);
            assert!(block.is_unique(), "{len}");
            assert_eq!(body.value(), &block[1..=len]);
            assert_eq!(body.share(), body.share());
        }
    }

    #[test]
    fn a_read_of_a_large_value_shares_its_memory() {
        let body = Body::new(b"key", &Own::of(&[7; 1000]));
        assert_eq!(body.share().as_ptr(), body.value().as_ptr());
    }

    #[test]
    fn a_read_of_a_small_value_shares_memory_that_outlives_the_entry() {
        let body = Body::new(b"key", &Own::of(b"value"));
        let (one, other) = (body.share(), body.share());
        assert_eq!(one.as_ptr(), body.value().as_ptr());
        assert_eq!(one.as_ptr(), other.as_ptr());
        drop(body);
        assert_eq!((&*one, &*other), (&b"value"[..], &b"value"[..]));
    }
}
