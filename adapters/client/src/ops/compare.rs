//! `delete_if_equals` and `delete_if_equals_raw`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::{IntoName, Version};
use async_caches_core::reply::Reply;
use bytes::Bytes;
use serde::Serialize;

use super::options::{becomes_owned, takes_version};
use super::set::Value;
use crate::cache::Cache;
use crate::call::Call;
use crate::error::Error;
use crate::form::{Encode, Json, Raw};
use crate::handle::Handle;

/// The future of [`Cache::delete_if_equals`] and [`Cache::delete_if_equals_raw`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct DeleteIfEquals<'c, K, V> {
    cache: Handle<'c>,
    key: K,
    value: Value<V>,
    version: Option<Version>,
    call: Call,
}

takes_version!(DeleteIfEquals<'c, K, V>);
becomes_owned!(DeleteIfEquals<V> { value, version, call });

impl Cache {
    /// Removes a key if it holds this value, and returns whether it did. One atomic step, so a lock
    /// is released only by the caller that holds it:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use async_caches::{Cache, Error};
    /// /// Runs `job` unless another process runs it; `token` is a random one of this process.
    /// async fn once(cache: &Cache, token: u128, job: impl Future<Output = ()>) -> Result<(), Error> {
    ///     if cache.add("lock:job", token).timeout(Duration::from_secs(30)).await? {
    ///         job.await;
    ///         // `false` if the timeout ended before the job did: another may hold the lock now.
    ///         cache.delete_if_equals("lock:job", &token).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The value's JSON text is compared, byte for byte. Equal values of one type always match,
    /// unless they hold a map in no fixed order; `1` and `1.0` do not match. A load of the key that
    /// is under way in this process is not stored.
    ///
    /// # Errors
    /// [`Error::Serialize`] if the value has no JSON, and the backend's errors. The command is
    /// never sent twice, since the second reply would be wrong. If the connection was lost before
    /// the reply, the error reports whether the command [may have run](Error::may_have_run). The
    /// server's user needs permission to run `EVAL` and `EVALSHA`.
    pub fn delete_if_equals<K: IntoName, T: Serialize>(
        &self,
        key: K,
        value: T,
    ) -> DeleteIfEquals<'_, K::Name, Json<T>> {
        delete_if_equals(self, key.into_name(), Json(value))
    }

    /// Removes a key if it holds these bytes; otherwise like
    /// [`delete_if_equals`](Self::delete_if_equals).
    ///
    /// # Errors
    /// As [`delete_if_equals`](Self::delete_if_equals), except [`Error::Serialize`].
    pub fn delete_if_equals_raw<K: IntoName>(
        &self,
        key: K,
        value: impl Into<Bytes>,
    ) -> DeleteIfEquals<'_, K::Name, Raw> {
        delete_if_equals(self, key.into_name(), Raw(value.into()))
    }
}

fn delete_if_equals<K, V>(cache: &Cache, key: K, value: V) -> DeleteIfEquals<'_, K, V> {
    let (value, call) = (Value::Given(value), Call::default());
    DeleteIfEquals { cache: cache.into(), key, value, version: None, call }
}

impl<K, V> Unpin for DeleteIfEquals<'_, K, V> {}

impl<K: AsRef<[u8]>, V: Encode> Future for DeleteIfEquals<'_, K, V> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version, value) = (&*this.cache, this.version.as_ref(), &mut this.value);
        let reply = ready!(this.call.poll(cache, name, cx, || {
            let key = cache.scope(version)?.key(name);
            Ok(Command::DeleteIf { key, value: value.encoded(name)? })
        }))?;
        let Reply::Flag(deleted) = reply else { return Poll::Ready(Err(Error::mismatch())) };
        Poll::Ready(Ok(deleted))
    }
}
