use core::num::NonZeroU64;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use crate::key::{KeySpace, Names, Version};
use crate::resp::decode;
use crate::resp::scan::Scanner;

use super::*;

/// The words of the one command that `command` is encoded as. Asserts that it is one whole frame.
fn words(command: &Command<'_>, scripts: &mut Scripts) -> Vec<Vec<u8>> {
    let mut commands = commands(command, scripts);
    assert_eq!(commands.len(), 1, "{command:?}");
    commands.remove(0)
}

fn commands(command: &Command<'_>, scripts: &mut Scripts) -> Vec<Vec<Vec<u8>>> {
    let mut tx = Output::new();
    super::command(command, scripts, &mut tx);
    read(&tx.split())
}

fn read(mut tx: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (mut scanner, mut commands) = (Scanner::default(), vec![]);
    while let Some(len) = scanner.scan(tx).unwrap() {
        let words = decode::elements(tx).unwrap();
        commands.push(words.map(|word| word.unwrap().bytes().unwrap().to_vec()).collect());
        tx = &tx[len..];
    }
    assert!(tx.is_empty(), "{:?} is left", tx.escape_ascii());
    commands
}

/// Commands as text, words separated by spaces.
fn text(command: &Command<'_>) -> Vec<String> {
    let join = |words: Vec<Vec<u8>>| words.join(&b' ').escape_ascii().to_string();
    commands(command, &mut Scripts::default()).into_iter().map(join).collect()
}

fn space() -> KeySpace {
    KeySpace::new("p", Version::Integer(1)).unwrap()
}

fn millis(millis: u64) -> Expiry {
    NonZeroU64::new(millis).map_or(Expiry::Never, Expiry::Millis)
}

#[test]
fn every_command_has_its_form_on_the_wire() {
    let space = space();
    let scope = space.scope(None).unwrap();
    let (key, value) = (scope.key(b"k"), &Bytes::from_static(b"v"));
    let names: Names = ["a", "b"].iter().collect();
    let keys = scope.keys(&names);
    let values = [Bytes::from_static(b"1"), Bytes::from_static(b"2")];
    let (never, soon) = (Expiry::Never, millis(1500));
    for (command, expected) in [
        (Command::Get(key), &["GET p:1:k"][..]),
        (Command::GetMany(keys.clone()), &["MGET p:1:a p:1:b"]),
        (Command::Set { key, value, expiry: never }, &["SET p:1:k v"]),
        (Command::Set { key, value, expiry: soon }, &["SET p:1:k v PX 1500"]),
        (Command::Add { key, value, expiry: never }, &["SET p:1:k v NX"]),
        (Command::Add { key, value, expiry: soon }, &["SET p:1:k v PX 1500 NX"]),
        (
            Command::SetMany { keys: keys.clone(), values: &values, expiry: soon },
            &["SET p:1:a 1 PX 1500", "SET p:1:b 2 PX 1500"],
        ),
        (Command::Delete(keys.clone()), &["UNLINK p:1:a p:1:b"]),
        (Command::Unlink(&values), &["UNLINK 1 2"]),
        (Command::Clear, &["FLUSHDB ASYNC"]),
        (Command::Scan { stem: b"p:", cursor: 7 }, &["SCAN 7 MATCH p:* COUNT 512"]),
        (Command::Touch { key, expiry: soon }, &["PEXPIRE p:1:k 1500"]),
        (Command::Persist(key), &["PERSIST p:1:k", "EXISTS p:1:k"]),
        (Command::Contains(key), &["EXISTS p:1:k"]),
        (Command::Remaining(key), &["PTTL p:1:k"]),
        (Command::Topology(TopologyForm::Shards), &["CLUSTER SHARDS"]),
        (Command::Topology(TopologyForm::Slots), &["CLUSTER SLOTS"]),
        (Command::ReadOnly, &["READONLY"]),
        (Command::Ping, &["PING"]),
    ] {
        assert_eq!(text(&command), expected, "{command:?}");
        let sent_as = match command.name() {
            "SETNX" | "MSET" => "SET",
            name => name,
        };
        assert_eq!(expected[0].get(..sent_as.len()), Some(sent_as), "{command:?}");
    }
    let delta = Number::Integer(1);
    assert_eq!(Command::Incr { key, delta, start: None }.name(), "INCRBY", "it is a script");
}

