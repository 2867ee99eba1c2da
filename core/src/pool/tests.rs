use std::vec;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(1);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn pool(minsize: usize, maxsize: usize) -> Pool {
    Pool::new(minsize, maxsize, PATIENCE, 42, at(0))
}

fn busy(_: ConnectionId) -> Option<Instant> {
    None
}

fn dials(pool: &mut Pool, now: Instant) -> Vec<ConnectionId> {
    let mut dialled = vec![];
    while let Some(action) = pool.poll(now, busy) {
        match action {
            PoolAction::Dial(id) => dialled.push(id),
            PoolAction::Close(id) => panic!("closed {id:?}"),
        }
    }
    dialled
}

fn ended(connection: ConnectionId) -> PoolInput {
    PoolInput::Ended { connection, refused: false, answered: false }
}

#[test]
fn minsize_is_dialled_at_once_and_demand_adds_one_at_a_time() {
    let mut pool = pool(2, 4);
    let first = dials(&mut pool, at(0));
    assert_eq!(first.len(), 2);
    for id in first {
        pool.handle(PoolInput::Opened(id), at(1));
    }
    for size in [3, 4] {
        pool.handle(PoolInput::Demand, at(2));
        pool.handle(PoolInput::Demand, at(2));
        let more = dials(&mut pool, at(2));
        assert_eq!((more.len(), pool.size()), (1, size));
        pool.handle(PoolInput::Opened(more[0]), at(3));
    }
    pool.handle(PoolInput::Demand, at(4));
    assert!(dials(&mut pool, at(4)).is_empty(), "never more than maxsize");
}

#[test]
fn a_pool_with_minsize_zero_dials_on_demand() {
    assert!(pool(1, 1).keeps_connections());
    let mut pool = pool(0, 1);
    assert!(!pool.keeps_connections());
    assert!(dials(&mut pool, at(0)).is_empty());
    pool.handle(PoolInput::Demand, at(0));
    assert_eq!(dials(&mut pool, at(0)).len(), 1);
}

#[test]
fn idle_connections_beyond_minsize_are_closed() {
    let mut pool = pool(1, 3);
    for now in [0, 1, 2] {
        pool.handle(PoolInput::Demand, at(now));
        for id in dials(&mut pool, at(now)) {
            pool.handle(PoolInput::Opened(id), at(now));
        }
    }
    assert_eq!(pool.open(), 3);
    let idle = |_| Some(at(0));
    assert_eq!(pool.poll(at(29_999), idle), None);
    assert!(pool.deadline(at(0)).unwrap().at <= at(30_000));
    assert!(matches!(pool.poll(at(30_000), idle), Some(PoolAction::Close(_))));
    assert!(matches!(pool.poll(at(30_000), idle), Some(PoolAction::Close(_))));
    assert_eq!(pool.poll(at(30_000), idle), None);
    assert_eq!(pool.open(), 1);
    assert_eq!(pool.deadline(at(30_000)), None, "there is nothing to wait for");
}

#[test]
fn a_closing_connection_counts_until_it_has_ended() {
    let mut pool = pool(1, 2);
    for now in [0, 1] {
        pool.handle(PoolInput::Demand, at(now));
        for id in dials(&mut pool, at(now)) {
            pool.handle(PoolInput::Opened(id), at(now));
        }
    }
    let late = at(40_000);
    pool.handle(PoolInput::Demand, late);
    let Some(PoolAction::Close(id)) = pool.poll(late, |_| Some(at(0))) else { panic!() };
    assert_eq!(pool.poll(late, |_| Some(at(0))), None, "there may not be a third");
    assert_eq!((pool.open(), pool.size()), (1, 2));
    pool.handle(ended(id), late);
    assert!(matches!(pool.poll(late, busy), Some(PoolAction::Dial(_))), "and at once, now");
}

#[test]
fn a_connection_lost_while_another_closes_is_replaced() {
    let mut pool = pool(2, 4);
    let mut connections = dials(&mut pool, at(0));
    connections.iter().for_each(|id| pool.handle(PoolInput::Opened(*id), at(0)));
    pool.handle(PoolInput::Demand, at(1));
    connections.extend(dials(&mut pool, at(1)));
    pool.handle(PoolInput::Opened(connections[2]), at(1));
    let closing = Some(PoolAction::Close(connections[2]));
    assert_eq!(pool.poll(at(40_000), |_| Some(at(1))), closing);
    pool.handle(ended(connections[0]), at(40_000));
    assert_eq!(dials(&mut pool, at(50_000)).len(), 1, "one open connection is too few");
}

