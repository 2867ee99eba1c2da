//! TLS: which servers are accepted, which certificate they are shown, and that no other peer learns
//! a secret.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_caches::rustls::client::WebPkiServerVerifier;
use async_caches::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use async_caches::rustls::crypto::{CryptoProvider, ring};
use async_caches::rustls::pki_types::pem::PemObject;
use async_caches::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use async_caches::rustls::{
    ClientConfig, DigitallySignedStruct, Error as RustlsError, RootCertStore, SignatureScheme,
};
use async_caches::{Builder, Cache, ConnectionFailure, Error, TlsConfigError, TlsError, TlsVerify};
use tempfile::TempDir;

use crate::backend::{CANARY, PASSWORD};
use crate::certificates::{Authority, Certificate, self_signed};
use crate::context::{Context, connected};
use crate::proxy::{Ending, Proxy};
use crate::sentinels::{self, Trio};
use crate::server::{Asks, Kind, Server, Setup, Tls};

pub async fn a_server_of_an_unknown_authority_is_refused_and_sent_no_password(cx: Context) {
    let server = cx.start(&Setup::default());
    let files = Files::new();
    let other = files.write("other.pem", Authority::new().pem());
    let builder = cx.builder_of(&server.url(0));
    let error = refused(&cx, &server, builder.clone().tls_ca(other)).await;
    assert_eq!(error, TlsError::UnknownIssuer);
    let cache = connected(builder).await;
    cache.set("key", 1).await.unwrap();
    assert!(was_greeted(&server), "it can be told whether a server was");
}

pub async fn a_certificate_for_another_name_is_refused_without_tls_server_name(cx: Context) {
    let authority = Authority::new();
    let tls = Tls { certificate: authority.issue(&["cache.example"]), ..Tls::of(&authority) };
    let server = cx.start(&Setup::default().tls(tls));
    let error = refused(&cx, &server, cx.builder_of(&server.url(0))).await;
    assert_eq!(error, TlsError::WrongName { name: "127.0.0.1".into() });
    let builder = cx.builder_of(&server.url(0)).tls_server_name("cache.example");
    connected(builder).await.ping().await.unwrap();
    let url = format!("{}&tls_server_name=cache.example", server.url(0));
    connected(cx.builder_of(&url)).await.ping().await.unwrap();
}

pub async fn a_certificate_that_has_expired_is_refused(cx: Context) {
    let authority = Authority::new();
    let certificate = authority.issue_expired(&["127.0.0.1"]);
    let server = cx.start(&Setup::default().tls(Tls { certificate, ..Tls::of(&authority) }));
    let error = refused(&cx, &server, cx.builder_of(&server.url(0))).await;
    assert_eq!(error, TlsError::Expired);
}

pub async fn a_certificate_that_the_file_contains_is_accepted(cx: Context) {
    let start = |certificate: Certificate| {
        let authority = certificate.pem.clone();
        cx.start(&Setup::default().tls(Tls { authority, certificate, asks: Asks::Nobody }))
    };
    for of_an_authority in [true, false] {
        let server = start(self_signed(&["127.0.0.1"], of_an_authority, false));
        // The name must match nevertheless.
        let builder = cx.builder_of(&server.url(0));
        let error = refused(&cx, &server, builder.clone().tls_server_name("cache.example")).await;
        assert_eq!(error, TlsError::WrongName { name: "cache.example".into() });
        connected(builder).await.ping().await.unwrap();
        let old = start(self_signed(&["127.0.0.1"], of_an_authority, true));
        let error = refused(&cx, &old, cx.builder_of(&old.url(0))).await;
        assert_eq!(error, TlsError::Expired);
    }
}

