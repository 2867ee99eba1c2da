//! Just enough of the Redis protocol to read a conversation from outside: commands and replies,
//! RESP2 and RESP3, whole or partial.
//!
//! It is written independently of the core's framing on purpose: a fault there must not hide itself
//! here. It trusts its peers (a real server, our own tests) and sets no limits.

/// One frame.
#[derive(Clone, PartialEq, Debug)]
pub enum Frame {
    /// A simple string, a big number, a double, a boolean: one line as it stands, type byte first.
    Line(String),
    /// An error, simple or long.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A bulk or verbatim string.
    Bulk(Vec<u8>),
    /// A null of either protocol.
    Null,
    /// An array, a set, a push or, flattened, a map.
    List(Vec<Frame>),
}

impl Frame {
    /// Returns the frame at the start of `bytes` and its length, or `None` if it is not whole yet.
    ///
    /// # Panics
    /// On bytes that are not a frame.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (line, mut used) = line(bytes)?;
        let (kind, rest) = (*line.first().expect("a frame has a type"), &line[1..]);
        let text = || String::from_utf8_lossy(rest).into_owned();
        let number = || text().parse::<i64>().unwrap_or_else(|_| panic!("no number: {line:?}"));
        let frame = match kind {
            b'-' => Self::Error(text()),
            b':' => Self::Integer(number()),
            b'_' => Self::Null,
            b'$' | b'=' | b'!' => match usize::try_from(number()) {
                Err(_) => Self::Null,
                Ok(length) => {
                    let body = bytes.get(used..used + length + 2)?;
                    used += body.len();
                    match kind {
                        b'!' => Self::Error(String::from_utf8_lossy(&body[..length]).into_owned()),
                        _ => Self::Bulk(body[..length].to_vec()),
                    }
                }
            },
            b'*' | b'~' | b'>' | b'%' | b'|' => match usize::try_from(number()) {
                Err(_) => Self::Null,
                Ok(count) => {
                    let count = if matches!(kind, b'%' | b'|') { 2 * count } else { count };
                    let mut items = Vec::new();
                    for _ in 0..count {
                        let (item, length) = Self::parse(&bytes[used..])?;
                        used += length;
                        items.push(item);
                    }
                    Self::List(items)
                }
            },
            b'+' | b'#' | b',' | b'(' => Self::Line(String::from_utf8_lossy(line).into_owned()),
            other => panic!("no frame begins with {:?}", other as char),
        };
        Some((frame, used))
    }

    /// The text of a line, a bulk or an error.
    ///
    /// # Panics
    /// On any other frame.
    pub fn text(&self) -> String {
        match self {
            Self::Line(line) => line[1..].to_owned(),
            Self::Error(text) => text.clone(),
            Self::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Integer(_) | Self::Null | Self::List(_) => panic!("no text: {self:?}"),
        }
    }
}

/// A command as a client sends it: an array of bulk strings.
pub fn command(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(bulk(word.as_ref()));
    }
    bytes
}

/// A bulk string.
pub fn bulk(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [format!("${}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_only_once_it_is_whole() {
        let bytes = b"%1\r\n+role\r\n*3\r\n$2\r\nab\r\n$-1\r\n:7\r\n";
        for cut in 0..bytes.len() {
            assert_eq!(Frame::parse(&bytes[..cut]), None, "{cut}");
        }
        let list = Frame::List(vec![Frame::Bulk(b"ab".into()), Frame::Null, Frame::Integer(7)]);
        let map = Frame::List(vec![Frame::Line("+role".into()), list]);
        assert_eq!(Frame::parse(bytes), Some((map, bytes.len())));
    }

    #[test]
    fn a_command_is_an_array_of_bulks() {
        assert_eq!(command(&["GET", "a\n"]), b"*2\r\n$3\r\nGET\r\n$2\r\na\n\r\n");
    }
}
