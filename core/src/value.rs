//! Values: what a caller stores, as bytes and back.
//!
//! A value is JSON text, so a Python process and this one read each other's entries. What
//! Python's `json.dumps` writes is read here, escapes and spaces included; its `NaN` and
//! `Infinity` are not JSON and are refused. This module knows nothing of keys, and nothing of the
//! raw operations that store a caller's bytes as they are.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a value as JSON text, in an allocation of exactly its length.
///
/// JSON has no infinities and no "not a number": such a float is written as `null`.
///
/// # Errors
/// Where the value's [`Serialize`] says no, or where it is a map whose keys are neither texts nor
/// numbers.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, serde_json::Error> {
    // A boxed slice has no spare capacity for the store to pin.
    serde_json::to_vec(value).map(|text| Bytes::from(text.into_boxed_slice()))
}

/// Reads a value from JSON text, all of it.
///
/// # Errors
/// Where the bytes are not JSON, are not one `T`, are nested deeper than 128, or go on after the
/// value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use std::string::{String, ToString};
    use std::vec::Vec;
    use std::{format, vec};

    use serde_json::Value;

    use super::*;

    #[test]
    fn values_are_compact_json_text() {
        assert_eq!(encode("Ok!").unwrap(), r#""Ok!""#);
        assert_eq!(encode(&None::<u8>).unwrap(), "null");
        assert_eq!(encode(&BTreeMap::from([("a", [1, 2])])).unwrap(), r#"{"a":[1,2]}"#);
        assert_eq!(encode(&1e300).unwrap(), "1e+300");
    }

    #[test]
    fn no_spare_capacity_is_kept() {
        let bytes = encode(&vec!["x"; 1000]).unwrap();
        let length = bytes.len();
        assert_eq!(Vec::from(bytes).capacity(), length);
    }

    #[test]
    fn floats_that_json_cannot_say_become_null() {
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(encode(&float).unwrap(), "null");
        }
    }

    #[test]
    fn what_python_writes_is_read() {
        let text =
            br#"{"name": "J\u00fcrgen \ud83d\ude00", "n": [1, 2.5, null, true], "big": 1e+16}"#;
        let value: Value = decode(text).unwrap();
        assert_eq!(value["name"], "Jürgen 😀");
        assert_eq!(value["n"].to_string(), "[1,2.5,null,true]");
        assert_eq!(value["big"], 1e16);
        assert!(decode::<Value>(b"NaN").is_err());
    }

    #[test]
    fn a_null_is_a_value() {
        assert_eq!(decode::<Option<u8>>(b"null").unwrap(), None);
    }

    #[test]
    fn what_is_not_one_value_of_the_type_is_refused() {
        for bytes in [&b""[..], b"1 2", b"\"a", b"\xff", b"{", b"\"a\""] {
            assert!(decode::<u8>(bytes).is_err(), "{bytes:?}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(decode::<Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_map_whose_keys_are_not_texts_does_not_serialize() {
        assert!(encode(&BTreeMap::from([(vec![1], String::new())])).is_err());
    }
}
