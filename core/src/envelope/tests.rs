//! The layout byte by byte, damage of every kind, and the limits.

use core::time::Duration;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::time::WallTime;

/// An envelope that has every part, and no two fields of the same value.
fn full() -> Envelope {
    Envelope {
        compression: CompressionId(2),
        hints: 0x80,
        fresh_until: Millis::new(0x0000_0102_0304_0506),
        stale_while_revalidate: Millis::new(0x0708),
        stale_if_error: Millis::new(0x0000_0900_0000_000A),
        load_micros: 0x0B0C_0D0E,
        schema: SchemaId(0x1112_1314_1516_1718),
        prefix_stamp: Some(Stamp(0x2122_2324_2526_2728)),
        tags: Tags::new([("org:7", Stamp(0x3132_3334_3536_3738)), ("", Stamp(0))]).unwrap(),
        validator: Some(Validator::new("\"v7\"").unwrap()),
        ..Envelope::new(
            CodecId::JSON,
            EntryId(0xF1F2_F3F4_F5F6_F7F8),
            Millis::new(0x0000_1A1B_1C1D_1E1F),
        )
    }
}

const FULL: &[u8] = b"\
    \xc1\x01\x01\x02\x07\x80\
    \x01\x02\x03\x04\x05\x06\
    \x00\x00\x00\x00\x07\x08\
    \x09\x00\x00\x00\x00\x0a\
    \xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\
    \x1a\x1b\x1c\x1d\x1e\x1f\
    \x0b\x0c\x0d\x0e\
    \x11\x12\x13\x14\x15\x16\x17\x18\
    \x00\x00\x00\x00\x00\x00\x00\x03\
    \x21\x22\x23\x24\x25\x26\x27\x28\
    \x02\
    \x31\x32\x33\x34\x35\x36\x37\x38\x05org:7\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x04\"v7\"\
    [1]";

fn encoded(envelope: &Envelope, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    envelope.encode(payload, &mut out);
    out
}

fn decoded(bytes: &[u8]) -> Decoded {
    decode(&Bytes::copy_from_slice(bytes), None)
}

fn entry(bytes: &[u8]) -> (Envelope, Bytes) {
    match decoded(bytes) {
        Decoded::Entry { envelope, payload } => (envelope, payload),
        other @ (Decoded::Plain(_) | Decoded::Unreadable(_)) => panic!("{other:?}"),
    }
}

/// The defect of these bytes with a checksum that is right.
fn defect(covered: &[u8]) -> Defect {
    match decoded(&[covered, &checksum_of(covered).to_be_bytes()].concat()) {
        Decoded::Unreadable(defect) => defect,
        other @ (Decoded::Plain(_) | Decoded::Entry { .. }) => panic!("{other:?}"),
    }
}

