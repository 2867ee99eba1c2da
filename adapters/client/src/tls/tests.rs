mod socket;

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_caches_core::options::{OptionError, Settings, Trust};
use async_caches_core::url::{Backend, CacheUrl, Endpoint, Server, Topology};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, ConnectionCommon, RootCertStore,
    ServerConfig, ServerConnection, SideData, SupportedProtocolVersion,
};

use super::{Own, TlsClient, client};
use crate::error::{Error, TlsConfigError};

#[test]
fn only_the_authorities_in_the_file_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    let client = opened(&format!("rediss://localhost?tls_ca={ca}"));
    for version in [&TLS12, &TLS13] {
        shake(&client, &ours.issue(&["localhost"]).server(version)).unwrap();
        let (side, error) =
            shake(&client, &other.issue(&["localhost"]).server(version)).unwrap_err();
        assert_eq!((side, error), (Side::Client, CertificateError::UnknownIssuer.into()));
    }
    let both = write(folder.path(), "both.pem", format!("{}{}", other.pem, ours.pem));
    let client = opened(&format!("rediss://localhost?tls_ca={both}"));
    shake(&client, &ours.issue(&["localhost"]).server(&TLS13)).unwrap();
    shake(&client, &other.issue(&["localhost"]).server(&TLS13)).unwrap();
}

#[test]
fn a_certificate_must_match_the_host_or_the_given_server_name() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    for (host, name, issued, fits) in [
        ("localhost", None, "localhost", true),
        ("127.0.0.1", None, "127.0.0.1", true),
        ("[::1]", None, "::1", true),
        ("127.0.0.1", None, "localhost", false),
        ("localhost", None, "127.0.0.1", false),
        ("localhost", None, "cache.example", false),
        ("localhost", Some("cache.example"), "cache.example", true),
        ("10.0.0.1", Some("::1"), "::1", true),
        ("localhost", Some("cache.example"), "localhost", false),
    ] {
        let name = name.map(|name| format!("&tls_server_name={name}")).unwrap_or_default();
        let url = format!("rediss://{host}?tls_ca={ca}{name}");
        let done = shake_at(&place(&url), &opened(&url), &ours.issue(&[issued]).server(&TLS13));
        assert_eq!(done.is_ok(), fits, "{host}{name} {issued}: {done:?}");
        if let Err((side, error)) = done {
            assert_eq!(side, Side::Client);
            let error = error.to_string();
            assert!(error.contains("not valid for name"), "{error}");
        }
    }
}

