//! Bugs planted on purpose: the simulation has to find each of them, or it is no good.
//!
//! Without the feature `planted` there is no switch, and nothing of this is in the program. With it
//! still no bug is there, until a test says `plant`.

use crate::command::Command;

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// A command whose time is over leaves its place in the queue: later replies are shifted.
    PlaceGivenUp = 1,
    /// A push takes the place of a reply.
    PushIsAReply,
    /// What the socket has taken is not counted: what may have run is sent again.
    WritesUncounted,
    /// An idle connection never asks whether the server is there.
    NoKeepalive,
    /// A dial has all the time in the world.
    NoConnectTimeout,
    /// The next address of a name waits until the one before has failed.
    AddressesInTurn,
    /// A server that was silent on one link is waited for on the next.
    SilenceForgotten,
    /// A link is kept however old it is.
    OldLinkKept,
    /// Scripts that the server has forgotten are still called by their digests.
    ScriptsRemembered,
    /// A server that loads its data counts as ready.
    LoadingIsReady,
    /// What is added lives for ever.
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
    /// One link more than may be.
    OneLinkTooMany,
    /// A link that has ended keeps its place in the pool.
    EndedLinkCounted,
    /// A link that has idled is forgotten and not closed.
    IdleLinkLeaked,
    /// A leader that goes away leaves its followers alone.
    NobodyInherits,
    /// A write leaves loads under way alone.
    LoadBeatsDelete,
    /// A write goes past a store under way.
    StoreNotAwaited,
    /// Everybody loads.
    EverybodyLeads,
    /// A write that has waited for a store is not woken.
    WriterNotWoken,
    /// The time that a write has waited for a store is not counted.
    WriterNotTimed,
    /// A loaded value is stored for ever.
    LoadLivesForEver,
    /// An entry that cannot be read is the error of who would load it.
    UnreadableIsTold,
    /// A driver at rest does not hear of what there is to send.
    DriverNotWoken,
    /// A place that its caller has left is used again before its reply came, under the same tag.
    TagUsedAgain,
    /// Callers that wait for room are not told of it.
    RoomNotTold,
    /// A disconnect cuts what is in flight.
    DisconnectCuts,
    /// A disconnect cuts a batch, and says that it was never sent.
    BatchCut,
    /// A disconnect waits for links that have yet to be greeted.
    GreetingAwaited,
    /// A disconnect waits until its socket takes what nobody waits for.
    OutputAwaited,
    /// What failed long ago fails who comes now.
    OldTroubleKept,
    /// A link takes whatever comes.
    InFlightUnbounded,
    /// In memory, a touched key lives for ever.
    TouchIsForEver,
    /// In memory, what is added to lives for ever.
    IncrLosesTimeout,
    /// In memory, nothing makes room for what comes.
    BoundsIgnored,
    /// In memory, what has expired is seen.
    ExpiredIsSeen,
    /// In memory, what hangs in one slot of the wheel never expires.
    SlotSkipped,
    /// A server that hangs up on `HELLO` is told it again and again.
    HangUpIsFinal,
    /// Only a server that says it does not know `HELLO` is greeted in RESP2.
    HelloMustBeUnknown,
    /// In a cluster, a command goes to where its slot is being moved without `ASKING`.
    AskingDropped,
    /// In a cluster, a slot that is being moved counts as moved.
    AskRemembered,
    /// In a cluster, the map is not read again when something puts it in doubt.
    DoubtsIgnored,
    /// In a cluster, values of many keys come in the order of their slots.
    PartsMisplaced,
    /// In a cluster, what is refused for now is its caller's affair.
    RefusalsTold,
    /// In a cluster, a replica that is down is read from.
    DeadReaderKept,
    /// In a cluster, nodes are dialled wherever redirects lead, however many those are.
    RedirectsUnbounded,
    /// A lookup of many keys that is too much for a server is not halved.
    ChunksNotHalved,
    /// An error inside an array ends the connection.
    InnerErrorIsBroken,
    /// A connection whose server has forgotten who it is is kept.
    StrangersStay,
    /// Loads wait for one another in a circle.
    CirclesWait,
    /// A follower waits for as long as its leader takes.
    LoadWaitIgnored,
    /// A follower whose wait is over is not woken.
    WaitNotTimed,
    /// A command is sent again however many connections it has ended.
    PoisonRepeated,
    /// A command that may have ended its connection is sent again beside others.
    SuspectInCompany,
    /// A connection that has answered counts for nothing unless it was old.
    AnswersForgotten,
    /// A number that begins with an initial value never expires.
    CounterLivesForEver,
    /// In memory, a key is deleted whatever it holds.
    AnyValueIsDeleted,
}

/// Whether this bug is planted: never, without the feature.
#[cfg(not(feature = "planted"))]
#[inline(always)]
#[must_use]
pub const fn is(_: Bug) -> bool {
    false
}

/// Whether a bug is planted that sends this command again though it may have run.
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

    /// Plants a bug, or none, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    static PLANTED: AtomicU8 = AtomicU8::new(0);
}
