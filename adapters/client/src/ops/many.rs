//! `get_many`, `get_many_raw`, `set_many` and `set_many_raw`.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::{IntoName, Names, Version};
use async_caches_core::reply::Reply;
use async_caches_core::ttl::Timeout;
use async_caches_core::value::Unreadable;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::batch::Chunks;
use super::options::{owns_its_cache, takes_timeout, takes_unreadable, takes_version};
use super::spread::{Spread, take};
use crate::cache::Cache;
use crate::error::Error;
use crate::form::{Decode, EncodeAs, Form, Json, Raw};
use crate::handle::Handle;

/// The future of [`Cache::get_many`] and [`Cache::get_many_raw`]: a `GetMany<'_, Json<T>>` or a
/// `GetMany<'_, Raw>`.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set_many([("a", 1), ("b", 2)]).await?;
/// let values: Vec<Option<i32>> = cache.get_many(["b", "none", "a"]).await?;
/// assert_eq!(values, [Some(2), None, Some(1)]); // in the order of the keys
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct GetMany<'c, D> {
    cache: Handle<'c>,
    names: Names,
    version: Option<Version>,
    values: Vec<Option<Bytes>>,
    batch: Chunks,
    /// Present on a cluster, once the operation has begun.
    spread: Option<Box<Spread>>,
    unreadable: Unreadable,
    form: Form<D>,
}

/// The future of [`GetMany::each`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("a", 1).await?;
/// cache.set("b", "two").await?;
/// let each = cache.get_many::<i32>(["a", "b"]).each().await?;
/// assert_eq!(each[0].as_ref().ok(), Some(&Some(1)));
/// assert!(each[1].is_err()); // one value that cannot be read spoils no other
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct GetEach<'c, D>(GetMany<'c, D>);

/// The future of [`Cache::set_many`] and [`Cache::set_many_raw`]: a `SetMany<'_, I>` or a
/// `SetMany<'_, I, Raw>`, whose `I` is the type of the entries that were given.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use std::time::Duration;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// let users = [("user:1", "Ada"), ("user:2", "Grace")];
/// cache.set_many(users).timeout(Duration::from_secs(60)).await?;
/// assert_eq!(cache.get("user:2").await?, Some(String::from("Grace")));
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct SetMany<'c, I, F = Json<()>> {
    cache: Handle<'c>,
    entries: Option<I>,
    names: Names,
    values: Vec<Bytes>,
    version: Option<Version>,
    timeout: Timeout,
    batch: Chunks,
    /// Present on a cluster, once the operation has begun.
    spread: Option<Box<Spread>>,
    form: Form<F>,
}

takes_version!(GetMany<'c, D> { version }, SetMany<'c, I, F> { version });
takes_timeout!(SetMany<'c, I, F>);
takes_unreadable!(GetMany<'c; Json<T>>);
owns_its_cache!(
    GetMany<D> { names, version, values, batch, spread, unreadable, form },
    SetMany<I, F> { entries, names, values, version, timeout, batch, spread, form },
);

impl Cache {
    /// Returns the values of many keys in the order of the keys, each `None` if its key does not
    /// exist. A key may be given twice. Without keys there is no round trip. An entry that is a
    /// list, or another type of the server's, is `None`, as the server reports no more about it.
    ///
    /// Keys are sent in chunks of at most 512; the chunks are not one atomic step.
    ///
    /// # Errors
    /// [`Error::Deserialize`], with the key and the reason, for the first value that is not a `T`.
    /// To keep the other values, use [`unreadable_as_miss`](GetMany::unreadable_as_miss), which
    /// makes it `None`, or [`each`](GetMany::each), which gives each key a result of its own. Also
    /// the backend's errors.
    pub fn get_many<T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item: IntoName>,
    ) -> GetMany<'_, Json<T>> {
        get_many(self, keys.into_iter().map(IntoName::into_name).collect(), self.unreadable())
    }

    /// Returns the bytes of many keys, as they are stored; otherwise like
    /// [`get_many`](Self::get_many).
    ///
    /// # Errors
    /// The backend's errors.
    pub fn get_many_raw(&self, keys: impl IntoIterator<Item: IntoName>) -> GetMany<'_, Raw> {
        get_many(self, keys.into_iter().map(IntoName::into_name).collect(), Unreadable::Error)
    }

    /// Stores many values. Each key gets its value and its timeout in one atomic step, so no crash
    /// leaves a key without its timeout. The keys together are not one step. If a key is given
    /// twice, its last value stays.
    ///
    /// If it fails or is dropped before it is done, any of the values may have been stored.
    ///
    /// # Errors
    /// [`Error::Serialize`] for the first value that has no JSON; nothing is stored then. Also
    /// [`Error::ZeroTimeout`], and the backend's errors.
    pub fn set_many<I, K, T>(&self, entries: I) -> SetMany<'_, I>
    where
        I: IntoIterator<Item = (K, T)>,
        K: IntoName,
        T: Serialize,
    {
        set_many(self, entries)
    }

    /// Stores many values as the bytes that they are; otherwise like [`set_many`](Self::set_many).
    ///
    /// # Errors
    /// [`Error::ZeroTimeout`], and the backend's errors.
    pub fn set_many_raw<I, K, T>(&self, entries: I) -> SetMany<'_, I, Raw>
    where
        I: IntoIterator<Item = (K, T)>,
        K: IntoName,
        T: Into<Bytes>,
    {
        set_many(self, entries)
    }
}

fn set_many<I, F>(cache: &Cache, entries: I) -> SetMany<'_, I, F> {
    SetMany {
        cache: cache.into(),
        entries: Some(entries),
        names: Names::default(),
        values: Vec::new(),
        version: None,
        timeout: Timeout::Default,
        batch: Chunks::of(std::iter::empty()),
        spread: None,
        form: Form::default(),
    }
}

