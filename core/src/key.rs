//! Keys: a prefix, a version and a name go in, `prefix:version:name` comes out.
//!
//! The bytes are those that the Python package writes. Neither a prefix nor a version may contain a
//! colon, so the first two colons of a key always end its prefix and its version. Two different
//! triples never give the same bytes, and no cache can reach another's keys through the contents of
//! a prefix, a version or a name. Names are any bytes.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::KeyError;

mod into_name;
mod name;

pub use self::into_name::{IntoName, NameBytes};
pub use self::name::Name;

/// A version of a key: no version, an integer or a text without colons.
///
/// An integer and the text of its digits are the same version, as they give the same key. The empty
/// text is the same as no version.
///
/// ```
/// use async_caches_core::key::{KeySpace, Version};
///
/// assert_eq!(Version::from(2), Version::from("2")); // they give the same key
/// assert_ne!(Version::from(0), Version::None);
/// let space = KeySpace::default();
/// let version = Version::from(2);
/// assert_eq!(space.scope(Some(&version))?.key(b"user:1").to_bytes(), ":2:user:1");
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub enum Version {
    /// No version: the empty string in the key.
    #[default]
    None,
    /// An integer; zero is a version like any other.
    Integer(i64),
    /// A text; one with a colon is refused when a key is built from it.
    Text(Box<str>),
}

impl Version {
    fn label(&self) -> Result<Label<'_>, KeyError> {
        match self {
            Self::None => Ok(Label::Text("")),
            Self::Integer(number) => Ok(Label::Integer(*number)),
            Self::Text(text) if text.contains(':') => {
                Err(KeyError::ColonInVersion { version: cut(text) })
            }
            Self::Text(text) => Ok(Label::Text(text)),
        }
    }

    fn spelled<'a>(&'a self, digits: &'a mut itoa::Buffer) -> &'a str {
        match self {
            Self::None => "",
            Self::Integer(number) => digits.format(*number),
            Self::Text(text) => text,
        }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (itoa::Buffer::new(), itoa::Buffer::new());
        self.spelled(&mut ours) == other.spelled(&mut theirs)
    }
}

impl Eq for Version {}

macro_rules! version_from_integer {
    ($($integer:ty),*) => {$(
        /// A number outside of `i64` becomes the text of its digits, which is the same version.
        impl From<$integer> for Version {
            fn from(number: $integer) -> Self {
                match i64::try_from(number) {
                    Ok(number) => Self::Integer(number),
                    Err(_) => Self::Text(itoa::Buffer::new().format(number).into()),
                }
            }
        }
    )*};
}
version_from_integer!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// The keys of one cache: their prefix, and the version that they have by default.
///
/// ```
/// use async_caches_core::key::{KeySpace, Version};
///
/// let space = KeySpace::new("forum", Version::from(1))?;
/// assert_eq!(space.scope(None)?.key(b"user:1").to_bytes(), "forum:1:user:1");
/// assert_eq!(space.scope(Some(&Version::None))?.key(b"user:1").to_bytes(), "forum::user:1");
/// assert!(KeySpace::new("a:b", Version::None).is_err());
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeySpace {
    /// The start of keys of the default version, built once: `prefix:version:`.
    head: Box<[u8]>,
    /// The length of the prefix and its colon within `head`.
    stem_len: usize,
}

impl KeySpace {
    /// Creates the space of keys under `prefix`. `version` is used if an operation names no
    /// version.
    ///
    /// # Errors
    /// [`KeyError`] if either contains a colon.
    #[allow(clippy::needless_pass_by_value, reason = "it is made for this alone")]
    pub fn new(prefix: &str, version: Version) -> Result<Self, KeyError> {
        if prefix.contains(':') {
            return Err(KeyError::ColonInPrefix { prefix: cut(prefix) });
        }
        let mut head = Vec::from(prefix);
        head.push(b':');
        let stem_len = head.len();
        version.label()?.put(&mut head);
        Ok(Self { head: head.into(), stem_len })
    }

    /// The same version under another prefix.
    ///
    /// # Errors
    /// [`KeyError`] if the prefix contains a colon.
    pub fn with_prefix(&self, prefix: &str) -> Result<Self, KeyError> {
        if prefix.contains(':') {
            return Err(KeyError::ColonInPrefix { prefix: cut(prefix) });
        }
        let version = self.head.get(self.stem_len..).unwrap_or_default();
        let head = [prefix.as_bytes(), b":", version].concat();
        Ok(Self { head: head.into(), stem_len: prefix.len() + 1 })
    }

    /// The prefix and version that keys are built from; `version` overrides the space's own.
    ///
    /// # Errors
    /// [`KeyError`] if the version contains a colon.
    #[inline]
    pub fn scope<'a>(&'a self, version: Option<&'a Version>) -> Result<Scope<'a>, KeyError> {
        Ok(match version {
            None => Scope { head: &self.head, version: None },
            Some(version) => Scope { head: self.stem_bytes(), version: Some(version.label()?) },
        })
    }

