//! The suite on async-std.

use std::time::Duration;

use async_caches_conformance::{BoxFuture, Builder, Harness, LocalBoxFuture};

struct AsyncStd;

impl Harness for AsyncStd {
    fn builder(&self, url: &str) -> Builder {
        async_caches_async_std::builder(url)
    }

    fn block_on(&self, test: LocalBoxFuture<()>) {
        ::async_std::task::block_on(test);
    }

    fn spawn(&self, task: BoxFuture<()>) {
        drop(::async_std::task::spawn(task));
    }

    fn sleep(&self, span: Duration) -> BoxFuture<()> {
        Box::pin(::async_std::task::sleep(span))
    }
}

mod async_std {
    async_caches_conformance::suite!(&super::AsyncStd, further);
    async_caches_conformance::functions!(&crate::AsyncStd, async_caches_async_std);
}
