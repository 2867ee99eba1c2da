//! Every row of the decision, every rule beside it, and its laws, in virtual time.

use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::reply::Remaining;

/// When the entry of the tests is written.
const WRITTEN: WallTime = WallTime::from_millis(946_684_800_000);
/// The last time that can be represented.
const LAST: WallTime = WallTime::from_nanos(u64::MAX);
const NANO: Duration = Duration::from_nanos(1);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many seconds after the entry was written.
fn at(count: u64) -> WallTime {
    WRITTEN + seconds(count)
}

fn windows(stale_while_revalidate: u64, stale_if_error: u64) -> Windows {
    Windows {
        stale_while_revalidate: seconds(stale_while_revalidate),
        stale_if_error: seconds(stale_if_error),
    }
}

/// Fresh for 100 seconds, then refreshed in the background for 10, then a fallback up to 60.
fn meta() -> Meta {
    Meta {
        written: WRITTEN,
        fresh_until: Some(at(100)),
        windows: windows(10, 60),
        load_cost: seconds(2),
    }
}

/// A reader who accepts whatever the entry allows.
fn policy() -> Policy {
    Policy { windows: Windows::ANY, ..Policy::default() }
}

fn share(share: f64) -> Share {
    Share::new(share).expect("a share")
}

fn decided(meta: Meta, now: WallTime, policy: &Policy) -> Decision {
    decide(&Stored::Entry(meta), now, policy, u64::MAX / 2)
}

fn action(meta: Meta, now: WallTime, policy: &Policy) -> Action {
    decided(meta, now, policy).action
}

