//! The system's resources that this process uses: descriptors, memory, connections. The functions
//! return `None` if there is no `/proc`.

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

/// How many connections to this address were open or being dialled at one moment, counted on this
/// side.
///
/// Reading the table takes a while, in which connections come and go. A connection that is in two
/// readings was there the whole time between them, so all of those were there at one moment.
pub(crate) fn connections(to: SocketAddr) -> Option<usize> {
    let before = sockets(to)?;
    Some(sockets(to)?.intersection(&before).count())
}

/// The sockets of those connections, by inode number.
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