#[test]
fn failures_before_a_pause_in_demand_do_not_fail_new_callers() {
    let mut pool = pool(0, 1);
    pool.handle(PoolInput::Demand, at(0));
    let id = dials(&mut pool, at(0))[0];
    pool.handle(ended(id), at(0));
    pool.handle(PoolInput::Demand, at(4_000));
    assert_eq!(dials(&mut pool, at(4_000)).len(), 1);
    assert!(pool.is_hopeless(at(6_000)), "it has failed for all its patience");
    pool.handle(ended(ConnectionId(1)), at(6_000));
    pool.handle(PoolInput::Demand, at(20_000));
    assert!(!pool.is_hopeless(at(20_000)));
}

#[test]
fn after_a_server_moves_all_dials_start_at_once_despite_failures() {
    let mut pool = pool(2, 2);
    let connections = dials(&mut pool, at(0));
    for round in 0..20 {
        let now = at(10_000 * round);
        dials(&mut pool, now).into_iter().chain(connections.clone()).for_each(|id| {
            pool.handle(ended(id), now);
        });
    }
    let late = at(190_000);
    assert!(pool.is_hopeless(late));
    pool.handle(PoolInput::Moved, late);
    assert!(!pool.is_hopeless(late));
    assert_eq!(dials(&mut pool, late).len(), 2, "both, and at once");
}

#[test]
fn the_first_report_of_a_servers_address_is_no_move() {
    let mut pool = pool(8, 8);
    pool.handle(PoolInput::Moved, at(0));
    for id in dials(&mut pool, at(0)) {
        pool.handle(ended(id), at(900));
    }
    pool.handle(PoolInput::Moved, at(950));
    assert_eq!(dials(&mut pool, at(950)).len(), 8, "all, and at once");
}

#[test]
fn after_a_move_only_a_pool_that_had_a_connection_dials() {
    for had_one in [true, false] {
        let mut pool = pool(0, 1);
        if had_one {
            pool.handle(PoolInput::Demand, at(0));
            let id = dials(&mut pool, at(0))[0];
            pool.handle(PoolInput::Opened(id), at(0));
        }
        pool.handle(PoolInput::Moved, at(10));
        // The old connection still counts, until it has ended.
        if had_one {
            pool.handle(ended(ConnectionId(0)), at(10));
        }
        assert_eq!(dials(&mut pool, at(10)).len(), usize::from(had_one));
    }
}

#[test]
fn a_server_that_moves_without_end_is_dialled_less_and_less_often() {
    let mut pool = pool(1, 1);
    let (mut now, mut count) = (at(0), 0);
    while now < at(60_000) {
        pool.handle(PoolInput::Moved, now);
        let next = now + Duration::from_millis(100);
        let due = pool.deadline(now).unwrap().at.max(now);
        for id in if due < next { dials(&mut pool, due) } else { vec![] } {
            count += 1;
            pool.handle(PoolInput::Opened(id), due);
            pool.handle(ended(id), due);
        }
        now = next;
    }
    assert!(count < 80, "{count} dials in a minute");
}

#[test]
fn a_server_that_moves_after_a_stable_time_is_dialled_at_once() {
    for (stayed, at_once) in [(Pool::STABLE - TICK, false), (Pool::STABLE, true)] {
        let mut pool = pool(1, 1);
        let mut connections = dials(&mut pool, at(0));
        pool.handle(PoolInput::Moved, at(1));
        pool.handle(ended(connections[0]), at(1));
        connections = dials(&mut pool, at(1));
        pool.handle(PoolInput::Opened(connections[0]), at(1));
        let again = at(1) + stayed;
        pool.handle(PoolInput::Moved, again);
        pool.handle(ended(connections[0]), again);
        assert_eq!(dials(&mut pool, again).len(), usize::from(at_once), "{stayed:?}");
    }
}

