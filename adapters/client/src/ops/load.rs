//! `get_or_set` and `try_get_or_set`, of JSON and of bytes.
//!
//! [`Load`] decides the next step; this module carries it out.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::flight::Seen;
use async_caches_core::key::IntoName;
use async_caches_core::load::{Load, LoadEvent, LoadFailure, LoadStep};
use async_caches_core::ttl::Timeout;
use async_caches_core::value::Unreadable;
use bytes::Bytes;
use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keyed::Keyed;
use super::options::{becomes_owned, takes_timeout, takes_version};
use crate::backend::Backend;
use crate::cache::Cache;
use crate::call::Call;
use crate::error::{Error, LoadError};
use crate::flights::{Followed, LoadGuard};
use crate::form::{Codec, Form, Json, Raw};

/// The future of [`Cache::try_get_or_set`] and [`Cache::try_get_or_set_raw`]: a
/// `TryGetOrSet<'_, F, T>` or a `TryGetOrSet<'_, F, Bytes, Raw>`, whose `F` is the loader.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::LoadError;
/// use std::num::ParseIntError;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// let load = |text: &'static str| async move { text.parse::<i32>() };
/// assert_eq!(cache.try_get_or_set("answer", load("42")).await.ok(), Some(42));
/// let failed: Result<i32, LoadError<ParseIntError>> = cache.try_get_or_set("no", load("x")).await;
/// assert!(matches!(failed, Err(LoadError::Load(_))));
/// assert!(!cache.contains("no").await?); // an error is not cached
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is awaited"]
pub struct TryGetOrSet<'c, F, T, C = Json<()>> {
    keyed: Keyed<'c>,
    loader: Option<F>,
    timeout: Timeout,
    /// Computes the timeout of a loaded value, if the value itself decides.
    decide: Option<Decide<T>>,
    load_wait: Option<Duration>,
    load: Load<T>,
    stage: Stage<F>,
    /// The caller's part in a flight. Given up after the loader is dropped.
    guard: Option<LoadGuard>,
    form: Form<C>,
}

/// Returns the timeout of a value.
type Decide<T> = Box<dyn FnOnce(&T) -> Timeout + Send>;

/// The future of [`Cache::get_or_set`] and [`Cache::get_or_set_raw`]: a `GetOrSet<'_, F, T>` or a
/// `GetOrSet<'_, F, Bytes, Raw>`, whose `F` is the loader.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use std::time::Duration;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// let minute = Duration::from_secs(60);
/// assert_eq!(cache.get_or_set("sum", async { 1 + 1 }).timeout(minute).await?, 2);
/// assert_eq!(cache.get_or_set("sum", async { 99 }).await?, 2); // it is in the cache
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is awaited"]
pub struct GetOrSet<'c, F, T, C = Json<()>>(TryGetOrSet<'c, Infallibly<F>, T, C>);