/// A header with these flags, and these bytes behind it.
fn header_with(flags: u8, rest: &[u8]) -> Vec<u8> {
    let empty = Envelope::new(CodecId::BYTES, EntryId(7), Millis::ZERO);
    let mut bytes = encoded(&empty, b"");
    bytes.truncate(HEADER_LEN);
    bytes[4] = flags;
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn every_field_stands_at_its_offset() {
    let bytes = encoded(&full(), b"[1]");
    let checksum = checksum::crc32([&FULL[..6], &FULL[12..]]).to_be_bytes();
    assert_eq!(bytes, [FULL, &checksum].concat());
    assert_eq!(entry(&bytes), (full(), Bytes::from_static(b"[1]")));
    assert_eq!(bytes[FRESH_UNTIL], full().fresh_until.to_bytes());
    let windows = [full().stale_while_revalidate.to_bytes(), full().stale_if_error.to_bytes()];
    assert_eq!(bytes[WINDOWS], windows.concat());
    assert_eq!(bytes[ENTRY_ID], full().id.to_bytes());
}

#[test]
fn an_envelope_without_parts_adds_62_bytes() {
    let bare = Envelope::new(CodecId::JSON, EntryId(7), Millis::new(1));
    assert_eq!((HEADER_LEN, CHECKSUM_LEN), (58, 4));
    for payload in [&b""[..], b"1", &[0xC1; 300]] {
        let bytes = encoded(&bare, payload);
        assert_eq!(bytes.len(), payload.len() + 62);
        assert_eq!(bare.encoded_len(payload.len()), bytes.len());
        assert_eq!(entry(&bytes), (bare.clone(), payload.to_vec().into()));
    }
    assert_eq!(bare.encoded_len(usize::MAX), usize::MAX);
}

#[test]
fn encoding_appends_and_grows_the_buffer_once() {
    let mut out = b"before".to_vec();
    full().encode(b"[1]", &mut out);
    assert_eq!(out, [&b"before"[..], &encoded(&full(), b"[1]")].concat());

    // An empty buffer that grows once has no room to spare, and one with enough room does not grow.
    for mut exact in [Vec::new(), Vec::with_capacity(full().encoded_len(3))] {
        full().encode(b"[1]", &mut exact);
        assert_eq!((exact.len(), exact.capacity()), (full().encoded_len(3), full().encoded_len(3)));
    }
}

#[test]
fn a_value_that_begins_with_the_first_byte_of_an_envelope_needs_one() {
    for byte in 0..=u8::MAX {
        assert_eq!(needs_envelope(&[byte, 0xC1]), byte == 0xC1);
        assert_eq!(matches!(decoded(&[byte]), Decoded::Plain(_)), byte != 0xC1);
    }
    assert!(!needs_envelope(b""));
    assert_eq!(decoded(b""), Decoded::Plain(Bytes::new()));
    // The worst such value: an envelope.
    let inner = encoded(&full(), b"[1]");
    assert!(needs_envelope(&inner));
    assert_eq!(entry(&encoded(&full(), &inner)).1, inner);
}

#[test]
fn every_changed_bit_outside_of_fresh_until_is_noticed() {
    let bytes = encoded(&full(), b"[1]");
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match decoded(&changed) {
            // What begins with another byte is no envelope. Its bytes are those of a plain value.
            Decoded::Plain(value) => assert!(bit < 8 && value == changed, "bit {bit}"),
            Decoded::Unreadable(_) => assert!(!FRESH_UNTIL.contains(&(bit / 8)), "bit {bit}"),
            Decoded::Entry { envelope, payload } => {
                assert!(FRESH_UNTIL.contains(&(bit / 8)), "bit {bit}");
                let changed = 1 << (8 * (FRESH_UNTIL.end - 1 - bit / 8) + bit % 8);
                let fresh_until = Millis::new(full().fresh_until.get() ^ changed);
                assert_eq!(envelope, Envelope { fresh_until, ..full() }, "bit {bit}");
                assert_eq!(payload, "[1]");
            }
        }
    }
}

#[test]
fn any_six_bytes_in_the_place_of_fresh_until_are_a_time() {
    for millis in [Millis::ZERO, Millis::new(1), Millis::new(1 << 47), Millis::MAX] {
        let mut bytes = encoded(&full(), b"[1]");
        bytes[FRESH_UNTIL].copy_from_slice(&millis.to_bytes());
        let expected = Envelope { fresh_until: millis, ..full() };
        assert_eq!(entry(&bytes).0, expected);
        assert_eq!(encoded(&expected, b"[1]"), bytes);
    }
}

#[test]
fn an_envelope_cut_anywhere_is_truncated() {
    let bytes = encoded(&full(), b"[1]");
    for len in 1..bytes.len() {
        let expected = Decoded::Unreadable(Defect::Truncated);
        assert_eq!(decoded(&bytes[..len]), expected, "{len} bytes");
    }
    // So is a payload that is cut, with a checksum that is right.
    let covered = &bytes[..bytes.len() - CHECKSUM_LEN];
    for less in 1..=3 {
        assert_eq!(defect(&covered[..covered.len() - less]), Defect::Truncated, "{less} less");
    }
}

