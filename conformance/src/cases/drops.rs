//! Thousands of calls that are dropped at any point: every remaining caller gets its own value.

use async_caches::Cache;

use super::ops;
use crate::abandon::{after_pending, after_polls};
use crate::context::{Context, connected};
use crate::random::Random;

pub async fn ten_thousand_gets_under_random_drops_see_their_own_value(cx: Context) {
    let cache = connected(cx.builder().minsize(1).maxsize(3)).await;
    store_all(&cache).await;
    const TASKS: u64 = 40;
    let tasks: Vec<_> = (0..TASKS)
        .map(|seed| cx.spawn(get_and_drop(cache.clone(), seed, CHECKS / TASKS)))
        .collect();
    let mut dropped = 0;
    for task in tasks {
        dropped += task.await;
    }
    assert!(dropped > CHECKS / 10, "only {dropped} calls were dropped");
}

pub async fn a_thousand_tasks_on_few_connections_are_served_while_others_give_up(cx: Context) {
    // So few slots that all connections are in use, and most callers wait for room.
    let builder = cx.builder().minsize(1).maxsize(4).max_in_flight(32);
    let cache = connected(builder.response_timeout(ops::LONG)).await;
    store_all(&cache).await;
    let tasks: Vec<_> =
        (0..1_000).map(|seed| cx.spawn(get_and_drop(cache.clone(), 1_000 + seed, 3))).collect();
    for task in tasks {
        cx.in_time(ops::LONG, "a task", task).await;
    }
}

pub async fn dropped_writes_run_once_or_never(cx: Context) {
    let cache = cx.cache().await;
    let mut random = Random::new(7);
    cache.set("n", 0).await.unwrap();
    let (mut certain, mut perhaps) = (0, 0);
    for _ in 0..500 {
        match after_pending(1 + random.below(3), cache.incr("n", 1)).await {
            Some(sum) => {
                sum.unwrap();
                certain += 1;
            }
            None => perhaps += 1,
        }
    }
    let sum = cache.get::<i64>("n").await.unwrap().unwrap();
    assert!((certain..=certain + perhaps).contains(&sum), "{certain}, {perhaps}: {sum}");
    for n in 0..100 {
        let key = format!("set-{n}");
        let _ = after_polls(random.below(4), cache.set(&key, "x".repeat(n))).await;
        let stored = cache.get::<String>(&key).await.unwrap();
        assert!(stored.is_none_or(|stored| stored == "x".repeat(n)));
    }
}

async fn store_all(cache: &Cache) {
    cache.set_many((0..KEYS).map(|n| (format!("key-{n}"), value(n)))).await.unwrap();
}

/// Gets until `checks` gets were awaited to their end, and drops about as many others at random
/// points. Returns how many were dropped.
async fn get_and_drop(cache: Cache, seed: u64, checks: u64) -> u64 {
    let mut random = Random::new(seed);
    let (mut checked, mut dropped) = (0, 0);
    while checked < checks {
        let n = random.below(KEYS);
        let key = format!("key-{n}");
        let (patience, many) = (random.below(5), random.below(10) == 0);
        let outcome = match random.below(4) {
            0 => after_polls(patience, one_or_many(&cache, &key, many)).await,
            1 => after_pending(patience, one_or_many(&cache, &key, many)).await,
            _ => Some(one_or_many(&cache, &key, many).await),
        };
        match outcome {
            Some(read) => {
                assert_eq!(read.as_ref(), Some(&value(n)), "seed {seed}, {checked} checks");
                checked += 1;
            }
            None => dropped += 1,
        }
    }
    dropped
}

async fn one_or_many(cache: &Cache, key: &str, many: bool) -> Option<String> {
    if !many {
        return cache.get::<String>(key).await.unwrap();
    }
    let read = cache.get_many::<String>([key, "never", key]).await.unwrap();
    assert_eq!((read.len(), &read[0], &read[1]), (3, &read[2], &None));
    read.into_iter().next().flatten()
}

/// A value that identifies its key, and differs from its neighbours' in length.
fn value(n: u64) -> String {
    format!("{n}-").repeat(1 + usize::try_from(n * n % 97).expect("it is below 97"))
}

const KEYS: u64 = 200;
const CHECKS: u64 = 10_000;
