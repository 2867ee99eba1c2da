use core::cell::Cell;
use std::string::{String, ToString};
use std::vec;
use std::{format, thread};

use proptest::prelude::*;

use super::*;

/// What a scanner returns for all of `input` at once: the frames' lengths, then the error if there
/// is one.
fn whole(input: &[u8]) -> (Vec<usize>, Option<ProtocolError>) {
    let (mut scanner, mut rest, mut lengths) = (Scanner::default(), input, Vec::new());
    loop {
        match scanner.scan(rest) {
            Ok(Some(len)) => {
                lengths.push(len);
                rest = &rest[len..];
            }
            Ok(None) => return (lengths, None),
            Err(error) => return (lengths, Some(error)),
        }
    }
}

/// What it returns when the input arrives in pieces that end at `cuts`.
fn pieces(
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> (Vec<usize>, Option<ProtocolError>) {
    let (mut scanner, mut start, mut lengths) = (Scanner::default(), 0, Vec::new());
    for end in cuts.into_iter().chain([input.len()]) {
        loop {
            match scanner.scan(&input[start..end]) {
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

fn refused(input: &[u8]) -> ProtocolError {
    whole(input).1.unwrap_or_else(|| panic!("{:?} was not refused", input.escape_ascii()))
}

/// Bytes with a count of how often one of them was read.
struct Counted<'a> {
    bytes: &'a [u8],
    looks: &'a Cell<usize>,
    /// Whether whole blobs may be found at a glance; else only the automaton is counted.
    glances: bool,
}

impl Source for Counted<'_> {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        let byte = self.bytes.get(at).copied();
        self.looks.set(self.looks.get() + usize::from(byte.is_some()));
        byte
    }

    fn blob(&self, at: usize) -> Option<Blob> {
        if self.glances { Blob::at(self.bytes, at) } else { None }
    }
}

/// How many byte reads it takes to find the end of the one frame in `input`, received in `step`s.
fn looks(input: &[u8], step: usize) -> usize {
    let looks = Cell::new(0);
    let mut scanner = Scanner::default();
    let mut end = 0;
    loop {
        end = input.len().min(end + step);
        let bytes = Counted { bytes: &input[..end], looks: &looks, glances: false };
        match scanner.scan_source(&bytes).unwrap() {
            Some(len) => break assert_eq!(len, input.len()),
            None => assert!(end < input.len(), "the frame has no end"),
        }
    }
    looks.get()
}

#[test]
fn every_kind_of_frame_ends_at_its_last_byte() {
    for frame in [
        "+\r\n",
        "+OK\r\n",
        "-ERR no\r\n",
        ":0\r\n",
        ":-9223372036854775808\r\n",
        ":+9223372036854775807\r\n",
        ":007\r\n",
        "$0\r\n\r\n",
        "$2\r\n\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        "_\r\n",
        ",1.5e-7\r\n",
        ",-inf\r\n",
        "#t\r\n",
        "#f\r\n",
        "!5\r\nERR x\r\n",
        "=7\r\ntxt:abc\r\n",
        "(-3492890328409238509324850943850943825024385\r\n",
        "%0\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n_\r\n_\r\n",
        "~1\r\n#t\r\n",
        ">2\r\n+message\r\n$1\r\nx\r\n",
        "|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n",
        "|0\r\n|1\r\n+a\r\n|1\r\n+b\r\n+c\r\n+d\r\n*0\r\n",
        "*1\r\n|1\r\n+a\r\n+b\r\n+c\r\n",
        "|1\r\n+a\r\n+b\r\n>1\r\n+invalidate\r\n",
    ] {
        assert_eq!(whole(frame.as_bytes()), (vec![frame.len()], None), "{frame:?}");
        let twice = frame.repeat(2) + "+";
        assert_eq!(whole(twice.as_bytes()), (vec![frame.len(); 2], None), "{frame:?}");
        for end in 0..frame.len() {
            assert_eq!(whole(&frame.as_bytes()[..end]), (vec![], None), "{frame:?} cut at {end}");
        }
    }
}

#[test]
fn an_invalid_number_is_named_by_its_purpose() {
    for (frame, name) in [
        ("$x\r\n", "a blob's length"),
        ("!x\r\n", "a blob's length"),
        ("*x\r\n", "an aggregate's count"),
        ("%x\r\n", "an aggregate's count"),
        (":x\r\n", "an integer"),
    ] {
        assert_eq!(refused(frame.as_bytes()).to_string(), format!("{name} is not a number"));
    }
}

#[test]
fn a_non_canonical_length_is_refused_before_its_line_ends() {
    let number = |text: &str| {
        for kind in ["$", "*", "!", "=", "%", "~", ">", "|"] {
            let error = refused(format!("{kind}{text}").as_bytes());
            assert!(matches!(error, ProtocolError::NotANumber(_)), "{kind}{text}: {error}");
        }
    };
    for text in ["-2", "1e9", "01", "00", "+1", "-0", "-01", "-12", "-11", "\r", "-\r", " 1", "1 "]
    {
        number(text);
    }
    for kind in ["!", "=", "%", "~", ">", "|"] {
        let error = refused(format!("{kind}-1").as_bytes());
        assert!(matches!(error, ProtocolError::NotANumber(_)), "{kind}-1: {error}");
    }
    for kind in ["$", "*", "!", "=", "%", "~", ">", "|"] {
        for text in ["9223372036854775807", "9223372036854775808", "99999999999999999999999"] {
            let error = refused(format!("{kind}{text}").as_bytes());
            assert!(matches!(error, ProtocolError::TooLarge { .. }), "{kind}{text}: {error}");
        }
    }
}

#[test]
fn a_huge_length_costs_no_memory() {
    let mut scanner = Scanner::default();
    assert!(scanner.scan(b"*1048577\r\n").is_err());
    let mut scanner = Scanner::default();
    assert_eq!(scanner.scan(b"*1048576\r\n"), Ok(None));
    assert!(scanner.outer.capacity() <= 32);
}

#[test]
fn a_streamed_frame_is_refused() {
    for text in ["$?", "*?", "%?", "~?", ">?", ";4\r\n", ".\r\n"] {
        assert_eq!(refused(text.as_bytes()), ProtocolError::Streamed, "{text:?}");
    }
}

#[test]
fn a_byte_that_begins_no_frame_is_refused_by_name() {
    for byte in (0..=u8::MAX).filter(|byte| !b"+-:$*_,#!=(%~>|;.".contains(byte)) {
        assert_eq!(refused(&[byte]), ProtocolError::UnknownType(byte));
        assert_eq!(refused(&[b"*1\r\n", &[byte][..]].concat()), ProtocolError::UnknownType(byte));
    }
}

#[test]
fn deep_nesting_is_a_typed_error_on_a_small_stack() {
    let scan = || {
        for kind in ["*1\r\n", "%1\r\n+k\r\n", "~1\r\n", "|1\r\n+k\r\n"] {
            let bytes = kind.repeat(100_000);
            let mut scanner = Scanner::default();
            let error = scanner.scan(bytes.as_bytes()).unwrap_err();
            let limit = 32;
            let deep = ProtocolError::TooLarge { what: "a nesting depth", value: 33, limit };
            assert_eq!(error, deep, "{kind:?}");
            assert!(scanner.outer.capacity() <= 64);
        }
    };
    thread::Builder::new().stack_size(256 * 1024).spawn(scan).unwrap().join().unwrap();
}

#[test]
fn nesting_up_to_the_limit_is_no_error() {
    let frame = "*1\r\n".repeat(31) + "*0\r\n";
    assert_eq!(whole(frame.as_bytes()), (vec![frame.len()], None));
    let deeper = "*1\r\n".repeat(32) + "*0\r\n";
    assert!(matches!(refused(deeper.as_bytes()), ProtocolError::TooLarge { value: 33, .. }));
    let siblings = format!("*1000\r\n{}", "*1\r\n*0\r\n".repeat(1000));
    assert_eq!(whole(siblings.as_bytes()), (vec![siblings.len()], None));
}

#[test]
fn every_split_and_single_bytes_give_the_same_frames() {
    let mut all = String::new();
    for frame in [
        "+OK\r\n",
        "$-1\r\n",
        "*3\r\n$5\r\nhello\r\n*-1\r\n:-12\r\n",
        "|1\r\n+a\r\n%1\r\n+k\r\n#t\r\n!3\r\nERR\r\n",
        "*0\r\n",
        ">2\r\n=7\r\ntxt:a\r\n\r\n(12\r\n",
    ] {
        all.push_str(frame);
    }
    for tail in ["", "$01\r\n", "+a\rb", "$3\r\nabcd"] {
        let bytes = format!("{all}{tail}");
        let bytes = bytes.as_bytes();
        let expected = whole(bytes);
        assert_eq!(expected.0.len(), 6);
        assert_eq!(expected.1.is_some(), !tail.is_empty());
        assert_eq!(pieces(bytes, 0..bytes.len()), expected);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                assert_eq!(pieces(bytes, [first, second]), expected, "cut at {first}, {second}");
            }
        }
    }
}

