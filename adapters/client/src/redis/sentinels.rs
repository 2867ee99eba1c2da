//! The pool's side of the sentinels: which is asked, what it said, and whether that is believed.
//!
//! Links are dialled to where a sentinel said that the master is, and each asks the server whether it
//! is one. Whatever goes wrong on a link puts the sentinel in doubt, which then is asked again and
//! again until a link opens ([`Watch`](async_caches_core::sentinel::Watch) has the pace). One that
//! goes on naming a server which is no master is left for the next.
//!
//! Where the master is known it stays so though all sentinels are gone: then links go on, and are
//! dialled anew, to where it was last.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use async_caches_core::error::ConnectionError;
use async_caches_core::options::Settings;
use async_caches_core::pool;
use async_caches_core::sentinel::{Event, Input, Rounds, Setup};
use async_caches_core::time::{Deadline, Instant};
use async_caches_core::url::{Endpoint, Topology};

use super::link::Closing;
use super::{Pool, State, unlock_and_wake};
use crate::error::LinkError;
use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::sync::lock;
use crate::waker::Spare;

/// The sentinels of a service, as a pool knows them.
#[derive(Debug)]
pub(super) struct Sentinels {
    rounds: Rounds,
    setup: Setup,
    /// Until when whoever connects may hope.
    first_until: Instant,
    /// For the connection to the one that is asked, while there is one.
    orders: Option<Arc<Orders>>,
    /// Whether something has gone wrong with the master since a link to it opened: whoever is asked
    /// is in doubt then.
    doubted: bool,
    /// How often in a row a server was none that should have been the master.
    denials: u32,
    /// Why one could not say who the master is, if none has said it since.
    last_error: Option<LinkError>,
}

/// What the pool tells the connection to a sentinel.
#[derive(Debug)]
pub(super) struct Orders(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Whether what it says is in doubt, where that was told since it last looked.
    doubted: Option<bool>,
    end: Option<LinkError>,
    waker: Option<Waker>,
}

impl Sentinels {
    /// Those of a server that has some, none of them asked yet.
    pub(super) fn of(
        topology: &Topology,
        settings: &Settings,
        runtime: &dyn Runtime,
    ) -> Option<Self> {
        let Topology::Sentinel(service) = topology else { return None };
        let setup = Setup {
            credentials: settings.sentinel_credentials.clone(),
            service: service.name.as_str().into(),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
        };
        Some(Self {
            rounds: Rounds::new(service.sentinels.clone(), runtime.seed()),
            setup,
            first_until: runtime.now() + settings.connect_timeout,
            orders: None,
            doubted: false,
            denials: 0,
            last_error: None,
        })
    }

    /// Until when whoever connects may hope.
    pub(super) fn first_until(&self) -> Instant {
        self.first_until
    }

    /// Whether whoever connects should wait no more: no sentinel knows the master, the master
    /// refuses us, or it has taken too long.
    pub(super) fn is_hopeless(&self, state: &State, now: Instant) -> bool {
        let unknown = state.at.is_none() && self.rounds.is_in_vain();
        let refused = state.last_error.as_ref().is_some_and(LinkError::is_refusal);
        unknown || refused || self.first_until <= now
    }

    /// Why it is not known who the master is.
    pub(super) fn why(&self) -> Option<&LinkError> {
        self.last_error.as_ref()
    }

    /// When a sentinel is to be asked.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.rounds.deadline()
    }

    /// Whether none is asked.
    pub(super) fn is_quiet(&self) -> bool {
        self.orders.is_none()
    }

    /// A link to the master has opened. Whom this answers is to be woken.
    pub(super) fn trust(&mut self) -> Option<Waker> {
        self.denials = 0;
        self.doubted = false;
        self.orders.as_ref()?.tell(|told| told.doubted = Some(false))
    }

    /// A link has ended, or could not be opened. Whom this answers is to be woken.
    pub(super) fn doubt(&mut self, error: &LinkError) -> Option<Waker> {
        match error {
            // We closed it ourselves.
            LinkError::Moved | LinkError::Closed | LinkError::RuntimeGone => return None,
            LinkError::Connection(ConnectionError::NotMaster) => self.denials += 1,
            LinkError::Io(_)
            | LinkError::Name { .. }
            | LinkError::Eof
            | LinkError::Connection(_)
            | LinkError::Credentials(_)
            | LinkError::Sentinel { .. }
            | LinkError::Node { .. }
            | LinkError::Map(_)
            | LinkError::Uncovered { .. }
            | LinkError::Crowded => {}
            #[cfg(feature = "tls")]
            LinkError::Tls(_) => {}
        }
        self.doubted = true;
        let denied = self.denials >= DENIALS;
        if denied {
            self.denials = 0;
        }
        self.orders.as_ref()?.tell(|told| match denied {
            false => told.doubted = Some(true),
            true => told.end = Some(ConnectionError::NotMaster.into()),
        })
    }

    /// None is to be asked any more. Whom this answers is to be woken.
    pub(super) fn close(&self) -> Option<Waker> {
        self.orders.as_ref()?.tell(|told| told.end = Some(LinkError::Closed))
    }
}

