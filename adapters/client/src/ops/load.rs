//! `get_or_set` and `try_get_or_set`, of JSON and of bytes.
//!
//! ```text
//!          hit                      value of the leader
//!  Look ────────▶ done   Follow ───────────────────────▶ done
//!   │ ▲ miss              ▲  │ the leader went away
//!   ▼ │ again, once       │  ▼ or `load_wait` is over, or it would wait for itself
//!  Join ──────────────────┘ Load ──────▶ Store ──────▶ done
//!   └───────────────────────▲
//!           leads
//! ```

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::flight::Seen;
use async_caches_core::key::{IntoName, Version};
use async_caches_core::planted::{self, Bug};
use async_caches_core::ttl::Timeout;
use async_caches_core::value::Unreadable;
use bytes::Bytes;
use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::options::{becomes_owned, takes_timeout, takes_version};
use crate::cache::Cache;
use crate::call::Call;
use crate::error::{Error, LoadError};
use crate::flights::{Followed, Joined, Place};
use crate::form::{Codec, Form, Json, Raw};
use crate::handle::Handle;

/// The future of [`Cache::try_get_or_set`].
#[must_use = "an operation does nothing until it is awaited"]
pub struct TryGetOrSet<'c, K, F, T, C = Json<()>> {
    cache: Handle<'c>,
    key: K,
    loader: Option<F>,
    version: Option<Version>,
    timeout: Timeout,
    /// Computes the timeout of a loaded value, if the value itself decides.
    decide: Option<Decide<T>>,
    load_wait: Option<Duration>,
    /// Whether the lookup failed because the server is away. Nothing is stored then.
    away: bool,
    stage: Stage<F, T>,
    form: Form<C>,
}

/// Returns the timeout of a value.
type Decide<T> = Box<dyn FnOnce(&T) -> Timeout + Send>;

/// The future of [`Cache::get_or_set`].
#[must_use = "an operation does nothing until it is awaited"]
pub struct GetOrSet<'c, K, F, T, C = Json<()>>(TryGetOrSet<'c, K, Infallibly<F>, T, C>);

takes_version!(TryGetOrSet<'c, K, F, T, C>);
takes_timeout!(TryGetOrSet<'c, K, F, T, C>);
becomes_owned!(TryGetOrSet<F, T, C> {
    loader, version, timeout, decide, load_wait, away, stage, form
});

enum Stage<F, T> {
    Look { seen: Option<Seen>, again: bool, call: Call },
    Follow(Place),
    Load { loading: Pin<Box<F>>, place: Option<Place> },
    Store { value: T, bytes: Bytes, call: Call, _place: Place },
    Over,
}

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
    /// entry. It is reported to the [`Recorder`](crate::Recorder), and [`info`](Self::info) counts it.
    /// If two callers use one key for two types, a caller that waits for the other's load cannot
    /// read its value. It then loads by itself, and its value is not stored.
    ///
    /// # Errors
    /// [`Error::Serialize`], [`Error::ZeroTimeout`], [`Error::NotConnected`]; [`Error::Key`] if the
    /// version holds a colon, and [`Error::TooLarge`] if the key or the value is too large for a
    /// server.
    pub fn get_or_set<K, F, T>(&self, key: K, loader: F) -> GetOrSet<'_, K::Name, F, T>
    where
        K: IntoName,
        F: Future<Output = T>,
        T: Serialize + DeserializeOwned,
    {
        GetOrSet(try_get_or_set(self, key.into_name(), Infallibly { inner: loader }))
    }

    /// Like [`get_or_set`](Self::get_or_set), with a loader that may fail. Its error reaches its
    /// caller and is not cached. Other callers that waited for the same key load by themselves.
    ///
    /// # Errors
    /// [`LoadError::Load`] with the loader's error, or [`LoadError::Cache`] with those of
    /// [`get_or_set`](Self::get_or_set).
    pub fn try_get_or_set<K, F, T, E>(&self, key: K, loader: F) -> TryGetOrSet<'_, K::Name, F, T>
    where
        K: IntoName,
        F: Future<Output = Result<T, E>>,
        T: Serialize + DeserializeOwned,
    {
        try_get_or_set(self, key.into_name(), loader)
    }

    /// Like [`get_or_set`](Self::get_or_set), of bytes as they are, without JSON: the stored bytes,
    /// or those of `loader`. Any bytes can be read, so an entry counts as unreadable only if the
    /// server holds no string there, but a list for example.
    ///
    /// # Errors
    /// As [`get_or_set`](Self::get_or_set), except [`Error::Serialize`].
    pub fn get_or_set_raw<K, F, V>(
        &self,
        key: K,
        loader: F,
    ) -> GetOrSet<'_, K::Name, IntoBytes<F>, Bytes, Raw>
    where
        K: IntoName,
        F: Future<Output = V>,
        V: Into<Bytes>,
    {
        let loader = Infallibly { inner: IntoBytes { inner: loader } };
        GetOrSet(try_get_or_set(self, key.into_name(), loader))
    }

    /// Like [`get_or_set_raw`](Self::get_or_set_raw), with a loader that may fail, as in
    /// [`try_get_or_set`](Self::try_get_or_set).
    ///
    /// # Errors
    /// As [`try_get_or_set`](Self::try_get_or_set), except [`Error::Serialize`].
    pub fn try_get_or_set_raw<K, F, V, E>(
        &self,
        key: K,
        loader: F,
    ) -> TryGetOrSet<'_, K::Name, TryIntoBytes<F>, Bytes, Raw>
    where
        K: IntoName,
        F: Future<Output = Result<V, E>>,
        V: Into<Bytes>,
    {
        try_get_or_set(self, key.into_name(), TryIntoBytes { inner: loader })
    }
}

fn try_get_or_set<K, F, T, C>(cache: &Cache, key: K, loader: F) -> TryGetOrSet<'_, K, F, T, C> {
    TryGetOrSet {
        cache: cache.into(),
        key,
        loader: Some(loader),
        version: None,
        timeout: Timeout::Default,
        decide: None,
        load_wait: None,
        away: false,
        stage: Stage::look(false),
        form: Form::default(),
    }
}

