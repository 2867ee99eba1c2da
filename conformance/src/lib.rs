//! The conformance suite of `async-caches`: the behaviour that every runtime, backend and real
//! server must show, as one named test for each case.
//!
//! The suite tests the adapters of this project, and any other adapter. It needs a [`Harness`],
//! which says how to run, spawn and sleep on the runtime and which builder the adapter has, and one
//! line in a file under `tests/`:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use async_caches_conformance::{BoxFuture, Builder, Harness, LocalBoxFuture};
//!
//! struct CurrentThread;
//!
//! impl Harness for CurrentThread {
//!     fn builder(&self, url: &str) -> Builder {
//!         async_caches_tokio::builder(url)
//!     }
//!
//!     fn block_on(&self, test: LocalBoxFuture<()>) {
//!         let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
//!         runtime.unwrap().block_on(test);
//!     }
//!
//!     fn spawn(&self, task: BoxFuture<()>) {
//!         drop(tokio::spawn(task));
//!     }
//!
//!     fn sleep(&self, span: Duration) -> BoxFuture<()> {
//!         Box::pin(tokio::time::sleep(span))
//!     }
//! }
//!
//! mod current_thread {
//!     async_caches_conformance::suite!(&super::CurrentThread);
//! }
//! # fn main() {}
//! ```
//!
//! This makes tests such as `current_thread::redis::an_expired_key_can_be_added_again`. An adapter
//! crate that has the same four functions as this project's adapters adds
//! [`functions!`](crate::functions).
//!
//! # Servers
//!
//! The suite starts and stops the servers that it needs, on free ports of the loopback and on unix
//! sockets, so it runs on Unix only. If there is no Redis, it fails and names the script that
//! installs one. If there is no Valkey, its tests print that they do not run, past the capture of
//! output; they fail if the environment variable `CI` is set. [`server::Kind`] lists the places
//! where programs are looked for.
//!
//! | module | duty |
//! |---|---|
//! | [`harness`], [`context`], [`backend`] | a runtime, the context of a case, the backend it runs on |
//! | `suite`, `table`, `cases` | the table of cases and backends; the check that all of it runs; the cases |
//! | [`server`], [`sentinels`], [`cluster`], [`raw`], [`certificates`] | real servers, their sentinels, clusters of them, raw connections to look into them, and their TLS certificates |
//! | [`proxy`], [`packets`] | faults on the wire, and below it |
//! | [`peer`] | a scripted peer that sends wrong replies |
//! | [`frame`], [`request`], [`server_reply`] | the protocol from outside: replies read, commands read, replies written |
//! | [`abandon`], [`gate`], [`random`] | futures that are dropped, tasks that are held up, seeded randomness |

pub mod abandon;
pub mod backend;
pub mod certificates;
pub mod cluster;
pub mod context;
pub mod frame;
mod functions;
pub mod gate;
pub mod harness;
pub mod packets;
pub mod peer;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod request;
pub mod sentinels;
pub mod server;
pub mod server_reply;
mod suite;
#[doc(hidden)]
pub mod table;
mod tell;

#[doc(hidden)]
pub mod cases;

pub use async_caches::{Builder, Cache};
pub use backend::Backend;
pub use context::Context;
pub use harness::{BoxFuture, Harness, LocalBoxFuture};
#[doc(hidden)]
pub use suite::run;