#[test]
fn connections_to_an_old_address_count_until_they_end_and_are_no_failures() {
    let mut pool = pool(1, 2);
    let old = dials(&mut pool, at(0))[0];
    pool.handle(PoolInput::Opened(old), at(0));
    pool.handle(PoolInput::Moved, at(9_000));
    assert_eq!((pool.open(), pool.size()), (0, 1));
    let new = dials(&mut pool, at(9_000));
    assert_eq!((new.len(), pool.size()), (1, 2));
    pool.handle(PoolInput::Opened(new[0]), at(9_001));
    pool.handle(ended(old), at(9_002));
    assert_eq!((pool.open(), pool.size()), (1, 1));
    assert!(!pool.is_hopeless(at(90_000)));
    pool.handle(PoolInput::Demand, at(9_003));
    assert_eq!(dials(&mut pool, at(9_003)).len(), 1, "nothing is to be waited for");
}

#[test]
fn after_a_failure_one_dial_at_a_time_waits_for_the_backoff() {
    let mut pool = pool(3, 3);
    for id in dials(&mut pool, at(0)) {
        pool.handle(ended(id), at(0));
    }
    let due = pool.deadline(at(0)).unwrap();
    assert_eq!(due.why, "dial");
    assert!(due.at > at(0));
    assert_eq!(dials(&mut pool, due.at).len(), 1);
}

#[test]
fn a_server_that_accepts_and_hangs_up_is_dialled_less_and_less_often() {
    let mut pool = pool(1, 1);
    let mut now = at(0);
    let mut count = 0;
    while now < at(60_000) {
        for id in dials(&mut pool, now) {
            count += 1;
            pool.handle(PoolInput::Opened(id), now);
            pool.handle(ended(id), now);
        }
        now = pool.deadline(now).unwrap().at;
    }
    assert!((10..80).contains(&count), "{count} dials in a minute");
}

#[test]
fn failures_are_forgotten_after_a_stable_connection() {
    for (lasted, is_forgotten) in [(Pool::STABLE - TICK, false), (Pool::STABLE, true)] {
        let mut pool = pool(1, 1);
        let mut now = at(0);
        for _ in 0..20 {
            dials(&mut pool, now).into_iter().for_each(|id| pool.handle(ended(id), now));
            now = pool.deadline(now).unwrap().at;
        }
        let connection = dials(&mut pool, now)[0];
        pool.handle(PoolInput::Opened(connection), now);
        pool.handle(ended(connection), now + lasted);
        let soon = now + lasted + Backoff::BASE;
        assert_eq!(pool.deadline(now).unwrap().at < soon, is_forgotten, "{lasted:?}");
    }
}

#[test]
fn a_pool_fails_fast_after_its_patience_until_a_connection_opens() {
    let mut pool = pool(1, 1);
    let id = dials(&mut pool, at(0))[0];
    pool.handle(PoolInput::Opened(id), at(10));
    pool.handle(ended(id), at(9_000));
    assert!(!pool.is_hopeless(at(100_000)), "a lost connection alone is no reason to give up");
    let id = dials(&mut pool, at(10_000))[0];
    pool.handle(ended(id), at(10_000));
    assert!(!pool.is_hopeless(at(14_999)));
    assert!(pool.is_hopeless(at(15_000)));
    let id = dials(&mut pool, at(15_000))[0];
    pool.handle(PoolInput::Opened(id), at(15_001));
    assert!(!pool.is_hopeless(at(100_000)));
}

#[test]
fn a_silent_dial_uses_up_the_patience_like_a_failed_one() {
    let mut pool = pool(1, 1);
    let id = dials(&mut pool, at(0))[0];
    pool.handle(PoolInput::Opened(id), at(0));
    pool.handle(ended(id), at(9_000));
    let id = dials(&mut pool, at(9_100))[0];
    assert!(!pool.is_hopeless(at(14_099)));
    assert!(pool.is_hopeless(at(14_100)), "and it is still being dialled");
    pool.handle(PoolInput::Opened(id), at(14_200));
    assert!(!pool.is_hopeless(at(14_200)));
}

