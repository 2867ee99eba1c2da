//! A key and its value, in as few blocks of memory as they can be kept in.
//!
//! A small value lives behind its key in one block that is nobody else's. It is copied on the way
//! in, and copied out by whoever reads it: a copy of so few bytes is cheaper than a count of
//! references, which would be one more block, and one that all readers write to. It also keeps
//! nothing alive of which it was a part. A large value stays the caller's own and is shared.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::copies::Copies;

#[derive(Debug)]
pub(super) enum Body {
    /// The key and then the value.
    Near { bytes: Box<[u8]>, key_len: u32 },
    /// What does not fit the record is behind one pointer, so that most records are smaller.
    Far(Box<Far>),
}

#[derive(Debug)]
pub(super) struct Far {
    key: Box<[u8]>,
    value: Bytes,
}

impl Body {
    pub(super) fn new(key: &[u8], value: &Bytes) -> Self {
        match u32::try_from(key.len()) {
            Ok(key_len) if is_near(key, value) => {
                let mut bytes = Vec::with_capacity(key.len() + value.len());
                bytes.extend_from_slice(key);
                bytes.extend_from_slice(value);
                Self::Near { bytes: bytes.into(), key_len }
            }
            Ok(_) | Err(_) => Self::Far(Box::new(Far { key: key.into(), value: value.clone() })),
        }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Near { bytes, key_len } => bytes.get(..to_usize(*key_len)).unwrap_or_default(),
            Self::Far(far) => &far.key,
        }
    }

    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        match self {
            Self::Near { bytes, key_len } => bytes.get(to_usize(*key_len)..).unwrap_or_default(),
            Self::Far(far) => &far.value,
        }
    }

    /// The value for a caller to keep: a small one is a copy in `copies`.
    #[inline]
    pub(super) fn share(&self, copies: &mut Copies) -> Bytes {
        match self {
            Self::Near { .. } => copies.copy(self.value()),
            Self::Far(far) => far.value.clone(),
        }
    }

    /// Puts another value in the place of this one, where that takes no other block.
    pub(super) fn overwrite(&mut self, value: &[u8]) -> bool {
        match self {
            Self::Near { bytes, key_len } => match bytes.get_mut(to_usize(*key_len)..) {
                Some(old) if old.len() == value.len() => {
                    old.copy_from_slice(value);
                    true
                }
                Some(_) | None => false,
            },
            Self::Far(_) => false,
        }
    }
}

/// Whether a value is kept in one block with its key.
pub(super) fn is_near(key: &[u8], value: &[u8]) -> bool {
    key.len() <= LONGEST_KEY && value.len() <= Copies::LONGEST
}

fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

const LONGEST_KEY: usize = 256;

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn keys_and_values_of_any_length_are_kept_as_they_are() {
        let copies = &mut Copies::default();
        for key_len in [0, 1, 20, 256, 257, 5000] {
            for value_len in [0, 1, 64, 256, 257, 5000] {
                let (key, value) = (vec![b'k'; key_len], Bytes::from(vec![b'v'; value_len]));
                let body = Body::new(&key, &value);
                assert_eq!((body.key(), body.value()), (&*key, &*value));
                assert_eq!(body.share(copies), value);
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
        assert_eq!(large.share(&mut Copies::default()).as_ptr(), block.as_ptr());
        assert_eq!(small.value(), &[7; 100]);
    }

    #[test]
    fn a_small_value_of_the_same_length_takes_the_place_of_the_old_one() {
        let mut body = Body::new(b"key", &Bytes::from_static(b"old"));
        let place = body.value().as_ptr();
        assert!(body.overwrite(b"new"));
        assert_eq!((body.key(), body.value()), (&b"key"[..], &b"new"[..]));
        assert_eq!(body.value().as_ptr(), place);
        assert!(!body.overwrite(b"longer"));
        assert_eq!(body.value(), b"new");
        assert!(!Body::new(b"k", &Bytes::from(vec![0; 300])).overwrite(&[0; 300]));
    }
}