#[test]
fn a_command_on_no_keys_is_a_ping() {
    let (space, none) = (space(), Names::default());
    let one: Names = ["a"].iter().collect();
    let scope = space.scope(None).unwrap();
    let keys = scope.keys(&none);
    let expiry = Expiry::Never;
    for command in [
        Command::GetMany(keys.clone()),
        Command::Delete(keys.clone()),
        Command::Unlink(&[]),
        Command::SetMany { keys: keys.clone(), values: &[], expiry },
        Command::SetMany { keys, values: &[Bytes::new()], expiry },
        Command::SetMany { keys: scope.keys(&one), values: &[], expiry },
    ] {
        assert_eq!(text(&command), ["PING"], "{command:?}");
    }
}

#[test]
fn a_script_is_sent_in_full_once_and_again_after_it_was_forgotten() {
    let space = space();
    let key = space.scope(None).unwrap().key(b"k");
    let mut scripts = Scripts::default();
    let persist = Command::Touch { key, expiry: Expiry::Never };
    let incr = Command::Incr { key, delta: Number::Integer(-3), start: None };
    let full = [b"EVAL", script::PERSIST.source.as_bytes(), b"1", b"p:1:k"].map(<[u8]>::to_vec);
    let short = [&b"EVALSHA"[..], script::PERSIST.digest.as_bytes(), b"1", b"p:1:k"];
    assert_eq!(words(&persist, &mut scripts), full);
    assert_eq!(words(&persist, &mut scripts), short);
    let first = words(&incr, &mut scripts);
    assert_eq!(first[0], b"EVAL", "one script sent says nothing about another");
    assert_eq!(first[1], script::INCR.source.as_bytes());
    assert_eq!(words(&incr, &mut scripts)[2..], [&b"1"[..], b"p:1:k", b"i", b"-3"]);
    scripts.forget();
    assert_eq!(words(&incr, &mut scripts)[0], b"EVAL");
    assert_eq!(words(&persist, &mut scripts), full);
}

#[test]
fn a_timeout_is_taken_away_without_a_script_in_two_commands() {
    let space = space();
    let key = space.scope(None).unwrap().key(b"k");
    let touch = Command::Touch { key, expiry: Expiry::Never };
    let plain: Vec<Vec<_>> = [b"PERSIST".as_slice(), b"EXISTS"]
        .map(|name| [name, b"p:1:k"].map(<[u8]>::to_vec).to_vec())
        .to_vec();
    let persist = touch.without_script().unwrap();
    assert_eq!(commands(&persist, &mut Scripts::default()), plain);
}

#[test]
fn a_refusal_of_scripts_outlives_what_the_server_forgets() {
    let mut scripts = Scripts::default();
    assert!(!scripts.are_refused());
    scripts.refuse();
    scripts.forget();
    assert!(scripts.are_refused());
}

#[test]
fn an_initial_value_is_sent_as_the_first_sum_or_its_error() {
    let space = space();
    let key = space.scope(None).unwrap().key(b"k");
    let sent = |delta, initial, expiry| {
        let start = Start { initial, expiry };
        let command = Command::Incr { key, delta, start: Some(&start) };
        let words = words(&command, &mut Scripts::default());
        words[4..].iter().map(|word| String::from_utf8(word.clone()).unwrap()).collect::<Vec<_>>()
    };
    let (integer, float) = (Number::Integer, Number::Float);
    let second = Expiry::Millis(1_000.try_into().unwrap());
    assert_eq!(sent(integer(2), integer(40), Expiry::Never), ["i", "2", "42"]);
    assert_eq!(sent(integer(-2), integer(-40), second), ["i", "-2", "-42", "1000"]);
    assert_eq!(sent(float(0.5), float(1.0), second), ["f", "0.5", "1.5", "1000"]);
    let past = [integer(i64::MAX.into()), integer(1 << 63)];
    for initial in past {
        assert_eq!(sent(integer(1), initial, second), ["i", "1", "OVERFLOW", "1000"]);
    }
    assert_eq!(sent(float(1.0), float(f64::NAN), Expiry::Never), ["f", "1.0", "OVERFLOW"]);
    assert_eq!(sent(integer(1), float(0.5), Expiry::Never), ["i", "1", "NOTANINTEGER"]);
}

