use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;

use proptest::prelude::*;

use super::*;
use crate::key::KeySpace;
use crate::number::Number;

type Answers = Gather<&'static str>;

fn names(names: &[&str]) -> Names {
    names.iter().collect()
}

/// Calls `act` with these keys and their split.
fn split(list: &[&str], act: impl FnOnce(&Keys<'_>, &Split)) {
    let (space, names) = (KeySpace::default(), names(list));
    let keys = space.scope(None).unwrap().keys(&names);
    act(&keys, &Split::of_keys(&keys));
}

#[test]
fn keys_of_one_slot_are_one_part_in_the_order_they_were_given() {
    split(&["{a}2", "{b}1", "{a}1", "{b}1"], |keys, split| {
        let parts: Vec<_> = split.parts().map(|part| part.places).collect();
        assert_eq!(parts, [&[1, 3][..], &[0, 2]]);
        let names = split.names(keys);
        let listed: Vec<_> = (0..names.len()).map(|at| names.get(at).unwrap()).collect();
        assert_eq!(listed, [b"{b}1", b"{b}1", b"{a}2", b"{a}1"]);
        assert_eq!(split.parts().map(|part| part.range).collect::<Vec<_>>(), [0..2, 2..4]);
        assert!(
            split
                .parts()
                .all(|part| part.slot == Slot::of(keys.iter().nth(part.places[0]).unwrap().name()))
        );
    });
}

#[test]
fn parts_are_grouped_by_node_and_those_without_a_known_node_apart() {
    split(&["{a}", "{b}", "{c}", "{d}", "{a}2"], |_, split| {
        let node = |slot: Slot| (slot != Slot::of(b"c")).then(|| slot == Slot::of(b"a"));
        let groups = split.by_node(node);
        let places = |group: &Vec<SlotPart<'_>>| {
            group.iter().flat_map(|part| part.places.iter().copied()).collect::<BTreeSet<_>>()
        };
        let groups: Vec<_> = groups.iter().map(|(node, group)| (*node, places(group))).collect();
        assert_eq!(
            groups,
            [(None, [2].into()), (Some(false), [1, 3].into()), (Some(true), [0, 4].into())]
        );
    });
}

#[test]
fn only_the_last_value_of_a_repeated_key_is_sent() {
    let (space, names) = (KeySpace::default(), names(&["{a}2", "b", "{a}1", "{a}2", "b", "b"]));
    let split = Split::of_writes(&space.scope(None).unwrap().keys(&names));
    let parts: BTreeSet<_> = split.parts().map(|part| part.places).collect();
    assert_eq!(parts, [&[2, 3][..], &[5]].into());
    let mut answers = Answers::new(&split);
    for part in split.parts() {
        assert!(!answers.is_complete());
        assert_eq!(answers.take(&[0], Ok(Reply::Done)), Err(Misfit), "it was not sent");
        answers.take(part.places, Ok(Reply::Done)).unwrap();
    }
    assert!(answers.is_complete());
    assert_eq!(answers.done(), Ok(()));
}

#[test]
fn a_batch_without_keys_has_no_parts_and_is_complete() {
    split(&[], |_, split| {
        assert_eq!(split.parts().len(), 0);
        assert!(split.by_node(|_| Some(1)).is_empty());
        assert!(Answers::new(split).is_complete());
        assert_eq!(Answers::new(split).values(), Ok(Vec::new()));
        assert_eq!(Answers::new(split).count(), Ok(0));
    });
}

#[test]
fn other_answers_are_kept_when_some_keys_fail() {
    let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    split(&["{a}1", "{b}1", "{a}2", "{c}1", "{b}2"], |_, split| {
        let mut answers = Answers::new(split);
        answers.take(&[0, 2], Ok(Reply::Values(vec![value("x"), None]))).unwrap();
        answers.take(&[1], Ok(Reply::Value(value("y")))).unwrap();
        answers.take(&[4], Err("lost")).unwrap();
        assert!(!answers.is_complete());
        let failed = vec![(vec![4], "lost")];
        let done = vec![value("x"), value("y"), None, None, None];
        let partial = Partial { done, failed, unanswered: vec![3] };
        assert_eq!(answers.values(), Err(partial));
    });
    split(&["{a}1", "{b}1", "{b}2"], |_, split| {
        let mut answers = Answers::new(split);
        answers.take(&[1, 2], Ok(Reply::Count(1))).unwrap();
        let open = Partial { done: 1, failed: vec![], unanswered: vec![0] };
        assert_eq!(answers.clone().count(), Err(open));
        answers.take(&[0], Err("refused")).unwrap();
        assert!(answers.is_complete());
        let failed = vec![(vec![0], "refused")];
        let partial = Partial { done: (), failed, unanswered: vec![] };
        assert_eq!(answers.done(), Err(partial));
    });
}