#[test]
fn patience_starts_at_the_loss_of_the_last_open_connection() {
    let mut pool = pool(1, 2);
    let id = dials(&mut pool, at(0))[0];
    pool.handle(PoolInput::Opened(id), at(0));
    pool.handle(PoolInput::Demand, at(1));
    assert_eq!(dials(&mut pool, at(1)).len(), 1);
    assert!(!pool.is_hopeless(at(50_000)), "one is open");
    pool.handle(ended(id), at(50_000));
    assert!(!pool.is_hopeless(at(54_999)));
    assert!(pool.is_hopeless(at(55_000)));
}

#[test]
fn silence_on_every_connection_makes_the_pool_fail_fast() {
    let mut pool = pool(3, 4);
    let connections = dials(&mut pool, at(0));
    connections.iter().for_each(|id| pool.handle(PoolInput::Opened(*id), at(0)));
    let heard = |id| if id == connections[0] { at(4_500) } else { at(2_000) };
    assert_eq!(pool.silent(connections[1], at(7_000), heard), [connections[0], connections[2]]);
    pool.handle(ended(connections[1]), at(7_000));
    assert_eq!((pool.open(), pool.size()), (0, 2), "they count until they have ended");
    assert!(!pool.is_hopeless(at(7_099)), "a dial may open by then");
    assert!(pool.is_hopeless(at(7_100)));
    let again = dials(&mut pool, at(12_000));
    assert_eq!(again.len(), 1);
    assert!(pool.is_hopeless(at(12_000)), "until one of them opens");
    pool.handle(PoolInput::Opened(again[0]), at(12_001));
    assert!(!pool.is_hopeless(at(12_001)));
}

#[test]
fn silence_on_an_aged_connection_makes_the_pool_fail_fast() {
    let (mut pool, connections) = aging(1, 1);
    assert_eq!(pool.poll(at(1_000), |_| None), Some(PoolAction::Close(connections[0])));
    assert_eq!(pool.silent(connections[0], at(9_000), |_| at(1_000)), []);
    pool.handle(ended(connections[0]), at(9_000));
    pool.handle(PoolInput::Demand, at(9_050));
    assert!(pool.is_hopeless(at(9_100)));
}

#[test]
fn one_silent_connection_does_not_affect_the_others() {
    let mut pool = pool(2, 2);
    let connections = dials(&mut pool, at(0));
    connections.iter().for_each(|id| pool.handle(PoolInput::Opened(*id), at(0)));
    let heard = |id| if id == connections[1] { at(4_501) } else { at(2_000) };
    assert_eq!(pool.silent(connections[0], at(7_000), heard), []);
    pool.handle(ended(connections[0]), at(7_000));
    assert_eq!(pool.open(), 1);
    assert!(!pool.is_hopeless(at(7_000)));
}

#[test]
fn a_lazily_connected_pool_fails_fast_after_its_first_failed_dial() {
    let mut pool = pool(1, 1);
    pool.begin_lazily();
    let id = dials(&mut pool, at(0))[0];
    assert!(!pool.is_hopeless(at(4_999)), "it may open");
    pool.handle(ended(id), at(100));
    assert!(pool.is_hopeless(at(100)));
    let id = dials(&mut pool, at(1_000))[0];
    assert!(pool.is_hopeless(at(1_000)));
    pool.handle(PoolInput::Opened(id), at(1_001));
    pool.handle(ended(id), at(9_000));
    let id = dials(&mut pool, at(10_000))[0];
    pool.handle(ended(id), at(10_001));
    assert!(!pool.is_hopeless(at(10_001)), "from then on it is waited for");
}

#[test]
fn a_lazy_pool_that_failed_long_ago_waits_for_a_new_dial() {
    let mut pool = pool(0, 1);
    pool.begin_lazily();
    pool.handle(PoolInput::Demand, at(0));
    let id = dials(&mut pool, at(0))[0];
    pool.handle(ended(id), at(100));
    assert!(pool.is_hopeless(at(100)));
    pool.handle(PoolInput::Demand, at(60_000));
    assert!(!pool.is_hopeless(at(60_000)));
    let id = dials(&mut pool, at(60_000))[0];
    assert!(!pool.is_hopeless(at(60_001)), "the failure of long ago proves nothing");
    pool.handle(ended(id), at(60_100));
    assert!(pool.is_hopeless(at(60_100)));
}

