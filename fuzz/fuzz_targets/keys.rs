//! Keys: the bytes of a key can be read as a prefix, a version and a name in only one way, so no
//! two triples give the same key. The input is three lines: prefix, version, name.

#![no_main]

use async_caches_core::key::{KeySpace, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (prefix, version, name) = (line(), line(), line());
    let Some(key) = build(prefix, version, name) else { return };

    let colons: Vec<usize> = (0..key.len()).filter(|&at| key[at] == b':').take(32).collect();
    let mut readings = 0;
    for (nth, &first) in colons.iter().enumerate() {
        for &second in &colons[nth + 1..] {
            let read = (&key[..first], &key[first + 1..second], &key[second + 1..]);
            if let Some(again) = build(read.0, read.1, read.2) {
                assert_eq!(again, key);
                assert_eq!(read, (prefix, version, name));
                readings += 1;
            }
        }
    }
    assert_eq!(readings, 1);
});

/// The bytes of the key, which must not depend on how its version is given; `None` if the key is
/// not valid.
fn build(prefix: &[u8], version: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let (prefix, text) = (str::from_utf8(prefix).ok()?, str::from_utf8(version).ok()?);
    let space = KeySpace::new(prefix, Version::from(text)).ok()?;
    let scope = space.scope(None).ok()?;
    let key = scope.key(name);
    let bytes = key.to_bytes();
    assert_eq!(bytes.len(), key.len());
    assert!(bytes.starts_with(&space.stem()), "the stem begins every key");
    assert!(bytes.ends_with(name));

    let elsewhere = KeySpace::new(prefix, Version::from(7)).ok()?;
    let version = match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Version::from(number),
        _ if text.is_empty() => Version::None,
        _ => Version::from(text),
    };
    let named = elsewhere.scope(Some(&version)).ok()?.key(name).to_bytes();
    assert_eq!(named, bytes, "a version named by an operation gives the key of a default one");
    Some(bytes.to_vec())
}
