//! The page about the format of stored entries: its example can be read, and its scripts run on
//! servers.

use std::fs;
use std::path::Path;

use async_caches_conformance::frame::Frame;
use async_caches_conformance::raw::Raw;
use async_caches_conformance::server::{Kind, Server, Setup};
use async_caches_core::envelope::{
    CodecId, CompressionId, Decoded, ENTRY_ID, EntryId, Envelope, FRESH_UNTIL, HEADER_LEN, Millis,
    SchemaId, Stamp, Tags, VERSION, Validator, WINDOWS, decode,
};
use bytes::Bytes;

#[test]
fn the_example_of_the_format_is_read_as_the_page_says() {
    let stored = example();
    let payload = Bytes::from_static(b"{\"id\":7}");
    let mut envelope = Envelope::new(
        CodecId::JSON,
        EntryId(0x0123_4567_89AB_CDEF),
        Millis::new(1_700_000_000_000),
    );
    envelope.compression = CompressionId::NONE;
    envelope.fresh_until = Millis::new(1_700_000_060_000);
    envelope.stale_while_revalidate = Millis::new(30_000);
    envelope.stale_if_error = Millis::new(600_000);
    envelope.load_micros = 120_000;
    envelope.schema = SchemaId(3);
    envelope.tags = Tags::new([("org:7", Stamp(0x1111_1111_1111_1111))]).unwrap();
    envelope.validator = Some(Validator::new("\"v7\"").unwrap());
    let mut encoded = Vec::new();
    envelope.encode(&payload, &mut encoded);
    assert_eq!(encoded, stored);
    assert_eq!(decode(&stored, Some(SchemaId(3))), Decoded::Entry { envelope, payload });
}

#[test]
fn the_offsets_of_the_format_are_those_of_the_code() {
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let mut end = 0;
    let mut offsets = Vec::new();
    for (offset, rest) in rows {
        let (Ok(offset), Some((width, field))) = (offset.parse::<usize>(), rest.split_once(" | "))
        else {
            continue;
        };
        assert_eq!(offset, end, "{field}");
        end = offset + width.parse::<usize>().unwrap();
        offsets.push((field, offset..end));
    }
    let range = |name: &str| {
        let found = offsets.iter().find(|(field, _)| field.starts_with(name));
        found.map(|(_, range)| range.clone()).unwrap()
    };
    assert_eq!(range("fresh until"), FRESH_UNTIL);
    assert_eq!(range("stale while").start..range("stale if").end, WINDOWS);
    assert_eq!(range("entry id"), ENTRY_ID);
    assert_eq!(range("with flag 1").start, HEADER_LEN);
}

#[test]
fn a_script_renews_a_fresh_envelope_and_no_other_entry() {
    let [renew, _] = scripts();
    for server in servers() {
        let mut raw = server.raw(0);
        let renew = |raw: &mut Raw, timeout: u64| {
            raw.number(&["EVAL", &renew, "1", "key", &timeout.to_string()])
        };
        let (mut envelope, payload) = opened(&example());
        envelope.fresh_until = Millis::new(4_000_000_000_000);
        store(&mut raw, &envelope, &payload);
        let earliest = time(&mut raw) + 60_000;
        assert_eq!(renew(&mut raw, 60_000), 1);
        let latest = time(&mut raw) + 60_000;
        let (renewed, same) = opened(&stored(&mut raw));
        assert!((earliest..=latest).contains(&renewed.fresh_until.get()), "{renewed:?}");
        envelope.fresh_until = renewed.fresh_until;
        assert_eq!((renewed, same), (envelope.clone(), payload.clone()));
        // The timeout and the longer window, less the time that this test has taken.
        let left = raw.number(&["PTTL", "key"]);
        assert!((600_001..=660_000).contains(&left), "{left}");

        // The longest timeout of an entry, and the longest windows.
        (envelope.stale_if_error, envelope.fresh_until) = (Millis::MAX, Millis::MAX);
        store(&mut raw, &envelope, &payload);
        assert_eq!(renew(&mut raw, 1 << 53), 1);
        assert_eq!(opened(&stored(&mut raw)).0, envelope);
        assert!(raw.number(&["PTTL", "key"]) > 1 << 53);

        // These are still fresh.
        let fresh = stored(&mut raw);
        let mut newer = fresh.to_vec();
        newer[1] = VERSION + 1;
        let mut other = fresh.to_vec();
        other[0] = b'{';
        envelope.fresh_until = Millis::new(time(&mut raw));
        let mut stale = Vec::new();
        envelope.encode(&payload, &mut stale);
        let short = &fresh[..HEADER_LEN - 1];
        for bytes in [&stale[..], &newer, &other, short, b"{\"id\":7}", b"\xC1"] {
            raw.call(&[&b"SET"[..], b"key", bytes]);
            assert_eq!(renew(&mut raw, 60_000), 0);
            assert_eq!(stored(&mut raw), bytes);
            assert_eq!(raw.number(&["PTTL", "key"]), -1);
        }
        raw.call(&["DEL", "key"]);
        assert_eq!(renew(&mut raw, 60_000), 0);
        assert_eq!(raw.call(&["GET", "key"]), Frame::Null);
    }
}

