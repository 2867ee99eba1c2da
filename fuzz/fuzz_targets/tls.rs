//! A TLS session against rustls's own server side, with what crosses cut up, held back and falsified:
//! what one side hears is what the other said, in order, all of it where nothing was falsified, and
//! nothing else ever. A session that has failed says the same again and sends no more.
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
    /// The client says so many bytes, in pieces of so many.
    Seal(u16, u8),
    /// The server does.
    Say(u16),
    /// So many bytes cross to the server.
    Forth(u16),
    /// To the client.
    Back(u16),
    /// One of the bytes on the way to the client is another.
    Falsify(u16, u8),
    /// Bytes that nobody said are on that way.
    Forge(Vec<u8>),
    /// All that is there crosses, and what is said to that, until all is quiet.
    Settle,
    /// The server changes its keys, and asks the client to.
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
    /// On the way to the client.
    there: Vec<u8>,
    /// How many bytes each has said, and heard: byte number n of either is n modulo 251.
    said_by_client: usize,
    said_by_server: usize,
    heard_by_client: usize,
    heard_by_server: usize,
    /// Whether all that was on the way was said by the server.
    honest: bool,
    /// Why the session is over.
    error: Option<TlsError>,
    /// Whether the server takes nothing more.
    deaf: bool,
    client_ended: bool,
    server_ended: bool,
    /// Whether one side ended before the handshake was over.
    early: bool,
    /// How often the server has changed its keys.
    key_changes: usize,
}

/// How often keys may be changed while nothing is said: rustls ends a session with who does it more
/// often.
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
        // It says nothing more once the client has told it of an error.
        self.said_by_server +=
            self.server.writer().write(&text(self.said_by_server, count)).unwrap_or_default();
    }

    fn forth(&mut self, count: usize) {
        let count = count.min(self.session.outgoing().len());
        let mut bytes = Cursor::new(&self.session.outgoing()[..count]);
        while !self.deaf && (bytes.position() as usize) < count {
            // Nothing counts behind the client's last word.
            let taken = self.server.read_tls(&mut bytes).expect("it is memory");
            self.deaf = taken == 0 || self.server.process_new_packets().is_err();
            let mut heard = Vec::new();
            // It is at its end, or there is no more for now.
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

    /// What the server has to send is on its way.
    fn collect(&mut self) {
        while self.server.wants_write() {
            self.server.write_tls(&mut self.there).expect("it is memory");
        }
    }

    fn new_keys(&mut self) {
        // Before the end of the handshake it is an error, and with TLS 1.2 there is no such thing.
        if !self.server_ended && self.key_changes < MOST_KEY_CHANGES {
            self.key_changes += usize::from(self.server.refresh_traffic_keys().is_ok());
        }
    }

    fn server_ends(&mut self) {
        self.early |= self.handshake_goes_on();
        self.server.send_close_notify();
        self.server_ended = true;
        // What it would say to an error is behind its last word.
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

/// With TLS 1.2, and 1.3. Made once: what a fuzzer is to find does not lie in keys.
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