takes_version!(TryGetOrSet<'c, F, T, C> { keyed.version });
takes_version!(GetOrSet<'c, F, T, C> { 0.keyed.version });
takes_timeout!(TryGetOrSet<'c, F, T, C>);
becomes_owned!(TryGetOrSet<F, T, C> {
    loader, timeout, decide, load_wait, load, stage, guard, form
});

/// The data of the step under way.
enum Stage<F> {
    LookUp { seen: Option<Seen> },
    Follow,
    Load(Pin<Box<F>>),
    Share(Bytes),
    Store(Bytes),
    Over,
}

/// What happened in a step.
type Event<T, E> = LoadEvent<T, LoadError<E>>;

impl Cache {
    /// Returns the value of a key. If the key does not exist, awaits `loader`, stores its value and
    /// returns it. The loader is polled only on a miss.
    ///
    /// If several callers in this process miss one key at the same time, one loads and the others
    /// get its value. If that caller is dropped, or its loader panics, the next takes over with its
    /// own loader. A delete or a set of the key overrides a load under way: the loaded value
    /// reaches the callers that waited for it, and is not stored. A load of more than 30 seconds
    /// does not delay callers that come after that. With `dummy://` every caller loads.
    ///
    /// A caller waits for another's load for `load_wait` at most: 10 seconds unless the cache or
    /// [`load_wait`](GetOrSet::load_wait) sets another limit. It then loads by itself, at the same
    /// time as the other. The first load to finish serves all callers that still wait, and is
    /// stored. So no caller depends on a future that is kept and not polled, or on a runtime that
    /// stands still.
    ///
    /// A loader may ask this cache, or another one, for other keys, and for its own. A caller that
    /// would wait for itself, through any number of loads, loads at once, and its value is not
    /// stored. So a loader that asks for its own key gets the inner value, and the outer one is
    /// stored.
    /// This is detected for what a loader polls itself, directly or with `join!`. It is not
    /// detected for work that the loader passes to another task and awaits: there `load_wait`
    /// bounds the wait.
    ///
    /// If the server is away, the loader's value is returned and nothing is stored. A store whose
    /// connection was lost is not sent again. It may still run later, until the server has read all
    /// that was sent on that connection.
    ///
    /// An entry that cannot be read as a `T` is a miss: the loader runs, and its value replaces the
    /// entry. It is reported to the [`Recorder`](crate::Recorder), and [`info`](Self::info) counts
    /// it. If two callers use one key for two types, a caller that waits for the other's load
    /// cannot read its value. It then loads by itself, and its value is not stored.
    ///
    /// # Errors
    /// [`Error::Serialize`], [`Error::ZeroTimeout`], [`Error::NotConnected`]; [`Error::Key`] if the
    /// version holds a colon, and [`Error::TooLarge`] if the key or the value is too large for a
    /// server.
    pub fn get_or_set<'c, K, F, T>(&'c self, key: K, loader: F) -> GetOrSet<'c, F, T>
    where
        K: IntoName + 'c,
        F: Future<Output = T>,
        T: Serialize + DeserializeOwned,
    {
        GetOrSet(TryGetOrSet::new(self, key, Infallibly { inner: loader }))
    }

    /// Like [`get_or_set`](Self::get_or_set), with a loader that may fail. Its error reaches its
    /// caller and is not cached. Other callers that waited for the same key load by themselves.
    ///
    /// # Errors
    /// [`LoadError::Load`] with the loader's error, or [`LoadError::Cache`] with those of
    /// [`get_or_set`](Self::get_or_set).
    pub fn try_get_or_set<'c, K, F, T, E>(&'c self, key: K, loader: F) -> TryGetOrSet<'c, F, T>
    where
        K: IntoName + 'c,
        F: Future<Output = Result<T, E>>,
        T: Serialize + DeserializeOwned,
    {
        TryGetOrSet::new(self, key, loader)
    }

    /// Like [`get_or_set`](Self::get_or_set), of bytes as they are, without JSON: the stored bytes,
    /// or those of `loader`. Any bytes can be read, so an entry counts as unreadable only if the
    /// server holds no string there, but a list for example.
    ///
    /// # Errors
    /// As [`get_or_set`](Self::get_or_set), except [`Error::Serialize`].
    pub fn get_or_set_raw<'c, K, F, V>(&'c self, key: K, loader: F) -> GetOrSet<'c, F, Bytes, Raw>
    where
        K: IntoName + 'c,
        F: Future<Output = V>,
        V: Into<Bytes>,
    {
        GetOrSet(TryGetOrSet::new(self, key, Infallibly { inner: loader }))
    }

    /// Like [`get_or_set_raw`](Self::get_or_set_raw), with a loader that may fail, as in
    /// [`try_get_or_set`](Self::try_get_or_set).
    ///
    /// # Errors
    /// As [`try_get_or_set`](Self::try_get_or_set), except [`Error::Serialize`].
    pub fn try_get_or_set_raw<'c, K, F, V, E>(
        &'c self,
        key: K,
        loader: F,
    ) -> TryGetOrSet<'c, F, Bytes, Raw>
    where
        K: IntoName + 'c,
        F: Future<Output = Result<V, E>>,
        V: Into<Bytes>,
    {
        TryGetOrSet::new(self, key, loader)
    }
}

