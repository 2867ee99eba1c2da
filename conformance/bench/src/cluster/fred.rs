//! `fred` on a cluster: one client, configured as it is for one server.

use bytes::Bytes;
use fred::prelude::*;

use super::addresses;
use crate::clients::{Client as Measured, TIMEOUT_SECONDS};
use crate::turn::host::Host;

#[derive(Clone)]
pub(super) struct Fred(Client);

impl Measured for Fred {
    const HOST: Host = Host::Tokio;

    type Value = FredResult<Bytes>;

    async fn connect(url: &str, _tasks: usize) -> Self {
        let mut nodes = addresses(url);
        let first = nodes.next().expect("there is a node");
        let others: Vec<_> = nodes.map(|at| format!("node={at}")).collect();
        let url = format!("redis-cluster://{first}?{}", others.join("&"));
        let mut builder = Builder::from_config(Config::from_url(&url).expect("a URL"));
        builder.with_connection_config(|connection| connection.tcp.nodelay = Some(true));
        builder.with_performance_config(|performance| performance.max_feed_count = FEED);
        let client = builder.build().expect("a client");
        client.init().await.expect("it connects");
        Self(client)
    }

    fn get<'a>(&'a mut self, key: &'a str) -> impl Future<Output = Self::Value> + Send {
        self.0.get(key)
    }

    fn len(value: &Self::Value) -> usize {
        value.as_ref().expect("a hit").len()
    }

    async fn set(&mut self, key: &str, value: &Bytes) {
        let expiration = Some(Expiration::EX(TIMEOUT_SECONDS.into()));
        let set = self.0.set::<(), _, _>(key, value.clone(), expiration, None, false);
        set.await.expect("it is set");
    }

    async fn get_many(&mut self, keys: &[String]) -> usize {
        let mut found = 0;
        for key in keys {
            let value: Option<Bytes> = self.0.get(key).await.expect("it answers");
            found += usize::from(value.is_some());
        }
        found
    }
}

const FEED: u64 = 1000;
