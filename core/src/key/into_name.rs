//! The types that a caller may name a key by: text, bytes, integers, and pointers to them.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::name::Name;

/// A type that can name a key: text, bytes, pointers to them, and integers. An integer names the
/// same key as the text of its digits.
///
/// | given | its bytes are |
/// |---|---|
/// | a reference: `&str`, `&[u8]`, `&String`, `&Arc<str>`, `&UserKey`; a borrowed `Cow` | borrowed |
/// | `String`, `Vec<u8>`, `Bytes`, `BytesMut` | moved |
/// | an integer or a reference to one; `[u8; N]`, `Box`, `Rc`, `Arc`; an owned `Cow` | copied |
///
/// A copy of more than 38 bytes is an allocation; nothing else here is.
///
/// An application's own type becomes a name by implementing [`NameBytes`].
///
/// ```
/// use async_caches_core::key::IntoName;
///
/// let names = ["7".into_name(), String::from("7").into_name(), 7.into_name(), b"7".into_name()];
/// assert!(names.iter().all(|name| name.as_bytes() == b"7"));
/// ```
pub trait IntoName {
    /// Converts the value into the name.
    fn into_name<'a>(self) -> Name<'a>
    where
        Self: 'a;
}

/// A type that holds the bytes of a key's name. Applications implement it for their own key types,
/// which every operation then accepts, by reference and by value.
///
/// ```
/// use async_caches_core::key::{IntoName, Name, NameBytes};
///
/// struct UserKey(String);
///
/// impl NameBytes for UserKey {
///     fn name_bytes(&self) -> &[u8] {
///         self.0.as_bytes()
///     }
///
///     // Without this, a key that is given by value is copied.
///     fn name_by_value<'a>(self) -> Name<'a> {
///         self.0.into()
///     }
/// }
///
/// let key = UserKey("user:7".into());
/// assert_eq!((&key).into_name(), Name::from("user:7"));
/// assert_eq!(key.into_name(), Name::from("user:7"));
/// ```
pub trait NameBytes {
    /// The bytes of the name; always the same ones.
    fn name_bytes(&self) -> &[u8];

    /// The name, if an operation is given the value itself and not a reference to it. Copies the
    /// bytes, unless a type has a better way: one that holds a `String`, a `Vec<u8>` or a `Bytes`
    /// can return `self.0.into()`.
    fn name_by_value<'a>(self) -> Name<'a>
    where
        Self: Sized + 'a,
    {
        Name::copied(self.name_bytes())
    }
}

impl<K: NameBytes> IntoName for K {
    #[inline(always)]
    fn into_name<'a>(self) -> Name<'a>
    where
        Self: 'a,
    {
        self.name_by_value()
    }
}

macro_rules! names_of_integers {
    ($($integer:ty)*) => {$(
        impl IntoName for $integer {
            fn into_name<'a>(self) -> Name<'a> {
                Name::copied(itoa::Buffer::new().format(self).as_bytes())
            }
        }

        impl IntoName for &$integer {
            fn into_name<'a>(self) -> Name<'a>
            where
                Self: 'a,
            {
                (*self).into_name()
            }
        }
    )*};
}
names_of_integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

impl NameBytes for str {
    #[inline(always)]
    fn name_bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl NameBytes for [u8] {
    #[inline(always)]
    fn name_bytes(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> NameBytes for [u8; N] {
    #[inline(always)]
    fn name_bytes(&self) -> &[u8] {
        self
    }
}

impl<K: NameBytes + ?Sized> NameBytes for &K {
    #[inline(always)]
    fn name_bytes(&self) -> &[u8] {
        (**self).name_bytes()
    }

    #[inline(always)]
    fn name_by_value<'a>(self) -> Name<'a>
    where
        Self: 'a,
    {
        Name::from(K::name_bytes(self))
    }
}

impl<K: NameBytes + ?Sized> NameBytes for &mut K {
    #[inline(always)]
    fn name_bytes(&self) -> &[u8] {
        (**self).name_bytes()
    }

    #[inline(always)]
    fn name_by_value<'a>(self) -> Name<'a>
    where
        Self: 'a,
    {
        Name::from(K::name_bytes(self))
    }
}

impl<K: NameBytes + ToOwned + ?Sized> NameBytes for Cow<'_, K> {
    #[inline]
    fn name_bytes(&self) -> &[u8] {
        (**self).name_bytes()
    }

    fn name_by_value<'a>(self) -> Name<'a>
    where
        Self: 'a,
    {
        match self {
            Self::Borrowed(key) => Name::from(key.name_bytes()),
            Self::Owned(_) => Name::copied(self.name_bytes()),
        }
    }
}

impl NameBytes for Name<'_> {
    #[inline]
    fn name_bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn name_by_value<'a>(self) -> Name<'a>
    where
        Self: 'a,
    {
        self
    }
}

/// Buffers whose bytes a name can take over.
macro_rules! names_of_buffers {
    ($($kind:ty)*) => {$(
        impl NameBytes for $kind {
            #[inline]
            fn name_bytes(&self) -> &[u8] {
                self.as_ref()
            }

            fn name_by_value<'a>(self) -> Name<'a> {
                Name::from(self)
            }
        }
    )*};
}
names_of_buffers!(String Vec<u8> Bytes);

impl NameBytes for BytesMut {
    #[inline]
    fn name_bytes(&self) -> &[u8] {
        self
    }

