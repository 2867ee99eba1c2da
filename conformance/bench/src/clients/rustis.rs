//! `rustis`.

use bytes::Bytes;
use rustis::client::{Client as Shared, IntoConfig as _};
use rustis::commands::{SetExpiration, StringCommands as _};
use rustis::resp::{BulkString, RefBulkString};

use super::{Client, TIMEOUT_SECONDS};
use crate::turn::host::Host;

/// The configuration.
pub(crate) const ABOUT: &str = "one multiplexed `Client`; RESP3 (it has no other); `TCP_NODELAY` \
    and no command timeout, which are the defaults; `max_messages_per_wave` 48, which is the \
    default, up to 64 tasks, and 128 above; `max_queued_bytes` 256 MiB, as it refuses commands \
    beyond it and the default is 16 MiB; values as `BulkString`";

/// A client that all tasks share.
#[derive(Clone)]
pub(crate) struct Rustis(Shared);

impl Client for Rustis {
    const HOST: Host = Host::Tokio;

    type Value = rustis::Result<BulkString>;

    async fn connect(url: &str, tasks: usize) -> Self {
        let mut config = url.into_config().expect("a URL");
        config.backpressure.max_queued_bytes = QUEUED;
        if tasks > 64 {
            config.max_messages_per_wave = WAVE;
        }
        Self(Shared::connect(config).await.expect("it connects"))
    }

    async fn get<'a>(&'a mut self, key: &'a str) -> Self::Value {
        self.0.get(key).await
    }

    fn len(value: &Self::Value) -> usize {
        value.as_ref().expect("a hit").len()
    }

    async fn set(&mut self, key: &str, value: &Bytes) {
        let expiration = SetExpiration::Ex(TIMEOUT_SECONDS.into());
        let value = RefBulkString::new(value);
        self.0.set_with_options(key, value, None, expiration).await.expect("it is set");
    }

    async fn get_many(&mut self, keys: &[String]) -> usize {
        let values: Vec<Option<BulkString>> = self.0.mget(keys).await.expect("it answers");
        values.iter().flatten().count()
    }
}

const QUEUED: usize = 256 * 1024 * 1024;
const WAVE: usize = 128;