#[test]
fn a_script_compares_the_id_of_an_entry() {
    let [_, compare] = scripts();
    for server in servers() {
        let mut raw = server.raw(0);
        let compare = |raw: &mut Raw, id: EntryId| {
            raw.number(&[&b"EVAL"[..], compare.as_bytes(), b"1", b"key", &id.to_bytes()])
        };
        let (mut envelope, payload) = opened(&example());
        // The ends, bytes that end texts or lines, and a number that is no double.
        for id in [0, u64::MAX, 0x0D0A_0000_C1FF_2200, (1 << 63) + 1] {
            envelope.id = EntryId(id);
            store(&mut raw, &envelope, &payload);
            assert_eq!(compare(&mut raw, EntryId(id)), 1, "{id:x}");
            assert_eq!(compare(&mut raw, EntryId(id ^ 1)), 0, "{id:x}");
        }
        raw.call(&["SET", "key", "{\"id\":7}"]);
        assert_eq!(compare(&mut raw, envelope.id), 0);
        raw.call(&["DEL", "key"]);
        assert_eq!(compare(&mut raw, envelope.id), 0);
    }
}

#[test]
fn a_script_reads_and_writes_every_time_exactly() {
    const SCRIPT: &str = "\
        local packed = struct.pack('>I6', ARGV[1])
        return {packed, string.format('%.0f', struct.unpack('>I6', packed))}";
    for server in servers() {
        let mut raw = server.raw(0);
        let ends = [0, 1, (1 << 47) - 1, 1 << 47, Millis::MAX.get() - 1, Millis::MAX.get()];
        for millis in ends.into_iter().chain((0..48).map(|bit| 1 << bit)).map(Millis::new) {
            let text = millis.get().to_string();
            let reply = raw.call(&["EVAL", SCRIPT, "0", &text]);
            let packed = Frame::Bulk(millis.to_bytes().to_vec());
            assert_eq!(reply, Frame::List(vec![packed, Frame::Bulk(text.into_bytes())]));
        }
    }
}

/// The blocks of code on the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let page = page();
    let blocks =
        page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

fn example() -> Bytes {
    let blocks = blocks("hex");
    assert_eq!(blocks.len(), 1);
    let digits = blocks[0].lines().map(|line| line.split('#').next().unwrap());
    let bytes = digits.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16));
    bytes.collect::<Result<_, _>>().unwrap()
}

/// The script that renews an entry, and the one that compares its id.
fn scripts() -> [String; 2] {
    blocks("lua").try_into().unwrap()
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    fs::read_to_string(path).unwrap()
}

fn servers() -> impl Iterator<Item = Server> {
    let kinds = [Kind::Redis, Kind::Valkey].into_iter().filter(|kind| kind.is_here());
    kinds.map(|kind| Server::start(kind, &Setup::default()))
}

fn store(raw: &mut Raw, envelope: &Envelope, payload: &[u8]) {
    let mut bytes = Vec::new();
    envelope.encode(payload, &mut bytes);
    raw.call(&[&b"SET"[..], b"key", &bytes]);
}

fn stored(raw: &mut Raw) -> Bytes {
    match raw.call(&["GET", "key"]) {
        Frame::Bulk(bytes) => bytes.into(),
        other => panic!("{other:?}"),
    }
}

fn opened(stored: &Bytes) -> (Envelope, Bytes) {
    match decode(stored, None) {
        Decoded::Entry { envelope, payload } => (envelope, payload),
        other => panic!("{other:?}"),
    }
}

/// The server's time in milliseconds.
fn time(raw: &mut Raw) -> u64 {
    let Frame::List(parts) = raw.call(&["TIME"]) else { panic!("no list") };
    let parts: Vec<u64> = parts.iter().map(|part| part.text().parse().unwrap()).collect();
    parts[0] * 1_000 + parts[1] / 1_000
}
