//! Why a cache that is to speak TLS could not be opened.

use std::error::Error as StdError;
use std::io;

use thiserror::Error;

use crate::shared::Shared;

/// Why a cache that is to speak TLS could not be opened. Nothing was sent, least of all in plain
/// text.
///
/// Files are named, by the first 255 characters of their paths, and nothing of what they hold is shown.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// What was built has no TLS in it.
    #[error(
        "{scheme}:// asks for TLS: build async-caches-tokio, async-caches-smol or \
         async-caches-async-std with its feature `tls`"
    )]
    NotBuilt {
        /// The URL's scheme, as it was written.
        scheme: String,
    },
    /// A file cannot be read.
    #[error("the option {option} names {path:?}, which cannot be read")]
    Read {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        source: Shared<io::Error>,
    },
    /// What should be a file is a directory, a device or a pipe.
    #[error("the option {option} names {path:?}, which is no regular file")]
    NotAFile {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: String,
    },
    /// A file is larger than any of its kind.
    #[error("the option {option} names {path:?}, which is larger than {limit} bytes")]
    TooLarge {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: String,
        /// How large it may be.
        limit: u64,
    },
    /// A file is not the text that it should be.
    #[error("the option {option} names {path:?}, which is no PEM file: {problem}")]
    Pem {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file has nothing of what it is for.
    #[error("the option {option} names {path:?}, which holds no {wanted}")]
    Nothing {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A file holds what it should, and that is of no use.
    #[error("the option {option} names {path:?}, which is of no use")]
    Unusable {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: String,
        /// Why not; a `tls::InWords` of the core, around a `rustls::Error`.
        source: Shared<dyn StdError + Send + Sync>,
    },
    /// The operating system trusts nobody, as far as can be found out.
    #[error("no authorities were found that the operating system trusts; name some with tls_ca")]
    NoRoots {
        /// Why, where it is known; a `rustls_native_certs::Error`.
        source: Option<Shared<dyn StdError + Send + Sync>>,
    },
    /// No certificate can be for this.
    #[error(
        "no certificate can be for {name:?}, which is neither a name in ASCII nor an address; say \
         with tls_server_name whose it must be"
    )]
    ServerName {
        /// The host or the option `tls_server_name`.
        name: String,
    },
    /// The application has brought a configuration, which has all that this option is about.
    #[error(
        "the option {option} contradicts the configuration of TLS that was given to the builder"
    )]
    OwnConfig {
        /// Which option.
        option: &'static str,
    },
    /// The cryptography that the process has installed as its default does not do.
    #[error("the process's default cryptography is of no use")]
    Provider {
        /// Why not; a `tls::InWords` of the core, around a `rustls::Error`.
        source: Shared<dyn StdError + Send + Sync>,
    },
}
