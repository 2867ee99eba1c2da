//! The arguments of the command line.

use std::fmt;

use async_caches_conformance::server::Kind;

/// A runtime by name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Runtime {
    Tokio,
    AsyncStd,
    Smol,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) runtime: Runtime,
    pub(crate) server: Kind,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
}

impl Arguments {
    /// Parses pairs of a name and a value, or returns a message about the mistake.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut this = Self { runtime: Runtime::Tokio, server: Kind::Redis, seconds: 60, seed: 1 };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} wants a value"))?;
            let wrong = || format!("{name} cannot be {value}");
            match name.as_str() {
                "--runtime" => this.runtime = runtime(&value).ok_or_else(wrong)?,
                "--server" => this.server = server(&value).ok_or_else(wrong)?,
                "--seconds" => this.seconds = value.parse().map_err(|_| wrong())?,
                "--seed" => this.seed = value.parse().map_err(|_| wrong())?,
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(this)
    }
}

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runtime, server, seconds, seed } = self;
        write!(f, "{seconds} s on {runtime:?} against {server:?}, seed {seed}")
    }
}

fn runtime(name: &str) -> Option<Runtime> {
    match name {
        "tokio" => Some(Runtime::Tokio),
        "async-std" => Some(Runtime::AsyncStd),
        "smol" => Some(Runtime::Smol),
        _ => None,
    }
}

fn server(name: &str) -> Option<Kind> {
    match name {
        "redis" => Some(Kind::Redis),
        "valkey" => Some(Kind::Valkey),
        _ => None,
    }
}