/// A row: the result of the lookup, the time, the policy; the action, the stage and the
/// explanation.
type Row = (Stored, WallTime, Policy, Action, Stage, &'static str);

#[test]
fn each_state_has_its_decision() {
    let entry = Stored::Entry(meta());
    let forever = Stored::Entry(Meta { fresh_until: None, ..meta() });
    let strict = Policy { windows: windows(3, 5), ..policy() };
    let early = Policy { early_refresh: EarlyRefresh::After(share(0.75)), ..policy() };
    let xfetch = Policy { early_refresh: EarlyRefresh::XFetch(Beta::ONE), ..policy() };
    // A load failed half a second ago.
    let failed = |policy: Policy, now: WallTime| Policy {
        refresh_backoff: seconds(2),
        last_failure: Some(now.before(Duration::from_millis(500))),
        ..policy
    };
    let late = at(99) + Duration::from_millis(200);
    let rows: [Row; 20] = [
        (Stored::Absent, at(1), policy(), Action::Load, Stage::Gone, "not in the cache: load it"),
        (
            Stored::Unreadable,
            at(1),
            policy(),
            Action::Load,
            Stage::Gone,
            "its stored bytes cannot be read: load it",
        ),
        (
            Stored::Invalidated,
            at(1),
            policy(),
            Action::Load,
            Stage::Gone,
            "one of its tags was invalidated: load it",
        ),
        // A failure forbids no load if there is nothing to return.
        (
            Stored::Absent,
            at(1),
            failed(policy(), at(1)),
            Action::Load,
            Stage::Gone,
            "not in the cache: load it",
        ),
        (
            entry,
            at(172),
            policy(),
            Action::Load,
            Stage::Gone,
            "past its timeout for 72 s, and its stale windows end after 60 s: load it",
        ),
        (
            entry,
            at(172),
            failed(policy(), at(172)),
            Action::Load,
            Stage::Gone,
            "past its timeout for 72 s, and its stale windows end after 60 s: load it",
        ),
        (
            entry,
            at(107),
            strict,
            Action::Load,
            Stage::Gone,
            "stale for 7 s, and this reader uses it for 5 s at most: load it",
        ),
        (
            entry,
            at(107),
            Policy::default(),
            Action::Load,
            Stage::Gone,
            "stale for 7 s, and this reader uses it for 0 ms at most: load it",
        ),
        (
            Stored::Plain,
            at(1),
            failed(early, at(1)),
            Action::Return,
            Stage::Fresh,
            "stored without times of its own: return it",
        ),
        (forever, LAST, xfetch, Action::Return, Stage::Fresh, "fresh without a timeout: return it"),
        (
            entry,
            at(95) + Duration::from_millis(800),
            policy(),
            Action::Return,
            Stage::Fresh,
            "fresh for 4.2 s more: return it",
        ),
        (entry, at(74), early, Action::Return, Stage::Fresh, "fresh for 26 s more: return it"),
        // No early refresh is due, so the failure does not matter.
        (
            entry,
            at(74),
            failed(early, at(74)),
            Action::Return,
            Stage::Fresh,
            "fresh for 26 s more: return it",
        ),
        (
            entry,
            at(75),
            early,
            Action::ReturnAndRefresh,
            Stage::Fresh,
            "fresh for 25 s more, past early_refresh at 0.75 of its timeout: return it and \
             refresh it",
        ),
        // The roll is a half: -2 s * ln(0.5) is 1.39 s.
        (
            entry,
            late,
            xfetch,
            Action::ReturnAndRefresh,
            Stage::Fresh,
            "fresh for 800 ms more, its load took 2 s, and xfetch chose this caller: return it and \
             refresh it",
        ),
        (
            entry,
            at(75),
            failed(early, at(75)),
            Action::ReturnAndBackOff,
            Stage::Fresh,
            "fresh for 25 s more, and a load failed 500 ms ago, inside refresh_backoff of 2 s: \
             return it and load nothing",
        ),
        (
            entry,
            at(103),
            policy(),
            Action::ReturnAndRefresh,
            Stage::Stale,
            "stale for 3 s, inside stale_while_revalidate of 10 s: return it and refresh it",
        ),
        (
            entry,
            at(103),
            failed(policy(), at(103)),
            Action::ReturnAndBackOff,
            Stage::Stale,
            "stale for 3 s, and a load failed 500 ms ago, inside refresh_backoff of 2 s: \
             return it and load nothing",
        ),
        (
            entry,
            at(130),
            policy(),
            Action::LoadWithFallback,
            Stage::Stale,
            "stale for 30 s, only inside stale_if_error of 60 s: load it, and return the old \
             value if that fails or is slow",
        ),
        (
            entry,
            at(130),
            failed(policy(), at(130)),
            Action::ReturnAndBackOff,
            Stage::Stale,
            "stale for 30 s, and a load failed 500 ms ago, inside refresh_backoff of 2 s: \
             return it and load nothing",
        ),
    ];
    for (stored, now, policy, action, stage, explained) in rows {
        let decision = decide(&stored, now, &policy, u64::MAX / 2);
        assert_eq!(decision.explain(), explained);
        assert_eq!((decision.action, decision.stage()), (action, stage), "{explained}");
    }
}

#[test]
fn each_boundary_belongs_to_the_later_part() {
    let early = Policy { early_refresh: EarlyRefresh::After(share(0.5)), ..policy() };
    for (boundary, before, after) in [
        (at(50), Action::Return, Action::ReturnAndRefresh),
        (at(110), Action::ReturnAndRefresh, Action::LoadWithFallback),
        (at(160), Action::LoadWithFallback, Action::Load),
    ] {
        assert_eq!(action(meta(), boundary.before(NANO), &early), before, "{boundary:?}");
        assert_eq!(action(meta(), boundary, &early), after, "{boundary:?}");
    }
    assert_eq!(decided(meta(), at(100).before(NANO), &early).stage(), Stage::Fresh);
    assert_eq!(decided(meta(), at(100), &early).stage(), Stage::Stale);
    assert_eq!(meta().expires(), Some(at(160)));
}

#[test]
fn past_the_window_the_old_value_is_not_returned() {
    // Not even if a refresh is under way, or failed a moment ago.
    let failed = Policy {
        refresh_backoff: Duration::MAX,
        last_failure: Some(at(159)),
        early_refresh: EarlyRefresh::XFetch(Beta::ONE),
        ..policy()
    };
    for policy in [policy(), failed] {
        assert_eq!(action(meta(), at(160), &policy), Action::Load);
        assert_eq!(action(meta(), LAST, &policy), Action::Load);
    }
}

#[test]
fn a_fallback_may_be_past_its_window_when_the_load_fails() {
    assert_eq!(action(meta(), at(159), &policy()), Action::LoadWithFallback);
    assert_eq!(meta().stage(at(159), Windows::ANY), Stage::Stale);
    assert_eq!(meta().stage(at(161), Windows::ANY), Stage::Gone);
}

#[test]
fn without_windows_an_entry_is_gone_once_it_is_stale() {
    let meta = Meta { windows: Windows::NONE, ..meta() };
    assert_eq!(action(meta, at(100).before(NANO), &policy()), Action::Return);
    assert_eq!(action(meta, at(100), &policy()), Action::Load);
    assert_eq!(meta.expires(), Some(at(100)));
}

#[test]
fn the_shorter_window_counts() {
    let reader =
        |revalidate, error| Policy { windows: windows(revalidate, error), ..Policy::default() };
    // The entry's windows are 10 and 60 seconds.
    for (policy, now, expected) in [
        (reader(5, 60), at(107), Action::LoadWithFallback),
        (reader(20, 60), at(107), Action::ReturnAndRefresh),
        (reader(20, 60), at(115), Action::LoadWithFallback),
        (reader(20, 30), at(130), Action::Load),
        (reader(20, 90), at(159), Action::LoadWithFallback),
        (reader(20, 90), at(160), Action::Load),
        (reader(0, 60), at(100), Action::LoadWithFallback),
        (reader(60, 0), at(109), Action::ReturnAndRefresh),
        (reader(60, 0), at(110), Action::Load),
    ] {
        assert_eq!(action(meta(), now, &policy), expected, "{policy:?} at {now:?}");
    }
}

#[test]
fn a_shorter_window_for_errors_is_never_reached() {
    let meta = Meta { windows: windows(60, 10), ..meta() };
    assert_eq!(action(meta, at(159), &policy()), Action::ReturnAndRefresh);
    assert_eq!(action(meta, at(160), &policy()), Action::Load);
    assert_eq!(meta.expires(), Some(at(160)));
}

#[test]
fn a_stale_value_stays_stale_after_a_failed_load() {
    let failed = Policy { refresh_backoff: seconds(5), last_failure: Some(at(103)), ..policy() };
    for (now, expected) in [
        (at(103), Action::ReturnAndBackOff),
        (at(108).before(NANO), Action::ReturnAndBackOff),
        (at(108), Action::ReturnAndRefresh),
        (at(110), Action::LoadWithFallback),
    ] {
        let decision = decided(meta(), now, &failed);
        assert_eq!((decision.action, decision.stage()), (expected, Stage::Stale), "{now:?}");
        assert_eq!(meta().remaining(now), Remaining::Absent);
    }
}

#[test]
fn without_a_backoff_a_failure_delays_nothing() {
    let failed = Policy { last_failure: Some(at(103)), ..policy() };
    assert_eq!(action(meta(), at(103), &failed), Action::ReturnAndRefresh);
}

#[test]
fn a_failure_in_the_far_future_forbids_no_load() {
    // The clock was corrected by a little, or set back by an hour.
    let failed = |at| Policy { refresh_backoff: seconds(5), last_failure: Some(at), ..policy() };
    let now = at(103);
    assert_eq!(action(meta(), now, &failed(at(107))), Action::ReturnAndBackOff);
    assert_eq!(action(meta(), now, &failed(at(108))), Action::ReturnAndRefresh);
    assert_eq!(action(meta(), now, &failed(at(3703))), Action::ReturnAndRefresh);
}

#[test]
fn an_entry_from_the_future_is_fresh_until_its_end() {
    // The server's clock was set back by an hour.
    let now = WRITTEN.before(seconds(3600));
    for early_refresh in [EarlyRefresh::After(share(0.1)), EarlyRefresh::XFetch(Beta::ONE)] {
        assert_eq!(action(meta(), now, &Policy { early_refresh, ..policy() }), Action::Return);
    }
    assert_eq!(meta().age(now), Duration::ZERO);
    assert_eq!(meta().remaining(now), Remaining::For(seconds(3700)));
}

#[test]
fn an_entry_that_ends_before_it_was_written_is_stale_from_the_beginning() {
    let meta = Meta { fresh_until: Some(WRITTEN.before(seconds(4))), ..meta() };
    let early = Policy { early_refresh: EarlyRefresh::After(share(0.5)), ..policy() };
    let decision = decided(meta, WRITTEN, &early);
    let rule = Rule::StaleWhileRevalidate { stale_for: seconds(4), window: seconds(10) };
    assert_eq!(decision.rule, rule);
    assert_eq!(action(meta, at(6), &early), Action::LoadWithFallback);
    assert_eq!(action(meta, at(56), &early), Action::Load);
}

#[test]
fn the_ends_of_time_do_not_overflow() {
    let last = Meta { written: LAST, fresh_until: Some(LAST), windows: Windows::ANY, ..meta() };
    let early = Policy { early_refresh: EarlyRefresh::After(share(0.5)), ..policy() };
    assert_eq!(action(last, LAST.before(NANO), &early), Action::Return);
    assert_eq!(action(last, LAST, &early), Action::ReturnAndRefresh);
    assert_eq!(last.expires(), None);
    let whole = Meta { written: WallTime::EPOCH, ..last };
    assert_eq!(action(whole, LAST.before(seconds(1)), &early), Action::ReturnAndRefresh);
    assert_eq!(
        whole.remaining(WallTime::EPOCH),
        Remaining::For(Duration::from_millis(18_446_744_073_710))
    );
    let first = Meta { written: LAST, fresh_until: Some(WallTime::EPOCH), ..meta() };
    assert_eq!(action(first, LAST, &early), Action::Load);
    assert_eq!(action(first, WallTime::EPOCH, &early), Action::ReturnAndRefresh);
    assert_eq!(first.expires(), Some(WallTime::EPOCH + seconds(60)));
}

#[test]
fn an_entry_without_a_timeout_is_never_stale() {
    let forever = Meta { fresh_until: None, ..meta() };
    assert_eq!(forever.stage(LAST, Windows::NONE), Stage::Fresh);
    assert_eq!(forever.remaining(LAST), Remaining::Forever);
    assert_eq!(forever.expires(), None);
}

#[test]
fn a_plain_read_finds_a_stale_entry_only_if_the_caller_allows_it() {
    let entry = Stored::Entry(meta());
    for (now, strict, lenient, half) in [
        (at(100).before(NANO), Stage::Fresh, Stage::Fresh, Stage::Fresh),
        (at(100), Stage::Gone, Stage::Stale, Stage::Stale),
        (at(130), Stage::Gone, Stage::Stale, Stage::Gone),
        (at(160), Stage::Gone, Stage::Gone, Stage::Gone),
    ] {
        assert_eq!(entry.read(now, None), strict, "{now:?}");
        assert_eq!(entry.read(now, Some(Windows::ANY)), lenient, "{now:?}");
        assert_eq!(entry.read(now, Some(windows(30, 30))), half, "{now:?}");
    }
    for nothing in [Stored::Absent, Stored::Unreadable, Stored::Invalidated] {
        assert_eq!(nothing.read(at(1), Some(Windows::ANY)), Stage::Gone, "{nothing:?}");
    }
    assert_eq!(Stored::Plain.read(LAST, None), Stage::Fresh);
}

#[test]
fn remaining_is_the_time_that_an_entry_stays_fresh() {
    let half = Duration::from_micros(500);
    assert_eq!(meta().remaining(at(0)), Remaining::For(seconds(100)));
    assert_eq!(meta().remaining(at(99) + half), Remaining::For(seconds(1)));
    assert_eq!(meta().remaining(at(100).before(NANO)), Remaining::For(Duration::from_millis(1)));
    assert_eq!(meta().remaining(at(100)), Remaining::Absent);
    assert_eq!(meta().age(at(130)), seconds(130));
}

#[test]
fn xfetch_chooses_by_the_roll() {
    let xfetch = Policy { early_refresh: EarlyRefresh::XFetch(Beta::ONE), ..policy() };
    // A load took 2 seconds, so with a roll of a half the refresh is 1.386 seconds early.
    let early = |millis, roll| {
        let now = at(100).before(Duration::from_millis(millis));
        decide(&Stored::Entry(meta()), now, &xfetch, roll).action == Action::ReturnAndRefresh
    };
    let half = u64::MAX / 2;
    assert!(early(1386, half) && !early(1387, half));
    // With a roll of 1 / 2^64 it is 88.72 seconds early, and with the largest roll never.
    assert!(early(88_722, 0) && !early(88_723, 0));
    assert!(!early(1, u64::MAX));
    let double = Beta::from_thousandths(2000).expect("not zero");
    let eager = Policy { early_refresh: EarlyRefresh::XFetch(double), ..policy() };
    let now = at(100).before(Duration::from_millis(2772));
    assert_eq!(action(meta(), now, &eager), Action::ReturnAndRefresh);
    assert_eq!(action(Meta { load_cost: Duration::ZERO, ..meta() }, now, &eager), Action::Return);
}

#[test]
fn spans_are_explained_in_units_that_suit_them() {
    let shown = |fresh_for| {
        let text = Decision::by(Rule::Fresh { fresh_for: Some(fresh_for) }).explain();
        text.strip_prefix("fresh for ")
            .and_then(|it| it.strip_suffix(" more: return it"))
            .map(ToString::to_string)
    };
    let spans =
        [0, 1, 999_999, 1_000_000, 999_999_999, 1_000_000_000, 4_250_000_000, 600_000_000_000];
    let shown: Vec<_> =
        spans.iter().filter_map(|&nanos| shown(Duration::from_nanos(nanos))).collect();
    let expected =
        ["0 ms", "less than 1 ms", "less than 1 ms", "1 ms", "999 ms", "1 s", "4.2 s", "600 s"];
    assert_eq!(shown, expected);
}

/// Times near each other, at both ends of time, and anywhere.
fn times() -> impl Strategy<Value = WallTime> {
    let nanos = prop_oneof![
        4 => 1000..2000_u64,
        1 => 0..100_u64,
        1 => u64::MAX - 100..=u64::MAX,
        1 => any::<u64>(),
    ];
    nanos.prop_map(WallTime::from_nanos)
}

fn spans() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..500_u64).prop_map(Duration::from_nanos),
        1 => any::<u64>().prop_map(Duration::from_nanos),
        1 => (any::<u64>(), 0..1_000_000_000_u32)
            .prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        1 => Just(Duration::MAX),
    ]
}

