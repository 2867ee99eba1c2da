//! The name of a key: borrowed, owned, or short enough to be held in place.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// The name of a key, as an operation holds it: the bytes that a caller gave.
///
/// It is made of a caller's value by [`IntoName`](super::IntoName). It borrows a value that was
/// given by reference, and owns the bytes of one that was given by value. A copy of up to 38 bytes
/// is held in place; only longer copies are allocated.
///
/// ```
/// use async_caches_core::key::{IntoName, Name};
///
/// let name: Name<'_> = "user:1".into_name(); // borrows the text
/// assert_eq!(name.as_bytes(), b"user:1");
/// let owned: Name<'static> = name.into_owned();
/// assert_eq!(owned, Name::from(String::from("user:1")));
/// ```
#[derive(Clone)]
pub struct Name<'a>(Form<'a>);

#[derive(Clone)]
enum Form<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
    Shared(Bytes),
    Short(Short),
}

/// Bytes that are held in place.
#[derive(Clone)]
struct Short {
    room: [u8; Self::MOST],
    len: u8,
}

impl Short {
    /// The most bytes that fit without making a name larger than a `Bytes` makes it.
    const MOST: usize = 38;

    fn of(bytes: &[u8]) -> Option<Self> {
        let mut room = [0; Self::MOST];
        room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { room, len: u8::try_from(bytes.len()).ok()? })
    }

    fn bytes(&self) -> &[u8] {
        self.room.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Name<'static> {
    /// Copies the bytes of a name. Allocates if there are more than 38.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Self {
        Self(match Short::of(bytes) {
            Some(short) => Form::Short(short),
            None => Form::Owned(bytes.to_vec()),
        })
    }
}

impl Name<'_> {
    /// The same name, borrowing nothing. Bytes that it owns already are not copied again.
    #[must_use]
    pub fn into_owned(self) -> Name<'static> {
        Name(match self.0 {
            Form::Borrowed(bytes) => return Name::copied(bytes),
            Form::Owned(bytes) => Form::Owned(bytes),
            Form::Shared(bytes) => Form::Shared(bytes),
            Form::Short(short) => Form::Short(short),
        })
    }

    /// The bytes of the name.
    #[inline(always)]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Borrowed(bytes) => bytes,
            Form::Owned(_) | Form::Shared(_) | Form::Short(_) => self.held(),
        }
    }

    /// The bytes of any name. Kept apart from the path of borrowed ones, which most names are.
    #[inline(never)]
    fn held(&self) -> &[u8] {
        match &self.0 {
            Form::Borrowed(bytes) => bytes,
            Form::Owned(bytes) => bytes,
            Form::Shared(bytes) => bytes,
            Form::Short(short) => short.bytes(),
        }
    }
}

impl AsRef<[u8]> for Name<'_> {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<'a> From<&'a [u8]> for Name<'a> {
    #[inline(always)]
    fn from(bytes: &'a [u8]) -> Self {
        Self(Form::Borrowed(bytes))
    }
}

impl<'a> From<&'a str> for Name<'a> {
    #[inline(always)]
    fn from(text: &'a str) -> Self {
        Self(Form::Borrowed(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Name<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Form::Owned(bytes))
    }
}

impl From<String> for Name<'_> {
    fn from(text: String) -> Self {
        Self(Form::Owned(text.into_bytes()))
    }
}

impl From<Bytes> for Name<'_> {
    fn from(bytes: Bytes) -> Self {
        Self(Form::Shared(bytes))
    }
}

/// Names are equal if their bytes are.
impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name<'_> {}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_bytes();
        match core::str::from_utf8(bytes) {
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => write!(f, "b\"{}\"", bytes.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec;

    use super::*;

    #[test]
    fn a_copied_name_has_the_bytes_of_its_original() {
        for len in [0, 1, 37, 38, 39, 255, 256, 1_000] {
            let bytes = vec![b'n'; len];
            assert_eq!(Name::copied(&bytes).as_ref(), bytes);
            assert_eq!(Name::from(&bytes[..]).into_owned(), Name::from(&bytes[..]));
        }
    }

    #[test]
    fn a_name_that_owns_its_bytes_is_not_copied_again() {
        let long = "n".repeat(100);
        let owned = Name::from(long.as_str()).into_owned();
        for name in [owned, Name::from(long), Name::from(Bytes::from(vec![b'n'; 100]))] {
            let before = name.as_ref().as_ptr();
            assert_eq!(name.into_owned().as_ref().as_ptr(), before);
        }
    }

    #[test]
    fn a_name_is_no_larger_than_its_largest_form() {
        assert_eq!(size_of::<Name<'_>>(), size_of::<Bytes>().max(32) + 8);
        assert!(
            Short::of(&[0; Short::MOST]).is_some() && Short::of(&[0; Short::MOST + 1]).is_none()
        );
    }

    #[test]
    fn a_name_is_shown_as_text_or_as_escaped_bytes() {
        assert_eq!(format!("{:?}", Name::from("ключ\n")), "\"ключ\\n\"");
        assert_eq!(format!("{:?}", Name::from(&b"\xff\0\""[..])), "b\"\\xff\\x00\\\"\"");
    }
}
