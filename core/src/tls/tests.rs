//! Sessions against rustls's own server side, in memory. Messages that it never sends are in
//! [`hostile`].

mod hostile;

use std::format;
use std::io::{Cursor, IoSlice, Read, Write};
use std::mem;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use super::{Session, TlsError};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

#[test]
fn data_arrives_unchanged_at_any_split() {
    for version in BOTH {
        for step in [1, 2, 3, 7, 100, 4096, usize::MAX] {
            let mut wire = Wire::new(version, step);
            wire.shake().unwrap();
            assert!(!wire.session.is_handshaking());
            for text in [&b"*1\r\n$4\r\nPING\r\n"[..], &vec![b'x'; 40_000], b"!"] {
                assert_eq!(wire.say(&[text]), text);
                assert_eq!(wire.hear(text).unwrap(), text);
            }
        }
    }
}

#[test]
fn nothing_is_taken_before_the_handshake_is_over() {
    let mut wire = Wire::new(&TLS13, usize::MAX);
    assert!(wire.session.is_handshaking());
    assert_eq!(wire.session.seal(&[IoSlice::new(b"early")]), 0);
    wire.shake().unwrap();
    assert_eq!(wire.say(&[b"late"]), b"late");
}

#[test]
fn a_batch_in_many_pieces_leaves_in_one_record() {
    for version in BOTH {
        let mut wire = Wire::new(version, usize::MAX);
        wire.shake().unwrap();
        let command = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
        let pieces = vec![IoSlice::new(command); 64];
        assert_eq!(wire.session.seal(&pieces), 64 * command.len());
        assert_eq!(records(wire.session.outgoing()), 1, "{version:?}");
    }
}

#[test]
fn a_large_value_is_taken_in_bounded_steps_and_its_memory_is_given_back() {
    let mut wire = Wire::new(&TLS13, usize::MAX);
    wire.shake().unwrap();
    let value = vec![b'v'; 1 << 20];
    let mut rest = &value[..];
    while !rest.is_empty() {
        let taken = wire.session.seal(&[IoSlice::new(rest)]);
        rest = &rest[taken..];
        assert!(taken <= Session::KEPT);
        assert!(wire.session.outgoing().len() <= 2 * Session::KEPT + 1024);
        assert!(taken > 0 || wire.session.outgoing().len() >= Session::KEPT);
        if wire.session.outgoing().len() >= Session::KEPT {
            assert_eq!(wire.session.seal(&[IoSlice::new(rest)]), 0, "it has its fill");
            wire.forward().unwrap();
        }
    }
    wire.forward().unwrap();
    assert!(wire.heard == value);
    assert!(wire.session.outgoing().is_empty());
    assert!(wire.session.capacity() <= Session::KEPT);
}

#[test]
fn partial_sends_lose_nothing_and_free_their_room() {
    let mut wire = Wire::new(&TLS13, usize::MAX);
    wire.shake().unwrap();
    let session = &mut wire.session;
    let value = vec![b'v'; Session::KEPT];
    assert_eq!(session.seal(&[IoSlice::new(&value)]), value.len());
    let (whole, mut sent) = (session.outgoing().to_vec(), vec![]);
    while !session.outgoing().is_empty() {
        let part = session.outgoing().len().min(1_000);
        sent.extend_from_slice(&session.outgoing()[..part]);
        session.sent(part);
    }
    assert!(sent == whole);
    for _ in 0..1_000 {
        assert_eq!(session.seal(&[IoSlice::new(&[b'v'; 100])]), 100);
        session.sent(session.outgoing().len() - 10);
    }
    assert!(session.capacity() < 1_000, "{}", session.capacity());
}

#[test]
fn an_unacceptable_certificate_is_reported_with_the_reason() {
    let ours = Authority::new();
    for version in BOTH {
        for (server, name, wanted) in [
            (Authority::new().issue(&["localhost"], false), "localhost", TlsError::UnknownIssuer),
            (
                ours.issue(&["other.example"], false),
                "localhost",
                TlsError::WrongName { name: "localhost".into() },
            ),
            (
                ours.issue(&["localhost"], false),
                "127.0.0.1",
                TlsError::WrongName { name: "127.0.0.1".into() },
            ),
            (ours.issue(&["localhost"], true), "localhost", TlsError::Expired),
        ] {
            let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![server.0], server.1)
                .unwrap();
            let mut wire = Wire::between(ours.client(), name, Arc::new(server), usize::MAX);
            let error = wire.shake().unwrap_err();
            assert_eq!(error, wanted);
            assert!(error.is_refusal());
            assert!(!wire.session.outgoing().is_empty(), "an alert tells the server why");
            let told = wire.forward().unwrap_err();
            assert!(told.contains("alert"), "{told}");
        }
    }
}

