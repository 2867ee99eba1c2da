//! The conformance suite of `async-caches`: what must hold on every runtime, against every backend
//! and real servers, as one named test for each case.
//!
//! The adapters of this project are proven with it, and so is one that somebody else writes. It
//! takes a [`Harness`], which says how to run, spawn and sleep on the runtime and which builder the
//! adapter has, and one line in a file under `tests/`:
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
//! That makes tests such as `current_thread::redis::an_expired_key_can_be_added_again`. An adapter
//! crate with the four functions that this project's adapters have adds
//! [`functions!`](crate::functions).
//!
//! # Servers
//!
//! The suite starts the servers that it needs and stops them, on free ports of the loopback and on
//! unix sockets, so it runs on Unix only. Where there is no Redis it fails and says what installs
//! one. Where there is no Valkey its tests say so past the capture of output, and fail when the
//! environment variable `CI` is set. See [`server::Kind`] for where programs are looked for.
//!
//! | module | duty |
//! |---|---|
//! | [`harness`], [`context`], [`backend`] | what a runtime offers, what a case is given, where it runs |
//! | `suite`, `cases` | which case runs on which backend; the cases |
//! | [`server`], [`sentinels`], [`cluster`], [`raw`], [`certificates`] | real servers, those that watch them, several that are one, raw connections to look into them, and what they show over TLS |
//! | [`proxy`], [`packets`] | faults on the wire, and below it |
//! | [`peer`], [`frame`] | a peer that lies, the protocol as both see it |
//! | [`abandon`], [`gate`], [`random`] | futures given up, tasks held up, randomness that repeats |

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
pub mod sentinels;
pub mod server;
mod suite;
mod tell;

#[doc(hidden)]
pub mod cases;

pub use async_caches::{Builder, Cache};
pub use backend::Backend;
pub use context::Context;
pub use harness::{BoxFuture, Harness, LocalBoxFuture};
#[doc(hidden)]
pub use suite::run;
