//! Verifies a server's certificate against the authorities in a file.

use std::sync::Arc;

use async_caches_core::options::TlsVerify;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

/// Verifies like webpki, with two differences. A certificate that is itself in the file is trusted,
/// even if it is an authority's or its issuer is unknown. And the name check may be skipped.
#[derive(Debug)]
pub(super) struct TrustedFile {
    pub(super) chain: Arc<WebPkiServerVerifier>,
    /// The certificates in the file.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) verify: TlsVerify,
}

impl TrustedFile {
    /// Whether the certificate is in the file, and `problem` is only that webpki wants an issuer
    /// for it. Webpki checks dates first, so it reports an expired certificate as such.
    fn is_trusted_itself(&self, shown: &CertificateDer<'_>, problem: &CertificateError) -> bool {
        let wants_an_issuer = match problem {
            CertificateError::UnknownIssuer => true,
            // Rustls has no variant for this; webpki prints its own as their names.
            CertificateError::Other(OtherError(other)) => other.to_string() == "CaUsedAsEndEntity",
            _ => false,
        };
        wants_an_issuer && self.certificates.iter().any(|own| own.as_ref() == shown.as_ref())
    }

    fn wants_name(&self) -> bool {
        self.verify != TlsVerify::Ca
    }
}

impl ServerCertVerifier for TrustedFile {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = &self.chain;
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(problem))
                if self.is_trusted_itself(end_entity, &problem) =>
            {
                if self.wants_name() {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            // Webpki checks the name last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.wants_name() => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
