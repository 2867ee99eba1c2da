//! A load that checks itself, on a real server that is killed, stopped and cut off every few
//! seconds.
//!
//! ```sh
//! cargo run -p async-caches-conformance --example soak -- --runtime tokio --seconds 60
//! ```
//!
//! `--runtime` is `tokio`, `async-std` or `smol`, `--server` is `redis` or `valkey`, and `--seed`
//! draws other faults in another order. The program fails at the first wrong reply and at the first
//! call that outlives its deadline. At the end it fails if there were more connections than
//! `maxsize`, if descriptors are left, or if memory has grown.
#![allow(clippy::print_stdout, reason = "it tells what it did")]

mod arguments;
mod faults;
mod harness;
mod key;
mod load;
mod usage;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use async_caches_conformance::Context;
use async_caches_conformance::proxy::Proxy;
use async_caches_conformance::server::{Server, Setup};

use self::arguments::Arguments;
use self::load::{Load, Shared};

fn main() {
    let arguments = Arguments::parse(std::env::args().skip(1)).unwrap_or_else(|wrong| {
        println!("{wrong}");
        std::process::exit(2);
    });
    let harness = harness::of(arguments.runtime);
    let cx = Context::without_server(harness);
    harness.block_on(Box::pin(async move { soak(cx, &arguments).await }));
}

async fn soak(cx: Context, arguments: &Arguments) {
    println!("{arguments}");
    // Descriptors that a runtime opens once and keeps are not counted.
    rehearse(&cx, arguments).await;
    let before = usage::descriptors();
    let shared = Arc::new(Shared::default());
    {
        let server = Server::start(arguments.server, &Setup::default());
        let proxy = Arc::new(Proxy::start(server.address()));
        let url = server.url_at(proxy.address(), 0);
        let mut load = Load::start(&cx, &url, &shared, arguments.seed).await;
        let (trouble, watched) = (Arc::clone(&shared), Arc::clone(&proxy));
        let (seed, span) = (arguments.seed, Duration::from_secs(arguments.seconds));
        let troubled = thread::spawn(move || faults::run(server, &watched, &trouble, seed, span));
        while !troubled.is_finished() {
            cx.sleep(Duration::from_millis(50)).await;
            load.check().await;
        }
        let (server, report) = troubled.join().expect("the faults go well");
        load.end(&cx).await;
        println!("{report}");
        drop((proxy, server));
    }
    println!("{shared}");
    assert!(shared.done.load(Ordering::Relaxed) > 0, "nothing was done");
    cx.until("descriptors are back where they were", async || usage::descriptors() <= before).await;
    println!("descriptors: {before:?} before, {:?} after", usage::descriptors());
}

/// Runs the load once without faults.
async fn rehearse(cx: &Context, arguments: &Arguments) {
    let server = Server::start(arguments.server, &Setup::default());
    let proxy = Proxy::start(server.address());
    let url = server.url_at(proxy.address(), 0);
    let load = Load::start(cx, &url, &Arc::default(), arguments.seed).await;
    cx.sleep(Duration::from_millis(300)).await;
    load.end(cx).await;
    drop((proxy, server));
    cx.sleep(Duration::from_millis(300)).await;
}
