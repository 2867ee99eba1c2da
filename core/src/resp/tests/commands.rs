//! Every command, as `redis-protocol` reads it.

use core::num::NonZeroU64;
use std::collections::BTreeSet;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use bytes::Bytes;
use proptest::prelude::*;

use super::{Words, named, requests, words};
use crate::command::{Command, Start, TopologyForm};
use crate::key::{KeySpace, Names, Version};
use crate::number::Number;
use crate::resp::answer::Expect;
use crate::resp::encode::{self, Scripts};
use crate::resp::output::Output;
use crate::script::{self, Script};
use crate::ttl::Expiry;

named!(kind(Command<'_>), KINDS: Command::{
    Get, GetMany, Set, Add, SetMany, Delete, Clear, Scan, Unlink, Touch, Persist, Incr, DeleteIf,
    Contains, Remaining, Ping, Topology, ReadOnly,
});
named!(form(TopologyForm), FORMS: TopologyForm::{Shards, Slots});
named!(number(Number), NUMBERS: Number::{Integer, Float});
named!(expiry(Expiry), EXPIRIES: Expiry::{Never, Millis});

/// What a caller chooses of its commands.
#[derive(Clone, Debug)]
struct Chosen {
    prefix: String,
    version: String,
    names: Vec<Vec<u8>>,
    /// As many as names.
    values: Vec<Bytes>,
    cursor: u64,
    millis: NonZeroU64,
}

/// Commands with the requests that each stands for, according to the servers' documentation.
type Rows<'a> = Vec<(Command<'a>, Vec<Words>)>;

