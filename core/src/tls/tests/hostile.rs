//! Servers that send what no real server sends, also in enciphered records after the handshake. The
//! session must not panic, and must report the fault.

use std::boxed::Box;

use proptest::prelude::*;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion};

use super::*;

#[test]
fn valid_records_of_a_forger_are_accepted() {
    let heard = answer(|forger| {
        let mut bytes = forger.record(ContentType::ApplicationData, b"said ");
        // A few records may be empty.
        bytes.extend(forger.record(ContentType::ApplicationData, b""));
        bytes.extend(forger.record(ContentType::ApplicationData, b"in pieces"));
        bytes
    });
    assert_eq!(heard.unwrap(), "said in pieces");
    let most = answer(|forger| forger.record(ContentType::ApplicationData, &[7; 16_384]));
    assert_eq!(most.unwrap().len(), 16_384);
}

#[test]
fn handshake_messages_out_of_place_end_the_session() {
    let (hello_request, client_hello) = (&[0, 0, 0, 0][..], &[1, 0, 0, 1, 3][..]);
    let finished = &[20, 0, 0, 4, 1, 2, 3, 4][..];
    for message in [hello_request, client_hello, finished] {
        assert!(fails(&answer(|forger| forger.record(ContentType::Handshake, message))));
        // And unenciphered, which no record may be after the handshake.
        assert!(fails(&answer(|_| clear(22, message))));
    }
}

#[test]
fn an_interrupted_handshake_message_ends_the_session() {
    assert!(fails(&answer(|forger| {
        let mut bytes = forger.record(ContentType::Handshake, &[24, 0, 0]);
        bytes.extend(forger.record(ContentType::ApplicationData, b"in between"));
        bytes.extend(forger.record(ContentType::Handshake, &[1, 0]));
        bytes
    })));
    assert!(fails(&answer(|forger| {
        let mut bytes = forger.record(ContentType::Handshake, &[4, 0, 1, 0, 1, 2, 3]);
        bytes.extend(forger.record(ContentType::Alert, &[1, 0]));
        bytes
    })));
}

#[test]
fn an_overlong_handshake_message_ends_the_session() {
    assert!(fails(&answer(|forger| {
        let mut bytes = forger.record(ContentType::Handshake, &[4, 2, 0, 0]);
        for _ in 0..20 {
            bytes.extend(forger.record(ContentType::Handshake, &[0; 8_192]));
        }
        bytes
    })));
}

#[test]
fn a_fragmented_key_update_is_accepted() {
    let (mut session, mut forger) = Forger::open();
    let mut rx = BytesMut::new();
    for part in [24, 0, 0, 1, 0].chunks(1) {
        bring(&mut session, &forger.record(ContentType::Handshake, part), &mut rx).unwrap();
        assert_eq!(session.seal(&[IoSlice::new(b"meanwhile")]), 9);
        assert!(!session.is_handshaking() && !session.is_ended());
    }
    let old_keys = forger.record(ContentType::ApplicationData, b"with old keys");
    assert!(fails(&bring(&mut session, &old_keys, &mut rx)));
}

#[test]
fn only_whole_encrypted_alerts_are_reported_as_alerts() {
    for (record, alert) in
        [([2, 116], "certificate_required"), ([2, 222], "222"), ([9, 40], "handshake_failure")]
    {
        let told = answer(|forger| forger.record(ContentType::Alert, &record));
        assert_eq!(told, Err(TlsError::Alert { alert: alert.into() }));
    }
    for pieces in [&[&[2][..], &[116]][..], &[&[]], &[&[1, 0, 1, 0]]] {
        assert!(fails(&answer(|forger| {
            pieces.iter().flat_map(|piece| forger.record(ContentType::Alert, piece)).collect()
        })));
    }
    assert!(fails(&answer(|_| clear(21, &[2, 40]))), "anybody on the way may have sent it");
}

#[test]
fn records_of_impossible_lengths_end_the_session() {
    assert!(fails(&answer(|_| vec![23, 3, 3, 0, 0])));
    assert!(fails(&answer(|_| vec![23, 3, 3, 0xff, 0xff])), "it need not come first");
    assert!(fails(&answer(|_| clear(23, b"shorter than what enciphers it"))));
    assert!(fails(&answer(|forger| forger.record(ContentType::ApplicationData, &[7; 16_385]))));
}

#[test]
fn a_flood_of_records_without_data_ends_the_session() {
    for (kind, payload) in [
        (ContentType::ApplicationData, &[][..]),
        (ContentType::Alert, &[1, 90]),
        (ContentType::Handshake, &[]),
    ] {
        let flood =
            |forger: &mut Forger| (0..100).flat_map(|_| forger.record(kind, payload)).collect();
        assert!(fails(&answer(flood)), "{kind:?}");
    }
    assert!(fails(&answer(|_| clear(20, &[1]).repeat(100))));
}

#[test]
fn data_before_an_error_is_delivered() {
    let bad: [fn(&mut Forger) -> Vec<u8>; 2] =
        [|forger| forger.record(ContentType::Alert, &[2, 80]), |_| clear(23, &[0; 64])];
    for bad in bad {
        let (mut session, mut forger) = Forger::open();
        let mut bytes = forger.record(ContentType::ApplicationData, b"last words");
        bytes.extend(bad(&mut forger));
        let (mut incoming, mut rx) = (BytesMut::from(&bytes[..]), BytesMut::new());
        assert_eq!(session.open(&mut incoming, &mut rx), Ok(10));
        assert_eq!(rx, "last words");
        let error = session.open(&mut incoming, &mut rx).unwrap_err();
        assert_eq!(session.open(&mut incoming, &mut rx), Err(error), "as often as it is asked");
    }
}

