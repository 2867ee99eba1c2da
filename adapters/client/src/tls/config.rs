//! The TLS of a cache: one configuration for all its connections, and the server's name.

use std::fmt;
use std::sync::Arc;

use async_caches_core::options::{
    ClientCertificate, OptionError, Settings, TlsSettings, TlsVerify, Trust,
};
use async_caches_core::shown::Shown;
use async_caches_core::tls::InWords;
use async_caches_core::url::{Endpoint, Server, Topology};
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::any::DangerouslyAnyCertificate;
use super::files::File;
use super::verify::TrustedFile;
use crate::error::{Error, TlsConfigError};
use crate::shared::Shared;

/// The TLS of each connection of a cache. Sessions are resumed from here, so connections that
/// should share them share this.
#[derive(Clone)]
pub(crate) struct TlsClient {
    pub(crate) config: Arc<ClientConfig>,
    /// The name that a server's certificate must have, wherever it is; if not given, its host.
    name: Option<ServerName<'static>>,
    /// The trusted authorities; `None` if the application gave the configuration.
    pub(super) trust: Option<Trust>,
}

/// The application's own configuration, if it gave one.
#[derive(Clone, Default)]
pub(crate) struct Own(pub(crate) Option<Arc<ClientConfig>>);

/// Returns the TLS of connections to `server`; `None` if its URL asks for plain text. Reads files,
/// and blocks meanwhile.
pub(crate) fn client(
    server: &Server,
    settings: &Settings,
    _: &str,
    Own(own): Own,
) -> Result<Option<TlsClient>, Error> {
    let Some(tls) = server.tls(settings)? else {
        return match own {
            None => Ok(None),
            Some(_) => Err(OptionError::NotTls { option: "tls_config" }.into()),
        };
    };
    let name = tls.server_name.as_deref().map(server_name).transpose()?;
    let client = match own {
        Some(config) => {
            excluded(tls)?;
            TlsClient { config, name, trust: None }
        }
        None => TlsClient { config: Arc::new(config(tls)?), name, trust: Some(tls.trust.clone()) },
    };
    let places = match &server.topology {
        Topology::Standalone(place) => std::slice::from_ref(place),
        Topology::Sentinel(service) => &service.sentinels,
        Topology::Cluster(nodes) => nodes,
    };
    for place in places {
        client.name_at(place)?;
    }
    Ok(Some(client))
}

impl TlsClient {
    /// The name that the certificate of a server there must have.
    pub(super) fn name_at(&self, place: &Endpoint) -> Result<ServerName<'static>, TlsConfigError> {
        match (&self.name, place) {
            (Some(name), _) => Ok(name.clone()),
            (None, Endpoint::Tcp { host: name, .. } | Endpoint::Unix { path: name }) => {
                server_name(name)
            }
        }
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsConfigError> {
    let unusable =
        |_| TlsConfigError::ServerName { name: name.chars().take(Shown::NAME).collect() };
    // The zone of an address names a local network and is in no certificate.
    let name = name.split_once('%').map_or(name, |(address, _)| address);
    ServerName::try_from(name.to_owned()).map_err(unusable)
}

/// Checks that no option sets what the application's own configuration covers.
fn excluded(tls: &TlsSettings) -> Result<(), TlsConfigError> {
    let option = match (&tls.trust, &tls.certificate) {
        (Trust::Platform, None) if tls.verify != TlsVerify::Full => VERIFY,
        (Trust::Platform, None) => return Ok(()),
        (Trust::Platform, Some(_)) => CERT,
        (Trust::File { .. }, _) => CA,
        (Trust::DangerouslyAnyCertificate, _) => ACCEPT_ANY,
    };
    Err(TlsConfigError::OwnConfig { option })
}

fn config(tls: &TlsSettings) -> Result<ClientConfig, TlsConfigError> {
    let installed = CryptoProvider::get_default().cloned();
    let provider = installed.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsConfigError::Provider { source: Shared::of(InWords(error)) })?;
    let builder = match &tls.trust {
        Trust::Platform => builder.with_root_certificates(platform_roots()?),
        Trust::File { path } => {
            let verifier = verifier(File { option: CA, path }, tls.verify, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::DangerouslyAnyCertificate => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(DangerouslyAnyCertificate(algorithms))),
    };
    match &tls.certificate {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => with_certificate(builder, files),
    }
}

/// The authorities that the operating system trusts. Some may be unusable, as long as one is
/// usable.
fn platform_roots() -> Result<RootCertStore, TlsConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let source = found.errors.into_iter().next().map(Shared::of);
        return Err(TlsConfigError::NoRoots { source });
    }
    Ok(roots)
}

fn verifier(
    file: File<'_>,
    verify: TlsVerify,
    provider: Arc<CryptoProvider>,
) -> Result<TrustedFile, TlsConfigError> {
    let certificates = file.certificates()?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| file.unusable(error))?;
    }
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let chain = chain.map_err(|error| file.unusable(rustls::Error::General(error.to_string())))?;
    Ok(TrustedFile { chain, certificates, verify })
}

fn with_certificate(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    files: &ClientCertificate,
) -> Result<ClientConfig, TlsConfigError> {
    let certificates = File { option: CERT, path: &files.certificate }.certificates()?;
    let file = File { option: KEY, path: &files.key };
    builder.with_client_auth_cert(certificates, file.key()?).map_err(|error| file.unusable(error))
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TlsClient");
        match &self.trust {
            Some(trust) => debug.field("trust", trust),
            None => debug.field("trust", &"the application's own configuration"),
        };
        debug.field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.0.is_some()).finish()
    }
}

const CA: &str = "tls_ca";
const CERT: &str = "tls_cert";
const KEY: &str = "tls_key";
const VERIFY: &str = "tls_verify";
const ACCEPT_ANY: &str = "tls_dangerously_accept_any_certificate";