    fn name_by_value<'a>(self) -> Name<'a> {
        Name::from(self.freeze())
    }
}

/// Pointers, whose bytes are those of the value that they lead to.
macro_rules! names_of_pointers {
    ($($kind:ident)*) => {$(
        impl<K: NameBytes + ?Sized> NameBytes for $kind<K> {
            #[inline]
            fn name_bytes(&self) -> &[u8] {
                (**self).name_bytes()
            }
        }
    )*};
}
names_of_pointers!(Box Rc Arc);

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
            name(&BytesMut::from("key")),
            name(Cow::Borrowed("key")),
            name(&Cow::<str>::Owned(text.clone())),
            name(Cow::<str>::Owned(text.clone())),
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
            name(Box::new("key") as Box<dyn NameBytes>),
            name(&*(Box::new("key") as Box<dyn NameBytes>)),
            name(Name::from("key")),
            name(&Name::from(text.clone())),
        ];
        assert!(all.iter().all(|name| name == b"key"), "{all:?}");
        assert_eq!(name(""), b"");
    }

    #[test]
    fn references_are_borrowed_and_buffers_are_moved() {
        let at = |name: &Name<'_>| name.as_ref().as_ptr();
        let (text, shared) = ("key".to_string(), Arc::<str>::from("key"));
        assert_eq!(at(&(&text).into_name()), text.as_ptr());
        assert_eq!(at(&(&&text).into_name()), text.as_ptr());
        assert_eq!(at(&(&shared).into_name()), shared.as_ptr());
        assert_eq!(at(&Cow::Borrowed(text.as_str()).into_name()), text.as_ptr());
        assert_ne!(at(&Arc::clone(&shared).into_name()), shared.as_ptr());
        let (bytes, block) = (b"key".to_vec(), Bytes::from(b"key".to_vec()));
        let (text_at, bytes_at, block_at) = (text.as_ptr(), bytes.as_ptr(), block.as_ptr());
        assert_eq!(at(&text.into_name()), text_at);
        assert_eq!(at(&bytes.into_name()), bytes_at);
        assert_eq!(at(&block.into_name()), block_at);
        let name = Name::from(vec![b'n'; 99]);
        let name_at = at(&name);
        assert_eq!(at(&name.into_name()), name_at);
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
            (name(&i128::MIN), i128::MIN.to_string()),
        ] {
            assert_eq!(name, text.into_bytes());
        }
    }

    #[test]
    fn an_applications_own_type_can_be_a_name() {
        struct User(Vec<u8>);
        impl NameBytes for User {
            fn name_bytes(&self) -> &[u8] {
                &self.0
            }
        }
        assert_eq!(name(User(vec![0, 255])), [0, 255]);
        assert_eq!(name(Arc::new(User(vec![0, 255]))), [0, 255]);
        assert!(name(&User(vec![])).is_empty());
    }

    #[test]
    fn an_applications_own_type_may_hand_its_bytes_over() {
        struct User(String);
        impl NameBytes for User {
            fn name_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            fn name_by_value<'a>(self) -> Name<'a> {
                self.0.into()
            }
        }
        let user = User("user".to_string());
        let at = user.0.as_ptr();
        assert_eq!((&user).into_name().as_ref().as_ptr(), at);
        assert_eq!(user.into_name().as_ref().as_ptr(), at);
    }
}