    /// The start of every key of this space, whatever its version: the prefix and its colon.
    #[must_use]
    pub fn stem(&self) -> Bytes {
        Bytes::copy_from_slice(self.stem_bytes())
    }

    fn stem_bytes(&self) -> &[u8] {
        self.head.get(..self.stem_len).unwrap_or_default()
    }
}

impl Default for KeySpace {
    fn default() -> Self {
        Self { head: b"::".as_slice().into(), stem_len: 1 }
    }
}

/// A validated prefix and version: all that a name needs to become a key.
///
/// ```
/// use async_caches_core::key::{KeySpace, Version};
///
/// let space = KeySpace::default();
/// assert!(space.scope(Some(&Version::from("a:b"))).is_err()); // validated once, for any number of keys
/// let scope = space.scope(None)?;
/// assert_eq!(scope.key(b"user:1").to_bytes(), "::user:1");
/// assert_eq!(scope.key(b"user:2").to_bytes(), "::user:2");
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    head: &'a [u8],
    /// The version that follows the head, unless the head already includes it.
    version: Option<Label<'a>>,
}

#[derive(Clone, Copy, Debug)]
enum Label<'a> {
    Text(&'a str),
    Integer(i64),
}

impl Label<'_> {
    fn len(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Integer(number) => itoa::Buffer::new().format(number).len(),
        }
    }

    /// Appends the version and its colon.
    fn put(self, buf: &mut impl BufMut) {
        match self {
            Self::Text(text) => buf.put_slice(text.as_bytes()),
            Self::Integer(number) => {
                buf.put_slice(itoa::Buffer::new().format(number).as_bytes());
            }
        }
        buf.put_u8(b':');
    }
}

impl<'a> Scope<'a> {
    /// The key of this name.
    #[must_use]
    pub fn key(self, name: &'a [u8]) -> Key<'a> {
        Key { scope: self, name }
    }

    /// The keys of these names.
    #[must_use]
    pub fn keys(self, names: &'a Names) -> Keys<'a> {
        Keys { scope: self, names, range: 0..names.len() }
    }
}

/// One key, borrowed and not yet put together: `prefix:version:name`.
///
/// ```
/// use async_caches_core::key::{KeySpace, Version};
///
/// let space = KeySpace::new("forum", Version::from(1))?;
/// let key = space.scope(None)?.key(b"user:1");
/// assert_eq!((key.name(), key.len()), (&b"user:1"[..], 14));
/// assert!(key.with_bytes(|whole| whole == b"forum:1:user:1"));
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    scope: Scope<'a>,
    name: &'a [u8],
}

impl<'a> Key<'a> {
    /// The caller's part of the key.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// How many bytes the whole key has.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "no key is empty: it has two colons")]
    pub fn len(&self) -> usize {
        let version = self.scope.version.map_or(0, |version| version.len() + 1);
        self.scope.head.len() + version + self.name.len()
    }

    /// Appends the whole key to `buf`.
    #[inline(always)]
    pub fn put(&self, buf: &mut impl BufMut) {
        buf.put_slice(self.scope.head);
        if let Some(version) = self.scope.version {
            version.put(buf);
        }
        buf.put_slice(self.name);
    }

    /// Passes the whole key to `act`. A short key is built without an allocation.
    pub fn with_bytes<R>(&self, act: impl FnOnce(&[u8]) -> R) -> R {
        let mut room = [0; 128];
        match room.get_mut(..self.len()) {
            Some(mut end) => {
                self.put(&mut end);
                act(room.get(..self.len()).unwrap_or_default())
            }
            None => act(&self.to_bytes()),
        }
    }

    /// The whole key in a buffer of its own.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut key = BytesMut::with_capacity(self.len());
        self.put(&mut key);
        key.freeze()
    }
}

/// An owned list of names in one flat buffer: two allocations, however many names there are.
///
/// ```
/// use async_caches_core::key::Names;
///
/// let mut names: Names = ["user:1", "user:2"].iter().collect();
/// names.push(b"user:3");
/// assert_eq!((names.len(), names.get(2)), (3, Some(&b"user:3"[..])));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Names {
    /// Adds a name at the end.
    pub fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name at `index`, if there is one.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        self.bytes.get(start..end)
    }
}

impl<K: AsRef<[u8]>> FromIterator<K> for Names {
    fn from_iter<I: IntoIterator<Item = K>>(names: I) -> Self {
        let mut list = Self::default();
        for name in names {
            list.push(name.as_ref());
        }
        list
    }
}

/// Keys of one scope: a window of a list of names.
///
/// ```
/// use async_caches_core::key::{KeySpace, Names};
///
/// let names: Names = ["user:1", "user:2", "user:3"].iter().collect();
/// let space = KeySpace::default();
/// let keys = space.scope(None)?.keys(&names);
/// let rest = keys.window(1..3);
/// assert!(rest.iter().map(|key| key.to_bytes()).eq(["::user:2", "::user:3"]));
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keys<'a> {
    scope: Scope<'a>,
    names: &'a Names,
    range: Range<usize>,
}

