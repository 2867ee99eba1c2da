//! Envelopes. No bytes panic, and an envelope that can be read is written with the same bytes. The
//! checksum, computed here bit by bit, is also put right, so that the fuzzer reaches what is behind
//! it.
#![no_main]

use async_caches_core::envelope::{
    CHECKSUM_LEN, Decoded, Defect, FRESH_UNTIL, HEADER_LEN, MAGIC, SchemaId, VERSION, decode,
    needs_envelope,
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(input);
    if input.len() < HEADER_LEN + CHECKSUM_LEN {
        return;
    }
    let mut repaired = input.to_vec();
    repaired[..2].copy_from_slice(&[MAGIC, VERSION]);
    put_checksum_right(&mut repaired);
    let defect = check(&repaired);
    assert!(!matches!(defect, Some(Defect::Version(_) | Defect::Checksum)), "{defect:?}");

    // A payload that is longer than announced.
    if let Some(Defect::Trailing(more)) = defect {
        let announced = u64::from_be_bytes(repaired[LENGTH..HEADER_LEN].try_into().unwrap());
        let len = announced + more as u64;
        repaired[LENGTH..HEADER_LEN].copy_from_slice(&len.to_be_bytes());
        put_checksum_right(&mut repaired);
        assert_eq!(check(&repaired), None);
    }
});

/// Why these bytes are unreadable, or nothing.
fn check(bytes: &[u8]) -> Option<Defect> {
    let stored = Bytes::copy_from_slice(bytes);
    match decode(&stored, None) {
        Decoded::Plain(value) => {
            assert!(!needs_envelope(bytes) && value == bytes);
            None
        }
        Decoded::Unreadable(defect) => {
            assert!(needs_envelope(bytes) && defect.to_string().len() < 100);
            assert_eq!(decode(&stored, Some(SchemaId::NONE)), Decoded::Unreadable(defect));
            Some(defect)
        }
        Decoded::Entry { envelope, payload } => {
            let mut again = Vec::new();
            envelope.encode(&payload, &mut again);
            assert_eq!(again, bytes);
            assert_eq!(envelope.encoded_len(payload.len()), bytes.len());
            assert_eq!(envelope.tags.iter().count(), envelope.tags.len());
            let other = SchemaId(!envelope.schema.0);
            let found = envelope.schema;
            let miss = Decoded::Unreadable(Defect::Schema { found });
            assert_eq!(decode(&stored, Some(other)), miss);
            None
        }
    }
}

fn put_checksum_right(bytes: &mut [u8]) {
    let end = bytes.len() - CHECKSUM_LEN;
    let covered = bytes[..FRESH_UNTIL.start].iter().chain(&bytes[FRESH_UNTIL.end..end]);
    let crc = covered.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    });
    bytes[end..].copy_from_slice(&(!crc).to_be_bytes());
}

/// Where the length of the payload stands, up to the end of the header.
const LENGTH: usize = 50;
