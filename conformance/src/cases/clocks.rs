//! A clock that is set by hand, and failures on demand.

use std::time::{Duration, UNIX_EPOCH};

use async_caches::{Error, Fault, Faults, LoadError, ManualClock, Remaining, ServerErrorKind};

use super::ops::{self, LONG};
use crate::context::{Context, connected};
use crate::gate::Gate;
use crate::server::Setup;

/// Less than the age at which a load stops delaying new callers.
const WAIT: Duration = Duration::from_secs(20);

pub async fn entries_expire_by_a_manual_clock(cx: Context) {
    let clock = ManualClock::new();
    let cache = connected(cx.builder().clock(&clock)).await;
    let other = connected(cx.builder().clock(&clock.clone())).await;
    cache.set("key", 1).timeout(LONG).await.unwrap();
    cache.incr("n", 1).or_insert(0).timeout(LONG * 2).await.unwrap();
    assert_eq!(other.get::<i32>("key").await.unwrap(), Some(1), "one clock is one store");
    let without = cx.cache().await;
    assert_eq!(without.get::<i32>("key").await.unwrap(), None, "without it is another one");
    clock.advance(LONG - Duration::from_millis(1));
    assert_eq!(cache.remaining("key").await.unwrap(), Remaining::For(Duration::from_millis(1)));
    clock.advance(Duration::from_millis(1));
    assert_eq!(clock.elapsed(), LONG);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
    assert_eq!(other.remaining("n").await.unwrap(), Remaining::For(LONG));
    clock.advance(Duration::MAX);
    assert!(!cache.contains("n").await.unwrap());
}

pub async fn a_wait_for_a_load_ends_by_a_manual_clock(cx: Context) {
    let clock = ManualClock::new();
    // Longer than the clock advances in total.
    let (builder, endless) = (cx.builder().clock(&clock).load_wait(WAIT), LONG * 1_000_000);
    let cache = connected(builder.response_timeout(endless).connect_timeout(endless)).await;
    let gate = Gate::default();
    let (leading, passed) = (cache.clone(), gate.clone());
    let leader = cx.spawn(async move {
        let load = async {
            passed.pass().await;
            1
        };
        leading.get_or_set("key", load).await.unwrap()
    });
    gate.reached(&cx).await;
    let follower = cx.spawn(cache.get_or_set("key", async { 2 }).into_owned());
    // Only the clock ends the wait, however long that takes.
    clock.advance(WAIT - Duration::from_nanos(1));
    cx.sleep(Duration::from_millis(50)).await;
    assert!(!cache.contains("key").await.unwrap());
    cx.until("the wait is over", async || {
        clock.advance(WAIT);
        cache.contains("key").await.unwrap()
    })
    .await;
    assert_eq!(follower.await.unwrap(), 2);
    gate.open();
    assert_eq!(leader.await, 1);
}

pub async fn a_response_timeout_ends_by_a_manual_clock(cx: Context) {
    let server = cx.start(&Setup::default());
    let clock = ManualClock::new();
    let builder = cx.builder_of(&server.url(0)).clock(&clock);
    // So short that a running clock would end the call at once.
    let cache = connected(builder.response_timeout(Duration::from_millis(20))).await;
    cache.set("key", 1).await.unwrap();
    server.stop();
    let get = cx.spawn(cache.get::<i32>("key").into_owned());
    cx.sleep(Duration::from_millis(100)).await;
    assert!(!get.is_done(), "it has no more than that to wait for");
    cx.until("its time is over", async || {
        clock.advance(Duration::from_millis(20));
        get.is_done()
    })
    .await;
    let error = get.await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    server.resume();
}

