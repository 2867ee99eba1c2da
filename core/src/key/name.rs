//! The types that a caller may name a key by: text, bytes, integers, and pointers to them.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};

/// A type that can name a key: `&str`, `String`, bytes, `Cow<str>`, `Arc<str>`, references to them,
/// and integers. An integer names the same key as the text of its digits. Nothing is copied or
/// allocated.
///
/// An application's own type becomes a name by implementing [`NameBytes`].
pub trait IntoName {
    /// The type of the name during an operation.
    type Name: AsRef<[u8]>;

    /// Converts the value into the name.
    fn into_name(self) -> Self::Name;
}

/// A type that holds the bytes of a key's name. Applications implement it for their own key types,
/// which every operation then accepts.
pub trait NameBytes {
    /// The bytes of the name; always the same ones.
    fn name_bytes(&self) -> &[u8];
}

/// A name that borrows its bytes from the value it was made of.
#[derive(Clone, Copy)]
pub struct Name<K>(K);

/// The digits of an integer.
#[derive(Clone, Copy)]
pub struct Digits {
    room: [u8; Self::MOST],
    len: u8,
}

impl Digits {
    /// The most characters that an integer has: those of the lowest `i128`.
    const MOST: usize = 40;

    fn of(integer: impl itoa::Integer) -> Self {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(integer).as_bytes();
        let mut room = [0; Self::MOST];
        if let Some(start) = room.get_mut(..text.len()) {
            start.copy_from_slice(text);
        }
        Self { room, len: u8::try_from(text.len()).unwrap_or_default() }
    }
}

impl AsRef<[u8]> for Digits {
    fn as_ref(&self) -> &[u8] {
        self.room.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(self.as_ref()).unwrap_or_default())
    }
}

impl<K: NameBytes> AsRef<[u8]> for Name<K> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.0.name_bytes()
    }
}

impl<K: fmt::Debug> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: NameBytes> IntoName for K {
    type Name = Name<K>;

    #[inline]
    fn into_name(self) -> Name<K> {
        Name(self)
    }
}

macro_rules! names_of_integers {
    ($($integer:ty)*) => {$(
        impl IntoName for $integer {
            type Name = Digits;

            fn into_name(self) -> Digits {
                Digits::of(self)
            }
        }

        impl IntoName for &$integer {
            type Name = Digits;

            fn into_name(self) -> Digits {
                Digits::of(*self)
            }
        }
    )*};
}
names_of_integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

impl NameBytes for str {
    #[inline]
    fn name_bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl NameBytes for [u8] {
    #[inline]
    fn name_bytes(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> NameBytes for [u8; N] {
    #[inline]
    fn name_bytes(&self) -> &[u8] {
        self
    }
}

/// Types whose bytes are those of the type that they dereference to.
macro_rules! names_within {
    ($([$($parameter:tt)*] $kind:ty;)*) => {$(
        impl<$($parameter)*> NameBytes for $kind {
            #[inline]
            fn name_bytes(&self) -> &[u8] {
                (**self).name_bytes()
            }
        }
    )*};
}
names_within! {
    [] String;
    [] Vec<u8>;
    [] Bytes;
    [] BytesMut;
    [K: NameBytes + ?Sized] &K;
    [K: NameBytes + ?Sized] &mut K;
    [K: NameBytes + ?Sized] Box<K>;
    [K: NameBytes + ?Sized] Rc<K>;
    [K: NameBytes + ?Sized] Arc<K>;
    [K: NameBytes + ToOwned + ?Sized] Cow<'_, K>;
}

#[cfg(test)]
#[allow(clippy::needless_borrows_for_generic_args, reason = "references are names as well")]
mod tests {
    use std::string::ToString;
    use std::vec;

    use super::*;

    fn name(key: impl IntoName) -> Vec<u8> {
        key.into_name().as_ref().to_vec()
    }

    #[test]
    fn text_and_bytes_in_any_container_are_names() {
        let text = "key".to_string();
        let bytes = b"key".to_vec();
        let all = [
            name("key"),
            name(&"key"),
            name(&&"key"),
            name(text.clone()),
            name(&text),
            name(&&text),
            name(&mut text.clone()),
            name(text.as_bytes()),
            name(bytes.clone()),
            name(&bytes),
            name(&bytes[..]),
            name(*b"key"),
            name(b"key"),
            name(Bytes::from_static(b"key")),
            name(&Bytes::from_static(b"key")),
            name(BytesMut::from("key")),
            name(Cow::Borrowed("key")),
            name(&Cow::<str>::Owned(text.clone())),
            name(Cow::Borrowed(&bytes[..])),
            name(Cow::<[u8]>::Owned(bytes.clone())),
            name(text.clone().into_boxed_str()),
            name(bytes.clone().into_boxed_slice()),
            name(Arc::<str>::from("key")),
            name(&Arc::<str>::from("key")),
            name(Arc::<[u8]>::from(&bytes[..])),
            name(Arc::new(text.clone())),
            name(Rc::<str>::from("key")),
            name(Box::new(Arc::new("key"))),
        ];
        assert!(all.iter().all(|name| name == b"key"), "{all:?}");
        assert_eq!(name(""), b"");
    }

    #[test]
    fn an_integer_as_a_name_is_its_digits() {
        assert_eq!(name(0_u8), b"0");
        assert_eq!(name(&7_usize), b"7");
        assert_eq!(name(-1), b"-1");
        for (name, text) in [
            (name(i8::MIN), i8::MIN.to_string()),
            (name(u16::MAX), u16::MAX.to_string()),
            (name(i64::MIN), i64::MIN.to_string()),
            (name(u64::MAX), u64::MAX.to_string()),
            (name(isize::MIN), isize::MIN.to_string()),
            (name(i128::MIN), i128::MIN.to_string()),
            (name(u128::MAX), u128::MAX.to_string()),
        ] {
            assert_eq!(name, text.into_bytes());
        }
    }

    #[test]
    fn an_applications_own_type_can_be_a_name() {
        struct User(vec::Vec<u8>);
        impl NameBytes for User {
            fn name_bytes(&self) -> &[u8] {
                &self.0
            }
        }
        assert_eq!(name(User(vec![0, 255])), [0, 255]);
        assert!(name(&User(vec![])).is_empty());
    }
}
