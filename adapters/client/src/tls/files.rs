//! Certificates and keys from files in PEM (RFC 7468).
//!
//! What a file holds is in no error: a key whose line breaks were lost would be quoted as a line
//! that is malformed.

use std::fs;

use async_caches_core::tls::InWords;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsConfigError;
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
        let Self { option, path } = self;
        TlsConfigError::Unusable { option, path: path.into(), source: Shared::of(InWords(error)) }
    }

    fn read(self) -> Result<Vec<u8>, TlsConfigError> {
        let Self { option, path } = self;
        fs::read(path).map_err(|error| {
            let source = Shared::new(error);
            TlsConfigError::Read { option, path: path.into(), source }
        })
    }

    fn nothing(self, wanted: &'static str) -> TlsConfigError {
        let Self { option, path } = self;
        TlsConfigError::Nothing { option, path: path.into(), wanted }
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
        let Self { option, path } = self;
        TlsConfigError::Pem { option, path: path.into(), problem }
    }
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";