/// A pool whose connections may be 1,000 ms old, all of them open at 0.
fn aging(minsize: usize, maxsize: usize) -> (Pool, Vec<ConnectionId>) {
    let mut pool = pool(minsize, maxsize);
    pool.limit_age(Some(Duration::from_secs(1)));
    let connections = dials(&mut pool, at(0));
    connections.iter().for_each(|id| pool.handle(PoolInput::Opened(*id), at(0)));
    (pool, connections)
}

#[test]
fn an_aged_connection_closes_when_another_is_open() {
    let (mut pool, old) = aging(1, 2);
    let due = pool.deadline(at(0)).unwrap();
    assert_eq!(due.why, "the age of a connection");
    assert!((at(750)..=at(1_000)).contains(&due.at), "{due:?}");
    assert_eq!(pool.poll(at(749), busy), None);
    let new = dials(&mut pool, due.at);
    assert_eq!((new.len(), pool.open()), (1, 1), "the old one serves meanwhile");
    assert_eq!(pool.poll(at(1_500), busy), None, "one dial is enough");
    pool.handle(PoolInput::Opened(new[0]), at(1_500));
    assert_eq!(pool.poll(at(1_500), busy), Some(PoolAction::Close(old[0])));
    assert_eq!(pool.poll(at(1_500), busy), None);
    pool.handle(ended(old[0]), at(1_501));
    assert_eq!((pool.open(), pool.size(), pool.tally().lost), (1, 1, 0));
}

#[test]
fn an_aged_connection_is_kept_until_another_opens() {
    let (mut pool, _) = aging(1, 2);
    let mut now = at(1_000);
    for _ in 0..10 {
        let failing = dials(&mut pool, now);
        assert_eq!(failing.len(), 1);
        pool.handle(ended(failing[0]), now);
        assert_eq!(pool.open(), 1);
        assert!(!pool.is_hopeless(now));
        now = pool.deadline(now).unwrap().at;
    }
}

#[test]
fn a_full_pool_closes_one_aged_connection_at_a_time() {
    let (mut pool, mut connections) = aging(3, 3);
    while !connections.is_empty() {
        let now = at(1_000);
        let Some(PoolAction::Close(old)) = pool.poll(now, busy) else {
            panic!("no old one closes")
        };
        assert!(connections.contains(&old));
        connections.retain(|connection| *connection != old);
        assert_eq!(pool.poll(now, busy), None, "the next waits");
        pool.handle(ended(old), now);
        let new = dials(&mut pool, now);
        assert_eq!((new.len(), pool.size()), (1, 3));
        assert_eq!(pool.poll(now, busy), None);
        pool.handle(PoolInput::Opened(new[0]), now);
    }
    assert_eq!(pool.poll(at(1_000), busy), None);
}

#[test]
fn a_full_pool_whose_dials_fail_keeps_its_aged_connections() {
    let (mut pool, connections) = aging(2, 2);
    pool.handle(ended(connections[0]), at(900));
    let failing = dials(&mut pool, at(1_000));
    assert_eq!(failing.len(), 1);
    assert_eq!(pool.poll(at(1_000), busy), None, "the other is kept while that is dialled");
    pool.handle(ended(failing[0]), at(1_000));
    assert_eq!(pool.open(), 1);
    let due = pool.deadline(at(1_000)).unwrap().at;
    let again = dials(&mut pool, due);
    assert_eq!((again.len(), pool.open()), (1, 1));
}

#[test]
fn connections_opened_together_reach_their_age_at_different_times() {
    let (pool, _) = aging(8, 8);
    let mut ages: Vec<_> = pool.connections.ages().collect();
    ages.dedup();
    assert_eq!(ages.len(), 8);
    let mut ageless = super::tests::pool(1, 2);
    let connection = dials(&mut ageless, at(0))[0];
    ageless.handle(PoolInput::Opened(connection), at(0));
    assert_eq!(ageless.deadline(at(0)), None);
    assert_eq!(ageless.poll(at(u64::MAX / 2_000_000), busy), None);
}

