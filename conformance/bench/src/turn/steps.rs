//! The operations that a client runs, one type for each kind.

use bytes::Bytes;

use crate::cell::{BATCH, LARGE};
use crate::clients::{Client, Decodes};
use crate::dataset::Dataset;

/// One kind of operation. A task repeats it, counting up from its own position.
pub(crate) trait Step<C>: Send + Sync + 'static {
    /// The result of the operation.
    type Reply: Send;

    /// Runs it once, with the keys at position `at`.
    fn run<'s>(
        &'s self,
        client: &'s mut C,
        at: usize,
    ) -> impl Future<Output = Self::Reply> + Send + 's;

    /// Panics unless the result is the expected one.
    fn check(&self, reply: &Self::Reply);
}

/// `GET`.
pub(crate) struct Get {
    keys: Vec<String>,
    length: usize,
}

/// `SET` with a timeout.
pub(crate) struct Set {
    keys: Vec<String>,
    value: Bytes,
}

/// `MGET`.
pub(crate) struct GetMany(Vec<Vec<String>>);

/// Nine `GET`s, then a `SET`.
pub(crate) struct Mix {
    get: Get,
    set: Set,
}

/// A get that hits, decoded.
pub(crate) struct GetJson(Vec<String>);

/// A `get_or_set` that hits, decoded.
pub(crate) struct GetOrSet(Vec<String>);

impl Get {
    pub(crate) fn new<C: Client>(data: &Dataset) -> Self {
        Self { keys: data.keys_after(C::STEM), length: data.value.len() }
    }

    /// Gets the large value only.
    pub(crate) fn large<C: Client>() -> Self {
        let own = Dataset::LARGE_KEY.strip_prefix(C::STEM);
        Self { keys: vec![own.expect("all begin so").to_owned()], length: LARGE }
    }
}

impl Set {
    pub(crate) fn new<C: Client>(data: &Dataset) -> Self {
        Self { keys: data.keys_after(C::STEM), value: data.value.clone() }
    }
}

impl GetMany {
    pub(crate) fn new<C: Client>(data: &Dataset) -> Self {
        Self(data.batches_after(C::STEM))
    }
}

impl Mix {
    pub(crate) fn new<C: Client>(data: &Dataset) -> Self {
        Self { get: Get::new::<C>(data), set: Set::new::<C>(data) }
    }
}

impl GetJson {
    pub(crate) fn new<C: Client>(data: &Dataset) -> Self {
        Self(data.keys_after(C::STEM))
    }
}

impl GetOrSet {
    pub(crate) fn new<C: Client>(data: &Dataset) -> Self {
        Self(data.keys_after(C::STEM))
    }
}

impl<C: Client> Step<C> for Get {
    type Reply = C::Value;

    fn run<'s>(
        &'s self,
        client: &'s mut C,
        at: usize,
    ) -> impl Future<Output = Self::Reply> + Send + 's {
        client.get(&self.keys[at % self.keys.len()])
    }

    fn check(&self, reply: &Self::Reply) {
        assert_eq!(C::len(reply), self.length);
    }
}

impl<C: Client> Step<C> for Set {
    type Reply = ();

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = ()> + Send + 's {
        client.set(&self.keys[at % self.keys.len()], &self.value)
    }

    fn check(&self, (): &()) {}
}

impl<C: Client> Step<C> for GetMany {
    type Reply = usize;

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = usize> + Send + 's {
        client.get_many(&self.0[at % self.0.len()])
    }

    fn check(&self, reply: &usize) {
        assert_eq!(*reply, BATCH);
    }
}

impl<C: Client> Step<C> for Mix {
    type Reply = ();

    async fn run(&self, client: &mut C, at: usize) {
        match at % 10 {
            9 => self.set.run(client, at).await,
            _ => Step::<C>::check(&self.get, &self.get.run(client, at).await),
        }
    }

    fn check(&self, (): &()) {}
}

impl<C: Decodes> Step<C> for GetJson {
    type Reply = ();

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = ()> + Send + 's {
        client.get_json(&self.0[at % self.0.len()])
    }

    fn check(&self, (): &()) {}
}

impl<C: Decodes> Step<C> for GetOrSet {
    type Reply = ();

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = ()> + Send + 's {
        client.get_or_set(&self.0[at % self.0.len()])
    }

    fn check(&self, (): &()) {}
}
