//! The cost of a command that makes the server end the connection.
//!
//! `cargo run -p async-caches-conformance --example poison` gets a value larger than the server may
//! send, and sets one larger than the server reads, while other tasks count. It prints how many
//! connections were lost, and the results of the counting. It runs once directly at the server, and
//! once behind HAProxy, if that is installed.
//!
//! It fails if a command ends more than two connections, or if the sum differs from the count.
#![allow(clippy::print_stdout, reason = "it tells what happens")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use async_caches_conformance::Cache;
use async_caches_conformance::server::{Kind, Server, Setup};
use async_caches_tokio::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    println!("| poison | way | connections lost | comes to | counted | unknown | longest count |");
    println!("|---|---|---|---|---|---|---|");
    for poison in POISONS {
        let server = Server::start(Kind::Redis, &Setup::default().with(&poison.limit));
        try_out(poison, "plain", &server.url(0)).await?;
        match HaProxy::start(server.address()) {
            Ok(proxy) => try_out(poison, "HAProxy", &server.url_at(proxy.address, 0)).await?,
            Err(error) => println!("| {} | HAProxy | not tried: {error} | | | | |", poison.name),
        }
    }
    Ok(())
}

/// A command at which a server with this option hangs up.
struct Poison {
    name: &'static str,
    limit: [&'static str; 2],
    kind: Kinds,
}

#[derive(Clone, Copy)]
enum Kinds {
    Get,
    GetMany,
    Set,
}

const POISONS: &[Poison] = &[
    Poison {
        name: "get of 8 MiB, output limit 1 MiB",
        limit: ["--client-output-buffer-limit", "normal 1mb 1mb 0"],
        kind: Kinds::Get,
    },
    Poison {
        name: "get_many of 100 x 64 KiB, output limit 1 MiB",
        limit: ["--client-output-buffer-limit", "normal 1mb 1mb 0"],
        kind: Kinds::GetMany,
    },
    Poison {
        name: "set of 64 MiB, query limit 1 MiB",
        limit: ["--client-query-buffer-limit", "1mb"],
        kind: Kinds::Set,
    },
    Poison {
        name: "set of 64 MiB, argument limit 1 MiB",
        limit: ["--proto-max-bulk-len", "1mb"],
        kind: Kinds::Set,
    },
];

async fn try_out(poison: &Poison, way: &str, url: &str) -> Result<(), Error> {
    let cache = async_caches_tokio::builder(url).maxsize(4).connect().await?;
    let keys: Vec<String> = (0..100).map(|n| format!("key-{n}")).collect();
    match poison.kind {
        Kinds::Get => cache.set_raw("large", vec![b'x'; 8 << 20]).await?,
        Kinds::Set => {}
        Kinds::GetMany => {
            for key in &keys {
                cache.set_raw(key, vec![b'x'; 64 << 10]).await?;
            }
        }
    }
    cache.set("count", 0).await?;
    let counting: Vec<_> = (0..TASKS).map(|_| tokio::spawn(count(cache.clone()))).collect();
    let outcome = match poison.kind {
        Kinds::Get => cache.get_raw("large").await.map(drop),
        Kinds::GetMany => cache.get_many_raw(&keys).await.map(drop),
        Kinds::Set => cache.set_raw("large", vec![b'x'; 64 << 20]).await,
    };
    let lost = cache.info().pool().map_or(0, |pool| pool.lost);
    let mut all = Counted::default();
    for task in counting {
        all.add(&task.await.expect("no task panics"));
    }
    let sum: u64 = cache.get("count").await?.expect("it was set");
    let said = outcome.map_or_else(|error| error.to_string(), |()| "done".to_owned());
    let Counted { done, unknown, longest } = all;
    println!("| {} | {way} | {lost} | {said} | {done} | {unknown} | {longest:?} |", poison.name);
    assert!((done..=done + unknown).contains(&sum), "{sum}");
    // Chunks of many keys are requested separately, and each of them may be too large.
    assert!(lost <= if matches!(poison.kind, Kinds::GetMany) { 2 * 7 } else { 2 }, "{lost} lost");
    cache.disconnect().await
}

/// The results of counting.
#[derive(Default)]
struct Counted {
    done: u64,
    unknown: u64,
    longest: Duration,
}

impl Counted {
    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.unknown += other.unknown;
        self.longest = self.longest.max(other.longest);
    }
}

async fn count(cache: Cache) -> Counted {
    let mut counted = Counted::default();
    for _ in 0..EACH {
        let begun = Instant::now();
        match cache.incr("count", 1).await {
            Ok(_) => counted.done += 1,
            Err(error) if error.may_have_run() => counted.unknown += 1,
            Err(error) => panic!("{error}"),
        }
        counted.longest = counted.longest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    counted
}

const TASKS: usize = 16;
const EACH: usize = 50;

/// HAProxy in front of a server. Dropping it stops HAProxy.
struct HaProxy {
    address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl HaProxy {
    fn start(server: SocketAddr) -> std::io::Result<Self> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("haproxy.cfg");
        let times = "timeout connect 1s\n timeout client 1m\n timeout server 1m";
        let text = format!(
            "defaults\n mode tcp\n {times}\nlisten redis\n bind {address}\n server one {server}\n"
        );
        std::fs::write(&file, text)?;
        let process = Command::new("haproxy").arg("-db").arg("-f").arg(&file).spawn()?;
        let proxy = Self { address, process, _folder: folder };
        for _ in 0..100 {
            if TcpStream::connect(address).is_ok() {
                return Ok(proxy);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(std::io::ErrorKind::TimedOut.into())
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
