//! `bb8` over `redis` 1.x.

use bb8::Pool;
use bb8_redis::RedisConnectionManager;
use bytes::Bytes;
use redis::io::tcp::TcpSettings;
use redis::{AsyncCommands as _, IntoConnectionInfo as _, RedisResult};

use super::{Client, TIMEOUT_SECONDS};
use crate::turn::host::Host;

/// The configuration.
pub(crate) const ABOUT: &str = "`bb8` over `redis` 1.x with ten connections that are all opened \
    beforehand, `TCP_NODELAY`, and no `PING` when one is taken out";

/// A pool that all tasks share.
#[derive(Clone)]
pub(crate) struct Bb8(Pool<RedisConnectionManager>);

impl Client for Bb8 {
    const HOST: Host = Host::Tokio;

    type Value = RedisResult<Vec<u8>>;

    async fn connect(url: &str, _tasks: usize) -> Self {
        let _ = redis::aio::prefer_tokio();
        let info = url.into_connection_info().expect("a URL");
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let manager = RedisConnectionManager::new(info).expect("a client");
        let builder = Pool::builder().max_size(SIZE).min_idle(SIZE).test_on_check_out(false);
        Self(builder.build(manager).await.expect("it connects"))
    }

    async fn get<'a>(&'a mut self, key: &'a str) -> Self::Value {
        let mut connection = self.0.get().await.expect("a connection");
        connection.get(key).await
    }

    fn len(value: &Self::Value) -> usize {
        value.as_ref().expect("a hit").len()
    }

    async fn set(&mut self, key: &str, value: &Bytes) {
        let mut connection = self.0.get().await.expect("a connection");
        let set = connection.set_ex::<_, _, ()>(key, &value[..], TIMEOUT_SECONDS.into());
        set.await.expect("it is set");
    }

    async fn get_many(&mut self, keys: &[String]) -> usize {
        let mut connection = self.0.get().await.expect("a connection");
        let values: Vec<Option<Vec<u8>>> = connection.mget(keys).await.expect("it answers");
        values.iter().flatten().count()
    }
}

const SIZE: u32 = 10;
