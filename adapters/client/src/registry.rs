//! What caches of one process share by name, for as long as one of them uses it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use crate::sync::lock;

/// Things by name. It keeps none of them alive.
#[derive(Debug)]
pub(crate) struct Registry<T>(Mutex<BTreeMap<String, Weak<T>>>);

impl<T> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The thing of this name: the one in use, or else a new one.
    pub(crate) fn get_or_make(&self, name: String, make: impl FnOnce() -> T) -> Arc<T> {
        let mut things = lock(&self.0);
        things.retain(|_, thing| thing.strong_count() > 0);
        if let Some(thing) = things.get(&name).and_then(Weak::upgrade) {
            return thing;
        }
        let thing = Arc::new(make());
        things.insert(name, Arc::downgrade(&thing));
        thing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_shared_while_it_is_in_use_and_forgotten_afterwards() {
        let registry = Registry::new();
        let first = registry.get_or_make("a".into(), || 1);
        assert!(Arc::ptr_eq(&first, &registry.get_or_make("a".into(), || 2)));
        assert_eq!(*registry.get_or_make("b".into(), || 3), 3);
        drop(first);
        assert_eq!(*registry.get_or_make("a".into(), || 4), 4);
        assert_eq!(lock(&registry.0).len(), 1);
    }
}
