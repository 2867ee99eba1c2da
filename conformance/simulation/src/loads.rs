//! A seed of loads that wait for loads: loaders that load other keys of several caches, one after
//! the other and at once, nested and crossing; leaders that are kept and not polled, that hang,
//! fail and are dropped.
//!
//! The stores are in memory and time is virtual, so a caller waits for nothing but a load. The
//! rules:
//!
//! * every caller comes to an end: no task is left when no alarm is set;
//! * it does so in time: only the sleep of loaders and `load_wait` delay it, and both are counted.
//!   In stories without leaders that stop, `load_wait` is an hour, and no caller may need it;
//! * no older value comes back: a value that is read was not loaded before the last write of its
//!   key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Timer};
use async_caches::{Cache, builder};
use async_caches_conformance::random::Random;

use crate::executor::Executor;
use crate::log::Log;
use crate::run::Report;
use crate::world::lock;

/// A clock and its alarms.
#[derive(Clone, Debug, Default)]
struct Time {
    state: Arc<Mutex<Alarms>>,
}

#[derive(Debug, Default)]
struct Alarms {
    now: Instant,
    next: u64,
    set: BTreeMap<(Instant, u64), Waker>,
    seeds: u64,
}

impl Runtime for Time {
    fn now(&self) -> Instant {
        lock(&self.state).now
    }

    fn seed(&self) -> u64 {
        let mut state = lock(&self.state);
        state.seeds += 1;
        Random::new(state.seeds).below(u64::MAX)
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {}

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Sleep { time: self.clone(), set: None })
    }

    fn dial(&self, _: Endpoint, _: ConnectionTask) {}
}

struct Sleep {
    time: Time,
    set: Option<(Instant, u64)>,
}

impl Timer for Sleep {
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.time.state);
        if let Some(set) = self.set.take() {
            state.set.remove(&set);
        }
        let Some(at) = at else { return Poll::Pending };
        if state.now >= at {
            return Poll::Ready(());
        }
        state.next += 1;
        let set = (at, state.next);
        state.set.insert(set, cx.waker().clone());
        self.set = Some(set);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(set) = self.set.take() {
            lock(&self.time.state).set.remove(&set);
        }
    }
}

/// The state that all tasks of a story share.
#[derive(Clone)]
struct Story {
    time: Time,
    caches: Rc<Vec<Cache>>,
    books: Rc<RefCell<Books>>,
    /// Whether leaders may stop in the middle.
    stops: bool,
    load_wait: Duration,
}

#[derive(Default)]
struct Books {
    random: Option<Random>,
    failure: Option<String>,
    log: Log,
    /// Counts the events.
    step: u64,
    /// When the last write of a key was done.
    written: BTreeMap<Key, u64>,
    callers: usize,
    operations: usize,
}

/// The index of a cache, and the number of one of its keys.
type Key = (usize, u64);

/// Runs a seed. Keeps a log if the caller wants one.
pub(crate) fn run(seed: u64, keep_log: bool) -> Report {
    let mut random = Random::new(seed);
    let (time, stops) = (Time::default(), random.below(2) == 0);
    lock(&time.state).now = Instant::from_nanos(1_000_000_000);
    let seconds = if stops { 1 + random.below(10) } else { 3_600 };
    let load_wait = Duration::from_secs(seconds);
    let caches = (0..1 + random.below(3)).map(|_| {
        // Stores of one name are one store, so each seed has names of its own.
        let name = STORES.fetch_add(1, Ordering::Relaxed);
        let url = format!("locmem://loads-{name}?load_wait={seconds}");
        let cache = builder(&url).runtime(time.clone()).build();
        cache.unwrap_or_else(|error| panic!("the options are good: {error}"))
    });
    let caches: Rc<Vec<Cache>> = Rc::new(caches.collect());
    let tasks = 2 + random.below(5);
    let books = Books { random: Some(random), log: Log::new(keep_log), ..Books::default() };
    let story = Story { time, caches, books: Rc::new(RefCell::new(books)), stops, load_wait };
    let mut executor = Executor::default();
    for task in 0..tasks {
        executor.spawn(story.clone().task(task));
    }
    story.drive(&mut executor, seed);
    let left = story.books.borrow().callers;
    if left > 0 {
        story.fail(format!("{left} callers never come to an end"));
    }
    executor.abandon();
    let mut books = story.books.borrow_mut();
    Report {
        failure: books.failure.take(),
        log: books.log.take(),
        operations: books.operations,
        late_stores: 0,
    }
}