#[test]
fn the_work_does_not_depend_on_the_size_of_the_reads() {
    let mut array = String::from("*200000\r\n");
    for index in 0..200_000 {
        let value = index.to_string();
        array.push_str(&format!("${}\r\n{value}\r\n", value.len()));
    }
    let line = format!("+{}\r\n", "x".repeat(64 << 10));
    let blob = format!("$1000000\r\n{}\r\n", "x".repeat(1_000_000));
    for (frame, step) in [(&array, 16 * 1024), (&line, 100), (&blob, 1460)] {
        let at_once = looks(frame.as_bytes(), usize::MAX / 2);
        let in_pieces = looks(frame.as_bytes(), step);
        assert_eq!(in_pieces, at_once);
        assert!(at_once <= frame.len(), "a byte was looked at twice");
    }
    assert_eq!(looks(blob.as_bytes(), 1460), "$1000000\r\n\r\n".len(), "the body was looked at");
}

#[test]
fn a_complete_blob_is_read_at_a_glance() {
    let (bytes, looks) = (b"*3\r\n$3\r\nabc\r\n$1\r\nd\r\n$0\r\n\r\n", Cell::new(0));
    let rx = Counted { bytes, looks: &looks, glances: true };
    assert_eq!(Scanner::default().run(&rx), Ok(Some(bytes.len())));
    assert_eq!(looks.get(), "*3\r\n$$$".len());
}

