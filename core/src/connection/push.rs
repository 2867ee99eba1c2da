//! Pushes: what a server says without being asked, and what it is asked to say.
//!
//! A push answers nothing and has no place in the queue; it is told where it stands between the
//! replies. Where nobody wants pushes they are looked at, so that a broken one still ends the
//! connection, and dropped without an allocation; so are those that come during the handshake, when
//! nobody can have read anything yet.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Buf, BytesMut};

use super::{Connection, Event};
use crate::error::ProtocolError;
use crate::resp::decode;
use crate::resp::encode;
use crate::resp::output::Output;

/// What becomes of the pushes of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Pushes {
    /// They are dropped.
    #[default]
    Dropped,
    /// They are told, as [`Event::Push`].
    Told {
        /// What the server is asked to push, in the handshake.
        tracking: Option<Tracking>,
    },
}

/// Which keys a server is to name in a push of the kind `invalidate` once they have changed
/// (`CLIENT TRACKING`). It wants Redis 6 or Valkey, and RESP3: without, the handshake ends in
/// [`ConnectionError::NoPushes`](crate::error::ConnectionError::NoPushes), and where the server
/// refuses it in [`ConnectionError::Refused`](crate::error::ConnectionError::Refused), as whoever
/// relies on it would trust in what is stale otherwise. Servers track keys by name, whatever the
/// database.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Tracking {
    /// Those that were read on the same connection since they were named last. The server
    /// remembers them, up to its `tracking-table-max-keys`.
    Read,
    /// All that begin with one of these, whoever read them; the server remembers nothing but
    /// these. No prefix may begin with another one; none at all is all keys.
    Broadcast {
        /// The beginnings of whole keys, `prefix:version:name`.
        prefixes: Vec<Box<[u8]>>,
    },
}

impl Tracking {
    /// Appends the command that asks for it.
    pub(super) fn request(&self, tx: &mut Output) {
        let mut words: Vec<&[u8]> = alloc::vec![b"CLIENT", b"TRACKING", b"ON"];
        if let Self::Broadcast { prefixes } = self {
            words.push(b"BCAST");
            words.extend(prefixes.iter().flat_map(|prefix| [&b"PREFIX"[..], &**prefix]));
        }
        encode::request(tx, &words);
    }
}

impl Connection {
    /// Takes the push of `len` bytes off `rx`, and tells it where somebody listens.
    pub(super) fn pushed(
        &mut self,
        rx: &mut BytesMut,
        len: usize,
    ) -> Result<Option<Event>, ProtocolError> {
        if self.tells_pushes && !self.is_greeting() {
            return Ok(Some(Event::Push(decode::push(rx.split_to(len).freeze())?)));
        }
        decode::check_push(rx)?;
        rx.advance(len);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tracking: &Tracking) -> alloc::string::String {
        let mut tx = Output::new();
        tracking.request(&mut tx);
        std::string::String::from_utf8(tx.split().to_vec()).unwrap()
    }

    #[test]
    fn tracking_is_asked_for_with_its_prefixes() {
        assert_eq!(asked(&Tracking::Read), "*3\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n");
        let prefixes = alloc::vec![Box::from(&b"a:"[..]), Box::from(&b"b"[..])];
        assert_eq!(
            asked(&Tracking::Broadcast { prefixes }),
            "*8\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n$5\r\nBCAST\r\n\
             $6\r\nPREFIX\r\n$2\r\na:\r\n$6\r\nPREFIX\r\n$1\r\nb\r\n"
        );
    }
}
