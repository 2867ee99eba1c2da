//! A client's request: one command, parsed from its bytes once it is whole.
//!
//! The crate `redis-protocol` parses it, so that our encoder is not checked by our own hand. The
//! simulated servers and the scripted [peers](crate::peer) read their commands here.

use std::fmt;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;

/// A command: an array of bulk strings.
#[derive(Clone)]
pub struct Request {
    words: Vec<Bytes>,
}

impl Request {
    /// Takes the first command off `bytes`, if it is whole.
    ///
    /// # Errors
    /// A description of the mistake, if the bytes do not begin with a command.
    pub fn take(bytes: &mut BytesMut) -> Result<Option<Self>, String> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some((frame, _, taken)) = decode_bytes_mut(bytes).map_err(|error| error.to_string())?
        else {
            return Ok(None);
        };
        // The crate does not look at the line end behind a bulk string: write it again, and
        // compare.
        if written(&frame) != taken {
            return Err(format!("no canonical form: {}", taken.escape_ascii()));
        }
        let BytesFrame::Array(words) = frame else { return Err(format!("no array: {frame:?}")) };
        let words = words.into_iter().map(|word| match word {
            BytesFrame::BulkString(word) => Ok(word),
            other => Err(format!("no bulk string: {other:?}")),
        });
        Ok(Some(Self { words: words.collect::<Result<_, _>>()? }))
    }

    /// A command of these words.
    #[must_use]
    pub fn of(words: &[impl AsRef<[u8]>]) -> Self {
        let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_ref()));
        Self { words: words.collect() }
    }

    /// The command as a client sends it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.words.iter().cloned().map(BytesFrame::BulkString);
        written(&BytesFrame::Array(words.collect())).to_vec()
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

    /// The words in order.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.words.iter().map(|word| &word[..])
    }

    /// A word, or an empty one past the end.
    #[must_use]
    pub fn word(&self, index: usize) -> &[u8] {
        self.words.get(index).map(|word| &word[..]).unwrap_or_default()
    }

    /// A word, sharing its bytes with the command.
    #[must_use]
    pub fn share(&self, index: usize) -> Bytes {
        self.words.get(index).cloned().unwrap_or_default()
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

fn written(frame: &BytesFrame) -> BytesMut {
    let mut bytes = BytesMut::new();
    extend_encode(&mut bytes, frame, false).expect("a frame that fits in memory can be written");
    bytes
}

/// How much of a word a log shows.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_array_of_bulk_strings_is_no_command() {
        for bytes in
            ["+PING\r\n", "*1\r\n+PING\r\n", "*1\r\n$4\r\nPINGx\r\n", "*1\r\n$-1\r\n", "PING"]
        {
            let taken = Request::take(&mut BytesMut::from(bytes));
            assert!(taken.is_err(), "{bytes:?}: {taken:?}");
        }
    }

    #[test]
    fn a_command_is_taken_once_it_is_whole_and_no_byte_more() {
        let whole = b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n";
        for cut in 0..whole.len() {
            assert!(Request::take(&mut BytesMut::from(&whole[..cut])).unwrap().is_none(), "{cut}");
        }
        let mut bytes = BytesMut::from(&whole[..]);
        bytes.extend_from_slice(b"*1");
        let request = Request::take(&mut bytes).unwrap().unwrap();
        assert_eq!(
            (request.len(), request.word(0), request.word(1)),
            (2, &b"GET"[..], &b"\r\n"[..])
        );
        assert_eq!(bytes, "*1");
        assert_eq!(request.to_bytes(), whole);
    }
}
