//! The load: many tasks, each with keys of its own and values that are used once. So a reply shows
//! itself if it is another call's, late or made up.
//!
//! [`key`](crate::key) decides which values may be read while a write may have run, or may still
//! run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_caches::{Cache, ConnectionError, ConnectionFailure, Error};
use async_caches_conformance::Context;
use async_caches_conformance::abandon::{a_turn, after_polls};
use async_caches_conformance::context::{Task, connected};
use async_caches_conformance::random::Random;

use crate::key::{Counter, Eras, Fate, Key, head};

/// The state that tasks and faults share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// How often the server has lost its data; counted while it is down.
    pub(crate) restarts: AtomicU64,
    /// How many calls were done, failed and were dropped.
    pub(crate) done: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    over: AtomicU64,
}

/// The running tasks.
pub(crate) struct Load {
    cache: Cache,
    shared: Arc<Shared>,
    tasks: Vec<Task<()>>,
}

impl Load {
    pub(crate) async fn start(cx: &Context, url: &str, shared: &Arc<Shared>, seed: u64) -> Self {
        // So few in flight that the pool wants all connections, and callers wait in line.
        let builder = cx.builder_of(url).maxsize(MAXSIZE).max_in_flight(4);
        let builder = builder.response_timeout(RESPONSE);
        let cache = connected(builder.connect_timeout(RESPONSE).timeout(KEPT)).await;
        let tasks = (0..TASKS).map(|number| {
            let worker = Worker {
                cx: cx.clone(),
                cache: cache.clone(),
                shared: Arc::clone(shared),
                random: Random::new(seed * TASKS + number),
                number,
                serial: 0,
                keys: Vec::new(),
                counter: None,
            };
            cx.spawn(worker.run())
        });
        Self { tasks: tasks.collect(), shared: Arc::clone(shared), cache }
    }

    /// Checks that every task is still running.
    ///
    /// # Panics
    /// When a task has seen something wrong.
    pub(crate) async fn check(&mut self) {
        for task in self.tasks.iter_mut().filter(|task| task.is_done()) {
            task.await;
        }
    }

    /// Ends the load: every task ends, the cache works, and disconnects.
    ///
    /// # Panics
    /// When that fails, or a task has seen something wrong.
    pub(crate) async fn end(self, cx: &Context) {
        cx.until("the cache is well", async || self.cache.ping().await.is_ok()).await;
        self.shared.over.store(1, Ordering::SeqCst);
        for task in self.tasks {
            cx.in_time(2 * LIMIT, "a task", task).await;
        }
        cx.in_time(LIMIT, "disconnect", self.cache.disconnect()).await.expect("it is connected");
    }
}

struct Worker {
    cx: Context,
    cache: Cache,
    shared: Arc<Shared>,
    random: Random,
    number: u64,
    serial: u64,
    keys: Vec<Key>,
    counter: Option<Counter>,
}

