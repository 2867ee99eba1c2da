//! The cache: the start of every operation.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use async_caches_core::command::Command;
use async_caches_core::key::{KeySpace, Scope, Version};
use async_caches_core::memory::Bounds;
use async_caches_core::options::Settings;
use async_caches_core::ttl::{Expiry, Timeout};
use async_caches_core::url::Credentials;
use async_caches_core::value::Unreadable;
use bytes::Bytes;

use crate::backend::{Backend, Remote};
use crate::cluster::Nodes;
use crate::error::Error;
use crate::faults::Faults;
use crate::memory::Store;
use crate::redis::SharedConnection;
use crate::sync::lock;
use crate::target::{RemoteTarget, Target};
use crate::unreadable::Reports;

/// A cache. Depending on its URL it is on a server or in memory, or it stores nothing.
///
/// Cheap to clone. Clones are the same cache and connect and disconnect together. The connections
/// are closed when the last clone is dropped.
///
/// Every operation is a method that returns a future of its own. The future does nothing until it
/// is awaited, and takes its options before that. It may be dropped at any time; its reply, if one
/// comes, is then discarded. An operation on a server ends within the response timeout. An
/// operation of several round trips has that timeout for each of them.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("user:1", "Ada").await?;
/// let clone = cache.clone(); // the same cache
/// assert_eq!(clone.get("user:1").await?, Some(String::from("Ada")));
/// assert_eq!(clone.get_or_set("sum", async { 1 + 1 }).await?, 2);
/// cache.disconnect().await?;
/// assert!(!clone.is_connected());
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Cache {
    inner: Arc<CacheInner>,
    /// Kept apart from the rest, as each view of a cache has its own.
    key_space: Arc<KeySpace>,
}

struct CacheInner {
    target: Target,
    settings: Settings,
    phase: Mutex<CachePhase>,
    /// Present while connected. Kept apart from the phase, so that operations do not wait for each
    /// other.
    backend: ArcSwapOption<Backend>,
    reports: Reports,
    /// Present if a test makes operations fail.
    faults: Option<Faults>,
}

/// Makes the cache idle again when dropped.
struct Idle<'c>(&'c Cache);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.idle();
    }
}

/// The result of a command on the fast path.
pub(crate) enum AtOnce {
    /// It can be sent on this connection.
    Send {
        connection: Arc<SharedConnection>,
        large: bool,
    },
    Read(Option<Bytes>),
    /// Other tasks run first; this one has been woken to poll again.
    GiveWay,
}

/// Whether to wait for the first connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begin {
    Waiting,
    Lazily,
}