#[test]
fn a_blob_without_its_line_break_is_refused_at_the_first_wrong_byte() {
    for (head, name) in [("$3", "a blob"), ("=3", "a verbatim string"), ("!3", "a blob error")] {
        for tail in ["d", "\n", "\rx", "\r\r"] {
            let error = refused(format!("{head}\r\nabc{tail}").as_bytes());
            assert_eq!(error, ProtocolError::Unterminated(name), "{tail:?}");
        }
    }
}

#[test]
fn a_stray_line_break_is_refused() {
    for text in ["+a\nb", "-a\rb", "+\n", ",1\n", "_x", "_\n", "_\rx", "#t\n", "$1\rx", "*0\rx"] {
        let error = refused(text.as_bytes());
        let named = matches!(error, ProtocolError::Unterminated(_));
        assert!(named, "{text:?}: {error}");
    }
    assert_eq!(refused(b"#x"), ProtocolError::Malformed("a boolean"));
}

#[test]
fn an_integer_has_digits_and_fits() {
    for text in [
        ":\r", ":-\r", ":+\r", ":--1", ":+-1", ":1-", ":1+", ":1.5", ": 1", ":1e3", ":\n", "(\r",
        "(x",
    ] {
        assert!(matches!(refused(text.as_bytes()), ProtocolError::NotANumber(_)), "{text:?}");
    }
    for text in [":9223372036854775808", ":-9223372036854775809", ":99999999999999999999999"] {
        let error = refused(text.as_bytes());
        assert!(matches!(error, ProtocolError::TooLarge { .. }), "{text:?}: {error}");
    }
}

#[test]
fn a_line_is_bounded_at_its_first_byte_too_many() {
    let limits = Limits { line: 3, ..Limits::default() };
    for text in ["+abc\r\n", ":123\r\n", "(-12\r\n", "$0\r\n\r\n"] {
        assert_eq!(Scanner::new(limits).scan(text.as_bytes()), Ok(Some(text.len())), "{text}");
    }
    for text in ["+abcd", "-abcd", ":0000", "(-123", ",1.55"] {
        assert_eq!(Scanner::new(limits).scan(&text.as_bytes()[..4]), Ok(None), "{text}");
        let error = ProtocolError::TooLarge { what: "a line", value: 4, limit: 3 };
        assert_eq!(Scanner::new(limits).scan(text.as_bytes()), Err(error), "{text}");
    }
}

#[test]
fn elements_are_bounded_in_one_aggregate_and_in_all_of_them_together() {
    let limits = Limits { elements: 10, total: 12, ..Limits::default() };
    for text in ["*11", "~11", ">11", "%6", "|6", "*2\r\n*3\r\n+\r\n+\r\n+\r\n*8\r\n"] {
        let error = Scanner::new(limits).scan(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ProtocolError::TooLarge { .. }), "{text:?}: {error}");
    }
    for text in ["*10\r\n", "%5\r\n", "*2\r\n*3\r\n+\r\n+\r\n+\r\n*7\r\n"] {
        assert_eq!(Scanner::new(limits).scan(text.as_bytes()), Ok(None), "{text:?}");
    }
    let mut scanner = Scanner::new(limits);
    for _ in 0..5 {
        assert_eq!(scanner.scan(b"*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n"), Ok(Some(20)), "counts add up");
    }
}

#[test]
fn a_complete_blob_is_bounded_like_any_other() {
    let limits = Limits { blob: 3, frame: 19, ..Limits::default() };
    let scan = |text: &str| Scanner::new(limits).scan(text.as_bytes());
    assert_eq!(scan("$3\r\nabc\r\n"), Ok(Some(9)));
    let error = ProtocolError::TooLarge { what: "a blob's length", value: 4, limit: 3 };
    assert_eq!(scan("$4\r\nabcd\r\n"), Err(error));
    assert_eq!(scan("*2\r\n$3\r\nabc\r\n$1\r\nd\r\n"), Ok(Some(20)));
    let error = ProtocolError::TooLarge { what: "a frame's length", value: 20, limit: 19 };
    assert_eq!(scan("*2\r\n$3\r\nabc\r\n$3\r\ndef\r\n"), Err(error));
}

