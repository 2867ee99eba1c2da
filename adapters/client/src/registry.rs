//! Things that caches of one process share by name, for as long as one of them uses them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use crate::clock::ManualClock;
use crate::sync::lock;

/// The name of a thing for caches with this clock, or without one of their own. Caches with another
/// clock have another thing under the same name.
pub(crate) fn name_at(clock: Option<&ManualClock>, name: &str) -> String {
    match clock {
        Some(clock) => format!("{}:{name}", clock.id()),
        None => format!(":{name}"),
    }
}

/// Things by name. The registry keeps none of them alive.
///
/// A lookup costs the same however many things there are. Names of dropped things are removed in
/// passing: each lookup checks [`LOOKS`] names in turn, so at most about as many of them are left
/// as there were things in use.
#[derive(Debug)]
pub(crate) struct Registry<T>(Mutex<Things<T>>);

#[derive(Debug)]
struct Things<T> {
    by_name: HashMap<Arc<str>, Weak<T>>,
    /// Each name once, the one that was checked longest ago first.
    in_turn: VecDeque<Arc<str>>,
}

impl<T> Registry<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Things { by_name: HashMap::new(), in_turn: VecDeque::new() }))
    }

    /// Returns the thing of this name: the one in use, or else a new one.
    pub(crate) fn get_or_make(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut things = lock(&self.0);
        things.forget_some();
        let place = things.by_name.get_mut(name);
        if let Some(thing) = place.as_ref().and_then(|thing| thing.upgrade()) {
            return thing;
        }
        let thing = Arc::new(make());
        let weak = Arc::downgrade(&thing);
        if let Some(place) = place {
            *place = weak;
        } else {
            let name: Arc<str> = name.into();
            things.in_turn.push_back(Arc::clone(&name));
            things.by_name.insert(name, weak);
        }
        thing
    }
}

impl<T> Things<T> {
    /// Checks a few names, and removes those whose things are gone.
    fn forget_some(&mut self) {
        for _ in 0..LOOKS {
            let Some(name) = self.in_turn.pop_front() else { return };
            if self.by_name.get(&name).is_some_and(|thing| thing.strong_count() > 0) {
                self.in_turn.push_back(name);
            } else {
                self.by_name.remove(&name);
            }
        }
        let room = 4 * self.by_name.len().max(LOOKS);
        if self.by_name.capacity() > 2 * room {
            self.by_name.shrink_to(room);
            self.in_turn.shrink_to(room);
        }
    }
}

/// More than one, so that the names of dropped things become fewer with time.
const LOOKS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_shared_while_in_use_and_forgotten_afterwards() {
        let registry = Registry::new();
        let first = registry.get_or_make("a", || 1);
        assert!(Arc::ptr_eq(&first, &registry.get_or_make("a", || 2)));
        assert_eq!(*registry.get_or_make("b", || 3), 3);
        drop(first);
        assert_eq!(*registry.get_or_make("a", || 4), 4);
        assert_eq!(lock(&registry.0).by_name.len(), 1);
    }

    /// Looks at a thing cannot be counted, so the turns are: a look moves a name to the end or
    /// removes it.
    #[test]
    fn a_lookup_visits_two_names_in_a_registry_of_any_size() {
        let registry = Registry::new();
        let kept: Vec<_> =
            (0..1000).map(|number| registry.get_or_make(&format!("{number}"), || number)).collect();
        let order = || lock(&registry.0).in_turn.iter().cloned().collect::<Vec<_>>();
        for name in ["7", "new", "999"] {
            let before = order();
            let thing = registry.get_or_make(name, || 0);
            let after = order();
            assert_eq!(after[..998], before[2..1000], "{name}");
            drop(thing);
        }
        drop(kept);
    }

    #[test]
    fn names_of_dropped_items_do_not_accumulate() {
        let registry = Registry::new();
        let kept = registry.get_or_make("kept", || 0);
        let many: Vec<_> =
            (0..1000).map(|number| registry.get_or_make(&format!("{number}"), || number)).collect();
        drop(many);
        for number in 0..1100 {
            registry.get_or_make(&format!("once {number}"), || number);
        }
        let things = lock(&registry.0);
        assert!(things.by_name.len() <= 4 && things.in_turn.len() == things.by_name.len());
        assert!(things.by_name.capacity() < 100 && things.in_turn.capacity() < 100);
        assert!(things.by_name.contains_key("kept"));
        drop(kept);
    }
}
