//! The conditions of a measurement, in one line: the machine, the command and the versions.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;

/// The line, with `more` in front of the machine, and with the versions of these packages.
pub(crate) fn line(more: &str, packages: &[&str]) -> String {
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
    format!(
        "date={} {more}rustc={rustc} cpu={model} cores={cores} command={} versions={}",
        said("date", &["+%Y-%m-%d"]),
        command(),
        versions(packages)
    )
}

/// The command line. The paths of the program, its inputs and its results are left out, as they do
/// not affect the results.
fn command() -> String {
    let mut arguments: Vec<_> = env::args().skip(1).collect();
    for option in ["--out", "--traces"] {
        if let Some(at) = arguments.iter().position(|argument| argument == option) {
            arguments.drain(at..arguments.len().min(at + 2));
        }
        arguments.retain(|argument| !argument.starts_with(&format!("{option}=")));
    }
    arguments.join(" ")
}

/// The versions in the lock file.
fn versions(packages: &[&str]) -> String {
    let named = |package: &str| {
        let mut lines = package.lines();
        let name = lines.find_map(|line| line.strip_prefix("name = "))?.trim_matches('"');
        let version = lines.find_map(|line| line.strip_prefix("version = "))?.trim_matches('"');
        packages.contains(&name).then(|| format!("{name} {version}"))
    };
    let locked = include_str!("../Cargo.lock").split("[[package]]");
    locked.filter_map(named).collect::<Vec<_>>().join(", ")
}
