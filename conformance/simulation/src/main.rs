//! Runs seeds.
//!
//! ```text
//! simulate seeds 1000 50000    # seeds 1000 to 50999, on all cores
//! simulate replay 1234         # one seed, with all that happens
//! simulate kept FILE           # the seeds that a file lists, one a line
//! simulate cluster seeds 1 50  # any of them, where each seed is of a cluster
//! simulate loads seeds 1 50    # or of loads that wait for loads
//! ```
//!
//! A failed seed is printed with the rule that it broke and the command that replays it. The
//! program runs every seed, and then ends with an error.
#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use async_caches_simulation::{Space, run_in};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (space, words) = match words[..] {
        ["cluster", ref words @ ..] => (Space::Cluster, words),
        ["loads", ref words @ ..] => (Space::Loads, words),
        ref words => (Space::Server, words),
    };
    match *words {
        ["replay", seed] => number(seed).map_or_else(usage, |seed| replay(space, seed)),
        ["seeds", start, count] => match (number(start), number(count)) {
            (Some(start), Some(count)) => all(space, &(start..start + count).collect::<Vec<_>>()),
            _ => usage(),
        },
        ["kept", file] => match std::fs::read_to_string(file) {
            Ok(text) => all(space, &kept(&text)),
            Err(error) => {
                println!("{file}: {error}");
                ExitCode::FAILURE
            }
        },
        _ => usage(),
    }
}

fn replay(space: Space, seed: u64) -> ExitCode {
    let report = run_in(space, seed, true);
    report.log.iter().for_each(|line| println!("{line}"));
    match report.failure {
        None => {
            println!("seed {seed} holds: {} operations", report.operations);
            ExitCode::SUCCESS
        }
        Some(failure) => {
            println!("seed {seed} FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn all(space: Space, seeds: &[u64]) -> ExitCode {
    if let Some(first) = seeds.first() {
        println!("{} seeds, the first of them {first}", seeds.len());
    }
    let began = Instant::now();
    let (next, operations, late) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let report = run_in(space, *seed, false);
                    operations.fetch_add(report.operations as u64, Ordering::Relaxed);
                    late.fetch_add(report.late_stores as u64, Ordering::Relaxed);
                    if let Some(failure) = report.failure
                        && let Ok(mut failed) = failed.lock()
                    {
                        *failed += 1;
                        if *failed <= SHOWN {
                            println!("seed {seed}: {failure}");
                            let space = match space {
                                Space::Server => "",
                                Space::Cluster => "cluster ",
                                Space::Loads => "loads ",
                            };
                            println!("    replay with: simulate {space}replay {seed}");
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or(usize::MAX);
    let (seconds, count) = (began.elapsed().as_secs_f64(), seeds.len());
    println!(
        "{count} seeds, {failed} failed, {} operations, {} late stores, {seconds:.1} s, {:.0} seeds per \
         core-second",
        operations.into_inner(),
        late.into_inner(),
        count as f64 / seconds / cores as f64,
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The seeds of a file: the first word of each line that is neither empty nor a comment.
fn kept(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| number(line.split_whitespace().next()?)).collect()
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn usage() -> ExitCode {
    println!("simulate [cluster | loads] seeds START COUNT | replay SEED | kept FILE");
    ExitCode::FAILURE
}

/// How many failures are shown.
const SHOWN: usize = 20;
