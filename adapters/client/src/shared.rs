//! Errors that can be cloned: foreign errors are shared, and the chain of sources leads through
//! them.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use async_caches_core::shown::Shown;

/// A foreign error inside one of ours; clones share it.
///
/// It is a pointer and not an error itself, so that [`source`](StdError::source) returns the error
/// inside, which a downcast then finds by its own type.
///
/// ```
/// use async_caches::Shared;
/// use std::io;
///
/// let error = Shared::new(io::Error::from(io::ErrorKind::TimedOut));
/// let copy = error.clone(); // an `io::Error` has no clone of its own
/// assert_eq!(copy.kind(), io::ErrorKind::TimedOut);
/// ```
pub struct Shared<E: ?Sized>(Arc<E>);

impl<E> Shared<E> {
    /// Shares an error.
    pub fn new(error: E) -> Self {
        Self(Arc::new(error))
    }
}

impl Shared<dyn StdError + Send + Sync> {
    /// Shares an error of any type.
    pub(crate) fn of(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl<E: ?Sized> Clone for Shared<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: ?Sized> Deref for Shared<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

impl<E: fmt::Debug + ?Sized> fmt::Debug for Shared<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An error and all its sources in one line, each once.
pub(crate) struct WithSources<'e>(pub(crate) &'e (dyn StdError + 'static));

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            // The error may come from another library, and quote its input.
            write!(f, ": {}", Shown(&error.to_string(), 2 * Shown::WORDS))?;
            source = error.source();
        }
        Ok(())
    }
}
