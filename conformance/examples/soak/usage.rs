//! What this process holds of the system: descriptors, memory, connections. Nothing is told where
//! there is no `/proc`.

use std::fs;
use std::net::SocketAddr;

/// How many descriptors are open.
pub(crate) fn descriptors() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}

/// How many bytes of memory are in use.
pub(crate) fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// How many connections to this address are open or being opened, on this side of them.
pub(crate) fn links(to: SocketAddr) -> Option<usize> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let port = format!(":{:04X}", to.port());
    let ours = |line: &&str| {
        let mut words = line.split_whitespace().skip(2);
        let (remote, state) = (words.next(), words.next());
        remote.is_some_and(|remote| remote.ends_with(&port))
            && state.is_some_and(|state| OPEN.contains(&state))
    };
    Some(table.lines().filter(ours).count())
}

/// Established, being dialled, and closed by the other side only: `tcp_states.h`.
const OPEN: [&str; 3] = ["01", "02", "08"];
