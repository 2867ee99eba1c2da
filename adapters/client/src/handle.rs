//! The cache of an operation: borrowed from its caller, or a clone that the operation owns.

use std::fmt;
use std::ops::Deref;

use crate::cache::Cache;

/// The cache that an operation uses.
pub(crate) enum Handle<'c> {
    Borrowed(&'c Cache),
    /// In a box, so that both kinds hold one pointer and reading it takes no branch.
    Owned(Box<Cache>),
}

impl Handle<'_> {
    /// Returns the same cache, owned by the operation.
    pub(crate) fn owned(&self) -> Handle<'static> {
        Handle::Owned(Box::new(Cache::clone(self)))
    }
}

impl Deref for Handle<'_> {
    type Target = Cache;

    #[inline(always)]
    fn deref(&self) -> &Cache {
        match self {
            Self::Borrowed(cache) => cache,
            Self::Owned(cache) => cache,
        }
    }
}

impl<'c> From<&'c Cache> for Handle<'c> {
    #[inline(always)]
    fn from(cache: &'c Cache) -> Self {
        Self::Borrowed(cache)
    }
}

impl fmt::Debug for Handle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
