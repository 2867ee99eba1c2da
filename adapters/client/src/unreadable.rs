//! Entries that cannot be read as what was asked for: what a lookup makes of one, and who is told.

use std::sync::atomic::{AtomicU64, Ordering};

use async_caches_core::error::ServerErrorKind;
use async_caches_core::value::Unreadable;
use bytes::Bytes;
use serde_json::error::Category;

use crate::error::Error;
use crate::events;
use crate::form::Decode;
use crate::recorder::Recording;

/// Who is told of entries that cannot be read, and how many there were.
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

    /// The value in `bytes`, which are stored under `name`; none if they cannot be read and that is
    /// a miss to the caller.
    ///
    /// # Errors
    /// [`Error::Deserialize`] if they cannot be read and that is an error to the caller.
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
        error: serde_json::Error,
        unreadable: Unreadable,
        operation: &'static str,
    ) -> Result<Option<T>, Error> {
        self.note(operation, kind(&error));
        match unreadable {
            Unreadable::Error => Err(Error::deserialize(name, error)),
            Unreadable::Miss => Ok(None),
        }
    }

    /// What a lookup that failed comes to: an entry of another type of the server's, such as a list,
    /// cannot be read either.
    ///
    /// # Errors
    /// The same error, unless it is of such an entry and that is a miss to the caller.
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

/// One of a few words for why bytes cannot be read. The error's own text may quote the value.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        Category::Io | Category::Syntax => "syntax",
        Category::Data => "data",
        Category::Eof => "eof",
    }
}