impl<'c, F, T, C> TryGetOrSet<'c, F, T, C> {
    fn new(cache: &'c Cache, key: impl IntoName + 'c, loader: F) -> Self {
        Self {
            keyed: Keyed::new(cache, key),
            loader: Some(loader),
            timeout: Timeout::Default,
            decide: None,
            load_wait: None,
            load: Load::default(),
            stage: Stage::LookUp { seen: None },
            guard: None,
            form: Form::default(),
        }
    }
}

impl<F, T, C> Unpin for TryGetOrSet<'_, F, T, C> {}

impl<F, V, T, C, E> Future for TryGetOrSet<'_, F, T, C>
where
    F: Future<Output = Result<V, E>>,
    C: Codec<V, Value = T>,
{
    type Output = Result<T, LoadError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let mut event = ready!(this.poll_step(cx));
            // Joining and sharing take no time.
            loop {
                let now = || this.keyed.cache.with_backend(Backend::load_time).unwrap_or_default();
                event = match this.load.handle(event, now) {
                    Some(LoadStep::Return(value)) => {
                        this.end();
                        return Poll::Ready(Ok(value));
                    }
                    Some(LoadStep::Fail(error)) => {
                        this.end();
                        return Poll::Ready(Err(error));
                    }
                    Some(LoadStep::Join { may_look_again }) => this.join(may_look_again),
                    Some(LoadStep::Share) => this.share(),
                    Some(step) => {
                        this.begin(&step);
                        break;
                    }
                    None => return Poll::Ready(Err(Error::mismatch().into())),
                };
            }
        }
    }
}

