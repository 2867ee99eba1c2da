//! What one operation of each kind does with a client.

use std::fmt;

use bytes::Bytes;

use crate::cell::{BATCH, LARGE};
use crate::clients::{Client, Decodes};
use crate::dataset::Dataset;

/// One kind of operation. A task does it over and over, counting up from a place of its own.
pub(crate) trait Step<C>: Send + Sync + 'static {
    /// What there is to see of its success.
    type Outcome: PartialEq + fmt::Debug + Send;

    /// What must come of it.
    fn expected(&self) -> Self::Outcome;

    /// Does it once, with the keys of that place. Where it can be, this is the client's own future:
    /// what is around that counts as the client's.
    fn run<'s>(
        &'s self,
        client: &'s mut C,
        at: usize,
    ) -> impl Future<Output = Self::Outcome> + Send + 's;
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
    type Outcome = usize;

    fn expected(&self) -> usize {
        self.length
    }

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = usize> + Send + 's {
        client.get(&self.keys[at % self.keys.len()])
    }
}

impl<C: Client> Step<C> for Set {
    type Outcome = ();

    fn expected(&self) {}

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = ()> + Send + 's {
        client.set(&self.keys[at % self.keys.len()], &self.value)
    }
}

impl<C: Client> Step<C> for GetMany {
    type Outcome = usize;

    fn expected(&self) -> usize {
        BATCH
    }

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = usize> + Send + 's {
        client.get_many(&self.0[at % self.0.len()])
    }
}

impl<C: Client> Step<C> for Mix {
    type Outcome = ();

    fn expected(&self) {}

    async fn run(&self, client: &mut C, at: usize) {
        match at % 10 {
            9 => self.set.run(client, at).await,
            _ => assert_eq!(self.get.run(client, at).await, self.get.length),
        }
    }
}

impl<C: Decodes> Step<C> for GetJson {
    type Outcome = ();

    fn expected(&self) {}

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = ()> + Send + 's {
        client.get_json(&self.0[at % self.0.len()])
    }
}

impl<C: Decodes> Step<C> for GetOrSet {
    type Outcome = ();

    fn expected(&self) {}

    fn run<'s>(&'s self, client: &'s mut C, at: usize) -> impl Future<Output = ()> + Send + 's {
        client.get_or_set(&self.0[at % self.0.len()])
    }
}

impl<C: Client> Step<C> for GetLarge {
    type Outcome = usize;

    fn expected(&self) -> usize {
        LARGE
    }

    fn run<'s>(&'s self, client: &'s mut C, _at: usize) -> impl Future<Output = usize> + Send + 's {
        client.get(&self.0)
    }
}