pub async fn a_certificate_without_a_name_is_accepted_with_tls_verify_ca(cx: Context) {
    let authority = Authority::new();
    let start = |certificate: Certificate| {
        cx.start(&Setup::default().tls(Tls { certificate, ..Tls::of(&authority) }))
    };
    let server = start(authority.issue(&[]));
    let error = refused(&cx, &server, cx.builder_of(&server.url(0))).await;
    assert_eq!(error, TlsError::WrongName { name: "127.0.0.1".into() });
    let files = Files::new();
    let other = files.write("other.pem", Authority::new().pem());
    let builder = cx.builder_of(&without_authority(&server)).tls_verify(TlsVerify::Ca);
    let error = refused(&cx, &server, builder.tls_ca(other)).await;
    assert_eq!(error, TlsError::UnknownIssuer);
    let old = start(authority.issue_expired(&[]));
    let error = refused(&cx, &old, cx.builder_of(&old.url(0)).tls_verify(TlsVerify::Ca)).await;
    assert_eq!(error, TlsError::Expired);
    let url = format!("{}&tls_verify=ca", server.url(0));
    for builder in [cx.builder_of(&url), cx.builder_of(&server.url(0)).tls_verify(TlsVerify::Ca)] {
        connected(builder).await.ping().await.unwrap();
    }
}

pub async fn accepting_any_certificate_is_opt_in_and_shown_in_debug_output(cx: Context) {
    let authority = Authority::new();
    let certificate = authority.issue_expired(&["cache.example"]);
    let server = cx.start(&Setup::default().tls(Tls { certificate, ..Tls::of(&authority) }));
    let builder = cx.builder_of(&without_authority(&server));
    refused(&cx, &server, builder.clone()).await;
    refused(&cx, &server, builder.clone().tls_dangerously_accept_any_certificate(false)).await;
    let cache = connected(builder.tls_dangerously_accept_any_certificate(true)).await;
    cache.ping().await.unwrap();
    let shown = format!("{cache:?}");
    assert!(shown.contains("DangerouslyAnyCertificate"), "{shown}");
}

pub async fn a_server_that_requests_a_certificate_is_sent_the_clients(cx: Context) {
    let authority = Authority::new();
    let tls = Tls { asks: Asks::Everybody, ..Tls::of(&authority) };
    let server = cx.start(&Setup::default().tls(tls));
    let files = Files::new();
    let with = |certificate: &Certificate| {
        let cert = files.write("own.pem", &certificate.pem);
        cx.builder_of(&server.url(0))
            .tls_cert(cert)
            .tls_key(files.write("own.key", &certificate.key))
    };
    for builder in [cx.builder_of(&server.url(0)), with(&Authority::new().issue(&["worker"]))] {
        let error = refused_for(&cx, &server, builder, "").await;
        assert!(matches!(error, TlsError::Alert { .. }), "{error:?}");
    }
    let cache = connected(with(&authority.issue(&["worker"]))).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(server.raw(0).text(&["GET", "::key"]), "1");
}

pub async fn a_server_that_speaks_no_tls_is_an_error_and_sent_no_command(cx: Context) {
    let setup = Setup::default().password(PASSWORD);
    let server = Server::start(Kind::Redis, &setup);
    let files = Files::new();
    let url = server.url(0).replacen("redis://", "rediss://", 1);
    let ca = files.write("ca.pem", Authority::new().pem());
    let builder = cx.builder_of(&url).tls_ca(ca).connect_timeout(BRIEF).response_timeout(BRIEF);
    let error = cx.within(BRIEF + SLACK, "connect", builder.connect()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(!was_greeted(&server));
}

pub async fn a_stalled_tls_handshake_ends_with_the_connect_timeout(cx: Context) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let files = Files::new();
    let ca = files.write("ca.pem", Authority::new().pem());
    let builder = cx.builder_of(&format!("rediss://{address}")).tls_ca(ca);
    let builder = builder.connect_timeout(BRIEF).response_timeout(BRIEF);
    let start = Instant::now();
    let error = cx.within(BRIEF + SLACK, "connect", builder.connect()).await.unwrap_err();
    assert!(start.elapsed() >= BRIEF, "{:?}: {error:?}", start.elapsed());
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.is_retryable());
    assert_eq!(of_tls(error), TlsError::Stalled);
    drop(listener);
}

