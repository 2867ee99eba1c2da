//! The commonest frame at a glance: a blob that is in the buffer whole.
//!
//! It recognises only a plain, complete blob and reports no errors. Everything else is left to
//! [`scan`](super::scan), which reads byte by byte. For a blob found here, the scanner would return
//! the same.

use core::ops::Range;

use super::limits::Limits;

/// A whole blob in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blob {
    /// The offset at which its body begins.
    pub(super) start: usize,
    /// The offset at which its body ends; a line break follows.
    pub(super) end: usize,
}

impl Blob {
    /// The blob that begins at `at`, if a blob begins there and is whole.
    #[inline]
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let frame = bytes.get(at..)?;
        let mut rest = frame.iter();
        if *rest.next()? != b'$' {
            return None;
        }
        let first = *rest.next()?;
        let mut len = digit(first)?;
        loop {
            match *rest.next()? {
                b'\r' => break,
                byte if first != b'0' && len < LONG => len = len * 10 + digit(byte)?,
                _ => return None,
            }
        }
        if *rest.next()? != b'\n' {
            return None;
        }
        let start = at + frame.len() - rest.len();
        let end = start + len;
        (rest.as_slice().get(len..len + 2)? == b"\r\n").then_some(Self { start, end })
    }

    /// The range of its body.
    #[inline]
    pub(crate) fn body(self) -> Range<usize> {
        self.start..self.end
    }

    /// The length of the body in bytes.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it is within the limits.
    #[inline]
    pub(super) fn is_within(self, limits: &Limits) -> bool {
        self.len() <= limits.blob && self.end <= limits.frame
    }

    /// The offset at which the next frame begins.
    #[inline]
    pub(crate) fn next(self) -> usize {
        self.end + 2
    }
}

#[inline]
fn digit(byte: u8) -> Option<usize> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(usize::from(digit))
}

/// From this length on, another digit is left to the scanner.
const LONG: usize = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(bytes: &str) -> Option<&str> {
        Blob::at(bytes.as_bytes(), 0).map(|blob| &bytes[blob.start..blob.end])
    }

    #[test]
    fn a_complete_blob_is_found_in_front_of_other_data() {
        for (bytes, body) in [
            ("$0\r\n\r\n", ""),
            ("$1\r\na\r\n", "a"),
            ("$12\r\nHello\r\nthere\r\n$1\r", "Hello\r\nthere"),
        ] {
            assert_eq!(glance(bytes), Some(body));
        }
        let blob = Blob::at(b"+OK\r\n$2\r\nab\r\n", 5).unwrap();
        assert_eq!((blob.start, blob.end, blob.next(), blob.len()), (9, 11, 13, 2));
    }

    #[test]
    fn incomplete_and_unusual_frames_are_left_to_the_scanner() {
        for bytes in [
            "",
            "$",
            "$1",
            "$1\r",
            "$1\r\n",
            "$1\r\na",
            "$1\r\na\r",
            "$1\r\nab\r",
            "$1\rxa\r\n",
            "$1\r\na\rx",
            "$\r\n\r\n",
            "$-1\r\n",
            "$?\r\n",
            "$01\r\na\r\n",
            "$00\r\n\r\n",
            "$1 \r\na\r\n",
            "$:\r\n0123456789\r\n",
            "+1\r\na\r\n",
            "$99999999999999999999\r\n",
            "$18446744073709551615\r\n\r\n",
        ] {
            assert_eq!(glance(bytes), None, "{bytes:?}");
        }
        assert!(Blob::at(b"$0\r\n\r\n", 7).is_none());
    }
}