#[test]
fn bytes_behind_the_checksum_are_noticed() {
    let bytes = encoded(&full(), b"[1]");
    for more in [1, 4, 100] {
        let longer = [&bytes[..], &vec![0; more]].concat();
        assert_eq!(decoded(&longer), Decoded::Unreadable(Defect::Trailing(more)));
        assert_eq!(defect(&longer), Defect::Trailing(more + CHECKSUM_LEN));
    }
    let twice = [&bytes[..], &bytes].concat();
    assert_eq!(decoded(&twice), Decoded::Unreadable(Defect::Trailing(bytes.len())));
}

#[test]
fn a_payload_longer_than_any_memory_is_truncated() {
    for len in [1, u64::from(u32::MAX), u64::MAX / 2, u64::MAX] {
        let mut bytes = header_with(0, b"");
        bytes[50..58].copy_from_slice(&len.to_be_bytes());
        assert_eq!(defect(&bytes), Defect::Truncated, "{len} bytes");
    }
}

#[test]
fn another_version_is_unreadable_whatever_follows() {
    for version in (0..=u8::MAX).filter(|&version| version != 1) {
        let mut bytes = encoded(&full(), b"[1]");
        bytes[1] = version;
        let expected = Decoded::Unreadable(Defect::Version(version));
        assert_eq!(decoded(&bytes), expected);
        assert_eq!(decoded(&[0xC1, version]), expected);
    }
}

#[test]
fn each_unknown_flag_is_unreadable_and_each_unknown_hint_is_ignored() {
    for bit in 3..8 {
        assert_eq!(defect(&header_with(1 << bit, b"")), Defect::Flags(1 << bit));
        // The flags that are known are not to blame.
        assert_eq!(defect(&header_with((1 << bit) | 7, b"")), Defect::Flags(1 << bit));
    }
    for hints in 0..=u8::MAX {
        let hinted = Envelope { hints, ..full() };
        assert_eq!(entry(&encoded(&hinted, b"[1]")).0, hinted);
    }
}

#[test]
fn unknown_codecs_and_compressions_are_left_to_the_layer_above() {
    for id in 0..=u8::MAX {
        let unknown = Envelope { codec: CodecId(id), compression: CompressionId(!id), ..full() };
        assert_eq!(entry(&encoded(&unknown, b"[1]")).0, unknown);
    }
}

#[test]
fn another_schema_is_a_miss_only_if_the_caller_wanted_one() {
    let with = |schema| Bytes::from(encoded(&Envelope { schema, ..full() }, b"[1]"));
    let (one, none) = (with(SchemaId(1)), with(SchemaId::NONE));
    for stored in [&one, &none] {
        assert!(matches!(decode(stored, None), Decoded::Entry { .. }));
    }
    assert!(matches!(decode(&one, Some(SchemaId(1))), Decoded::Entry { .. }));
    assert!(matches!(decode(&none, Some(SchemaId::NONE)), Decoded::Entry { .. }));
    let miss = |found| Decoded::Unreadable(Defect::Schema { found });
    assert_eq!(decode(&one, Some(SchemaId(2))), miss(SchemaId(1)));
    assert_eq!(decode(&one, Some(SchemaId::NONE)), miss(SchemaId(1)));
    assert_eq!(decode(&none, Some(SchemaId(2))), miss(SchemaId::NONE));
    // Damage is reported as damage, also if the schema is another one.
    let damaged =
        Bytes::from(one.iter().map(|byte| byte ^ u8::from(*byte == b'[')).collect::<Vec<_>>());
    assert_eq!(decode(&damaged, Some(SchemaId(2))), Decoded::Unreadable(Defect::Checksum));
    let plain = Bytes::from_static(b"[1]");
    assert_eq!(decode(&plain, Some(SchemaId(2))), Decoded::Plain(plain));
}

