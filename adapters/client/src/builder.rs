//! How a cache comes to be: a URL, and explicit options that beat it.

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
use crate::cluster::Translation;
use crate::credentials::{CredentialsProvider, Who};
use crate::error::Error;
use crate::faults::Faults;
use crate::hooks::Hooks;
use crate::resolver::Resolver;
use crate::runtime::Runtime;
use crate::terms::Terms;
use crate::tls;
use crate::unreadable::Reports;

/// A cache to be: made by an adapter's `builder`, or by [`builder`](crate::builder) where no
/// runtime is needed.
///
/// An option given here beats the same one in the URL. Nothing is checked before
/// [`build`](Self::build), so that no method but that can fail. Prints no password.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    url: Result<CacheUrl, UrlError>,
    /// The URL's scheme as it was written. Shown only if the URL has turned out to be one.
    scheme: Box<str>,
    options: Options,
    runtime: Option<Arc<dyn Runtime>>,
    clock: Option<ManualClock>,
    faults: Option<Faults>,
    credentials: Option<Credentials>,
    provider: Option<Provider>,
    translation: Translation,
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
            tls: tls::Own::default(),
            resolver: Resolver::default(),
            hooks: Hooks::default(),
        }
    }

    /// The runtime that does the I/O; adapters say this.
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Some(Arc::new(runtime));
        self
    }

    /// The clock that the cache goes by, for tests: see [`ManualClock`].
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// What makes the cache's operations fail, for tests: see [`Faults`].
    pub fn faults(mut self, faults: &Faults) -> Self {
        self.faults = Some(faults.clone());
        self
    }

    /// Who to tell the server we are, instead of what the URL says.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Whom to ask who we are before each connection is made, instead of what the URL says; for
    /// passwords that change, and tokens that expire. Connections that are open learn of it by
    /// [`Cache::reauthenticate`].
    pub fn credentials_provider(mut self, provider: impl CredentialsProvider) -> Self {
        self.provider = Some(Provider(Arc::new(provider)));
        self
    }

    /// The default timeout, for operations that name none; zero is an error. Never, if not given.
    /// `None` leaves it to the URL.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.options.timeout = Some(timeout.into());
        self
    }

    /// Another name of [`timeout`](Self::timeout).
    pub fn ttl(self, timeout: impl Into<Timeout>) -> Self {
        self.timeout(timeout)
    }

    /// No default timeout, whatever the URL says.
    pub fn forever(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// The default version of keys, for operations that name none. A text with a colon is an
    /// error.
    pub fn version(mut self, version: impl Into<Version>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    /// What all keys begin with. A colon in it is an error.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.key_prefix = Some(prefix.into());
        self
    }

    /// How many links the pool keeps; 1 if not given.
    pub fn minsize(mut self, links: usize) -> Self {
        self.options.minsize = Some(links);
        self
    }

    /// How many links the pool may open; 10 if not given. Zero, fewer than `minsize`, or more than
    /// 10,000 is an error.
    pub fn maxsize(mut self, links: usize) -> Self {
        self.options.maxsize = Some(links);
        self
    }

    /// How many commands one link may have in flight; 16,384 if not given, zero is an error. Past
    /// it callers wait their turn, within their response timeout.
    pub fn max_in_flight(mut self, commands: usize) -> Self {
        self.options.max_in_flight = Some(commands);
        self
    }

    /// How many bytes may be queued on one link until its socket takes them; 64 MiB if not given,
    /// zero is an error. Past it callers wait their turn, within their response timeout.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.options.max_queued_bytes = Some(bytes);
        self
    }

    /// How many callers may wait for a link, or for room on one; 65,536 if not given. Past it they
    /// get [`Error::Overloaded`] at once.
    pub fn max_waiting(mut self, callers: usize) -> Self {
        self.options.max_waiting = Some(callers);
        self
    }

    /// How many entries a `locmem://` store may hold; no bound if not given.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.options.max_entries = Some(entries);
        self
    }

    /// How many bytes a `locmem://` store may hold, keys and a constant for each entry counted;
    /// no bound if not given. A value that alone is larger than that is refused: it is not
    /// stored, what its key held is removed, nothing else goes for it, and
    /// [`Stats::refused`](crate::Stats::refused) counts it.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.options.max_bytes = Some(bytes);
        self
    }

    /// Which user sentinels are told we are; their default user, if not given. Wants
    /// [`sentinel_password`](Self::sentinel_password).
    pub fn sentinel_username(mut self, username: impl Into<String>) -> Self {
        self.options.sentinel_username = Some(username.into());
        self
    }

    /// The password that sentinels are told: they have credentials of their own, and are never told
    /// those of the master. A URL that names no sentinels makes it an error.
    pub fn sentinel_password(mut self, password: impl Into<Secret>) -> Self {
        self.options.sentinel_password = Some(password.into());
        self
    }

    /// Whether what only reads is asked of the replicas of a cluster, where there are some that are
    /// there; of masters alone, if not given. Replicas are behind: a value that was just written, by
    /// this cache or another, may not be read yet, and one that was just removed may be. All reads
    /// of a key go to one replica as long as it is there.
    pub fn replica_reads(mut self, reads: bool) -> Self {
        self.options.replica_reads = Some(reads);
        self
    }

    /// What an entry that cannot be read as the type asked for is to [`get`](Cache::get) and
    /// [`get_many`](Cache::get_many), unless they say; an error, if not given. To
    /// [`get_or_set`](Cache::get_or_set) it is always a miss.
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.options.unreadable = Some(unreadable);
        self
    }

    /// Which version of the protocol is spoken; RESP3 with a server that speaks it, and RESP2 with any
    /// other, if not given. [`Protocol::Resp2`] asks for no other, and [`Protocol::Resp3`] makes a server
    /// that speaks no RESP3 an error.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.options.protocol = Some(protocol);
        self
    }

    /// Where the nodes of a cluster are reached, from the host and the port that they tell of each
    /// other: for those behind a translation of addresses. As they tell, if not given; and where this
    /// gives no host and port that can be dialled. The nodes in the URL are reached as they stand
    /// there. Asked now and then, for every node; it is to answer at once.
    pub fn cluster_address_map(
        mut self,
        map: impl Fn(&str, u16) -> (String, u16) + Send + Sync + 'static,
    ) -> Self {
        self.translation = Translation::of(map);
        self
    }

    /// How long dialling and greeting a server may take; 5 seconds if not given.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = Some(timeout);
        self
    }

    /// How long an operation may wait for its answer; 5 seconds if not given.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.options.response_timeout = Some(timeout);
        self
    }

    /// How long a caller of `get_or_set` may wait for the load of another before it loads by
    /// itself; 10 seconds if not given. With zero no caller waits, and each loads by itself.
    pub fn load_wait(mut self, wait: Duration) -> Self {
        self.options.load_wait = Some(wait);
        self
    }

    /// How old a connection may become before another takes its place, so that a name that leads
    /// elsewhere is followed; without end, if not given. Each connection draws an age of its own,
    /// up to a quarter less. No call fails by it: another connection is dialled first, unless
    /// `maxsize` leaves no room for one, and the old one answers what it was asked and closes. If
    /// the other cannot be dialled the old one stays. Less than 100 milliseconds is an error.
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        self.options.max_connection_age = Some(age);
        self
    }

    /// The name to show in the server's list of clients.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// The file of the authorities, in PEM, one of which must have issued the certificate of a
    /// `rediss://` server, instead of those that the operating system trusts.
    pub fn tls_ca(mut self, path: impl Into<String>) -> Self {
        self.options.tls_ca = Some(path.into());
        self
    }

    /// The file of the certificate that a `rediss://` server is shown, in PEM, and behind it those
    /// between it and its authority. Given without [`tls_key`](Self::tls_key) it is an error.
    pub fn tls_cert(mut self, path: impl Into<String>) -> Self {
        self.options.tls_cert = Some(path.into());
        self
    }

    /// The file of that certificate's private key, in PEM. Given without
    /// [`tls_cert`](Self::tls_cert) it is an error.
    pub fn tls_key(mut self, path: impl Into<String>) -> Self {
        self.options.tls_key = Some(path.into());
        self
    }

    /// The name or the address that the certificate of a `rediss://` server must be for, where that
    /// is not the URL's host.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.options.tls_server_name = Some(name.into());
        self
    }

    /// How much of a `rediss://` server's certificate is verified: all of it unless given, or all but
    /// the name with [`TlsVerify::Ca`], for certificates that are for no name. Then any server with a
    /// certificate by an authority in [`tls_ca`](Self::tls_ca) is taken for this one; without that
    /// file it is an error.
    pub fn tls_verify(mut self, verify: TlsVerify) -> Self {
        self.options.tls_verify = Some(verify);
        self
    }

    /// Whether whoever answers is taken for the server, whatever certificate it shows. Then the
    /// connection is encrypted, but whoever is on the way may be at its other end, read
    /// everything, the password too, and change it. For tests; a certificate of one's own is
    /// trusted with [`tls_ca`](Self::tls_ca), beside which this is an error.
    pub fn tls_dangerously_accept_any_certificate(mut self, accept: bool) -> Self {
        self.options.tls_dangerously_accept_any_certificate = Some(accept);
        self
    }

    /// All that is to be known for TLS, for what options do not say: other cryptography, keys in
    /// hardware, revocation. Options may name the server beside it
    /// ([`tls_server_name`](Self::tls_server_name)); a file, or any certificate, is an error then.
    /// Sessions are resumed among all that share it.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = tls::Own(Some(config));
        self
    }

    /// The cache, not connected yet. For a URL that asks for TLS the files of certificates are read
    /// here, once, and those of the operating system where none is named: that blocks for some
    /// milliseconds.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Option`], [`Error::NoRuntime`] where the URL's backend needs one,
    /// or [`Error::Tls`] where it asks for TLS.
    pub fn build(self) -> Result<Cache, Error> {
        let CacheUrl { backend, options } = self.url?;
        let mut settings = Settings::new(self.options.over(options))?;
        let reports = Reports::new(self.hooks.recorder.clone());
        // A server needs a runtime all the same.
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
                let terms = Terms { who, tls, resolver: self.resolver, hooks: self.hooks };
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

    /// The cache, connected.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and of [`Cache::connect`].
    pub async fn connect(self) -> Result<Cache, Error> {
        let cache = self.build()?;
        cache.connect().await?;
        Ok(cache)
    }

    /// The cache, connected at once: its connections are dialled in the background, and dialled again
    /// until they open. So a service starts while its server is away.
    ///
    /// Until the first dial has opened or failed calls wait for it, within their response timeout.
    /// Once it has failed, calls fail at once until one opens: `get_or_set` then returns what its
    /// loader gives. What is wrong, a password for example, is in [`Cache::info`], in the errors of
    /// calls and in the events of dials.
    ///
    /// To be called inside the runtime, if that has to be entered.
    ///
    /// # Errors
    /// Those of [`build`](Self::build), [`Error::NoRuntime`] and [`Error::OtherBounds`].
    pub fn connect_lazily(self) -> Result<Cache, Error> {
        let cache = self.build()?;
        cache.connect_lazily()?;
        Ok(cache)
    }

    /// Connects a cache, lends it to `act` and disconnects it, whether `act` succeeded or not.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect) and of `act`; a failure of `act` goes before one to
    /// disconnect.
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
