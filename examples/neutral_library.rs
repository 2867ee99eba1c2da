//! A library that caches without forcing a runtime on its users, called from tokio and from smol.
//!
//! ```text
//! cargo run --example neutral_library                     # both meet in one store in memory
//! cargo run --example neutral_library redis://localhost   # or on a server
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use async_caches_tokio::Error;

/// In a real project this would be a crate of its own. Its only dependency is `async-caches`, which
/// depends on no runtime. No type here is generic, and there is no feature to choose.
#[allow(unreachable_pub, reason = "in a crate of its own it would be reached")]
mod weather {
    use std::time::Duration;

    use async_caches::{Cache, Error};

    /// The forecast for a city. The caller decides where the cache is and which runtime runs it.
    pub async fn forecast(cache: &Cache, city: &str) -> Result<String, Error> {
        // The library's own names, under the prefix that the application chose.
        let key = format!("weather/{city}");
        cache.get_or_set(key, ask_the_weather_service(city)).timeout(TEN_MINUTES).await
    }

    async fn ask_the_weather_service(city: &str) -> String {
        println!("  (asking the weather service about {city})");
        format!("{city}: sunny spells")
    }

    const TEN_MINUTES: Duration = Duration::from_secs(600);
}

fn main() -> Result<(), Error> {
    let url = env::args().nth(1).unwrap_or_else(|| "locmem://neutral_library".into());
    let prefix = "async-caches-neutral-library";

    let tokio = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let on_tokio = tokio.block_on(async {
        let cache = async_caches_tokio::builder(&url).key_prefix(prefix).connect().await?;
        cache.clear_prefix().await?;
        println!("on tokio  {}", weather::forecast(&cache, "Lisbon").await?);
        Ok::<_, Error>(cache)
    })?;

    // This is another runtime with another adapter, but the types are the same: `Cache` is `Cache`.
    // With `locmem://` the store is the same too; it exists as long as some cache is connected to
    // it.
    smol::block_on(async {
        let cache = async_caches_smol::builder(&url).key_prefix(prefix).connect().await?;
        println!("on smol   {}  (from the cache)", weather::forecast(&cache, "Lisbon").await?);
        println!("on smol   {}", weather::forecast(&cache, "Oslo").await?);
        cache.disconnect().await
    })?;

    // tokio finds the entry that smol stored.
    tokio.block_on(async {
        println!("on tokio  {}  (from the cache)", weather::forecast(&on_tokio, "Oslo").await?);
        on_tokio.clear_prefix().await?;
        on_tokio.disconnect().await
    })
}
