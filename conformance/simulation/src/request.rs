//! A client's request: one command, parsed from its bytes once it is whole.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// A command: an array of bulk strings.
#[derive(Clone)]
pub struct Request {
    bytes: Bytes,
    words: Vec<Range<usize>>,
}

impl Request {
    /// Takes the first command off `bytes`, if it is whole.
    ///
    /// # Errors
    /// A description of the mistake, if the bytes do not begin with a command.
    pub fn take(bytes: &mut BytesMut) -> Result<Option<Self>, String> {
        let Some((count, mut at)) = number(bytes, 0, b'*')? else { return Ok(None) };
        let mut words = Vec::with_capacity(count);
        for _ in 0..count {
            let Some((len, start)) = number(bytes, at, b'$')? else { return Ok(None) };
            let end = start + len;
            match bytes.get(end..end + 2) {
                None => return Ok(None),
                Some(b"\r\n") => words.push(start..end),
                Some(other) => return Err(format!("a word ends in {other:?}")),
            }
            at = end + 2;
        }
        Ok(Some(Self { bytes: bytes.split_to(at).freeze(), words }))
    }

    /// A command of these words.
    #[must_use]
    pub fn of(words: &[impl AsRef<[u8]>]) -> Self {
        let (mut bytes, mut ranges) = (BytesMut::new(), Vec::new());
        for word in words {
            let start = bytes.len();
            bytes.extend_from_slice(word.as_ref());
            ranges.push(start..bytes.len());
        }
        Self { bytes: bytes.freeze(), words: ranges }
    }

    /// How many words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the command has no words.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// A word, or an empty one past the end.
    #[must_use]
    pub fn word(&self, index: usize) -> &[u8] {
        self.words.get(index).and_then(|range| self.bytes.get(range.clone())).unwrap_or_default()
    }

    /// A word, sharing its bytes with the command.
    #[must_use]
    pub fn share(&self, index: usize) -> Bytes {
        self.words.get(index).map(|range| self.bytes.slice(range.clone())).unwrap_or_default()
    }

    /// Whether a word is this one, in upper or lower case.
    #[must_use]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.word(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// A word as a number in its one canonical form.
    #[must_use]
    pub fn integer(&self, index: usize) -> Option<i64> {
        let text = std::str::from_utf8(self.word(index)).ok()?;
        let number: i64 = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for index in 0..self.len() {
            let word = self.word(index);
            let shown = word.get(..SHOWN).unwrap_or(word);
            write!(f, "{}{}", if index == 0 { "" } else { " " }, shown.escape_ascii())?;
        }
        Ok(())
    }
}

/// Returns the number on the line at `at`, behind its type byte, and the start of the next line.
fn number(bytes: &[u8], at: usize, kind: u8) -> Result<Option<(usize, usize)>, String> {
    let Some(line) = bytes.get(at..).filter(|line| !line.is_empty()) else { return Ok(None) };
    if line[0] != kind {
        return Err(format!("{:?} where {:?} was expected", line[0] as char, kind as char));
    }
    let Some(len) = line.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let digits = std::str::from_utf8(&line[1..len]).ok().and_then(|text| text.parse().ok());
    let number = digits.ok_or_else(|| format!("no number: {}", line[..len].escape_ascii()))?;
    Ok(Some((number, at + len + 2)))
}

/// How much of a word a log shows.
const SHOWN: usize = 60;