/// Whether a cache is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CachePhase {
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
        let (phase, backend) = (Mutex::new(CachePhase::Idle), ArcSwapOption::empty());
        let key_space = Arc::new(settings.key_space.clone());
        Self {
            key_space,
            inner: Arc::new(CacheInner { target, settings, phase, backend, reports, faults }),
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
        let Some(state) = self.inner.target.credentials() else { return };
        state.set(credentials.clone());
        if let Some(remote) = self.inner.backend.load().as_deref().and_then(Backend::remote) {
            remote.authenticate(credentials);
        }
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
            Target::Remote(remote) if is_plain() => {
                let (connection, large) = remote.find(command)?;
                Some(AtOnce::Send { connection, large })
            }
            Target::Memory { .. } => match (self.inner.backend.load().as_deref()?, command) {
                (Backend::Memory(store), Command::Get(key)) if self.inner.faults.is_none() => {
                    Some(match self.poll_turn(cx) {
                        Poll::Ready(()) => AtOnce::Read(store.get(key)),
                        Poll::Pending => AtOnce::GiveWay,
                    })
                }
                (Backend::Dummy | Backend::Memory(_) | Backend::Remote { .. }, _) => None,
            },
            Target::Dummy { .. } | Target::Remote(_) => None,
        }
    }

    /// Ready once the calling task may do an operation that does not wait, as
    /// [`Target::poll_turn`].
    #[inline(always)]
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        self.inner.target.poll_turn(cx)
    }

    /// Like [`poll_turn`](Self::poll_turn), before an operation that fails at once, on any backend.
    #[cold]
    pub(crate) fn poll_turn_to_fail(&self, cx: &Context<'_>) -> Poll<()> {
        self.inner.target.poll_turn_to_fail(cx)
    }

    /// The target of the cache.
    pub(crate) fn target(&self) -> &Target {
        &self.inner.target
    }

    /// The settings of the cache.
    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
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
        self.inner.target.is_cluster()
    }

    /// The nodes of the cluster in use, if the cache is on one.
    pub(crate) fn nodes(&self) -> Option<Arc<Nodes>> {
        self.inner.backend.load().as_deref()?.nodes().cloned()
    }

    /// Notes the size of a value, for later commands of the same key. A cache that was disconnected
    /// meanwhile has no backend to note it.
    #[cold]
    pub(crate) fn note(&self, key: &[u8], len: usize) {
        if let Some(remote) = self.inner.backend.load().as_deref().and_then(Backend::remote) {
            remote.note(key, len);
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
    pub(crate) fn stem(&self) -> Bytes {
        self.key_space.stem()
    }

    /// Resolves an operation's timeout, with the cache's default if it has none.
    pub(crate) fn expiry(&self, timeout: Timeout) -> Result<Expiry, Error> {
        Ok(timeout.resolve(self.inner.settings.expiry)?)
    }

    /// Begins to connect. A backend without I/O is connected at once. Otherwise the caller waits
    /// for the returned connections and then passes them to [`connected`](Self::connected), or
    /// gives up with [`idle`](Self::idle).
    pub(crate) fn begin_connect(&self, how: Begin) -> Result<Option<Remote>, Error> {
        let mut phase = lock(&self.inner.phase);
        if *phase != CachePhase::Idle {
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
            Target::Remote(target) => {
                target.check_is_here()?;
                *phase = CachePhase::Connecting;
                drop(phase);
                // If the runtime panics, the cache is idle again.
                let undo = Idle(self);
                let remote = target.open(settings);
                if how == Begin::Lazily {
                    remote.begin_lazily();
                }
                remote.start();
                std::mem::forget(undo);
                return Ok(Some(remote));
            }
        };
        self.inner.backend.store(Some(Arc::new(backend)));
        *phase = CachePhase::Connected;
        Ok(None)
    }

    /// Marks the cache as connected at once; connections are dialled in the background.
    pub(crate) fn connect_lazily(&self) -> Result<(), Error> {
        if let Some(remote) = self.begin_connect(Begin::Lazily)? {
            self.connected(remote);
        }
        Ok(())
    }

    /// Opens the pool or the cluster again on the caller's runtime, if its old runtime is gone and
    /// the caller is inside one.
    pub(crate) fn revive_if_over(&self) {
        let is_over = || self.inner.backend.load().as_deref().is_some_and(Backend::is_over);
        let Target::Remote(target) = &self.inner.target else { return };
        if is_over() {
            self.revive(target, is_over);
        }
    }

    #[cold]
    fn revive(&self, target: &RemoteTarget, is_over: impl Fn() -> bool) {
        if !target.is_here() {
            return;
        }
        let remote = target.open(&self.inner.settings);
        let phase = lock(&self.inner.phase);
        // Another caller may have been faster.
        if *phase != CachePhase::Connected || !is_over() {
            return;
        }
        let gone = self.inner.backend.load_full();
        if let Some(gone) = gone.as_deref().and_then(Backend::remote) {
            gone.withdraw();
        }
        self.publish(&remote);
        self.inner.backend.store(Some(Arc::new(target.backend(remote.clone()))));
        drop(phase);
        drop(gone);
        remote.start();
    }

    /// Makes connections visible to callers on their fast path. Not if a test makes operations
    /// fail, as each command must check for that first.
    fn publish(&self, remote: &Remote) {
        if self.inner.faults.is_none() {
            remote.publish();
        }
    }

    /// Connections that the caller has waited for serve the cache from now on.
    pub(crate) fn connected(&self, remote: Remote) {
        let Target::Remote(target) = &self.inner.target else { return };
        let mut phase = lock(&self.inner.phase);
        self.publish(&remote);
        self.inner.backend.store(Some(Arc::new(target.backend(remote))));
        *phase = CachePhase::Connected;
    }

    /// Begins to disconnect: no new operation begins. The caller waits for the returned connections
    /// to close and then makes the cache [`idle`](Self::idle).
    pub(crate) fn begin_disconnect(&self) -> Result<Option<Remote>, Error> {
        let mut phase = lock(&self.inner.phase);
        if *phase != CachePhase::Connected {
            return Err(Error::NotConnected);
        }
        let gone = self.inner.backend.swap(None);
        let remote = gone.as_deref().and_then(Backend::remote).cloned();
        if let Some(remote) = &remote {
            remote.withdraw();
        }
        *phase = if remote.is_some() { CachePhase::Closing } else { CachePhase::Idle };
        drop(phase);
        Ok(remote)
    }

    pub(crate) fn idle(&self) {
        *lock(&self.inner.phase) = CachePhase::Idle;
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Cache");
        self.inner.target.debug(&mut debug);
        debug.field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
