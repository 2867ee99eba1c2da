//! Certificates that are made when a test needs them, by an authority of the test's own.

use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority that issues certificates. No two are the same.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its private key, each in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub pem: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new authority, which no client trusts yet.
    ///
    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With two authorities of one name, a client would try the wrong one instead of reporting
        // an unknown one.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("there is randomness");
        let pem = params.self_signed(&key).expect("an authority signs for itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// The authority's own certificate in PEM, for clients that trust it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for hosts by these names and addresses, valid from long ago until far
    /// in the future.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.sign(&params(names))
    }

    /// Issues a certificate for these hosts that expired long ago.
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> Certificate {
        let mut params = params(names);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().expect("there is randomness");
        let signed = params.signed_by(&key, &self.issuer).expect("an authority signs");
        Certificate { pem: signed.pem(), key: key.serialize_pem() }
    }
}

/// A self-signed certificate for hosts by these names and addresses, which no authority has issued.
/// It can be an authority's, as OpenSSL makes them, or not; and it can have expired.
///
/// # Panics
/// When there is no randomness.
#[must_use]
pub fn self_signed(names: &[&str], of_an_authority: bool, expired: bool) -> Certificate {
    let mut params = params(names);
    if of_an_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    if expired {
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    }
    let key = KeyPair::generate().expect("there is randomness");
    let pem = params.self_signed(&key).expect("a key signs for itself").pem();
    Certificate { pem, key: key.serialize_pem() }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("names are ASCII")
}
