//! Single-flight for callers: the core's decisions behind a lock, with wakers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};

use async_caches_core::command::Command;
use async_caches_core::flight::{FlightId, Flights, Invalidated, Role, Seat, Seen, Turn};
use async_caches_core::url::Server;
use bytes::Bytes;

use crate::registry::Registry;
use crate::runtime::{Runtime, Time};
use crate::sync::lock;

/// The loads under way in one backend.
#[derive(Debug)]
pub(crate) struct Desk {
    flights: Mutex<Flights<Waker>>,
    /// Whether there may be any: spares writes the lock where nothing is loading.
    busy: AtomicBool,
    /// What has ended, as the flights last said: spares lookups the lock.
    ended: AtomicU64,
    time: Time,
}

/// A caller's part in a flight. Dropped, it is given up: a leader's passes to a follower.
#[derive(Debug)]
pub(crate) struct Place {
    desk: Arc<Desk>,
    id: FlightId,
    part: Part,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Leader,
    Follower(Seat),
    Gone,
}

/// What a caller that missed is to do.
#[derive(Debug)]
pub(crate) enum Joined {
    Lead(Place),
    Follow(Place),
    Again,
}

/// What a follower got.
#[derive(Debug)]
pub(crate) enum Followed {
    Value(Bytes),
    Lead,
}

impl Desk {
    pub(crate) fn new(time: Time, seed: u64) -> Self {
        let flights = Mutex::new(Flights::new(seed));
        let (busy, ended) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { flights, busy, ended, time }
    }

    /// The one for a server's database: all caches of this process that use it meet there.
    pub(crate) fn of(server: &Server, runtime: &Arc<dyn Runtime>) -> Arc<Self> {
        let name = format!("{}/{}", server.topology, server.database);
        DESKS.get_or_make(&name, || Self::new(Time::of(runtime), runtime.seed()))
    }

    /// To be taken before the key is looked up.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.ended.load(Ordering::Acquire))
    }

    /// Joins the flight of a key that was missed, or begins one; without `seen` never to look again.
    pub(crate) fn join(self: &Arc<Self>, key: &Bytes, seen: Option<Seen>) -> Joined {
        let now = self.time.now();
        let place = |id, part| Place { desk: Arc::clone(self), id, part };
        self.with(|flights, _| match flights.join(key, seen, now) {
            Role::Lead(id) => Joined::Lead(place(id, Part::Leader)),
            Role::Follow(id, seat) => Joined::Follow(place(id, Part::Follower(seat))),
            Role::Again => Joined::Again,
        })
    }

    /// Whether a load may be under way: else no write has to wait for one.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }

    /// Ready once `command` may be sent. A write wins over every load of what it writes: such a
    /// load is not stored any more, and one that is being stored just now is waited for.
    pub(crate) fn poll_clear(&self, command: &Command<'_>, cx: &Context<'_>) -> Poll<()> {
        match command {
            Command::Set { key, .. } | Command::Add { key, .. } => self.clear([key.to_bytes()], cx),
            Command::SetMany { keys, .. } | Command::Delete(keys) => {
                self.clear(keys.iter().map(|key| key.to_bytes()), cx)
            }
            Command::Unlink(keys) => self.clear(keys.iter().cloned(), cx),
            Command::Clear => self.clear_all(b"", cx),
            Command::Scan { stem, cursor: 0 } => self.clear_all(stem, cx),
            Command::Scan { .. }
            | Command::Get(_)
            | Command::GetMany(_)
            | Command::Touch { .. }
            | Command::Incr { .. }
            | Command::Contains(_)
            | Command::Remaining(_)
            | Command::Ping
            | Command::Topology(_)
            | Command::ReadOnly => Poll::Ready(()),
        }
    }

    fn clear(&self, keys: impl IntoIterator<Item = Bytes>, cx: &Context<'_>) -> Poll<()> {
        self.with(|flights, _| {
            // All of them before any is waited for: no load of a later key may be stored meanwhile.
            let mut cleared = Poll::Ready(());
            for key in keys {
                let found = flights.invalidate(&key);
                if poll_end(flights, found, cx).is_pending() {
                    cleared = Poll::Pending;
                }
            }
            cleared
        })
    }

    fn clear_all(&self, stem: &[u8], cx: &Context<'_>) -> Poll<()> {
        self.with(|flights, _| {
            let found = flights.invalidate_all(stem);
            poll_end(flights, found, cx)
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Flights<Waker>, &mut Vec<Waker>) -> R) -> R {
        let mut wake = Vec::new();
        let mut flights = lock(&self.flights);
        let result = act(&mut flights, &mut wake);
        self.busy.store(!flights.is_empty(), Ordering::SeqCst);
        self.ended.store(flights.seen().0, Ordering::Release);
        drop(flights);
        wake.into_iter().for_each(Waker::wake);
        result
    }
}

fn poll_end(flights: &mut Flights<Waker>, found: Invalidated, cx: &Context<'_>) -> Poll<()> {
    match found {
        Invalidated::Storing(id) if flights.await_end(id, cx.waker().clone()) => Poll::Pending,
        Invalidated::Storing(_) | Invalidated::Clear => Poll::Ready(()),
    }
}

impl Place {
    /// A follower waits for its leader's value, or inherits the lead.
    pub(crate) fn poll_follow(&mut self, cx: &Context<'_>) -> Poll<Followed> {
        let Part::Follower(seat) = self.part else { return Poll::Ready(Followed::Lead) };
        let turn = self.desk.with(|flights, _| flights.follow(self.id, seat, cx.waker().clone()));
        match turn {
            Turn::Wait => Poll::Pending,
            Turn::Lead => {
                self.part = Part::Leader;
                Poll::Ready(Followed::Lead)
            }
            Turn::Value(value) => {
                self.part = Part::Gone;
                Poll::Ready(Followed::Value(value))
            }
        }
    }

    /// The leader shares what it loaded; answers whether it is to store it too.
    pub(crate) fn share(&mut self, value: Bytes) -> bool {
        let storing = self.desk.with(|flights, wake| flights.loaded(self.id, value, wake));
        if !storing {
            self.part = Part::Gone;
        }
        storing
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.desk.with(|flights, wake| match self.part {
            Part::Leader => flights.leave(self.id, wake),
            Part::Follower(seat) => flights.leave_seat(self.id, seat, wake),
            Part::Gone => {}
        });
    }
}

static DESKS: LazyLock<Registry<Desk>> = LazyLock::new(Registry::new);
