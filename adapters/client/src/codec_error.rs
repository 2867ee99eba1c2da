//! The error of a codec, which is not named: another codec may take its place.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_caches_core::shown::Shown;
use serde_json::error::Category;

/// The reason for which a value could not be written as bytes, or bytes could not be read as a
/// value.
///
/// It prints what the codec reports, and hides which codec that is. Clones share one error.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Error;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("user:1", "Ada").await?;
/// match cache.get::<u32>("user:1").await {
///     Err(Error::Deserialize { source, .. }) => {
///         assert!(source.to_string().contains("invalid type: string"));
///     }
///     other => panic!("a text is no number: {other:?}"),
/// }
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct CodecError(Arc<serde_json::Error>);

impl CodecError {
    pub(crate) fn new(error: serde_json::Error) -> Self {
        Self(Arc::new(error))
    }

    /// The same error, escaped and cut, as it may quote a whole value.
    pub(crate) fn bounded(self) -> Self {
        let text = self.to_string();
        let shown = Shown(&text, Shown::WORDS).to_string();
        if shown == text { self } else { Self::new(serde::de::Error::custom(shown)) }
    }

    /// A short word for why bytes cannot be read. The error's own text may quote the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self.0.classify() {
            Category::Io | Category::Syntax => "syntax",
            Category::Data => "data",
            Category::Eof => "eof",
        }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for CodecError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
