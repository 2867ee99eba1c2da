//! The suite on tokio's runtime of many threads.

use std::time::Duration;

use async_caches_conformance::{BoxFuture, Builder, Harness, LocalBoxFuture};

struct MultiThread;

impl Harness for MultiThread {
    fn builder(&self, url: &str) -> Builder {
        async_caches_tokio::builder(url)
    }

    fn block_on(&self, test: LocalBoxFuture<()>) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build();
        runtime.expect("the runtime starts").block_on(test);
    }

    fn spawn(&self, task: BoxFuture<()>) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, span: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(span))
    }
}

mod tokio_multi_thread {
    async_caches_conformance::suite!(&super::MultiThread, further);
    async_caches_conformance::functions!(&crate::MultiThread, async_caches_tokio);
}
