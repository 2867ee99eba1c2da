use std::format;
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::reply::Reply;

fn address(host: &str, port: u16) -> Address {
    Address::new(host, port).unwrap()
}

fn parse(text: &str) -> Option<Redirect> {
    Redirect::parse(&ServerError::parse(text.as_bytes()), &Viewpoint::as_told(&address("asked", 9)))
}

fn failed(text: &str) -> Answer {
    Err(Failure::Server(ServerError::parse(text.as_bytes())))
}

/// The reaction to an answer at `now`, in milliseconds, with time until 5,000.
fn answered(hops: &mut Hops, text: &str, now: u64) -> Result<Next, TooManyRedirects> {
    let (now, expires) = (Instant::from_millis(now), Instant::from_millis(5_000));
    hops.answered(&failed(text), &Viewpoint::as_told(&address("asked", 9)), now, expires)
}

#[test]
fn a_redirect_names_a_slot_and_a_node() {
    let long = "h".repeat(Address::MAX_HOST);
    for (text, kind, slot, host, port) in [
        ("MOVED 3999 127.0.0.1:6381", RedirectKind::Moved, 3999, "127.0.0.1", 6381),
        ("ASK 0 127.0.0.1:1", RedirectKind::Ask, 0, "127.0.0.1", 1),
        ("MOVED 16383 node-2.example:65535", RedirectKind::Moved, 16383, "node-2.example", 65535),
        ("MOVED 12182 :7003", RedirectKind::Moved, 12182, "asked", 7003),
        ("ASK 12182 ?:7003", RedirectKind::Ask, 12182, "asked", 7003),
        ("MOVED 1 ::1:6379", RedirectKind::Moved, 1, "::1", 6379),
        ("MOVED 1 [fe80::1%eth0]:6379", RedirectKind::Moved, 1, "fe80::1%eth0", 6379),
        (&format!("MOVED 16383 {long}:65535"), RedirectKind::Moved, 16383, &long, 65535),
    ] {
        let expected = Redirect { kind, slot: Slot::new(slot).unwrap(), to: address(host, port) };
        assert_eq!(parse(text), Some(expected), "{text}");
    }
}

#[test]
fn a_malformed_redirect_is_an_ordinary_error() {
    for text in [
        "MOVED",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 1 h",
        "MOVED 1 h:",
        "MOVED 1 h:0",
        "MOVED 1 h:65536",
        "MOVED 1 h:+1",
        "MOVED +1 h:1",
        "MOVED -1 h:1",
        "MOVED 16384 h:1",
        "MOVED x h:1",
        "MOVED 1 h:1 more",
        "MOVED  1 h:1",
        "MOVED 1 a b:1",
        "MOVED 1 a\u{1}:1",
        "moved 1 h:1",
        "ERR MOVED 1 h:1",
        &format!("ASK 1 {}:1", "h".repeat(256)),
    ] {
        assert_eq!(parse(text), None, "{text:?}");
        assert_eq!(answered(&mut Hops::new(1), text, 0), Ok(Next::Settle), "{text:?}");
    }
}

#[test]
fn errors_of_real_clusters_are_recognized() {
    // As sent by Redis 7.0 and by Valkey 9.1, word for word the same.
    let next = |text| answered(&mut Hops::new(1), text, 0).unwrap();
    let follow = |kind| {
        let to = address("127.0.0.1", 7001);
        let redirect = Redirect { kind, slot: Slot::new(15627).unwrap(), to };
        Next::Follow { redirect, at: Instant::ORIGIN }
    };
    assert_eq!(next("MOVED 15627 127.0.0.1:7001"), follow(RedirectKind::Moved));
    assert_eq!(next("ASK 15627 127.0.0.1:7001"), follow(RedirectKind::Ask));
    for (text, expected) in [
        ("TRYAGAIN Multiple keys request during rehashing of slot", Trouble::TryAgain),
        ("CLUSTERDOWN The cluster is down", Trouble::ClusterDown),
        ("CLUSTERDOWN Hash slot not served", Trouble::ClusterDown),
        ("LOADING Redis is loading the dataset in memory", Trouble::Loading),
        ("READONLY You can't write against a read only replica.", Trouble::ReadOnly),
        ("MASTERDOWN Link with MASTER is down", Trouble::MasterDown),
    ] {
        let next = next(text);
        assert!(
            matches!(next, Next::Wait { trouble, at } if trouble == expected && at <= Instant::ORIGIN + Backoff::BASE),
            "{next:?}"
        );
    }
    let crossed = "CROSSSLOT Keys in request don't hash to the same slot";
    for text in [crossed, "NOSCRIPT No matching script.", "OOM command not allowed"] {
        assert_eq!(next(text), Next::Settle, "{text}");
        assert!(!Hops::concern(&failed(text)), "{text}");
    }
}

#[test]
fn a_successful_reply_is_no_redirect() {
    for text in ["MOVED 1 h:1", "ASK 1 h:1", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY"] {
        assert!(Hops::concern(&failed(text)), "{text}");
    }
    assert!(!Hops::concern(&Ok(Reply::Done)));
    let view = address("asked", 9);
    let (view, end) = (Viewpoint::as_told(&view), Instant::from_millis(5_000));
    let next = Hops::new(1).answered(&Ok(Reply::Done), &view, Instant::ORIGIN, end);
    assert_eq!(next, Ok(Next::Settle));
}