#[test]
fn refused_credentials_fail_fast_and_are_retried_after_seconds() {
    let mut pool = pool(1, 1);
    let connection = dials(&mut pool, at(0))[0];
    pool.handle(PoolInput::Ended { connection, refused: true, answered: false }, at(0));
    assert!(pool.is_hopeless(at(0)));
    assert!(pool.deadline(at(0)).unwrap().at >= at(2_500));
}

#[test]
fn a_refusal_on_the_last_open_connection_makes_the_pool_fail_fast() {
    let mut pool = pool(2, 2);
    let [one, other] = dials(&mut pool, at(0))[..] else { panic!() };
    pool.handle(PoolInput::Opened(one), at(0));
    pool.handle(PoolInput::Opened(other), at(0));
    pool.handle(PoolInput::Ended { connection: one, refused: true, answered: false }, at(5_000));
    assert!(!pool.is_hopeless(at(5_000)), "the other one still serves");
    pool.handle(PoolInput::Ended { connection: other, refused: true, answered: false }, at(5_000));
    assert!(pool.is_hopeless(at(5_000)));
}

#[test]
fn new_credentials_are_tried_at_once_after_a_refusal() {
    let mut pool = pool(1, 2);
    let connection = dials(&mut pool, at(0))[0];
    pool.handle(PoolInput::Ended { connection, refused: true, answered: false }, at(0));
    assert_eq!(pool.poll(at(1), busy), None);
    pool.handle(PoolInput::Renewed, at(1));
    assert!(!pool.is_hopeless(at(1)));
    let connection = dials(&mut pool, at(1))[0];
    pool.handle(PoolInput::Ended { connection, refused: false, answered: false }, at(1));
    pool.handle(PoolInput::Renewed, at(1));
    assert_eq!(pool.poll(at(1), busy), None, "a server that is away is another matter");
}

#[test]
fn two_hundred_clients_that_lost_one_server_do_not_come_back_together() {
    let mut first_dials: Vec<_> = (0..200)
        .map(|seed| {
            let mut pool = Pool::new(1, 1, PATIENCE, seed, at(0));
            let mut now = at(0);
            for _ in 0..12 {
                for id in dials(&mut pool, now) {
                    pool.handle(ended(id), now);
                }
                now = pool.deadline(now).unwrap().at;
            }
            now.as_nanos() / 100_000_000
        })
        .collect();
    first_dials.sort_unstable();
    let most = first_dials.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap();
    assert!(most <= 12, "{most} of 200 dial within the same 100 ms");
}

#[test]
fn connections_that_end_together_are_one_failure() {
    let lost = |size: usize| {
        let mut pool = Pool::new(size, size, PATIENCE, 7, at(0));
        let mut connections = Vec::new();
        while connections.len() < size {
            let dialled = dials(&mut pool, at(0));
            for connection in &dialled {
                pool.handle(PoolInput::Opened(*connection), at(0));
            }
            connections.extend(dialled);
        }
        for connection in connections {
            pool.handle(ended(connection), at(10));
        }
        pool.deadline(at(10)).unwrap().at
    };
    assert_eq!(lost(1), lost(10));
}

#[test]
fn a_connection_that_has_answered_is_a_success_however_short_it_lived() {
    let mut pool = pool(1, 1);
    let mut now = at(0);
    for _ in 0..50 {
        let connection = dials(&mut pool, now)[0];
        pool.handle(PoolInput::Opened(connection), now);
        pool.handle(PoolInput::Ended { connection, refused: false, answered: true }, now + TICK);
        let due = pool.deadline(now + TICK).unwrap().at;
        assert!(due.since(now + TICK) < Backoff::BASE, "no wait grows");
        now = due.max(now + TICK);
    }
}

#[test]
fn a_closing_connection_that_has_answered_is_a_success_too() {
    let mut pool = pool(1, 2);
    let mut now = at(0);
    for _ in 0..50 {
        let good = dials(&mut pool, now)[0];
        pool.handle(PoolInput::Opened(good), now);
        now = now + Duration::from_secs(5);
        pool.handle(PoolInput::Demand, now);
        let silent = dials(&mut pool, now)[0];
        pool.handle(PoolInput::Opened(silent), now);
        assert_eq!(pool.silent(silent, now, |_| at(0)), [good]);
        pool.handle(PoolInput::Ended { connection: good, refused: false, answered: true }, now);
        pool.handle(ended(silent), now);
        let due = pool.deadline(now).unwrap().at;
        assert!(due.since(now) < Backoff::BASE, "no wait grows");
        now = due.max(now + TICK);
    }
}

