//! `results.tsv`: one line for each cell and client, under a line on where it was measured.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};

use super::summary::Summary;
use crate::cell::Cell;
use crate::clients::Name;

/// The lines so far.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    lines: String,
}

impl Results {
    /// None yet, from a server of some name and version.
    pub(crate) fn new(server: &str) -> Self {
        Self { lines: format!("{}\n{HEADER}\n", conditions(server)) }
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

    /// Writes them to a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let file = folder.join("results.tsv");
        fs::write(&file, &self.lines).with_context(|| file.display().to_string())
    }
}

fn conditions(server: &str) -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
        text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let rustc = said("rustc", &["--version"]);
    let rustc = rustc.split(' ').nth(1).unwrap_or("unknown");
    // Where the program and the results are is no condition of theirs.
    let mut arguments: Vec<_> = env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--out") {
        arguments.drain(at..arguments.len().min(at + 2));
    }
    arguments.retain(|argument| !argument.starts_with("--out="));
    format!(
        "# date={} server={server} rustc={rustc} cpu={model} cores={cores} command={} versions={}",
        said("date", &["+%Y-%m-%d"]),
        arguments.join(" "),
        versions()
    )
}

/// The versions of the peers, as they are locked.
fn versions() -> String {
    let named = |package: &str| {
        let mut lines = package.lines();
        let name = lines.find_map(|line| line.strip_prefix("name = "))?.trim_matches('"');
        let version = lines.find_map(|line| line.strip_prefix("version = "))?.trim_matches('"');
        PACKAGES.contains(&name).then(|| format!("{name} {version}"))
    };
    let packages = include_str!("../../Cargo.lock").split("[[package]]");
    packages.filter_map(named).collect::<Vec<_>>().join(", ")
}

const HEADER: &str = "flavour\top\tsize\ttasks\tclient\trounds\tops_s\tops_s_min\tops_s_max\t\
    cpu_us_op\tp50_us\tp99_us\tswitches_op\tcommands_write";

const PACKAGES: &[&str] =
    &["async-caches", "async-std", "bb8", "bb8-redis", "fred", "redis", "rustis", "smol", "tokio"];
