//! A TLS session against rustls's own server side; the bytes between them are split, delayed and
//! falsified. Each side must receive what the other sent, in order, and nothing else; if no byte
//! was falsified, it must receive all of it. A session that has failed returns the same error again
//! and sends nothing more.
#![no_main]

use std::io::{Cursor, IoSlice, Read, Write};
use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use async_caches_core::tls::{Session, TlsError};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

#[derive(Arbitrary, Debug)]
struct Input {
    old: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// The client sends this many bytes, in pieces of this size.
    Seal(u16, u8),
    /// The server sends this many bytes.
    Say(u16),
    /// This many bytes are moved to the server.
    Forth(u16),
    /// This many bytes are moved to the client.
    Back(u16),
    /// One of the bytes on the way to the client is replaced.
    Falsify(u16, u8),
    /// Forged bytes are appended to those on the way to the client.
    Forge(Vec<u8>),
    /// All bytes are moved in both directions until nothing more is sent.
    Settle,
    /// The server changes its keys, and asks the client to change its own.
    NewKeys,
    ServerEnds,
    ClientEnds,
}

fuzz_target!(|input: Input| {
    let mut wire = Wire::new(if input.old { &TLS12 } else { &TLS13 });
    for step in input.steps {
        match step {
            Step::Seal(count, piece) => wire.seal(count.into(), usize::from(piece) + 1),
            Step::Say(count) => wire.say(count.into()),
            Step::Forth(count) => wire.forth(count.into()),
            Step::Back(count) => wire.back(count.into()),
            Step::Falsify(at, other) => {
                if let Some(byte) = wire.there.get_mut(usize::from(at)) {
                    wire.honest &= *byte == other;
                    *byte = other;
                }
            }
            Step::Forge(bytes) => {
                wire.honest &= bytes.is_empty();
                wire.there.extend(bytes);
            }
            Step::Settle => wire.settle(),
            Step::NewKeys => wire.new_keys(),
            Step::ServerEnds => wire.server_ends(),
            Step::ClientEnds => wire.client_ends(),
        }
        wire.check();
    }
    wire.settle();
    wire.check();
    if wire.honest && !wire.early {
        assert_eq!(wire.error, None);
        assert!(!wire.session.is_handshaking());
        assert!(wire.client_ended || wire.heard_by_client == wire.said_by_server);
        assert!(wire.server_ended || wire.heard_by_server == wire.said_by_client);
    }
});

struct Wire {
    session: Session,
    server: ServerConnection,
    /// The bytes on the way to the client.
    there: Vec<u8>,
    /// The number of bytes that each side has sent and received. Byte number n of either is n
    /// modulo 251.
    said_by_client: usize,
    said_by_server: usize,
    heard_by_client: usize,
    heard_by_server: usize,
    /// Whether all bytes on the way to the client came from the server.
    honest: bool,
    /// The error that ended the session.
    error: Option<TlsError>,
    /// Whether the server reads nothing more.
    deaf: bool,
    client_ended: bool,
    server_ended: bool,
    /// Whether one side ended before the handshake was over.
    early: bool,
    /// The number of times that the server has changed its keys.
    key_changes: usize,
}

/// The number of key changes without any text between them. rustls fails a session with more.
const MOST_KEY_CHANGES: usize = 32;

