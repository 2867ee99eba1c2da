//! Builds a cache from a URL and from explicit options, which override the URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_caches_core::connection::Protocol;
use async_caches_core::key::Version;
use async_caches_core::options::{Options, Settings, TlsVerify};
use async_caches_core::secret::Secret;
use async_caches_core::ttl::Timeout;
use async_caches_core::url::{Backend, CacheUrl, Credentials, Topology, UrlError};
use async_caches_core::value::Unreadable;

use crate::cache::{Cache, Remote, Target};
use crate::clock::{ByHand, ManualClock};
use crate::credentials::{CredentialsProvider, Who};
use crate::error::Error;
use crate::faults::Faults;
use crate::hooks::Hooks;
use crate::resolver::Resolver;
use crate::runtime::Runtime;
use crate::terms::Terms;
use crate::tls;
use crate::translation::Translation;
use crate::unreadable::Reports;

/// Builds a [`Cache`]. An adapter's `builder` makes one, or [`builder`](crate::builder) for URLs
/// that need no runtime.
///
/// An option given here overrides the same one in the URL. Options are checked in
/// [`build`](Self::build), so no other method can fail. The `Debug` output contains no password.
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
    pub(crate) resolver: Resolver,
    pub(crate) hooks: Hooks,
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

    /// The default timeout, for operations without one of their own. Zero is an error. If not
    /// given, entries never expire. `None` leaves the choice to the URL.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.options.timeout = Some(timeout.into());
        self
    }

    /// Another name of [`timeout`](Self::timeout).
    pub fn ttl(self, timeout: impl Into<Timeout>) -> Self {
        self.timeout(timeout)
    }

    /// No default timeout, even if the URL gives one.
    pub fn forever(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// The default version of keys, for operations without one of their own. A text with a colon is
    /// an error.
    pub fn version(mut self, version: impl Into<Version>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    /// The prefix of all keys. A colon in it is an error.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.key_prefix = Some(prefix.into());
        self
    }

    /// How many connections the pool keeps; 1 if not given.
    pub fn minsize(mut self, links: usize) -> Self {
        self.options.minsize = Some(links);
        self
    }

    /// How many connections the pool may open; 10 if not given. Zero, fewer than `minsize`, or more
    /// than 10,000 is an error.
    pub fn maxsize(mut self, links: usize) -> Self {
        self.options.maxsize = Some(links);
        self
    }

    /// How many commands one connection may have in flight; 16,384 if not given. Zero is an error.
    /// Callers past the limit wait their turn, within their response timeout.
    pub fn max_in_flight(mut self, commands: usize) -> Self {
        self.options.max_in_flight = Some(commands);
        self
    }

    /// How many bytes may be queued on one connection until its socket takes them; 64 MiB if not
    /// given. Zero is an error. Callers past the limit wait their turn, within their response
    /// timeout.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.options.max_queued_bytes = Some(bytes);
        self
    }

    /// How many callers may wait for a connection, or for room on one; 65,536 if not given. Callers
    /// past the limit get [`Error::Overloaded`] at once.
    pub fn max_waiting(mut self, callers: usize) -> Self {
        self.options.max_waiting = Some(callers);
        self
    }

    /// How many entries a `locmem://` store may hold; no bound if not given. Zero is an error.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.options.max_entries = Some(entries);
        self
    }

    /// How many bytes a `locmem://` store may hold, including keys and a constant for each entry;
    /// no bound if not given. Zero is an error. A value that is larger than the bound by itself is
    /// refused: it is not stored and the old value of its key is removed, but no other entry is
    /// evicted for it. [`Stats::refused`](crate::Stats::refused) counts such values.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.options.max_bytes = Some(bytes);
        self
    }

    /// The username for sentinels; their default user if not given. It needs
    /// [`sentinel_password`](Self::sentinel_password).
    pub fn sentinel_username(mut self, username: impl Into<String>) -> Self {
        self.options.sentinel_username = Some(username.into());
        self
    }

    /// The password for sentinels. They have credentials of their own and are never sent those of
    /// the master. It is an error if the URL names no sentinels.
    pub fn sentinel_password(mut self, password: impl Into<Secret>) -> Self {
        self.options.sentinel_password = Some(password.into());
        self
    }

    /// Whether read-only commands go to the replicas of a cluster, if some can be reached. If not
    /// given, only masters are read. Replicas lag behind: a value that was just written, by this
    /// cache or another, may not be found yet, and one that was just removed may still be. All
    /// reads of a key go to one replica as long as it can be reached.
    pub fn replica_reads(mut self, reads: bool) -> Self {
        self.options.replica_reads = Some(reads);
        self
    }

    /// What [`get`](Cache::get) and [`get_many`](Cache::get_many) do with an entry that cannot be
    /// read as the type asked for, unless the call sets it; an error if not given. For
    /// [`get_or_set`](Cache::get_or_set) it is always a miss.
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.options.unreadable = Some(unreadable);
        self
    }

    /// The version of the protocol. If not given, RESP3 if the server speaks it, and RESP2
    /// otherwise. [`Protocol::Resp2`] never asks for RESP3, and [`Protocol::Resp3`] makes a server
    /// that does not speak it an error.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.options.protocol = Some(protocol);
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

    /// Where the servers are reached that sentinels name, from the host and the port that they say: the
    /// master of the service, and further sentinels. For those behind a translation of addresses. As
    /// the sentinels say, if not given, or if this returns no host and port that can be dialled. The
    /// sentinels in the URL are reached as they stand there. Asked each time that a sentinel names
    /// an address: it must return at once, and the same for the same address.
    ///
    /// ```
    /// # fn main() -> Result<(), async_caches::Error> {
    /// let builder = async_caches::builder("redis-sentinel://gate:26379/mymaster")
    ///     // The servers are in a network of containers, each port of which is one of the gate's.
    ///     .sentinel_address_map(|_inside, port| ("gate".to_owned(), port));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sentinel_address_map(
        mut self,
        map: impl Fn(&str, u16) -> (String, u16) + Send + Sync + 'static,
    ) -> Self {
        self.named_by_sentinels = Translation::of(map);
        self
    }

    /// How long dialling a server and the handshake with it may take; 5 seconds if not given. Zero
    /// is an error.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = Some(timeout);
        self
    }

    /// How long an operation may wait for its reply; 5 seconds if not given. Zero is an error.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.options.response_timeout = Some(timeout);
        self
    }

    /// How long a caller of `get_or_set` may wait for the load of another before it loads by
    /// itself; 10 seconds if not given. If zero, no caller waits and each loads by itself.
    pub fn load_wait(mut self, wait: Duration) -> Self {
        self.options.load_wait = Some(wait);
        self
    }

    /// How old a connection may become before a new one replaces it, so that a change of the
    /// server's DNS name is followed; unlimited if not given. Each connection draws an age of its
    /// own, up to a quarter less. No call fails because of it: the new connection is dialled first,
    /// unless `maxsize` leaves no room for one, and the old one closes after its last commands. If
    /// the new one cannot be dialled, the old one stays. Less than 100 milliseconds is an error.
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        self.options.max_connection_age = Some(age);
        self
    }

    /// The name of the connections in the server's list of clients. It must be printable ASCII
    /// without spaces.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// The file of certificate authorities, in PEM, instead of those that the operating system
    /// trusts. One of them must have issued the certificate of a `rediss://` server.
    pub fn tls_ca(mut self, path: impl Into<String>) -> Self {
        self.options.tls_ca = Some(path.into());
        self
    }

    /// The file of the client certificate for a `rediss://` server, in PEM, followed by the
    /// intermediate certificates up to its authority. It is an error without
    /// [`tls_key`](Self::tls_key).
    pub fn tls_cert(mut self, path: impl Into<String>) -> Self {
        self.options.tls_cert = Some(path.into());
        self
    }

    /// The file of the client certificate's private key, in PEM. It is an error without
    /// [`tls_cert`](Self::tls_cert).
    pub fn tls_key(mut self, path: impl Into<String>) -> Self {
        self.options.tls_key = Some(path.into());
        self
    }

    /// The name or address that the certificate of a `rediss://` server must be for, if it is not
    /// the URL's host.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.options.tls_server_name = Some(name.into());
        self
    }

    /// How much of a `rediss://` server's certificate is verified. If not given, all of it. With
    /// [`TlsVerify::Ca`], all but the name, for certificates without one. Any server is then
    /// accepted whose certificate was issued by an authority in [`tls_ca`](Self::tls_ca). Without
    /// `tls_ca` it is an error.
    pub fn tls_verify(mut self, verify: TlsVerify) -> Self {
        self.options.tls_verify = Some(verify);
        self
    }

    /// Skips certificate verification: any server is accepted, whatever certificate it shows. The
    /// connection is encrypted, but an attacker on the network path may be at its other end, read
    /// everything, including the password, and change it. For tests only. To trust a certificate of
    /// your own, use [`tls_ca`](Self::tls_ca); giving both is an error.
    pub fn tls_dangerously_accept_any_certificate(mut self, accept: bool) -> Self {
        self.options.tls_dangerously_accept_any_certificate = Some(accept);
        self
    }

    /// The whole TLS configuration, for what the options do not cover: other cryptography, keys in
    /// hardware, revocation. Only the server's name ([`tls_server_name`](Self::tls_server_name))
    /// may be given beside it. An option that names a file, or that changes what is verified, is an
    /// error then. All caches that share the configuration resume each other's sessions.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = tls::Own(Some(config));
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
                let who = Who::new(known, self.provider.map(|Provider(provider)| provider));
                let terms = Terms {
                    who,
                    tls,
                    resolver: self.resolver,
                    named_by_sentinels: self.named_by_sentinels,
                    hooks: self.hooks,
                };
                match &server.topology {
                    Topology::Standalone(_) | Topology::Sentinel(_) => {
                        Target::Redis(Box::new(Remote::new(server, self.scheme, terms, runtime)))
                    }
                    Topology::Cluster(_) => {
                        let remote = Remote::new(server, self.scheme, terms, runtime);
                        Target::Cluster(Box::new(remote), self.translation)
                    }
                }
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
    /// The errors of [`build`](Self::build), [`Error::NoRuntime`] and [`Error::OtherBounds`].
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