#[test]
fn a_certificate_must_not_have_expired() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    let client = opened(&format!("rediss://localhost?tls_ca={ca}"));
    let old = ours.issue_with(&["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let (side, error) = shake(&client, &old.server(&TLS13)).unwrap_err();
    assert_eq!(side, Side::Client);
    assert!(error.to_string().contains("expired"), "{error}");
}

#[test]
fn a_certificate_in_the_file_is_trusted_for_its_name_while_it_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let unrelated = Authority::new();
    for of_an_authority in [true, false] {
        let change = |params: &mut CertificateParams| {
            if of_an_authority {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
        };
        let own = self_signed(&["localhost"], change);
        let ca = write(folder.path(), "ca.pem", format!("{}{}", unrelated.pem, own.pem));
        let client = opened(&format!("rediss://localhost?tls_ca={ca}"));
        // The same name, but another key.
        let twin = self_signed(&["localhost"], change);
        for version in [&TLS12, &TLS13] {
            shake(&client, &own.server(version)).unwrap();
            let (_, error) = shake(&client, &own.server_without_its_key(version)).unwrap_err();
            assert_eq!(error, CertificateError::BadSignature.into());
            let refused = shake(&client, &twin.server(version));
            assert_eq!(refused.unwrap_err().0, Side::Client, "authority: {of_an_authority}");
            let other = place("rediss://cache.example");
            let (_, error) = shake_at(&other, &client, &own.server(version)).unwrap_err();
            assert!(error.to_string().contains("not valid for name"), "{error}");
        }
        for (from, to, why) in [(2001, 2002, "expired"), (2090, 2091, "not valid yet")] {
            let own = self_signed(&["localhost"], |params| {
                change(params);
                params.not_before = rcgen::date_time_ymd(from, 1, 1);
                params.not_after = rcgen::date_time_ymd(to, 1, 1);
            });
            for verify in ["full", "ca"] {
                let ca = write(folder.path(), "ca.pem", &own.pem);
                let client = opened(&format!("rediss://localhost?tls_ca={ca}&tls_verify={verify}"));
                let (side, error) = shake(&client, &own.server(&TLS13)).unwrap_err();
                assert_eq!(side, Side::Client);
                assert!(error.to_string().contains(why), "{of_an_authority} {verify}: {error}");
            }
        }
    }
    // A certificate issued by another authority is trusted too, without that authority.
    let issued = unrelated.issue(&["localhost"]);
    let ca = write(folder.path(), "ca.pem", &issued.pem);
    shake(&opened(&format!("rediss://localhost?tls_ca={ca}")), &issued.server(&TLS13)).unwrap();
}

#[test]
fn tls_verify_ca_verifies_everything_but_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    let full = opened(&format!("rediss://localhost?tls_ca={ca}&tls_verify=full"));
    let client = opened(&format!("rediss://localhost?tls_ca={ca}&tls_verify=ca"));
    for version in [&TLS12, &TLS13] {
        for names in [&[][..], &["cache.example"], &["10.0.0.1"]] {
            let issued = ours.issue(names);
            shake(&client, &issued.server(version)).unwrap();
            let (_, error) = shake(&full, &issued.server(version)).unwrap_err();
            assert!(error.to_string().contains("not valid for name"), "{error}");
            let (_, error) = shake(&client, &issued.server_without_its_key(version)).unwrap_err();
            assert_eq!(error, CertificateError::BadSignature.into());
            let (_, error) = shake(&client, &other.issue(names).server(version)).unwrap_err();
            assert_eq!(error, CertificateError::UnknownIssuer.into());
            let old = ours.issue_with(names, |params| {
                params.not_after = rcgen::date_time_ymd(2002, 1, 1);
            });
            let (_, error) = shake(&client, &old.server(version)).unwrap_err();
            assert!(error.to_string().contains("expired"), "{error}");
        }
    }
}

#[test]
fn problems_with_certificate_files_are_described_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    let cert = write(folder.path(), "own.pem", &ours.issue(&["worker"]).pem);
    let key = write(folder.path(), "own.key", KeyPair::generate().unwrap().serialize_pem());
    let error = refused(&format!("rediss://localhost?tls_ca={ca}&tls_cert={cert}&tls_key={key}"));
    let why = |error: &TlsConfigError| StdError::source(error).unwrap().to_string();
    assert_eq!(why(&error), "the private key does not belong to the certificate");
    let malformed = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let ca = write(folder.path(), "ca.pem", malformed);
    let error = refused(&format!("rediss://localhost?tls_ca={ca}"));
    assert_eq!(why(&error), "the certificate is not accepted: it is malformed");
}

#[test]
fn any_certificate_is_accepted_if_the_server_has_its_key() {
    let client = opened("rediss://localhost?tls_dangerously_accept_any_certificate=true");
    let ours = Authority::new();
    for version in [&TLS12, &TLS13] {
        let issued = ours.issue_with(&["cache.example"], |params| {
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        });
        shake(&client, &issued.server(version)).unwrap();
        let (side, error) = shake(&client, &issued.server_without_its_key(version)).unwrap_err();
        assert_eq!((side, error), (Side::Client, CertificateError::BadSignature.into()));
    }
}

#[test]
fn the_client_certificate_is_sent_if_the_server_requests_it() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let issued = ours.issue(&["worker"]);
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    let cert = write(folder.path(), "own.pem", &issued.pem);
    let key = write(folder.path(), "own.key", issued.key.serialize_pem());
    let server = ours.issue(&["localhost"]).server_that_asks(&ours);
    let url = format!("rediss://localhost?tls_ca={ca}");
    let (side, error) = shake(&opened(&url), &server).unwrap_err();
    assert_eq!((side, error), (Side::Server, rustls::Error::NoCertificatesPresented));
    shake(&opened(&format!("{url}&tls_cert={cert}&tls_key={key}")), &server).unwrap();
}

