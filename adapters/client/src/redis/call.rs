//! One command's way through a pool: to a link, to the server, and again where it may.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::connection::Tag;
use async_caches_core::error::Refused;
use async_caches_core::reply::Answer;
use async_caches_core::retry;
use async_caches_core::time::Instant;

use super::link::Shared;
use super::slots::Outcome;
use super::{Acquired, Pool, Redis, Ticket};
use crate::error::{Error, LinkError};

/// A command under way. Dropped, it gives up its place; the reply, if one comes, is thrown away.
#[derive(Debug)]
pub(crate) struct Call {
    pool: Arc<Pool>,
    expires: Instant,
    /// Why an earlier attempt was lost, where the server may have run that.
    lost: Option<LinkError>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Seeking(Option<Ticket>),
    Sent(Arc<Shared>, Tag),
    Over,
}

impl Call {
    /// A call whose response timeout runs from now.
    pub(crate) fn new(redis: &Redis) -> Self {
        let pool = Arc::clone(&redis.pool);
        let expires = pool.now() + pool.response_timeout();
        Self { pool, expires, lost: None, stage: Stage::Seeking(None) }
    }

    /// Ready with what became of `command`, which must be the same in every poll. Never later than
    /// the response timeout, as far as the task is polled when woken.
    pub(crate) fn poll(
        &mut self,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Result<Answer, Error>> {
        loop {
            match &mut self.stage {
                Stage::Over => return Poll::Ready(Err(Error::mismatch())),
                Stage::Seeking(ticket) => {
                    let link = match self.pool.acquire(ticket, self.expires, cx) {
                        Acquired::Link(link) => link,
                        Acquired::Wait => return Poll::Pending,
                        Acquired::Failed(error) => return self.over(error),
                    };
                    match link.submit(command, self.expires, cx.waker()) {
                        Ok(tag) => {
                            self.leave();
                            self.stage = Stage::Sent(link, tag);
                            return Poll::Pending;
                        }
                        // It ended just now, and will not be acquired again.
                        Err(Refused::NotOpen) => {}
                        Err(Refused::TooLarge { len, limit }) => {
                            return self.over(Error::TooLarge { len, limit });
                        }
                        Err(_) => return self.over(Error::mismatch()),
                    }
                }
                Stage::Sent(link, tag) => {
                    let outcome = ready!(link.outcome(*tag, cx));
                    let why = matches!(outcome, Outcome::Lost { .. }).then(|| link.why());
                    self.stage = Stage::Over;
                    match outcome {
                        Outcome::Answered(answer) if retry::after_answer(&answer) => {
                            self.stage = Stage::Seeking(None);
                        }
                        Outcome::Answered(answer) => return Poll::Ready(Ok(answer)),
                        Outcome::Expired => {
                            let after = self.pool.response_timeout();
                            return Poll::Ready(Err(Error::Timeout { after, may_have_run: true }));
                        }
                        Outcome::Lost { may_have_run } => {
                            let source = why.unwrap_or(LinkError::Closed);
                            if may_have_run {
                                self.lost = Some(source.clone());
                            }
                            if !retry::after_loss(command, may_have_run) {
                                return self.over(Error::Disconnected { may_have_run, source });
                            }
                            self.stage = Stage::Seeking(None);
                        }
                    }
                }
            }
        }
    }

    /// Gives up. What an earlier attempt may have done goes before why this one failed.
    fn over(&mut self, error: Error) -> Poll<Result<Answer, Error>> {
        self.leave();
        Poll::Ready(Err(match self.lost.take() {
            Some(source) => Error::Disconnected { may_have_run: true, source },
            None => error,
        }))
    }

    fn leave(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Seeking(Some(ticket)) => self.pool.forget(ticket),
            Stage::Sent(link, tag) => link.abandon(tag),
            Stage::Seeking(None) | Stage::Over => {}
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.leave();
    }
}
