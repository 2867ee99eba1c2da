//! Numbers in the cache: JSON numbers that can be added to.

use alloc::vec::Vec;

use crate::error::NumberError;

/// A number to add, or the sum: an integer or a double.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// An integer; adds only to integers.
    Integer(i64),
    /// A double; adds to any number. Never infinite or not a number in a reply.
    Float(f64),
}

impl Number {
    /// Adds this number to the one that `stored` spells: the sum, and its text to store.
    ///
    /// # Errors
    /// [`NumberError`]; never [`NumberError::KeyNotFound`].
    pub fn add_to(self, stored: &[u8]) -> Result<(Self, Vec<u8>), NumberError> {
        let _ = stored;
        Err(NumberError::NotANumber)
    }
}
