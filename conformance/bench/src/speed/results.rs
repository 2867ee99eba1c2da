//! Writes `results.tsv`: one line for each cell and client, after a line on the conditions.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::summary::Summary;
use crate::cell::Cell;
use crate::clients::Name;
use crate::conditions;

/// The lines so far.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    lines: String,
}

impl Results {
    /// No results yet; `server` is the server's name and version.
    pub(crate) fn new(server: &str) -> Self {
        Self {
            lines: format!(
                "# {}\n{HEADER}\n",
                conditions::line(&format!("server={server} "), PACKAGES)
            ),
        }
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, cell: Cell, client: &Name, summary: &Summary) {
        let Cell { flavour, op, size, tasks } = cell;
        let Summary { rounds, ops_s, ops_s_min, ops_s_max, .. } = summary;
        let Summary { cpu_us_op, p50_us, p99_us, switches_op, commands_write, .. } = summary;
        let optional = |figure: &Option<f64>| figure.map_or(String::new(), |us| format!("{us:.1}"));
        let (p50_us, p99_us) = (optional(p50_us), optional(p99_us));
        let (flavour, op) = (flavour.name(), op.name());
        let _ = writeln!(
            self.lines,
            "{flavour}\t{op}\t{size}\t{tasks}\t{client}\t{rounds}\t\
             {ops_s:.0}\t{ops_s_min:.0}\t{ops_s_max:.0}\t\
             {cpu_us_op:.3}\t{p50_us}\t{p99_us}\t{switches_op:.5}\t{commands_write:.2}"
        );
    }

    /// Writes the lines to a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let file = folder.join("results.tsv");
        fs::write(&file, &self.lines).with_context(|| file.display().to_string())
    }
}

const HEADER: &str = "flavour\top\tsize\ttasks\tclient\trounds\tops_s\tops_s_min\tops_s_max\t\
    cpu_us_op\tp50_us\tp99_us\tswitches_op\tcommands_write";

const PACKAGES: &[&str] =
    &["async-caches", "async-std", "bb8", "bb8-redis", "fred", "redis", "rustis", "smol", "tokio"];