#[test]
fn delete_if_equals_sends_its_value_with_its_own_script() {
    let space = space();
    let key = space.scope(None).unwrap().key(b"k");
    let (value, mut scripts) = (Bytes::from_static(b"\0\r\n\xff"), Scripts::default());
    let command = Command::DeleteIf { key, value: &value };
    let source = script::DELETE_IF.source.as_bytes();
    assert_eq!(words(&command, &mut scripts), [&b"EVAL"[..], source, b"1", b"p:1:k", &value]);
    let digest = script::DELETE_IF.digest.as_bytes();
    assert_eq!(words(&command, &mut scripts), [&b"EVALSHA"[..], digest, b"1", b"p:1:k", &value]);
    assert_eq!(command.largest_argument(), 5);
    let value = Bytes::from(vec![b'v'; 9]);
    assert_eq!(Command::DeleteIf { key, value: &value }.largest_argument(), 9);
}

#[test]
fn a_double_is_sent_as_the_shortest_text_that_reads_back() {
    let space = space();
    let key = space.scope(None).unwrap().key(b"k");
    for (delta, expected) in [
        (0.1, "0.1"),
        (-1.0, "-1.0"),
        (1e300, "1e300"),
        (f64::MIN, "-1.7976931348623157e308"),
        (-f64::MIN_POSITIVE, "-2.2250738585072014e-308"),
        (5e-324, "5e-324"),
        (123_456_789_012_345_680.0, "1.2345678901234568e17"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let command = Command::Incr { key, delta: Number::Float(delta), start: None };
        let words = words(&command, &mut Scripts::default());
        assert_eq!(words[4..], [b"f", expected.as_bytes()], "{delta}");
    }
}

#[test]
fn requests_are_arrays_of_blobs() {
    let mut tx = Output::new();
    request(&mut tx, &[b"HELLO", b"3", b""]);
    assert_eq!(tx.split(), "*3\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$0\r\n\r\n");
}

#[test]
fn a_large_value_is_sent_without_a_copy() {
    let space = space();
    let key = space.scope(None).unwrap().key(b"k");
    let value = &Bytes::from(vec![b'v'; Output::SEALED_FROM]);
    for command in [
        Command::Set { key, value, expiry: millis(1500) },
        Command::Add { key, value, expiry: Expiry::Never },
    ] {
        let mut tx = Output::new();
        super::command(&command, &mut Scripts::default(), &mut tx);
        assert!(tx.pieces().any(|piece| piece.as_ptr() == value.as_ptr()), "{command:?}");
        assert_eq!(tx.pieces().count(), 3);
    }
}

#[test]
fn the_largest_argument_is_found_before_anything_is_written() {
    let space = space();
    let scope = space.scope(None).unwrap();
    let (key, value, expiry) = (scope.key(b"name"), &Bytes::from_static(b"0123456789"), millis(1));
    let names: Names = ["a", "abcdef"].iter().collect();
    let keys = scope.keys(&names);
    let values = [value.slice(..2), value.slice(..1)];
    for (command, expected) in [
        (Command::Get(key), 8),
        (Command::Set { key, value, expiry }, 10),
        (Command::Add { key, value: &value.slice(..1), expiry }, 8),
        (Command::GetMany(keys.clone()), 10),
        (Command::SetMany { keys: keys.clone(), values: &values, expiry }, 10),
        (Command::Delete(keys), 10),
        (Command::Unlink(&values), 2),
        (Command::Scan { stem: b"a*", cursor: 0 }, 4),
        (Command::Incr { key, delta: Number::Integer(1), start: None }, 8),
        (Command::Ping, 0),
    ] {
        assert_eq!(command.largest_argument(), expected, "{command:?}");
    }
}

#[test]
fn numbers_and_lengths_at_every_digit_boundary_are_encoded_exactly() {
    let space = space();
    let scope = space.scope(None).unwrap();
    let powers = (0..20).map(|power| 10_u64.pow(power)).chain([u64::MAX, 1 << 63, 1 << 53]);
    for number in powers.flat_map(|power| [power - 1, power, power.saturating_add(1)]) {
        let digits = number.to_string();
        let key = scope.key(b"k");
        let scan = words(&Command::Scan { stem: b"", cursor: number }, &mut Scripts::default());
        assert_eq!(scan[1], digits.as_bytes());
        if number > 0 {
            let touch = Command::Touch { key, expiry: millis(number) };
            assert_eq!(words(&touch, &mut Scripts::default())[2], digits.as_bytes());
        }
        for delta in [i128::from(number), -i128::from(number)] {
            let incr = Command::Incr { key, delta: Number::Integer(delta), start: None };
            let sent = words(&incr, &mut Scripts::default());
            assert_eq!(sent[5], delta.to_string().as_bytes());
        }
    }
    for len in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 9999, 10_000, 99_999, 100_000, 1_000_000]
    {
        let (name, value) = (vec![b'n'; len], &Bytes::from(vec![b'v'; len]));
        let (key, expiry) = (scope.key(&name), Expiry::Never);
        let mut tx = Output::new();
        super::command(&Command::Set { key, value, expiry }, &mut Scripts::default(), &mut tx);
        super::command(&Command::Ping, &mut Scripts::default(), &mut tx);
        let sent = read(&tx.split());
        assert_eq!((sent[0][1].len(), sent[0][2].len()), (len + 4, len));
        assert_eq!(sent[1], [b"PING"]);
    }
}

