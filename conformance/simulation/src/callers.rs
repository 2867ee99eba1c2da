//! The callers: tasks that run one operation after another, and drop some of them.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use async_caches::runtime::{Instant, Timer};
use async_caches::{Cache, Error, LoadError, Remaining, Timeout};
use async_caches_conformance::random::Random;
use async_caches_conformance::server_reply::ServerReply;
use bytes::Bytes;

use crate::agenda::Event;
use crate::ledger::{Key, KeyId, OpId};
use crate::loader::Planned;
use crate::operation::{Failed, Kind, Outcome};
use crate::wire::{TOUCH, Wire};
use crate::world::{Alarm, World};

/// A task that runs operations, or one operation of the simulation's own.
pub(crate) struct Caller {
    pub(crate) world: World,
    pub(crate) caches: Rc<Vec<Cache>>,
    pub(crate) random: Random,
    /// How many callers have not ended.
    pub(crate) left: Rc<Cell<usize>>,
}

/// How long an operation keeps its value.
#[derive(Clone, Copy)]
struct Keeps {
    said: Timeout,
    millis: Option<usize>,
}

macro_rules! versioned {
    ($key:expr, $operation:expr) => {
        match $key.version {
            None => $operation,
            Some(version) => $operation.version(version),
        }
    };
}

impl Caller {
    /// Runs this many operations, with pauses of up to `pause`.
    pub(crate) async fn run(mut self, operations: u64, pause: Duration) {
        for _ in 0..operations {
            let pause = Duration::from_nanos(self.random.below(pause.as_nanos() as u64 + 1));
            self.world.sleep_until(self.world.now() + pause).await;
            self.any().await;
        }
        self.left.set(self.left.get() - 1);
    }

    async fn any(&mut self) {
        let cache = self.below(self.caches.len());
        let (loads, batches) = self.world.with(|state| (state.plan.loads, state.plan.batches()));
        let kind = if loads && self.random.below(16) > 0 {
            Kind::Load
        } else if batches && self.random.below(8) > 0 {
            let most =
                [Kind::GetMany, Kind::GetMany, Kind::SetMany, Kind::SetMany, Kind::DeleteMany];
            most[self.below(most.len())]
        } else {
            self.kind()
        };
        self.operate(kind, cache).await;
    }

    fn kind(&mut self) -> Kind {
        match self.random.below(32) {
            0..6 => Kind::Get,
            6..8 => Kind::GetMany,
            8..11 => Kind::Set,
            11 => Kind::Add,
            12 => Kind::SetMany,
            13 | 14 => Kind::Delete,
            15 => Kind::DeleteIf,
            16 => Kind::DeleteMany,
            17 => Kind::Touch,
            18 | 19 => Kind::Incr,
            20 => Kind::Count,
            21 => Kind::Contains,
            22 => Kind::Remaining,
            23 => Kind::Ping,
            24 if self.random.below(4) == 0 => Kind::Clear,
            24 | 25 => Kind::ClearPrefix,
            26 => Kind::SetMany,
            _ => Kind::Load,
        }
    }

