//! Runs every operation once and prints its result.
//!
//! ```text
//! cargo run --example quickstart                          # in this process's memory
//! cargo run --example quickstart redis://localhost        # on a server
//! cargo run --example quickstart dummy://                 # nowhere: nothing is ever found
//! ```
//!
//! It uses its own key prefix and removes only the keys under it.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::time::Duration;

// This is the only line that names a runtime. `async_caches_smol` and `async_caches_async_std` have
// the same four functions (`open`, `connect`, `builder` and `with`) and the same `Cache`.
use async_caches_tokio as caches;
use caches::{Cache, Error};
use serde::{Deserialize, Serialize};

/// Any type that serde can write as JSON can be cached.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    karma: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = env::args().nth(1).unwrap_or_else(|| "locmem://quickstart".into());

    // The builder overrides the URL. The timeout applies to every write that names no timeout, so
    // no entry of this example lives longer than a minute.
    let cache = caches::builder(&url)
        .key_prefix("async-caches-quickstart")
        .timeout(Duration::from_secs(60))
        .connect()
        .await?;
    println!("connected: {cache:?}\n");
    cache.clear_prefix().await?;

    one_key(&cache).await?;
    timeouts(&cache).await?;
    only_once(&cache).await?;
    counters(&cache).await?;
    many_keys(&cache).await?;
    versions(&cache).await?;

    let removed = cache.clear_prefix().await?;
    println!("clear_prefix             {removed} keys removed, other prefixes untouched");
    cache.disconnect().await?;
    let after = cache.get::<User>("user:1").await;
    println!("get, disconnected        {}", after.unwrap_err());
    Ok(())
}

async fn one_key(cache: &Cache) -> Result<(), Error> {
    let nobody: Option<User> = cache.get("user:1").await?;
    println!("get                      {nobody:?}");

    let ada = User { name: "Ada".into(), karma: 1815 };
    cache.set("user:1", &ada).await?;
    let found: Option<User> = cache.get("user:1").await?;
    println!("set, then get            {found:?}");
    println!("contains                 {}", cache.contains("user:1").await?);
    println!("delete                   {}", cache.delete("user:1").await?);
    println!("delete again             {}\n", cache.delete("user:1").await?);
    Ok(())
}

async fn timeouts(cache: &Cache) -> Result<(), Error> {
    // An operation does nothing until it is awaited. Its options come before `.await`.
    cache.set("soon gone", 1).timeout(Duration::from_millis(50)).await?;
    println!("set for 50 ms, remaining {:?}", cache.remaining("soon gone").await?);
    tokio::time::sleep(Duration::from_millis(60)).await;
    println!("60 ms later, get         {:?}", cache.get::<i32>("soon gone").await?);

    cache.set("kept", 1).forever().await?;
    println!("set forever, remaining   {:?}", cache.remaining("kept").await?);
    println!("touch for 10 s           {}", cache.touch("kept").timeout(TEN_SECONDS).await?);
    println!("then remaining           {:?}\n", cache.remaining("kept").await?);
    Ok(())
}

async fn only_once(cache: &Cache) -> Result<(), Error> {
    println!("add                      {}", cache.add("lock", "mine").await?);
    println!("add again                {}", cache.add("lock", "yours").await?);

    // The future is polled only on a miss, and by one caller at a time.
    for attempt in ["first", "second"] {
        let sum: u64 = cache.get_or_set("sum", expensive_sum()).await?;
        println!("get_or_set, {attempt:<13}{sum}");
    }
    println!();
    Ok(())
}

async fn expensive_sum() -> u64 {
    println!("                         (working hard)");
    (1..=100).sum()
}

async fn counters(cache: &Cache) -> Result<(), Error> {
    // Incrementing a missing counter is an error, because only its owner knows the initial value.
    match cache.incr("visits", 1).await {
        Ok(visits) => println!("incr                     {visits}"),
        Err(error @ Error::KeyNotFound { .. }) => println!("incr                     {error}"),
        Err(error) => return Err(error),
    }
    if cache.add("visits", 41).await? {
        println!("add 41, then incr        {}", cache.incr("visits", 1).await?);
        println!("decr by 2                {}", cache.decr("visits", 2).await?);
        println!("incr by 0.5              {}", cache.incr("visits", 0.5).await?);
    }
    println!();
    Ok(())
}

async fn many_keys(cache: &Cache) -> Result<(), Error> {
    cache.set_many([("a", 1), ("b", 2), ("c", 3)]).timeout(TEN_SECONDS).await?;
    let found: Vec<Option<i32>> = cache.get_many(["c", "nothing", "a"]).await?;
    println!("set_many, then get_many  {found:?}");
    println!("delete_many              {}\n", cache.delete_many(["a", "nothing"]).await?);
    Ok(())
}

async fn versions(cache: &Cache) -> Result<(), Error> {
    // The same name under another version is a different key.
    cache.set("front page", "old layout").version(1).await?;
    cache.set("front page", "new layout").version(2).await?;
    for version in 1..=3 {
        let page: Option<String> = cache.get("front page").version(version).await?;
        println!("get version {version}            {page:?}");
    }
    println!();
    Ok(())
}

const TEN_SECONDS: Duration = Duration::from_secs(10);