impl<F, V, T, C, E> TryGetOrSet<'_, F, T, C>
where
    F: Future<Output = Result<V, E>>,
    C: Codec<V, Value = T>,
{
    /// Goes on with a step that takes time. Ready with what happened in it.
    #[inline]
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Event<T, E>> {
        match &mut self.stage {
            Stage::LookUp { .. } => self.poll_look_up(cx),
            Stage::Follow => self.poll_follow(cx),
            Stage::Load(_) => self.poll_load(cx),
            Stage::Store { .. } => self.poll_store(cx),
            Stage::Share(_) | Stage::Over => Poll::Ready(failed(Error::mismatch())),
        }
    }

    #[inline]
    fn poll_look_up(&mut self, cx: &Context<'_>) -> Poll<Event<T, E>> {
        let Stage::LookUp { seen } = &mut self.stage else {
            return Poll::Ready(failed(Error::mismatch()));
        };
        if seen.is_none() {
            let cache = &*self.keyed.cache;
            let found = cache.expiry(self.timeout).and_then(|_| {
                cache.with_backend(|backend| backend.loads().map(|loads| loads.seen()))
            });
            match found {
                Ok(found) => *seen = found,
                Err(error) => return Poll::Ready(failed(error)),
            }
        }
        let found = ready!(self.keyed.poll_value(cx));
        let reports = self.keyed.cache.reports();
        // An entry that cannot be read is a miss.
        match found.or_else(|error| reports.failed(error, Unreadable::Miss, "GET")) {
            Ok(Some(bytes)) => Poll::Ready(self.read(bytes)),
            Ok(None) => Poll::Ready(LoadEvent::Missing),
            Err(error) => Poll::Ready(failed(error)),
        }
    }

    fn join(&mut self, may_look_again: bool) -> Event<T, E> {
        let Stage::LookUp { seen } = &self.stage else { return failed(Error::mismatch()) };
        let cache = &*self.keyed.cache;
        let loads = match cache.with_backend(|backend| backend.loads().cloned()) {
            Ok(Some(loads)) => loads,
            Ok(None) => return LoadEvent::Alone,
            Err(error) => return failed(error),
        };
        let key = match self.keyed.key() {
            Ok(key) => key.to_bytes(),
            Err(error) => return failed(error),
        };
        let wait = self.load_wait.unwrap_or(cache.settings().load_wait);
        self.guard = loads.join(&key, seen.filter(|_| may_look_again), wait);
        match &self.guard {
            Some(guard) if guard.follows() => LoadEvent::Follows,
            Some(_) => LoadEvent::Leads { backs_off: false },
            None => LoadEvent::LookAgain,
        }
    }

    fn poll_follow(&mut self, cx: &mut Context<'_>) -> Poll<Event<T, E>> {
        let Some(guard) = &mut self.guard else {
            return Poll::Ready(failed(Error::mismatch()));
        };
        Poll::Ready(match ready!(guard.poll_follow(cx)) {
            Followed::Lead => LoadEvent::Leads { backs_off: false },
            Followed::Alone => LoadEvent::Alone,
            Followed::Value(bytes) => self.read(bytes),
        })
    }

    /// Polls the loader, and encodes its value. Meanwhile it counts as part of the load that the
    /// caller leads.
    fn poll_load(&mut self, cx: &mut Context<'_>) -> Poll<Event<T, E>> {
        let Stage::Load(loading) = &mut self.stage else {
            return Poll::Ready(failed(Error::mismatch()));
        };
        let inside = self.guard.as_ref().and_then(LoadGuard::enter);
        let loaded = ready!(loading.as_mut().poll(cx)).map(C::value);
        drop(inside);
        Poll::Ready(match loaded {
            Ok(value) => self.loaded(value).unwrap_or_else(failed),
            Err(error) => LoadEvent::Failed(LoadFailure::Other, LoadError::Load(error)),
        })
    }

    fn loaded(&mut self, value: T) -> Result<Event<T, E>, Error> {
        if let Some(decide) = self.decide.take() {
            self.timeout = decide(&value);
            self.keyed.cache.expiry(self.timeout)?;
        }
        let encoded = C::encode_value(&value);
        let bytes =
            encoded.map_err(|source| Error::serialize(self.keyed.name.as_bytes(), source))?;
        self.stage = Stage::Share(bytes);
        Ok(LoadEvent::Loaded(value))
    }

    fn share(&mut self) -> Event<T, E> {
        let (Stage::Share(bytes), Some(guard)) = (&self.stage, &mut self.guard) else {
            return failed(Error::mismatch());
        };
        LoadEvent::Shared { may_store: guard.share(bytes.clone()) }
    }

    fn poll_store(&mut self, cx: &mut Context<'_>) -> Poll<Event<T, E>> {
        let Stage::Store(bytes) = &self.stage else {
            return Poll::Ready(failed(Error::mismatch()));
        };
        let timeout = self.timeout;
        let stored = ready!(self.keyed.poll(cx, |cache, key| {
            Ok(Command::Set { key, value: bytes, expiry: cache.expiry(timeout)? })
        }));
        Poll::Ready(stored.map_or_else(failed, |_| LoadEvent::Stored))
    }

    /// Decodes the value. A value that cannot be read is reported.
    #[inline]
    fn read(&self, bytes: Bytes) -> Event<T, E> {
        let (name, reports) = (self.keyed.name.as_bytes(), self.keyed.cache.reports());
        match reports.read::<C::Decode>(name, bytes, Unreadable::Miss, "GET") {
            Ok(Some(value)) => LoadEvent::Found(value),
            Ok(None) => LoadEvent::Unreadable,
            Err(error) => failed(error),
        }
    }

    /// Begins a step that takes time.
    fn begin(&mut self, step: &LoadStep<T, LoadError<E>>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        self.keyed.renew(Call::default());
        self.stage = match (step, stage) {
            (LoadStep::LookUp, _) => Stage::LookUp { seen: None },
            (LoadStep::Follow, _) => Stage::Follow,
            (LoadStep::Load { alone }, _) => {
                if *alone {
                    self.guard = None;
                }
                // The loader has not been polled until now, so it can still be moved to the heap.
                self.loader.take().map_or(Stage::Over, |loader| Stage::Load(Box::pin(loader)))
            }
            (LoadStep::Store, Stage::Share(bytes)) => {
                self.keyed.renew(Call::store());
                Stage::Store(bytes)
            }
            (_, _) => Stage::Over,
        };
    }
}

