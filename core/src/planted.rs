//! Bugs planted on purpose. The simulation must find each of them, or it is no good.
//!
//! Without the feature `planted` the program contains no bug and no switch. With it, no bug is
//! active until a test calls `plant`.

use crate::command::Command;

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// A command that times out gives up its place in the queue: later replies are shifted.
    PlaceGivenUp = 1,
    /// A push takes the place of a reply.
    PushIsAReply,
    /// Bytes that the socket has taken are not counted: a command that may have run is sent again.
    WritesUncounted,
    /// An idle connection never asks whether the server is there.
    NoKeepalive,
    /// A dial has no timeout.
    NoConnectTimeout,
    /// The next address of a name waits until the one before has failed.
    AddressesInTurn,
    /// A server that was silent on one connection is waited for on the next.
    SilenceForgotten,
    /// A connection is kept however old it is.
    OldLinkKept,
    /// Scripts that the server has forgotten are still called by their digests.
    ScriptsRemembered,
    /// A server that is loading its data counts as ready.
    LoadingIsReady,
    /// An added value lives for ever.
    AddLivesForEver,
    /// A set is sent again though it may have run.
    SetReplayed,
    /// An increment is sent again though it may have run.
    IncrReplayed,
    /// A delete is sent again though it may have run.
    DeleteReplayed,
    /// Every delay before a dial is the longest.
    NoJitter,
    /// There is no delay before a dial.
    NoBackoff,
    /// The pool opens one connection more than its limit.
    OneLinkTooMany,
    /// A connection that has ended keeps its place in the pool.
    EndedLinkCounted,
    /// A connection that has idled is forgotten and not closed.
    IdleLinkLeaked,
    /// A leader that goes away leaves its followers without a new one.
    NobodyInherits,
    /// A write does not invalidate loads under way.
    LoadBeatsDelete,
    /// A write does not wait for a store under way.
    StoreNotAwaited,
    /// Every caller leads a load of its own.
    EverybodyLeads,
    /// A write that waits for a store is not woken.
    WriterNotWoken,
    /// The time that a write waits for a store is not counted.
    WriterNotTimed,
    /// A loaded value is stored for ever.
    LoadLivesForEver,
    /// An entry that cannot be read fails the caller that would load it.
    UnreadableIsTold,
    /// A driver at rest is not woken for new commands.
    DriverNotWoken,
    /// A slot whose caller has left is used again before its reply arrives, under the same tag.
    TagUsedAgain,
    /// Callers that wait for room are not woken when there is some.
    RoomNotTold,
    /// A disconnect cuts off commands in flight.
    DisconnectCuts,
    /// A disconnect cuts off a batch, and reports that it was never sent.
    BatchCut,
    /// A disconnect waits for connections that have yet to be greeted.
    GreetingAwaited,
    /// A disconnect waits until its socket takes output that no caller waits for.
    OutputAwaited,
    /// A failure of long ago fails new callers.
    OldTroubleKept,
    /// A connection accepts any number of commands in flight.
    InFlightUnbounded,
    /// In memory, a touched key lives for ever.
    TouchIsForEver,
    /// In memory, a number that is added to lives for ever.
    IncrLosesTimeout,
    /// In memory, no entry is evicted to make room.
    BoundsIgnored,
    /// In memory, expired entries are visible.
    ExpiredIsSeen,
    /// In memory, the entries of one slot of the wheel never expire.
    SlotSkipped,
    /// A server that hangs up on `HELLO` is sent it again and again.
    HangUpIsFinal,
    /// Only a server that reports `HELLO` as unknown is greeted in RESP2.
    HelloMustBeUnknown,
    /// A server that refuses to name a connection is not used.
    NameIsNeeded,
    /// Callers that come before the first connection wait for it after its dial has failed.
    FirstDialAwaited,
    /// A cache that was to connect outside of a runtime never connects.
    OutsideIsConnecting,
    /// A pool whose runtime is gone is not opened again.
    GoneRuntimeKept,
    /// In a cluster, a command goes to the node that imports its slot without `ASKING`.
    AskingDropped,
    /// In a cluster, a slot that is being moved counts as moved.
    AskRemembered,
    /// In a cluster, the map is not read again when it is in doubt.
    DoubtsIgnored,
    /// In a cluster, the values of many keys come in the order of their slots.
    PartsMisplaced,
    /// In a cluster, a temporary refusal is returned to the caller.
    RefusalsTold,
    /// In a cluster, a replica that is down is read from.
    DeadReaderKept,
    /// In a cluster, redirects lead to new nodes without limit.
    RedirectsUnbounded,
    /// A lookup of many keys that is too large for a server is not halved.
    ChunksNotHalved,
    /// An error inside an array ends the connection.
    InnerErrorIsBroken,
    /// A connection whose server has forgotten the client's credentials is kept.
    StrangersStay,
    /// Loads wait for one another in a circle.
    CirclesWait,
    /// A follower waits for its leader without a timeout.
    LoadWaitIgnored,
    /// A follower whose wait has timed out is not woken.
    WaitNotTimed,
    /// A command is sent again however many connections it has ended.
    PoisonRepeated,
    /// A command that may have ended its connection is sent again among others.
    SuspectInCompany,
    /// Replies on a connection count for nothing unless it was old.
    AnswersForgotten,
    /// A number that begins with an initial value never expires.
    CounterLivesForEver,
    /// In memory, a conditional delete ignores the value.
    AnyValueIsDeleted,
}

/// Whether this bug is planted: never, without the feature.
#[cfg(not(feature = "planted"))]
#[inline(always)]
#[must_use]
pub const fn is(_: Bug) -> bool {
    false
}

/// Whether a planted bug sends this command again though it may have run.
pub(crate) fn is_replayed(command: &Command<'_>) -> bool {
    let set = is(Bug::SetReplayed) && matches!(command, Command::Set { .. });
    let incr = is(Bug::IncrReplayed) && matches!(command, Command::Incr { .. });
    let delete = is(Bug::DeleteReplayed) && matches!(command, Command::Delete(_));
    set || incr || delete
}

#[cfg(feature = "planted")]
pub use self::switch::{is, plant};

#[cfg(feature = "planted")]
mod switch {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    /// Whether this bug is planted.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }

    /// Plants a bug, or removes it, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    static PLANTED: AtomicU8 = AtomicU8::new(0);
}
