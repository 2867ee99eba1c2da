//! A library that caches and forces no runtime on anyone, used from tokio and from smol.
//!
//! ```text
//! cargo run --example neutral_library                     # both meet in one store in memory
//! cargo run --example neutral_library redis://localhost   # or on a server
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use async_caches_tokio::Error;

/// What would be a crate of its own. Its only dependency is `async-caches`, which has no runtime
/// in its tree; no type here is generic, and there is no feature to choose.
#[allow(unreachable_pub, reason = "in a crate of its own it would be reached")]
mod weather {
    use std::time::Duration;

    use async_caches::{Cache, Error};

    /// The forecast for a city. Whoever calls decides where the cache is and what runs it.
    pub async fn forecast(cache: &Cache, city: &str) -> Result<String, Error> {
        // A name of its own under whatever prefix the application chose.
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

    // Another runtime and another adapter, and yet the same types: `Cache` is `Cache`. With
    // `locmem://` it is also the same store, which stays as long as some cache is connected to it.
    smol::block_on(async {
        let cache = async_caches_smol::builder(&url).key_prefix(prefix).connect().await?;
        println!("on smol   {}  (from the cache)", weather::forecast(&cache, "Lisbon").await?);
        println!("on smol   {}", weather::forecast(&cache, "Oslo").await?);
        cache.disconnect().await
    })?;

    // What smol stored is there for tokio.
    tokio.block_on(async {
        println!("on tokio  {}  (from the cache)", weather::forecast(&on_tokio, "Oslo").await?);
        on_tokio.clear_prefix().await?;
        on_tokio.disconnect().await
    })
}
