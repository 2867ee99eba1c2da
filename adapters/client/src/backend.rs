//! The three backends behind one call.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::dummy;
use async_caches_core::reply::{Answer, Reply};

use crate::cache::Cache;
use crate::error::Error;
use crate::flights::Desk;
use crate::memory::Store;
use crate::redis::{self, Redis};

/// A backend in use.
#[derive(Debug)]
pub(crate) enum Backend {
    Dummy,
    Memory(Arc<Store>),
    Redis { redis: Redis, desk: Arc<Desk> },
}

impl Backend {
    /// Where callers meet who load the same key; the dummy shares nothing.
    pub(crate) fn desk(&self) -> Option<&Arc<Desk>> {
        match self {
            Self::Dummy => None,
            Self::Memory(store) => Some(store.desk()),
            Self::Redis { desk, .. } => Some(desk),
        }
    }

    /// The same while a load may be under way there.
    fn busy_desk(&self) -> Option<Arc<Desk>> {
        self.desk().filter(|desk| desk.is_busy()).cloned()
    }
}

/// One command on its way to the cache's backend and back.
#[derive(Debug, Default)]
pub(crate) enum Call {
    /// Not sent yet.
    #[default]
    New,
    /// Not sent yet, and no load stands in its way: it is the store of one.
    Store,
    Redis(redis::Call),
}

impl Call {
    /// Ready with the reply to `command`, which must be the same in every poll and is about
    /// `name`, for errors to tell.
    pub(crate) fn poll(
        &mut self,
        cache: &Cache,
        command: &Command<'_>,
        name: &[u8],
        cx: &Context<'_>,
    ) -> Poll<Result<Reply, Error>> {
        let answer = ready!(self.answer(cache, command, cx))?;
        Poll::Ready(answer.map_err(|failure| Error::failure(name, failure)))
    }

    fn answer(
        &mut self,
        cache: &Cache,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Result<Answer, Error>> {
        if let Self::Redis(call) = self {
            return call.poll(command, cx);
        }
        let mut clear = matches!(self, Self::Store);
        loop {
            let begun = cache.with_backend(|backend| match backend.busy_desk() {
                Some(desk) if !clear => Begun::Held(desk),
                _ => match backend {
                    Backend::Dummy => Begun::Answered(dummy::execute(command)),
                    Backend::Memory(store) => Begun::Answered(store.execute(command)),
                    Backend::Redis { redis, .. } => Begun::Calling(redis::Call::new(redis)),
                },
            })?;
            match begun {
                Begun::Held(desk) => ready!(desk.poll_clear(command, cx)),
                Begun::Answered(answer) => return Poll::Ready(Ok(answer)),
                Begun::Calling(mut call) => {
                    let answer = call.poll(command, cx);
                    *self = Self::Redis(call);
                    return answer;
                }
            }
            clear = true;
        }
    }
}

/// What came of handing a command to a backend.
enum Begun {
    /// A load may be under way: it has to be asked first, outside of all locks.
    Held(Arc<Desk>),
    Answered(Answer),
    Calling(redis::Call),
}
