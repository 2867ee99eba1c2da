//! A cache on a tokio runtime with a paused clock uses that clock.

use std::future::pending;
use std::time::Duration;

use async_caches_tokio::{Remaining, builder};
use tokio::time::{Instant, advance, sleep, timeout};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn entries_in_memory_expire_by_the_paused_clock() {
    let cache = builder("locmem://paused").connect().await.unwrap();
    cache.set("key", 1).timeout(MINUTE).await.unwrap();
    advance(MINUTE - Duration::from_millis(1)).await;
    let left = Remaining::For(Duration::from_millis(1));
    assert_eq!(cache.remaining("key").await.unwrap(), left);
    // Nothing else runs, so the paused clock advances by itself.
    sleep(Duration::from_millis(1)).await;
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_load_ends_by_the_paused_clock() {
    let cache = builder("locmem://paused-load").load_wait(MINUTE).connect().await.unwrap();
    let leading = cache.get_or_set("key", pending::<i32>()).into_owned();
    let leader = tokio::spawn(leading);
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let load = cache.get_or_set("key", async { 2 });
    assert_eq!(timeout(MINUTE * 2, load).await.unwrap().unwrap(), 2);
    assert_eq!(begun.elapsed().as_secs(), 60);
    leader.abort();
}

#[tokio::test]
async fn without_a_pause_the_system_clock_is_used() {
    let cache = builder("locmem://running").connect().await.unwrap();
    cache.set("key", 1).timeout(Duration::from_millis(20)).await.unwrap();
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
}