pub async fn a_stream_cut_without_close_notify_never_ends_a_reply(cx: Context) {
    const LEN: usize = 1 << 20;
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let cache = connected(cx.builder_of(&server.url_at(proxy.address(), 0)).maxsize(1)).await;
    let value: Vec<u8> = (0..LEN).map(|n| n as u8).collect();
    cache.set_raw("large", value.clone()).await.unwrap();
    for after in [1, 100, 16_000, 16_500, LEN / 2, LEN] {
        let before = proxy.accepted();
        proxy.cut_after(after, Ending::Closed);
        // A read is repeated on an intact connection.
        let got = cx.in_time(PATIENCE, "a get", cache.get_raw("large")).await.unwrap();
        assert!(got.is_some_and(|got| got == value), "cut after {after}");
        assert!(proxy.accepted() > before, "cut after {after}: the connection was not cut");
    }
    cache.set("n", 0).await.unwrap();
    proxy.cut_after(1, Ending::Closed);
    let error = cx.within(PATIENCE, "incr", cache.incr("n", 1)).await.unwrap_err();
    assert!(matches!(error, Error::Disconnected { may_have_run: true, .. }), "{error:?}");
    assert_eq!(server.raw(0).text(&["GET", "::n"]), "1");
}

pub async fn a_corrupt_byte_in_a_record_closes_the_connection_and_reaches_no_caller(cx: Context) {
    let server = cx.start(&Setup::default());
    let proxy = Proxy::start(server.address());
    let url = server.url_at(proxy.address(), 0);
    for at in [5, 6, 15, 20, 30] {
        // A new cache, which has not failed yet and so does not back off.
        let cache = connected(cx.builder_of(&url).maxsize(1)).await;
        cache.set_raw("key", "a value").await.unwrap();
        let before = proxy.accepted();
        proxy.corrupt(at, 1);
        let got = cx.within(PATIENCE, "a get", cache.get_raw("key")).await.unwrap();
        assert_eq!(got.as_deref(), Some(&b"a value"[..]), "byte {at}");
        assert!(proxy.accepted() > before, "byte {at}: the connection was kept");
    }
}

pub async fn values_of_any_size_cross_in_tls_1_2(cx: Context) {
    let server = cx.start(&Setup::default().with(&["--tls-protocols", "TLSv1.2"]));
    let cache = connected(cx.builder_of(&server.url(0))).await;
    for len in [0, 1, 16_383, 16_384, 16_385, 1 << 20] {
        let value = vec![b'v'; len];
        cache.set_raw("key", value.clone()).await.unwrap();
        assert_eq!(cache.get_raw("key").await.unwrap().unwrap(), value);
    }
}

