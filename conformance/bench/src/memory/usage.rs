//! The resources that this process and this thread have used, as reported by the system.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

/// The resident bytes of this process.
pub(crate) fn resident() -> Result<u64> {
    let file = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = file.split(' ').nth(1).context("statm has no second field")?.parse()?;
    let size = sysconf(SysconfVar::PAGE_SIZE)?.context("pages have no size")?;
    Ok(pages * u64::try_from(size)?)
}

/// The CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    now.map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_grows_by_what_it_fills() {
        let before = resident().unwrap();
        let block = vec![1_u8; 64 << 20];
        let grown = resident().unwrap() - before;
        assert!(grown > 48 << 20 && block[1 << 20] == 1, "{grown}");
    }

    #[test]
    fn a_thread_that_sleeps_uses_no_core() {
        let before = thread_cpu();
        std::thread::sleep(Duration::from_millis(50));
        assert!(thread_cpu() - before < Duration::from_millis(25));
    }
}
