//! The cache: what every operation goes out from.

use std::fmt;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use async_caches_core::command::Command;
use async_caches_core::key::{Scope, Version};
use async_caches_core::memory::{Bounds, Stats};
use async_caches_core::options::Settings;
use async_caches_core::ttl::{Expiry, Timeout};
use async_caches_core::url::{Credentials, Server, Topology};

use crate::backend::{AtOnce, Backend};
use crate::credentials::Who;
use crate::error::Error;
use crate::flights::Desk;
use crate::hooks::Hooks;
use crate::memory::Store;
use crate::redis::{Redis, Routes};
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::tls::TlsClient;

/// A cache: in nothing, in memory or on a server, whichever its URL said.
///
/// Cheap to clone; clones are the same cache and connect and disconnect together. When the last
/// clone is dropped the connections are closed.
///
/// Every operation is a method that returns a future of its own. It does nothing until it is
/// awaited, takes its options before that, and may be dropped at any time: then its reply, if one
/// comes, reaches nobody. An operation on a server ends within the response timeout, each round
/// trip of one that needs several.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    target: Target,
    settings: Settings,
    phase: Mutex<Phase>,
    /// There while connected. Apart from the phase, so that operations do not wait for each other.
    backend: ArcSwapOption<Backend>,
}

/// Where a cache is.
pub(crate) enum Target {
    Dummy,
    Memory { name: Box<str>, runtime: Option<Arc<dyn Runtime>> },
    Redis(Box<Remote>),
}

/// A server, and what callers of this cache see of it.
pub(crate) struct Remote {
    server: Server,
    who: Who,
    tls: Option<TlsClient>,
    runtime: Arc<dyn Runtime>,
    hooks: Hooks,
    desk: Arc<Desk>,
    /// There while connected.
    routes: Arc<ArcSwapOption<Routes>>,
}

impl Remote {
    pub(crate) fn new(
        server: Server,
        who: Who,
        tls: Option<TlsClient>,
        runtime: Arc<dyn Runtime>,
        hooks: Hooks,
    ) -> Self {
        let (desk, routes) = (Desk::of(&server, &runtime), Arc::default());
        Self { server, who, tls, runtime, hooks, desk, routes }
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.server.topology
    }
}

/// How far a cache is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Connecting,
    Connected,
    Closing,
}

impl Cache {
    pub(crate) fn new(target: Target, settings: Settings) -> Self {
        let (phase, backend) = (Mutex::new(Phase::Idle), ArcSwapOption::empty());
        Self { inner: Arc::new(Inner { target, settings, phase, backend }) }
    }

