//! Loaders: some load, some fail, panic or hang. The ledger knows of each while it is under way.

use std::future::Future;
use std::panic::resume_unwind;
use std::time::Duration;

use crate::callers::Caller;
use crate::ledger::OpId;
use crate::world::World;

/// The behaviour of a loader.
#[derive(Clone, Copy)]
enum Manner {
    Loads,
    Fails,
    Panics,
    Hangs,
}

/// The payload of a loader's planned panic.
pub(crate) struct Planned;

impl Caller {
    /// A loader of this value, which may also fail, panic or hang.
    pub(crate) fn loader(
        &mut self,
        id: OpId,
        value: String,
    ) -> impl Future<Output = Result<String, ()>> + 'static {
        let span = Duration::from_micros(match self.random.below(4) {
            0 => 0,
            1 => self.random.below(2_000_000),
            _ => self.random.below(20_000),
        });
        let manner = match self.random.below(16) {
            0 => Manner::Fails,
            1 => Manner::Panics,
            2 => Manner::Hangs,
            _ => Manner::Loads,
        };
        let world = self.world.clone();
        async move {
            let mut loading = Loading::begin(&world, id);
            if span > Duration::ZERO {
                world.sleep_until(world.now() + span).await;
            }
            match manner {
                Manner::Loads => {
                    loading.done = true;
                    Ok(value)
                }
                Manner::Fails => Err(()),
                Manner::Panics => resume_unwind(Box::new(Planned)),
                Manner::Hangs => std::future::pending().await,
            }
        }
    }
}

/// A load under way.
struct Loading<'w> {
    world: &'w World,
    id: OpId,
    done: bool,
}

impl<'w> Loading<'w> {
    fn begin(world: &'w World, id: OpId) -> Self {
        world.with(|state| {
            state.log.add(state.now, || format!("#{id}: loads"));
            state.ledger.load_began(id);
        });
        Self { world, id, done: false }
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.world.with(|state| {
            state.log.add(state.now, || format!("#{}: loaded, {}", self.id, self.done));
            state.ledger.load_ended(self.id, self.done);
        });
    }
}