impl<K, F, T, C> Unpin for TryGetOrSet<'_, K, F, T, C> {}

impl<K, F, T, C, E> Future for TryGetOrSet<'_, K, F, T, C>
where
    K: AsRef<[u8]>,
    F: Future<Output = Result<T, E>>,
    C: Codec<T>,
{
    type Output = Result<T, LoadError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let found = match &mut this.stage {
                Stage::Look { .. } => ready!(this.poll_look(cx))?,
                Stage::Follow(place) => match ready!(place.poll_follow(cx)) {
                    Followed::Lead => this.inherit(),
                    Followed::Alone => this.load(None),
                    Followed::Value(bytes) => match this.readable(bytes)? {
                        Some(value) => Some(value),
                        // The leader's value is of another type.
                        None => this.load(None),
                    },
                },
                Stage::Load { loading, place } => match ready!(poll_inside(place, loading, cx)) {
                    Ok(value) => this.loaded(value)?,
                    Err(error) => {
                        this.stage = Stage::Over;
                        return Poll::Ready(Err(LoadError::Load(error)));
                    }
                },
                Stage::Store { .. } => ready!(this.poll_store(cx))?,
                Stage::Over => return Poll::Ready(Err(Error::mismatch().into())),
            };
            if let Some(value) = found {
                this.stage = Stage::Over;
                return Poll::Ready(Ok(value));
            }
        }
    }
}