#[test]
fn the_platforms_roots_are_trusted_if_no_file_is_named() {
    const CHILD: &str = "ASYNC_CACHES_TEST_SERVER";
    if let Ok(folder) = std::env::var(CHILD) {
        return with_the_platforms_roots(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let issued = ours.issue(&["localhost"]);
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    write(folder.path(), "server.der", issued.certificate.as_ref());
    write(folder.path(), "server.key", issued.key.serialized_der());
    let none = write(folder.path(), "none.pem", "");
    for (roots, trusted) in [(&ca, "trusted"), (&none, "nobody")] {
        write(folder.path(), "expected", trusted);
        // The platform's trust comes from environment variables, which are those of the whole
        // process.
        let done = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "tls::tests::the_platforms_roots_are_trusted_if_no_file_is_named",
            ])
            .env(CHILD, folder.path())
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{trusted}: {output}");
        assert!(output.contains(&format!("in the child: {trusted}")), "{output}");
    }
}

#[allow(clippy::print_stdout, reason = "it is how a child tells that it came this far")]
fn with_the_platforms_roots(folder: &Path) {
    let expected = fs::read_to_string(folder.join("expected")).unwrap();
    let server = Issued {
        pem: String::new(),
        certificate: fs::read(folder.join("server.der")).unwrap().into(),
        key: KeyPair::try_from(fs::read(folder.join("server.key")).unwrap()).unwrap(),
    };
    match open("rediss://localhost", Own::default()) {
        Ok(client) => {
            assert_eq!(expected, "trusted");
            shake(&client, &server.server(&TLS13)).unwrap();
        }
        Err(error) => {
            assert_eq!(expected, "nobody");
            assert!(matches!(error, Error::Tls(TlsConfigError::NoRoots { .. })), "{error:?}");
        }
    }
    println!("in the child: {expected}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_io_error() {
    let error = refused("rediss://localhost?tls_ca=/no/such/file.pem");
    let TlsConfigError::Read { option, path, source } = &error else { panic!("{error:?}") };
    assert_eq!((*option, path.as_str()), ("tls_ca", "/no/such/file.pem"));
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains("tls_ca") && text.contains("/no/such/file.pem"), "{text}");
}

#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let ours = Authority::new();
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    let pipe = pipe.display().to_string();
    let folder = folder.path().display().to_string();
    for path in ["/dev/zero", "/dev/null", "/dev/tty", pipe.as_str(), folder.as_str()] {
        for url in [
            format!("rediss://h?tls_ca={path}"),
            format!("rediss://h?tls_ca={ca}&tls_cert={path}&tls_key={path}"),
            format!("rediss://h?tls_ca={ca}&tls_cert={ca}&tls_key={path}"),
        ] {
            let error = refused(&url);
            assert!(matches!(error, TlsConfigError::NotAFile { .. }), "{url}: {error:?}");
        }
    }
}

#[test]
fn a_file_larger_than_any_certificates_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let pem = format!("{}{}", ours.pem, "\n".repeat(5 << 20));
    let large = write(folder.path(), "large.pem", pem);
    let error = refused(&format!("rediss://h?tls_ca={large}"));
    assert!(matches!(error, TlsConfigError::TooLarge { option: "tls_ca", .. }), "{error:?}");
    let ca = write(folder.path(), "ca.pem", format!("{}{}", ours.pem, "\n".repeat(3 << 20)));
    opened(&format!("rediss://h?tls_ca={ca}"));
}

