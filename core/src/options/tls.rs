//! The settings for TLS, as data: which authorities to trust, which certificate to present, which
//! name to verify. This module knows neither the contents of the files nor the handshake.

use alloc::string::String;
use core::fmt;

/// How a server proves its identity, and how the client proves its own.
///
/// ```
/// use async_caches_core::options::{Options, Settings, TlsVerify, Trust};
///
/// let mut options = Options::default();
/// options.set("tls_ca", "/etc/redis/ca.pem")?;
/// options.set("tls_verify", "ca")?;
/// let tls = Settings::new(options)?.tls;
/// assert_eq!(tls.trust, Trust::File { path: "/etc/redis/ca.pem".into() });
/// assert_eq!(tls.verify, TlsVerify::Ca);
/// # Ok::<(), async_caches_core::options::OptionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The authorities whose certificates are trusted.
    pub trust: Trust,
    /// The certificate that is presented to a server that asks for one.
    pub certificate: Option<ClientCertificate>,
    /// The name or the address that the server's certificate must be for; `None` means that of the
    /// endpoint.
    pub server_name: Option<String>,
    /// How much of the server's certificate is verified.
    pub verify: TlsVerify,
}

/// How much of a server's certificate is verified. Its dates, its signatures and the chain to a
/// trusted authority always are. `Display` prints the value of the option `tls_verify`.
///
/// ```
/// use async_caches_core::options::{OptionError, Options, Settings, TlsVerify};
///
/// let mut options = Options::default();
/// options.set("tls_verify", "ca")?;
/// assert_eq!(options.tls_verify, Some(TlsVerify::Ca));
/// let error = Settings::new(options).unwrap_err(); // any public authority would do
/// assert_eq!(error, OptionError::Half { option: "tls_verify", missing: "tls_ca" });
/// # Ok::<(), OptionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum TlsVerify {
    /// Everything, including the server's name.
    #[default]
    Full,
    /// Everything but the name, for certificates without one. Any server with a certificate from
    /// one of the authorities in the file is accepted, so the option requires such a file.
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

/// The source of trust in a server's certificate.
///
/// ```
/// use async_caches_core::options::{Options, Settings, Trust};
///
/// assert_eq!(Settings::new(Options::default())?.tls.trust, Trust::Platform);
/// let mut options = Options::default();
/// options.set("tls_dangerously_accept_any_certificate", "true")?;
/// assert_eq!(Settings::new(options)?.tls.trust, Trust::DangerouslyAnyCertificate);
/// # Ok::<(), async_caches_core::options::OptionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// The authorities that the operating system trusts.
    #[default]
    Platform,
    /// The authorities in a file, and no others.
    File {
        /// The file, in PEM.
        path: String,
    },
    /// No verification: an attacker on the network path may pose as the server, and read and change
    /// everything.
    DangerouslyAnyCertificate,
}

/// A client certificate and its private key, as the paths of PEM files.
///
/// ```
/// use async_caches_core::options::{Options, Settings};
///
/// let mut options = Options::default();
/// options.set("tls_cert", "client.pem")?;
/// assert!(Settings::new(options.clone()).is_err()); // one is of no use without the other
/// options.set("tls_key", "client.key")?;
/// let certificate = Settings::new(options)?.tls.certificate.expect("both files are given");
/// assert_eq!((&*certificate.certificate, &*certificate.key), ("client.pem", "client.key"));
/// # Ok::<(), async_caches_core::options::OptionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// The file of the certificate, and of the intermediate certificates up to its authority.
    pub certificate: String,
    /// The file of the private key.
    pub key: String,
}

impl TlsSettings {
    /// One of the options that these settings come from; `None` if they are the default.
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

pub(super) const CA: &str = "tls_ca";
pub(super) const CERT: &str = "tls_cert";
pub(super) const KEY: &str = "tls_key";
pub(super) const SERVER_NAME: &str = "tls_server_name";
pub(super) const VERIFY: &str = "tls_verify";
pub(super) const ACCEPT_ANY: &str = "tls_dangerously_accept_any_certificate";
