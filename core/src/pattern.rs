//! The pattern with which a server finds every key that begins with given bytes.

use bytes::BufMut;

/// The length of the pattern that matches every key beginning with `stem`.
pub(crate) fn len(stem: &[u8]) -> usize {
    stem.len() + stem.iter().filter(|&&byte| is_special(byte)).count() + 1
}

/// Appends that pattern.
pub(crate) fn put(stem: &[u8], buf: &mut impl BufMut) {
    for &byte in stem {
        if is_special(byte) {
            buf.put_u8(b'\\');
        }
        buf.put_u8(byte);
    }
    buf.put_u8(b'*');
}

/// Whether a byte has a special meaning in a server's patterns. `]`, `^` and `-` have one only
/// behind a `[` that is not escaped; `]` is escaped for the reader's peace of mind.
///
/// Source: `stringmatchlen` in Redis's `src/util.c`.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\')
}
