//! The cache: the start of every operation.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use async_caches_core::command::Command;
use async_caches_core::key::{KeySpace, Scope, Version};
use async_caches_core::memory::{Bounds, Stats};
use async_caches_core::options::Settings;
use async_caches_core::planted::{self, Bug};
use async_caches_core::shown;
use async_caches_core::ttl::{Expiry, Timeout};
use async_caches_core::url::{Credentials, Server, Topology};
use async_caches_core::value::Unreadable;

use crate::backend::{AtOnce, Backend, Service};
use crate::cluster::{Cluster, Nodes, View};
use crate::error::Error;
use crate::faults::Faults;
use crate::flights::LoadTable;
use crate::memory::Store;
use crate::redis::{Redis, Routes};
use crate::runtime::{Runtime, poll_turn};
use crate::sync::lock;
use crate::terms::Terms;
use crate::translation::Translation;
use crate::unreadable::Reports;

/// A cache in nothing, in memory or on a server, as its URL says.
///
/// Cheap to clone. Clones are the same cache and connect and disconnect together. The connections
/// are closed when the last clone is dropped.
///
/// Every operation is a method that returns a future of its own. The future does nothing until it
/// is awaited, and takes its options before that. It may be dropped at any time; its reply, if one
/// comes, is then discarded. An operation on a server ends within the response timeout. An
/// operation of several round trips has that timeout for each of them.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
    /// Kept apart from the rest, as each view of a cache has its own.
    key_space: Arc<KeySpace>,
}

struct Inner {
    target: Target,
    settings: Settings,
    phase: Mutex<Phase>,
    /// Present while connected. Kept apart from the phase, so that operations do not wait for each
    /// other.
    backend: ArcSwapOption<Backend>,
    reports: Reports,
    /// Present if a test makes operations fail.
    faults: Option<Faults>,
}

/// The target of a cache: its backend, and what is needed to connect to it.
pub(crate) enum Target {
    Dummy { runtime: Option<Arc<dyn Runtime>> },
    Memory { name: Box<str>, runtime: Option<Arc<dyn Runtime>> },
    Redis(Box<Remote<Routes>>),
    Cluster(Box<Remote<View>>, Translation),
}

impl Target {
    /// Whether this thread is inside the runtime that the target needs.
    fn is_here(&self) -> bool {
        match self {
            Self::Dummy { .. } | Self::Memory { .. } => true,
            Self::Redis(remote) => remote.runtime.is_here(),
            Self::Cluster(remote, _) => remote.runtime.is_here(),
        }
    }

    fn check_is_here(&self) -> Result<(), Error> {
        let scheme = match self {
            Self::Dummy { .. } | Self::Memory { .. } => return Ok(()),
            Self::Redis(remote) => &remote.scheme,
            Self::Cluster(remote, _) => &remote.scheme,
        };
        if self.is_here() { Ok(()) } else { Err(Error::NoRuntime { scheme: scheme.to_string() }) }
    }

    /// A pool or a cluster that is not started yet, if the target needs one.
    fn service(&self, settings: &Settings) -> Option<(Service, Arc<LoadTable>)> {
        match self {
            Self::Dummy { .. } | Self::Memory { .. } => None,
            Self::Redis(remote) => {
                let Remote { server, terms, runtime, loads, seen, .. } = &**remote;
                let (runtime, seen) = (Arc::clone(runtime), Arc::clone(seen));
                let redis = Redis::new(runtime, server, terms.clone(), settings, seen, None);
                Some((Service::Redis(Arc::new(redis)), Arc::clone(loads)))
            }
            Self::Cluster(remote, translation) => {
                let Remote { server, terms, runtime, loads, seen, .. } = &**remote;
                let (runtime, seen) = (Arc::clone(runtime), Arc::clone(seen));
                let (terms, translation) = (terms.clone(), translation.clone());
                let cluster = Cluster::new(runtime, server, terms, settings, translation, seen);
                Some((Service::Cluster(Arc::new(cluster)), Arc::clone(loads)))
            }
        }
    }
}

/// Makes the cache idle again when dropped.
struct Idle<'c>(&'c Cache);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.idle();
    }
}

/// A server or several, and the view of them that callers of this cache use.
pub(crate) struct Remote<S> {
    server: Server,
    /// As written in the URL.
    scheme: Box<str>,
    terms: Terms,
    runtime: Arc<dyn Runtime>,
    loads: Arc<LoadTable>,
    /// Present while connected.
    seen: Arc<ArcSwapOption<S>>,
}

impl<S> Remote<S> {
    pub(crate) fn new(
        server: Server,
        scheme: Box<str>,
        terms: Terms,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let (loads, seen) = (LoadTable::of(&server, &runtime), Arc::default());
        Self { server, scheme, terms, runtime, loads, seen }
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.server.topology
    }

