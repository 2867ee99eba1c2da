//! `redis` 1.x on smol.

use bytes::Bytes;

use super::Client;
use super::redis::Redis;
use crate::turn::host::Host;

/// The configuration.
pub(crate) const ABOUT: &str = "as `redis`, on smol";

/// A connection that all tasks share.
#[derive(Clone)]
pub(crate) struct RedisSmol(Redis);

impl Client for RedisSmol {
    const HOST: Host = Host::Smol;

    type Value = <Redis as Client>::Value;

    async fn connect(url: &str, tasks: usize) -> Self {
        redis::aio::prefer_smol().expect("nobody else preferred anything");
        Self(Redis::open(url, tasks).await)
    }

    fn get<'a>(&'a mut self, key: &'a str) -> impl Future<Output = Self::Value> + Send {
        self.0.get(key)
    }

    fn len(value: &Self::Value) -> usize {
        Redis::len(value)
    }

    async fn set(&mut self, key: &str, value: &Bytes) {
        self.0.set(key, value).await;
    }

    async fn get_many(&mut self, keys: &[String]) -> usize {
        self.0.get_many(keys).await
    }
}
