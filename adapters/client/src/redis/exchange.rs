//! One command's way through a pool: to a connection, to the server, and again if allowed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_caches_core::cluster::address::Address;
use async_caches_core::command::Command;
use async_caches_core::connection::Tag;
use async_caches_core::error::Refused;
use async_caches_core::reply::Answer;
use async_caches_core::retry::{self, AfterLoss, Blame, Losses};
use async_caches_core::time::Instant;
use bytes::Bytes;

use super::connection::shared::{Rejected, SharedConnection};
use super::connection::slots::Outcome;
use super::pool::acquire::Acquired;
use super::pool::state::Pool;
use super::pool::waiter::WaiterId;
use crate::error::{ConnectionFailure, Error};

/// A command under way. When dropped, it gives up its place; a later reply is discarded.
///
/// `R` is what the layer above remembers of a command that is not plain: in a cluster, its way from
/// node to node.
#[derive(Debug, Default)]
pub(crate) struct Exchange<R = ()> {
    progress: Progress,
    /// When the command times out. The response timeout begins when it is first sent or first
    /// waits.
    expires: Option<Instant>,
    /// Whether it may be sent again although it may have run, as it changes nothing.
    repeatable: bool,
    /// Empty while the command is [plain](Self::is_plain).
    past: Story<R>,
}

/// The history of a command that is not plain.
#[derive(Debug, Default)]
struct Past<R> {
    /// How often its connection ended, if the command may be the cause.
    losses: Losses,
    /// When its last connection ended.
    since: Option<Since>,
    /// Why an earlier attempt was lost, if the server may have run it.
    lost: Option<ConnectionFailure>,
    /// Whether the server's user may not run the command's script, so that it goes without.
    without_script: bool,
    /// What the layer above remembers.
    above: R,
}

/// The history of a command, if it has one. Most commands have none and pay only for the check; the
/// code that drops a history is kept apart from theirs.
#[derive(Debug, Default)]
struct Story<R>(Option<Box<Past<R>>>);

impl<R> Deref for Story<R> {
    type Target = Option<Box<Past<R>>>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<R> DerefMut for Story<R> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<R> Drop for Story<R> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(past) = self.0.take() {
            forget(past);
        }
    }
}

#[cold]
#[inline(never)]
fn forget<R>(past: Box<Past<R>>) {
    drop(past);
}

/// When a connection ended, and the cluster node that it led to.
#[derive(Clone, Debug)]
struct Since {
    at: Instant,
    node: Option<Address>,
}

#[derive(Debug, Default)]
enum Progress {
    #[default]
    Seeking,
    Waiting(Arc<Pool>, WaiterId),
    /// It may not be sent yet, for a cause outside of the pool.
    Held(Arc<Pool>, WaiterId),
    Sent(Arc<SharedConnection>, Tag),
}

