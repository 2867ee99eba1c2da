//! The runtimes to choose from.

use std::time::Duration;

use async_caches_conformance::{BoxFuture, Builder, Harness, LocalBoxFuture};

use crate::arguments::Runtime;

pub(crate) fn of(runtime: Runtime) -> &'static dyn Harness {
    match runtime {
        Runtime::Tokio => &Tokio,
        Runtime::AsyncStd => &AsyncStd,
        Runtime::Smol => &Smol,
    }
}

struct Tokio;
struct AsyncStd;
struct Smol;

impl Harness for Tokio {
    fn builder(&self, url: &str) -> Builder {
        async_caches_tokio::builder(url)
    }

    fn block_on(&self, test: LocalBoxFuture<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.expect("the runtime starts").block_on(test);
    }

    fn spawn(&self, task: BoxFuture<()>) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, span: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(span))
    }
}

impl Harness for AsyncStd {
    fn builder(&self, url: &str) -> Builder {
        async_caches_async_std::builder(url)
    }

    fn block_on(&self, test: LocalBoxFuture<()>) {
        async_std::task::block_on(test);
    }

    fn spawn(&self, task: BoxFuture<()>) {
        drop(async_std::task::spawn(task));
    }

    fn sleep(&self, span: Duration) -> BoxFuture<()> {
        Box::pin(async_std::task::sleep(span))
    }
}

impl Harness for Smol {
    fn builder(&self, url: &str) -> Builder {
        async_caches_smol::builder(url)
    }

    fn block_on(&self, test: LocalBoxFuture<()>) {
        smol::block_on(test);
    }

    fn spawn(&self, task: BoxFuture<()>) {
        smol::spawn(task).detach();
    }

    fn sleep(&self, span: Duration) -> BoxFuture<()> {
        Box::pin(async move {
            smol::Timer::after(span).await;
        })
    }
}
