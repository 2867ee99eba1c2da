//! `cluster`: many tasks that share one client of a cluster, beside other clients of clusters.
//!
//! The cluster has three masters on this machine, without replicas. Each task runs one operation on
//! one key at a time, as other clients do not accept batches of keys of any slots. Clients take
//! turns, so that other load on the machine affects all of them alike. This is not part of `speed`,
//! whose cells are measured on one server.

#[cfg(feature = "peers")]
mod fred;
#[cfg(feature = "peers")]
mod redis;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_caches_conformance::cluster::Cluster as Servers;
use async_caches_conformance::server::{Kind, Setup};
use clap::{Args, ValueEnum};
use tokio::runtime::{Builder, Runtime};

use crate::clients::{Client, OursOnTokio};
use crate::dataset::Dataset;

/// Compares clients of a cluster
#[derive(Args, Debug)]
pub(crate) struct Cluster {
    /// How many tasks share a client
    #[arg(long, default_value_t = 256)]
    tasks: usize,
    /// How many bytes a value has
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// How long a turn is, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    millis: u64,
    /// How many turns each client has
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many threads the runtime has
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// The operation that the tasks run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Get,
    Set,
}

/// The client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Who {
    /// `async-caches` on tokio.
    Ours,
    /// `redis` 1.x: one `ClusterConnection`, cloned for each task.
    #[cfg(feature = "peers")]
    Redis,
    /// `fred`: one client.
    #[cfg(feature = "peers")]
    Fred,
}

impl Cluster {
    pub(crate) fn run(&self) -> Result<()> {
        Kind::Redis.program().context(Kind::Redis.remedy())?;
        let servers = Servers::start(Kind::Redis, &Setup::default(), 3, 0, UNDISTURBED);
        let data = Arc::new(Dataset::of(format!("mt/get/{}/1", self.size).parse()?));
        let mut raw = servers.raw();
        for key in &data.keys {
            raw.call(&[b"SET", key.as_bytes(), &data.value]);
        }
        let mut out = io::stdout();
        writeln!(out, "3 masters, {} tasks, values of {} bytes", self.tasks, self.size)?;
        for op in [Op::Get, Op::Set] {
            let mut rates: Vec<_> =
                Who::value_variants().iter().map(|&who| (who, Vec::new())).collect();
            for _ in 0..self.rounds {
                for (who, rates) in &mut rates {
                    rates.push(self.turn(*who, op, &servers.url(), &data)?);
                }
            }
            for (who, mut rates) in rates {
                rates.sort_unstable();
                let (least, most) = (rates.first().unwrap_or(&0), rates.last().unwrap_or(&0));
                let median = rates.get(rates.len() / 2).unwrap_or(&0);
                writeln!(out, "{op:?} {who:?}: {median}/s ({least} to {most})")?;
            }
        }
        Ok(())
    }

    /// The number of operations per second that a client reaches.
    fn turn(&self, who: Who, op: Op, url: &str, data: &Arc<Dataset>) -> Result<u64> {
        let runtime =
            Builder::new_multi_thread().worker_threads(self.threads).enable_all().build()?;
        Ok(match who {
            Who::Ours => self.rate::<OursOnTokio>(&runtime, op, url, data),
            #[cfg(feature = "peers")]
            Who::Redis => self.rate::<redis::Redis>(&runtime, op, url, data),
            #[cfg(feature = "peers")]
            Who::Fred => self.rate::<fred::Fred>(&runtime, op, url, data),
        })
    }

    fn rate<C: Client>(&self, on: &Runtime, op: Op, url: &str, data: &Arc<Dataset>) -> u64 {
        let keys: Arc<[String]> = data.keys_after(C::STEM).into();
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        on.block_on(async {
            let client = C::connect(url, self.tasks).await;
            let tasks: Vec<_> = (0..self.tasks)
                .map(|nth| {
                    let (mut client, keys, data) =
                        (client.clone(), Arc::clone(&keys), Arc::clone(data));
                    let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                    tokio::spawn(async move {
                        let mut own = 0;
                        for at in (nth * APART).. {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            let key = &keys[at % keys.len()];
                            match op {
                                Op::Get => {
                                    let value = client.get(key).await;
                                    assert_eq!(C::len(&value), data.value.len());
                                }
                                Op::Set => client.set(key, &data.value).await,
                            }
                            own += 1;
                            if own % STRIDE == 0 {
                                done.fetch_add(STRIDE, Ordering::Relaxed);
                            }
                        }
                    })
                })
                .collect();
            let span = Duration::from_millis(self.millis);
            // The first half, in which connections open and buffers grow, does not count.
            tokio::time::sleep(span / 2).await;
            let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
            tokio::time::sleep(span).await;
            let (after, took) = (done.load(Ordering::Relaxed), began.elapsed());
            stop.store(true, Ordering::Relaxed);
            for task in tasks {
                task.await.expect("no task fails");
            }
            ((after - before) as f64 / took.as_secs_f64()) as u64
        })
    }
}

/// The addresses of a cluster's URL.
#[cfg(feature = "peers")]
fn addresses(url: &str) -> impl Iterator<Item = &str> {
    url.trim_start_matches("redis-cluster://").split(',')
}

/// The distance between the keys at which the tasks begin.
const APART: usize = 37;
/// A task counts its operations in groups of this size.
const STRIDE: u64 = 16;
/// Long enough that no node counts as failed during a run.
const UNDISTURBED: Duration = Duration::from_secs(60);
