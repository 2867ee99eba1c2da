//! The faults, one after another. Connections and memory are watched all the time.

use std::fmt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use async_caches_conformance::proxy::{Ending, Proxy};
use async_caches_conformance::random::Random;
use async_caches_conformance::server::Server;

use crate::load::{MAXSIZE, RESPONSE, Shared};
use crate::usage;

/// How often each fault was injected, and the usage in the meantime.
#[derive(Debug, Default)]
pub(crate) struct Report {
    done: [u64; FAULTS.len()],
    most_connections: usize,
    /// The most memory in use in the first third, and after it.
    memory: [u64; 2],
}

/// Injects faults and ends them again for `span`. Returns the server, which runs.
///
/// # Panics
/// When there are more connections than allowed, or when memory grows.
pub(crate) fn run(
    mut server: Server,
    proxy: &Proxy,
    shared: &Shared,
    seed: u64,
    span: Duration,
) -> (Server, Report) {
    let (start, mut random, mut report) = (Instant::now(), Random::new(seed), Report::default());
    // The second half of the time between two faults is for recovery.
    while start.elapsed() < span {
        let which = usize::try_from(random.below(FAULTS.len() as u64)).expect("it is small");
        let (_, fault) = FAULTS[which];
        report.done[which] += 1;
        fault(&mut server, proxy, shared);
        report.watch(proxy, Duration::from_millis(300 + random.below(1_200)), start, span);
        server.resume();
        proxy.heal();
        report.watch(proxy, Duration::from_millis(500 + random.below(1_500)), start, span);
    }
    let [early, late] = report.memory;
    assert!(late <= early + GROWTH, "memory has grown from {early} to {late} bytes");
    (server, report)
}

type Fault = fn(&mut Server, &Proxy, &Shared);

const FAULTS: [(&str, Fault); 11] = [
    ("killed and started again", |server, _, shared| {
        server.kill();
        // The restart is counted while no server is there to run a write.
        shared.restarts.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(200));
        server.revive();
    }),
    ("stopped", |server, _, _| server.stop()),
    ("clients killed", |server, _, _| {
        server.raw(0).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }),
    ("connections closed", |_, proxy, _| proxy.sever()),
    ("replies late, on connections that live", |_, proxy, _| {
        proxy.hold();
        thread::sleep(RESPONSE * 2 / 3);
        // One reply for each connection, so that it is kept while its callers give up.
        proxy.let_through(MAXSIZE);
        thread::sleep(RESPONSE * 2 / 3);
        proxy.release();
    }),
    ("connections closed, and what they asked arrives late", |_, proxy, _| {
        proxy.delay_requests();
        // Long enough for requests on all connections.
        thread::sleep(Duration::from_millis(50));
        proxy.hang_up();
    }),
    ("a connection reset in a reply", |_, proxy, _| proxy.cut_after(1_000, Ending::Reset)),
    ("packets lost", |_, proxy, _| {
        let _ = proxy.lose_packets();
    }),
    ("dials lost", |_, proxy, _| {
        proxy.lose_dials();
        proxy.sever();
    }),
    ("bytes one by one", |_, proxy, _| proxy.drip(1)),
    ("a corrupt byte", |_, proxy, _| proxy.corrupt(0, 1)),
];

impl Report {
    fn watch(&mut self, proxy: &Proxy, span: Duration, start: Instant, whole: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            let connections = usage::connections(proxy.address()).unwrap_or(0);
            assert!(connections <= MAXSIZE, "{connections} connections at once");
            self.most_connections = self.most_connections.max(connections);
            let part = usize::from(start.elapsed() > whole / 3);
            self.memory[part] = self.memory[part].max(usage::memory().unwrap_or(0));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((name, _), count) in FAULTS.iter().zip(self.done) {
            writeln!(f, "{count:>8} {name}")?;
        }
        let [early, late] = self.memory.map(|bytes| bytes >> 20);
        writeln!(f, "connections: {} at most, of {MAXSIZE}", self.most_connections)?;
        write!(f, "memory: {early} MiB at most in the first third, {late} MiB later")
    }
}

/// How much more memory may be in use later than in the first third of the time.
const GROWTH: u64 = 24 << 20;
