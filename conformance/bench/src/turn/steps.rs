//! What one operation of each kind does with a client.

use bytes::Bytes;

use crate::cell::{BATCH, LARGE};
use crate::clients::{Client, Decodes};
use crate::dataset::Dataset;

/// One kind of operation. A task does it over and over, counting up from a place of its own.
pub(crate) trait Step<C>: Send + Sync + 'static {
    /// Does it once, with the keys of that place.
    fn run(&self, client: &mut C, at: usize) -> impl Future<Output = ()> + Send;
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

/// A hit, decoded.
pub(crate) struct GetJson(Vec<String>);

/// A hit by `get_or_set`, decoded.
pub(crate) struct GetOrSet(Vec<String>);

/// A `GET` of the large value.
pub(crate) struct GetLarge(String);

impl Get {
    pub(crate) fn new<C: Client>(data: &Dataset) -> Self {
        Self { keys: data.keys_after(C::STEM), length: data.value.len() }
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

impl GetLarge {
    pub(crate) fn new<C: Client>() -> Self {
        let own = Dataset::LARGE_KEY.strip_prefix(C::STEM);
        Self(own.expect("all begin so").to_owned())
    }
}

impl<C: Client> Step<C> for Get {
    async fn run(&self, client: &mut C, at: usize) {
        let length = client.get(&self.keys[at % self.keys.len()]).await;
        assert_eq!(length, self.length, "the length of a value");
    }
}

impl<C: Client> Step<C> for Set {
    async fn run(&self, client: &mut C, at: usize) {
        client.set(&self.keys[at % self.keys.len()], &self.value).await;
    }
}

impl<C: Client> Step<C> for GetMany {
    async fn run(&self, client: &mut C, at: usize) {
        let hits = client.get_many(&self.0[at % self.0.len()]).await;
        assert_eq!(hits, BATCH, "hits");
    }
}

impl<C: Client> Step<C> for Mix {
    async fn run(&self, client: &mut C, at: usize) {
        match at % 10 {
            9 => self.set.run(client, at).await,
            _ => self.get.run(client, at).await,
        }
    }
}

impl<C: Decodes> Step<C> for GetJson {
    async fn run(&self, client: &mut C, at: usize) {
        client.get_json(&self.0[at % self.0.len()]).await;
    }
}

impl<C: Decodes> Step<C> for GetOrSet {
    async fn run(&self, client: &mut C, at: usize) {
        client.get_or_set(&self.0[at % self.0.len()]).await;
    }
}

impl<C: Client> Step<C> for GetLarge {
    async fn run(&self, client: &mut C, _at: usize) {
        assert_eq!(client.get(&self.0).await, LARGE, "the length of the large value");
    }
}