    /// Whether the cache is connected: `connect` has succeeded and `disconnect` was not called. It
    /// stays so while the server is away.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner.backend.load().is_some()
    }

    /// Tells the server who we are from now on: on each open connection at once, in line with the
    /// commands, none of which waits for it or is lost by it; and on connections to come, unless a
    /// [provider](crate::Builder::credentials_provider) is asked for those. Where the server
    /// refuses it, connections answer the commands that they have and end, and others are
    /// dialled, at the pace of the backoff: then operations fail with what the server said.
    ///
    /// Backends that are no server have nobody to tell.
    pub fn reauthenticate(&self, credentials: &Credentials) {
        let Target::Redis(remote) = &self.inner.target else { return };
        remote.who.tell(credentials.clone());
        if let Some(Backend::Redis { redis, .. }) = self.inner.backend.load().as_deref() {
            redis.pool().authenticate(credentials);
        }
    }

    /// What a store in memory has done since it was opened, whichever cache asked for it, and what
    /// it holds. `None` for a cache that is not connected, and for other backends: `dummy://` holds
    /// nothing, and a server counts for all its clients and tells in `INFO`. [`info`](Self::info) has these
    /// numbers too, and tells of a server's links.
    ///
    /// Costs a lock of each shard in turn, which lookups share.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.with_backend(|backend| match backend {
            Backend::Memory(store) => Some(store.stats()),
            Backend::Dummy | Backend::Redis { .. } => None,
        })
        .ok()
        .flatten()
    }

    /// What most commands come to: a link to the server that may be used at once, while no load is
    /// under way, or a value in memory, which no load stands in the way of.
    #[inline(always)]
    pub(crate) fn at_once(&self, command: &Command<'_>) -> Option<AtOnce> {
        match &self.inner.target {
            Target::Redis(remote) if !remote.desk.is_busy() => {
                let (link, large) = remote.routes.load().as_ref()?.find(command)?;
                Some(AtOnce::Link { link, large })
            }
            Target::Memory { .. } => match (self.inner.backend.load().as_deref()?, command) {
                (Backend::Memory(store), Command::Get(key)) => Some(AtOnce::Read(store.get(key))),
                (Backend::Dummy | Backend::Memory(_) | Backend::Redis { .. }, _) => None,
            },
            Target::Dummy | Target::Redis(_) => None,
        }
    }

    /// Where the cache is, and what was settled about it.
    pub(crate) fn parts(&self) -> (&Target, &Settings) {
        (&self.inner.target, &self.inner.settings)
    }

    /// The backend in use, if any.
    pub(crate) fn backend(&self) -> Option<Arc<Backend>> {
        self.inner.backend.load_full()
    }

    /// Runs `act` with the backend in use.
    #[inline]
    pub(crate) fn with_backend<R>(&self, act: impl FnOnce(&Backend) -> R) -> Result<R, Error> {
        match &*self.inner.backend.load() {
            Some(backend) => Ok(act(backend)),
            None => Err(Error::NotConnected),
        }
    }

    /// Where the keys of an operation are that names `version`, or none.
    #[inline(always)]
    pub(crate) fn scope<'a>(&'a self, version: Option<&'a Version>) -> Result<Scope<'a>, Error> {
        Ok(self.inner.settings.key_space.scope(version)?)
    }

    /// What all keys of this cache begin with.
    pub(crate) fn stem(&self) -> bytes::Bytes {
        self.inner.settings.key_space.stem()
    }

    /// What an operation's timeout comes to here.
    pub(crate) fn expiry(&self, timeout: Timeout) -> Result<Expiry, Error> {
        Ok(timeout.resolve(self.inner.settings.expiry)?)
    }

    /// Begins to connect. What needs no I/O is connected at once; a pool is to be waited for, and
    /// then handed to [`connected`](Self::connected) or given up with [`idle`](Self::idle).
    pub(crate) fn begin_connect(&self) -> Result<Option<(Redis, Arc<Desk>)>, Error> {
        let mut phase = lock(&self.inner.phase);
        if *phase != Phase::Idle {
            return Err(Error::AlreadyConnected);
        }
        let settings = &self.inner.settings;
        let backend = match &self.inner.target {
            Target::Dummy => Backend::Dummy,
            Target::Memory { name, runtime } => {
                let Settings { max_entries, max_bytes, .. } = *settings;
                let bounds = Bounds { max_entries, max_bytes };
                Backend::Memory(Store::named(name, bounds, runtime.as_ref())?)
            }
            Target::Redis(remote) => {
                let Remote { server, who, tls, runtime, hooks, desk, routes } = &**remote;
                *phase = Phase::Connecting;
                drop(phase);
                let (runtime, routes) = (Arc::clone(runtime), Arc::clone(routes));
                let (who, tls) = (who.clone(), tls.clone());
                let redis = Redis::open(runtime, server, who, tls, settings, hooks, routes);
                return Ok(Some((redis, Arc::clone(desk))));
            }
        };
        self.inner.backend.store(Some(Arc::new(backend)));
        *phase = Phase::Connected;
        Ok(None)
    }

    pub(crate) fn connected(&self, redis: Redis, desk: Arc<Desk>) {
        let mut phase = lock(&self.inner.phase);
        redis.publish();
        let backend = Backend::Redis { redis: Arc::new(redis), desk };
        self.inner.backend.store(Some(Arc::new(backend)));
        *phase = Phase::Connected;
    }

    /// Begins to disconnect: no operation begins any more. A pool is to be waited for, and then
    /// the cache made [`idle`](Self::idle).
    pub(crate) fn begin_disconnect(&self) -> Result<Option<Arc<Redis>>, Error> {
        let mut phase = lock(&self.inner.phase);
        if *phase != Phase::Connected {
            return Err(Error::NotConnected);
        }
        let gone = self.inner.backend.swap(None);
        let redis = match gone.as_deref() {
            Some(Backend::Redis { redis, .. }) => {
                redis.withdraw();
                Some(Arc::clone(redis))
            }
            Some(Backend::Dummy | Backend::Memory(_)) | None => None,
        };
        *phase = if redis.is_some() { Phase::Closing } else { Phase::Idle };
        drop(phase);
        Ok(redis)
    }

    pub(crate) fn idle(&self) {
        *lock(&self.inner.phase) = Phase::Idle;
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Cache");
        match &self.inner.target {
            Target::Dummy => debug.field("backend", &"dummy"),
            Target::Memory { name, .. } => debug.field("backend", &"locmem").field("name", name),
            Target::Redis(remote) => debug
                .field("backend", &"redis")
                .field("server", &remote.server)
                .field("tls", &remote.tls)
                .field("runtime", &remote.runtime),
        };
        debug.field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
