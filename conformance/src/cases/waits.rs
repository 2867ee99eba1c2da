//! Callers that wait for the loads of others: no caller waits for itself, or for longer than it is
//! willing to.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_caches::Cache;

use super::ops::never_loaded;
use crate::context::Context;
use crate::gate::{Gate, held_load};

pub async fn a_loader_that_asks_for_its_own_key_gets_the_inner_value(cx: Context) {
    let cache = cx.cache().await;
    let inner = async { cache.get_or_set("key", async { 1 }).await.unwrap() + 1 };
    let outer = cache.get_or_set("key", inner);
    assert_eq!(cx.within(SOON, "a load inside itself", outer).await.unwrap(), 2);
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(2), "the outer value is stored");
    let third = cache.try_get_or_set("deep", async { Ok::<_, Infallible>(1) });
    let second = cache.try_get_or_set("deep", async { Ok::<_, Infallible>(third.await.unwrap()) });
    let first = cache.get_or_set("deep", async { second.await.unwrap() });
    assert_eq!(cx.within(SOON, "a load inside itself, twice", first).await.unwrap(), 1);
}

pub async fn a_ring_of_loaders_ends(cx: Context) {
    // Two caches of one store, and one of another. Their loads form one graph.
    let caches = [cx.cache().await, cx.cache().await, elsewhere(&cx).await];
    for length in 1..=5 {
        let asked = ring(caches.clone().to_vec(), length, 0, length + 1);
        let value = cx.within(SOON, "a ring of loads", asked).await;
        assert_eq!(value, length + 1, "every loader ran once, and the first one once more inside");
        let cache = &caches[0];
        let hit = cache.get_or_set(format!("ring-{length}-0"), never_loaded::<usize>());
        assert_eq!(hit.await.unwrap(), length + 1, "the outer load of the first key is stored");
    }
}

/// Loads a key whose loader loads the next one, in a ring of `length` keys, `left` times at most.
fn ring(caches: Vec<Cache>, length: usize, at: usize, left: usize) -> Asked<usize> {
    Box::pin(async move {
        if left == 0 {
            return 0;
        }
        let cache = caches[at % caches.len()].clone();
        let next = ring(caches, length, (at + 1) % length, left - 1);
        let load = async { next.await + 1 };
        cache.get_or_set(format!("ring-{length}-{at}"), load).await.unwrap()
    })
}

pub async fn tasks_whose_loaders_cross_all_end(cx: Context) {
    let caches = [cx.cache().await, cx.cache().await, elsewhere(&cx).await];
    for tasks in 2..=4 {
        let begun: Vec<Gate> = (0..tasks).map(|_| Gate::default()).collect();
        let all: Vec<_> = (0..tasks)
            .map(|at| {
                let next = (at + 1) % tasks;
                let (mine, other) = (caches[at % 3].clone(), caches[next % 3].clone());
                let (mine_key, other_key) =
                    (format!("cross-{tasks}-{at}"), format!("cross-{tasks}-{next}"));
                let gate = begun[at].clone();
                cx.spawn(async move {
                    let load = async {
                        gate.pass().await;
                        other.get_or_set(other_key, async { 1 }).await.unwrap() + 1
                    };
                    mine.get_or_set(mine_key, load).await.unwrap()
                })
            })
            .collect();
        for gate in &begun {
            gate.reached(&cx).await;
        }
        begun.iter().for_each(Gate::open);
        for task in all {
            let value = cx.within(SOON, "a load that crosses others", task).await;
            assert!((2..=tasks + 1).contains(&value), "{value} of {tasks}");
        }
    }
}

