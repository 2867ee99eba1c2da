//! `delete_if_equals` and `delete_if_equals_raw`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_caches_core::command::Command;
use async_caches_core::key::IntoName;
use bytes::Bytes;
use serde::Serialize;

use super::keyed::Keyed;
use super::options::{becomes_owned, takes_version};
use super::set::Value;
use crate::cache::Cache;
use crate::error::Error;
use crate::form::{Encode, Json, Raw};

/// The future of [`Cache::delete_if_equals`] and [`Cache::delete_if_equals_raw`]: a
/// `DeleteIfEquals<'_, Json<T>>` or a `DeleteIfEquals<'_, Raw>`.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.add("leader", "worker-1").await?;
/// assert!(!cache.delete_if_equals("leader", "worker-2").await?); // another worker leads
/// assert!(cache.delete_if_equals("leader", "worker-1").await?);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct DeleteIfEquals<'c, V> {
    keyed: Keyed<'c>,
    value: Value<V>,
}

takes_version!(DeleteIfEquals<'c, V> { keyed.version });
becomes_owned!(DeleteIfEquals<V> { value });

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
    pub fn delete_if_equals<'c, K: IntoName + 'c, T: Serialize>(
        &'c self,
        key: K,
        value: T,
    ) -> DeleteIfEquals<'c, Json<T>> {
        DeleteIfEquals::new(self, key, Json(value))
    }

    /// Removes a key if it holds these bytes; otherwise like
    /// [`delete_if_equals`](Self::delete_if_equals).
    ///
    /// # Errors
    /// As [`delete_if_equals`](Self::delete_if_equals), except [`Error::Serialize`].
    pub fn delete_if_equals_raw<'c, K: IntoName + 'c>(
        &'c self,
        key: K,
        value: impl Into<Bytes>,
    ) -> DeleteIfEquals<'c, Raw> {
        DeleteIfEquals::new(self, key, Raw(value.into()))
    }
}

impl<'c, V> DeleteIfEquals<'c, V> {
    fn new(cache: &'c Cache, key: impl IntoName + 'c, value: V) -> Self {
        Self { keyed: Keyed::new(cache, key), value: Value::Given(value) }
    }
}

impl<V> Unpin for DeleteIfEquals<'_, V> {}

impl<V: Encode> Future for DeleteIfEquals<'_, V> {
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { keyed, value } = self.get_mut();
        keyed.poll_flag(cx, |_, key| {
            Ok(Command::DeleteIf { key, value: value.encoded(key.name())? })
        })
    }
}
