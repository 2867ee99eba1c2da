use alloc::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use serde::Serializer;
use serde::ser::{
    SerializeStruct, SerializeStructVariant, SerializeTupleStruct, SerializeTupleVariant,
};
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
fn json_written_by_python_is_read() {
    let text = br#"{"name": "J\u00fcrgen \ud83d\ude00", "n": [1, 2.5, null, true], "big": 1e+16}"#;
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
fn bytes_that_are_not_one_value_of_the_type_are_refused() {
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

/// A struct or a variant with one value, serialized as a derived implementation would do it.
struct Held<T>(Shape, T);

#[derive(Clone, Copy)]
enum Shape {
    Struct,
    NewtypeStruct,
    TupleStruct,
    NewtypeVariant,
    TupleVariant,
    StructVariant,
}

impl<T: Serialize> Serialize for Held<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Shape::Struct => {
                let mut part = serializer.serialize_struct("Name", 1)?;
                part.serialize_field("field", &self.1)?;
                part.end()
            }
            Shape::NewtypeStruct => serializer.serialize_newtype_struct("Name", &self.1),
            Shape::TupleStruct => {
                let mut part = serializer.serialize_tuple_struct("Name", 1)?;
                part.serialize_field(&self.1)?;
                part.end()
            }
            Shape::NewtypeVariant => {
                serializer.serialize_newtype_variant("Name", 0, "Variant", &self.1)
            }
            Shape::TupleVariant => {
                let mut part = serializer.serialize_tuple_variant("Name", 0, "Variant", 1)?;
                part.serialize_field(&self.1)?;
                part.end()
            }
            Shape::StructVariant => {
                let mut part = serializer.serialize_struct_variant("Name", 0, "Variant", 1)?;
                part.serialize_field("field", &self.1)?;
                part.end()
            }
        }
    }
}

/// The error for this value, in each position where a value can stand.
fn everywhere<T: Serialize + Clone>(value: &T) -> Vec<Option<String>> {
    let said = |text: Result<Bytes, serde_json::Error>| text.err().map(|error| error.to_string());
    let value = || value.clone();
    vec![
        said(encode(&value())),
        said(encode(&Some(value()))),
        said(encode(&(1, value()))),
        said(encode(&[value()])),
        said(encode(&vec![vec![value()]])),
        said(encode(&BTreeMap::from([("key", value())]))),
        said(encode(&Held(Shape::Struct, value()))),
        said(encode(&Held(Shape::NewtypeStruct, value()))),
        said(encode(&Held(Shape::TupleStruct, value()))),
        said(encode(&Held(Shape::NewtypeVariant, value()))),
        said(encode(&Held(Shape::TupleVariant, value()))),
        said(encode(&Held(Shape::StructVariant, value()))),
        said(encode(&std::boxed::Box::new(Ok::<T, ()>(value())))),
    ]
}

#[test]
fn non_finite_floats_are_refused_anywhere_in_a_value() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for said in everywhere(&float).into_iter().chain(everywhere(&(float as f32))) {
            let said = said.unwrap();
            assert!(said.contains(&float.to_string()), "{said}");
        }
    }
    for float in [0.0, -0.0, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
        assert!(everywhere(&float).iter().all(Option::is_none), "{float}");
        let read: f64 = decode(&encode(&float).unwrap()).unwrap();
        assert_eq!(read.to_bits(), float.to_bits());
        assert_eq!(
            decode::<f32>(&encode(&(float as f32)).unwrap_or_default()).ok().map(f32::to_bits),
            (float as f32).is_finite().then(|| (float as f32).to_bits())
        );
    }
    assert!(encode(&BTreeMap::from([(std::string::String::from("a"), f64::NAN)])).is_err());
}

/// An array within arrays, this many in all, as a value that is built without recursion.
fn nested(depth: usize) -> Value {
    (1..depth).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]))
}

#[test]
fn a_value_is_refused_exactly_if_it_is_nested_too_deep_to_read() {
    for depth in 1..=140 {
        let value = nested(depth);
        let raw = serde_json::to_vec(&value).unwrap();
        let text = encode(&value);
        assert_eq!(text.is_ok(), decode::<Value>(&raw).is_ok(), "{depth}");
        assert_eq!(text.is_ok(), depth <= 127, "{depth}");
        if let Ok(text) = text {
            assert_eq!(text, raw);
        }
        // Each wrapper of `everywhere` has a number of brackets of its own.
        let brackets = [0, 0, 1, 1, 2, 1, 1, 0, 1, 1, 2, 2, 1];
        for (said, brackets) in everywhere(&value).into_iter().zip(brackets) {
            assert_eq!(said.is_none(), depth + brackets <= 127, "{depth} and {brackets}: {said:?}");
        }
    }
}

#[test]
fn bytes_count_as_an_array_for_the_depth_limit() {
    struct Octets;
    impl Serialize for Octets {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(b"ab")
        }
    }
    struct Around<'a>(usize, &'a Octets);
    impl Serialize for Around<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                0 => self.1.serialize(serializer),
                depth => [Around(depth - 1, self.1)].serialize(serializer),
            }
        }
    }
    for depth in [0, 1, 126, 127, 128] {
        let text = encode(&Around(depth, &Octets));
        assert_eq!(text.is_ok(), depth < 127, "{depth}");
        if let Ok(text) = text {
            assert!(decode::<Value>(&text).is_ok(), "{depth}");
        }
    }
}

#[test]
fn a_value_without_an_end_is_refused_before_the_stack_ends() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            [Endless].serialize(serializer)
        }
    }
    assert!(encode(&Endless).unwrap_err().to_string().contains("127"));
}

#[test]
fn integers_of_every_size_and_keys_of_every_kind_are_read_back() {
    assert_eq!(decode::<u128>(&encode(&u128::MAX).unwrap()).unwrap(), u128::MAX);
    assert_eq!(decode::<i128>(&encode(&i128::MIN).unwrap()).unwrap(), i128::MIN);
    let keys = BTreeMap::from([(u64::MAX, i64::MIN)]);
    assert_eq!(decode::<BTreeMap<u64, i64>>(&encode(&keys).unwrap()).unwrap(), keys);
    let keys = BTreeMap::from([(true, 'x')]);
    assert_eq!(decode::<BTreeMap<bool, char>>(&encode(&keys).unwrap()).unwrap(), keys);
    let keys = BTreeMap::from([(u128::MAX, ())]);
    assert_eq!(decode::<BTreeMap<u128, ()>>(&encode(&keys).unwrap()).unwrap(), keys);
}
