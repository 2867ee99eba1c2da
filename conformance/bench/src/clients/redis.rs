//! `redis` 1.x.

use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig, RedisResult, TlsCertificates};

use super::{Client, TIMEOUT_SECONDS, authority};
use crate::turn::host::Host;

/// The configuration.
pub(crate) const ABOUT: &str = "one `MultiplexedConnection`, cloned for each task (a \
    `ConnectionManager` is the same behind one more layer); RESP2; Nagle's algorithm on, which is \
    the default, faster on several threads and at 16 KiB, and else the same; \
    `pipeline_buffer_size` 50, which is the default, up to 256 tasks, and 1024 above; timeouts of \
    5 s, so that nothing fails at 1 MiB; `set_ex`, values as `Vec<u8>`";

/// A connection that all tasks share.
#[derive(Clone)]
pub(crate) struct Redis(MultiplexedConnection);

impl Redis {
    /// Connects on the process's preferred runtime.
    pub(super) async fn open(url: &str, tasks: usize) -> Self {
        // Nagle's algorithm stays on, as it is by default, so a late write waits for the others.
        let (url, authority) = authority::split(url);
        let client = match authority {
            None => redis::Client::open(url),
            Some(_) => {
                let trusted = TlsCertificates { client_tls: None, root_cert: authority };
                redis::Client::build_with_tls(url, trusted)
            }
        };
        let client = client.expect("a client");
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_pipeline_buffer_size(queue(tasks));
        let opened = client.get_multiplexed_async_connection_with_config(&config).await;
        Self(opened.expect("it connects"))
    }
}

impl Client for Redis {
    const HOST: Host = Host::Tokio;

    type Value = RedisResult<Vec<u8>>;

    async fn connect(url: &str, tasks: usize) -> Self {
        redis::aio::prefer_tokio().expect("nobody else preferred anything");
        Self::open(url, tasks).await
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

/// The length of the queue to the connection. The default splits the commands of a few tasks into
/// two waves, so that client and server work at the same time; but it makes many tasks wait for
/// each other.
pub(super) fn queue(tasks: usize) -> usize {
    if tasks > 256 { 1024 } else { 50 }
}

const PATIENCE: Duration = Duration::from_secs(5);