pub async fn a_loader_that_waits_for_several_loads_at_once_ends(cx: Context) {
    let cache = cx.cache().await;
    let child = |name: &'static str| -> Asked<u32> {
        let cache = cache.clone();
        Box::pin(async move {
            let load = {
                let cache = cache.clone();
                async move { cache.get_or_set("parent", async { 1 }).await.unwrap() + 1 }
            };
            cache.get_or_set(name, load).await.unwrap()
        })
    };
    let loader = async {
        let mut children = ["b", "c", "b", "d"].map(child).map(Some);
        let mut sum = 0;
        poll_fn(|cx| {
            for child in &mut children {
                if let Some(asked) = child
                    && let Poll::Ready(value) = asked.as_mut().poll(cx)
                {
                    sum += value;
                    *child = None;
                }
            }
            if children.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        sum
    };
    let parent = cache.get_or_set("parent", loader);
    assert_eq!(cx.within(SOON, "a loader with several children", parent).await.unwrap(), 8);
    assert_eq!(cache.get::<u32>("parent").await.unwrap(), Some(8));
}

pub async fn a_wait_that_moves_into_a_loader_counts_as_its_wait(cx: Context) {
    let cache = cx.cache().await;
    let gate = Gate::default();
    let (inner, asking) = (gate.clone(), cache.clone());
    // This task leads the load of b, and will ask for a.
    let leader = cx.spawn(async move {
        let load = async {
            inner.pass().await;
            asking.get_or_set("a", async { 1 }).await.unwrap() + 1
        };
        asking.get_or_set("b", load).await.unwrap()
    });
    gate.reached(&cx).await;
    // This caller waits for b outside of all loads first, and then inside the load of a.
    let mut follower = Box::pin(cache.get_or_set("b", async { 10 }));
    for _ in 0..20 {
        assert!(is_pending(&mut follower).await);
        cx.sleep(Duration::from_millis(1)).await;
    }
    let loader = async {
        assert!(is_pending(&mut follower).await);
        gate.open();
        follower.await.unwrap()
    };
    let value = cx.within(SOON, "a wait that moved", cache.get_or_set("a", loader)).await.unwrap();
    assert_eq!((value, cx.within(SOON, "the leader", leader).await), (2, 2));
}

pub async fn a_dropped_load_leaves_no_wait_behind(cx: Context) {
    let cache = cx.cache().await;
    for round in 0..3 {
        // A drop in the middle of a loader leaves nothing behind on the thread.
        let mut dropped = Box::pin(
            cache.get_or_set("a", async { cache.get_or_set("b", pending::<i32>()).await.unwrap() }),
        );
        for _ in 0..20 {
            assert!(is_pending(&mut dropped).await);
            cx.sleep(Duration::from_millis(1)).await;
        }
        drop(dropped);
        let a = cache.get_or_set("a", async { cache.get_or_set("b", async { 1 }).await.unwrap() });
        assert_eq!(cx.within(SOON, "a load", a).await.unwrap(), 1, "{round}");
        let b = cache.get_or_set("b", never_loaded::<i32>());
        assert_eq!(cx.within(SOON, "a hit", b).await.unwrap(), 1, "{round}");
        assert_eq!(cache.delete_many(["a", "b"]).await.unwrap(), 2);
    }
}

pub async fn an_unpolled_leader_delays_others_by_load_wait(cx: Context) {
    let cache = cx.cache_with("load_wait=0.05").await;
    let mut kept = Box::pin(cache.get_or_set("key", pending::<u32>()));
    loading(&cx, &mut kept).await;
    let follower = cache.get_or_set("key", async { 1 });
    assert_eq!(cx.within(SOON, "the follower", follower).await.unwrap(), 1);
    assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(1), "it is stored");
    let hit = cache.get_or_set("key", never_loaded::<u32>());
    assert_eq!(cx.within(SOON, "a later caller", hit).await.unwrap(), 1);
    drop(kept);
    assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(1));
}

pub async fn a_caller_can_limit_its_wait_for_a_load(cx: Context) {
    let cache = cx.cache_with("load_wait=3600").await;
    let mut kept = Box::pin(cache.get_or_set("key", pending::<u32>()));
    loading(&cx, &mut kept).await;
    let mut patient = Box::pin(cache.get_or_set("key", never_loaded::<u32>()));
    loading(&cx, &mut patient).await;
    let wait = Duration::from_millis(20);
    let failing = cache.try_get_or_set("key", async { Err::<u32, _>("no luck") }).load_wait(wait);
    assert!(cx.within(SOON, "the impatient one", failing).await.is_err());
    assert!(is_pending(&mut patient).await, "a load that failed is its caller's alone");
    let at_once = cache.get_or_set("key", async { 2 }).load_wait(Duration::ZERO);
    assert_eq!(cx.within(SOON, "one that never waits", at_once).await.unwrap(), 2);
    assert_eq!(cx.within(SOON, "the patient one", patient).await.unwrap(), 2, "it is served");
}

