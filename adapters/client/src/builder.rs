//! Builds a cache from a URL and from explicit options, which override the URL.

mod options;

use std::fmt;
use std::sync::Arc;

use async_caches_core::options::{Options, Settings};
use async_caches_core::url::{Backend, CacheUrl, Credentials, UrlError};

use crate::by_hand::ByHand;
use crate::cache::Cache;
use crate::clock::ManualClock;
use crate::connect_config::ConnectConfig;
use crate::credentials::{CredentialState, CredentialsProvider};
use crate::error::Error;
use crate::faults::Faults;
use crate::hooks::Hooks;
use crate::notices::{Notice, Subscriber, Tracking};
use crate::recorder::{Recorder, Recording};
use crate::resolver::{Resolve, Resolver};
use crate::runtime::Runtime;
use crate::target::Target;
use crate::tls;
use crate::translation::Translation;
use crate::unreadable::Reports;

/// Builds a [`Cache`]. An adapter's `builder` makes one, or [`builder`](crate::builder) for URLs
/// that need no runtime.
///
/// An option given here overrides the same one in the URL. Options are checked in
/// [`build`](Self::build), so no other method can fail. The `Debug` output contains no password.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://settings?version=1")
///     .key_prefix("forum")
///     .version(2) // the URL says 1
///     .connect()
///     .await?;
/// cache.set("key", "value").await?;
/// assert!(cache.contains("key").version(2).await?);
///
/// assert!(async_caches::builder("locmem://?maxsize=0").build().is_err());
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    url: Result<CacheUrl, UrlError>,
    /// The URL's scheme as written. Shown only if the URL is valid.
    scheme: Box<str>,
    options: Options,
    runtime: Option<Arc<dyn Runtime>>,
    clock: Option<ManualClock>,
    faults: Option<Faults>,
    credentials: Option<Credentials>,
    provider: Option<Provider>,
    /// What addresses that nodes of a cluster name are for us, and those that sentinels name.
    translation: Translation,
    named_by_sentinels: Translation,
    tls: tls::Own,
    resolver: Resolver,
    hooks: Hooks,
}

