use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// A monotonic clock and a server's clock, which runs at a rate of its own.
struct Clocks {
    now: u64,
    /// The time on the server's clock, in millionths of a nanosecond.
    server: u128,
    /// How much too fast the server's clock runs, in millionths.
    ppm: i64,
    learned: ServerClock,
}

impl Clocks {
    /// The client's clock counts from some origin of its own, the server's from 1970.
    fn new() -> Self {
        let server = 946_684_800_u128 * 1_000_000_000 * 1_000_000;
        Self { now: 5_000_000_000, server, ppm: 0, learned: ServerClock::new() }
    }

    fn pass(&mut self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).expect("not for ever");
        self.now += nanos;
        let rate = u128::try_from(1_000_000 + self.ppm).expect("it does not run backwards");
        self.server += u128::from(nanos) * rate;
    }

    fn set_ahead(&mut self, span: Duration) {
        self.server += span.as_nanos() * 1_000_000;
    }

    fn set_back(&mut self, span: Duration) {
        self.server -= span.as_nanos() * 1_000_000;
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn server(&self) -> WallTime {
        WallTime::from_nanos(u64::try_from(self.server / 1_000_000).expect("not for ever"))
    }

    /// Asks for the time. It takes this long until the server reads its clock, and until its answer
    /// is there.
    fn ask(&mut self, there: Duration, back: Duration) -> Result<Sampled, ServerClockError> {
        self.learned.asked(self.now());
        self.pass(there);
        let nanos = self.server().as_nanos();
        self.pass(back);
        let (seconds, micros) = (nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000);
        let (seconds, micros) = (seconds.to_string(), micros.to_string());
        self.learned.answered(self.now(), seconds.as_bytes(), micros.as_bytes())
    }

    fn estimate(&self) -> ServerTime {
        self.learned.to_server(self.now()).expect("a sample")
    }

    /// How far the estimate is from the truth.
    fn wrong_by(&self) -> Duration {
        let (estimate, truth) = (self.estimate().time, self.server());
        estimate.since(truth).max(truth.since(estimate))
    }

    fn is_within(&self) -> bool {
        self.wrong_by() <= self.estimate().error
    }
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn clients_whose_clocks_differ_by_minutes_agree() {
    let (mut early, mut late) = (Clocks::new(), Clocks::new());
    late.now += 600_000_000_000;
    for clocks in [&mut early, &mut late] {
        assert_eq!(clocks.ask(millis(1), millis(1)), Ok(Sampled::Taken));
        clocks.pass(Duration::from_secs(20));
    }
    assert_eq!(early.estimate(), late.estimate());
    assert_eq!(early.wrong_by(), Duration::ZERO);
}

#[test]
fn the_error_is_half_of_the_round_trip() {
    for (there, back) in [(0, 200), (100, 100), (200, 0)] {
        let mut clocks = Clocks::new();
        clocks.ask(millis(there), millis(back)).expect("a sample");
        let error = clocks.learned.sample.expect("a sample").error;
        assert_eq!(error, millis(100) + drift(millis(100)) + RESOLUTION);
        assert!(clocks.is_within(), "{there} ms there and {back} ms back");
    }
}

#[test]
fn an_odd_round_trip_is_halved_upwards() {
    let mut clocks = Clocks::new();
    clocks.ask(Duration::ZERO, Duration::from_nanos(3)).expect("a sample");
    let sample = clocks.learned.sample.expect("a sample");
    assert_eq!(sample.error, Duration::from_nanos(2 + 1) + RESOLUTION);
}

#[test]
fn a_slow_round_trip_does_not_displace_a_quick_one() {
    let mut clocks = Clocks::new();
    clocks.ask(millis(1), millis(1)).expect("a sample");
    clocks.pass(Duration::from_secs(1));
    assert_eq!(clocks.ask(millis(10), millis(300)), Ok(Sampled::Kept));
    assert_eq!(clocks.wrong_by(), Duration::ZERO);
    assert!(clocks.estimate().error < millis(3));
}

#[test]
fn an_old_sample_gives_way_to_a_slower_one() {
    let mut clocks = Clocks::new();
    clocks.ask(millis(1), millis(1)).expect("a sample");
    // After 8 seconds its error has grown from 1 to 9 milliseconds.
    clocks.pass(Duration::from_secs(8));
    assert_eq!(clocks.ask(millis(10), millis(10)), Ok(Sampled::Kept));
    clocks.pass(Duration::from_secs(1));
    assert_eq!(clocks.ask(millis(10), millis(10)), Ok(Sampled::Taken));
}

#[test]
fn of_two_equally_exact_samples_the_newer_counts() {
    let mut clocks = Clocks::new();
    clocks.ask(millis(1), millis(1)).expect("a sample");
    assert_eq!(clocks.ask(millis(1), millis(1)), Ok(Sampled::Taken));
}

#[test]
fn the_error_grows_by_the_drift_in_both_directions_of_time() {
    let mut clocks = Clocks::new();
    clocks.ask(millis(0), millis(0)).expect("a sample");
    let error = |at| clocks.learned.to_server(Instant::from_millis(at)).expect("a sample").error;
    assert_eq!(error(5_000), RESOLUTION);
    assert_eq!(error(6_000), RESOLUTION + millis(1));
    assert_eq!(error(4_000), RESOLUTION + millis(1));
}

#[test]
fn a_drifting_clock_stays_within_the_error() {
    for ppm in [1000, -1000, 37] {
        let mut clocks = Clocks::new();
        clocks.ppm = ppm;
        clocks.ask(millis(3), millis(0)).expect("a sample");
        for _ in 0..10 {
            clocks.pass(Duration::from_secs(500));
            assert!(clocks.is_within(), "{ppm} ppm");
        }
    }
}

#[test]
fn a_clock_that_was_set_is_followed_at_the_next_sample() {
    for back in [false, true] {
        let mut clocks = Clocks::new();
        clocks.ask(millis(1), millis(1)).expect("a sample");
        clocks.pass(Duration::from_secs(1));
        let hour = Duration::from_secs(3600);
        if back {
            clocks.set_back(hour);
        } else {
            clocks.set_ahead(hour);
        }
        assert_eq!(clocks.wrong_by(), hour);
        // However slow the sample is.
        assert_eq!(clocks.ask(millis(400), millis(100)), Ok(Sampled::Jumped));
        assert!(clocks.is_within() && clocks.wrong_by() == millis(150));
        assert_eq!(clocks.ask(millis(1), millis(1)), Ok(Sampled::Taken));
        assert_eq!(clocks.wrong_by(), Duration::ZERO);
    }
}

#[test]
fn a_jump_that_the_errors_explain_is_no_jump() {
    let mut clocks = Clocks::new();
    clocks.ask(millis(5), millis(5)).expect("a sample");
    clocks.set_ahead(millis(9));
    assert_eq!(clocks.ask(millis(5), millis(5)), Ok(Sampled::Taken));
    clocks.set_ahead(millis(11));
    assert_eq!(clocks.ask(millis(5), millis(5)), Ok(Sampled::Jumped));
}

#[test]
fn a_suspended_machine_learns_the_time_anew() {
    let mut clocks = Clocks::new();
    clocks.ask(millis(1), millis(1)).expect("a sample");
    // The monotonic clock stands still meanwhile.
    clocks.set_ahead(Duration::from_secs(7 * 3600));
    assert_eq!(clocks.ask(millis(1), millis(1)), Ok(Sampled::Jumped));
    assert!(clocks.is_within());
}

#[test]
fn a_second_question_before_the_answer_keeps_the_first_moment() {
    let mut clocks = Clocks::new();
    clocks.learned.asked(clocks.now());
    clocks.pass(millis(50));
    assert_eq!(clocks.ask(millis(5), millis(5)), Ok(Sampled::Taken));
    assert!(clocks.is_within() && clocks.estimate().error > millis(30));
    let again = clocks.learned.answered(clocks.now(), b"946684800", b"0");
    assert_eq!(again, Err(ServerClockError::NotAsked));
}

#[test]
fn a_useless_answer_changes_nothing() {
    let long = [b'9'; 64];
    let answers: [(&[u8], &[u8], ServerClockError); 14] = [
        (b"", b"0", ServerClockError::Malformed),
        (b"946684800", b"", ServerClockError::Malformed),
        (b"-1", b"0", ServerClockError::Malformed),
        (b"+1", b"0", ServerClockError::Malformed),
        (b"946684800", b"-1", ServerClockError::Malformed),
        (b"946684800.5", b"0", ServerClockError::Malformed),
        (b"946684800 ", b"0", ServerClockError::Malformed),
        (b"0x10", b"0", ServerClockError::Malformed),
        (b"\xff\xfe", b"0", ServerClockError::Malformed),
        (b"946684800", b"1000000", ServerClockError::OutOfRange),
        (b"18446744074", b"0", ServerClockError::OutOfRange),
        (b"18446744073", b"709552", ServerClockError::OutOfRange),
        (&long, b"0", ServerClockError::OutOfRange),
        (b"946684800", &long, ServerClockError::OutOfRange),
    ];
    for (seconds, micros, error) in answers {
        let mut clocks = Clocks::new();
        for known in [false, true] {
            if known {
                clocks.ask(millis(1), millis(1)).expect("a sample");
            }
            let before = clocks.learned.to_server(clocks.now());
            clocks.learned.asked(clocks.now());
            let answered = clocks.learned.answered(clocks.now(), seconds, micros);
            assert_eq!(answered, Err(error), "{seconds:?}, {micros:?}");
            assert_eq!(clocks.learned.to_server(clocks.now()), before);
            assert_eq!(clocks.learned.source() == ClockSource::Server, known);
        }
    }
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let mut clock = ServerClock::new();
    let now = Instant::from_millis(5);
    assert_eq!(clock.answered(now, b"1", b"0"), Err(ServerClockError::NotAsked));
    clock.asked(Instant::from_millis(6));
    assert_eq!(clock.answered(now, b"1", b"0"), Err(ServerClockError::BeforeAsked));
    assert_eq!(clock.answered(now, b"1", b"0"), Err(ServerClockError::NotAsked));
    assert_eq!((clock.to_server(now), clock.source()), (None, ClockSource::Unknown));
}

#[test]
fn the_first_and_the_last_second_are_in_range() {
    let answers: [(&[u8], &[u8], u64); 3] = [
        (b"0", b"0", 0),
        (b"18446744073", b"709551", 18_446_744_073_709_551_000),
        (b"000946684800", b"000001", 946_684_800_000_001_000),
    ];
    for (seconds, micros, nanos) in answers {
        let mut clock = ServerClock::new();
        let now = Instant::from_millis(5);
        clock.asked(now);
        assert_eq!(clock.answered(now, seconds, micros), Ok(Sampled::Taken));
        assert_eq!(clock.to_server(now).map(|it| it.time), Some(WallTime::from_nanos(nanos)));
    }
}

#[test]
fn a_user_who_may_not_run_time_has_the_wall_clock() {
    let mut clocks = Clocks::new();
    clocks.ask(millis(1), millis(1)).expect("a sample");
    clocks.learned.asked(clocks.now());
    clocks.learned.refused();
    assert_eq!(clocks.learned.source(), ClockSource::WallClock);
    assert_eq!(clocks.learned.to_server(clocks.now()), None);
    // Until the user may run it again.
    assert_eq!(clocks.ask(millis(1), millis(1)), Ok(Sampled::Taken));
    assert_eq!(clocks.learned.source(), ClockSource::Server);
}

#[test]
fn the_ends_of_time_do_not_overflow() {
    let mut clock = ServerClock::new();
    clock.asked(Instant::ORIGIN);
    assert_eq!(clock.answered(Instant::MAX, b"1", b"0"), Ok(Sampled::Taken));
    for at in [Instant::ORIGIN, Instant::MAX] {
        assert!(clock.to_server(at).is_some());
    }
    clock.asked(Instant::MAX);
    assert_eq!(clock.answered(Instant::MAX, b"18446744073", b"0"), Ok(Sampled::Taken));
    let at_first = clock.to_server(Instant::ORIGIN).expect("a sample");
    assert!(at_first.time < WallTime::from_millis(1_000));
}

/// What happens between two samples: how long the wait is, how fast the server's clock runs
/// meanwhile, and how long both ways of the question take, in microseconds.
type Step = (u64, i64, u64, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![0..1_000_u64, 0..60_000_000_u64, 0..100_000_000_000_u64];
    let way = || prop_oneof![0..100_u64, 0..20_000_u64, 0..3_000_000_u64];
    proptest::collection::vec((wait, -1000..=1000_i64, way(), way()), 1..20)
}

proptest! {
    #[test]
    fn the_true_time_is_within_the_error_while_no_clock_is_set(steps in steps()) {
        let mut clocks = Clocks::new();
        for (index, (wait, ppm, there, back)) in steps.into_iter().enumerate() {
            clocks.ppm = ppm;
            clocks.pass(Duration::from_micros(wait));
            prop_assert!(index == 0 || clocks.is_within());
            let before = (clocks.now(), clocks.server());
            let sampled = clocks.ask(Duration::from_micros(there), Duration::from_micros(back));
            prop_assert!(matches!(sampled, Ok(Sampled::Taken | Sampled::Kept)));
            prop_assert!(clocks.is_within());
            // An instant before the sample is within its error too.
            let (at, truth) = before;
            let earlier = clocks.learned.to_server(at).expect("a sample");
            let apart = earlier.time.since(truth).max(truth.since(earlier.time));
            prop_assert!(apart <= earlier.error, "{apart:?} of {:?}", earlier.error);
        }
    }

    #[test]
    fn a_jump_is_followed_or_stays_within_the_documented_bound(
        steps in steps(),
        jump in prop_oneof![0..10_000_u64, 0..10_000_000_u64, 0..10_000_000_000_u64],
        back: bool,
        last in 0..100_000_u64,
    ) {
        let mut clocks = Clocks::new();
        for (wait, ppm, there, back) in steps {
            clocks.ppm = ppm;
            clocks.pass(Duration::from_micros(wait));
            let sampled = clocks.ask(Duration::from_micros(there), Duration::from_micros(back));
            prop_assert!(sampled.is_ok());
        }
        let jump = Duration::from_micros(jump);
        if back { clocks.set_back(jump) } else { clocks.set_ahead(jump) }
        let sampled = clocks.ask(Duration::from_micros(last), Duration::ZERO);
        let half = Duration::from_micros(last).div_f64(2.0);
        let of_last = half + drift(half) + RESOLUTION + Duration::from_nanos(2);
        if sampled == Ok(Sampled::Kept) {
            // The jump was too small to be noticed.
            prop_assert!(clocks.wrong_by() <= clocks.estimate().error + of_last * 2);
        } else {
            prop_assert!(clocks.is_within());
        }
    }
}
