//! Failures on demand, to test how an application behaves when its cache fails.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_caches_core::error::{Failure, ServerError};
use async_caches_core::reply::Answer;

use crate::error::{ConnectionFailure, Error};
use crate::sync::lock;

/// A switch that makes the operations of a cache fail, on any backend: given to
/// [`Builder::faults`](crate::Builder::faults). Clones are one switch.
///
/// A failed operation has done nothing: it is refused before it reaches the backend, even if its
/// error says otherwise ([`Fault::Timeout`] may claim that it may have run, as a caller has to
/// handle that). Each command counts by itself: the lookup and the store of a `get_or_set`, each
/// chunk of 512 keys of a batch, each step of `clear_prefix`. `connect` and `disconnect` are not
/// affected, and a [`Recorder`](crate::Recorder) is not called. A cache with a switch is slower, as
/// its commands take the longer way. One without pays a comparison per operation at most.
///
/// ```
/// # futures_lite::future::block_on(async {
/// # use async_caches::{Error, Fault, Faults};
/// let faults = Faults::new();
/// let cache = async_caches::builder("locmem://test").faults(&faults).connect().await?;
/// faults.fail_with(Fault::Unavailable);
/// assert!(cache.get::<i32>("key").await.is_err_and(|error| error.is_retryable()));
/// assert_eq!(cache.get_or_set("key", async { 1 }).await?, 1); // loaded, and not stored
/// faults.clear();
/// assert_eq!(cache.get::<i32>("key").await?, None);
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    /// The fault, and how often it is left to happen; always, without a number.
    fault: Mutex<Option<(Fault, Option<u64>)>>,
    failed: AtomicU64,
}

/// The way in which operations fail under [`Faults`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::{Error, Fault, Faults, ServerErrorKind};
///
/// let faults = Faults::new();
/// let cache = async_caches::builder("locmem://").faults(&faults).connect().await?;
/// faults.fail_next(1, Fault::Server("OOM command not allowed".into()));
/// match cache.set("key", "value").await {
///     Err(Error::Server(error)) => assert_eq!(error.kind, ServerErrorKind::OutOfMemory),
///     other => panic!("the command failed: {other:?}"),
/// }
/// cache.set("key", "value").await?; // the next one does not
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// As if the server were away: [`Error::Unavailable`].
    Unavailable,
    /// As if too many operations were under way: [`Error::Overloaded`].
    Overloaded,
    /// As if no reply had come in time, though without any waiting: [`Error::Timeout`].
    Timeout {
        /// The value of the error's field.
        may_have_run: bool,
    },
    /// As if the connection had been lost: [`Error::Disconnected`].
    Disconnected {
        /// The value of the error's field.
        may_have_run: bool,
    },
    /// As if the server had replied with this error, such as `OOM command not allowed`:
    /// [`Error::Server`], with the kind from its first word.
    Server(String),
}

impl Faults {
    /// Returns a switch that is off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every command fail like this from now on.
    pub fn fail_with(&self, fault: Fault) {
        *lock(&self.0.fault) = Some((fault, None));
    }

    /// Makes the next `count` commands fail like this, and none after them.
    pub fn fail_next(&self, count: u64, fault: Fault) {
        *lock(&self.0.fault) = (count > 0).then_some((fault, Some(count)));
    }

    /// Makes no command fail any more.
    pub fn clear(&self) {
        *lock(&self.0.fault) = None;
    }

    /// How many commands this switch has made fail.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// The fault of the next command, if it must fail.
    pub(crate) fn next(&self) -> Option<Fault> {
        let mut state = lock(&self.0.fault);
        let (fault, left) = state.as_mut()?;
        let fault = fault.clone();
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                *state = None;
            }
        }
        drop(state);
        self.0.failed.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }
}

impl Fault {
    /// The result of an operation that fails like this.
    pub(crate) fn answer(self, after: std::time::Duration) -> Result<Answer, Error> {
        let to = || "the server that a test has made fail".to_owned();
        Err(match self {
            Self::Unavailable => {
                let source =
                    ConnectionFailure::from(io::Error::from(io::ErrorKind::ConnectionRefused));
                Error::Unavailable { to: to(), source }
            }
            Self::Overloaded => Error::Overloaded { to: to() },
            Self::Timeout { may_have_run } => Error::Timeout { after, may_have_run },
            Self::Disconnected { may_have_run } => {
                Error::Disconnected { may_have_run, source: ConnectionFailure::Eof }
            }
            Self::Server(text) => {
                return Ok(Err(Failure::Server(ServerError::parse(text.as_bytes()))));
            }
        })
    }
}
