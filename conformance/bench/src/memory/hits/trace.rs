//! A trace: a sequence of requested ids, read from a folder or generated.
//!
//! A file `NAME.u32.zst` is a zstd stream of little-endian 32-bit ids.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Error, Result, ensure};
use ruzstd::decoding::StreamingDecoder;

/// A sequence of requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trace {
    /// `real/NAME` for a recorded trace, `made/NAME` for a generated one.
    pub(crate) name: String,
    pub(crate) ids: Vec<u32>,
    /// The number of requests at the beginning that only warm the cache.
    pub(crate) warm: usize,
}

impl Trace {
    /// A trace in which all requests count.
    pub(crate) fn new(name: String, ids: Vec<u32>) -> Self {
        Self { name, ids, warm: 0 }
    }

    /// The traces in a folder, by name.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let mut traces = Vec::new();
        for file in files {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(name) = name.strip_suffix(SUFFIX) {
                let ids = read(&file).with_context(|| file.display().to_string())?;
                traces.push(Self::new(format!("real/{name}"), ids));
            }
        }
        traces.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(traces)
    }

    /// The number of distinct ids.
    pub(crate) fn distinct(&self) -> u32 {
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        ids.len() as u32
    }

    /// A number above all ids.
    pub(crate) fn end(&self) -> u32 {
        self.ids.iter().max().map_or(0, |id| id + 1)
    }
}

fn read(file: &Path) -> Result<Vec<u32>> {
    let mut bytes = Vec::new();
    let mut decoder = StreamingDecoder::new(File::open(file)?).map_err(Error::msg)?;
    decoder.read_to_end(&mut bytes)?;
    ensure!(bytes.len() % 4 == 0 && !bytes.is_empty(), "{} bytes are no ids", bytes.len());
    let ids: Vec<_> = bytes
        .chunks_exact(4)
        .map(|id| id.try_into().map(u32::from_le_bytes))
        .collect::<Result<_, _>>()?;
    // Each id gets a key in memory.
    ensure!(ids.iter().all(|&id| id < HIGHEST), "ids are numbered from 0, and below {HIGHEST}");
    Ok(ids)
}

const SUFFIX: &str = ".u32.zst";
const HIGHEST: u32 = 50_000_000;

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn traces_in_a_folder_are_read_by_name_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, ids: &[u32]| {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            let packed = compress_to_vec(&bytes[..], CompressionLevel::Fastest);
            fs::write(folder.path().join(name), packed).unwrap();
        };
        write("web.u32.zst", &[0, 1, 0, 258]);
        write("db.u32.zst", &[7]);
        fs::write(folder.path().join("README.md"), "no trace").unwrap();
        let traces = Trace::read_all(folder.path()).unwrap();
        assert_eq!(
            traces,
            [
                Trace::new("real/db".to_owned(), vec![7]),
                Trace::new("real/web".to_owned(), vec![0, 1, 0, 258]),
            ]
        );
        assert_eq!((traces[1].distinct(), traces[1].end()), (3, 259));

        fs::write(folder.path().join("bad.u32.zst"), "no zstd").unwrap();
        let error = Trace::read_all(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("bad.u32.zst"), "{error}");
    }
}