#[test]
fn an_error_about_a_file_names_it_and_the_problem_but_no_contents() {
    const CANARY: &str = "aHVudGVyMg";
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let (own, other) = (ours.issue(&["worker"]), ours.issue(&["worker"]));
    let ca = write(folder.path(), "ca.pem", &ours.pem);
    let cert = write(folder.path(), "own.pem", &own.pem);
    let file = |name: &str, text: &str| write(folder.path(), name, text);
    let empty = file("empty", "");
    let prose = file("prose", &format!("no PEM at all: {CANARY}"));
    let one_line = format!("-----BEGIN PRIVATE KEY {CANARY} -----END PRIVATE KEY-----\n");
    let one_line = file("line", &one_line);
    let broken = file("broken", &format!("-----BEGIN PRIVATE KEY {CANARY}\n{CANARY}\n"));
    let endless = file("endless", &format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n"));
    let unreadable = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}!\n-----END PRIVATE KEY-----\n");
    let unreadable = file("unreadable", &unreadable);
    let no_key = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}==\n-----END PRIVATE KEY-----\n");
    let no_key = file("no-key", &no_key);
    let no_cert = format!("-----BEGIN CERTIFICATE-----\n{CANARY}==\n-----END CERTIFICATE-----\n");
    let no_cert = file("no-cert", &no_cert);
    let others = file("others", &other.key.serialize_pem());
    for (query, option, what) in [
        (format!("tls_ca={empty}"), "tls_ca", "holds no certificate"),
        (format!("tls_ca={prose}"), "tls_ca", "holds no certificate"),
        (format!("tls_ca={others}"), "tls_ca", "holds no certificate"),
        (format!("tls_ca={no_cert}"), "tls_ca", "is of no use"),
        (
            format!("tls_ca={ca}&tls_cert={empty}&tls_key={others}"),
            "tls_cert",
            "holds no certificate",
        ),
        (format!("tls_ca={ca}&tls_cert={cert}&tls_key={cert}"), "tls_key", "holds no private key"),
        (format!("tls_ca={ca}&tls_cert={cert}&tls_key={one_line}"), "tls_key", "does not end"),
        (format!("tls_ca={ca}&tls_cert={cert}&tls_key={broken}"), "tls_key", "line of its own"),
        (format!("tls_ca={ca}&tls_cert={cert}&tls_key={endless}"), "tls_key", "does not end"),
        (format!("tls_ca={ca}&tls_cert={cert}&tls_key={unreadable}"), "tls_key", "not base64"),
        (format!("tls_ca={ca}&tls_cert={cert}&tls_key={no_key}"), "tls_key", "is of no use"),
        (format!("tls_ca={ca}&tls_cert={cert}&tls_key={others}"), "tls_key", "is of no use"),
    ] {
        let error = refused(&format!("rediss://localhost?{query}"));
        let text = error.to_string();
        assert!(
            text.contains(&format!("option {option} ")) && text.contains(what),
            "{query}: {text}"
        );
        let all = format!("{text} {error:?} {error:#?}");
        assert!(!all.contains(CANARY), "{query}: {all}");
    }
}

#[test]
fn a_host_that_no_certificate_can_name_needs_a_server_name() {
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "ca.pem", &Authority::new().pem);
    let error = refused(&format!("rediss://b%C3%BCcher?tls_ca={ca}"));
    assert!(matches!(&error, TlsConfigError::ServerName { name } if name == "bücher"), "{error:?}");
    opened(&format!("rediss://b%C3%BCcher?tls_server_name=xn--bcher-kva&tls_ca={ca}"));
    // The names of sentinels are checked too.
    let error = refused(&format!("rediss-sentinel://h,b%C3%BCcher/service?tls_ca={ca}"));
    assert!(matches!(&error, TlsConfigError::ServerName { name } if name == "bücher"), "{error:?}");
    // And so is the name that a sentinel gives.
    let client = opened(&format!("rediss-sentinel://h/service?tls_ca={ca}"));
    let place = Endpoint::Tcp { host: "bücher".into(), port: 1 };
    let error = client.name_at(&place).unwrap_err();
    assert!(matches!(&error, TlsConfigError::ServerName { name } if name == "bücher"), "{error:?}");
}

#[test]
fn a_custom_tls_config_replaces_all_options_but_the_server_name() {
    let provider = Arc::new(ring::default_provider());
    let ours = Authority::new();
    let mut roots = RootCertStore::empty();
    roots.add(ours.certificate.clone()).unwrap();
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    let own = Own(Some(Arc::new(config)));
    let client = open("rediss://10.0.0.1?tls_server_name=localhost", own.clone()).unwrap();
    assert!(Arc::ptr_eq(&client.config, own.0.as_ref().unwrap()));
    shake(&client, &ours.issue(&["localhost"]).server(&TLS13)).unwrap();
    for (query, named) in [
        ("tls_ca=/ca.pem", "tls_ca"),
        ("tls_cert=/own.pem&tls_key=/own.key", "tls_cert"),
        ("tls_dangerously_accept_any_certificate=true", "tls_dangerously_accept_any_certificate"),
        ("tls_ca=/ca.pem&tls_verify=ca", "tls_ca"),
    ] {
        let error = open(&format!("rediss://localhost?{query}"), own.clone()).unwrap_err();
        let Error::Tls(TlsConfigError::OwnConfig { option }) = error else { panic!("{error:?}") };
        assert_eq!(option, named);
    }
    let error = open("redis://localhost", own).unwrap_err();
    let not_tls = OptionError::NotTls { option: "tls_config" };
    assert!(matches!(&error, Error::Option(error) if *error == not_tls), "{error:?}");
}

