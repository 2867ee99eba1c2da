//! Certificates and keys from files in PEM (RFC 7468).
//!
//! No error shows a file's contents. For example, a key whose line breaks were lost would otherwise
//! be quoted as a malformed line.

use std::fs;
use std::io::Read;

use async_caches_core::shown::Shown;
use async_caches_core::tls::InWords;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::TlsConfigError;
use crate::shared::Shared;

/// A file, and the option that names it.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) option: &'static str,
    pub(super) path: &'a str,
}

impl File<'_> {
    /// All certificates in the file; at least one.
    pub(super) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
        let text = self.read()?;
        let certificates = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.malformed(&error, CERTIFICATE))?;
        if certificates.is_empty() { Err(self.nothing(CERTIFICATE)) } else { Ok(certificates) }
    }

    /// The first private key in the file.
    pub(super) fn key(self) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| self.malformed(&error, KEY))
    }

    pub(super) fn unusable(self, error: rustls::Error) -> TlsConfigError {
        let (option, path) = (self.option, self.shown());
        TlsConfigError::Unusable { option, path, source: Shared::of(InWords(error)) }
    }

    fn read(self) -> Result<Vec<u8>, TlsConfigError> {
        let unread = |error| TlsConfigError::Read {
            option: self.option,
            path: self.shown(),
            source: Shared::new(error),
        };
        // Checked before it is opened, as opening a pipe waits for its other end.
        if !fs::metadata(self.path).map_err(unread)?.is_file() {
            return Err(TlsConfigError::NotAFile { option: self.option, path: self.shown() });
        }
        let file = fs::File::open(self.path).map_err(unread)?;
        let mut text = Vec::new();
        file.take(MOST + 1).read_to_end(&mut text).map_err(unread)?;
        if text.len() as u64 > MOST {
            let (option, path) = (self.option, self.shown());
            return Err(TlsConfigError::TooLarge { option, path, limit: MOST });
        }
        Ok(text)
    }

    fn shown(self) -> String {
        self.path.chars().take(Shown::NAME).collect()
    }

    fn nothing(self, wanted: &'static str) -> TlsConfigError {
        TlsConfigError::Nothing { option: self.option, path: self.shown(), wanted }
    }

    fn malformed(self, error: &pem::Error, wanted: &'static str) -> TlsConfigError {
        let problem = match error {
            pem::Error::NoItemsFound => return self.nothing(wanted),
            pem::Error::MissingSectionEnd { .. } => "a section does not end",
            pem::Error::IllegalSectionStart { .. } => {
                "a section does not begin with a line of its own"
            }
            pem::Error::Base64Decode(_) => "a section is not base64",
            _ => "it is malformed",
        };
        TlsConfigError::Pem { option: self.option, path: self.shown(), problem }
    }
}

/// The maximum size of a file of certificates or of a key. All authorities that operating systems
/// trust come to a quarter of a mebibyte.
const MOST: u64 = 4 << 20;
const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";