impl Orders {
    /// Whom this answers is to be woken.
    fn tell(&self, say: impl FnOnce(&mut Told)) -> Option<Waker> {
        let mut told = lock(&self.0);
        say(&mut told);
        told.waker.take()
    }

    /// What the connection was told since it last asked: whether it is in doubt. Its task is woken
    /// once it is told more.
    ///
    /// # Errors
    /// Why it is to end.
    pub(super) fn take(&self, cx: &Context<'_>) -> Result<Option<bool>, LinkError> {
        let mut waker = Spare::of(cx);
        let mut told = lock(&self.0);
        if let Some(why) = told.end.take() {
            return Err(why);
        }
        waker.put(&mut told.waker);
        Ok(told.doubted.take())
    }
}

impl State {
    /// Whether no sentinel could say who the master is, and none has before.
    pub(super) fn knows_no_master(&self) -> bool {
        let in_vain = |sentinels: &Sentinels| sentinels.rounds.is_in_vain();
        self.at.is_none() && self.sentinels.as_ref().is_some_and(in_vain)
    }

    /// The sentinel to ask now, what to say to it first, and what the connection to it is to be told
    /// by.
    pub(super) fn ask(&mut self, now: Instant) -> Option<(Endpoint, Setup, Arc<Orders>)> {
        let sentinels = self.sentinels.as_mut()?;
        let place = sentinels.rounds.poll(now)?;
        let told = Told { doubted: Some(sentinels.doubted), ..Told::default() };
        let orders = Arc::new(Orders(Mutex::new(told)));
        sentinels.orders = Some(Arc::clone(&orders));
        Some((place, sentinels.setup.clone(), orders))
    }
}

impl Pool {
    /// A sentinel has said something.
    pub(super) fn heard(&self, at: &Endpoint, event: Event) {
        let now = self.now();
        let mut state = lock(&self.state);
        let Some(sentinels) = &mut state.sentinels else { return };
        match event {
            Event::Polled => {
                drop(state);
                return self.witness.sentinel_polled(at);
            }
            Event::Sentinels(others) => sentinels.rounds.handle(Input::Named(others), now),
            Event::Master(place) => {
                sentinels.rounds.handle(Input::Answered, now);
                sentinels.last_error = None;
                if state.at.as_ref() != Some(&place) && !state.closed {
                    return self.moved(state, &place, now);
                }
            }
        }
        unlock_and_wake(state);
    }

    /// The master is another one: links to where it was end at once, and others are dialled.
    fn moved(&self, mut state: MutexGuard<'_, State>, place: &Endpoint, now: Instant) {
        let before = state.at.replace(place.clone());
        state.last_error = None;
        state.decisions.handle(pool::Input::Moved, now);
        if let Some(sentinels) = &mut state.sentinels {
            sentinels.denials = 0;
        }
        let open = std::mem::take(&mut state.links);
        let links: Vec<_> = open.into_iter().chain(std::mem::take(&mut state.dialling)).collect();
        self.reroute(&mut state);
        unlock_and_wake(state);
        links.iter().for_each(|(_, link)| link.close(Closing::Moved));
        if before.is_some() {
            self.witness.moved(place);
        }
    }

    /// The connection to a sentinel has ended, or could not be opened.
    pub(super) fn unwatched(&self, at: &Endpoint, error: &LinkError) {
        let now = self.now_anyhow();
        let mut orders = None;
        let mut state = lock(&self.state);
        if let Some(sentinels) = &mut state.sentinels {
            orders = sentinels.orders.take();
            sentinels.rounds.handle(Input::Ended, now);
            let source = Shared::new(error.clone());
            sentinels.last_error = Some(LinkError::Sentinel { at: at.to_string(), source });
        }
        // Who connects sees whether there is still hope.
        let woken = state.line.take_waiting();
        let wanted = !state.closed;
        unlock_and_wake(state);
        drop(orders);
        if wanted {
            self.witness.sentinel_lost(at, error);
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

/// How often in a row a sentinel may name a server that is no master.
const DENIALS: u32 = 3;
