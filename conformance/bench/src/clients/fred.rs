//! `fred`.

use bytes::Bytes;
use fred::prelude::*;
use fred::types::config::TlsConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::{Client, TIMEOUT_SECONDS, authority};
use crate::turn::host::Host;

/// The configuration.
pub(crate) const ABOUT: &str = "one client; RESP2; `TCP_NODELAY`; `max_feed_count` 1000, which is \
    faster on several threads than the default of 200; no command timeout, which is the default; \
    values as `Bytes` that are slices of what was read";

/// The configuration of the pool.
pub(crate) const ABOUT_POOL: &str = "as `fred`, a `Pool` of ten clients: better than one at 16 KiB \
    with many tasks, and worse at small values";

/// A pool that all tasks share.
#[derive(Clone)]
pub(crate) struct Fred<const CLIENTS: usize>(Pool);

impl<const CLIENTS: usize> Client for Fred<CLIENTS> {
    const HOST: Host = Host::Tokio;

    type Value = FredResult<Bytes>;

    async fn connect(url: &str, _tasks: usize) -> Self {
        let (url, authority) = authority::split(url);
        let mut config = Config::from_url(url).expect("a URL");
        config.tls = authority.map(|authority| connector(&authority).into());
        let mut builder = Builder::from_config(config);
        builder.with_connection_config(|connection| connection.tcp.nodelay = Some(true));
        builder.with_performance_config(|performance| performance.max_feed_count = FEED);
        let pool = builder.build_pool(CLIENTS).expect("a pool");
        pool.init().await.expect("it connects");
        Self(pool)
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
        let values: Vec<Option<Bytes>> = self.0.mget(keys.to_vec()).await.expect("it answers");
        values.iter().flatten().count()
    }
}

/// A connector that trusts this authority and no other.
fn connector(authority: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority).expect("it is PEM");
    roots.add(certificate).expect("it is a certificate");
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth().into()
}

/// The number of clients of the smallest pool.
pub(crate) const SINGLE: usize = 1;
/// The number of clients of the larger pool.
pub(crate) const POOL: usize = 10;
const FEED: u64 = 1000;