#[test]
fn redirects_are_followed_at_once_then_with_backoff_and_then_fail() {
    let (mut hops, mut now) = (Hops::new(7), Instant::ORIGIN);
    let (asked, expires) = (address("asked", 9), Instant::MAX);
    let view = Viewpoint::as_told(&asked);
    let mut waits = Vec::new();
    for nth in 1..=Hops::MAX {
        let next = hops.answered(&failed("MOVED 5 a:1"), &view, now, expires).unwrap();
        let Next::Follow { at, .. } = next else { panic!("{next:?}") };
        if nth <= Hops::AT_ONCE {
            assert_eq!(at, now);
        } else {
            waits.push(at.since(now));
        }
        now = at;
        assert_eq!(hops.redirects(), nth);
    }
    assert!(waits.iter().sum::<Duration>() > Duration::from_secs(1), "{waits:?}");
    let error = hops.answered(&failed("ASK 5 b:2"), &view, now, expires).unwrap_err();
    let slot = Slot::new(5).unwrap();
    assert_eq!(error, TooManyRedirects { slot, redirects: Hops::MAX, last: address("b", 2) });
    assert_eq!(error.to_string(), "slot 5 was moved 16 times, at last to b:2");
}

#[test]
fn only_tryagain_does_not_put_the_map_in_doubt() {
    assert!(!Trouble::TryAgain.doubts_the_map());
    for trouble in [
        Trouble::ClusterDown,
        Trouble::Loading,
        Trouble::ReadOnly,
        Trouble::MasterDown,
        Trouble::Lost,
        Trouble::Uncovered,
    ] {
        assert!(trouble.doubts_the_map(), "{trouble:?}");
    }
}

#[test]
fn with_no_time_left_the_error_is_returned_to_the_caller() {
    let last = 5_000 - u64::try_from(Hops::LEAST.as_millis()).unwrap();
    for text in ["TRYAGAIN", "CLUSTERDOWN"] {
        assert!(matches!(answered(&mut Hops::new(1), text, last), Ok(Next::Wait { .. })));
        assert_eq!(answered(&mut Hops::new(1), text, last + 1), Ok(Next::Settle));
        assert_eq!(answered(&mut Hops::new(1), text, 9_000), Ok(Next::Settle));
    }
    let mut hops = Hops::new(1);
    for _ in 0..Hops::AT_ONCE {
        assert!(matches!(answered(&mut hops, "MOVED 1 h:1", 4_999), Ok(Next::Follow { .. })));
    }
    assert_eq!(answered(&mut hops, "MOVED 1 h:1", 4_999), Ok(Next::Settle));
}

proptest! {
    #[test]
    fn a_command_that_waits_is_settled_in_time_and_after_few_attempts(seed: u64, span in 1..60_000_u64) {
        let (mut hops, mut now) = (Hops::new(seed), Instant::ORIGIN);
        let expires = Instant::from_millis(span);
        let mut attempts = 0;
        while let Next::Wait { at, .. } = hops.troubled(Trouble::Lost, now, expires) {
            prop_assert!(now <= at && at < expires);
            now = at;
            attempts += 1;
            prop_assert!(attempts < 100);
        }
        prop_assert!(expires.since(now) < Hops::LEAST);
    }

    #[test]
    fn a_redirect_parses_to_its_slot_and_address(slot in 0..Slot::COUNT, host in "[a-z0-9.:_-]{1,40}", port in 1..=u16::MAX) {
        let redirect = parse(&format!("ASK {slot} {host}:{port}")).unwrap();
        prop_assert_eq!(redirect.to, address(&host, port));
        prop_assert_eq!(redirect.slot.number(), slot);
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "(MOVED|ASK)[ :0-9a-z\\PC]{0,40}") {
        let _ = parse(&text);
    }
}

#[test]
fn a_redirect_beyond_the_node_limit_is_retried_until_its_deadline() {
    let mut hops = Hops::new(7);
    let expires = Instant::from_millis(5_000);
    let mut now = Instant::from_millis(0);
    let mut attempts = 0;
    while let Next::Follow { redirect, .. } =
        answered(&mut hops, &format!("MOVED 1 new:{}", attempts + 1), now.as_nanos() / 1_000_000)
            .unwrap_or(Next::Settle)
    {
        attempts += 1;
        let Ok(next) = hops.crowded(redirect, now, expires) else { break };
        let Next::Wait { at, trouble } = next else { panic!("{next:?}") };
        assert!(at > now, "it waits");
        assert!(trouble == Trouble::Crowded && trouble.doubts_the_map());
        now = at;
    }
    assert!((2..=Hops::MAX).contains(&attempts), "{attempts} attempts");
    assert!((attempts..=attempts + 1).contains(&hops.redirects()), "each was counted");
    // With no time left it is over at once.
    let slot = Slot::new(1).unwrap();
    let redirect = Redirect { kind: RedirectKind::Ask, slot, to: address("new", 1) };
    let over = Hops::new(1).crowded(redirect, expires, expires);
    assert_eq!(over, Err(TooManyRedirects { slot, redirects: 0, last: address("new", 1) }));
}
