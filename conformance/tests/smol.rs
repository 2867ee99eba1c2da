//! The suite on smol.

use std::time::Duration;

use async_caches_conformance::{BoxFuture, Builder, Harness, LocalBoxFuture};

struct Smol;

impl Harness for Smol {
    fn builder(&self, url: &str) -> Builder {
        async_caches_smol::builder(url)
    }

    fn block_on(&self, test: LocalBoxFuture<()>) {
        ::smol::block_on(test);
    }

    fn spawn(&self, task: BoxFuture<()>) {
        ::smol::spawn(task).detach();
    }

    fn sleep(&self, span: Duration) -> BoxFuture<()> {
        Box::pin(async move {
            ::smol::Timer::after(span).await;
        })
    }
}

mod smol {
    async_caches_conformance::suite!(&super::Smol, further);
    async_caches_conformance::functions!(&crate::Smol, async_caches_smol);
}