impl Story {
    /// Runs tasks and alarms until neither is left.
    fn drive(&self, executor: &mut Executor, seed: u64) {
        let mut random = Random::new(!seed);
        for _ in 0..MOST_STEPS {
            if self.books.borrow().failure.is_some() {
                return;
            }
            if executor.step(&mut random, 0) {
                continue;
            }
            let mut state = lock(&self.time.state);
            let Some(((at, _), waker)) = state.set.pop_first() else { return };
            state.now = at;
            drop(state);
            waker.wake();
        }
        self.fail("tasks spin".into());
    }

    async fn task(self, task: u64) {
        self.books.borrow_mut().callers += 1;
        for cache in self.caches.iter() {
            // Tasks connect one cache after the other; a cache may be connected already.
            let _ = cache.connect().await;
        }
        for _ in 0..1 + self.below(4) {
            self.sleep(self.below(3_000)).await;
            let (began, (key, depth)) = (self.time.now(), (self.key(), 3));
            match self.below(if self.stops { 8 } else { 6 }) {
                0 => self.write(key).await,
                1 => self.read(key).await,
                6 | 7 => self.keep(key).await,
                _ => drop(self.give_up(depth, self.ask(task, key, depth)).await),
            }
            self.books.borrow_mut().operations += 1;
            let took = self.time.now().since(began);
            if took > self.longest() {
                self.fail(format!("task {task} took {took:?} for {key:?}"));
            }
        }
        self.books.borrow_mut().callers -= 1;
    }

    /// How long one operation takes at most. A loader of each depth sleeps a while for each of its
    /// two steps, and waits for each. Without leaders that stop, an operation waits for nothing
    /// else.
    fn longest(&self) -> Duration {
        let own = Duration::from_secs(2 + 1 + 1);
        match self.stops {
            true => GIVEN_UP + own + self.load_wait,
            false => Duration::from_secs(600),
        }
    }

    /// Loads a key. Its loader may load others.
    fn ask(&self, task: u64, key: Key, depth: u64) -> Pin<Box<dyn Future<Output = Option<u64>>>> {
        let story = self.clone();
        Box::pin(async move {
            let loader = story.clone().load(task, key, depth);
            let cache = story.caches[key.0].clone();
            story.log(|| format!("{task} asks for {key:?}, {depth}"));
            let (began, own) = (story.time.now(), Rc::new(RefCell::new(None)));
            let noted = Rc::clone(&own);
            let loader = async {
                *noted.borrow_mut() = Some(story.time.now());
                loader.await
            };
            let got = cache.try_get_or_set(key.1.to_string(), loader).await.ok();
            // In memory a caller waits for nothing but a load, and for a load no longer than
            // `load_wait`. A kept caller is not polled in time to notice.
            let waited = own.borrow().unwrap_or_else(|| story.time.now()).since(began);
            if task == KEPT {
                return got;
            }
            if waited > story.load_wait || (!story.stops && waited > Duration::from_secs(600)) {
                story.fail(format!("{task} waited {waited:?} for {key:?}"));
            }
            story.log(|| format!("{task} has {got:?} of {key:?}, {depth}"));
            got
        })
    }