    /// Runs one operation of this kind.
    pub(crate) async fn operate(&mut self, kind: Kind, index: usize) {
        let counts = match kind {
            // Under some keys another program keeps numbers, which are not a value of a load.
            Kind::Load if self.random.below(8) == 0 => None,
            Kind::Load | Kind::SetMany => Some(false),
            // It creates a number, which is not a value of other keys.
            Kind::Count => Some(true),
            Kind::Incr if self.random.below(8) > 0 => Some(true),
            _ => None,
        };
        let (first, key) = self.key(index, counts);
        let caches = Rc::clone(&self.caches);
        let cache = &caches[index];
        let name = key.name.clone();
        match kind {
            Kind::Get => {
                let id = self.reserve(kind, index, vec![first]);
                let value = match (key.counts, self.random.below(2)) {
                    (_, 0) => self.watch(id, kind, versioned!(key, cache.get_raw(name))).await,
                    (true, _) => {
                        let got =
                            self.watch(id, kind, versioned!(key, cache.get::<i64>(name))).await;
                        got.map(|got| got.map(|value| value.map(|value| value.to_string().into())))
                    }
                    (false, _) => {
                        let got =
                            self.watch(id, kind, versioned!(key, cache.get::<String>(name))).await;
                        got.map(|got| got.map(|value| value.as_deref().map(quoted)))
                    }
                };
                self.end(id, value, |value| {
                    Outcome::Reply(Wire::Get, value.map_or(ServerReply::Null, ServerReply::Bulk))
                });
            }
            Kind::GetMany => {
                let (second, other) = self.key_beside(index, &key);
                let (id, ghost) = self.reserve_with_ghost(kind, index, vec![first, second]);
                let mut names = vec![name, ghost, other.name];
                if self.random.below(2) == 0 {
                    names.push(key.name.clone());
                }
                let whole = names.iter().map(|name| key.beside(name));
                let whole: Vec<Bytes> = whole.collect();
                let got = self.watch(id, kind, versioned!(key, cache.get_many_raw(names))).await;
                self.end(id, got, |got| {
                    let said = got
                        .into_iter()
                        .map(|value| value.map_or(ServerReply::Null, ServerReply::Bulk));
                    Outcome::Parts(whole.into_iter().zip(said).collect())
                });
            }
            Kind::Set => {
                let keeps = self.keeps(index);
                let id = self.reserve_for(kind, index, vec![first], keeps);
                let done = match key.counts {
                    true => {
                        let set = cache.set(name, id).timeout(keeps.said);
                        self.watch(id, kind, versioned!(key, set)).await
                    }
                    false => {
                        let set = cache.set(name, value(&key, id)).timeout(keeps.said);
                        self.watch(id, kind, versioned!(key, set)).await
                    }
                };
                self.end(id, done, |()| Outcome::Reply(Wire::Set, ServerReply::OK));
            }
            Kind::Add => {
                let keeps = self.keeps(index);
                let id = self.reserve_for(kind, index, vec![first], keeps);
                let done = match key.counts {
                    true => {
                        let add = cache.add(name, id).timeout(keeps.said);
                        self.watch(id, kind, versioned!(key, add)).await
                    }
                    false => {
                        let add = cache.add(name, value(&key, id)).timeout(keeps.said);
                        self.watch(id, kind, versioned!(key, add)).await
                    }
                };
                let said = |added| if added { ServerReply::OK } else { ServerReply::Null };
                self.end(id, done, |added| Outcome::Reply(Wire::Add, said(added)));
            }
            Kind::SetMany => {
                let keeps = self.keeps(index);
                let (second, other) = self.key_beside(index, &key);
                let both = if first == second { vec![first] } else { vec![first, second] };
                let id = self.reserve_for(kind, index, both.clone(), keeps);
                let entries = [(name, value(&key, id)), (other.name.clone(), value(&other, id))];
                let set = cache.set_many(entries.into_iter().take(both.len())).timeout(keeps.said);
                let done = self.watch(id, kind, versioned!(key, set)).await;
                self.end(id, done, |()| Outcome::Stored);
            }
            Kind::Delete => {
                let id = self.reserve(kind, index, vec![first]);
                let done = self.watch(id, kind, versioned!(key, cache.delete(name))).await;
                self.end(id, done, |found| {
                    Outcome::Reply(Wire::Unlink, ServerReply::Integer(found.into()))
                });
            }
            Kind::DeleteMany => {
                let (second, other) = self.key_beside(index, &key);
                let (id, ghost) = self.reserve_with_ghost(kind, index, vec![first, second]);
                let names = [name, other.name, ghost];
                let done = self.watch(id, kind, versioned!(key, cache.delete_many(names))).await;
                let in_parts = self.in_parts();
                self.end(id, done, |count| match in_parts {
                    true => Outcome::Removed(count as i64),
                    false => Outcome::Reply(Wire::Unlink, ServerReply::Integer(count as i64)),
                });
            }
            Kind::Touch => {
                let id = self.reserve(kind, index, vec![first]);
                let forever = self.random.below(3) == 0;
                let span = Duration::from_millis((id + TOUCH) as u64);
                let touch =
                    cache.touch(name).timeout(if forever { Timeout::Never } else { span.into() });
                let done = self.watch(id, kind, versioned!(key, touch)).await;
                let wire = if forever { Wire::Persist } else { Wire::Expire };
                self.end(id, done, |found| {
                    Outcome::Reply(wire, ServerReply::Integer(found.into()))
                });
            }
            Kind::Incr => {
                let id = self.reserve(kind, index, vec![first]);
                let delta = id as i64;
                let incr = if self.random.below(4) == 0 {
                    cache.decr(name, delta)
                } else {
                    cache.incr(name, delta)
                };
                let sum = self.watch(id, kind, versioned!(key, incr)).await;
                self.end(id, sum, |sum| {
                    Outcome::Reply(Wire::Incr, ServerReply::text(&sum.to_string()))
                });
            }
            Kind::Count => {
                let keeps = self.keeps(index);
                let id = self.reserve_for(kind, index, vec![first], keeps);
                let count = cache.incr(name, id as i64).or_insert(7).timeout(keeps.said);
                let sum = self.watch(id, kind, versioned!(key, count)).await;
                self.end(id, sum, |sum| {
                    Outcome::Reply(Wire::Incr, ServerReply::text(&sum.to_string()))
                });
            }
            Kind::DeleteIf => {
                // The value that the key held a moment ago serves as the value of a lock.
                let id = self.reserve(Kind::Get, index, vec![first]);
                let held = versioned!(key, cache.get_raw(name.clone()));
                let held = self.watch(id, Kind::Get, held).await;
                let value = held.as_ref().and_then(|held| held.as_ref().ok()).cloned().flatten();
                self.end(id, held, |value| {
                    Outcome::Reply(Wire::Get, value.map_or(ServerReply::Null, ServerReply::Bulk))
                });
                let id = self.reserve(kind, index, vec![first]);
                let delete = cache.delete_if_equals_raw(name, value.unwrap_or_default());
                let done = self.watch(id, kind, versioned!(key, delete)).await;
                self.end(id, done, |found| {
                    Outcome::Reply(Wire::DeleteIf, ServerReply::Integer(found.into()))
                });
            }
            Kind::Contains => {
                let id = self.reserve(kind, index, vec![first]);
                let done = self.watch(id, kind, versioned!(key, cache.contains(name))).await;
                self.end(id, done, |found| {
                    Outcome::Reply(Wire::Exists, ServerReply::Integer(found.into()))
                });
            }
            Kind::Remaining => {
                let id = self.reserve(kind, index, vec![first]);
                let done = self.watch(id, kind, versioned!(key, cache.remaining(name))).await;
                let millis = |left| match left {
                    Remaining::Absent => -2,
                    Remaining::Forever => -1,
                    Remaining::For(span) => span.as_millis() as i64,
                };
                self.end(id, done, |left| {
                    Outcome::Reply(Wire::Remaining, ServerReply::Integer(millis(left)))
                });
            }
            Kind::Ping => {
                let id = self.reserve(kind, index, Vec::new());
                let done = self.watch(id, kind, cache.ping()).await;
                self.end(id, done, |()| Outcome::Reply(Wire::Ping, ServerReply::Status("PONG")));
            }
            Kind::Clear => {
                let id = self.reserve(kind, index, Vec::new());
                let done = self.watch(id, kind, cache.clear()).await;
                self.end(id, done, |()| Outcome::Reply(Wire::Flush, ServerReply::OK));
            }
            Kind::ClearPrefix => {
                let id = self.reserve(kind, index, self.keys_of(index));
                let done = self.watch(id, kind, cache.clear_prefix()).await;
                self.end(id, done, |_| Outcome::Done);
            }
            Kind::Load => {
                let keeps = self.keeps(index);
                let id = self.reserve_for(kind, index, vec![first], keeps);
                let loader = self.loader(id, value(&key, id));
                let load = cache.try_get_or_set(name, loader).timeout(keeps.said);
                let done = match self.watch(id, kind, versioned!(key, load)).await {
                    Some(Err(LoadError::Load(()))) => {
                        return self
                            .world
                            .with(|state| state.ledger.completed(id, &Outcome::LoaderFailed));
                    }
                    Some(Err(LoadError::Cache(error))) => Some(Err(error)),
                    Some(Ok(value)) => Some(Ok(value)),
                    None => None,
                };
                self.end(id, done, |value| Outcome::Value(quoted(&value)));
            }
            Kind::Connect => {
                let id = self.reserve(kind, index, Vec::new());
                let done = self.watch(id, kind, cache.connect()).await;
                self.end(id, done, |()| Outcome::Done);
                self.world.with(|state| match cache.is_connected() {
                    true => state.ledger.connected(index, true),
                    false => state.let_go(index),
                });
            }
            Kind::Disconnect => {
                let id = self.reserve(kind, index, Vec::new());
                let done = self.watch(id, kind, cache.disconnect()).await;
                self.end(id, done, |()| Outcome::Done);
            }
        }
    }

