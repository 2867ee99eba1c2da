//! `async-caches`, on each of its runtimes.

use std::marker::PhantomData;
use std::time::Duration;

use async_caches::{Builder, Bytes, Cache, Error};

use super::{Client, Decodes, TIMEOUT_SECONDS};
use crate::dataset::Record;
use crate::turn::host::Host;

/// The configuration.
pub(crate) const ABOUT: &str = "as it comes: `connect(url)` with no options but those in its \
    name; `get_raw`, `set_raw` and `get_many_raw`";

/// A cache on the runtime of an adapter.
#[derive(Debug)]
pub(crate) struct Ours<A> {
    cache: Cache,
    adapter: PhantomData<fn() -> A>,
}

/// The adapters.
pub(crate) trait Adapter: 'static {
    const HOST: Host;

    fn builder(url: &str) -> Builder;
}

/// On tokio.
#[derive(Debug)]
pub(crate) enum Tokio {}

/// On smol.
#[derive(Debug)]
pub(crate) enum Smol {}

/// On async-std.
#[derive(Debug)]
pub(crate) enum AsyncStd {}

impl Adapter for Tokio {
    const HOST: Host = Host::Tokio;

    fn builder(url: &str) -> Builder {
        async_caches_tokio::builder(url)
    }
}

impl Adapter for Smol {
    const HOST: Host = Host::Smol;

    fn builder(url: &str) -> Builder {
        async_caches_smol::builder(url)
    }
}

impl Adapter for AsyncStd {
    const HOST: Host = Host::AsyncStd;

    fn builder(url: &str) -> Builder {
        async_caches_async_std::builder(url)
    }
}

impl<A> Clone for Ours<A> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), adapter: PhantomData }
    }
}

impl<A: Adapter> Client for Ours<A> {
    const HOST: Host = A::HOST;
    const STEM: &'static str = "::";

    type Value = Result<Option<Bytes>, Error>;

    async fn connect(url: &str, _tasks: usize) -> Self {
        let cache = A::builder(url).connect().await.expect("it connects");
        Self { cache, adapter: PhantomData }
    }

    fn get<'a>(&'a mut self, key: &'a str) -> impl Future<Output = Self::Value> + Send {
        self.cache.get_raw(key)
    }

    fn len(value: &Self::Value) -> usize {
        value.as_ref().expect("it answers").as_ref().expect("a hit").len()
    }

    async fn set(&mut self, key: &str, value: &Bytes) {
        let timeout = Duration::from_secs(TIMEOUT_SECONDS.into());
        self.cache.set_raw(key, value.clone()).timeout(timeout).await.expect("it is set");
    }

    async fn get_many(&mut self, keys: &[String]) -> usize {
        let values = self.cache.get_many_raw(keys).await.expect("it answers");
        values.iter().flatten().count()
    }
}

impl<A: Adapter> Decodes for Ours<A> {
    async fn get_json(&mut self, key: &str) {
        self.cache.get::<Record>(key).await.expect("it answers").expect("a hit");
    }

    async fn get_or_set(&mut self, key: &str) {
        self.cache.get_or_set(key, async { load() }).await.expect("it answers");
    }
}

fn load() -> Record {
    panic!("a hit is not loaded")
}
