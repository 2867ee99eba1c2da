//! A serializer around another one that refuses values that could be written but not read again.
//!
//! Two faults can be detected while a value is written. A float that is infinite or NaN would
//! become `null`, which is not a number. And the reader refuses a text with more than [`MAX_DEPTH`]
//! open brackets, to protect its stack; writing such a value would overflow the writer's own stack
//! too. Everything else is passed on unchanged, so the text is the same as without this module.
//!
//! This module does not know the type that the text will be read as.

use core::fmt;

use serde::Serialize;
use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// How many arrays and objects may be open at a time: the most that `serde_json` reads.
pub(super) const MAX_DEPTH: u8 = 127;

/// A value that is written only if it can be read again.
pub(super) struct Readable<'v, T: ?Sized> {
    value: &'v T,
    /// How many more brackets may be opened inside.
    room: u8,
}

impl<'v, T: ?Sized> Readable<'v, T> {
    pub(super) fn new(value: &'v T) -> Self {
        Self { value, room: MAX_DEPTH }
    }
}

impl<T: Serialize + ?Sized> Serialize for Readable<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Within { inner: serializer, room: self.room })
    }
}

/// A serializer, or a part of one that takes elements, with room for this many more brackets.
struct Within<S> {
    inner: S,
    room: u8,
}

impl<S: Serializer> Within<S> {
    /// The room that is left inside this many more brackets.
    #[inline]
    fn open(&self, brackets: u8) -> Result<u8, S::Error> {
        self.room.checked_sub(brackets).ok_or_else(too_deep)
    }
}

#[cold]
fn too_deep<E: Error>() -> E {
    E::custom(format_args!("it is nested deeper than {MAX_DEPTH}, which could not be read again"))
}

#[cold]
fn no_number<E: Error>(number: f64) -> E {
    E::custom(format_args!("it has the number {number}, which JSON cannot write"))
}

/// `serde_json` writes a number or a raw text through a struct that does not appear in the text.
fn is_transparent(name: &str) -> bool {
    name.starts_with("$serde_json::private::")
}

macro_rules! handed_on {
    ($($method:ident($kind:ty))*) => {$(
        #[inline]
        fn $method(self, value: $kind) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<S: Serializer> Serializer for Within<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Within<S::SerializeSeq>;
    type SerializeTuple = Within<S::SerializeTuple>;
    type SerializeTupleStruct = Within<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Within<S::SerializeTupleVariant>;
    type SerializeMap = Within<S::SerializeMap>;
    type SerializeStruct = Within<S::SerializeStruct>;
    type SerializeStructVariant = Within<S::SerializeStructVariant>;

    handed_on! {
        serialize_bool(bool)
        serialize_i8(i8)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u128(u128)
        serialize_char(char)
        serialize_str(&str)
        serialize_unit_struct(&'static str)
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            self.inner.serialize_f32(value)
        } else {
            Err(no_number(value.into()))
        }
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        if value.is_finite() { self.inner.serialize_f64(value) } else { Err(no_number(value)) }
    }

    /// Bytes are written as an array of numbers.
    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        self.open(1)?;
        self.inner.serialize_bytes(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Readable { value, room: self.room })
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Readable { value, room: self.room })
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let room = self.open(1)?;
        self.inner.serialize_newtype_variant(name, index, variant, &Readable { value, room })
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let room = self.open(1)?;
        Ok(Within { inner: self.inner.serialize_seq(len)?, room })
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        let room = self.open(1)?;
        Ok(Within { inner: self.inner.serialize_tuple(len)?, room })
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let room = self.open(1)?;
        Ok(Within { inner: self.inner.serialize_tuple_struct(name, len)?, room })
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let room = self.open(2)?;
        Ok(Within { inner: self.inner.serialize_tuple_variant(name, index, variant, len)?, room })
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let room = self.open(1)?;
        Ok(Within { inner: self.inner.serialize_map(len)?, room })
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let room = if is_transparent(name) { self.room } else { self.open(1)? };
        Ok(Within { inner: self.inner.serialize_struct(name, len)?, room })
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let room = self.open(2)?;
        Ok(Within { inner: self.inner.serialize_struct_variant(name, index, variant, len)?, room })
    }

    #[inline]
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Parts of a serializer that take elements one after the other.
macro_rules! of_elements {
    ($($part:ident::$method:ident)*) => {$(
        impl<S: $part> $part for Within<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.$method(&Readable { value, room: self.room })
            }

            #[inline]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

of_elements! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

/// Parts of a serializer that take fields with their names.
macro_rules! of_fields {
    ($($part:ident)*) => {$(
        impl<S: $part> $part for Within<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                self.inner.serialize_field(name, &Readable { value, room: self.room })
            }

            #[inline]
            fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(name)
            }

            #[inline]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

of_fields! { SerializeStruct SerializeStructVariant }

/// A key that is not a text is refused by the inner serializer.
impl<S: SerializeMap> SerializeMap for Within<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&Readable { value, room: self.room })
    }

    #[inline]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), S::Error> {
        self.inner.serialize_entry(key, &Readable { value, room: self.room })
    }

    #[inline]
    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
