//! Reading from the front of received bytes, without copying them.

use bytes::{Buf, Bytes};

use super::error::Defect;
use super::fields::Millis;

/// The bytes that are not read yet.
pub(super) struct Cursor(Bytes);

impl Cursor {
    pub(super) fn new(stored: &Bytes) -> Self {
        Self(stored.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes that are not read yet, without reading them.
    pub(super) fn peek(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Defect> {
        let array = *self.0.first_chunk::<N>().ok_or(Defect::Truncated)?;
        self.0.advance(N);
        Ok(array)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Defect> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn millis(&mut self) -> Result<Millis, Defect> {
        self.array().map(Millis::from_bytes)
    }

    /// The next `len` bytes, which share the memory of all.
    pub(super) fn bytes(&mut self, len: usize) -> Result<Bytes, Defect> {
        if len <= self.0.len() { Ok(self.0.split_to(len)) } else { Err(Defect::Truncated) }
    }
}