fn some_windows() -> impl Strategy<Value = Windows> {
    (spans(), spans()).prop_map(|(stale_while_revalidate, stale_if_error)| Windows {
        stale_while_revalidate,
        stale_if_error,
    })
}

fn metas() -> impl Strategy<Value = Meta> {
    let fresh_until = proptest::option::weighted(0.9, times());
    (times(), fresh_until, some_windows(), spans()).prop_map(
        |(written, fresh_until, windows, load_cost)| Meta {
            written,
            fresh_until,
            windows,
            load_cost,
        },
    )
}

fn policies() -> impl Strategy<Value = Policy> {
    let early = prop_oneof![
        Just(EarlyRefresh::Never),
        (1..1_000_000_u32).prop_map(
            |it| Share::from_millionths(it).map_or(EarlyRefresh::Never, EarlyRefresh::After)
        ),
        (1..=u32::MAX).prop_map(
            |it| Beta::from_thousandths(it).map_or(EarlyRefresh::Never, EarlyRefresh::XFetch)
        ),
    ];
    let failure = proptest::option::of(times());
    (some_windows(), early, spans(), failure).prop_map(
        |(windows, early_refresh, refresh_backoff, last_failure)| Policy {
            windows,
            early_refresh,
            refresh_backoff,
            last_failure,
        },
    )
}

