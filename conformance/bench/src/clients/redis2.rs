//! `redis` 2.x, the newest release candidate.

use std::time::Duration;

use bytes::Bytes;
use redis2::aio::MultiplexedConnection;
use redis2::io::tcp::TcpSettings;
use redis2::{AsyncCommands as _, AsyncConnectionConfig, IntoConnectionInfo as _, RedisResult};

use super::redis::queue;
use super::{Client, TIMEOUT_SECONDS};
use crate::turn::host::Host;

/// The configuration.
pub(crate) const ABOUT: &str = "as `redis`; that Nagle's algorithm is on is not the default here";

/// A connection that all tasks share.
#[derive(Clone)]
pub(crate) struct Redis2(MultiplexedConnection);

impl Client for Redis2 {
    const HOST: Host = Host::Tokio;

    type Value = RedisResult<Vec<u8>>;

    async fn connect(url: &str, tasks: usize) -> Self {
        let info = url.into_connection_info().expect("a URL");
        let tcp = TcpSettings::default().set_nodelay(false);
        let client = redis2::Client::open(info.set_tcp_settings(tcp)).expect("a client");
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_pipeline_buffer_size(queue(tasks));
        let opened = client.get_multiplexed_async_connection_with_config(&config).await;
        Self(opened.expect("it connects"))
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
