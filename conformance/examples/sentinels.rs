//! A failover on one machine. `cargo run -p async-caches-conformance --example sentinels` starts a
//! master, a replica and three sentinels, counts through them, kills the master and goes on
//! counting. All five are stopped by their process ids at the end.
//!
//! With `--keep` it kills nothing and waits until its input ends, so that a program of your own can
//! use the URL that it prints.
#![allow(clippy::print_stdout, reason = "it tells what happens")]

use std::io::Read as _;
use std::time::{Duration, Instant};

use async_caches_conformance::sentinels::{Trio, is_master};
use async_caches_conformance::server::Kind;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), async_caches_tokio::Error> {
    let mut trio = Trio::start(Kind::Redis, None, Duration::from_millis(500));
    println!("{}", trio.url(0));
    println!("master {}, replica {}", trio.servers[0].address(), trio.servers[1].address());
    if std::env::args().any(|argument| argument == "--keep") {
        println!("they run until the input ends (Ctrl-D)");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        return Ok(());
    }
    let cache = async_caches_tokio::connect(&trio.url(0)).await?;
    cache.set("count", 0).await?;
    println!("count: {}", cache.incr("count", 1).await?);
    // Replication is asynchronous: give it time.
    tokio::time::sleep(Duration::from_millis(200)).await;
    trio.servers[0].kill();
    let start = Instant::now();
    println!("the master is killed");
    loop {
        let counted = cache.incr("count", 1).await;
        let (after, promoted) = (start.elapsed(), is_master(&trio.servers[1]));
        match counted {
            Ok(count) => {
                println!("{after:?}: count: {count}; the replica is the master: {promoted}");
                break;
            }
            Err(error) if error.is_retryable() => println!("{after:?}: {error}"),
            Err(error) => return Err(error),
        }
    }
    cache.disconnect().await
}