    fn debug<'d, 'f, 'b>(
        &self,
        backend: &str,
        debug: &'d mut fmt::DebugStruct<'f, 'b>,
    ) -> &'d mut fmt::DebugStruct<'f, 'b> {
        debug
            .field("backend", &backend)
            .field("server", &self.server)
            .field("tls", &self.terms.tls)
            .field("runtime", &self.runtime)
    }
}

/// Whether to wait for the first connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begin {
    Waiting,
    Lazily,
}

/// Whether a cache is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Connecting,
    Connected,
    Closing,
}

impl Cache {
    pub(crate) fn new(
        target: Target,
        settings: Settings,
        reports: Reports,
        faults: Option<Faults>,
    ) -> Self {
        let (phase, backend) = (Mutex::new(Phase::Idle), ArcSwapOption::empty());
        let key_space = Arc::new(settings.key_space.clone());
        Self {
            key_space,
            inner: Arc::new(Inner { target, settings, phase, backend, reports, faults }),
        }
    }

    /// Whether the cache is connected: `connect` has succeeded and `disconnect` was not called
    /// since. It stays connected while the server is away.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner.backend.load().is_some()
    }

    /// The same cache under another prefix instead of its own. Its keys are `posts:version:key`,
    /// like those of a cache opened with `key_prefix=posts`. The default version and timeout stay
    /// the same.
    ///
    /// The view opens no connection and no store. The two caches connect and disconnect together,
    /// as clones do, and share one [`info`](Self::info). [`clear_prefix`](Self::clear_prefix)
    /// removes only the keys of its own prefix, and [`clear`](Self::clear) removes every key,
    /// whatever its prefix. Prefixes do not nest, as a key has only one: a view of a view has the
    /// last prefix alone. Pushes ([`Builder::on_notice`](crate::Builder::on_notice)) report keys of
    /// the prefix that the cache was opened with.
    ///
    /// ```
    /// # use async_caches::{Cache, Error};
    /// # async fn publish(cache: &Cache) -> Result<(), Error> {
    /// let (posts, users) = (cache.with_prefix("posts")?, cache.with_prefix("users")?);
    /// posts.set(1, "a post").await?;
    /// assert!(!users.contains(1).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Key`] if the prefix holds a colon.
    pub fn with_prefix(&self, prefix: impl AsRef<str>) -> Result<Self, Error> {
        let key_space = Arc::new(self.key_space.with_prefix(prefix.as_ref())?);
        Ok(Self { inner: Arc::clone(&self.inner), key_space })
    }

    /// Changes the credentials. Each open connection authenticates at once: `AUTH` is sent among
    /// its commands, none of which waits for it or is lost. Later connections use the new
    /// credentials too, unless a [provider](crate::Builder::credentials_provider) supplies theirs.
    /// If the server refuses the credentials, each connection ends after the commands that it has.
    /// New ones are dialled at the pace of the backoff, and operations fail with the server's
    /// error.
    ///
    /// Does nothing on backends without a server.
    pub fn reauthenticate(&self, credentials: &Credentials) {
        let who = match &self.inner.target {
            Target::Dummy { .. } | Target::Memory { .. } => return,
            Target::Redis(remote) => &remote.terms.who,
            Target::Cluster(remote, _) => &remote.terms.who,
        };
        who.tell(credentials.clone());
        match self.inner.backend.load().as_deref() {
            Some(Backend::Redis { redis, .. }) => redis.pool().authenticate(credentials),
            Some(Backend::Cluster { cluster, .. }) => cluster.authenticate(credentials),
            Some(Backend::Dummy | Backend::Memory(_)) | None => {}
        }
    }

    /// Returns what a store in memory has done since it was opened, for all its caches, and what it
    /// holds. `None` if the cache is not connected, and for other backends: `dummy://` holds
    /// nothing, and a server counts for all its clients and reports that in `INFO`.
    /// [`info`](Self::info) includes these numbers, and reports on a server's connections.
    ///
    /// Takes the lock of each shard in turn, for reading, so lookups do not wait for it.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.with_backend(|backend| match backend {
            Backend::Memory(store) => Some(store.stats()),
            Backend::Dummy | Backend::Redis { .. } | Backend::Cluster { .. } => None,
        })
        .ok()
        .flatten()
    }

    /// The fast path of most commands: a connection that can be used at once, while no load is
    /// under way, or a value in memory, which no load delays. `is_plain` returns whether the
    /// command has no history of losses, redirects or waits.
    #[inline(always)]
    pub(crate) fn at_once(
        &self,
        command: &Command<'_>,
        cx: &Context<'_>,
        is_plain: impl Fn() -> bool,
    ) -> Option<AtOnce> {
        match &self.inner.target {
            Target::Redis(remote) if is_plain() && !remote.loads.is_busy() => {
                let (link, large) = remote.seen.load().as_ref()?.find(command)?;
                Some(AtOnce::Link { link, large })
            }
            Target::Cluster(remote, _) if is_plain() && !remote.loads.is_busy() => {
                let (link, large) = remote.seen.load().as_ref()?.find(command)?;
                Some(AtOnce::Link { link, large })
            }
            Target::Memory { .. } => match (self.inner.backend.load().as_deref()?, command) {
                (Backend::Memory(store), Command::Get(key)) if self.inner.faults.is_none() => {
                    Some(match self.poll_turn(cx) {
                        Poll::Ready(()) => AtOnce::Read(store.get(key)),
                        Poll::Pending => AtOnce::GiveWay,
                    })
                }
                (
                    Backend::Dummy
                    | Backend::Memory(_)
                    | Backend::Redis { .. }
                    | Backend::Cluster { .. },
                    _,
                ) => None,
            },
            Target::Dummy { .. } | Target::Redis(_) | Target::Cluster(..) => None,
        }
    }

    /// Ready once the calling task may do an operation that does not wait. Always ready without a
    /// runtime, and on backends where operations wait for a server.
    #[inline(always)]
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        match &self.inner.target {
            Target::Dummy { runtime: Some(runtime) }
            | Target::Memory { runtime: Some(runtime), .. } => poll_turn(&**runtime, cx.waker()),
            Target::Dummy { runtime: None }
            | Target::Memory { runtime: None, .. }
            | Target::Redis(_)
            | Target::Cluster(..) => Poll::Ready(()),
        }
    }

    /// Like [`poll_turn`](Self::poll_turn), before an operation that fails at once, on any backend.
    #[cold]
    pub(crate) fn poll_turn_to_fail(&self, cx: &Context<'_>) -> Poll<()> {
        match &self.inner.target {
            // On these backends the task has already passed `poll_turn`.
            Target::Dummy { .. } | Target::Memory { .. } => Poll::Ready(()),
            Target::Redis(remote) => poll_turn(&*remote.runtime, cx.waker()),
            Target::Cluster(remote, _) => poll_turn(&*remote.runtime, cx.waker()),
        }
    }

    /// The target of the cache, and its settings.
    pub(crate) fn parts(&self) -> (&Target, &Settings) {
        (&self.inner.target, &self.inner.settings)
    }

    /// The switch that makes operations fail, if a test has set one.
    pub(crate) fn faults(&self) -> Option<&Faults> {
        self.inner.faults.as_ref()
    }

    /// Where unreadable entries are reported.
    pub(crate) fn reports(&self) -> &Reports {
        &self.inner.reports
    }

    /// How a lookup treats an unreadable entry if it has no setting of its own.
    pub(crate) fn unreadable(&self) -> Unreadable {
        self.inner.settings.unreadable
    }

    /// The backend in use, if any.
    pub(crate) fn backend(&self) -> Option<Arc<Backend>> {
        self.inner.backend.load_full()
    }

    /// Whether the cache is on a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.inner.target, Target::Cluster(..))
    }

    /// The nodes of the cluster in use, if the cache is on one.
    pub(crate) fn nodes(&self) -> Option<Arc<Nodes>> {
        match self.inner.backend.load().as_deref()? {
            Backend::Cluster { cluster, .. } => Some(Arc::clone(cluster.nodes())),
            Backend::Dummy | Backend::Memory(_) | Backend::Redis { .. } => None,
        }
    }

    /// Runs `act` with the backend in use.
    #[inline]
    pub(crate) fn with_backend<R>(&self, act: impl FnOnce(&Backend) -> R) -> Result<R, Error> {
        match &*self.inner.backend.load() {
            Some(backend) => Ok(act(backend)),
            None => Err(Error::NotConnected),
        }
    }

    /// The scope of an operation's keys, for its `version` or the default one.
    #[inline(always)]
    pub(crate) fn scope<'a>(&'a self, version: Option<&'a Version>) -> Result<Scope<'a>, Error> {
        Ok(self.key_space.scope(version)?)
    }

    /// The common start of all keys of this cache.
    pub(crate) fn stem(&self) -> bytes::Bytes {
        self.key_space.stem()
    }

    /// Resolves an operation's timeout, with the cache's default if it has none.
    pub(crate) fn expiry(&self, timeout: Timeout) -> Result<Expiry, Error> {
        Ok(timeout.resolve(self.inner.settings.expiry)?)
    }

    /// Begins to connect. A backend without I/O is connected at once. Otherwise the caller waits
    /// for the returned service and then passes it to [`connected`](Self::connected), or gives up
    /// with [`idle`](Self::idle).
    pub(crate) fn begin_connect(
        &self,
        how: Begin,
    ) -> Result<Option<(Service, Arc<LoadTable>)>, Error> {
        let mut phase = lock(&self.inner.phase);
        if *phase != Phase::Idle {
            return Err(Error::AlreadyConnected);
        }
        let settings = &self.inner.settings;
        let backend = match &self.inner.target {
            Target::Dummy { .. } => Backend::Dummy,
            Target::Memory { name, runtime } => {
                let Settings { max_entries, max_bytes, .. } = *settings;
                let bounds = Bounds { max_entries, max_bytes };
                Backend::Memory(Store::named(name, bounds, runtime.as_ref())?)
            }
            Target::Redis(_) | Target::Cluster(..) => {
                if planted::is(Bug::OutsideIsConnecting) {
                    *phase = Phase::Connecting;
                }
                self.inner.target.check_is_here()?;
                *phase = Phase::Connecting;
                drop(phase);
                // If the runtime panics, the cache is idle again.
                let undo = Idle(self);
                let service = self.inner.target.service(settings);
                if let Some((service, _)) = &service {
                    if how == Begin::Lazily {
                        service.begin_lazily();
                    }
                    service.start();
                }
                std::mem::forget(undo);
                return Ok(service);
            }
        };
        self.inner.backend.store(Some(Arc::new(backend)));
        *phase = Phase::Connected;
        Ok(None)
    }

    /// Marks the cache as connected at once; connections are dialled in the background.
    pub(crate) fn connect_lazily(&self) -> Result<(), Error> {
        if let Some((service, loads)) = self.begin_connect(Begin::Lazily)? {
            self.connected(service, loads);
        }
        Ok(())
    }

    /// Opens the pool or the cluster again on the caller's runtime, if its old runtime is gone and
    /// the caller is inside one.
    #[cold]
    pub(crate) fn revive(&self) {
        let is_over = || self.inner.backend.load().as_deref().is_some_and(Backend::is_over);
        if !is_over() || !self.inner.target.is_here() {
            return;
        }
        let Some((service, loads)) = self.inner.target.service(&self.inner.settings) else {
            return;
        };
        let phase = lock(&self.inner.phase);
        // Another caller may have been faster.
        if *phase != Phase::Connected || !is_over() {
            return;
        }
        let gone = self.inner.backend.load_full();
        if let Some(gone) = gone.as_deref().and_then(Backend::service) {
            gone.withdraw();
        }
        self.publish(&service);
        let backend = match &service {
            Service::Redis(redis) => Backend::Redis { redis: Arc::clone(redis), loads },
            Service::Cluster(cluster) => Backend::Cluster { cluster: Arc::clone(cluster), loads },
        };
        self.inner.backend.store(Some(Arc::new(backend)));
        drop(phase);
        drop(gone);
        service.start();
    }

    /// Makes connections visible to callers on their fast path. Not if a test makes operations fail,
    /// as each command must check for that first.
    fn publish(&self, service: &Service) {
        if self.inner.faults.is_none() {
            service.publish();
        }
    }

    pub(crate) fn connected(&self, service: Service, loads: Arc<LoadTable>) {
        let mut phase = lock(&self.inner.phase);
        self.publish(&service);
        let backend = match service {
            Service::Redis(redis) => Backend::Redis { redis, loads },
            Service::Cluster(cluster) => Backend::Cluster { cluster, loads },
        };
        self.inner.backend.store(Some(Arc::new(backend)));
        *phase = Phase::Connected;
    }

    /// Begins to disconnect: no new operation begins. The caller waits for the returned service to
    /// close and then makes the cache [`idle`](Self::idle).
    pub(crate) fn begin_disconnect(&self) -> Result<Option<Service>, Error> {
        let mut phase = lock(&self.inner.phase);
        if *phase != Phase::Connected {
            return Err(Error::NotConnected);
        }
        let gone = self.inner.backend.swap(None);
        let service = gone.as_deref().and_then(Backend::service);
        if let Some(service) = &service {
            service.withdraw();
        }
        *phase = if service.is_some() { Phase::Closing } else { Phase::Idle };
        drop(phase);
        Ok(service)
    }

    pub(crate) fn idle(&self) {
        *lock(&self.inner.phase) = Phase::Idle;
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Cache");
        match &self.inner.target {
            Target::Dummy { .. } => debug.field("backend", &"dummy"),
            Target::Memory { name, .. } => {
                debug.field("backend", &"locmem").field("name", &shown::name(name))
            }
            Target::Redis(remote) => remote.debug("redis", &mut debug),
            Target::Cluster(remote, _) => remote.debug("cluster", &mut debug),
        };
        debug.field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
