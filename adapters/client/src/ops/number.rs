//! `incr` and `decr`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::Version;
use async_caches_core::number::Number;
use async_caches_core::reply::Reply;

use super::takes_version;
use crate::backend::Call;
use crate::cache::Cache;
use crate::error::Error;

/// The future of [`Cache::incr`] and [`Cache::decr`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Incr<'c, K, D> {
    cache: &'c Cache,
    key: K,
    delta: D,
    negated: bool,
    version: Option<Version>,
    call: Call,
}

takes_version!(Incr<'c, K, D>);

/// What can be added to a number in the cache: an `i64` or an `f64`. Sealed.
pub trait Delta: Copy + sealed::Sealed {
    #[doc(hidden)]
    fn number(self) -> Number;
    #[doc(hidden)]
    fn of(number: Number) -> Option<Self>;
}

impl Delta for i64 {
    fn number(self) -> Number {
        Number::Integer(self.into())
    }

    fn of(number: Number) -> Option<Self> {
        match number {
            Number::Integer(number) => number.try_into().ok(),
            Number::Float(_) => None,
        }
    }
}

impl Delta for f64 {
    fn number(self) -> Number {
        Number::Float(self)
    }

    fn of(number: Number) -> Option<Self> {
        match number {
            Number::Float(number) => Some(number),
            Number::Integer(_) => None,
        }
    }
}

impl Cache {
    /// Adds to the number stored under a key and answers the sum: one atomic step, which leaves the
    /// key's timeout as it is. An `i64` adds to integers and answers an `i64`; an `f64` adds to any
    /// number and answers an `f64`.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::NotANumber`], [`Error::NotAnInteger`] for an `i64` and a
    /// stored fraction, [`Error::Overflow`], and those of the backend. It is not sent twice: where
    /// the link was lost in between the error says whether it [may have run](Error::may_have_run).
    pub fn incr<K: AsRef<[u8]>, D: Delta>(&self, key: K, delta: D) -> Incr<'_, K, D> {
        Incr { cache: self, key, delta, negated: false, version: None, call: Call::default() }
    }

    /// Subtracts from the number stored under a key and answers the difference; otherwise as
    /// [`incr`](Self::incr).
    ///
    /// # Errors
    /// As [`incr`](Self::incr).
    pub fn decr<K: AsRef<[u8]>, D: Delta>(&self, key: K, delta: D) -> Incr<'_, K, D> {
        Incr { negated: true, ..self.incr(key, delta) }
    }
}

impl<K, D> Unpin for Incr<'_, K, D> {}

impl<K: AsRef<[u8]>, D: Delta> Future for Incr<'_, K, D> {
    type Output = Result<D, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version) = (this.cache, this.version.as_ref());
        let incr = || {
            let delta = this.delta.number();
            let delta = if this.negated { delta.negated() } else { delta };
            Ok(Command::Incr { key: cache.scope(version)?.key(name), delta })
        };
        let Reply::Number(sum) = ready!(this.call.poll(cache, name, cx, incr))? else {
            return Poll::Ready(Err(Error::mismatch()));
        };
        Poll::Ready(D::of(sum).ok_or_else(Error::mismatch))
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for f64 {}
}