pub async fn a_new_connection_resumes_an_earlier_tls_session(cx: Context) {
    let server = cx.start(&Setup::default());
    let checks = Arc::<AtomicUsize>::default();
    let config = counting(&server, &checks);
    let builder = cx.builder_of(&without_authority(&server)).tls_config(config).maxsize(1);
    let cache = connected(builder).await;
    let mut raw = server.raw(0);
    for _ in 0..3 {
        cache.ping().await.unwrap();
        let before = raw.other_clients();
        raw.number(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        cx.until("another connection was opened", async || {
            let now = raw.other_clients();
            now.len() == 1 && now != before && cache.ping().await.is_ok()
        })
        .await;
    }
    assert_eq!(checks.load(Ordering::SeqCst), 1, "how often the certificate was checked");
}

pub async fn sentinels_and_their_master_are_verified_alike(cx: Context) {
    let authority = Authority::new();
    let trio = Trio::start_over_tls(Kind::Redis, &Tls::of(&authority), UNDISTURBED);
    let cache = connected(cx.builder_of(&trio.url(0))).await;
    cache.set("key", 1).await.unwrap();
    trio.fail_over();
    let moved = async || cache.set("key", 2).await.is_ok() && led_to(&cache, &trio.servers[1]);
    cx.until("the new master is written to", moved).await;
    assert_eq!(trio.servers[1].raw(0).text(&["GET", "::key"]), "2");

    let files = Files::new();
    let other = files.write("other.pem", Authority::new().pem());
    let builder = cx.builder_of(&trio.url(0)).tls_ca(other);
    let error = cx.within(AT_ONCE, "connect", builder.connect()).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    let Error::Unavailable { source: ConnectionFailure::Sentinel { source, .. }, .. } = error
    else {
        panic!("{error:?}")
    };
    assert!(matches!(*source, ConnectionFailure::Tls(TlsError::UnknownIssuer)), "{source:?}");
}

pub async fn a_master_of_an_unknown_authority_is_refused_despite_its_sentinel(cx: Context) {
    let ours = Authority::new();
    let server = cx.start(&Setup::default().tls(Tls::of(&Authority::new())));
    let watched = sentinels::watched(&server, None);
    let sentinel = Server::start(Kind::Redis, &Setup::default().watch(watched).tls(Tls::of(&ours)));
    let url = sentinels::url(slice::from_ref(&sentinel), &sentinel, 0);
    assert_eq!(refused(&cx, &server, cx.builder_of(&url)).await, TlsError::UnknownIssuer);
}

pub async fn a_missing_authority_file_is_an_error_before_any_dial(cx: Context) {
    let proxy = Proxy::start(cx.server().address());
    let builder = cx.builder_of(&cx.server().url_at(proxy.address(), 0));
    let error = builder.tls_ca("/no/such/file.pem").connect().await.unwrap_err();
    let Error::Tls(TlsConfigError::Read { option, path, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!((*option, path.as_str()), ("tls_ca", "/no/such/file.pem"));
    assert_eq!(proxy.accepted(), 0);
}

/// Asserts that a connect fails at once, and that the server was sent no command, and so no
/// password.
async fn refused(cx: &Context, server: &Server, builder: Builder) -> TlsError {
    refused_for(cx, server, builder, "certificate").await
}

async fn refused_for(cx: &Context, server: &Server, builder: Builder, why: &str) -> TlsError {
    let error = cx.within(AT_ONCE, "connect", builder.connect()).await.unwrap_err();
    let text = error.with_sources().to_string();
    assert!(text.contains(why), "{text}");
    assert!(!format!("{text} {error:?}").contains(CANARY));
    assert!(!was_greeted(server), "{text}");
    assert!(!error.is_retryable(), "{text}");
    of_tls(error)
}

/// The TLS error because of which no server is available.
fn of_tls(error: Error) -> TlsError {
    match error {
        Error::Unavailable { source: ConnectionFailure::Tls(error), .. } => error,
        error => panic!("{error:?}"),
    }
}

/// Whether any client has sent `HELLO` to a server, as a cache does first. Raw connections do not.
fn was_greeted(server: &Server) -> bool {
    server.raw(0).text(&["INFO", "commandstats"]).contains("cmdstat_hello:")
}

/// Whether a cache's connections are dialled to this server.
fn led_to(cache: &Cache, server: &Server) -> bool {
    let info = cache.info();
    let place = info.pool().and_then(|pool| pool.endpoint.as_ref());
    place.is_some_and(|place| place.to_string() == server.address().to_string())
}

/// The server's URL without an authority to trust.
fn without_authority(server: &Server) -> String {
    let url = server.url(0);
    url.split_once('?').map_or(url.clone(), |(url, _)| url.to_owned())
}

/// A configuration that counts how often a certificate is checked. A resumed session has no check.
fn counting(server: &Server, checks: &Arc<AtomicUsize>) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.authority().unwrap()).unwrap()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = Counting { verifier: verifier.build().unwrap(), checks: Arc::clone(checks) };
    Arc::new(config(provider, verifier))
}

fn config(provider: Arc<CryptoProvider>, verifier: Counting) -> ClientConfig {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Counting {
    verifier: Arc<WebPkiServerVerifier>,
    checks: Arc<AtomicUsize>,
}

impl ServerCertVerifier for Counting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        let verifier = &self.verifier;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.verifier.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.verifier.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The files of one test, removed with it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// No server is taken for gone.
const UNDISTURBED: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(300);
/// Well below a cache's default timeouts.
const AT_ONCE: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);