/// Encodes all commands that differ in more than these choices. Returns the variants that were
/// among them.
fn check(chosen: &Chosen) -> BTreeSet<&'static str> {
    let version = Version::from(chosen.version.as_str());
    let space = KeySpace::new(&chosen.prefix, version).expect("it has no colon");
    let scope = space.scope(None).expect("it has no colon");
    let names: Names = chosen.names.iter().collect();
    let none = Names::default();
    let whole = |name: &[u8]| {
        [chosen.prefix.as_bytes(), b":", chosen.version.as_bytes(), b":", name].concat()
    };
    let wholes: Words = chosen.names.iter().map(|name| whole(name)).collect();
    let (key, value, w) = (scope.key(&chosen.names[0]), &chosen.values[0], &wholes[0][..]);
    let (keys, nothing) = (scope.keys(&names), scope.keys(&none));
    let millis = chosen.millis.to_string();
    let soon = Expiry::Millis(chosen.millis);
    let many = |name: &str, keys: &[Vec<u8>]| vec![[&[name.into()], keys].concat()];
    let ping = || vec![words(&[b"PING"])];
    let cursor = chosen.cursor.to_string();
    let mut pattern: Vec<u8> = Vec::new();
    for &byte in &chosen.names[0] {
        pattern.extend(b"*?[]\\".contains(&byte).then_some(b'\\').into_iter().chain([byte]));
    }
    pattern.push(b'*');
    let scan = |cursor: &str| {
        vec![words(&[b"SCAN", cursor.as_bytes(), b"MATCH", &pattern, b"COUNT", b"512"])]
    };
    let stem = &chosen.names[0][..];

    let mut rows: Rows<'_> = vec![
        (Command::Get(key), vec![words(&[b"GET", w])]),
        (Command::GetMany(keys.clone()), many("MGET", &wholes)),
        (Command::GetMany(nothing.clone()), ping()),
        (Command::Delete(keys.clone()), many("UNLINK", &wholes)),
        (Command::Delete(nothing.clone()), ping()),
        (Command::Clear, vec![words(&[b"FLUSHDB", b"ASYNC"])]),
        (Command::Scan { stem, cursor: 0 }, scan("0")),
        (Command::Scan { stem, cursor: chosen.cursor }, scan(&cursor)),
        (
            Command::Unlink(&chosen.values),
            many("UNLINK", &chosen.values.iter().map(|key| key.to_vec()).collect::<Words>()),
        ),
        (Command::Unlink(&[]), ping()),
        (Command::Touch { key, expiry: soon }, vec![words(&[b"PEXPIRE", w, millis.as_bytes()])]),
        (Command::Touch { key, expiry: Expiry::Never }, in_full(script::PERSIST, w, &[])),
        (Command::Persist(key), vec![words(&[b"PERSIST", w]), words(&[b"EXISTS", w])]),
        (Command::DeleteIf { key, value }, in_full(script::DELETE_IF, w, &[value])),
        (Command::Contains(key), vec![words(&[b"EXISTS", w])]),
        (Command::Remaining(key), vec![words(&[b"PTTL", w])]),
        (Command::Ping, ping()),
        (Command::Topology(TopologyForm::Shards), vec![words(&[b"CLUSTER", b"SHARDS"])]),
        (Command::Topology(TopologyForm::Slots), vec![words(&[b"CLUSTER", b"SLOTS"])]),
        (Command::ReadOnly, vec![words(&[b"READONLY"])]),
    ];
    for (expiry, px) in [(Expiry::Never, &[][..]), (soon, &[&b"PX"[..], millis.as_bytes()])] {
        let set =
            |key: &[u8], value: &Bytes| [&words(&[b"SET", key, value])[..], &words(px)].concat();
        let pairs = wholes.iter().zip(&chosen.values);
        rows.extend([
            (Command::Set { key, value, expiry }, vec![set(w, value)]),
            (
                Command::Add { key, value, expiry },
                vec![[&set(w, value)[..], &words(&[b"NX"])].concat()],
            ),
            (
                Command::SetMany { keys: keys.clone(), values: &chosen.values, expiry },
                pairs.map(|(key, value)| set(key, value)).collect(),
            ),
            (Command::SetMany { keys: nothing.clone(), values: &[], expiry }, ping()),
        ]);
    }
    let starts = sums(soon);
    for (delta, text, start, first) in &starts {
        let (delta, start) = (*delta, start.as_ref());
        let mut arguments: Vec<&[u8]> = text.iter().map(|word| word.as_bytes()).collect();
        arguments.extend(first.map(str::as_bytes));
        if let Some(Start { expiry: Expiry::Millis(_), .. }) = start {
            arguments.push(millis.as_bytes());
        }
        rows.push((Command::Incr { key, delta, start }, in_full(script::INCR, w, &arguments)));
    }

    let mut seen = BTreeSet::new();
    for (command, wanted) in rows {
        seen.insert(kind(&command));
        seen.insert(expiry(&command.expiry()));
        if let Command::Topology(of) = &command {
            seen.insert(form(of));
        }
        if let Command::Incr { delta, .. } = &command {
            seen.insert(number(delta));
        }
        let (mut scripts, mut tx) = (Scripts::default(), Output::new());
        encode::command(&command, &mut scripts, &mut tx);
        let pieces: Vec<u8> = tx.pieces().flatten().copied().collect();
        let read = requests(&tx.split());
        assert!(read == wanted, "{command:?}: {read:?} is not {wanted:?}");
        assert_eq!(requests(&pieces), read);
        assert_eq!(Expect::of(&command).replies(), wanted.len(), "{command:?}");
        // The second time, and behind another command, which must not run into it.
        encode::command(&Command::Ping, &mut scripts, &mut tx);
        encode::command(&command, &mut scripts, &mut tx);
        let again = [ping(), by_digest(wanted)].concat();
        assert!(requests(&tx.split()) == again, "{command:?} is not {again:?}");
    }
    seen
}

