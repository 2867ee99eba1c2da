//! `get` and `get_raw`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::key::IntoName;
use async_caches_core::value::Unreadable;
use serde::de::DeserializeOwned;

use super::keyed::Keyed;
use super::options::{becomes_owned, takes_unreadable, takes_version};
use crate::cache::Cache;
use crate::error::Error;
use crate::form::{Decode, Form, Json, Raw};

/// The future of [`Cache::get`] and [`Cache::get_raw`]: a `Get<'_, Json<T>>` or a `Get<'_, Raw>`.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::{Error, Get, Json};
///
/// /// A lookup that has not begun.
/// struct Lookup<'c> {
///     name: Get<'c, Json<String>>,
/// }
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("user:1", "Ada").version(2).await?;
/// let lookup = Lookup { name: cache.get("user:1").version(2) };
/// assert_eq!(lookup.name.await?.as_deref(), Some("Ada"));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Get<'c, D> {
    keyed: Keyed<'c>,
    unreadable: Unreadable,
    form: Form<D>,
}

takes_version!(Get<'c, D> { keyed.version });
becomes_owned!(Get<D> { unreadable, form });
takes_unreadable!(Get<'c; Json<T>>);

impl Cache {
    /// Returns the value of a key, or `None` if the key does not exist. A stored `null` is a value:
    /// `get::<Option<T>>` tells `Some(None)` from `None`.
    ///
    /// # Errors
    /// [`Error::Deserialize`], with the key and the reason, if the value is not a `T`. With
    /// [`unreadable_as_miss`](Get::unreadable_as_miss), or the cache's option for it, the result is
    /// `None` instead. Also the backend's errors. An entry that is a list, or another type of the
    /// server's, is a [`ServerErrorKind::WrongType`](crate::ServerErrorKind::WrongType), with the
    /// key, or likewise `None`.
    pub fn get<'c, T: DeserializeOwned>(&'c self, key: impl IntoName + 'c) -> Get<'c, Json<T>> {
        Get::new(self, key, self.unreadable())
    }

    /// Returns the bytes of a key, as they are stored.
    ///
    /// A value of at most 256 bytes from a server shares a block of 2 KiB with others. If it is
    /// kept for long it keeps the whole block, so it is better copied.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn get_raw<'c, K: IntoName + 'c>(&'c self, key: K) -> Get<'c, Raw> {
        Get::new(self, key, Unreadable::Error)
    }
}

impl<'c, D> Get<'c, D> {
    #[inline(always)]
    fn new(cache: &'c Cache, key: impl IntoName + 'c, unreadable: Unreadable) -> Self {
        Self { keyed: Keyed::new(cache, key), unreadable, form: Form::default() }
    }
}

impl<D: Decode> Future for Get<'_, D> {
    type Output = Result<Option<D::Value>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { keyed, unreadable, .. } = self.get_mut();
        let found = ready!(keyed.poll_value(cx));
        let (name, reports) = (keyed.name.as_bytes(), keyed.cache.reports());
        Poll::Ready(match found {
            Ok(Some(bytes)) => reports.read::<D>(name, bytes, *unreadable, "GET"),
            Ok(None) => Ok(None),
            Err(error) => reports.failed(error, *unreadable, "GET"),
        })
    }
}
