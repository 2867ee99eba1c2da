use std::net::SocketAddr;
use std::vec;
use std::vec::Vec;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);

fn at(millis: u64) -> Instant {
    Instant::from_millis(1_000 + millis)
}

fn dial(addresses: usize, timeout: Duration) -> Dial {
    Dial::new(addresses, at(0) + timeout, at(0))
}

fn actions(dial: &mut Dial, now: Instant) -> Vec<DialAction> {
    std::iter::from_fn(|| dial.poll(now)).collect()
}

fn ordered(addresses: &[&str]) -> Vec<SocketAddr> {
    order(&addresses.iter().map(|address| address.parse().unwrap()).collect::<Vec<_>>())
}

#[test]
fn one_address_is_dialled_at_once_and_has_all_the_time() {
    let mut dial = dial(1, TIMEOUT);
    assert_eq!(actions(&mut dial, at(0)), [DialAction::Start(0)]);
    assert_eq!(dial.deadline().unwrap().at, at(5_000));
    assert_eq!(actions(&mut dial, at(4_999)), []);
    let end = [DialAction::Close(0), DialAction::Finish(DialEnd::OutOfTime)];
    assert_eq!(actions(&mut dial, at(5_000)), end);
    assert_eq!((dial.deadline(), actions(&mut dial, at(9_000))), (None, vec![]));
}

#[test]
fn the_next_address_starts_a_quarter_of_a_second_after_the_one_before() {
    let mut dial = dial(3, TIMEOUT);
    assert_eq!(actions(&mut dial, at(0)), [DialAction::Start(0)]);
    assert_eq!(dial.deadline().unwrap().at, at(250));
    assert_eq!(actions(&mut dial, at(249)), []);
    assert_eq!(actions(&mut dial, at(250)), [DialAction::Start(1)]);
    assert_eq!(actions(&mut dial, at(510)), [DialAction::Start(2)]);
    assert_eq!(dial.deadline().unwrap().at, at(5_000));
}

#[test]
fn the_next_address_starts_at_once_when_an_attempt_has_failed() {
    let mut dial = dial(3, TIMEOUT);
    actions(&mut dial, at(0));
    dial.handle(DialInput::Failed(0));
    assert_eq!(actions(&mut dial, at(1)), [DialAction::Start(1)]);
    assert_eq!(actions(&mut dial, at(2)), [], "one failure starts one");
    actions(&mut dial, at(251));
    dial.handle(DialInput::Failed(1));
    dial.handle(DialInput::Failed(2));
    assert_eq!(actions(&mut dial, at(252)), [DialAction::Finish(DialEnd::AllFailed)]);
}

#[test]
fn the_first_that_greets_wins_and_the_others_are_closed() {
    let mut dial = dial(4, TIMEOUT);
    for now in [0, 250, 500] {
        actions(&mut dial, at(now));
    }
    dial.handle(DialInput::Greeted(1));
    dial.handle(DialInput::Greeted(0));
    let end = [DialAction::Close(0), DialAction::Close(2), DialAction::Finish(DialEnd::Won(1))];
    assert_eq!(actions(&mut dial, at(501)), end);
    assert_eq!(actions(&mut dial, at(1_000)), [], "and the fourth is not dialled");
}

#[test]
fn events_of_attempts_that_do_not_run_are_ignored() {
    let mut dial = dial(2, TIMEOUT);
    actions(&mut dial, at(0));
    for index in [1, 7] {
        dial.handle(DialInput::Greeted(index));
        dial.handle(DialInput::Failed(index));
    }
    assert_eq!(actions(&mut dial, at(1)), []);
    dial.handle(DialInput::Failed(0));
    dial.handle(DialInput::Greeted(0));
    assert_eq!(actions(&mut dial, at(2)), [DialAction::Start(1)]);
}

#[test]
fn a_name_without_addresses_fails_at_once() {
    assert_eq!(actions(&mut dial(0, TIMEOUT), at(0)), [DialAction::Finish(DialEnd::AllFailed)]);
}

#[test]
fn the_only_live_address_greets_in_time_among_any_number_of_dead_ones() {
    for count in [1, 2, 3, 10, 33, 100, 1_000] {
        for alive in [0, count / 2, count - 1] {
            for timeout in [50, 1_000, 5_000].map(Duration::from_millis) {
                let won = greeted_after(count, alive, timeout, timeout / 100);
                assert!(won <= timeout, "{alive} of {count} took {won:?} of {timeout:?}");
            }
        }
    }
}

/// How long it takes until the one working address, which answers after `answer`, has won.
fn greeted_after(count: usize, alive: usize, timeout: Duration, answer: Duration) -> Duration {
    let (mut dial, mut now, mut greets) = (dial(count, timeout), at(0), None);
    loop {
        while let Some(action) = dial.poll(now) {
            match action {
                DialAction::Start(index) if index == alive => greets = Some(now + answer),
                DialAction::Close(index) if index == alive => greets = None,
                DialAction::Start(_) | DialAction::Close(_) => {}
                DialAction::Finish(DialEnd::Won(_)) => return now.since(at(0)),
                DialAction::Finish(_) => return Duration::MAX,
            }
            assert!(dial.running() <= Dial::MOST_AT_ONCE);
        }
        let next = dial.deadline().unwrap().at;
        now = greets.map_or(next, |greets| greets.min(next));
        if greets.is_some_and(|greets| greets <= now) {
            dial.handle(DialInput::Greeted(alive));
        }
    }
}

#[test]
fn addresses_are_interleaved_by_family_beginning_with_the_resolvers_first() {
    let given = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"];
    let wanted = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"];
    assert_eq!(ordered(&given), wanted.map(|address| address.parse().unwrap()));
    let given = ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1"];
    let wanted = ["127.0.0.1:1", "[::1]:1", "127.0.0.2:1"];
    assert_eq!(ordered(&given), wanted.map(|address| address.parse().unwrap()));
    assert_eq!(ordered(&[]), []);
}

#[test]
fn an_address_that_a_resolver_names_twice_is_tried_once() {
    let twice = ordered(&["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!(twice, ["127.0.0.1:1", "127.0.0.1:2"].map(|it| it.parse().unwrap()));
}
