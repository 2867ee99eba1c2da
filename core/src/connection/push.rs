//! Pushes: the messages that a server sends unrequested, and the request for them.
//!
//! A push answers no command and has no place in the queue; it is returned in the order of arrival
//! between the replies. If the caller wants no pushes, each is checked, so that a broken one still
//! ends the connection, and then dropped without an allocation. Pushes during the handshake are
//! dropped too, as no caller can have read anything yet.

use bytes::{Buf, BytesMut};

use super::{Connection, Event};
use crate::error::ProtocolError;
use crate::resp::decode;

impl Connection {
    /// Takes the push of `len` bytes off `rx`, and returns it if the caller wants pushes.
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