/// Additions: the delta, the words for it, the start, and the word for the first sum.
#[allow(clippy::type_complexity, reason = "a table")]
fn sums(soon: Expiry) -> Vec<(Number, [String; 2], Option<Start>, Option<&'static str>)> {
    use Number::{Float, Integer};

    let words = |kind: &str, number: &str| [kind, number].map(ToString::to_string);
    let start = |initial, expiry| Some(Start { initial, expiry });
    let mut rows = vec![
        (Integer(2), words("i", "2"), start(Integer(40), Expiry::Never), Some("42")),
        (Integer(2), words("i", "2"), start(Integer(-40), soon), Some("-38")),
        (Float(0.25), words("f", "0.25"), start(Float(1.5), soon), Some("1.75")),
        (Integer(1), words("i", "1"), start(Integer(i64::MAX.into()), soon), Some("OVERFLOW")),
        (Integer(1), words("i", "1"), start(Float(0.5), soon), Some("NOTANINTEGER")),
    ];
    for integer in [0, -1, i64::MAX.into(), i64::MIN.into(), -i128::from(i64::MIN)] {
        rows.push((Integer(integer), words("i", &format!("{integer}")), None, None));
    }
    for (float, text) in [
        (-1.5, "-1.5"),
        (1e300, "1e300"),
        (-2.225_073_858_507_201_4e-308, "-2.2250738585072014e-308"),
        (5e-324, "5e-324"),
    ] {
        rows.push((Float(float), words("f", text), None, None));
    }
    rows
}

/// A script that the server does not know yet.
fn in_full(script: Script, key: &[u8], arguments: &[&[u8]]) -> Vec<Words> {
    let head: [&[u8]; 4] = [b"EVAL", script.source.as_bytes(), b"1", key];
    vec![words(&[&head, arguments].concat())]
}

/// The same requests, to a server that knows the scripts.
fn by_digest(mut wanted: Vec<Words>) -> Vec<Words> {
    for request in &mut wanted {
        if request[0] == b"EVAL" {
            let scripts = [script::PERSIST, script::INCR, script::DELETE_IF];
            let script = scripts.iter().find(|one| one.source.as_bytes() == request[1]);
            request[0] = b"EVALSHA".to_vec();
            request[1] = script.expect("it is one of them").digest.into();
        }
    }
    wanted
}

/// Bytes that have a meaning on the wire, and lengths at which its form changes.
fn awkward() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b""[..],
        b"a",
        b"\r\n",
        b"\0",
        b"\n",
        b"\r",
        b"a\r\n$3\r\nGET\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\xff\xfe\x80",
        b"$-1\r\n",
        b"a b:c*?[d]\\",
        "{sl\u{f6}t}\u{1f980}".as_bytes(),
    ]
    .map(<[u8]>::to_vec)
    .into();
    let sealed = Output::SEALED_FROM;
    for len in [9, 10, 98, 99, 100, 999, 1_000, sealed - 1, sealed, sealed + 1, 100_000] {
        all.push((0_u8..=255).cycle().take(len).collect());
    }
    all
}

#[test]
fn every_command_is_read_as_its_words_by_another_decoder() {
    let (awkward, mut seen) = (awkward(), BTreeSet::new());
    let at = |nth: usize| awkward[nth % awkward.len()].clone();
    let spaces =
        [("", ""), ("p", "1"), ("a\r\n*?", "v 2"), ("\u{e9}t\u{e9}", "-9223372036854775808")];
    for nth in 0..awkward.len() {
        let (prefix, version) = spaces[nth % spaces.len()];
        seen.extend(check(&Chosen {
            prefix: prefix.into(),
            version: version.into(),
            names: (0..=nth).map(|more| at(nth + more)).collect(),
            values: (0..=nth).map(|more| at(2 * nth + 3 * more + 5).into()).collect(),
            cursor: [1, 99, u64::MAX][nth % 3],
            millis: [1, 10, 1 << 53].map(|millis| NonZeroU64::new(millis).unwrap())[nth % 3],
        }));
    }
    for all in [KINDS, FORMS, NUMBERS, EXPIRIES] {
        for name in all {
            assert!(seen.contains(name), "there is no row for {name}");
        }
    }
}

proptest! {
    #[test]
    fn any_command_is_read_as_its_words_by_another_decoder(
        prefix in "[^:]{0,6}",
        version in "[^:]{0,6}",
        pairs in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..120), prop::collection::vec(any::<u8>(), 0..120)),
            1..5,
        ),
        cursor in 1_u64..,
        millis in 1_u64..1 << 53,
    ) {
        let (names, values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        check(&Chosen {
            prefix,
            version,
            names,
            values: values.into_iter().map(Bytes::from).collect(),
            cursor,
            millis: NonZeroU64::new(millis).unwrap(),
        });
    }
}