/// A server's pattern matching of `*`, `?`, `[...]` and backslashes, in its simplest form.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        ([b'?', rest @ ..], [_, tail @ ..]) => matches(rest, tail),
        ([b'[', rest @ ..], [first, tail @ ..]) => {
            let (negated, mut class) = match rest {
                [b'^', rest @ ..] => (true, rest),
                _ => (false, rest),
            };
            let mut found = false;
            loop {
                class = match class {
                    [] => break,
                    [b']', rest @ ..] => {
                        class = rest;
                        break;
                    }
                    [b'\\', byte, rest @ ..] => {
                        found |= byte == first;
                        rest
                    }
                    [low, b'-', high, rest @ ..] => {
                        found |= (low.min(high)..=low.max(high)).contains(&first);
                        rest
                    }
                    [byte, rest @ ..] => {
                        found |= byte == first;
                        rest
                    }
                };
            }
            found != negated && matches(class, tail)
        }
        ([b'\\', byte, rest @ ..], [first, tail @ ..]) => byte == first && matches(rest, tail),
        ([byte, rest @ ..], [first, tail @ ..]) => byte == first && matches(rest, tail),
        (_, []) => false,
    }
}

fn pattern(stem: &[u8]) -> Vec<u8> {
    words(&Command::Scan { stem, cursor: 0 }, &mut Scripts::default()).remove(3)
}

#[test]
fn glob_characters_in_a_stem_mean_themselves() {
    assert_eq!(pattern(b"a*b?[c-d]\\^:"), b"a\\*b\\?\\[c-d\\]\\\\^:*");
    assert!(matches(b"a[b-d]*", b"acx") && !matches(b"a[^b-d]*", b"acx"), "the model works");
    assert!(!matches(&pattern(b"a*:"), b"ab:x"));
    assert!(matches(&pattern(b"a*:"), b"a*:x"));
}

proptest! {
    #[test]
    fn a_pattern_matches_exactly_the_keys_that_begin_with_the_stem(
        stem in prop::collection::vec(prop::sample::select(&b"ab*?[]\\^-:\0\xff"[..]), 0..8),
        key in prop::collection::vec(prop::sample::select(&b"ab*?[]\\^-:\0\xff"[..]), 0..8),
    ) {
        let pattern = pattern(&stem);
        prop_assert_eq!(matches(&pattern, &key), key.starts_with(&stem));
        let longer = [&stem[..], &key].concat();
        prop_assert!(matches(&pattern, &longer));
    }

    #[test]
    fn any_key_and_value_are_encoded_exactly(
        name in prop::collection::vec(any::<u8>(), 0..120),
        value in prop::collection::vec(any::<u8>(), 0..1200),
        left in any::<u64>(),
    ) {
        let space = space();
        let key = space.scope(None).unwrap().key(&name);
        let value = Bytes::from(value);
        let command = Command::Add { key, value: &value, expiry: millis(left) };
        let sent = words(&command, &mut Scripts::default());
        prop_assert_eq!(&sent[1], &key.to_bytes());
        prop_assert_eq!(&sent[2], &value);
    }

    #[test]
    fn every_double_reads_back(bits in any::<u64>()) {
        let delta = f64::from_bits(bits);
        let text = Decimal::of(delta);
        let read: f64 = decode::parse(text.as_bytes()).unwrap();
        prop_assert!(read == delta || delta.is_nan());
    }
}
