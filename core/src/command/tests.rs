use core::num::NonZeroU64;
use std::format;
use std::string::String;

use super::*;
use crate::key::{KeySpace, Names};

/// The keys of a command, shown.
fn shown(keys: CommandKeys<'_>) -> String {
    let whole = |key: Key<'_>| format!("{}", key.to_bytes().escape_ascii());
    let list = |keys: Vec<String>| keys.join(" ");
    match keys {
        CommandKeys::None => "none".into(),
        CommandKeys::One(key) => whole(key),
        CommandKeys::Many(keys) => list(keys.iter().map(whole).collect()),
        CommandKeys::Whole(keys) => {
            list(keys.iter().map(|key| format!("{}", key.escape_ascii())).collect())
        }
        CommandKeys::Stem(stem) => format!("{}*", stem.escape_ascii()),
        CommandKeys::All => "all".into(),
    }
}

#[test]
fn a_command_says_all_that_others_have_to_know_of_it() {
    let space = KeySpace::default();
    let scope = space.scope(None).unwrap();
    let names: Names = ["a", "bb"].into_iter().collect();
    let (key, keys) = (scope.key(b"a"), scope.keys(&names));
    let (value, values) = (&Bytes::from_static(b"123456"), [Bytes::from_static(b"1"); 1]);
    let expiry = Expiry::Millis(NonZeroU64::MIN);
    let delta = Number::Integer(1);
    let start = &Start { initial: delta, expiry };
    let whole = [Bytes::from_static(b"::a"), Bytes::from_static(b"::ccc")];
    let never = Expiry::Never;
    // The name, the keys, the keys whose loads it overrides, the expiry, whether it changes
    // nothing, its largest argument, and the length of its value.
    let commands = [
        (Command::Get(key), "GET", "::a", "none", never, true, 3, None),
        (Command::GetMany(keys.clone()), "MGET", "::a ::bb", "none", never, true, 4, None),
        (Command::Set { key, value, expiry }, "SET", "::a", "::a", expiry, false, 6, Some(6)),
        (Command::Add { key, value, expiry }, "SETNX", "::a", "::a", expiry, false, 6, Some(6)),
        (
            Command::SetMany { keys: keys.clone(), values: &values, expiry },
            "MSET",
            "::a",
            "::a",
            expiry,
            false,
            3,
            None,
        ),
        (Command::Delete(keys), "UNLINK", "::a ::bb", "::a ::bb", never, false, 4, None),
        (Command::Clear, "FLUSHDB", "all", "all", never, false, 0, None),
        (Command::Scan { stem: b"a?", cursor: 0 }, "SCAN", "a?*", "a?*", never, true, 4, None),
        (Command::Scan { stem: b"a?", cursor: 7 }, "SCAN", "a?*", "none", never, true, 4, None),
        (Command::Unlink(&whole), "UNLINK", "::a ::ccc", "::a ::ccc", never, false, 5, None),
        (Command::Touch { key, expiry }, "PEXPIRE", "::a", "none", expiry, false, 3, None),
        (Command::Persist(key), "PERSIST", "::a", "none", never, false, 3, None),
        (Command::Incr { key, delta, start: None }, "INCRBY", "::a", "none", never, false, 3, None),
        (
            Command::Incr { key, delta, start: Some(start) },
            "INCRBY",
            "::a",
            "::a",
            expiry,
            false,
            3,
            None,
        ),
        (Command::DeleteIf { key, value }, "UNLINK", "::a", "::a", never, false, 6, Some(6)),
        (Command::Contains(key), "EXISTS", "::a", "none", never, true, 3, None),
        (Command::Remaining(key), "PTTL", "::a", "none", never, true, 3, None),
        (Command::Ping, "PING", "none", "none", never, true, 0, None),
        (
            Command::Topology(TopologyForm::Shards),
            "CLUSTER SHARDS",
            "none",
            "none",
            never,
            true,
            0,
            None,
        ),
        (
            Command::Topology(TopologyForm::Slots),
            "CLUSTER SLOTS",
            "none",
            "none",
            never,
            true,
            0,
            None,
        ),
        (Command::ReadOnly, "READONLY", "none", "none", never, true, 0, None),
    ];
    for (command, name, keys, overrides, expiry, changes_nothing, largest, value) in commands {
        assert_eq!(command.name(), name);
        assert_eq!(shown(command.keys()), keys, "{command:?}");
        assert_eq!(shown(command.overrides()), overrides, "{command:?}");
        assert_eq!(command.expiry(), expiry, "{command:?}");
        assert_eq!(command.changes_nothing(), changes_nothing, "{command:?}");
        assert_eq!(command.largest_argument(), largest, "{command:?}");
        assert_eq!(command.value().map(Bytes::len), value, "{command:?}");
    }
}

#[test]
fn only_a_touch_for_ever_can_do_without_its_script() {
    let space = KeySpace::default();
    let key = space.scope(None).unwrap().key(b"a");
    let touch = |expiry| Command::Touch { key, expiry }.without_script();
    assert!(matches!(touch(Expiry::Never), Some(Command::Persist(_))));
    assert!(touch(Expiry::Millis(NonZeroU64::MIN)).is_none());
    assert!(Command::DeleteIf { key, value: &Bytes::new() }.without_script().is_none());
}
