//! What this process holds of the system: descriptors, memory, connections. Nothing is told where
//! there is no `/proc`.

use std::collections::BTreeSet;
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

/// How many connections to this address were open or being opened at one moment, on this side of
/// them.
///
/// Reading the table takes a while, in which connections come and go. One that is there in two
/// readings was there from the one to the other, and so were all such at the moment between.
pub(crate) fn links(to: SocketAddr) -> Option<usize> {
    let before = sockets(to)?;
    Some(sockets(to)?.intersection(&before).count())
}

/// The sockets of those connections, each by its number (inode).
fn sockets(to: SocketAddr) -> Option<BTreeSet<u64>> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let port = format!(":{:04X}", to.port());
    let ours = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let open = words.get(2)?.ends_with(&port) && OPEN.contains(words.get(3)?);
        open.then(|| words.get(9)?.parse().ok()).flatten()
    };
    Some(table.lines().filter_map(ours).collect())
}

/// Established, being dialled, and closed by the other side only: `tcp_states.h`.
const OPEN: [&str; 3] = ["01", "02", "08"];