pub async fn a_waiter_that_panics_lets_the_next_take_over(cx: Context) {
    let cache = cx.cache_with("load_wait=3600").await;
    let gate = Gate::default();
    let (inner, leading) = (gate.clone(), cache.clone());
    let leader = cx.spawn(async move {
        let load = async {
            inner.pass().await;
            never_loaded::<u32>().await
        };
        panics(leading.get_or_set("key", load)).await
    });
    gate.reached(&cx).await;
    // The first waiter's own task panics. The loaders of the next three panic once they inherit.
    let (mut first, leave) = (Box::pin(cache.get_or_set("key", async { 0 })), Gate::default());
    loading(&cx, &mut first).await;
    let unwound = leave.clone();
    let first = panics(async move {
        let _waits = first;
        unwound.pass().await;
        panic!("as planned");
    });
    let mut heirs: Vec<_> =
        (0..3).map(|_| Box::pin(panics(cache.get_or_set("key", never_loaded::<u32>())))).collect();
    for heir in &mut heirs {
        loading(&cx, heir).await;
    }
    let mut last = Box::pin(cache.get_or_set("key", async { 1 }));
    loading(&cx, &mut last).await;
    leave.open();
    assert!(cx.within(SOON, "the first waiter", first).await);
    gate.open();
    assert!(cx.within(SOON, "the leader", leader).await);
    for heir in heirs {
        assert!(cx.within(SOON, "an heir", heir).await, "it inherits the load");
    }
    assert_eq!(cx.within(SOON, "the last waiter", last).await.unwrap(), 1);
    assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(1));
}

pub async fn many_followers_of_a_leader_that_is_not_polled_all_end(cx: Context) {
    let cache = cx.cache_with("load_wait=0.05").await;
    let mut kept = Box::pin(cache.get_or_set("key", pending::<u32>()));
    loading(&cx, &mut kept).await;
    // Heirs of the load, which are not polled either.
    let mut heirs: Vec<_> =
        (0..3).map(|_| Box::pin(cache.get_or_set("key", pending::<u32>()))).collect();
    for heir in &mut heirs {
        loading(&cx, heir).await;
    }
    drop(kept);
    let loads = Arc::new(AtomicU32::new(0));
    let followers: Vec<_> = (0..50)
        .map(|_| {
            let (cache, loads) = (cache.clone(), loads.clone());
            cx.spawn(async move {
                let load = async { loads.fetch_add(1, Ordering::SeqCst) };
                cache.get_or_set("key", load).await.unwrap()
            })
        })
        .collect();
    for follower in followers {
        let value = cx.within(SOON, "a follower", follower).await;
        assert!(value < loads.load(Ordering::SeqCst));
    }
}

pub async fn a_load_after_load_wait_does_not_undo_a_write(cx: Context) {
    let cache = cx.cache_with("load_wait=0.03").await;
    let mut kept = Box::pin(cache.get_or_set("key", pending::<u32>()));
    loading(&cx, &mut kept).await;
    let (gate, second) = held_load(&cx, &cache, "key", 1).await;
    cx.within(SOON, "the write", cache.set("key", 2)).await.unwrap();
    gate.open();
    assert_eq!(cx.within(SOON, "the load", second).await, 1);
    assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(2));
}

/// A cache in memory that shares nothing with the one under test.
async fn elsewhere(cx: &Context) -> Cache {
    let name = COUNT.fetch_add(1, Ordering::Relaxed);
    let cache = cx.builder_of(&format!("locmem://elsewhere-{name}")).build().unwrap();
    cache.connect().await.unwrap();
    cache
}

/// Whether a call panics. Its future is gone then, dropped while the panic unwinds.
async fn panics<T>(call: impl Future<Output = T>) -> bool {
    let mut call = Some(Box::pin(call));
    poll_fn(|cx| {
        let mut polled = call.take().expect("it is not done");
        // The future is moved in, so that unwinding drops it.
        let poll = catch_unwind(AssertUnwindSafe(move || match polled.as_mut().poll(cx) {
            Poll::Ready(_) => None,
            Poll::Pending => Some(polled),
        }));
        match poll {
            Ok(Some(pending)) => {
                call = Some(pending);
                Poll::Pending
            }
            Ok(None) => Poll::Ready(false),
            Err(_) => Poll::Ready(true),
        }
    })
    .await
}

/// Polls a caller until it surely waits for its own load, which hangs, or for another's.
async fn loading<F: Future + Unpin>(cx: &Context, future: &mut F) {
    for _ in 0..20 {
        assert!(is_pending(future).await);
        cx.sleep(Duration::from_millis(1)).await;
    }
}

async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

type Asked<T> = Pin<Box<dyn Future<Output = T> + Send>>;

static COUNT: AtomicU32 = AtomicU32::new(0);

const SOON: Duration = Duration::from_secs(3);