#[test]
fn a_misfit_answer_is_refused_without_effect() {
    split(&["{a}1", "{a}2", "{b}1"], |_, split| {
        let mut answers = Answers::new(split);
        for (places, reply) in [
            (&[0, 1][..], Reply::Values(vec![None])),
            (&[0], Reply::Values(vec![])),
            (&[0, 1], Reply::Value(None)),
            (&[0, 1], Reply::Count(3)),
            (&[0], Reply::Flag(true)),
            (&[0], Reply::Number(Number::Integer(1))),
            (&[0], Reply::Topology(Bytes::new())),
            (&[3], Reply::Done),
            (&[0, usize::MAX], Reply::Done),
            (&[], Reply::Done),
        ] {
            assert_eq!(answers.take(places, Ok(reply.clone())), Err(Misfit), "{reply:?}");
        }
        assert_eq!(answers.take(&[9], Err("x")), Err(Misfit));
        answers.take(&[0, 1], Ok(Reply::Count(2))).unwrap();
        assert_eq!(answers.take(&[1], Ok(Reply::Count(1))), Err(Misfit), "it was answered before");
        answers.take(&[2], Ok(Reply::Count(0))).unwrap();
        assert_eq!(answers.count(), Ok(2));
    });
}

#[test]
fn a_place_that_is_named_twice_counts_once() {
    split(&["{a}1", "{a}2"], |_, split| {
        let mut answers = Answers::new(split);
        answers.take(&[0, 0], Ok(Reply::Done)).unwrap();
        assert!(!answers.is_complete());
    });
}

/// Names with few tags, so that slots are shared, and with repetitions.
fn many() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(
        (0..6_u8, 0..4_u8).prop_map(|(tag, nth)| format!("{{{tag}}}{nth}")),
        0..40,
    )
}

proptest! {
    #[test]
    fn answers_to_split_keys_are_reassembled_in_order(list in many(), singly in any::<bool>(), seed: u64) {
        let (space, names) = (KeySpace::default(), list.iter().collect::<Names>());
        let keys = space.scope(None).unwrap().keys(&names);
        let split = Split::of_keys(&keys);
        let sent = split.names(&keys);
        let window = space.scope(None).unwrap().keys(&sent);
        let mut answers = Answers::new(&split);
        let mut parts: Vec<_> = split.parts().collect();
        parts.sort_by_key(|part| u64::from(part.slot.number()).wrapping_mul(seed | 1));
        for part in parts {
            // A server that answers each name with itself.
            let keys: Vec<_> = window.window(part.range.clone()).iter().collect();
            prop_assert!(keys.iter().all(|key| Slot::of_key(key) == part.slot));
            let values = keys.iter().map(|key| Some(Bytes::copy_from_slice(key.name())));
            if singly {
                for (at, value) in part.places.iter().zip(values) {
                    answers.take(&[*at], Ok(Reply::Value(value))).unwrap();
                }
            } else {
                answers.take(part.places, Ok(Reply::Values(values.collect()))).unwrap();
            }
        }
        let expected = list.iter().map(|name| Some(Bytes::copy_from_slice(name.as_bytes())));
        prop_assert_eq!(answers.values(), Ok(expected.collect()));
    }

    #[test]
    fn every_key_is_written_once_with_its_last_value(list in many()) {
        let (space, names) = (KeySpace::default(), list.iter().collect::<Names>());
        let split = Split::of_writes(&space.scope(None).unwrap().keys(&names));
        let model: BTreeMap<&String, usize> = list.iter().zip(0..).collect();
        let mut sent = BTreeMap::new();
        for part in split.parts() {
            for &at in part.places {
                prop_assert_eq!(Slot::of(format!("::{}", list[at]).as_bytes()), part.slot);
                prop_assert_eq!(sent.insert(&list[at], at), None);
            }
        }
        prop_assert_eq!(sent, model);
        let slots: BTreeSet<_> = split.parts().map(|part| part.slot).collect();
        prop_assert_eq!(slots.len(), split.parts().len());
    }
}