pub async fn info_reports_the_time_of_day_of_the_last_error(cx: Context) {
    let clock = ManualClock::new();
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&server.url(0)).minsize(1).maxsize(1).clock(&clock)).await;
    let pool = || cache.info().pool().unwrap().clone();
    let last = || pool().last_error.unwrap();
    server.raw(0).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    cx.until("the connection is lost and another is open", async || {
        clock.advance(Duration::from_millis(10));
        pool().lost == 1 && pool().open == 1
    })
    .await;
    let (at, ago) = (last().at, last().ago);
    let new_year = UNIX_EPOCH + Duration::from_secs(946_684_800);
    assert!(at >= new_year, "a manual clock begins in the year 2000: {at:?}");
    assert_eq!(at + ago, new_year + clock.elapsed());
    clock.advance(Duration::from_millis(1));
    assert_eq!((last().at, last().ago), (at, ago + Duration::from_millis(1)));
    // Setting the time of day moves no deadline and ages nothing.
    let elapsed = clock.elapsed();
    clock.set_time_of_day(UNIX_EPOCH + LONG * 3);
    assert_eq!((last().at + last().ago, clock.elapsed()), (UNIX_EPOCH + LONG * 3, elapsed));
    cache.set("key", 1).await.unwrap();
    // A time before 1970 is taken for 1970, and so is that of an error before then.
    clock.set_time_of_day(UNIX_EPOCH - LONG);
    assert_eq!(last().at, UNIX_EPOCH);
}

pub async fn an_injected_outage_fails_every_operation_but_get_or_set(cx: Context) {
    let faults = Faults::new();
    let cache = connected(cx.builder().faults(&faults)).await;
    cache.set("key", 1).await.unwrap();
    faults.fail_with(Fault::Unavailable);
    for (name, operation) in ops::all() {
        let outcome = operation(cache.clone()).await;
        match name.contains("get_or_set") {
            true => outcome.unwrap_or_else(|error| panic!("{name}: {error:?}")),
            false => {
                let error = outcome.expect_err(name);
                assert!(matches!(error, Error::Unavailable { .. }), "{name}: {error:?}");
                assert!(error.is_retryable() && !error.may_have_run(), "{name}");
            }
        }
    }
    assert!(faults.failed() >= ops::all().len() as u64);
    faults.clear();
    let kept = cache.get::<i32>("key").await.unwrap();
    assert!(kept.is_none_or(|value| value == 1), "nothing has run");
    assert_eq!(cache.get_or_set("load", async { 2 }).await.unwrap(), 2);
}

pub async fn the_kind_of_an_injected_fault_determines_the_error(cx: Context) {
    let faults = Faults::new();
    let cache = connected(cx.builder().faults(&faults)).await;
    for may_have_run in [false, true] {
        faults.fail_next(1, Fault::Timeout { may_have_run });
        let error = cache.set("key", 1).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert_eq!(error.may_have_run(), may_have_run);
        faults.fail_next(1, Fault::Disconnected { may_have_run });
        let error = cache.delete("key").await.unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
        assert_eq!(error.may_have_run(), may_have_run);
    }
    faults.fail_next(2, Fault::Overloaded);
    assert!(matches!(cache.ping().await, Err(Error::Overloaded { .. })));
    assert!(matches!(cache.ping().await, Err(Error::Overloaded { .. })));
    cache.ping().await.unwrap();
    faults.fail_next(1, Fault::Server("OOM command not allowed".into()));
    let Err(Error::Server(error)) = cache.set("key", 1).await else { panic!() };
    assert_eq!(error.kind, ServerErrorKind::OutOfMemory);
    faults.fail_next(0, Fault::Unavailable);
    cache.ping().await.unwrap();
    assert_eq!(faults.failed(), 7);
    let loader = async { Err::<i32, _>("away too") };
    faults.fail_with(Fault::Unavailable);
    let failed = cache.try_get_or_set("key", loader).await;
    assert!(matches!(failed, Err(LoadError::Load("away too"))), "{failed:?}");
    cache.disconnect().await.unwrap();
    assert!(matches!(cache.ping().await, Err(Error::NotConnected)), "it is what it is");
}
