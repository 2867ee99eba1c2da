//! The suite on tokio's runtime of one thread.

use std::time::Duration;

use async_caches_conformance::{BoxFuture, Builder, Harness, LocalBoxFuture};

struct CurrentThread;

impl Harness for CurrentThread {
    fn builder(&self, url: &str) -> Builder {
        async_caches_tokio::builder(url)
    }

    fn block_on(&self, test: LocalBoxFuture<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the runtime starts").block_on(test);
    }

    fn spawn(&self, task: BoxFuture<()>) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, span: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(span))
    }
}

mod tokio_current_thread {
    async_caches_conformance::suite!(&super::CurrentThread);
    async_caches_conformance::functions!(&crate::CurrentThread, async_caches_tokio);
}
