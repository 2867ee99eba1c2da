use std::collections::BTreeSet;
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::cluster::address::Viewpoint;
use crate::cluster::slot::Slot;
use crate::error::ServerError;

fn address(host: &str) -> Address {
    Address::new(host, 1).unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn refresh(seeds: &[&str], seed: u64) -> Refresh {
    Refresh::new(seeds.iter().map(|host| address(host)).collect(), seed, at(0))
}

/// A map of nodes that serve a slot each.
fn map(hosts: &[&str]) -> SlotMap {
    let mut map = SlotMap::unknown();
    for (host, slot) in hosts.iter().zip(0..) {
        map.moved(Slot::new(slot).unwrap(), &address(host));
    }
    map
}

/// The fetch at the next deadline, and the time of that.
fn next(refresh: &mut Refresh, map: &SlotMap, now: Instant) -> (Fetch, Instant) {
    let now = refresh.deadline().unwrap().at.max(now);
    (refresh.poll(map, now).unwrap(), now)
}

#[test]
fn the_map_is_fetched_at_once_and_one_fetch_runs_at_a_time() {
    let mut refresh = refresh(&["a"], 1);
    let fetch = refresh.poll(&SlotMap::unknown(), at(0)).unwrap();
    assert_eq!(fetch, Fetch { from: address("a"), form: TopologyForm::Shards });
    refresh.handle(RefreshInput::Doubted, at(10_000));
    assert_eq!(refresh.poll(&SlotMap::unknown(), at(100_000)), None);
    assert_eq!(refresh.deadline(), None);
}

#[test]
fn a_map_in_constant_doubt_is_fetched_once_a_second() {
    let (mut refresh, map) = (refresh(&["a"], 1), map(&["b", "c"]));
    let mut begun = Vec::new();
    for now in (0..10_000).map(at) {
        refresh.handle(RefreshInput::Doubted, now);
        if refresh.poll(&map, now).is_some() {
            begun.push(now);
            refresh.handle(RefreshInput::Fetched, now);
        }
    }
    assert_eq!(begun, (0..10).map(|second| at(second * 1_000)).collect::<Vec<_>>());
}

#[test]
fn a_doubt_during_a_fetch_is_not_lost() {
    let (mut refresh, map) = (refresh(&["a"], 1), map(&[]));
    refresh.poll(&map, at(0)).unwrap();
    refresh.handle(RefreshInput::Doubted, at(5));
    refresh.handle(RefreshInput::Fetched, at(10));
    assert_eq!(refresh.deadline().unwrap().at, at(1_000));
    assert_eq!(refresh.poll(&map, at(999)), None);
    assert!(refresh.poll(&map, at(1_000)).is_some());
}

#[test]
fn without_doubt_the_map_is_fetched_rarely_and_at_random_times() {
    let map = map(&[]);
    let times: BTreeSet<u64> = (0..200)
        .map(|seed| {
            let mut refresh = refresh(&["a"], seed);
            refresh.poll(&map, at(0)).unwrap();
            refresh.handle(RefreshInput::Fetched, at(0));
            let deadline = refresh.deadline().unwrap();
            assert_eq!(deadline.why, "read the map of slots");
            assert!(at(30_000) <= deadline.at && deadline.at < at(90_000), "{deadline:?}");
            assert_eq!(refresh.poll(&map, at(29_999)), None);
            assert!(refresh.poll(&map, deadline.at).is_some());
            deadline.at.as_nanos() / 1_000_000_000
        })
        .collect();
    assert!(times.len() > 40, "only {} different seconds", times.len());
}

#[test]
fn all_nodes_and_seeds_are_asked_equally_often() {
    let (mut refresh, map) = (refresh(&["a", "b"], 5), map(&["b", "c", "d"]));
    let mut asked = [0; 4];
    let mut now = at(0);
    for _ in 0..400 {
        let fetch;
        (fetch, now) = next(&mut refresh, &map, now);
        asked["abcd".find(fetch.from.host()).unwrap()] += 1;
        refresh.handle(RefreshInput::Fetched, now);
    }
    assert!(asked.iter().all(|count| (60..140).contains(count)), "{asked:?}");
}

#[test]
fn a_failed_node_is_asked_again_only_after_all_others() {
    for seed in 0..50 {
        let (mut refresh, map) = (refresh(&["a", "b"], seed), map(&["c", "d"]));
        let mut now = at(0);
        for _ in 0..3 {
            let mut asked = BTreeSet::new();
            for _ in 0..4 {
                let fetch;
                (fetch, now) = next(&mut refresh, &map, now);
                assert!(asked.insert(fetch.from.to_string()), "{} twice", fetch.from);
                refresh.handle(RefreshInput::Failed, now);
            }
        }
        // After a fetch that returns a map, all nodes may be asked again.
        refresh.poll(&map, now + Duration::from_secs(10)).unwrap();
        refresh.handle(RefreshInput::Fetched, now);
        assert!(refresh.failed.is_empty());
    }
}

#[test]
fn a_node_reported_as_failed_is_asked_only_if_it_is_a_seed() {
    let failed = b"*1\r\n%2\r\n+slots\r\n*2\r\n:0\r\n:0\r\n+nodes\r\n*2\r\n\
        %4\r\n+port\r\n:1\r\n+ip\r\n+b\r\n+endpoint\r\n+b\r\n+role\r\n+master\r\n\
        %4\r\n+port\r\n:1\r\n+endpoint\r\n+c\r\n+role\r\n+replica\r\n+health\r\n+fail\r\n";
    let asked = address("seed");
    let map = SlotMap::read(TopologyForm::Shards, failed, &Viewpoint::as_told(&asked)).unwrap();
    for (seeds, expected) in [(&["a"][..], &["a", "b"][..]), (&["c"], &["b", "c"])] {
        let mut refresh = refresh(seeds, 1);
        let mut hosts = BTreeSet::new();
        let mut now = at(0);
        for _ in 0..100 {
            let fetch;
            (fetch, now) = next(&mut refresh, &map, now);
            hosts.insert(fetch.from.host().to_string());
            refresh.handle(RefreshInput::Fetched, now);
        }
        assert_eq!(hosts.iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_refused_form_is_replaced_by_the_older_one_at_once_and_for_good() {
    let (mut refresh, map) = (refresh(&["a", "b"], 1), map(&[]));
    let first = refresh.poll(&map, at(0)).unwrap();
    refresh.handle(RefreshInput::Unknown, at(3));
    assert_eq!(refresh.deadline().unwrap().at, at(3));
    let second = refresh.poll(&map, at(3)).unwrap();
    assert_eq!(second, Fetch { from: first.from.clone(), form: TopologyForm::Slots });
    refresh.handle(RefreshInput::Unknown, at(4));
    let (third, now) = next(&mut refresh, &map, at(4));
    assert!(third.from != first.from && third.form == TopologyForm::Slots, "{third:?}");
    assert!(now >= at(3) + Refresh::LEAST);
}

#[test]
fn the_outcome_of_a_fetch_is_classified() {
    let refused = |text: &[u8]| Err(MapError::Refused(ServerError::parse(text)));
    for (outcome, input) in [
        (Ok(SlotMap::unknown()), RefreshInput::Fetched),
        (Err(MapError::Empty), RefreshInput::Failed),
        (
            refused(b"ERR Unknown subcommand or wrong number of arguments for 'SHARDS'"),
            RefreshInput::Unknown,
        ),
        (refused(b"NOPERM this user has no permissions"), RefreshInput::Unknown),
        (refused(b"LOADING Redis is loading the dataset in memory"), RefreshInput::Failed),
        (refused(b"CLUSTERDOWN The cluster is down"), RefreshInput::Failed),
    ] {
        assert_eq!(RefreshInput::of(&outcome), input, "{outcome:?}");
    }
}

#[test]
fn nothing_is_fetched_without_a_seed_or_a_node() {
    let mut refresh = refresh(&[], 1);
    assert_eq!(refresh.poll(&SlotMap::unknown(), at(0)), None);
    assert!(refresh.poll(&map(&["a"]), at(0)).is_some());
}

#[test]
fn outcomes_without_a_fetch_are_ignored() {
    let mut refresh = refresh(&["a"], 1);
    for input in [RefreshInput::Fetched, RefreshInput::Failed, RefreshInput::Unknown] {
        refresh.handle(input, at(500));
        assert_eq!(refresh.deadline().unwrap().at, at(0));
    }
    assert_eq!(refresh.poll(&map(&[]), at(0)).unwrap().form, TopologyForm::Shards);
}

proptest! {
    #[test]
    fn fetches_keep_their_distance_and_one_always_follows(
        seed: u64,
        story in prop::collection::vec((0..5_u8, 0..300_u64), 1..200),
    ) {
        let (mut refresh, map) = (refresh(&["a", "b"], seed), map(&["c"]));
        let (mut now, mut begun) = (at(0), Vec::<(Instant, bool, TopologyForm)>::new());
        for (event, pause) in story {
            now = now + Duration::from_millis(pause);
            match event {
                0 => refresh.handle(RefreshInput::Doubted, now),
                1 => {
                    if refresh.fetching.is_some() && let Some(last) = begun.last_mut() {
                        last.1 = true;
                    }
                    refresh.handle(RefreshInput::Fetched, now);
                }
                2 => refresh.handle(RefreshInput::Failed, now),
                3 => refresh.handle(RefreshInput::Unknown, now),
                _ => {}
            }
            if let Some(fetch) = refresh.poll(&map, now) {
                if let Some((before, succeeded, form)) = begun.last() {
                    let apart = if *succeeded { Refresh::CALM } else { Refresh::LEAST };
                    let in_older_form = *form != fetch.form && fetch.form == TopologyForm::Slots;
                    prop_assert!(in_older_form || now.since(*before) >= apart);
                }
                begun.push((now, false, fetch.form));
            }
        }
        if refresh.fetching.is_none() {
            let deadline = refresh.deadline().unwrap().at;
            prop_assert!(deadline <= now + Refresh::ROUTINE * 2);
            prop_assert!(refresh.poll(&map, deadline).is_some());
        }
    }
}
