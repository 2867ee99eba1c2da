//! The simulation works: it finds every one of many bugs that are planted in core and client.
#![allow(clippy::print_stderr, reason = "how soon each was found is worth knowing")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_caches_core::planted::{Bug, plant};
use async_caches_simulation::{Space, run_in};

/// Every bug that shows with one server, or with the store in memory.
const BUGS: [Bug; 55] = [
    Bug::PlaceGivenUp,
    Bug::PushIsAReply,
    Bug::WritesUncounted,
    Bug::NoKeepalive,
    Bug::NoConnectTimeout,
    Bug::AddressesInTurn,
    Bug::SilenceForgotten,
    Bug::OldLinkKept,
    Bug::ScriptsRemembered,
    Bug::LoadingIsReady,
    Bug::AddLivesForEver,
    Bug::SetReplayed,
    Bug::IncrReplayed,
    Bug::DeleteReplayed,
    Bug::NoJitter,
    Bug::NoBackoff,
    Bug::OneLinkTooMany,
    Bug::EndedLinkCounted,
    Bug::IdleLinkLeaked,
    Bug::NobodyInherits,
    Bug::LoadBeatsDelete,
    Bug::StoreNotAwaited,
    Bug::EverybodyLeads,
    Bug::WriterNotWoken,
    Bug::WriterNotTimed,
    Bug::LoadLivesForEver,
    Bug::UnreadableIsTold,
    Bug::DriverNotWoken,
    Bug::TagUsedAgain,
    Bug::RoomNotTold,
    Bug::DisconnectCuts,
    Bug::BatchCut,
    Bug::GreetingAwaited,
    Bug::OutputAwaited,
    Bug::OldTroubleKept,
    Bug::InFlightUnbounded,
    Bug::TouchIsForEver,
    Bug::IncrLosesTimeout,
    Bug::BoundsIgnored,
    Bug::ExpiredIsSeen,
    Bug::SlotSkipped,
    Bug::PoisonRepeated,
    Bug::SuspectInCompany,
    Bug::AnswersForgotten,
    Bug::ChunksNotHalved,
    Bug::InnerErrorIsBroken,
    Bug::StrangersStay,
    Bug::HangUpIsFinal,
    Bug::HelloMustBeUnknown,
    Bug::NameIsNeeded,
    Bug::FirstDialAwaited,
    Bug::OutsideIsConnecting,
    Bug::GoneRuntimeKept,
    Bug::CounterLivesForEver,
    Bug::AnyValueIsDeleted,
];

/// Every bug that shows only with a cluster.
const BUGS_OF_CLUSTERS: [Bug; 7] = [
    Bug::AskingDropped,
    Bug::AskRemembered,
    Bug::DoubtsIgnored,
    Bug::PartsMisplaced,
    Bug::RefusalsTold,
    Bug::DeadReaderKept,
    Bug::RedirectsUnbounded,
];

/// Every bug of loads that wait for loads.
const BUGS_OF_LOADS: [Bug; 4] =
    [Bug::CirclesWait, Bug::LoadWaitIgnored, Bug::WaitNotTimed, Bug::NobodyInherits];

#[test]
fn every_planted_bug_is_found() {
    let all = BUGS.into_iter().map(|bug| (Space::Server, bug));
    let all = all.chain(BUGS_OF_CLUSTERS.into_iter().map(|bug| (Space::Cluster, bug)));
    let all = all.chain(BUGS_OF_LOADS.into_iter().map(|bug| (Space::Loads, bug)));
    // Set this variable to try one bug alone.
    let only = std::env::var("PLANTED_BUG").ok();
    let all = all.filter(|(_, bug)| only.as_ref().is_none_or(|only| *only == format!("{bug:?}")));
    let missed: Vec<_> = all.filter(|(space, bug)| !is_found(*space, *bug)).collect();
    plant(None);
    assert!(missed.is_empty(), "within {SEEDS} seeds nobody found {missed:?}");
}

fn is_found(space: Space, bug: Bug) -> bool {
    plant(Some(bug));
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS.min(found.load(Ordering::Relaxed)) {
                        break;
                    }
                    if let Some(failure) = run_in(space, seed, false).failure
                        && found.fetch_min(seed, Ordering::Relaxed) > seed
                    {
                        eprintln!("{bug:?}: seed {seed}: {failure}");
                    }
                }
            });
        }
    });
    found.into_inner() < SEEDS
}

const SEEDS: u64 = 10_000;