#[test]
fn an_entry_has_at_most_16_tags() {
    let tags = |count: u64| Tags::new((0..count).map(|tag| (tag.to_string(), Stamp(tag))));
    for count in [0, 1, 16] {
        let tags = tags(count).unwrap();
        assert_eq!((tags.len() as u64, tags.is_empty()), (count, count == 0));
        let stamps: Vec<u64> = tags.iter().map(|tag| tag.stamp.0).collect();
        assert_eq!(stamps, (0..count).collect::<Vec<_>>());
        let envelope = Envelope { tags, ..full() };
        assert_eq!(entry(&encoded(&envelope, b"[1]")).0, envelope);
    }
    assert_eq!(tags(17), Err(EnvelopeError::TooManyTags));
    assert_eq!(tags(u64::MAX), Err(EnvelopeError::TooManyTags));

    for count in [0, 17, u8::MAX] {
        let mut forged = vec![count];
        (0..count).for_each(|tag| forged.extend([0, 0, 0, 0, 0, 0, 0, 0, 1, tag]));
        assert_eq!(defect(&header_with(TAGS, &forged)), Defect::Tags, "{count} tags");
    }
}

#[test]
fn the_name_of_a_tag_is_any_255_bytes() {
    let names = [vec![], vec![0], vec![0xC1], vec![0xFF; 254], vec![0xFF; 255]];
    let envelope = Envelope {
        tags: Tags::new(names.iter().map(|name| (name, Stamp(u64::MAX)))).unwrap(),
        ..full()
    };
    let read = entry(&encoded(&envelope, b"[1]")).0.tags;
    assert!(read.iter().map(|tag| tag.name).eq(&names));
    let long = Tags::new([(vec![b'n'; 256], Stamp(1))]);
    let cut = ["n".repeat(64), "...".into()].concat();
    assert_eq!(long, Err(EnvelopeError::LongTag { name: cut.into() }));
}

#[test]
fn no_two_tags_of_an_entry_have_the_same_name() {
    for name in ["", "org:7"] {
        let error = Tags::new([(name, Stamp(1)), ("other", Stamp(1)), (name, Stamp(2))]);
        assert_eq!(error, Err(EnvelopeError::RepeatedTag { name: name.into() }));
    }
    let tag = |stamp: u8| [0, 0, 0, 0, 0, 0, 0, stamp, 2, b'a', b'b'];
    let forged = [&[3][..], &tag(1), &[0; 9], &tag(2)].concat();
    assert_eq!(defect(&header_with(TAGS, &forged)), Defect::Tags);
}

#[test]
fn a_validator_has_at_most_1024_bytes_and_an_empty_one_is_kept() {
    for len in [0, 1, 256, 1_024] {
        let validator = Some(Validator::new(vec![0xC1; len]).unwrap());
        let envelope = Envelope { validator, ..full() };
        assert_eq!(entry(&encoded(&envelope, b"[1]")).0, envelope);
    }
    let none = Envelope { validator: None, ..full() };
    assert_eq!(entry(&encoded(&none, b"[1]")).0, none);
    assert_eq!(Validator::new(vec![0; 1_025]), Err(EnvelopeError::LongValidator { len: 1_025 }));

    for len in [1_025, u16::MAX] {
        let forged = [&len.to_be_bytes()[..], &vec![b'v'; usize::from(len)]].concat();
        assert_eq!(defect(&header_with(VALIDATOR, &forged)), Defect::Validator, "{len} bytes");
    }
}

#[test]
fn whatever_is_read_shares_the_memory_of_the_bytes_received() {
    let stored = Bytes::from(encoded(&full(), b"[1]"));
    let Decoded::Entry { envelope, payload } = decode(&stored, None) else { panic!() };
    let names: Vec<&[u8]> = envelope.tags.iter().map(|tag| tag.name).collect();
    for part in [&payload[..], envelope.validator.unwrap().as_bytes(), names[0]] {
        assert!(stored.as_ptr_range().contains(&part.as_ptr()));
    }
    let plain = Bytes::from(vec![b'p'; 10]);
    let Decoded::Plain(value) = decode(&plain, None) else { panic!() };
    assert_eq!(value.as_ptr(), plain.as_ptr());
}

