//! Why a cache that is to speak TLS could not be opened.

use thiserror::Error;

/// Why a cache that is to speak TLS could not be opened. Nothing was sent, least of all in plain
/// text.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// What was built has no TLS in it.
    #[error(
        "rediss:// asks for TLS: build async-caches-tokio, async-caches-smol or \
         async-caches-async-std with its feature `tls`"
    )]
    NotBuilt,
}
