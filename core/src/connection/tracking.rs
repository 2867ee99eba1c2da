//! Which pushes a connection asks its server for.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::resp::encode;
use crate::resp::output::Output;

/// How a connection treats pushes.
///
/// ```
/// use async_caches_core::connection::{Pushes, Setup, Tracking};
/// use core::time::Duration;
///
/// let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// assert_eq!(setup.pushes, Pushes::Dropped);
/// setup.pushes = Pushes::Told { tracking: Some(Tracking::Read) };
/// assert_ne!(setup.pushes, Pushes::default());
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Pushes {
    /// They are dropped.
    #[default]
    Dropped,
    /// They are returned, as [`Event::Push`](super::Event::Push).
    Told {
        /// What the handshake asks the server to push.
        tracking: Option<Tracking>,
    },
}

/// Which changed keys a server reports in a push of the kind `invalidate` (`CLIENT TRACKING`).
///
/// Requires Redis 6 or Valkey, and RESP3. Without them the handshake ends in
/// [`ConnectionError::NoPushes`](crate::error::ConnectionError::NoPushes), and if the server
/// refuses the request in [`ConnectionError::Refused`](crate::error::ConnectionError::Refused), as
/// a caller that relies on it would otherwise trust stale values. Servers track keys by name,
/// whatever the database.
///
/// ```
/// use async_caches_core::connection::{Connection, Output, Pushes, Setup, Tracking};
/// use async_caches_core::error::ConnectionError;
/// use async_caches_core::time::Instant;
/// use bytes::BytesMut;
/// use core::time::Duration;
///
/// let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let prefixes = vec![Box::from(&b"forum:"[..])];
/// setup.pushes = Pushes::Told { tracking: Some(Tracking::Broadcast { prefixes }) };
/// let (now, mut rx, mut tx) = (Instant::ORIGIN, BytesMut::new(), Output::new());
/// let mut connection = Connection::open(&setup, now, &mut tx);
/// rx.extend_from_slice(b"%1\r\n+proto\r\n:3\r\n");
/// connection.poll(&mut rx, now, &mut tx)?;
/// assert!(tx.split().windows(6).any(|word| word == b"forum:"));
/// # Ok::<(), ConnectionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Tracking {
    /// The keys that were read on the same connection since they were last reported. The server
    /// remembers them, up to its `tracking-table-max-keys`.
    Read,
    /// All keys that begin with one of these prefixes, whichever client reads them; the server
    /// remembers only the prefixes. No prefix may begin with another one; no prefixes at all mean
    /// all keys.
    Broadcast {
        /// The beginnings of whole keys, `prefix:version:name`.
        prefixes: Vec<Box<[u8]>>,
    },
}

impl Tracking {
    /// Appends the command that requests it.
    pub(super) fn request(&self, tx: &mut Output) {
        let mut words: Vec<&[u8]> = alloc::vec![b"CLIENT", b"TRACKING", b"ON"];
        if let Self::Broadcast { prefixes } = self {
            words.push(b"BCAST");
            words.extend(prefixes.iter().flat_map(|prefix| [&b"PREFIX"[..], &**prefix]));
        }
        encode::request(tx, &words);
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
