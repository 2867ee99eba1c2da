//! Which nodes of a cluster may run a command.

use super::slot::Slot;
use crate::command::{Command, CommandKeys};

/// Which nodes a command is for.
///
/// ```
/// use async_caches_core::cluster::key_route::KeyRoute;
/// use async_caches_core::cluster::slot::Slot;
/// use async_caches_core::command::Command;
/// use async_caches_core::key::KeySpace;
///
/// let space = KeySpace::default();
/// let get = Command::Get(space.scope(None)?.key(b"user:1"));
/// assert_eq!(KeyRoute::of(&get), KeyRoute::Slot(Slot::of(b"::user:1")));
/// assert_eq!(KeyRoute::of(&Command::Clear), KeyRoute::EveryMaster);
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyRoute {
    /// The node that serves this slot.
    Slot(Slot),
    /// The nodes that serve several slots: no server accepts the command whole, so it must be
    /// [split](super::split::Split).
    Several,
    /// Every master, each by itself: the command is for all keys, or for all keys of a node.
    EveryMaster,
    /// Any node.
    Any,
}

impl KeyRoute {
    /// The route of a command. Costs a hash of each key.
    #[must_use]
    pub fn of(command: &Command<'_>) -> Self {
        match command.keys() {
            CommandKeys::One(key) => Self::Slot(Slot::of_key(&key)),
            CommandKeys::Many(keys) => Self::of_slots(keys.iter().map(|key| Slot::of_key(&key))),
            CommandKeys::Whole(keys) => Self::of_slots(keys.iter().map(|key| Slot::of(key))),
            CommandKeys::Stem(_) | CommandKeys::All => Self::EveryMaster,
            CommandKeys::None => Self::Any,
        }
    }

    fn of_slots(mut slots: impl Iterator<Item = Slot>) -> Self {
        match slots.next() {
            None => Self::Any,
            Some(first) if slots.all(|slot| slot == first) => Self::Slot(first),
            Some(_) => Self::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::command::TopologyForm;
    use crate::key::{KeySpace, Names};
    use crate::ttl::Expiry;

    #[test]
    fn a_command_is_routed_by_its_keys() {
        let space = KeySpace::default();
        let scope = space.scope(None).unwrap();
        let names = |names: &[&str]| names.iter().collect::<Names>();
        let (none, near, far) = (names(&[]), names(&["{a}1", "{a}2"]), names(&["{a}1", "{b}1"]));
        let [none, near, far] = [&none, &near, &far].map(|names| scope.keys(names));
        let here = KeyRoute::Slot(Slot::of(b"a"));
        let (key, expiry) = (scope.key(b"{a}"), Expiry::Never);
        let values = [b"::{a}1", b"::{a}2"].map(|key| Bytes::from_static(key));
        let value = &values[0];
        for (command, way) in [
            (Command::Get(key), here),
            (Command::Set { key, value, expiry }, here),
            (Command::Persist(key), here),
            (Command::GetMany(none.clone()), KeyRoute::Any),
            (Command::GetMany(near.clone()), here),
            (Command::GetMany(far.clone()), KeyRoute::Several),
            (Command::Delete(near.clone()), here),
            (Command::Delete(far.clone()), KeyRoute::Several),
            (Command::SetMany { keys: near, values: &values, expiry }, here),
            (Command::SetMany { keys: far.clone(), values: &values, expiry }, KeyRoute::Several),
            (Command::SetMany { keys: far, values: &values[..1], expiry }, here),
            (Command::Unlink(&values), here),
            (Command::Clear, KeyRoute::EveryMaster),
            (Command::Scan { stem: b"{a}", cursor: 0 }, KeyRoute::EveryMaster),
            (Command::Topology(TopologyForm::Shards), KeyRoute::Any),
            (Command::ReadOnly, KeyRoute::Any),
            (Command::Ping, KeyRoute::Any),
        ] {
            assert_eq!(KeyRoute::of(&command), way, "{command:?}");
        }
    }
}