impl Worker {
    async fn run(mut self) {
        while self.shared.over.load(Ordering::SeqCst) == 0 {
            let fate = match self.random.below(10) {
                0..=3 => self.get().await,
                4 | 5 => self.set().await,
                6 => self.get_many().await,
                7 => self.delete().await,
                8 => self.count().await,
                _ => self.load().await,
            };
            let pause = if fate.is_some() { 2 } else { 10 };
            self.cx.sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn get(&mut self) -> Option<()> {
        let at = self.any()?;
        let get = self.cache.get::<String>(&self.keys[at].name);
        let (read, eras) = self.call("get", get).await;
        self.check(at, read.answer()?.as_deref(), &eras);
        Some(())
    }

    async fn get_many(&mut self) -> Option<()> {
        let many: Vec<usize> = (0..4).filter_map(|_| self.any()).collect();
        let get = self.cache.get_many::<String>(many.iter().map(|at| &self.keys[*at].name));
        let (read, eras) = self.call("get_many", get).await;
        let read = read.answer()?;
        assert_eq!(read.len(), many.len());
        many.into_iter().zip(read).for_each(|(at, read)| self.check(at, read.as_deref(), &eras));
        Some(())
    }

    async fn set(&mut self) -> Option<()> {
        if self.keys.len() < KEYS {
            let name = self.fresh();
            self.keys.push(Key::new(name));
        }
        let at = self.any()?;
        let name = self.keys[at].name.clone();
        let value = self.value(&name);
        let (fate, eras) = self.call("set", self.cache.set(&name, &value)).await;
        self.keys[at].set(value, fate, eras);
        self.retire(at);
        fate.answer()
    }

    async fn delete(&mut self) -> Option<()> {
        let at = self.any()?;
        let (fate, eras) = self.call("delete", self.cache.delete(&self.keys[at].name)).await;
        let shown = format!("{:?}", self.keys[at]);
        let key = &mut self.keys[at];
        assert!(key.removed(fate, eras), "{fate:?}, but {shown}");
        self.retire(at);
        fate.answer().map(drop)
    }

    async fn count(&mut self) -> Option<()> {
        let Some(mut counter) = self.counter.take() else {
            let name = self.fresh();
            let (fate, eras) = self.call("set", self.cache.set(&name, 0)).await;
            fate.answer()?;
            self.counter = Some(Counter::new(name, *eras.start()));
            return Some(());
        };
        let incr = self.cache.incr(&counter.name, 1);
        let (fate, eras) = self.call("incr", absent_is_none(incr)).await;
        assert!(counter.added(fate, *eras.end()), "{fate:?}, but {counter:?}");
        if fate != Fate::Answered(None) {
            self.counter = Some(counter);
        }
        fate.answer().map(drop)
    }

    /// Loads keys that all tasks share.
    async fn load(&mut self) -> Option<()> {
        let key = format!("shared-{}", self.random.below(8));
        let value = self.value(&key);
        let loading = self.cache.get_or_set(&key, async move {
            a_turn().await;
            value
        });
        let loading = loading.timeout(Duration::from_millis(500));
        let (read, _) = self.call("get_or_set", loading.into_future()).await;
        let read = read.answer()?;
        assert!(read.starts_with(&format!("{key}=")), "{key}: {read:.80}");
        Some(())
    }

    /// Returns the fate of a call, and the eras in which it began and ended.
    async fn call<T>(
        &self,
        what: &str,
        call: impl IntoFuture<Output = Result<T, Error>>,
    ) -> (Fate<T>, Eras) {
        let (call, began) = (call.into_future(), self.era());
        let mut random = Random::new(self.serial ^ self.shared.done.load(Ordering::Relaxed));
        let outcome = if random.below(16) == 0 {
            after_polls(random.below(6), call).await
        } else {
            Some(self.cx.in_time(LIMIT, what, call).await)
        };
        let count = match &outcome {
            Some(Ok(_)) => &self.shared.done,
            Some(Err(error)) => {
                let expected = error.is_retryable() || broke_the_protocol(error);
                assert!(expected, "{what}: {error:?}");
                &self.shared.failed
            }
            None => &self.shared.dropped,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let fate = match outcome {
            Some(Ok(answer)) => Fate::Answered(answer),
            Some(Err(error)) if !error.may_have_run() => Fate::NotRun,
            Some(Err(_)) | None => Fate::MayHaveRun,
        };
        (fate, began..=self.era())
    }

    fn check(&mut self, at: usize, read: Option<&str>, eras: &Eras) {
        let key = &mut self.keys[at];
        assert!(key.read(read, eras), "{:?} in {eras:?}, but {key:?}", read.map(head));
    }

    /// Drops a key with too many loose writes.
    fn retire(&mut self, at: usize) {
        if self.keys[at].is_worn() {
            self.keys.swap_remove(at);
        }
    }

    fn era(&self) -> u64 {
        self.shared.restarts.load(Ordering::SeqCst)
    }

    fn any(&mut self) -> Option<usize> {
        let count = u64::try_from(self.keys.len()).ok().filter(|count| *count > 0)?;
        usize::try_from(self.random.below(count)).ok()
    }

    fn fresh(&mut self) -> String {
        self.serial += 1;
        format!("key-{}-{}", self.number, self.serial)
    }

    /// A value of any size that is used once and names its key.
    fn value(&mut self, key: &str) -> String {
        self.serial += 1;
        let length = match self.random.below(100) {
            0 => 300_000,
            1..=5 => 20_000,
            _ => usize::try_from(self.random.below(400)).expect("it is small"),
        };
        format!("{key}={}-{}|{}", self.number, self.serial, "x".repeat(length))
    }
}

/// Whether the reply of the call itself was malformed, for example because of a corrupt byte. Such
/// a call is not repeated.
fn broke_the_protocol(error: &Error) -> bool {
    let Error::ConnectionsEnded { source, .. } = error else { return false };
    matches!(source, ConnectionFailure::Connection(ConnectionError::Protocol(_)))
}

async fn absent_is_none(
    call: impl IntoFuture<Output = Result<i64, Error>>,
) -> Result<Option<i64>, Error> {
    match call.await {
        Ok(sum) => Ok(Some(sum)),
        Err(Error::KeyNotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (done, failed, dropped) =
            (count(&self.done), count(&self.failed), count(&self.dropped));
        write!(f, "calls: {done} done and none wrong, {failed} failed in time, {dropped} dropped")
    }
}

/// How many connections are allowed.
pub(crate) const MAXSIZE: usize = 4;
const TASKS: u64 = 24;
const KEYS: usize = 16;
/// The response timeout.
pub(crate) const RESPONSE: Duration = Duration::from_secs(1);
/// The time within which a call of a few round trips ends on a busy machine.
const LIMIT: Duration = Duration::from_secs(6);
/// Longer than any key is used. Keys that are no longer used expire by themselves.
const KEPT: Duration = Duration::from_secs(24 * 3600);