impl<R: Default> Exchange<R> {
    /// Whether the command has no history of losses, redirects or waits, and no slot of its own.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        self.past.is_none()
    }

    /// Whether the command was sent and has no outcome yet.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.progress, Progress::Sent(..))
    }

    /// The cluster node that the command was sent to, if any.
    pub(crate) fn node(&self) -> Option<&Address> {
        match &self.progress {
            Progress::Sent(connection, _) => connection.node(),
            Progress::Seeking | Progress::Waiting(..) | Progress::Held(..) => None,
        }
    }

    /// When the command times out: after this `timeout`, if that is not settled yet.
    pub(crate) fn expires(&mut self, now: Instant, timeout: Duration) -> Instant {
        *self.expires.get_or_insert(now + timeout)
    }

    /// What the layer above remembers of the command, if anything.
    pub(crate) fn above(&self) -> Option<&R> {
        self.past.as_ref().map(|past| &past.above)
    }

    /// Like [`above`](Self::above), to be changed.
    pub(crate) fn above_mut(&mut self) -> Option<&mut R> {
        self.past.as_mut().map(|past| &mut past.above)
    }

    /// Like [`above_mut`](Self::above_mut), for a command that is not plain from now on.
    pub(crate) fn remember(&mut self) -> &mut R {
        &mut self.past.get_or_insert_default().above
    }

    /// Takes the reply if it is a value or its absence; `None` if it is another reply, or has not
    /// come yet.
    #[inline(always)]
    pub(crate) fn take_value(&mut self) -> Option<Option<Bytes>> {
        let Progress::Sent(connection, tag) = &self.progress else { return None };
        let value = connection.take_value(*tag)?;
        self.progress = Progress::Seeking;
        Some(value)
    }

    /// Ready with the outcome of the command that was sent, or with `None` if none was sent. An
    /// outcome that is no reply must be passed to [`unanswered`](Self::unanswered).
    #[inline(always)]
    pub(crate) fn poll_sent(&mut self, cx: &Context<'_>) -> Poll<Option<Outcome>> {
        let Progress::Sent(connection, tag) = &self.progress else { return Poll::Ready(None) };
        let outcome = ready!(connection.outcome(*tag, cx));
        if let Outcome::Answered(Ok(_)) = outcome {
            self.progress = Progress::Seeking;
        }
        Poll::Ready(Some(outcome))
    }

    /// Sends a [plain](Self::is_plain) command on a connection.
    ///
    /// # Errors
    /// Why the connection does not take it.
    #[inline(always)]
    pub(crate) fn send_plain(
        &mut self,
        connection: Arc<SharedConnection>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Result<(), Rejected> {
        let tag = connection.submit(command, &mut self.expires, cx.waker())?;
        self.sent(connection, tag, command);
        Ok(())
    }

    /// Sends the command on a connection, which is returned if it does not take the command. If
    /// `asking`, `ASKING` is sent right before it.
    fn send(
        &mut self,
        connection: Arc<SharedConnection>,
        command: &Command<'_>,
        asking: bool,
        cx: &Context<'_>,
    ) -> Result<(), (Arc<SharedConnection>, Rejected)> {
        let plain = self.without_script(command);
        let command = plain.as_ref().unwrap_or(command);
        let (suspect, expires, waker) = (self.is_suspect(), &mut self.expires, cx.waker());
        let submitted = match (suspect, asking) {
            (false, false) => connection.submit(command, expires, waker),
            (false, true) => connection.submit_asking(command, expires, waker),
            (true, false) => connection.submit_alone(command, expires, waker),
            (true, true) => connection.submit_asking_alone(command, expires, waker),
        };
        match submitted {
            Ok(tag) => self.sent(connection, tag, command),
            Err(rejected) => return Err((connection, rejected)),
        }
        Ok(())
    }

    #[inline(always)]
    fn sent(&mut self, connection: Arc<SharedConnection>, tag: Tag, command: &Command<'_>) {
        self.repeatable = retry::after_loss(command, true);
        match std::mem::replace(&mut self.progress, Progress::Sent(connection, tag)) {
            Progress::Waiting(pool, waiter) => pool.arrived(waiter, self.expires),
            Progress::Held(pool, waiter) => pool.let_go(waiter),
            Progress::Sent(..) | Progress::Seeking => {}
        }
    }

    /// Waits for something outside of the pool, which will wake the caller. Ready once the command
    /// has timed out.
    pub(crate) fn poll_held(
        &mut self,
        pool: &Arc<Pool>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        let waiter = match &self.progress {
            Progress::Held(of, waiter) if Arc::ptr_eq(of, pool) => Some(*waiter),
            Progress::Held(..) | Progress::Waiting(..) | Progress::Sent(..) | Progress::Seeking => {
                None
            }
        };
        match pool.hold(waiter, &mut self.expires, cx) {
            Acquired::Wait(held) if waiter == Some(held) => Poll::Pending,
            Acquired::Wait(held) => {
                // If its turn for a connection came meanwhile, another command gets it: the one
                // that delays this command may need it.
                self.leave();
                self.progress = Progress::Held(Arc::clone(pool), held);
                Poll::Pending
            }
            Acquired::Failed(error) => {
                pool.config.observer.failed(None, command, &error);
                Poll::Ready(self.over(error))
            }
            Acquired::Connection(_) => Poll::Ready(self.over(Error::mismatch())),
        }
    }

    /// Sends the command on a connection of the pool, or waits in its queue. Ready if it can do
    /// neither.
    pub(crate) fn poll_send(
        &mut self,
        pool: &Arc<Pool>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        self.poll_send_on(pool, command, false, cx).map(|error| self.over(error))
    }

    /// Like [`poll_send`](Self::poll_send), with `ASKING` right before the command if `asking`. An
    /// error does not give the command up: that is left to the caller.
    pub(crate) fn poll_send_on(
        &mut self,
        pool: &Arc<Pool>,
        command: &Command<'_>,
        asking: bool,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        loop {
            let waiter = self.waiter(pool);
            let alone = self.is_suspect();
            let acquired = match alone {
                false => pool.acquire(waiter, &mut self.expires, cx),
                true => {
                    let since = self.since(pool);
                    pool.acquire_alone(waiter, since, &mut self.expires, cx)
                }
            };
            let acquired = match acquired {
                Acquired::Connection(connection) => {
                    match self.send(connection, command, asking, cx) {
                        Ok(()) => return Poll::Pending,
                        // It ended just now, and will not be acquired again; or another command has
                        // taken it.
                        Err((_, Rejected::Closed)) => continue,
                        Err((_, Rejected::Full)) if alone => continue,
                        Err((connection, Rejected::Full)) => {
                            pool.queue(&connection, waiter, &mut self.expires, cx)
                        }
                        Err((_, Rejected::Refused(Refused::TooLarge { len, limit }))) => {
                            Acquired::Failed(Error::TooLarge { len, limit })
                        }
                        Err((_, Rejected::Refused(_))) => Acquired::Failed(Error::mismatch()),
                    }
                }
                acquired => acquired,
            };
            match acquired {
                Acquired::Connection(_) => {}
                Acquired::Wait(waiter) => return self.wait(pool, waiter),
                Acquired::Failed(error) => {
                    pool.config.observer.failed(None, command, &error);
                    return Poll::Ready(error);
                }
            }
        }
    }

    /// Converts an outcome of `command` that is no reply; `None` if the command must be sent again.
    #[cold]
    pub(crate) fn unanswered(
        &mut self,
        outcome: Outcome,
        command: &Command<'_>,
    ) -> Option<Result<Answer, Error>> {
        let Progress::Sent(connection, _) = std::mem::take(&mut self.progress) else { return None };
        match outcome {
            Outcome::Answered(answer) => {
                if retry::after_answer(command, &answer) {
                    return None;
                }
                if self.without_script(command).is_none() && retry::without_script(command, &answer)
                {
                    self.past.get_or_insert_default().without_script = true;
                    return None;
                }
                Some(Ok(answer))
            }
            Outcome::Refused(error) => {
                let (dialled, now) = (connection.dialled(), connection.now());
                let again = self.past.get_or_insert_default().losses.refused(dialled, now);
                (!again).then(|| Err(self.over(Error::Server(error))))
            }
            Outcome::Expired => {
                let after = connection.response_timeout();
                let error = Error::Timeout { after, may_have_run: true };
                connection.observer().failed(Some(connection.at()), command, &error);
                Some(Err(error))
            }
            Outcome::Lost { may_have_run, blame } => {
                let (source, at) = connection.why();
                let blame = if source.is_the_servers() { blame } else { Blame::Innocent };
                let past = self.past.get_or_insert_default();
                past.since = Some(Since { at, node: connection.node().cloned() });
                let ran = may_have_run || past.lost.is_some();
                if may_have_run {
                    past.lost = Some(source.clone());
                }
                match past.losses.lost(blame, may_have_run, self.repeatable) {
                    AfterLoss::Alone if blame == Blame::Suspect && command.is_divisible() => {
                        Some(Err(Error::connections_ended(command, 1, ran, source)))
                    }
                    AfterLoss::Again | AfterLoss::Alone => {
                        connection.observer().sent_again(
                            connection.at(),
                            command,
                            &source,
                            may_have_run,
                        );
                        None
                    }
                    AfterLoss::Settle => {
                        Some(Err(self.over(Error::Disconnected { may_have_run, source })))
                    }
                    AfterLoss::Fail { connections } => {
                        Some(Err(Error::connections_ended(command, connections, ran, source)))
                    }
                }
            }
        }
    }

    /// An exchange for some of this one's keys, after this one ended its connection. It has the
    /// same deadline, and is as suspect.
    #[cold]
    pub(crate) fn part(&self) -> Self {
        let since = self.past.as_ref().and_then(|past| past.since.clone());
        let lost = self.past.as_ref().and_then(|past| past.lost.clone());
        let past = Past { losses: Losses::suspected(), since, lost, ..Past::default() };
        let mut part = Self::default();
        part.expires = self.expires;
        *part.past = Some(Box::new(past));
        part
    }

    /// A connection of this pool must have been dialled at or after this time for the command to be
    /// alone on it. Connections to other nodes are unrelated to the one that ended.
    fn since(&self, pool: &Pool) -> Instant {
        let since = self.past.as_ref().and_then(|past| past.since.as_ref());
        let node = pool.config.member.as_ref().map(|member| &member.address);
        since.filter(|since| since.node.as_ref() == node).map_or(Instant::ORIGIN, |since| since.at)
    }

    /// What is sent in place of the command, if its script was refused.
    fn without_script<'c>(&self, command: &Command<'c>) -> Option<Command<'c>> {
        let refused = self.past.as_ref().is_some_and(|past| past.without_script);
        if refused { command.without_script() } else { None }
    }

    /// Whether the command must be alone on its connection.
    #[inline]
    fn is_suspect(&self) -> bool {
        self.past.as_ref().is_some_and(|past| past.losses.is_suspect())
    }

    /// Gives up. If an earlier attempt may have run, its error takes precedence over this one.
    pub(crate) fn over(&mut self, error: Error) -> Error {
        self.leave();
        match self.past.take().and_then(|past| past.lost) {
            Some(source) => Error::Disconnected { may_have_run: true, source },
            None => error,
        }
    }

    /// The place in this pool's queue, if it has one.
    fn waiter(&self, pool: &Arc<Pool>) -> Option<WaiterId> {
        match &self.progress {
            Progress::Waiting(of, waiter) if Arc::ptr_eq(of, pool) => Some(*waiter),
            Progress::Waiting(..) | Progress::Held(..) | Progress::Sent(..) | Progress::Seeking => {
                None
            }
        }
    }

    fn wait(&mut self, pool: &Arc<Pool>, waiter: WaiterId) -> Poll<Error> {
        if self.waiter(pool) != Some(waiter) {
            self.leave();
            self.progress = Progress::Waiting(Arc::clone(pool), waiter);
        }
        Poll::Pending
    }
}

impl<R> Exchange<R> {
    /// Gives up the command's place, on a connection or in a queue. If its turn has come there,
    /// another command gets it.
    #[inline(never)]
    pub(crate) fn leave(&mut self) {
        match std::mem::take(&mut self.progress) {
            Progress::Waiting(pool, waiter) => pool.leave(waiter),
            Progress::Held(pool, waiter) => pool.let_go(waiter),
            Progress::Sent(connection, tag) => connection.abandon(tag),
            Progress::Seeking => {}
        }
    }
}

impl<R> Drop for Exchange<R> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.progress, Progress::Seeking) {
            self.leave();
        }
    }
}