fn get_many<D>(cache: &Cache, names: Names, unreadable: Unreadable) -> GetMany<'_, D> {
    let sizes = (0..names.len()).map(|index| names.get(index).map_or(0, <[u8]>::len));
    let batch = Chunks::of(sizes);
    let values = vec![None; names.len()];
    let form = Form::default();
    GetMany {
        cache: cache.into(),
        names,
        version: None,
        values,
        batch,
        spread: None,
        unreadable,
        form,
    }
}

impl<D> Unpin for GetMany<'_, D> {}

impl<'c, T> GetMany<'c, Json<T>> {
    /// Returns a result of its own for each key, in the order of the keys: the value, `None` if the
    /// key does not exist, or [`Error::Deserialize`] if the value is not a `T`, whatever the
    /// cache's default is. The call as a whole fails only with the backend's errors.
    pub fn each(self) -> GetEach<'c, Json<T>> {
        GetEach(self.unreadable_as_error())
    }
}

impl<D> GetEach<'_, D> {
    /// The same operation with a clone of the cache. It does not borrow the cache, so a task can be
    /// spawned from it.
    pub fn into_owned(self) -> GetEach<'static, D> {
        GetEach(self.0.into_owned())
    }
}

impl<D: Decode> Future for GetMany<'_, D> {
    type Output = Result<Vec<Option<D::Value>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready!(this.poll_values(cx))?;
        Poll::Ready(this.decoded().collect())
    }
}

impl<D: Decode> Future for GetEach<'_, D> {
    type Output = Result<Vec<Result<Option<D::Value>, Error>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self(many) = self.get_mut();
        ready!(many.poll_values(cx))?;
        Poll::Ready(Ok(many.decoded().collect()))
    }
}

impl<D: Decode> GetMany<'_, D> {
    /// Ready once the bytes of all values have arrived.
    fn poll_values(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        let this = self;
        this.batch.begin(&this.cache)?;
        let scope = this.cache.scope(this.version.as_ref())?;
        let keys = scope.keys(&this.names);
        if this.spread.is_none() && this.cache.is_cluster() {
            let (spread, batch) = Spread::of_keys(&this.cache, &keys);
            (this.spread, this.batch) = (Some(Box::new(spread)), batch);
        }
        if let Some(spread) = &mut this.spread {
            let (keys, places, gather) = spread.parts(scope);
            let command = |chunk| Command::GetMany(keys.window(chunk));
            ready!(this.batch.poll(&this.cache, cx, command, |chunk, reply| {
                take(gather, places, chunk, reply)
            }))?;
        } else {
            let values = &mut this.values;
            ready!(this.batch.poll(
                &this.cache,
                cx,
                |chunk| Command::GetMany(keys.window(chunk)),
                |chunk, reply| {
                    let Reply::Values(found) = reply else { return Err(Error::mismatch()) };
                    values.splice(chunk, found);
                    Ok(())
                },
            ))?;
        }
        if let Some(spread) = this.spread.take() {
            this.values = spread.values()?;
        }
        Poll::Ready(Ok(()))
    }

    /// The values, each decoded when the iterator reaches it.
    fn decoded(&mut self) -> impl Iterator<Item = Result<Option<D::Value>, Error>> {
        let values = std::mem::take(&mut self.values);
        let (names, unreadable, reports) = (&self.names, self.unreadable, self.cache.reports());
        values.into_iter().enumerate().map(move |(index, value)| match value {
            Some(bytes) => {
                let name = names.get(index).unwrap_or_default();
                reports.read::<D>(name, bytes, unreadable, "MGET")
            }
            None => Ok(None),
        })
    }
}

impl<I, F> Unpin for SetMany<'_, I, F> {}

impl<I, K, T, F> Future for SetMany<'_, I, F>
where
    I: IntoIterator<Item = (K, T)>,
    K: IntoName,
    F: EncodeAs<T>,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.entries.is_some() {
            this.batch.begin(&this.cache)?;
        }
        let scope = this.cache.scope(this.version.as_ref())?;
        let expiry = this.cache.expiry(this.timeout)?;
        if let Some(entries) = this.entries.take() {
            let mut sizes = Vec::new();
            for (key, value) in entries {
                let key = key.into_name();
                let name = key.as_ref();
                let encoded = F::encode_as(value);
                let value = encoded.map_err(|source| Error::serialize(name, source))?;
                sizes.push(name.len() + value.len());
                this.names.push(name);
                this.values.push(value);
            }
            this.batch = Chunks::of(sizes.into_iter());
            if this.cache.is_cluster() {
                let keys = scope.keys(&this.names);
                let (spread, batch) = Spread::of_writes(&this.cache, &keys);
                (this.spread, this.batch) = (Some(Box::new(spread)), batch);
            }
        }
        let values = &this.values;
        if let Some(spread) = &mut this.spread {
            let (keys, places, gather) = spread.parts(scope);
            let command = |chunk: Range<usize>| {
                let values = places.get(chunk.start).map_or(&[][..], |at| &values[*at..=*at]);
                Command::SetMany { keys: keys.window(chunk), values, expiry }
            };
            return this
                .batch
                .poll(&this.cache, cx, command, |chunk, reply| take(gather, places, chunk, reply));
        }
        let keys = scope.keys(&this.names);
        this.batch.poll(
            &this.cache,
            cx,
            |chunk| Command::SetMany {
                keys: keys.window(chunk.clone()),
                values: &values[chunk],
                expiry,
            },
            |_, reply| {
                let Reply::Done = reply else { return Err(Error::mismatch()) };
                Ok(())
            },
        )
    }
}
