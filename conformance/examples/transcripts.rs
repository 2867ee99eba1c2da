//! Records replies of real servers as seeds for the fuzz targets.
//!
//! `cargo run -p async-caches-conformance --example transcripts` writes them to `fuzz/corpus`.
//!
//! Each file holds the replies of one server to one group of commands, in one version of the
//! protocol.
#![allow(clippy::print_stdout, reason = "it tells what it wrote")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use async_caches_conformance::frame::{self, command};
use async_caches_conformance::server::{Kind, Server, Setup};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (kind, server) in [(Kind::Redis, "redis"), (Kind::Valkey, "valkey")] {
        if kind.program().is_none() {
            println!("{}", kind.remedy());
            continue;
        }
        for protocol in ["2", "3"] {
            for (group, commands) in GROUPS {
                let said = record(kind, protocol, commands);
                let name = format!("{server}_{protocol}_{group}");
                write(&corpus.join("frames").join(&name), &said);
                write(&corpus.join("peers").join(&name), &said);
                // That target takes the sizes of its reads from the start of its input.
                write(&corpus.join("splits").join(&name), &[&[0, 1, 6, 30], &said[..]].concat());
            }
        }
    }
}

/// The replies of a fresh server to `HELLO` and these commands.
fn record(kind: Kind, protocol: &str, commands: &[&str]) -> Vec<u8> {
    let server = Server::start(kind, &Setup::default().with(&["--enable-debug-command", "yes"]));
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let mut said = Vec::new();
    let hello = format!("HELLO {protocol}");
    for line in [&[hello.as_str()], commands].concat() {
        let words: Vec<&str> = line.split(' ').collect();
        stream.write_all(&command(&words)).expect("the server reads");
        let before = said.len();
        while frame::length(&said[before..]).is_none() {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).expect("the server answers");
            assert!(length > 0, "{line}: the server hung up");
            said.extend_from_slice(&piece[..length]);
        }
    }
    said
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder can be made");
    fs::write(path, bytes).expect("a file can be written");
    println!("{}: {} bytes", path.display(), bytes.len());
}

const GROUPS: [(&str, &[&str]); 6] = [
    ("values", &["SET a 1 PX 60000", "SET b {\"x\":[1,null]}", "GET a", "GET z", "MGET a z b"]),
    ("numbers", &["SET n 41", "INCRBY n 1", "PTTL n", "PTTL z", "EXISTS n z", "UNLINK n"]),
    ("scan", &["MSET ::a 1 ::b 2 p:1:c 3", "SCAN 0 MATCH ::* COUNT 512", "FLUSHDB ASYNC"]),
    ("errors", &["LPUSH l 1", "GET l", "NONSENSE", "EVALSHA 0 0", "SELECT 99999", "SET n x EX 0"]),
    (
        "aggregates",
        &[
            "HSET h a 1 b 2",
            "HGETALL h",
            "ZADD z 1.5 a",
            "ZRANGE z 0 -1 WITHSCORES",
            "SADD s a b",
            "SMEMBERS s",
            "CONFIG GET maxmemory*",
            "COMMAND INFO get",
        ],
    ),
    (
        "types",
        &[
            "DEBUG PROTOCOL string",
            "DEBUG PROTOCOL integer",
            "DEBUG PROTOCOL double",
            "DEBUG PROTOCOL bulk",
            "DEBUG PROTOCOL null",
            "DEBUG PROTOCOL array",
            "DEBUG PROTOCOL set",
            "DEBUG PROTOCOL map",
            "DEBUG PROTOCOL attrib",
            "DEBUG PROTOCOL verbatim",
            "DEBUG PROTOCOL bignum",
            "DEBUG PROTOCOL true",
            "DEBUG PROTOCOL push",
        ],
    ),
];
