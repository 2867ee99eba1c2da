//! The two forms in which values go in and out: JSON, and bytes as they are.

use std::marker::PhantomData;

use async_caches_core::value;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec_error::CodecError;

/// A value as JSON text.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set("names", ["Ada", "Grace"]).await?;
/// assert_eq!(cache.get_raw("names").await?.unwrap(), "[\"Ada\",\"Grace\"]");
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub(crate) T);

/// Bytes as they are, without a codec.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// cache.set_raw("page", "<html>").await?;
/// assert_eq!(cache.get_raw("page").await?.unwrap(), "<html>");
/// assert!(cache.get::<String>("page").await.is_err()); // it is not JSON
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Raw(pub(crate) Bytes);

/// A form that stored bytes can be read in. Sealed.
///
/// The examples of [`Json`] and [`Raw`] show its two forms.
pub trait Decode: sealed::Sealed {
    /// The type of the decoded value.
    type Value;

    #[doc(hidden)]
    fn decode(bytes: Bytes) -> Result<Self::Value, CodecError>;
}

/// A form that a value can be stored in. Sealed.
///
/// The examples of [`Json`] and [`Raw`] show its two forms.
pub trait Encode: sealed::Sealed {
    #[doc(hidden)]
    fn encode(&self) -> Result<Bytes, CodecError>;
}

/// A form that a `T` can be stored in, one of many. Sealed.
///
/// The examples of [`Json`] and [`Raw`] show its two forms.
pub trait EncodeAs<T>: sealed::Sealed {
    #[doc(hidden)]
    fn encode_as(value: T) -> Result<Bytes, CodecError>;
}

/// A form that a value is stored in and read back from, if a loader returns a `V`. Sealed.
///
/// The examples of [`Json`] and [`Raw`] show its two forms.
pub trait Codec<V>: sealed::Sealed {
    /// The type of the value: `V` itself, or the bytes that it converts to.
    type Value;

    #[doc(hidden)]
    type Decode: Decode<Value = Self::Value>;

    #[doc(hidden)]
    fn value(loaded: V) -> Self::Value;

    #[doc(hidden)]
    fn encode_value(value: &Self::Value) -> Result<Bytes, CodecError>;
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Json<()> {
    type Value = T;
    type Decode = Json<T>;

    fn value(loaded: T) -> T {
        loaded
    }

    fn encode_value(value: &T) -> Result<Bytes, CodecError> {
        Json(value).encode()
    }
}

impl<V: Into<Bytes>> Codec<V> for Raw {
    type Value = Bytes;
    type Decode = Self;

    fn value(loaded: V) -> Bytes {
        loaded.into()
    }

    fn encode_value(value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }
}

impl<T: Serialize> EncodeAs<T> for Json<()> {
    fn encode_as(value: T) -> Result<Bytes, CodecError> {
        Json(value).encode()
    }
}

impl<T: Into<Bytes>> EncodeAs<T> for Raw {
    fn encode_as(value: T) -> Result<Bytes, CodecError> {
        Ok(value.into())
    }
}

impl<T: DeserializeOwned> Decode for Json<T> {
    type Value = T;

    fn decode(bytes: Bytes) -> Result<T, CodecError> {
        value::decode(&bytes).map_err(CodecError::new)
    }
}

impl Decode for Raw {
    type Value = Bytes;

    fn decode(bytes: Bytes) -> Result<Bytes, CodecError> {
        Ok(bytes)
    }
}

impl<T: Serialize> Encode for Json<T> {
    fn encode(&self) -> Result<Bytes, CodecError> {
        value::encode(&self.0).map_err(CodecError::new)
    }
}

impl Encode for Raw {
    fn encode(&self) -> Result<Bytes, CodecError> {
        Ok(self.0.clone())
    }
}

/// Names a future's form without holding any of it.
pub(crate) type Form<D> = PhantomData<fn() -> D>;

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::Json<T> {}
    impl Sealed for super::Raw {}
}
