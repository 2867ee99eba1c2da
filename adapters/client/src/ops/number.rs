//! `incr`, `decr`, `incr_by` and `decr_by`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::{Command, Start};
use async_caches_core::error::NumberError;
use async_caches_core::key::IntoName;
use async_caches_core::number::Number;
use async_caches_core::reply::Reply;
use async_caches_core::ttl::Timeout;

use super::keyed::Keyed;
use super::options::{becomes_owned, takes_timeout, takes_version};
use crate::cache::Cache;
use crate::error::Error;
use crate::form::Form;

/// The future of [`Cache::incr`], [`Cache::incr_by`] and their opposites. It resolves to a `D`.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Error;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("visits", 41).await?;
/// assert_eq!(cache.incr("visits", 1).await?, 42);
/// assert!(matches!(cache.incr("none", 1).await, Err(Error::KeyNotFound { .. })));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Incr<'c, D> {
    keyed: Keyed<'c>,
    delta: Number,
    sum: Form<D>,
}

/// The future of [`Incr::or_insert`].
///
/// ```
/// # futures_lite::future::block_on(async {
/// use std::time::Duration;
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// let hour = Duration::from_secs(3600); // from the first visit on
/// assert_eq!(cache.incr("visits", 1).or_insert(0).timeout(hour).await?, 1);
/// assert_eq!(cache.incr("visits", 1).or_insert(0).timeout(hour).await?, 2);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct IncrOrInsert<'c, D> {
    incr: Incr<'c, D>,
    initial: Number,
    timeout: Timeout,
    start: Option<Start>,
}

