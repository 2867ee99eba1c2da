//! The log of a seed's events, line by line, for a replay.

use async_caches::runtime::Instant;

/// A log, which is kept only if the caller wants it.
#[derive(Default)]
pub(crate) struct Log {
    lines: Option<Vec<String>>,
}

impl Log {
    /// A log that keeps its lines if `kept` is set.
    pub(crate) fn new(kept: bool) -> Self {
        Self { lines: kept.then(Vec::new) }
    }

    /// Adds a line.
    #[inline]
    pub(crate) fn add(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let micros = now.as_nanos() / 1_000;
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            lines.push(format!("{seconds:>4}.{micros:06} {}", line()));
        }
    }

    /// Takes all lines.
    pub(crate) fn take(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
