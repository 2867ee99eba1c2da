//! A cluster on one machine. `cargo run -p async-caches-conformance --example cluster` starts three
//! masters and three replicas, counts on all of them from many tasks, moves a slot, kills a master
//! and goes on counting. All six are stopped by their process ids at the end.
//!
//! With `--keep` it only starts them and waits until its input ends, so that a program of your own
//! can use the URL that it prints.
#![allow(clippy::print_stdout, reason = "it tells what happens")]

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_caches_conformance::Cache;
use async_caches_conformance::cluster::{Cluster, slot_of};
use async_caches_conformance::sentinels::is_master;
use async_caches_conformance::server::{Kind, Setup};
use async_caches_tokio::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut cluster =
        Cluster::start(Kind::Redis, &Setup::default(), 3, 3, Duration::from_millis(1_000));
    println!("{}", cluster.url());
    for (at, node) in cluster.nodes.iter().enumerate() {
        println!("{} {}", if at < 3 { "master" } else { "replica" }, node.address());
    }
    if std::env::args().any(|argument| argument == "--keep") {
        println!("they run until the input ends (Ctrl-D)");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        return Ok(());
    }
    let cache = async_caches_tokio::connect(&cluster.url()).await?;
    let load = Load::begin(&cache).await?;
    load.show("three masters").await;

    let key = "{moved}key";
    cache.set(key, "before").await?;
    let slot = slot_of(&cluster.nodes[0], key);
    let from = cluster.master_of(slot);
    let mut moving = cluster.begin_to_move(slot, from, (from + 1) % 3);
    while moving.step() {}
    println!("slot {slot} is on its way: {:?}", cache.get::<String>(key).await?);
    moving.finish();
    println!("it has moved: {:?}", cache.get::<String>(key).await?);

    cluster.nodes[0].kill();
    let start = Instant::now();
    println!("the first master is killed");
    load.show("two of three").await;
    while !is_master(&cluster.nodes[3]) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{:?}: its replica is a master", start.elapsed());
    loop {
        let begun = Instant::now();
        match load.everywhere().await {
            Ok(()) => break,
            Err(error) if error.is_retryable() => println!("{:?}: {error}", begun - start),
            Err(error) => return Err(error),
        }
    }
    println!("{:?}: all keys are written again", start.elapsed());
    load.show("three masters again").await;
    load.stop.store(true, Ordering::Relaxed);
    cache.disconnect().await
}

/// Tasks that count on keys of all nodes.
struct Load {
    cache: Cache,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Load {
    async fn begin(cache: &Cache) -> Result<Self, Error> {
        let load = Self {
            cache: cache.clone(),
            stop: Arc::default(),
            done: Arc::default(),
            failed: Arc::default(),
        };
        load.everywhere().await?;
        for n in 0..TASKS {
            let (cache, stop) = (load.cache.clone(), Arc::clone(&load.stop));
            let (done, failed) = (Arc::clone(&load.done), Arc::clone(&load.failed));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let count = match cache.incr(format!("count{n}"), 1).await {
                        Ok(_) => &done,
                        Err(_) => &failed,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Ok(load)
    }

    /// Sets a key for each task, on all nodes.
    async fn everywhere(&self) -> Result<(), Error> {
        self.cache.set_many((0..TASKS).map(|n| (format!("count{n}"), 0))).await
    }

    /// Prints how many additions succeeded and failed within a second.
    async fn show(&self, when: &str) {
        let now = || (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        let before = now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = now();
        println!("{when}: {} counted, {} failed", after.0 - before.0, after.1 - before.1);
    }
}

const TASKS: u64 = 64;