/// A step that failed with an error of the cache.
#[cold]
fn failed<T, E>(error: Error) -> Event<T, E> {
    let kind = match &error {
        Error::NotConnected => LoadFailure::Disconnected,
        error if error.is_outage() => LoadFailure::Outage,
        _ => LoadFailure::Other,
    };
    LoadEvent::Failed(kind, error.into())
}

impl<F, T, C> TryGetOrSet<'_, F, T, C> {
    /// Drops the loader, or the command under way, and then gives the part in the flight up.
    #[inline]
    fn end(&mut self) {
        self.keyed.renew(Call::default());
        self.stage = Stage::Over;
        self.guard = None;
    }

    /// Lets the loaded value decide how long it is kept. `decide` is called with it, once, after
    /// the load, and its result is used like that of [`timeout`](Self::timeout). For example, a
    /// token is kept until it expires, and a negative result for a shorter time. It overrides
    /// [`timeout`](Self::timeout). Without a load it is not called, and other callers get the value
    /// all the same.
    ///
    /// A timeout of zero is an error here as well. To keep a value out of the cache, load it
    /// without the cache.
    pub fn timeout_with<R: Into<Timeout>>(
        mut self,
        decide: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Self {
        self.decide = Some(Box::new(|value| decide(value).into()));
        self
    }

    /// How long this caller waits for the load of another before it loads by itself, instead of the
    /// cache's `load_wait`. If zero, it never waits.
    pub fn load_wait(mut self, wait: Duration) -> Self {
        self.load_wait = Some(wait);
        self
    }
}

impl<F, T, C> GetOrSet<'_, F, T, C> {
    /// The same operation with a clone of the cache and a copy of the key, as
    /// [`TryGetOrSet::into_owned`].
    pub fn into_owned(self) -> GetOrSet<'static, F, T, C> {
        GetOrSet(self.0.into_owned())
    }

    /// Lets the loaded value decide how long it is kept, such as a token that expires: see
    /// [`TryGetOrSet::timeout_with`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use async_caches::{Cache, Error};
    /// /// A token, and for how many seconds it is valid.
    /// async fn sign_in() -> (String, u64) {
    ///     ("secret".into(), 3600)
    /// }
    ///
    /// async fn token(cache: &Cache) -> Result<String, Error> {
    ///     let token = cache.get_or_set("token", sign_in());
    ///     let (token, _) = token.timeout_with(|(_, lives)| Duration::from_secs(lives / 2)).await?;
    ///     Ok(token)
    /// }
    /// ```
    pub fn timeout_with<R: Into<Timeout>>(
        self,
        decide: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Self {
        Self(self.0.timeout_with(decide))
    }

    /// How long a loaded value is kept, instead of the cache's default timeout, in whole
    /// milliseconds rounded up. Zero is an error.
    pub fn timeout(self, timeout: impl Into<Timeout>) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// Another name of [`timeout`](Self::timeout).
    pub fn ttl(self, timeout: impl Into<Timeout>) -> Self {
        self.timeout(timeout)
    }

    /// A loaded value is kept for ever, whatever the cache's default timeout.
    pub fn forever(self) -> Self {
        Self(self.0.forever())
    }

    /// How long this caller waits for the load of another before it loads by itself, instead of the
    /// cache's `load_wait`. If zero, it never waits.
    pub fn load_wait(self, wait: Duration) -> Self {
        Self(self.0.load_wait(wait))
    }
}

impl<F, T, C> Future for GetOrSet<'_, F, T, C>
where
    F: Future,
    C: Codec<F::Output, Value = T>,
{
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|error| match error {
            LoadError::Cache(error) => error,
            LoadError::Load(never) => match never {},
        })
    }
}

impl<F, T, C> fmt::Debug for TryGetOrSet<'_, F, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGetOrSet").field("key", &self.keyed.name).finish_non_exhaustive()
    }
}

impl<F, T, C> fmt::Debug for GetOrSet<'_, F, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOrSet").field("key", &self.0.keyed.name).finish_non_exhaustive()
    }
}

pin_project! {
    /// Wraps a loader that cannot fail as one that may.
    #[doc(hidden)]
    pub struct Infallibly<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future> Future for Infallibly<F> {
    type Output = Result<F::Output, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map(Ok)
    }
}
