//! Why a cache with TLS could not be opened.

use std::error::Error as StdError;
use std::io;

use thiserror::Error;

use crate::shared::Shared;

/// Why a cache with TLS could not be opened. Nothing was sent, least of all in plain text.
///
/// Files are named by the first 255 characters of their paths. Their contents are not shown.
///
/// ```
/// use async_caches::{Error, TlsConfigError};
///
/// /// The option to correct, if a file is at fault.
/// fn option_at_fault(error: &Error) -> Option<&'static str> {
///     match error {
///         Error::Tls(
///             TlsConfigError::Read { option, .. }
///             | TlsConfigError::NotAFile { option, .. }
///             | TlsConfigError::Pem { option, .. },
///         ) => Some(option),
///         _ => None,
///     }
/// }
///
/// let error = TlsConfigError::NotAFile { option: "tls_ca", path: "/etc".into() };
/// assert_eq!(option_at_fault(&error.into()), Some("tls_ca"));
/// ```
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// This build has no TLS.
    #[error(
        "{scheme}:// asks for TLS: build async-caches-tokio, async-caches-smol or \
         async-caches-async-std with its feature `tls`"
    )]
    NotBuilt {
        /// The URL's scheme, as written.
        scheme: String,
    },
    /// A file cannot be read.
    #[error("the option {option} names {path:?}, which cannot be read")]
    Read {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: String,
        /// The operating system's error.
        source: Shared<io::Error>,
    },
    /// The path is a directory, a device or a pipe instead of a file.
    #[error("the option {option} names {path:?}, which is no regular file")]
    NotAFile {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: String,
    },
    /// A file is larger than any file of its kind.
    #[error("the option {option} names {path:?}, which is larger than {limit} bytes")]
    TooLarge {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: String,
        /// The size limit in bytes.
        limit: u64,
    },
    /// A file is not valid PEM.
    #[error("the option {option} names {path:?}, which is no PEM file: {problem}")]
    Pem {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: String,
        /// The problem.
        problem: &'static str,
    },
    /// A file has no section of the wanted kind.
    #[error("the option {option} names {path:?}, which holds no {wanted}")]
    Nothing {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: String,
        /// The kind of section that it should hold.
        wanted: &'static str,
    },
    /// A file holds the wanted kind of section, but it cannot be used.
    #[error("the option {option} names {path:?}, which is of no use")]
    Unusable {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: String,
        /// The reason: a `tls::InWords` of the core, around a `rustls::Error`.
        source: Shared<dyn StdError + Send + Sync>,
    },
    /// No certificate authority trusted by the operating system was found.
    #[error("no authorities were found that the operating system trusts; name some with tls_ca")]
    NoRoots {
        /// The reason, if it is known: a `rustls_native_certs::Error`.
        source: Option<Shared<dyn StdError + Send + Sync>>,
    },
    /// No certificate can be for this name.
    #[error(
        "no certificate can be for {name:?}, which is neither a name in ASCII nor an address; say \
         with tls_server_name whose it must be"
    )]
    ServerName {
        /// The host or the option `tls_server_name`.
        name: String,
    },
    /// The application has given a configuration, which already covers what this option sets.
    #[error(
        "the option {option} contradicts the configuration of TLS that was given to the builder"
    )]
    OwnConfig {
        /// The option.
        option: &'static str,
    },
    /// The cryptography that the process has installed as its default cannot be used.
    #[error("the process's default cryptography is of no use")]
    Provider {
        /// The reason: a `tls::InWords` of the core, around a `rustls::Error`.
        source: Shared<dyn StdError + Send + Sync>,
    },
}