impl<'a> Keys<'a> {
    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The keys, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Key<'a>> + use<'a> {
        let (scope, names) = (self.scope, self.names);
        self.range.clone().map(move |index| scope.key(names.get(index).unwrap_or_default()))
    }

    /// The window of the names from `range.start` up to, but excluding, `range.end`. Both count
    /// from the start of the whole list and are cut to its length.
    #[must_use]
    pub fn window(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.names.len());
        Self { range: range.start.min(end)..end, ..self.clone() }
    }

    /// This many of the keys from the first on, or all if there are not as many.
    pub(crate) fn first(&self, count: usize) -> Self {
        let Range { start, end } = self.range;
        Self { range: start..end.min(start.saturating_add(count)), ..self.clone() }
    }
}

/// The part of a prefix or a version that an error shows.
fn cut(text: &str) -> Box<str> {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec;

    use super::*;

    fn built(prefix: &str, version: impl Into<Version>, name: &str) -> String {
        let space = KeySpace::new(prefix, version.into()).unwrap();
        let scope = space.scope(None).unwrap();
        let key = scope.key(name.as_bytes());
        assert_eq!(key.len(), key.to_bytes().len());
        String::from_utf8(key.to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_prefix() {
        let prefix = std::format!("{}:", "p".repeat(1_000));
        let space = KeySpace::default();
        for refused in [KeySpace::new(&prefix, Version::None), space.with_prefix(&prefix)] {
            let Err(KeyError::ColonInPrefix { prefix }) = refused else { panic!("{refused:?}") };
            assert_eq!(&*prefix, "p".repeat(64));
        }
    }

    #[test]
    fn keys_match_those_of_the_python_package() {
        assert_eq!(built("", Version::None, "test"), "::test");
        assert_eq!(built("forum", 2019, "user:1"), "forum:2019:user:1");
        assert_eq!(built("forum", "beta", ""), "forum:beta:");
    }

    #[test]
    fn the_length_of_a_key_counts_the_calls_version() {
        let space = KeySpace::new("forum", 1.into()).unwrap();
        for version in [Version::from(2019), Version::from(-7), "beta".into(), Version::None] {
            let key = space.scope(Some(&version)).unwrap().key(b"user").to_bytes();
            assert_eq!(space.scope(Some(&version)).unwrap().key(b"user").len(), key.len());
        }
    }

    #[test]
    fn version_zero_is_a_version_and_an_integer_is_its_digits() {
        assert_eq!(built("", 0, "k"), ":0:k");
        assert_eq!(built("", i64::MIN, "k"), built("", i64::MIN.to_string(), "k"));
        assert_eq!(built("", "", "k"), built("", Version::None, "k"));
        assert_eq!(Version::from(7), Version::from("7"));
        assert_eq!(Version::None, Version::from(""));
        assert_ne!(Version::None, Version::from(0));
    }

    #[test]
    fn an_operation_may_name_another_version_or_none() {
        let space = KeySpace::new("p", 1.into()).unwrap();
        let bytes = |version: Option<&Version>| space.scope(version).unwrap().key(b"k").to_bytes();
        assert_eq!(bytes(None), "p:1:k");
        assert_eq!(bytes(Some(&2.into())), "p:2:k");
        assert_eq!(bytes(Some(&Version::None)), "p::k");
    }

    #[test]
    fn a_colon_in_a_prefix_or_a_version_is_refused_by_name() {
        let prefix = KeySpace::new("a:b", Version::None).unwrap_err();
        assert!(prefix.to_string().contains("\"a:b\""), "{prefix}");
        let version = KeySpace::new("a", "b:c".into()).unwrap_err();
        assert!(version.to_string().contains("\"b:c\""), "{version}");
        let space = KeySpace::default();
        assert!(space.scope(Some(&"1:2".into())).is_err());
    }

    #[test]
    fn with_bytes_and_to_bytes_agree_for_keys_of_any_length() {
        let space = KeySpace::new("p", 7.into()).unwrap();
        for len in [0, 1, 120, 123, 124, 125, 126, 1_000] {
            let name = vec![b'n'; len];
            for version in [None, Some(&Version::from("v"))] {
                let key = space.scope(version).unwrap().key(&name);
                key.with_bytes(|bytes| assert_eq!(bytes, key.to_bytes()));
            }
        }
    }

    #[test]
    fn names_keep_any_bytes_in_order() {
        let names: Names = [&b""[..], b"\0\xff", b"", b":"].into_iter().collect();
        assert_eq!(names.len(), 4);
        assert!(!names.is_empty() && Names::default().is_empty());
        let space = KeySpace::default();
        let keys = space.scope(None).unwrap().keys(&names);
        let all: Vec<_> = keys.iter().map(|key| key.name().to_vec()).collect();
        assert_eq!(all, vec![b"".to_vec(), b"\0\xff".to_vec(), b"".to_vec(), b":".to_vec()]);
        assert_eq!(keys.window(1..9).len(), 3);
        assert!(keys.window(7..9).is_empty());
        assert_eq!(names.get(4), None);
    }
}