    async fn load(self, task: u64, key: Key, depth: u64) -> Result<u64, ()> {
        let step = self.step();
        self.log(|| format!("{task} loads {key:?}"));
        for _ in 0..self.below(3) {
            if self.below(2) == 0 {
                self.sleep(self.below(1_000)).await;
            }
            let children = if depth == 0 { 0 } else { self.below(3) };
            let mut children: Vec<_> =
                (0..children).map(|_| Some(self.ask(task, self.key(), depth - 1))).collect();
            // All at once; now and then only until the first ends.
            let any = self.below(4) == 0;
            poll_fn(|cx| {
                let mut ended = children.is_empty();
                for child in &mut children {
                    if child.as_mut().is_some_and(|child| child.as_mut().poll(cx).is_ready()) {
                        *child = None;
                        ended = true;
                    }
                }
                let over = if any { ended } else { children.iter().all(Option::is_none) };
                if over { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        match self.below(16) {
            0 => Err(()),
            1 if self.stops => pending().await,
            _ => Ok(step),
        }
    }

    /// Leads a load, or follows one, and keeps that future for a while without polling it, as a
    /// `select!` does. In the meantime the same task loads the same key.
    async fn keep(&self, key: Key) {
        let mut kept = self.ask(KEPT, key, 1);
        let done = poll_fn(|cx| Poll::Ready(kept.as_mut().poll(cx).is_ready())).await;
        self.give_up(0, self.ask(101, key, 0)).await;
        if !done && self.below(2) == 0 {
            self.give_up(0, kept).await;
        }
    }

    /// Waits for a caller, and drops it after a while if loads may hang.
    async fn give_up<T>(
        &self,
        _: u64,
        mut asked: Pin<Box<dyn Future<Output = Option<T>>>>,
    ) -> Option<T> {
        if !self.stops {
            return asked.await;
        }
        let mut timer = self.time.timer();
        let until = self.time.now() + Duration::from_secs(self.below(GIVEN_UP.as_secs() / 2));
        poll_fn(|cx| match timer.poll_until(Some(until), cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => asked.as_mut().poll(cx),
        })
        .await
    }

    async fn write(&self, key: Key) {
        let step = self.step();
        if self.caches[key.0].set(key.1.to_string(), step).await.is_err() {
            self.fail("a write failed".into());
        }
        let mut books = self.books.borrow_mut();
        let written = books.written.entry(key).or_default();
        *written = step.max(*written);
    }

    async fn read(&self, key: Key) {
        let written = self.books.borrow().written.get(&key).copied().unwrap_or_default();
        match self.caches[key.0].get::<u64>(key.1.to_string()).await {
            Ok(Some(value)) if value < written => {
                self.fail(format!("{key:?} is {value}, and {written} was written after it"));
            }
            Ok(_) => {}
            Err(_) => self.fail("a read failed".into()),
        }
    }

    async fn sleep(&self, millis: u64) {
        let mut timer = self.time.timer();
        let until = self.time.now() + Duration::from_millis(millis);
        poll_fn(|cx| timer.poll_until(Some(until), cx)).await;
    }

    fn key(&self) -> Key {
        (self.below(self.caches.len() as u64) as usize, self.below(3))
    }

    fn below(&self, end: u64) -> u64 {
        self.books.borrow_mut().random.as_mut().map_or(0, |random| random.below(end))
    }

    fn step(&self) -> u64 {
        let mut books = self.books.borrow_mut();
        books.step += 1;
        books.step
    }

    fn fail(&self, what: String) {
        self.log(|| what.clone());
        self.books.borrow_mut().failure.get_or_insert(what);
    }

    fn log(&self, line: impl FnOnce() -> String) {
        self.books.borrow_mut().log.add(self.time.now(), line);
    }
}

static STORES: AtomicU64 = AtomicU64::new(0);

/// Twice the time after which a caller that may hang is dropped at the latest: see [`Story::keep`].
const GIVEN_UP: Duration = Duration::from_secs(60);

/// The task number of kept callers.
const KEPT: u64 = 100;

/// More steps than any story has.
const MOST_STEPS: usize = 2_000_000;