    /// Polls an operation to its end, or drops it. The ledger records both.
    async fn watch<F: Future>(&mut self, id: OpId, kind: Kind, future: F) -> Option<F::Output> {
        let drops = self.world.with(|state| state.plan.drops);
        let drops = drops > 0 && self.random.below(drops) == 0;
        let mut polls =
            if drops && self.random.below(2) == 0 { self.random.below(4) } else { u64::MAX };
        let given_up = match (drops, kind) {
            (true, _) => self.world.now() + Duration::from_micros(self.random.below(200_000)),
            // A loader may hang for ever.
            (false, Kind::Load) => {
                self.world.now() + Duration::from_millis(self.random.below(60_000))
            }
            (false, _) => Instant::MAX,
        };
        let mut alarm = (given_up < Instant::MAX).then(|| Alarm::new(self.world.clone()));
        let (mut future, world) = (pin!(future), self.world.clone());
        let mut fresh = true;
        let output = poll_fn(|cx| {
            let over =
                alarm.as_mut().is_some_and(|alarm| alarm.poll_until(Some(given_up), cx).is_ready());
            if polls == 0 || over {
                return Poll::Ready(None);
            }
            polls -= 1;
            if std::mem::take(&mut fresh) {
                world.with(|state| {
                    state.ledger.issued(id);
                    let at = state.now + state.ledger.bound(kind);
                    state.agenda.note(at, Event::Due { op: id, at });
                    if kind == Kind::Disconnect {
                        state.let_go(state.ledger.cache_of(id));
                    }
                    state.log.add(state.now, || format!("#{id}: begins"));
                });
            }
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(polled) => polled.map(Some),
                Err(panic) => {
                    if !panic.is::<Planned>() {
                        world.with(|state| {
                            state.ledger.fail(format!("#{id} panicked: {}", said(&*panic)));
                        });
                    }
                    Poll::Ready(None)
                }
            }
        })
        .await;
        if output.is_none() {
            self.world.with(|state| {
                state.log.add(state.now, || format!("#{id}: dropped"));
                state.ledger.dropped(id);
            });
        }
        output
    }

    fn end<T>(&self, id: OpId, result: Option<Result<T, Error>>, said: impl FnOnce(T) -> Outcome) {
        let outcome = match result {
            None => return,
            Some(Ok(value)) => said(value),
            Some(Err(error)) => failed(&error),
        };
        self.world.with(|state| {
            state.log.add(state.now, || format!("#{id}: {outcome:?}"));
            state.ledger.completed(id, &outcome);
        });
    }

    /// Whether an operation for several keys is sent in parts.
    fn in_parts(&self) -> bool {
        self.world.with(|state| state.cluster.is_some())
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    /// Draws a key of a cache: one that counts or not, if `counts` decides that.
    fn key(&mut self, cache: usize, counts: Option<bool>) -> (KeyId, Key) {
        let drawn = self.random.below(1 << 32) as usize;
        self.world.with(|state| {
            let fits = |key: &Key| key.cache == cache && counts.is_none_or(|it| key.counts == it);
            let keys = state.ledger.keys.iter().enumerate().filter(|(_, key)| fits(key));
            let at = drawn % keys.clone().count();
            keys.map(|(id, key)| (id, key.clone())).nth(at).unwrap_or_else(|| unreachable!())
        })
    }

    /// Draws another key of the same version and kind, or the same key.
    fn key_beside(&mut self, cache: usize, beside: &Key) -> (KeyId, Key) {
        loop {
            let (id, key) = self.key(cache, Some(beside.counts));
            if key.version == beside.version {
                return (id, key);
            }
        }
    }

    fn keys_of(&self, cache: usize) -> Vec<KeyId> {
        self.world.with(|state| {
            let keys = state.ledger.keys.iter().enumerate();
            keys.filter(|(_, key)| key.cache == cache).map(|(id, _)| id).collect()
        })
    }

    fn keeps(&mut self, cache: usize) -> Keeps {
        let default = self.world.with(|state| state.plan.caches[cache].timeout);
        match self.random.below(3) {
            0 => Keeps { said: Timeout::Default, millis: default.map(|millis| millis as usize) },
            1 => Keeps { said: Timeout::Never, millis: None },
            _ => {
                let millis = 1 + self.random.below(3_000);
                let said = Duration::from_millis(millis).into();
                Keeps { said, millis: Some(millis as usize) }
            }
        }
    }

    fn reserve(&self, kind: Kind, cache: usize, keys: Vec<KeyId>) -> OpId {
        self.world.with(|state| {
            let id = state.ledger.reserve(kind, cache, keys);
            state.log.add(state.now, || format!("#{id}: {kind:?} {:?}", state.ledger.names_of(id)));
            id
        })
    }

    fn reserve_for(&self, kind: Kind, cache: usize, keys: Vec<KeyId>, keeps: Keeps) -> OpId {
        let id = self.reserve(kind, cache, keys);
        self.world.with(|state| state.ledger.keeps_for(id, keeps.millis));
        id
    }

    /// Reserves an operation with a key that is never stored, so that its command identifies the
    /// operation.
    fn reserve_with_ghost(&self, kind: Kind, cache: usize, keys: Vec<KeyId>) -> (OpId, String) {
        let id = self.reserve(kind, cache, keys);
        (id, format!("ghost{id}"))
    }
}

