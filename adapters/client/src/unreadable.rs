//! Entries that cannot be read as the type asked for: what a lookup returns, and how it is
//! reported.

use std::sync::atomic::{AtomicU64, Ordering};

use async_caches_core::error::ServerErrorKind;
use async_caches_core::value::Unreadable;
use bytes::Bytes;

use crate::codec_error::CodecError;
use crate::error::Error;
use crate::events;
use crate::form::Decode;
use crate::recorder::Recording;

/// Reports entries that cannot be read, and counts them.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    count: AtomicU64,
    recorder: Option<Recording>,
}

impl Reports {
    pub(crate) fn new(recorder: Option<Recording>) -> Self {
        Self { count: AtomicU64::new(0), recorder }
    }

    /// How many entries could not be read so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The value in `bytes`, which are stored under `name`; `None` if they cannot be read and the
    /// caller treats that as a miss.
    ///
    /// # Errors
    /// [`Error::Deserialize`] if they cannot be read and the caller treats that as an error.
    #[inline]
    pub(crate) fn read<D: Decode>(
        &self,
        name: &[u8],
        bytes: Bytes,
        unreadable: Unreadable,
        operation: &'static str,
    ) -> Result<Option<D::Value>, Error> {
        match D::decode(bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.unread(name, error, unreadable, operation),
        }
    }

    #[cold]
    fn unread<T>(
        &self,
        name: &[u8],
        error: CodecError,
        unreadable: Unreadable,
        operation: &'static str,
    ) -> Result<Option<T>, Error> {
        self.note(operation, error.kind());
        match unreadable {
            Unreadable::Error => Err(Error::deserialize(name, error)),
            Unreadable::Miss => Ok(None),
        }
    }

    /// The result of a lookup that failed. An entry of another type of the server's, such as a
    /// list, cannot be read either.
    ///
    /// # Errors
    /// The same error, unless it is about such an entry and the caller treats that as a miss.
    #[cold]
    pub(crate) fn failed<T>(
        &self,
        error: Error,
        unreadable: Unreadable,
        operation: &'static str,
    ) -> Result<Option<T>, Error> {
        if !matches!(&error, Error::Server(error) if error.kind == ServerErrorKind::WrongType) {
            return Err(error);
        }
        self.note(operation, "wrong_type");
        match unreadable {
            Unreadable::Error => Err(error),
            Unreadable::Miss => Ok(None),
        }
    }

    fn note(&self, operation: &'static str, kind: &'static str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        events::unreadable(operation, kind);
        if let Some(recorder) = &self.recorder {
            recorder.unreadable(operation);
        }
    }
}