#[test]
fn nothing_is_received_or_sent_after_close() {
    for version in BOTH {
        let mut wire = Wire::new(version, usize::MAX);
        wire.shake().unwrap();
        wire.session.close();
        let told = wire.session.outgoing().len();
        wire.session.close();
        assert_eq!(wire.session.seal(&[IoSlice::new(b"more")]), 0);
        // A record that would be answered with an alert if the session had not closed already.
        assert_eq!(wire.bring(&clear(23, &[0; 64])).unwrap(), b"");
        assert_eq!(wire.hear(b"too late").unwrap(), b"");
        assert_eq!(wire.session.outgoing().len(), told, "it was said once");
    }
}

#[test]
fn text_from_a_certificate_is_truncated() {
    let ours = Authority::new();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let purposes = (0..2_000).map(|number| vec![1, 3, 6, 1, 4, 1, 311, number]);
    params.extended_key_usages = purposes.map(ExtendedKeyUsagePurpose::Other).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ours.issuer).unwrap().der().clone();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let mut wire = Wire::between(ours.client(), "localhost", Arc::new(server), usize::MAX);
    let error = wire.shake().unwrap_err();
    assert!(matches!(error, TlsError::Certificate { .. }) && error.is_refusal());
    let len = error.to_string().len();
    assert!(len < 2 * TlsError::MAX_TEXT, "{len} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_cause_a_panic_during_the_handshake(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        cut in 0..2_000_usize,
        at in any::<prop::sample::Index>(),
    ) {
        let mut wire = Wire::new(&TLS13, usize::MAX);
        wire.forward().unwrap();
        // The first messages of a server, one part of which was replaced.
        let mut said = Vec::new();
        while wire.server.wants_write() {
            wire.server.write_tls(&mut said).unwrap();
        }
        let at = at.index(said.len());
        said.splice(at..said.len().min(at + cut), bytes);
        let mut rx = BytesMut::new();
        for part in said.chunks(97) {
            if bring(&mut wire.session, part, &mut rx).is_err() {
                break;
            }
        }
        prop_assert!(rx.is_empty());
    }

    #[test]
    fn no_records_cause_a_panic_after_the_handshake(
        records in proptest::collection::vec(
            (20..25_u8, proptest::collection::vec(any::<u8>(), 0..80), any::<bool>()),
            1..12,
        ),
    ) {
        let (mut session, mut forger) = Forger::open();
        let mut rx = BytesMut::new();
        for (kind, payload, enciphered) in records {
            let bytes = match enciphered {
                true => forger.record(ContentType::from(kind), &payload),
                false => clear(kind, &payload),
            };
            if bring(&mut session, &bytes, &mut rx).is_err() {
                break;
            }
        }
    }
}

/// The sending half of a server after the handshake, which sends anything that it is told to.
struct Forger {
    keys: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Forger {
    fn open() -> (Session, Self) {
        let ours = Authority::new();
        let mut server = ServerConfig::clone(&ours.server(&TLS13, false));
        server.enable_secret_extraction = true;
        let mut wire = Wire::between(ours.client(), "localhost", Arc::new(server), usize::MAX);
        wire.shake().unwrap();
        let (sequence, secrets) = wire.server.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("other keys") };
        let suite = ring::cipher_suite::TLS13_AES_256_GCM_SHA384.tls13().unwrap();
        (wire.session, Self { keys: suite.aead_alg.encrypter(key, iv), sequence })
    }

    fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let payload = OutboundChunks::Single(payload);
        let record = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        let record = self.keys.encrypt(record, self.sequence).unwrap().encode();
        self.sequence += 1;
        record
    }
}

/// What an open session reads from these bytes, or its error; both are the same however the bytes
/// are split.
fn answer(make: impl Fn(&mut Forger) -> Vec<u8>) -> Result<BytesMut, TlsError> {
    let [whole, parts] = [usize::MAX, 1].map(|step| {
        let (mut session, mut forger) = Forger::open();
        let bytes = make(&mut forger);
        let mut rx = BytesMut::new();
        for part in bytes.chunks(step) {
            bring(&mut session, part, &mut rx)?;
        }
        Ok(rx)
    });
    assert_eq!(whole, parts);
    whole
}

/// Passes bytes to a session, and calls every method that may be called on a failed one.
fn bring(session: &mut Session, bytes: &[u8], rx: &mut BytesMut) -> Result<(), TlsError> {
    let mut incoming = BytesMut::from(bytes);
    loop {
        let opened = session.open(&mut incoming, rx);
        assert!(incoming.is_empty());
        match opened {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(session.seal(&[IoSlice::new(b"more")]), 0);
                let told = session.outgoing().len();
                session.close();
                assert_eq!(session.outgoing().len(), told, "nothing comes behind an error");
                let again = session.open(&mut BytesMut::from(bytes), rx);
                assert_eq!(again, Err(error.clone()));
                return Err(error);
            }
        }
    }
}

fn fails<T: std::fmt::Debug>(told: &Result<T, TlsError>) -> bool {
    matches!(told, Err(TlsError::Failed { .. })) || panic!("{told:?}")
}

/// A record that is not enciphered.
fn clear(kind: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3, high, low], payload].concat()
}
