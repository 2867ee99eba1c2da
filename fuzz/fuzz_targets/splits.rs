//! However bytes are split into reads, the scanner finds the same frames and the same error. Its
//! result for a prefix is also its result for the whole.
#![no_main]

use arbitrary::Arbitrary;
use async_caches_core::error::ProtocolError;
use async_caches_core::resp::scan::{Limits, Scanner};
use libfuzzer_sys::fuzz_target;

/// The bytes, and the sizes of the reads, which are repeated.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    reads: [u8; 4],
    bytes: &'a [u8],
}

type Verdict = (Vec<usize>, Option<ProtocolError>);

fuzz_target!(|input: Input<'_>| {
    // Small limits, so that the fuzzer reaches them.
    let limits = Limits { depth: 4, elements: 100, total: 150, blob: 300, line: 60, frame: 500 };
    for limits in [limits, Limits::default()] {
        let whole = verdict(limits, input.bytes, [input.bytes.len()].into_iter());
        let reads = input.reads.iter().cycle().map(|&read| usize::from(read) + 1);
        assert_eq!(verdict(limits, input.bytes, reads), whole);
        assert_eq!(verdict(limits, input.bytes, std::iter::repeat(1)), whole);

        let prefix = &input.bytes[..usize::from(input.reads[0]).min(input.bytes.len())];
        let early = verdict(limits, prefix, [prefix.len()].into_iter());
        assert!(whole.0.starts_with(&early.0));
        if early.1.is_some() {
            assert_eq!(early, whole);
        }
    }
});

fn verdict(limits: Limits, bytes: &[u8], mut reads: impl Iterator<Item = usize>) -> Verdict {
    let (mut scanner, mut lengths) = (Scanner::new(limits), Vec::new());
    let (mut start, mut end) = (0, 0);
    while end < bytes.len() {
        end = bytes.len().min(end + reads.next().unwrap_or(bytes.len()));
        loop {
            match scanner.scan(&bytes[start..end]) {
                Ok(Some(len)) => {
                    lengths.push(len);
                    start += len;
                }
                Ok(None) => break,
                Err(error) => return (lengths, Some(error)),
            }
        }
    }
    (lengths, None)
}