impl Wire {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let ends = if version == &TLS12 { &ENDS.0 } else { &ENDS.1 };
        let name = ServerName::try_from("localhost").expect("it is a name");
        Self {
            session: Session::new(Arc::clone(&ends.client), name).expect("it can be configured"),
            server: ServerConnection::new(Arc::clone(&ends.server)).expect("it can be configured"),
            there: Vec::new(),
            said_by_client: 0,
            said_by_server: 0,
            heard_by_client: 0,
            heard_by_server: 0,
            honest: true,
            error: None,
            deaf: false,
            client_ended: false,
            server_ended: false,
            early: false,
            key_changes: 0,
        }
    }

    fn seal(&mut self, count: usize, piece: usize) {
        let text = text(self.said_by_client, count);
        let pieces: Vec<_> = text.chunks(piece).map(IoSlice::new).collect();
        let before = self.session.outgoing().len();
        let taken = self.session.seal(&pieces);
        assert!(taken <= count);
        if self.session.is_handshaking() || self.client_ended || self.error.is_some() {
            assert_eq!(taken, 0, "it is for nobody");
        } else if count > 0 && before < Session::KEPT {
            assert!(taken > 0, "there is room");
        }
        self.said_by_client += taken;
    }

    fn say(&mut self, count: usize) {
        if self.server_ended || self.server.is_handshaking() {
            return;
        }
        // The server sends nothing more once the client has reported an error.
        self.said_by_server +=
            self.server.writer().write(&text(self.said_by_server, count)).unwrap_or_default();
    }

    fn forth(&mut self, count: usize) {
        let count = count.min(self.session.outgoing().len());
        let mut bytes = Cursor::new(&self.session.outgoing()[..count]);
        while !self.deaf && (bytes.position() as usize) < count {
            // Bytes after the client's closing alert do not count.
            let taken = self.server.read_tls(&mut bytes).expect("it is memory");
            self.deaf = taken == 0 || self.server.process_new_packets().is_err();
            let mut heard = Vec::new();
            // It returns an error at the end of the stream, or if there is no more for now.
            let _ = self.server.reader().read_to_end(&mut heard);
            assert_eq!(heard, text(self.heard_by_server, heard.len()));
            self.heard_by_server += heard.len();
        }
        self.session.sent(count);
    }

    fn back(&mut self, count: usize) {
        self.collect();
        let count = count.min(self.there.len());
        let mut incoming = BytesMut::from_iter(self.there.drain(..count));
        let mut heard = BytesMut::new();
        loop {
            let before = heard.len();
            let opened = self.session.open(&mut incoming, &mut heard);
            assert!(incoming.is_empty());
            match opened {
                Ok(0) => break,
                Ok(count) => assert_eq!(heard.len() - before, count),
                Err(error) => {
                    assert!(self.error.as_ref().is_none_or(|earlier| *earlier == error));
                    self.error = Some(error);
                    break;
                }
            }
        }
        assert_eq!(heard, text(self.heard_by_client, heard.len()));
        assert!(heard.is_empty() || !self.client_ended, "it has said that it is done");
        self.heard_by_client += heard.len();
    }

    fn settle(&mut self) {
        loop {
            self.collect();
            if self.there.is_empty() && self.session.outgoing().is_empty() {
                break;
            }
            self.back(usize::MAX);
            self.forth(usize::MAX);
        }
    }

    /// Moves the server's output to the bytes on the way to the client.
    fn collect(&mut self) {
        while self.server.wants_write() {
            self.server.write_tls(&mut self.there).expect("it is memory");
        }
    }

    fn new_keys(&mut self) {
        // It fails before the end of the handshake and with TLS 1.2.
        if !self.server_ended && self.key_changes < MOST_KEY_CHANGES {
            self.key_changes += usize::from(self.server.refresh_traffic_keys().is_ok());
        }
    }

    fn server_ends(&mut self) {
        self.early |= self.handshake_goes_on();
        self.server.send_close_notify();
        self.server_ended = true;
        // Its reply to an error would follow its closing alert.
        self.deaf = true;
    }

    fn client_ends(&mut self) {
        self.early |= self.handshake_goes_on();
        self.session.close();
        let told = self.session.outgoing().len();
        self.session.close();
        assert_eq!(self.session.outgoing().len(), told, "it is said once");
        self.client_ended = true;
    }

    fn handshake_goes_on(&self) -> bool {
        self.session.is_handshaking() || self.server.is_handshaking()
    }

    fn check(&self) {
        assert!(self.heard_by_client <= self.said_by_server);
        assert!(self.heard_by_server <= self.said_by_client);
        assert!(self.session.outgoing().len() <= 2 * Session::KEPT + Session::RECORD);
        assert!(!self.session.is_ended() || self.server_ended, "only the server ends it");
    }
}

fn text(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|number| (number % 251) as u8).collect()
}

struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// The configurations for TLS 1.2 and 1.3. They are made only once, as the keys do not matter to
/// the fuzzer.
static ENDS: LazyLock<(Ends, Ends)> = LazyLock::new(|| (ends(&TLS12), ends(&TLS13)));

fn ends(version: &'static SupportedProtocolVersion) -> Ends {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".into()]).expect("it can be made");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("it is one");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .expect("it is known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("it is known")
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::Pkcs8(signing_key.serialize_der().into()),
        )
        .expect("they belong together");
    Ends { client: Arc::new(client), server: Arc::new(server) }
}
