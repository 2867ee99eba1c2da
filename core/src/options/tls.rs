//! What is to be known for TLS, as data: whom to trust, what to show, whose name to look for. What
//! lies in the files, and what a handshake makes of it, is not known here.

use alloc::string::String;
use core::fmt;

use super::{OptionError, Options, check};

/// How a server proves who it is, and how we do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TlsSettings {
    /// Whose word about the server is taken.
    pub trust: Trust,
    /// What we show to a server that asks.
    pub certificate: Option<ClientCertificate>,
    /// The name or the address that the server's certificate must be for; that of the endpoint
    /// where there is none.
    pub server_name: Option<String>,
    /// How much of the server's certificate is verified.
    pub verify: TlsVerify,
}

/// How much of a server's certificate is verified. Its dates, its signatures and the chain to an authority
/// that is trusted always are. Prints as the option `tls_verify` is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum TlsVerify {
    /// All of it: it must be for the server's name, too.
    #[default]
    Full,
    /// All but the name, for certificates that have none. So any server with a certificate by one of the
    /// authorities in the file is taken for this one; the option wants such a file.
    Ca,
}

impl fmt::Display for TlsVerify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Ca => "ca",
        })
    }
}

/// Whose word is taken for a server's being the one that it says it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// That of the authorities which the operating system trusts.
    #[default]
    Platform,
    /// That of the authorities in a file, and of no others.
    File {
        /// The file, in PEM.
        path: String,
    },
    /// Anybody's: whoever is on the way may be the server, read everything and change it.
    DangerouslyAnyCertificate,
}

/// A certificate of our own, and its private key: where they lie, in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// The file of the certificate, and of those between it and its authority.
    pub certificate: String,
    /// The file of the private key.
    pub key: String,
}

impl TlsSettings {
    pub(super) fn new(options: &Options) -> Result<Self, OptionError> {
        let anybody = options.tls_dangerously_accept_any_certificate == Some(true);
        let trust = match (path(CA, options.tls_ca.as_ref())?, anybody) {
            (None, false) => Trust::Platform,
            (Some(path), false) => Trust::File { path },
            (None, true) => Trust::DangerouslyAnyCertificate,
            (Some(_), true) => {
                return Err(OptionError::Contradiction { option: CA, other: ACCEPT_ANY });
            }
        };
        let files = (path(CERT, options.tls_cert.as_ref())?, path(KEY, options.tls_key.as_ref())?);
        let certificate = match files {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(OptionError::Half { option: CERT, missing: KEY }),
            (None, Some(_)) => return Err(OptionError::Half { option: KEY, missing: CERT }),
        };
        let server_name = options.tls_server_name.as_deref().map(check::server_name).transpose()?;
        let verify = options.tls_verify.unwrap_or_default();
        match (options.tls_verify, &trust) {
            (Some(_), Trust::DangerouslyAnyCertificate) => {
                return Err(OptionError::Contradiction { option: VERIFY, other: ACCEPT_ANY });
            }
            // With all authorities of the world any certificate at all would do.
            (Some(TlsVerify::Ca), Trust::Platform) => {
                return Err(OptionError::Half { option: VERIFY, missing: CA });
            }
            (Some(TlsVerify::Full | TlsVerify::Ca) | None, _) => {}
        }
        Ok(Self { trust, certificate, server_name, verify })
    }

    /// One of the options that brought these about; none where they are the default.
    pub(crate) fn first_option(&self) -> Option<&'static str> {
        match (&self.trust, &self.certificate, &self.server_name) {
            (Trust::File { .. }, ..) => Some(CA),
            (Trust::DangerouslyAnyCertificate, ..) => Some(ACCEPT_ANY),
            (Trust::Platform, Some(_), _) => Some(CERT),
            (Trust::Platform, None, Some(_)) => Some(SERVER_NAME),
            (Trust::Platform, None, None) if self.verify != TlsVerify::default() => Some(VERIFY),
            (Trust::Platform, None, None) => None,
        }
    }
}

fn path(option: &'static str, path: Option<&String>) -> Result<Option<String>, OptionError> {
    match path {
        Some(path) if path.is_empty() => Err(OptionError::Empty { option }),
        path => Ok(path.cloned()),
    }
}

const CA: &str = "tls_ca";
const CERT: &str = "tls_cert";
const KEY: &str = "tls_key";
const SERVER_NAME: &str = "tls_server_name";
pub(super) const VERIFY: &str = "tls_verify";
pub(super) const ACCEPT_ANY: &str = "tls_dangerously_accept_any_certificate";
