//! `redis` 1.x on a cluster: one connection, which is cloned for each task.

use std::time::Duration;

use bytes::Bytes;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncCommands as _, RedisResult};

use super::addresses;
use crate::clients::{Client, TIMEOUT_SECONDS};
use crate::turn::host::Host;

#[derive(Clone)]
pub(super) struct Redis(ClusterConnection);

impl Client for Redis {
    const HOST: Host = Host::Tokio;

    type Value = RedisResult<Vec<u8>>;

    async fn connect(url: &str, _tasks: usize) -> Self {
        // It only takes effect once in a process, and all calls here agree.
        let _ = redis::aio::prefer_tokio();
        let nodes: Vec<_> = addresses(url).map(|at| format!("redis://{at}")).collect();
        let client = ClusterClientBuilder::new(nodes)
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE)
            .build()
            .expect("a client");
        Self(client.get_async_connection().await.expect("it connects"))
    }

    fn get<'a>(&'a mut self, key: &'a str) -> impl Future<Output = Self::Value> + Send {
        self.0.get(key)
    }

    fn len(value: &Self::Value) -> usize {
        value.as_ref().expect("a hit").len()
    }

    async fn set(&mut self, key: &str, value: &Bytes) {
        let timeout = TIMEOUT_SECONDS.into();
        self.0.set_ex::<_, _, ()>(key, &value[..], timeout).await.expect("it is set");
    }

    async fn get_many(&mut self, keys: &[String]) -> usize {
        let values: Vec<Option<Vec<u8>>> = self.0.mget(keys).await.expect("it answers");
        values.iter().flatten().count()
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