takes_version!(Incr<'c, D> { keyed.version }, IncrOrInsert<'c, D> { incr.keyed.version });
takes_timeout!(IncrOrInsert<'c, D>);
becomes_owned!(Incr<D> { delta, sum });

/// A number that can be added to one in the cache, of the same type as the sum: an `i64` or an
/// `f64`. There are no more on purpose: the literal in `incr("n", 1)` is an `i64` because that is
/// the only integer here. With all integers it would be an `i32`, whose sum overflows at 2^31.
/// [`Cache::incr_by`] takes all integers. Sealed.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("sum", 1).await?;
/// assert_eq!(cache.incr("sum", 2).await?, 3_i64);
/// assert_eq!(cache.incr("sum", 0.5).await?, 3.5_f64);
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
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

/// An integer of any type. Sealed.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("bytes", 0).await?;
/// let chunk = [0_u8; 512];
/// assert_eq!(cache.incr_by("bytes", chunk.len()).await?, 512); // a usize
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
pub trait Integer: Copy + sealed::Integer {
    #[doc(hidden)]
    fn number(self) -> Number;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl sealed::Integer for $integer {}

        impl Integer for $integer {
            fn number(self) -> Number {
                // A larger number overflows as well.
                Number::Integer(i128::try_from(self).unwrap_or(i128::MAX))
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

impl Cache {
    /// Adds to the number stored under a key and returns the sum. One atomic step; the key's
    /// timeout stays as it is. An `i64` adds to integers and returns an `i64`; an `f64` adds to any
    /// number and returns an `f64`.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::NotANumber`], [`Error::NotAnInteger`] for an `i64` and a
    /// stored fraction, [`Error::Overflow`], and the backend's errors. The command is never sent
    /// twice. If the connection was lost before the reply, the error reports whether the command
    /// [may have run](Error::may_have_run).
    pub fn incr<'c, K: IntoName + 'c, D: Delta>(&'c self, key: K, delta: D) -> Incr<'c, D> {
        Incr::new(self, key, delta.number())
    }

    /// Subtracts from the number stored under a key and returns the difference; otherwise like
    /// [`incr`](Self::incr).
    ///
    /// # Errors
    /// As [`incr`](Self::incr).
    pub fn decr<'c, K: IntoName + 'c, D: Delta>(&'c self, key: K, delta: D) -> Incr<'c, D> {
        Incr::new(self, key, delta.number().negated())
    }

    /// [`incr`](Self::incr) by an integer of any type; the sum is an `i64`.
    ///
    /// # Errors
    /// As [`incr`](Self::incr); also [`Error::Overflow`] if the integer itself does not fit an
    /// `i64`, whatever is stored. The client then sends nothing.
    pub fn incr_by<'c, K: IntoName + 'c>(&'c self, key: K, delta: impl Integer) -> Incr<'c, i64> {
        Incr::new(self, key, delta.number())
    }

    /// [`decr`](Self::decr) by an integer of any type; the difference is an `i64`.
    ///
    /// # Errors
    /// As [`incr_by`](Self::incr_by).
    pub fn decr_by<'c, K: IntoName + 'c>(&'c self, key: K, delta: impl Integer) -> Incr<'c, i64> {
        Incr::new(self, key, delta.number().negated())
    }
}

impl<'c, D> Incr<'c, D> {
    fn new(cache: &'c Cache, key: impl IntoName + 'c, delta: Number) -> Self {
        Self { keyed: Keyed::new(cache, key), delta, sum: Form::default() }
    }
}

impl<'c, D: Delta> Incr<'c, D> {
    /// Creates the key with `initial` if it does not exist, and then adds to it as to any other
    /// number. So each of several callers that come first is counted. Creating and adding are one
    /// atomic step.
    ///
    /// A [`timeout`](IncrOrInsert::timeout), or else the cache's default one, begins when the key
    /// is created. Later additions leave it as it is, so a counter covers one window of fixed
    /// length:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use async_caches::{Cache, Error};
    /// /// Whether a user has asked at most 100 times in this minute.
    /// async fn is_allowed(cache: &Cache, user: &str) -> Result<bool, Error> {
    ///     let minute = Duration::from_secs(60);
    ///     let count = cache.incr(format!("rate:{user}"), 1).or_insert(0).timeout(minute).await?;
    ///     Ok(count <= 100)
    /// }
    /// ```
    ///
    /// With `dummy://` the key never exists, so the sum is always the first one. A load of the key
    /// that is under way in this process is not stored.
    ///
    /// # Errors
    /// As [`Cache::incr`], except [`Error::KeyNotFound`]; [`Error::ZeroTimeout`]; and
    /// [`Error::Overflow`] also if the key does not exist and the sum with the initial number
    /// overflows. Nothing is created then. As for every `incr`, the server's user needs permission
    /// to run `EVAL` and `EVALSHA`.
    pub fn or_insert(self, initial: D) -> IncrOrInsert<'c, D> {
        let initial = initial.number();
        IncrOrInsert { incr: self, initial, timeout: Timeout::Default, start: None }
    }

    fn poll_sum(&mut self, start: Option<&Start>, cx: &Context<'_>) -> Poll<Result<D, Error>> {
        let delta = self.delta;
        let reply = ready!(self.keyed.poll(cx, |_, key| {
            if !delta.is_a_delta() {
                return Err(Error::number(key.name(), NumberError::Overflow));
            }
            Ok(Command::Incr { key, delta, start })
        }))?;
        let Reply::Number(sum) = reply else { return Poll::Ready(Err(Error::mismatch())) };
        Poll::Ready(D::of(sum).ok_or_else(Error::mismatch))
    }
}

impl<D> IncrOrInsert<'_, D> {
    /// The same operation with a clone of the cache and a copy of the key, as
    /// [`Incr::into_owned`].
    pub fn into_owned(self) -> IncrOrInsert<'static, D> {
        let Self { incr, initial, timeout, start } = self;
        IncrOrInsert { incr: incr.into_owned(), initial, timeout, start }
    }
}

impl<D: Delta> Future for IncrOrInsert<'_, D> {
    type Output = Result<D, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let start = match this.start {
            Some(start) => start,
            None => {
                let expiry = this.incr.keyed.cache.expiry(this.timeout)?;
                *this.start.insert(Start { initial: this.initial, expiry })
            }
        };
        this.incr.poll_sum(Some(&start), cx)
    }
}

impl<D: Delta> Future for Incr<'_, D> {
    type Output = Result<D, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_sum(None, cx)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for f64 {}
    pub trait Integer {}
}