/// The stage as the contract defines it, in numbers that cannot overflow.
fn plain_stage(meta: &Meta, now: WallTime, reader: Windows) -> Stage {
    let Some(end) = meta.fresh_until else { return Stage::Fresh };
    let (now, end) = (u128::from(now.as_nanos()), u128::from(end.as_nanos()));
    let of = |entry: Duration, reader: Duration| end + entry.as_nanos().min(reader.as_nanos());
    let refreshed = of(meta.windows.stale_while_revalidate, reader.stale_while_revalidate);
    let fallback = of(meta.windows.stale_if_error, reader.stale_if_error);
    if now < end {
        Stage::Fresh
    } else if now < refreshed || now < fallback {
        Stage::Stale
    } else {
        Stage::Gone
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_input_has_a_decision_that_fits_its_stage(
        meta in metas(),
        now in times(),
        policy in policies(),
        roll: u64,
    ) {
        let decision = decide(&Stored::Entry(meta), now, &policy, roll);
        let stage = plain_stage(&meta, now, policy.windows);
        prop_assert_eq!(decision.stage(), stage);
        prop_assert_eq!(meta.stage(now, policy.windows), stage);
        prop_assert_eq!(decision.action == Action::Load, stage == Stage::Gone);
        prop_assert!(decision.action != Action::Return || stage == Stage::Fresh);
        prop_assert!(decision.action != Action::LoadWithFallback || stage == Stage::Stale);
        prop_assert!(!decision.explain().is_empty());
    }

    #[test]
    fn nothing_is_returned_past_its_expiry(
        meta in metas(),
        now in times(),
        policy in policies(),
        roll: u64,
    ) {
        if meta.expires().is_some_and(|expires| now >= expires) {
            prop_assert_eq!(decide(&Stored::Entry(meta), now, &policy, roll).action, Action::Load);
            prop_assert_eq!(Stored::Entry(meta).read(now, Some(policy.windows)), Stage::Gone);
        }
    }

    #[test]
    fn a_stale_entry_is_never_called_fresh(meta in metas(), now in times(), policy in policies()) {
        if meta.fresh_until.is_some_and(|end| now >= end) {
            let decision = decide(&Stored::Entry(meta), now, &policy, 0);
            prop_assert_ne!(decision.stage(), Stage::Fresh);
            prop_assert_eq!(Stored::Entry(meta).read(now, None), Stage::Gone);
            prop_assert_eq!(meta.remaining(now), Remaining::Absent);
        }
    }

    #[test]
    fn an_entry_only_gets_older(
        meta in metas(),
        times in (times(), times()),
        policy in policies(),
        roll: u64,
    ) {
        let (now, later) = (times.0.min(times.1), times.0.max(times.1));
        let stored = Stored::Entry(meta);
        let at = |now| decide(&stored, now, &policy, roll);
        prop_assert!(at(now).stage() <= at(later).stage());
        // An early refresh that is due stays due until the entry is stale.
        let calm = Policy { last_failure: None, ..policy };
        let at = |now| decide(&stored, now, &calm, roll);
        if at(now).action == Action::ReturnAndRefresh {
            prop_assert_ne!(at(later).action, Action::Return);
        }
    }

    #[test]
    fn a_failure_only_ever_prevents_loads(
        meta in metas(),
        now in times(),
        policy in policies(),
        roll: u64,
    ) {
        let stored = Stored::Entry(meta);
        let calm = decide(&stored, now, &Policy { last_failure: None, ..policy }, roll);
        let failed = decide(&stored, now, &policy, roll);
        prop_assert_eq!(failed.stage(), calm.stage());
        if failed.action != calm.action {
            prop_assert_eq!(failed.action, Action::ReturnAndBackOff);
            prop_assert!(
                matches!(calm.action, Action::ReturnAndRefresh | Action::LoadWithFallback)
            );
        }
    }

    #[test]
    fn the_windows_of_entry_and_reader_may_be_exchanged(
        meta in metas(),
        now in times(),
        policy in policies(),
        roll: u64,
    ) {
        let exchanged = Policy { windows: meta.windows, ..policy };
        let other = Stored::Entry(Meta { windows: policy.windows, ..meta });
        let decision = decide(&Stored::Entry(meta), now, &policy, roll);
        prop_assert_eq!(decision.action, decide(&other, now, &exchanged, roll).action);
    }
}