fn failed(error: &Error) -> Outcome {
    let status = |status| Outcome::Reply(Wire::Incr, ServerReply::Status(status));
    let may_have_run = error.may_have_run();
    Outcome::Failed(match error {
        Error::KeyNotFound { .. } => return status("ABSENT"),
        Error::NotANumber { .. } => return status("NOTANUMBER"),
        Error::NotAnInteger { .. } => return status("NOTANINTEGER"),
        Error::Overflow { .. } => return status("OVERFLOW"),
        Error::NotConnected => Failed::NotConnected,
        Error::Overloaded { .. } => Failed::Overloaded,
        Error::Unavailable { .. } => Failed::Outage { may_have_run, timeout: false, lost: false },
        Error::Timeout { .. } => Failed::Outage { may_have_run, timeout: true, lost: false },
        Error::Disconnected { .. } => Failed::Outage { may_have_run, timeout: false, lost: true },
        Error::ConnectionsEnded { .. } => Failed::Ended { may_have_run },
        Error::Redirects(redirects) if redirects.redirects < 16 => {
            Failed::Outage { may_have_run, timeout: false, lost: false }
        }
        Error::Redirects(_) => Failed::Redirects,
        Error::Server(error) => Failed::Server(error.text().into()),
        Error::Deserialize { .. } => Failed::Unreadable,
        other => Failed::Other(format!("{other:?}")),
    })
}

fn value(key: &Key, id: OpId) -> String {
    format!("{}#{id}", key.wire.escape_ascii())
}

fn quoted(value: &str) -> Bytes {
    format!("\"{value}\"").into()
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