#[test]
fn a_frame_is_bounded_as_a_whole() {
    let limits = Limits { frame: 30, blob: 20, ..Limits::default() };
    assert_eq!(Scanner::new(limits).scan(b"*2\r\n$20\r\n"), Ok(None));
    let error = Scanner::new(limits).scan(b"*2\r\n$9\r\nabcdefghi\r\n$9\r\n").unwrap_err();
    assert_eq!(error, ProtocolError::TooLarge { what: "a frame's length", value: 32, limit: 30 });
    let lines = "+aaaa\r\n".repeat(10);
    let error = Scanner::new(limits).scan(format!("*10\r\n{lines}").as_bytes()).unwrap_err();
    assert!(matches!(error, ProtocolError::TooLarge { what: "a frame's length", .. }), "{error}");
}

#[test]
fn a_push_inside_another_frame_is_refused() {
    let error = refused(b"*1\r\n>");
    let expected = "an element";
    assert_eq!(error, ProtocolError::Unexpected { found: "a push", expected });
}

#[test]
fn a_scanner_error_is_permanent() {
    let mut scanner = Scanner::default();
    let error = scanner.scan(b"*2\r\n$+1").unwrap_err();
    assert_eq!(scanner.scan(b"*2\r\n$+1\r\n"), Err(error.clone()));
    assert_eq!(scanner.scan(b"+OK\r\n"), Err(error));
}

#[test]
fn extreme_limits_overflow_nothing() {
    let limits = Limits {
        depth: usize::MAX,
        elements: usize::MAX,
        total: usize::MAX,
        blob: usize::MAX,
        line: usize::MAX,
        frame: usize::MAX,
    };
    for text in ["*", "%", "$", "|", "*1\r\n%", "*1\r\n$"] {
        for number in ["18446744073709551615", "9223372036854775807", "1152921504606846975"] {
            let bytes = format!("{text}{number}\r\n");
            let mut scanner = Scanner::new(limits);
            let _ = scanner.scan(bytes.as_bytes());
            let _ = scanner.scan(format!("{bytes}{bytes}").as_bytes());
        }
    }
}

fn scalar() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[+-][a-zA-Z ]{0,12}".prop_map(|text| format!("{text}\r\n").into_bytes()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        ("[$!]", prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(kind, body)| {
            [format!("{kind}{}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat()
        }),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"_\r\n".to_vec()),
        Just(b"#t\r\n".to_vec()),
        Just(b",1.25\r\n".to_vec()),
        Just(b"=5\r\ntxt:x\r\n".to_vec()),
    ]
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    scalar().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            ("[*~]", prop::collection::vec(inner.clone(), 0..5)).prop_map(|(kind, parts)| {
                [format!("{kind}{}\r\n", parts.len()).into_bytes(), parts.concat()].concat()
            }),
            prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(|pairs| {
                let head = format!("%{}\r\n", pairs.len()).into_bytes();
                let pairs = pairs.into_iter().map(|(key, value)| [key, value].concat());
                [head, pairs.collect::<Vec<_>>().concat()].concat()
            }),
            (inner.clone(), inner)
                .prop_map(|(name, frame)| { [&b"|1\r\n"[..], &name, b"+v\r\n", &frame].concat() }),
        ]
    })
}

proptest! {
    #[test]
    fn generated_frames_are_found_however_they_are_split(
        frames in prop::collection::vec(frame(), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        broken in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut bytes = frames.concat();
        if let Some((at, byte)) = broken {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let expected = whole(&bytes);
        if broken.is_none() {
            let lengths: Vec<_> = frames.iter().map(Vec::len).collect();
            prop_assert_eq!(&expected, &(lengths, None));
        }
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&pieces(&bytes, cuts), &expected);
        prop_assert_eq!(&pieces(&bytes, 0..bytes.len()), &expected);
    }

    #[test]
    fn a_prefix_never_contradicts_the_whole(bytes in prop::collection::vec(
        prop::sample::select(&b"+-:$*_#!=(%~>|;?0123456789\r\nabt"[..]), 0..60,
    )) {
        let (lengths, error) = whole(&bytes);
        for end in 0..bytes.len() {
            let (found, early) = whole(&bytes[..end]);
            prop_assert!(lengths.starts_with(&found));
            if early.is_some() {
                prop_assert_eq!((&found, &early), (&lengths, &error));
            }
        }
    }
}