#[test]
fn debug_output_shows_the_trust_settings() {
    let query = "tls_dangerously_accept_any_certificate=true&tls_server_name=cache.example";
    let any = opened(&format!("rediss://localhost?{query}"));
    assert_eq!(any.trust, Some(Trust::DangerouslyAnyCertificate));
    let text = format!("{any:?}");
    assert!(text.contains("DangerouslyAnyCertificate") && text.contains("cache.example"), "{text}");
}

fn open(url: &str, own: Own) -> Result<TlsClient, Error> {
    let CacheUrl { backend, options } = CacheUrl::parse(url).unwrap();
    let Backend::Redis(server) = backend else { panic!("{url}") };
    client(&server, &Settings::new(options).unwrap(), "rediss", own)
        .map(|client| client.expect("TLS"))
}

/// The server's address in a URL.
fn place(url: &str) -> Endpoint {
    match CacheUrl::parse(url).unwrap().backend {
        Backend::Redis(Server { topology: Topology::Standalone(place), .. }) => place,
        other => panic!("{url}: {other:?}"),
    }
}

fn opened(url: &str) -> TlsClient {
    open(url, Own::default()).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn refused(url: &str) -> TlsConfigError {
    match open(url, Own::default()) {
        Err(Error::Tls(error)) => error,
        other => panic!("{url}: {other:?}"),
    }
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A certificate authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key.
struct Issued {
    pem: String,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Unique names: of two authorities of one name the wrong one would be tried, instead of
        // being unknown.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, certificate) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, certificate }
    }

    fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { pem: certificate.pem(), certificate: certificate.der().clone(), key }
    }
}

impl Issued {
    fn server(&self, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
        self.server_with(&self.key, version)
    }

    fn server_without_its_key(
        &self,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ServerConfig> {
        self.server_with(&KeyPair::generate().unwrap(), version)
    }

    fn server_with(
        &self,
        key: &KeyPair,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ServerConfig> {
        let key = ring::sign::any_supported_type(&private(key)).unwrap();
        let certified = CertifiedKey::new(vec![self.certificate.clone()], key);
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        Arc::new(builder.unwrap().with_no_client_auth().with_cert_resolver(resolver))
    }

    fn server_that_asks(&self, authority: &Authority) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_client_cert_verifier(verifier.build().unwrap());
        let chain = vec![self.certificate.clone()];
        Arc::new(builder.with_single_cert(chain, private(&self.key)).unwrap())
    }
}

fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Issued { pem: certificate.pem(), certificate: certificate.der().clone(), key }
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Client,
    Server,
}

/// Runs a handshake on this machine to its end. An error names the side that ended it, and why.
fn shake(client: &TlsClient, server: &Arc<ServerConfig>) -> Result<(), (Side, rustls::Error)> {
    shake_at(&place("rediss://localhost"), client, server)
}

/// Like [`shake`], with a server that is dialled at `place`.
fn shake_at(
    place: &Endpoint,
    client: &TlsClient,
    server: &Arc<ServerConfig>,
) -> Result<(), (Side, rustls::Error)> {
    let mut ours =
        ClientConnection::new(client.config.clone(), client.name_at(place).unwrap()).unwrap();
    let mut theirs = ServerConnection::new(server.clone()).unwrap();
    while ours.is_handshaking() || theirs.is_handshaking() {
        pass(&mut ours, &mut theirs).map_err(|error| (Side::Server, error))?;
        pass(&mut theirs, &mut ours).map_err(|error| (Side::Client, error))?;
    }
    Ok(())
}

fn pass<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), rustls::Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut wire = &wire[..];
    while !wire.is_empty() {
        to.read_tls(&mut wire).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}