#[test]
fn a_demand_for_a_client_certificate_is_reported_as_such() {
    let ours = Authority::new();
    for (version, alert) in [(&TLS13, "certificate_required"), (&TLS12, "handshake_failure")] {
        let mut wire =
            Wire::between(ours.client(), "localhost", ours.server(version, true), usize::MAX);
        // With TLS 1.3, our side of the handshake is over before the server has seen its end.
        let error = wire.shake().and_then(|()| wire.hear(b"")).unwrap_err();
        let TlsError::Alert { alert: told } = &error else { panic!("{error:?}") };
        assert!(told == alert || told == "certificate_required", "{told}");
        assert!(error.is_refusal() && error.to_string().contains("certificate of ours"), "{error}");
    }
}

#[test]
fn a_peer_that_speaks_no_tls_is_reported_as_such() {
    for answer in
        [&b"-ERR unknown command\r\n"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\0\0\0"]
    {
        for step in [1, usize::MAX] {
            let mut wire = Wire::new(&TLS13, step);
            let error = wire.bring(answer).unwrap_err();
            assert_eq!(error, TlsError::NoTls, "{answer:?}");
            assert!(!error.is_refusal(), "somebody else may answer next time");
        }
    }
}

#[test]
fn an_end_without_close_notify_is_an_error() {
    for version in BOTH {
        let mut wire = Wire::new(version, usize::MAX);
        wire.shake().unwrap();
        assert_eq!(wire.session.end(), Err(TlsError::Truncated));
        wire.server.writer().write_all(b"bye").unwrap();
        wire.server.send_close_notify();
        assert_eq!(wire.backward().unwrap(), b"bye");
        assert!(wire.session.is_ended());
        assert_eq!(wire.session.end(), Ok(()));
        assert_eq!(wire.bring(b"whatever comes behind it").unwrap(), b"");
    }
}

#[test]
fn closing_a_session_sends_close_notify() {
    let mut wire = Wire::new(&TLS13, usize::MAX);
    wire.shake().unwrap();
    wire.session.close();
    wire.forward().unwrap();
    assert_eq!(wire.server.reader().read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_session_resumes_an_earlier_one() {
    let ours = Authority::new();
    for version in BOTH {
        let (client, server) = (ours.client(), ours.server(version, false));
        for resumed in [false, true, true] {
            let (client, server) = (Arc::clone(&client), Arc::clone(&server));
            let mut wire = Wire::between(client, "localhost", server, usize::MAX);
            wire.shake().unwrap();
            // The tickets for resumption may come after the handshake.
            assert_eq!(wire.hear(b"tickets").unwrap(), b"tickets");
            assert_eq!(wire.session.is_resumed(), resumed, "{version:?}");
        }
    }
}

#[test]
fn the_server_may_update_keys_during_a_session() {
    let mut wire = Wire::new(&TLS13, usize::MAX);
    wire.shake().unwrap();
    for _ in 0..3 {
        wire.server.refresh_traffic_keys().unwrap();
        assert_eq!(wire.hear(b"after").unwrap(), b"after");
        assert_eq!(wire.say(&[b"answer"]), b"answer");
    }
}

#[test]
fn hostile_records_are_errors_and_no_panics() {
    let record = |kind: u8, version: u8, body: &[u8]| {
        let mut record = vec![kind, 3, version];
        record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        record.extend(body);
        record
    };
    let mut hostile: Vec<Vec<u8>> = Vec::new();
    for kind in 0..=u8::MAX {
        for body in [&[][..], &[0], &[2, 40], &[1, 0, 0, 0], &[20, 0, 0, 1, 0], &[24, 0, 0, 1, 1]] {
            hostile.push(record(kind, 3, body));
            hostile.push(record(kind, 3, body).repeat(40));
        }
        hostile.push(record(kind, 3, &[0xff; 18_000]));
        hostile.push(vec![kind, 3, 3, 0xff, 0xff]);
    }
    let handshakes = (0..=u8::MAX).map(|kind| record(22, 3, &[kind, 0, 0, 2, 3, 3]));
    hostile.extend(handshakes);
    // The first flight of a real server, with one byte changed.
    let mut wire = Wire::new(&TLS13, usize::MAX);
    wire.forward().unwrap();
    let mut flight = Vec::new();
    wire.server.write_tls(&mut flight).unwrap();
    for at in 0..flight.len() {
        let mut changed = flight.clone();
        changed[at] ^= 0x41;
        hostile.push(changed);
    }
    let ours = Authority::new();
    let (client, server) = (ours.client(), ours.server(&TLS13, false));
    let mut refused = 0;
    for (number, bytes) in hostile.iter().enumerate() {
        // Handshakes are slow, and changed bytes after one are garbled ciphertext or an error
        // anyway.
        for shaken in [false, true].into_iter().take(1 + usize::from(number % 8 == 0)) {
            let step = if number % 3 == 0 { 5 } else { usize::MAX };
            let (client, server) = (Arc::clone(&client), Arc::clone(&server));
            let mut wire = Wire::between(client, "localhost", server, step);
            if shaken {
                wire.shake().unwrap();
            }
            refused += usize::from(wire.bring(bytes).is_err());
            let _ = wire.bring(bytes);
            wire.session.seal(&[IoSlice::new(b"more")]);
            wire.session.close();
            assert!(wire.session.capacity() < 1 << 20);
        }
    }
    assert!(refused > hostile.len() / 2, "{refused} of {}", hostile.len());
}

/// A session, a server, and the wire between them.
struct Wire {
    session: Session,
    server: ServerConnection,
    /// The plain text that the server received and that no test has taken yet.
    heard: Vec<u8>,
    /// How many bytes are moved at a time.
    step: usize,
}

impl Wire {
    fn new(version: &'static SupportedProtocolVersion, step: usize) -> Self {
        let ours = Authority::new();
        Self::between(ours.client(), "localhost", ours.server(version, false), step)
    }

    fn between(
        client: Arc<ClientConfig>,
        name: &str,
        server: Arc<ServerConfig>,
        step: usize,
    ) -> Self {
        let name = ServerName::try_from(name.to_string()).unwrap();
        let session = Session::new(client, name).unwrap();
        let server = ServerConnection::new(server).unwrap();
        Self { session, server, heard: Vec::new(), step }
    }

    /// Runs until the handshake is over on both sides, or has failed on ours.
    fn shake(&mut self) -> Result<(), TlsError> {
        for _ in 0..10 {
            // The server reports its own failure by its alert.
            let _ = self.forward();
            self.backward()?;
        }
        Ok(())
    }

    /// Moves the session's outgoing bytes to the server.
    fn forward(&mut self) -> Result<(), String> {
        while !self.session.outgoing().is_empty() {
            let count = self.session.outgoing().len().min(self.step);
            let mut piece = Cursor::new(self.session.outgoing()[..count].to_vec());
            while (piece.position() as usize) < count {
                self.server.read_tls(&mut piece).map_err(|error| error.to_string())?;
                if let Err(error) = self.server.process_new_packets() {
                    self.session.sent(count);
                    return Err(error.to_string());
                }
                // It returns an error once there is nothing more to read.
                let _ = self.server.reader().read_to_end(&mut self.heard);
            }
            self.session.sent(count);
        }
        Ok(())
    }

    /// Moves the server's output to the session, and returns the plain text in it.
    fn backward(&mut self) -> Result<Vec<u8>, TlsError> {
        let mut said = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut said).unwrap();
        }
        self.bring(&said)
    }

    fn bring(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TlsError> {
        let (mut incoming, mut rx) = (BytesMut::new(), BytesMut::new());
        for piece in bytes.chunks(self.step.min(1 << 20)) {
            incoming.extend_from_slice(piece);
            let before = rx.len();
            let count = self.session.open(&mut incoming, &mut rx)?;
            assert_eq!((rx.len() - before, incoming.len()), (count, 0));
        }
        Ok(rx.to_vec())
    }

    /// Sends these pieces, and returns the plain text that the server receives.
    fn say(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                let taken = self.session.seal(&[IoSlice::new(piece)]);
                piece = &piece[taken..];
                self.forward().unwrap();
            }
        }
        mem::take(&mut self.heard)
    }

    /// Lets the server send this text, and returns the plain text that the session receives.
    fn hear(&mut self, mut text: &[u8]) -> Result<Vec<u8>, TlsError> {
        let mut heard = Vec::new();
        while !text.is_empty() {
            let taken = self.server.writer().write(text).unwrap();
            text = &text[taken..];
            heard.extend(self.backward()?);
        }
        heard.extend(self.backward()?);
        Ok(heard)
    }
}

/// The number of records in these bytes.
fn records(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [_, _, _, high, low, rest @ ..] = bytes {
        bytes = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
        count += 1;
    }
    count
}

type Issued = (rustls::pki_types::CertificateDer<'static>, PrivateKeyDer<'static>);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let name = format!("authority {:?}", &key.public_key_raw()[..8]);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn issue(&self, names: &[&str], expired: bool) -> Issued {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    fn client(&self) -> Arc<ClientConfig> {
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let client = client.with_safe_default_protocol_versions().unwrap();
        Arc::new(client.with_root_certificates(self.roots()).with_no_client_auth())
    }

    fn server(&self, version: &'static SupportedProtocolVersion, asks: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_protocol_versions(&[version]).unwrap();
        let (certificate, key) = self.issue(&["localhost"], false);
        let server = if asks {
            let roots = Arc::new(self.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            server.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            server.with_no_client_auth()
        };
        Arc::new(server.with_single_cert(vec![certificate], key).unwrap())
    }
}
