//! The runtimes that clients run on: start one, spawn on it, sleep on it.
//!
//! The main thread only waits. On smol and async-std it would otherwise drive the reactor beside
//! the runtime's own threads.

use std::sync::mpsc;
use std::time::Duration;

use crate::cell::Flavour;

/// A runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Host {
    Tokio,
    Smol,
    AsyncStd,
}

/// A spawned task; it keeps running when this is dropped.
pub(crate) enum Spawned<T> {
    Tokio(tokio::task::JoinHandle<T>),
    Smol(smol::Task<T>),
    AsyncStd(async_std::task::JoinHandle<T>),
}

impl Host {
    /// Starts the runtime and waits for a future on it. The number of threads of smol and async-std
    /// comes from their environment variables.
    pub(crate) fn run<T: Send + 'static>(
        self,
        flavour: Flavour,
        root: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match (self, flavour) {
            (Self::Tokio, Flavour::Ct) => {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                builder.enable_all().build().expect("a runtime").block_on(root)
            }
            (Self::Tokio, Flavour::Mt) => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(flavour.threads()).enable_all();
                builder.build().expect("a runtime").block_on(root)
            }
            (Self::Smol | Self::AsyncStd, Flavour::Ct | Flavour::Mt) => {
                let (done, wait) = mpsc::channel();
                let root = self.spawn(async move { done.send(root.await) });
                let output = wait.recv().expect("it ends");
                root.detach();
                output
            }
        }
    }

    /// Spawns a task on the current runtime.
    pub(crate) fn spawn<T: Send + 'static>(
        self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Spawned<T> {
        match self {
            Self::Tokio => Spawned::Tokio(tokio::spawn(task)),
            Self::Smol => Spawned::Smol(smol::spawn(task)),
            Self::AsyncStd => Spawned::AsyncStd(async_std::task::spawn(task)),
        }
    }

    /// Sleeps on the current runtime.
    pub(crate) async fn sleep(self, span: Duration) {
        match self {
            Self::Tokio => tokio::time::sleep(span).await,
            Self::Smol => drop(smol::Timer::after(span).await),
            Self::AsyncStd => async_std::task::sleep(span).await,
        }
    }
}

impl<T> Spawned<T> {
    /// Waits for the task's result.
    pub(crate) async fn join(self) -> T {
        match self {
            Self::Tokio(handle) => handle.await.expect("whatever panics ends the process"),
            Self::Smol(task) => task.await,
            Self::AsyncStd(handle) => handle.await,
        }
    }

    /// Lets the task run on by itself.
    pub(crate) fn detach(self) {
        match self {
            Self::Tokio(handle) => drop(handle),
            Self::Smol(task) => task.detach(),
            Self::AsyncStd(handle) => drop(handle),
        }
    }
}