#[test]
fn milliseconds_saturate_and_times_are_rounded_down_and_spans_up() {
    assert_eq!(Millis::MAX.to_bytes(), [0xFF; 6]);
    assert_eq!(Millis::new(1 << 48), Millis::MAX);
    assert_eq!(Millis::new((1 << 48) - 2).get(), (1 << 48) - 2);
    assert_eq!(Millis::from_bytes([0, 0, 0, 0, 1, 2]), Millis::new(0x102));

    assert_eq!(Millis::at(WallTime::from_nanos(999_999)), Millis::ZERO);
    assert_eq!(Millis::at(WallTime::from_nanos(1_000_000)), Millis::new(1));
    assert_eq!(Millis::at(WallTime::from_nanos(u64::MAX - 1)).get(), u64::MAX / 1_000_000);
    assert_eq!(Millis::at(WallTime::from_nanos(u64::MAX)), Millis::MAX);
    assert_eq!(Millis::MAX.to_time(), WallTime::from_nanos(u64::MAX));
    assert_eq!(Millis::new(5).to_time(), WallTime::from_millis(5));

    assert_eq!(Millis::lasting(Duration::ZERO), Millis::ZERO);
    assert_eq!(Millis::lasting(Duration::from_nanos(1)), Millis::new(1));
    assert_eq!(Millis::lasting(Duration::from_millis(5)), Millis::new(5));
    assert_eq!(Millis::lasting(Duration::MAX), Millis::MAX);
    assert_eq!(Millis::MAX.to_duration(), Duration::from_millis((1 << 48) - 1));
}

#[test]
fn the_name_of_a_tag_forges_no_line_of_an_error() {
    let error = Tags::new([(b"a\n\"\xff", Stamp(1)), (b"a\n\"\xff", Stamp(1))]).unwrap_err();
    assert_eq!(error.to_string(), "the tag \"a\\n\"\u{fffd}\" is given twice");
}

fn millis() -> impl Strategy<Value = Millis> {
    prop_oneof![any::<u64>().prop_map(Millis::new), (0_u64..5_000).prop_map(Millis::new)]
}

fn tags() -> impl Strategy<Value = Tags> {
    let name = prop::collection::vec(any::<u8>(), 0..=255);
    prop::collection::btree_map(name, any::<u64>(), 0..=16)
        .prop_map(|tags| Tags::new(tags.into_iter().map(|(name, stamp)| (name, Stamp(stamp)))))
        .prop_map(Result::unwrap)
}

#[test]
fn the_times_of_an_entry_keep_their_units() {
    let envelope = Envelope {
        fresh_until: Millis::new(1_700_000_060_000),
        stale_while_revalidate: Millis::new(30_000),
        stale_if_error: Millis::new(600_001),
        load_micros: 120_003,
        ..Envelope::new(CodecId::JSON, EntryId(7), Millis::new(1_700_000_000_000))
    };
    let expected = Meta {
        written: WallTime::from_millis(1_700_000_000_000),
        fresh_until: Some(WallTime::from_millis(1_700_000_060_000)),
        windows: Windows {
            stale_while_revalidate: Duration::from_secs(30),
            stale_if_error: Duration::from_millis(600_001),
        },
        load_cost: Duration::from_micros(120_003),
    };
    assert_eq!(envelope.meta(), expected);
}

#[test]
fn only_the_last_moment_means_for_ever() {
    let until = |fresh_until| Envelope { fresh_until, ..full() }.meta().fresh_until;
    let last = WallTime::from_nanos(u64::MAX);
    assert_eq!(until(Millis::MAX), None);
    assert_eq!(until(Millis::new(Millis::MAX.get() - 1)), Some(last));
    assert_eq!(until(Millis::at(last)), None, "it is stored as for ever");
    assert_eq!(until(Millis::ZERO), Some(WallTime::EPOCH));
}