/// The steps. Each returns the value once it is known, or else has moved on to another stage.
impl<K: AsRef<[u8]>, F, T, C: Codec<T>> TryGetOrSet<'_, K, F, T, C> {
    fn poll_look(&mut self, cx: &Context<'_>) -> Poll<Result<Option<T>, Error>> {
        let Stage::Look { seen, again, call } = &mut self.stage else {
            return Poll::Ready(Ok(None));
        };
        let (cache, version, name) = (&*self.cache, self.version.as_ref(), self.key.as_ref());
        let key = || Ok::<_, Error>(cache.scope(version)?.key(name));
        if seen.is_none() {
            cache.expiry(self.timeout)?;
            *seen = cache.with_backend(|backend| backend.loads().map(|loads| loads.seen()))?;
        }
        let found = ready!(call.poll_value(cache, name, cx, || Ok(Command::Get(key()?))));
        let (seen, again) = (*seen, *again);
        // An entry that cannot be read is a miss.
        match found.or_else(|error| cache.reports().failed(error, Unreadable::Miss, "GET")) {
            Ok(found) => {
                if let Some(bytes) = found
                    && let Some(value) = self.readable(bytes)?
                {
                    return Poll::Ready(Ok(Some(value)));
                }
                self.away = false;
            }
            Err(error) if error.is_outage() => self.away = true,
            Err(error) => return Poll::Ready(Err(error)),
        }
        let loads = cache.with_backend(|backend| backend.loads().cloned())?;
        let Some(loads) = loads else { return Poll::Ready(Ok(self.load(None))) };
        // If the server is away, it is no use to look again for a value stored by others. A second
        // lookup is the last: while loads keep ending, a caller could look again for ever.
        let ignored = planted::is(Bug::LoadWaitIgnored).then_some(Duration::MAX);
        let wait = ignored.or(self.load_wait).unwrap_or(cache.settings().load_wait);
        let joined = loads.join(&key()?.to_bytes(), seen.filter(|_| !self.away && !again), wait);
        match joined {
            Joined::Lead(place) => return Poll::Ready(Ok(self.load(Some(place)))),
            Joined::Follow(place) => self.stage = Stage::Follow(place),
            Joined::Again => self.stage = Stage::look(true),
        }
        Poll::Ready(Ok(None))
    }

    fn inherit(&mut self) -> Option<T> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let Stage::Follow(place) = stage else { return None };
        self.load(Some(place))
    }

    fn load(&mut self, place: Option<Place>) -> Option<T> {
        // The loader has not been polled until now, so it can still be moved to the heap.
        if let Some(loader) = self.loader.take() {
            self.stage = Stage::Load { loading: Box::pin(loader), place };
        }
        None
    }

    fn loaded(&mut self, value: T) -> Result<Option<T>, Error> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if let Some(decide) = self.decide.take() {
            self.timeout = decide(&value);
            self.cache.expiry(self.timeout)?;
        }
        let encoded = C::encode_value(&value);
        let bytes = encoded.map_err(|source| Error::serialize(self.key.as_ref(), source))?;
        let Stage::Load { place: Some(mut place), .. } = stage else { return Ok(Some(value)) };
        if !place.share(bytes.clone()) || self.away {
            return Ok(Some(value));
        }
        self.stage = Stage::Store { value, bytes, call: Call::store(), _place: place };
        Ok(None)
    }

    fn poll_store(&mut self, cx: &Context<'_>) -> Poll<Result<Option<T>, Error>> {
        let Stage::Store { bytes, call, .. } = &mut self.stage else {
            return Poll::Ready(Ok(None));
        };
        let name = self.key.as_ref();
        let set = || {
            let key = self.cache.scope(self.version.as_ref())?.key(name);
            let lives_on = planted::is(Bug::LoadLivesForEver);
            let timeout = if lives_on { Timeout::Never } else { self.timeout };
            Ok(Command::Set { key, value: bytes, expiry: self.cache.expiry(timeout)? })
        };
        if let Err(error) = ready!(call.poll(&self.cache, name, cx, set)) {
            // The value is good though it could not be stored: the cache was disconnected
            // meanwhile, or its server is away or accepts no writes.
            if !error.is_outage() && !matches!(error, Error::NotConnected) {
                return Poll::Ready(Err(error));
            }
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let Stage::Store { value, .. } = stage else { return Poll::Ready(Ok(None)) };
        Poll::Ready(Ok(Some(value)))
    }

    /// Decodes the value. A value that cannot be read is reported, and is a miss.
    fn readable(&self, bytes: Bytes) -> Result<Option<T>, Error> {
        let (name, reports) = (self.key.as_ref(), self.cache.reports());
        let told = planted::is(Bug::UnreadableIsTold);
        let unreadable = if told { Unreadable::Error } else { Unreadable::Miss };
        reports.read::<C::Decode>(name, bytes, unreadable, "GET")
    }
}

/// Polls a loader. Meanwhile it counts as part of the load that `place` leads.
fn poll_inside<F: Future>(
    place: &Option<Place>,
    loading: &mut Pin<Box<F>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let _inside = place.as_ref().and_then(Place::enter);
    loading.as_mut().poll(cx)
}

impl<K, F, T, C> TryGetOrSet<'_, K, F, T, C> {
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

impl<F, T> Stage<F, T> {
    fn look(again: bool) -> Self {
        Self::Look { seen: None, again, call: Call::default() }
    }
}

impl<K: AsRef<[u8]>, F, T, C> GetOrSet<'_, K, F, T, C> {
    /// The same operation with a clone of the cache and a copy of the key. It borrows neither, so a
    /// task can be spawned from it. Costs an allocation.
    pub fn into_owned(self) -> GetOrSet<'static, Bytes, F, T, C> {
        GetOrSet(self.0.into_owned())
    }
}

impl<K, F, T, C> GetOrSet<'_, K, F, T, C> {
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

    /// The version of the key, instead of the cache's default one. A text with a colon is an
    /// error.
    pub fn version(self, version: impl Into<Version>) -> Self {
        Self(self.0.version(version))
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

impl<K, F, T, C> Future for GetOrSet<'_, K, F, T, C>
where
    K: AsRef<[u8]>,
    F: Future<Output = T>,
    C: Codec<T>,
{
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|error| match error {
            LoadError::Cache(error) => error,
            LoadError::Load(never) => match never {},
        })
    }
}

impl<K: fmt::Debug, F, T, C> fmt::Debug for TryGetOrSet<'_, K, F, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGetOrSet").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<K: fmt::Debug, F, T, C> fmt::Debug for GetOrSet<'_, K, F, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOrSet").field("key", &self.0.key).finish_non_exhaustive()
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

pin_project! {
    /// Wraps a loader whose value converts to bytes.
    #[doc(hidden)]
    pub struct IntoBytes<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output: Into<Bytes>>> Future for IntoBytes<F> {
    type Output = Bytes;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map(Into::into)
    }
}

pin_project! {
    /// Like `IntoBytes`, for a loader that may fail.
    #[doc(hidden)]
    pub struct TryIntoBytes<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = Result<V, E>>, V: Into<Bytes>, E> Future for TryIntoBytes<F> {
    type Output = Result<Bytes, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_ok(Into::into)
    }
}
