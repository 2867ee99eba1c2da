//! The requests of a workload, drawn beforehand so that choosing them costs next to nothing during
//! the measurement.

use std::time::Duration;

use bytes::Bytes;

use super::cell::Workload;
use crate::memory::caches::{SEED, Store};
use crate::memory::keys::Keys;
use crate::memory::random::Random;
use crate::memory::zipf::Zipf;

/// A sequence of requests that repeats in a loop.
pub(crate) struct Stream {
    keys: Keys,
    requests: Vec<Request>,
    timeouts: bool,
}

/// An id, and in the highest bit whether it is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request(u32);

impl Stream {
    /// The requests of a workload.
    pub(crate) fn new(keys: Keys, workload: Workload, timeouts: bool) -> Self {
        let mut random = Random::new(SEED);
        let zipf = match workload {
            Workload::Zipf | Workload::Half => Zipf::new(KEYS, SKEW, &mut random),
            Workload::Hits => Zipf::new(ROOM / 2, SKEW, &mut random),
        };
        let requests = (0..REQUESTS).map(|_| {
            let sets = workload == Workload::Half && random.next() & 1 == 1;
            Request(zipf.draw(&mut random) | if sets { SETS } else { 0 })
        });
        Self { keys, requests: requests.collect(), timeouts }
    }

    /// Brings a cache into its steady state: full, and with a history of the requests.
    pub(crate) fn warm(&self, store: &dyn Store) {
        for &request in &self.requests[..WARM] {
            self.carry_out(request, store);
        }
        store.settle();
    }

    /// The requests from this position on.
    pub(crate) fn from(&self, at: usize) -> impl Iterator<Item = Request> + '_ {
        let at = at % self.requests.len();
        self.requests[at..].iter().chain(self.requests.iter().cycle()).copied()
    }

    /// Runs a get or a set; a get that misses is followed by a set. Returns whether it was a get
    /// that hit.
    pub(crate) fn carry_out(&self, request: Request, store: &dyn Store) -> bool {
        if !request.sets() && self.get(request, store) {
            return true;
        }
        self.set(request, store);
        false
    }

    /// Gets the key. Returns whether it exists.
    pub(crate) fn get(&self, request: Request, store: &dyn Store) -> bool {
        store.get(self.keys.of(request.id())).is_some()
    }

    /// Sets the key to a new value, like one that was just loaded.
    pub(crate) fn set(&self, request: Request, store: &dyn Store) {
        let id = request.id();
        let timeout = Duration::from_millis(SHORTEST + u64::from(id & SPREAD));
        store.set(
            self.keys.of(id),
            Bytes::copy_from_slice(&VALUE),
            self.timeouts.then_some(timeout),
        );
    }
}

impl Request {
    /// Whether it is a set.
    pub(crate) fn sets(self) -> bool {
        self.0 & SETS != 0
    }

    fn id(self) -> u32 {
        self.0 & !SETS
    }
}

/// The number of keys, and the number that fit.
pub(crate) const KEYS: u32 = 1_000_000;
pub(crate) const ROOM: u32 = 100_000;
const SKEW: f64 = 0.99;
/// So many that no request repeats while a cache may still remember it.
const REQUESTS: usize = 16_000_000;
/// The number of requests after which a cache is warm.
pub(crate) const WARM: usize = 1_000_000;
const SETS: u32 = 1 << 31;
const VALUE: [u8; 64] = [b'v'; 64];
/// Timeouts are from one minute to two, in milliseconds.
const SHORTEST: u64 = 60_000;
const SPREAD: u32 = 0xFFFF;