#[test]
fn a_stored_time_is_rounded_down_and_a_window_up() {
    let (written, window) = (WallTime::from_nanos(1_999_999), Duration::from_nanos(1));
    let envelope = Envelope {
        fresh_until: Millis::at(written + Duration::from_millis(5)),
        stale_if_error: Millis::lasting(window),
        ..Envelope::new(CodecId::JSON, EntryId(7), Millis::at(written))
    };
    let meta = envelope.meta();
    assert_eq!(meta.fresh_until, Some(WallTime::from_millis(6)));
    assert_eq!(meta.expires(), Some(WallTime::from_millis(7)));
}

prop_compose! {
    fn envelopes()(
        [codec, compression, hints] in any::<[u8; 3]>(),
        [fresh_until, stale_while_revalidate, stale_if_error, written] in prop::array::uniform4(millis()),
        [id, schema] in any::<[u64; 2]>(),
        load_micros in any::<u32>(),
        prefix_stamp in any::<Option<u64>>(),
        tags in tags(),
        validator in prop::option::of(prop::collection::vec(any::<u8>(), 0..=1_024)),
    ) -> Envelope {
        Envelope {
            compression: CompressionId(compression),
            hints,
            fresh_until,
            stale_while_revalidate,
            stale_if_error,
            load_micros,
            schema: SchemaId(schema),
            prefix_stamp: prefix_stamp.map(Stamp),
            tags,
            validator: validator.map(|bytes| Validator::new(bytes).unwrap()),
            ..Envelope::new(CodecId(codec), EntryId(id), written)
        }
    }
}

proptest! {
    #[test]
    fn an_envelope_is_read_as_it_was_written(
        envelope in envelopes(), payload in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let bytes = encoded(&envelope, &payload);
        prop_assert_eq!(envelope.encoded_len(payload.len()), bytes.len());
        prop_assert_eq!(entry(&bytes), (envelope, payload.into()));
    }

    #[test]
    fn damage_is_noticed_wherever_it_is(
        envelope in envelopes(),
        payload in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let mut bytes = encoded(&envelope, &payload);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        match decoded(&bytes) {
            Decoded::Plain(_) => prop_assert_eq!(at, 0),
            Decoded::Entry { envelope: read, .. } => {
                prop_assert!(FRESH_UNTIL.contains(&at));
                let fresh_until = read.fresh_until;
                prop_assert_eq!(read, Envelope { fresh_until, ..envelope });
            }
            Decoded::Unreadable(_) => prop_assert!(at > 0 && !FRESH_UNTIL.contains(&at)),
        }
    }

    #[test]
    fn whatever_can_be_read_is_written_with_the_same_bytes(
        rest in prop::collection::vec(prop_oneof![Just(0), 0_u8..4, any::<u8>()], HEADER_LEN..200),
        flags in 0_u8..8,
    ) {
        let mut bytes = rest;
        bytes[..2].copy_from_slice(&[MAGIC, VERSION]);
        bytes[4] = flags;
        let len = (bytes.len() - HEADER_LEN) as u64;
        // One of these lengths leaves room for the parts behind the header, if they are in order.
        for payload_len in 0..=len {
            bytes[50..58].copy_from_slice(&payload_len.to_be_bytes());
            let stored = [&bytes[..], &checksum_of(&bytes).to_be_bytes()].concat();
            match decoded(&stored) {
                Decoded::Entry { envelope, payload } => {
                    prop_assert_eq!(encoded(&envelope, &payload), stored);
                }
                Decoded::Unreadable(defect) => prop_assert_ne!(defect, Defect::Checksum),
                Decoded::Plain(value) => prop_assert!(!needs_envelope(&value)),
            }
        }
    }
}