#[derive(Clone)]
struct Provider(Arc<dyn CredentialsProvider>);

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: CacheUrl::parse(url),
            scheme: url.split_once("://").map_or("", |(scheme, _)| scheme).into(),
            options: Options::default(),
            runtime: None,
            clock: None,
            faults: None,
            credentials: None,
            provider: None,
            translation: Translation::default(),
            named_by_sentinels: Translation::default(),
            tls: tls::Own::default(),
            resolver: Resolver::default(),
            hooks: Hooks::default(),
        }
    }

    /// The runtime that does the I/O. Adapters set it.
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Some(Arc::new(runtime));
        self
    }

    /// The clock that the cache uses, for tests: see [`ManualClock`].
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Makes the cache's operations fail, for tests: see [`Faults`].
    pub fn faults(mut self, faults: &Faults) -> Self {
        self.faults = Some(faults.clone());
        self
    }

    /// The credentials for the server, instead of those in the URL.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The provider that is asked for credentials before each connection is made, instead of those
    /// in the URL. Use it for passwords that change and for tokens that expire. Open connections
    /// take the new credentials when [`Cache::reauthenticate`] is called.
    pub fn credentials_provider(mut self, provider: impl CredentialsProvider) -> Self {
        self.provider = Some(Provider(Arc::new(provider)));
        self
    }

    /// Maps the host and port that a cluster reports for a node to the address at which this client
    /// reaches it, for clusters behind address translation. If not given, or if the map returns a
    /// host and port that cannot be dialled, the reported address is used. The nodes in the URL are
    /// never mapped. The function is called now and then, for every node, and must return at once.
    pub fn cluster_address_map(
        mut self,
        map: impl Fn(&str, u16) -> (String, u16) + Send + Sync + 'static,
    ) -> Self {
        self.translation = Translation::of(map);
        self
    }

    /// Maps the host and port that a sentinel reports for the master, or for another sentinel, to
    /// the address at which this client reaches it, for servers behind address translation. If not
    /// given, or if the map returns a host and port that cannot be dialled, the reported address is
    /// used. The sentinels in the URL are never mapped. The function is called each time that a
    /// sentinel names an address. It must return at once, and the same address each time.
    ///
    /// ```
    /// let builder = async_caches::builder("redis-sentinel://gate:26379/mymaster")
    ///     // The servers are in a network of containers; the gate forwards the same ports to them.
    ///     .sentinel_address_map(|_inside, port| ("gate".to_owned(), port));
    /// ```
    pub fn sentinel_address_map(
        mut self,
        map: impl Fn(&str, u16) -> (String, u16) + Send + Sync + 'static,
    ) -> Self {
        self.named_by_sentinels = Translation::of(map);
        self
    }

    /// The whole TLS configuration, for what the options do not cover: other cryptography, keys in
    /// hardware, revocation. Only the server's name ([`tls_server_name`](Self::tls_server_name))
    /// may be set as well. Any option that names a file or changes the verification is then an
    /// error. All caches that share the configuration resume each other's sessions.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = tls::Own(Some(config));
        self
    }

    /// The resolver for the host names of servers, sentinels and cluster nodes; the runtime, if not
    /// given.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Resolver(Some(Arc::new(resolver)));
        self
    }

    /// The recorder of how connections are used, for an application's metrics. See [`Recorder`].
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.hooks.recorder = Some(Recording::new(recorder));
        self
    }

    /// The subscriber that is told what servers push, and when connections open and end. A later
    /// one replaces an earlier one. Together with [`tracking`](Self::tracking) it is what a near
    /// cache in front of this one needs.
    ///
    /// `tell` is called in the task of the connection, on whichever thread that runs, under no lock
    /// of the cache. It must not block, as all commands of that connection wait for it. It must not
    /// panic, as that ends the connection. Pass slow work to another task.
    ///
    /// The notices of one connection come in order: [`Notice::Opened`], the pushes in the order of
    /// their arrival, [`Notice::Ended`]. A caller gets a reply only after the notices of all pushes
    /// that came before that reply on the same connection; later pushes may be reported before the
    /// reply too. This makes a near cache safe: note that a key is being read before the request,
    /// and keep the reply only if no notice named the key meanwhile and no connection has ended.
    /// Notices of two connections are in no order, and may come at the same time.
    ///
    /// On a cluster the connections to all nodes are reported; a node names the keys that it holds.
    ///
    /// Backends without a server push nothing.
    pub fn on_notice(mut self, tell: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.subscriber = Some(Subscriber::new(tell));
        self
    }

    /// The keys whose changes servers report, on each connection from its beginning, in pushes for
    /// [`on_notice`](Self::on_notice). Without a subscriber nothing is requested. Needs Redis 6 or
    /// Valkey, and RESP3. Without these, or if the server refuses, connections do not open and
    /// [`connect`](Self::connect) fails with the reason. A cluster opens its connections only when
    /// a key is needed; there the first operation fails.
    pub fn tracking(mut self, tracking: Tracking) -> Self {
        self.hooks.tracking = Some(tracking);
        self
    }

    /// Builds the cache without connecting it. If the URL asks for TLS, the certificate files are
    /// read here, once, or those of the operating system if no file is named. That blocks for some
    /// milliseconds.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Option`], [`Error::NoRuntime`] if the URL's backend needs a
    /// runtime, or [`Error::Tls`] if the URL asks for TLS and its setup is unusable.
    pub fn build(self) -> Result<Cache, Error> {
        let CacheUrl { backend, options } = self.url?;
        let mut settings = Settings::new(self.options.over(options))?;
        let reports = Reports::new(self.hooks.recorder.clone());
        // A manual clock is no substitute: a server needs a runtime.
        let needs_one = matches!(backend, Backend::Redis(_)) && self.runtime.is_none();
        let runtime = match self.clock.filter(|_| !needs_one) {
            Some(clock) => {
                Some(Arc::new(ByHand { clock, runtime: self.runtime }) as Arc<dyn Runtime>)
            }
            None => self.runtime,
        };
        let target = match (backend, runtime) {
            (Backend::Dummy, runtime) => Target::Dummy { runtime },
            (Backend::Memory { name }, runtime) => Target::Memory { name: name.into(), runtime },
            (Backend::Redis(server), Some(runtime)) => {
                settings.sentinel_credentials = server.sentinel_credentials(&settings)?;
                let tls = tls::client(&server, &settings, &self.scheme, self.tls)?;
                let known = self.credentials.or_else(|| server.credentials.clone());
                let credentials =
                    CredentialState::new(known, self.provider.map(|Provider(provider)| provider));
                let config = ConnectConfig {
                    credentials,
                    tls,
                    resolver: self.resolver,
                    named_by_sentinels: self.named_by_sentinels,
                    hooks: self.hooks,
                };
                Target::remote(server, self.scheme, config, runtime, self.translation)
            }
            (Backend::Redis(_), None) => {
                return Err(Error::NoRuntime { scheme: self.scheme.into() });
            }
        };
        Ok(Cache::new(target, settings, reports, self.faults))
    }

    /// Builds the cache and connects it.
    ///
    /// # Errors
    /// The errors of [`build`](Self::build) and of [`Cache::connect`].
    pub async fn connect(self) -> Result<Cache, Error> {
        let cache = self.build()?;
        cache.connect().await?;
        Ok(cache)
    }

    /// Builds the cache and returns at once. Its connections are dialled in the background, again
    /// and again until they open, so a service can start while its server is away.
    ///
    /// Until the first dial has opened or failed, calls wait for it, within their response timeout.
    /// Once it has failed, calls fail at once until a connection opens; `get_or_set` then returns
    /// what its loader gives. The cause, a wrong password for example, is in [`Cache::info`], in
    /// the errors of calls and in the events of dials.
    ///
    /// Must be called inside the runtime, if the runtime has to be entered.
    ///
    /// # Errors
    /// The errors of [`build`](Self::build), [`Error::NoRuntime`] and [`Error::BoundsMismatch`].
    pub fn connect_lazily(self) -> Result<Cache, Error> {
        let cache = self.build()?;
        cache.connect_lazily()?;
        Ok(cache)
    }

    /// Connects a cache, lends it to `act` and disconnects it, whether `act` succeeded or not.
    ///
    /// # Errors
    /// The errors of [`connect`](Self::connect) and of `act`. An error of `act` takes precedence
    /// over an error of the disconnect.
    pub async fn with<T, E: From<Error>>(
        self,
        act: impl AsyncFnOnce(Cache) -> Result<T, E>,
    ) -> Result<T, E> {
        let cache = self.connect().await?;
        let result = act(cache.clone()).await;
        if cache.is_connected() {
            cache.disconnect().await?;
        }
        result
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}
