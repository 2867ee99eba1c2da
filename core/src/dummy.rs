//! The backend that keeps nothing: every read misses, every write is forgotten at once.
//!
//! It switches caching off without a condition at every call. It knows no values: whether a value
//! serializes is settled before a command exists.

use alloc::vec;
use alloc::vec::Vec;

use crate::command::Command;
use crate::error::{NumberError, ServerError};
use crate::reply::{Answer, Remaining, Reply};

/// Executes `command` as a cache that stores nothing.
///
/// # Errors
/// [`NumberError`] for [`Command::Incr`]: [`KeyNotFound`](NumberError::KeyNotFound), as for any
/// missing key, unless the command names an initial value, which the delta is then added to each
/// time. Commands about a cluster return the error of a server outside of a cluster.
pub fn execute(command: &Command<'_>) -> Answer {
    match command {
        Command::Get(_) => Ok(Reply::Value(None)),
        Command::GetMany(keys) => Ok(Reply::Values(vec![None; keys.len()])),
        Command::Set { .. } | Command::SetMany { .. } | Command::Clear | Command::Ping => {
            Ok(Reply::Done)
        }
        Command::Add { .. }
        | Command::Touch { .. }
        | Command::Persist(_)
        | Command::Contains(_)
        | Command::DeleteIf { .. } => Ok(Reply::Flag(false)),
        Command::Delete(_) | Command::Unlink(_) => Ok(Reply::Count(0)),
        Command::Scan { .. } => Ok(Reply::Scanned { cursor: 0, keys: Vec::new() }),
        Command::Incr { start: None, .. } => Err(NumberError::KeyNotFound.into()),
        Command::Incr { delta, start: Some(start), .. } => {
            Ok(Reply::Number(start.first(*delta)?.0))
        }
        Command::Remaining(_) => Ok(Reply::Remaining(Remaining::Absent)),
        Command::Topology(_) | Command::ReadOnly => Err(ServerError::no_cluster().into()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::command::Start;
    use crate::command::TopologyForm;
    use crate::key::{KeySpace, Names};
    use crate::number::Number;
    use crate::ttl::Expiry;

    #[test]
    fn dummy_replies_as_if_every_write_were_lost() {
        let space = KeySpace::default();
        let scope = space.scope(None).unwrap();
        let names: Names = ["a", "b"].into_iter().collect();
        let (key, keys) = (scope.key(b"a"), scope.keys(&names));
        let (value, expiry) = (&Bytes::from_static(b"1"), Expiry::Never);
        let values = [value.clone(), value.clone()];
        let whole = [key.to_bytes()];
        let done = [
            Command::Set { key, value, expiry },
            Command::SetMany { keys: keys.clone(), values: &values, expiry },
            Command::Clear,
            Command::Ping,
        ];
        for command in &done {
            assert_eq!(execute(command), Ok(Reply::Done), "{command:?}");
        }
        let no = [
            Command::Add { key, value, expiry },
            Command::Touch { key, expiry },
            Command::Persist(key),
            Command::Contains(key),
            Command::DeleteIf { key, value },
        ];
        for command in &no {
            assert_eq!(execute(command), Ok(Reply::Flag(false)), "{command:?}");
        }
        assert_eq!(execute(&Command::Get(key)), Ok(Reply::Value(None)));
        assert_eq!(execute(&Command::GetMany(keys.clone())), Ok(Reply::Values(vec![None, None])));
        assert_eq!(execute(&Command::Delete(keys)), Ok(Reply::Count(0)));
        assert_eq!(execute(&Command::Unlink(&whole)), Ok(Reply::Count(0)));
        assert_eq!(
            execute(&Command::Scan { stem: b":", cursor: 0 }),
            Ok(Reply::Scanned { cursor: 0, keys: vec![] })
        );
        let (delta, initial) = (Number::Integer(1), Number::Integer(40));
        let incr = Command::Incr { key, delta, start: None };
        assert_eq!(execute(&incr), Err(NumberError::KeyNotFound.into()));
        let incr = Command::Incr { key, delta, start: Some(&Start { initial, expiry }) };
        assert_eq!(execute(&incr), Ok(Reply::Number(Number::Integer(41))));
        assert_eq!(execute(&Command::Remaining(key)), Ok(Reply::Remaining(Remaining::Absent)));
        for command in [Command::Topology(TopologyForm::Shards), Command::ReadOnly] {
            assert_eq!(execute(&command), Err(ServerError::no_cluster().into()));
        }
    }
}