#[test]
fn a_server_that_greets_but_never_replies_is_dialled_with_backoff() {
    let mut pool = pool(1, 1);
    let (mut now, mut dialled) = (at(0), 0);
    while now < at(60_000) {
        let connection = dials(&mut pool, now)[0];
        dialled += 1;
        pool.handle(PoolInput::Opened(connection), now);
        pool.handle(PoolInput::Ended { connection, refused: false, answered: false }, now);
        now = pool.deadline(now).unwrap().at.max(now + TICK);
    }
    assert!(dialled < 60, "{dialled} dials in a minute");
}

#[test]
fn a_connection_that_greets_differently_is_redialled_at_once() {
    let mut pool = Pool::new(1, 4, Duration::from_secs(5), 42, Instant::ORIGIN);
    let now = Instant::ORIGIN;
    let Some(PoolAction::Dial(first)) = pool.poll(now, |_| None) else { panic!() };
    pool.handle(PoolInput::GreetedAnew(first), now);
    assert_eq!((pool.size(), pool.tally().failed_dials), (0, 0));
    let Some(PoolAction::Dial(second)) = pool.poll(now, |_| None) else { panic!("at once") };
    assert_ne!(first, second);
    assert_eq!(pool.poll(now, |_| None), None, "one in its place");
    pool.handle(PoolInput::GreetedAnew(first), now);
    assert_eq!((pool.size(), pool.poll(now, |_| None)), (1, None), "it is known no more");
}

#[test]
fn few_connections_are_dialled_at_a_time_until_one_opens_and_then_some_more() {
    let mut pool = pool(10_000, 10_000);
    let first = dials(&mut pool, at(0));
    assert_eq!(first.len(), Pool::FIRST_DIALS);
    pool.handle(PoolInput::Opened(first[0]), at(1));
    let more = dials(&mut pool, at(1));
    assert_eq!(first.len() - 1 + more.len(), Pool::DIALS);
    // One fails: then there is one dial at a time.
    pool.handle(ended(more[0]), at(2));
    assert!(dials(&mut pool, at(60_000)).is_empty(), "others are being dialled");
}

#[test]
fn minsize_is_reached_despite_the_limit_on_concurrent_dials() {
    let mut pool = pool(1_000, 1_000);
    let mut dialling = std::collections::VecDeque::from(dials(&mut pool, at(0)));
    while let Some(id) = dialling.pop_front() {
        pool.handle(PoolInput::Opened(id), at(1));
        dialling.extend(dials(&mut pool, at(1)));
        assert!(dialling.len() <= Pool::DIALS);
    }
    assert_eq!(pool.open(), 1_000);
}

#[test]
fn the_work_of_a_pool_is_linear_in_its_size() {
    let steps = |size: usize| {
        let mut pool = pool(1, size);
        pool.limit_age(Some(Duration::from_secs(3_600)));
        pool.handle(PoolInput::Demand, at(0));
        let mut open = vec![];
        for _ in 0..size {
            pool.handle(PoolInput::Demand, at(0));
            for id in dials(&mut pool, at(0)) {
                pool.handle(PoolInput::Opened(id), at(0));
                assert!(pool.deadline(at(0)).is_some() && pool.tally().open > 0);
                open.push(id);
            }
        }
        assert_eq!(pool.open(), size);
        // Half of them have idled, every second one.
        let idle = |id: ConnectionId| id.0.is_multiple_of(2).then_some(at(0));
        let mut closing = vec![];
        while let Some(PoolAction::Close(id)) = pool.poll(at(30_000), idle) {
            closing.push(id);
        }
        assert_eq!(closing.len(), size / 2);
        for id in open {
            pool.handle(ended(id), at(40_000));
        }
        assert_eq!(pool.size(), 0);
        pool.connections.visited()
    };
    let (few, many) = (steps(500), steps(4_000));
    assert!(few > 500 && many <= 9 * few, "{few} steps for 500 connections, {many} for 4,000");
}
