//! Keys and values: the same for all clients, byte for byte.
//!
//! Our client puts `::` in front of a key that has neither prefix nor version. So the keys on the
//! server begin with `::`, and our client gets the rest.

use async_caches_conformance::raw::Raw;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cell::{BATCH, Cell, LARGE, Op};

/// The contents of the server while a cell is measured.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    /// Whole keys, of 20 bytes each.
    pub(crate) keys: Vec<String>,
    /// The value of every key.
    pub(crate) value: Bytes,
    /// One more key, with a value of [`LARGE`] bytes.
    large: Option<String>,
}

/// The value of the operations that decode JSON.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub(crate) struct Record {
    id: u32,
    name: String,
    tags: Vec<String>,
}

impl Dataset {
    /// The data that a cell needs.
    pub(crate) fn of(cell: Cell) -> Self {
        let Cell { op, size, .. } = cell;
        let count = KEYS.min(ALL_VALUES / size).max(1);
        let value = match op {
            Op::GetJson | Op::GetOrSet => {
                serde_json::to_vec(&Record::example()).expect("it has a JSON").into()
            }
            Op::Get | Op::Set | Op::Mget | Op::Mix | Op::BesideLarge => {
                (0..size).map(|at| b'a' + (at % 26) as u8).collect()
            }
        };
        Self {
            keys: (0..count).map(|number| format!("::bench:{number:012}")).collect(),
            value,
            large: (op == Op::BesideLarge).then(|| Self::LARGE_KEY.to_owned()),
        }
    }

    /// The key of the large value.
    pub(crate) const LARGE_KEY: &'static str = "::bench:large";

    /// Makes the server contain this data and nothing else.
    pub(crate) fn load(&self, server: &mut Raw) {
        server.call(&["FLUSHALL"]);
        for key in &self.keys {
            server.call(&[b"SET", key.as_bytes(), &self.value]);
        }
        if let Some(key) = &self.large {
            server.call(&[b"SET", key.as_bytes(), &vec![b'L'; LARGE]]);
        }
    }

    /// The keys, without the text that a client itself puts in front.
    pub(crate) fn keys_after(&self, stem: &str) -> Vec<String> {
        let own = |key: &String| key.strip_prefix(stem).expect("all begin so").to_owned();
        self.keys.iter().map(own).collect()
    }

    /// The keys of each batch, without the text that a client itself puts in front.
    pub(crate) fn batches_after(&self, stem: &str) -> Vec<Vec<String>> {
        self.keys_after(stem).chunks_exact(BATCH).map(<[String]>::to_vec).collect()
    }
}

impl Record {
    /// The stored record.
    pub(crate) fn example() -> Self {
        Self {
            id: 1815,
            name: "Ada Lovelace".to_owned(),
            tags: vec!["mathematics".to_owned(), "poetry".to_owned()],
        }
    }
}

const KEYS: usize = 1000;
const ALL_VALUES: usize = 48 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_has_keys_of_twenty_bytes_and_stays_small() {
        for cell in Cell::all() {
            let data = Dataset::of(cell);
            assert!(data.keys.iter().all(|key| key.len() == 20));
            assert!(data.keys.len() * data.value.len() < 64 * 1024 * 1024, "{cell}");
            if cell.op == Op::Mget {
                assert_eq!(data.batches_after("::").concat(), data.keys_after("::"));
            }
        }
    }

    #[test]
    fn keys_after_returns_keys_without_the_stem() {
        let data = Dataset::of("ct/get/64/1".parse().unwrap());
        assert_eq!(data.keys_after("")[7], "::bench:000000000007");
        assert_eq!(data.keys_after("::")[7], "bench:000000000007");
    }
}
