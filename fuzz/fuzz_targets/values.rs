//! Values and numbers as text. JSON must read back as it was written. Only a JSON number can be
//! added to. Sums must be those of wider integers and of doubles.
#![no_main]

use arbitrary::Arbitrary;
use async_caches_core::error::NumberError;
use async_caches_core::number::Number;
use async_caches_core::value;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    integer: i64,
    double: f64,
    delta: i64,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    reads_back(input.bytes);
    adds(input.bytes, input.delta, input.double);
    adds(input.integer.to_string().as_bytes(), input.delta, input.double);
    adds(input.double.to_string().as_bytes(), input.delta, input.double);
    // JSON has no infinity and no NaN.
    let double = value::encode(&input.double);
    assert_eq!(double.is_ok(), input.double.is_finite());
    if let Ok(double) = double {
        adds(&double, input.delta, input.double);
    }
});

fn reads_back(bytes: &[u8]) {
    let Ok(read) = value::decode::<Value>(bytes) else { return };
    let written = value::encode(&read).expect("it was read");
    assert_eq!(value::decode::<Value>(&written).expect("it was written"), read);
    let again = value::encode(&value::decode::<Value>(&written).expect("it was written"));
    assert_eq!(again.expect("it was read"), written);
    // Reading a type from the text and from the tree must give the same result.
    let typed = value::decode::<Vec<Option<String>>>(bytes).ok();
    assert_eq!(typed, serde_json::from_value(read).ok());
}

fn adds(stored: &[u8], delta: i64, double: f64) {
    let is_number = value::decode::<Box<RawValue>>(stored).is_ok_and(|raw| {
        // There must be nothing around the number, and it must begin like one.
        raw.get().len() == stored.len() && matches!(stored.first(), Some(b'-' | b'0'..=b'9'))
    });
    let (by_integer, by_double) =
        (Number::Integer(delta.into()).add_to(stored), Number::Float(double).add_to(stored));
    if !is_number {
        assert_eq!(by_integer, Err(NumberError::NotANumber), "{}", stored.escape_ascii());
        assert_eq!(by_double, Err(NumberError::NotANumber), "{}", stored.escape_ascii());
        return;
    }
    let text = str::from_utf8(stored).expect("it is a number");
    let is_integer = !text.contains(['.', 'e', 'E']) && text != "-0";
    let sum = text.parse::<i64>().ok().and_then(|number| number.checked_add(delta));
    match by_integer {
        Ok((sum_read, written)) => {
            let sum = sum.expect("both fit");
            assert_eq!(sum_read, Number::Integer(sum.into()));
            assert_eq!(written, sum.to_string().as_bytes());
        }
        Err(NumberError::NotAnInteger) => assert!(!is_integer, "{text}"),
        Err(NumberError::Overflow) => assert!(is_integer && sum.is_none(), "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
    let sum = text.parse::<f64>().expect("it is a number") + double;
    match by_double {
        Ok((Number::Float(sum_read), written)) => {
            assert_eq!(sum_read, sum);
            let written = String::from_utf8(written).expect("it is text");
            assert_eq!(written.parse::<f64>().expect("it is a number"), sum);
            assert!(value::decode::<f64>(written.as_bytes()).is_ok_and(|read| read == sum));
        }
        Ok((number, _)) => panic!("{number:?}"),
        Err(NumberError::Overflow) => assert!(!sum.is_finite(), "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
}
