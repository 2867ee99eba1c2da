//! One shard: a small store of its own, with every operation on one key.
//!
//! The caller passes in a key's hash and the time. The shard's clock never runs backwards: an
//! operation with an earlier time than a change before it uses the later time. An entry stored at
//! `t` for a timeout of `d` has expired when `now >= t + d`, and from then on no operation sees it.
//! Its memory is freed a little later: every operation that may change something first does a few
//! steps of the timing wheel's work, and removes the expired entries that these steps find.
//!
//! Lookups change nothing but the count of an entry's uses, so any number of them may run at once.
//!
//! Bounds hold at any time, as an entry takes its [`Room`] first. If there is no room, a write
//! removes expired entries, and then the entries that the policy chooses. But if the shard holds
//! less than its part, the write changes nothing and returns [`NoRoom::Crowded`], so that other
//! shards can [`shed`](Shard::shed) entries before it is tried again. An entry that alone is larger
//! than all the room is refused: it is not stored, no other entry makes room for it, and the old
//! value of its key is removed, as it would be stale.
//!
//! A value of more than an eighth of the room is weighed first, by the store that holds all shards,
//! against the entries that it would displace. Each shard reports its entries [in
//! use](Shard::in_use), and how often a key was requested since its value was refused.
//!
//! A shard knows no lock, and drops neither keys nor values: they go to the [`Graveyard`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::body::{Body, Own};
use super::bounds::Bounds;
use super::entry::{Entry, size};
use super::graveyard::Graveyard;
use super::hash::{Hashed, Print};
use super::policy::{EvictionPolicy, Rank};
use super::room::{Footprint, Room};
use super::slab::{Id, Moved, Slab};
use super::stats::{Cause, Changes, Stats};
use super::table::Table;
use super::wheel::{Step, Timer, Wheel};
use crate::command::Start;
use crate::error::NumberError;
use crate::number::Number;
use crate::reply::Remaining;
use crate::time::{Deadline, Instant};
use crate::ttl::Expiry;

/// One of the parts of a store. Not thread-safe by itself.
///
/// The fields that a lookup reads come first, as most of them then share cache lines with the lock
/// in front of the shard.
///
/// The example of [`Shards`](super::Shards) makes a store of several. A single one:
///
/// ```
/// use async_caches_core::memory::{Seed, Shard};
/// use async_caches_core::time::Instant;
///
/// let (seed, shard) = (Seed::new(42), Shard::new(Some(1_000), None));
/// assert_eq!(shard.get(seed.hash(b"::user:1"), || Instant::ORIGIN), None);
/// assert_eq!(shard.stats().entries, 0);
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Shard {
    table: Table,
    slab: Slab<Entry>,
    now: Instant,
    policy: EvictionPolicy,
    wheel: Wheel,
    changes: Changes,
    bytes: u64,
    room: Arc<Room>,
}

/// Why there is no room. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoRoom {
    /// For this much more: other shards hold entries that should be evicted first.
    Crowded(Footprint),
    /// For a value with this many unproven bytes. It is so large that other entries are evicted for
    /// it only once that was [granted](Grant).
    Unweighed(u64),
}

/// Whether other entries are evicted for a value of more than an eighth of the room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grant {
    NotYet,
    /// Yes, as few of them are in use.
    Cheap,
    /// Yes, as the value's key was requested again and again.
    Wanted,
}

/// How much a shard has evicted for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shed {
    None,
    Some,
    /// So much that there is room now.
    Enough,
}

/// How far a shard evicts entries of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Yield {
    /// Down to its part of the room.
    Fairly,
    /// Without such a limit.
    Fully,
}

impl Shard {
    /// Creates a shard that holds at most this many entries and bytes; `None` means no bound.
    #[must_use]
    pub fn new(max_entries: Option<u64>, max_bytes: Option<u64>) -> Self {
        Self::sharing(Arc::new(Room::new(Bounds { max_entries, max_bytes }, 1)))
    }

    /// Creates one of the shards that share this room.
    pub(super) fn sharing(room: Arc<Room>) -> Self {
        Self {
            table: Table::new(),
            slab: Slab::new(),
            now: Instant::ORIGIN,
            policy: EvictionPolicy::new(room.entries_of_a_shard(), outsized(&room)),
            wheel: Wheel::new(),
            changes: Changes::default(),
            bytes: 0,
            room,
        }
    }

    /// The shard's counters and its content, without the counters of lookups.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (entries, bytes) = (u64::from(self.slab.len()), self.bytes);
        self.changes.stats() + Stats { entries, bytes, ..Stats::default() }
    }

    /// Returns the value of a key, shared with the shard. `now` is called only if the key has a
    /// timeout.
    #[inline]
    pub fn get(&self, key: Hashed<'_>, now: impl Fn() -> Instant) -> Option<Bytes> {
        match self.look(key, now) {
            Some(entry) => {
                self.policy.hit(&entry.rank);
                Some(entry.body.share())
            }
            None => {
                self.policy.miss(key.print.0);
                None
            }
        }
    }

    /// Whether a key exists. Does not count as a use of it.
    pub fn contains(&self, key: Hashed<'_>, now: Instant) -> bool {
        self.look(key, || now).is_some()
    }

    /// How long a key has left, rounded up to whole milliseconds. Does not count as a use of it.
    pub fn remaining(&self, key: Hashed<'_>, now: Instant) -> Remaining {
        match self.look(key, || now) {
            None => Remaining::Absent,
            Some(entry) if entry.timer.at == Instant::MAX => Remaining::Forever,
            Some(entry) => {
                let nanos = entry.timer.at.since(self.now.max(now)).as_nanos();
                let millis = u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX);
                Remaining::For(Duration::from_millis(millis))
            }
        }
    }

    /// Stores a value, over any old one. Returns whether it was stored: `false` if it is too large,
    /// and then the old value is removed.
    pub(super) fn insert(
        &mut self,
        key: Hashed<'_>,
        value: &Own<'_>,
        expiry: Expiry,
        turn: &mut WriteContext<'_>,
    ) -> Result<bool, NoRoom> {
        let found = self.find(key, turn.now, turn.dead);
        let fits = self.fits(size(key.whole, value.bytes()));
        match found {
            Some(id) if fits => {
                self.replace(id, value, turn)?;
                self.start_timer(id, expiry);
            }
            Some(id) => self.remove_entry(id, Cause::Evicted, turn.dead),
            None if fits => self.place(key, value, expiry, turn)?,
            None => {}
        }
        if !fits {
            self.changes.refused();
        }
        Ok(fits)
    }

    /// Stores a value if the key is absent. Returns whether it was stored: `false` if the key
    /// exists, or if the value is too large.
    pub(super) fn insert_if_absent(
        &mut self,
        key: Hashed<'_>,
        value: &Own<'_>,
        expiry: Expiry,
        turn: &mut WriteContext<'_>,
    ) -> Result<bool, NoRoom> {
        if self.find(key, turn.now, turn.dead).is_some() {
            return Ok(false);
        }
        let fits = self.fits(size(key.whole, value.bytes()));
        if fits {
            self.place(key, value, expiry, turn)?;
        } else {
            self.changes.refused();
        }
        Ok(fits)
    }

    /// Counts a value as refused because no room could be made for it, and removes the old value of
    /// its key.
    pub(super) fn refuse(&mut self, key: Hashed<'_>, now: Instant, dead: &mut Graveyard) {
        let found = self.find(key, now, dead);
        let uses = found.map_or(0, |id| self.uses(id));
        if let Some(id) = found {
            self.remove_entry(id, Cause::Evicted, dead);
        }
        self.policy.refuse(key.print.0, uses);
        self.changes.refused();
    }

    /// The load of the entries that were requested lately and have not expired. Looks at every
    /// entry, in the order in which they lie in memory, but not at their keys and values.
    pub(super) fn in_use(&self, now: Instant) -> Footprint {
        let now = self.now.max(now);
        let used = |entry: &&Entry| entry.rank.uses() > 0 && !entry.timer.is_due(now);
        self.slab.iter().filter(used).fold(Footprint { entries: 0, bytes: 0 }, |sum, entry| {
            Footprint { entries: sum.entries + 1, bytes: sum.bytes.saturating_add(entry.size()) }
        })
    }

    /// Whether a value of this many bytes may displace other entries, if all shards together have
    /// `in_use`. It may if it displaces few, or if its key was requested once for each eighth of
    /// the room that it takes beyond the first.
    pub(super) fn grant(&self, key: Hashed<'_>, bytes: u64, in_use: Footprint) -> Grant {
        let uses = self.entry_of(key).map_or(0, |(id, _)| self.uses(id));
        let asks = usize::from(self.policy.asks(key.print.0).max(uses));
        if asks >= self.room.further_parts(bytes) {
            Grant::Wanted
        } else if self.room.displaces_few(bytes, in_use) {
            Grant::Cheap
        } else {
            Grant::NotYet
        }
    }

    /// The number of bytes that are missing to make room for `load`.
    pub(super) fn lacks(&self, load: Footprint) -> u64 {
        self.room.lacks(load)
    }

    /// Evicts entries to make room for `more` in another shard: up to `part`, and, if the turn
    /// yields fairly, only while this shard holds more than its part of the room.
    pub(super) fn shed(
        &mut self,
        more: Footprint,
        part: Footprint,
        turn: &mut WriteContext<'_>,
    ) -> Shed {
        self.enter(turn.now, turn.dead);
        let (mut shed, mut left) = (0, part);
        let mut steps = STEPS_PER_OPERATION;
        while !self.room.has(more) {
            if self.expires(&mut steps, Id::NONE, turn.dead) {
                continue;
            }
            let goes_on = (left.entries > 0 || left.bytes > 0)
                && (turn.yields == Yield::Fully
                    || self.room.is_over_its_part(self.of_its_part(), more));
            let before = self.bytes;
            let weight = self.weight(left.bytes);
            let victim =
                goes_on.then(|| self.policy.victim(&mut self.slab, Id::NONE, weight)).flatten();
            let Some(id) = victim else { return if shed > 0 { Shed::Some } else { Shed::None } };
            self.remove_entry(id, Cause::Evicted, turn.dead);
            shed += 1;
            left.entries = left.entries.saturating_sub(1);
            left.bytes = left.bytes.saturating_sub(before.saturating_sub(self.bytes));
        }
        Shed::Enough
    }

    /// Removes a key. Returns whether it existed.
    pub fn remove(&mut self, key: Hashed<'_>, now: Instant, dead: &mut Graveyard) -> bool {
        let found = self.find(key, now, dead);
        if let Some(id) = found {
            self.remove_entry(id, Cause::Removed, dead);
        }
        found.is_some()
    }

    /// Removes a key if it holds this value. Returns whether it did.
    pub(super) fn remove_if(
        &mut self,
        key: Hashed<'_>,
        value: &[u8],
        now: Instant,
        dead: &mut Graveyard,
    ) -> bool {
        let found = self
            .find(key, now, dead)
            .filter(|id| self.slab.get(*id).is_some_and(|entry| *entry.body.value() == *value));
        if let Some(id) = found {
            self.remove_entry(id, Cause::Removed, dead);
        }
        found.is_some()
    }

    /// Gives a key a new timeout, from now on. Returns whether the key existed.
    pub fn touch(
        &mut self,
        key: Hashed<'_>,
        expiry: Expiry,
        now: Instant,
        dead: &mut Graveyard,
    ) -> bool {
        let found = self.find(key, now, dead);
        if let Some(id) = found {
            self.note_use(id);
            self.start_timer(id, expiry);
        }
        found.is_some()
    }

    /// Adds to a number; the key keeps its timeout. If the sum's text makes the entry too large,
    /// the sum is returned and the entry is removed. An absent key begins with `start`, if that is
    /// given.
    ///
    /// # Errors
    /// [`NumberError`]; the value is then unchanged.
    pub(super) fn incr(
        &mut self,
        key: Hashed<'_>,
        delta: Number,
        start: Option<&Start>,
        turn: &mut WriteContext<'_>,
    ) -> Result<Result<Number, NumberError>, NoRoom> {
        let found = self.find(key, turn.now, turn.dead);
        let Some((id, entry)) = found.and_then(|id| Some((id, self.slab.get(id)?))) else {
            let Some(start) = start else { return Ok(Err(NumberError::KeyNotFound)) };
            let (first, text) = match start.first(delta) {
                Ok(both) => both,
                Err(error) => return Ok(Err(error)),
            };
            turn.grant = Grant::Cheap;
            self.insert(key, &Own::of(&text), start.expiry, turn)?;
            return Ok(Ok(first));
        };
        let (sum, text) = match delta.add_to(entry.body.value()) {
            Ok(both) => both,
            Err(error) => return Ok(Err(error)),
        };
        if self.fits(size(key.whole, &text)) {
            // A number is too short to displace many entries.
            turn.grant = Grant::Cheap;
            self.replace(id, &Own::of(&text), turn)?;
        } else {
            self.remove_entry(id, Cause::Evicted, turn.dead);
            self.changes.refused();
        }
        Ok(Ok(sum))
    }

    /// One step through the keys that begin with `stem`: appends some to `keys`, and returns the
    /// start of the next step, or `None` once all have been seen.
    ///
    /// A walk begins at zero. It sees every key that exists from its beginning to its end exactly
    /// once, however the tables change meanwhile. It may or may not see keys that are added or
    /// removed meanwhile.
    pub fn scan(
        &mut self,
        stem: &[u8],
        from: u32,
        now: Instant,
        dead: &mut Graveyard,
        keys: &mut Vec<Bytes>,
    ) -> Option<u32> {
        self.enter(now, dead);
        let (mut from, mut looked) = (from, 0);
        for _ in 0..SCAN_BUCKETS {
            let next = self.table.walk(from, |id| {
                looked += 1;
                let entry = self.slab.get(id).filter(|entry| !entry.timer.is_due(self.now));
                // The bucket may have been merged with one that the walk has already visited.
                let entry = entry.filter(|entry| entry.rank.hash.reverse_bits() >= from);
                if let Some(entry) = entry.filter(|entry| entry.body.key().starts_with(stem)) {
                    keys.push(Bytes::copy_from_slice(entry.body.key()));
                }
            });
            from = next?;
            if looked >= SCAN_ENTRIES {
                break;
            }
        }
        Some(from)
    }

    /// Removes all entries, in one move; they are dropped with the graveyard.
    pub fn clear(&mut self, now: Instant, dead: &mut Graveyard) {
        self.now = self.now.max(now);
        self.changes.went(u64::from(self.slab.len()), Cause::Removed);
        self.wheel = Wheel::new();
        self.policy = EvictionPolicy::new(self.room.entries_of_a_shard(), outsized(&self.room));
        self.room.give(self.held());
        self.bytes = 0;
        self.hand_out_storage(dead);
    }

    /// Frees memory of expired entries, a bounded part of it. [`deadline`](Self::deadline) reports
    /// when there is more to do.
    pub fn sweep(&mut self, now: Instant, dead: &mut Graveyard) {
        self.now = self.now.max(now);
        self.reclaim(SWEEP_STEPS, dead);
    }

    /// When [`sweep`](Self::sweep) will next have work. Changes with any operation; a time that
    /// has passed means that there is work left now.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.wheel.next().map(|at| Deadline { at, why: "entries may have expired" })
    }

    /// How many numbers of entries and how many buckets there are.
    #[cfg(test)]
    pub(super) fn table_sizes(&self) -> (u32, u32) {
        (self.slab.extent(), self.table.buckets())
    }

    fn enter(&mut self, now: Instant, dead: &mut Graveyard) {
        self.now = self.now.max(now);
        self.reclaim(STEPS_PER_OPERATION, dead);
    }

    fn find(&mut self, key: Hashed<'_>, now: Instant, dead: &mut Graveyard) -> Option<Id> {
        self.enter(now, dead);
        let (id, entry) = self.entry_of(key)?;
        if entry.timer.is_due(self.now) {
            self.remove_entry(id, Cause::Expired, dead);
            return None;
        }
        Some(id)
    }

    /// The entry of a key, unless it has expired. Changes nothing, so an expired entry stays in
    /// place.
    #[inline]
    fn look(&self, key: Hashed<'_>, now: impl Fn() -> Instant) -> Option<&Entry> {
        let (_, entry, due) = self.search(key, |entry| {
            entry.timer.at != Instant::MAX && entry.timer.is_due(now().max(self.now))
        })?;
        (!due).then_some(entry)
    }

    fn entry_of(&self, key: Hashed<'_>) -> Option<(Id, &Entry)> {
        let (id, entry, ()) = self.search(key, |_| ())?;
        Some((id, entry))
    }

    /// The entry of a key, and the result of `glance` for it. `glance` is called before keys are
    /// compared, so that it computes the time while the processor fetches the cache line of the
    /// key.
    #[inline]
    fn search<T>(&self, key: Hashed<'_>, glance: impl Fn(&Entry) -> T) -> Option<(Id, &Entry, T)> {
        self.table.find(key.print, |id| {
            let entry = self.slab.get(id).filter(|entry| entry.rank.hash == key.print.0)?;
            let glance = glance(entry);
            (*entry.body.key() == *key.whole).then_some((id, entry, glance))
        })
    }

    fn note_use(&self, id: Id) {
        if let Some(entry) = self.slab.get(id) {
            self.policy.hit(&entry.rank);
        }
    }

    /// Stores an absent key, with a value that fits.
    fn place(
        &mut self,
        key: Hashed<'_>,
        value: &Own<'_>,
        expiry: Expiry,
        turn: &mut WriteContext<'_>,
    ) -> Result<(), NoRoom> {
        let size = size(key.whole, value.bytes());
        let load = Footprint { entries: 1, bytes: size };
        self.take_room(load, Id::NONE, size, turn)?;
        let id = self.slab.insert(Entry {
            body: Body::new(key.whole, value),
            timer: Timer::NEVER,
            rank: Rank::new(key.print.0),
        });
        self.table.insert(key.print, id, print_of(&self.slab));
        self.changes.came();
        self.bytes = self.bytes.saturating_add(size);
        let weight = self.weight(size);
        self.policy.insert(&mut self.slab, id, weight);
        self.settle(id, turn.grant);
        self.start_timer(id, expiry);
        Ok(())
    }

    /// Gives an entry another value that fits.
    fn replace(
        &mut self,
        id: Id,
        value: &Own<'_>,
        turn: &mut WriteContext<'_>,
    ) -> Result<(), NoRoom> {
        let Some(entry) = self.slab.get(id) else { return Ok(()) };
        let (old, new) = (entry.size(), size(entry.body.key(), value.bytes()));
        if new != old {
            let more = Footprint { entries: 0, bytes: new.saturating_sub(old) };
            let unproven = if entry.rank.uses() > 0 { more.bytes } else { new };
            self.take_room(more, id, unproven, turn)?;
            self.room.give(Footprint { entries: 0, bytes: old.saturating_sub(new) });
            self.bytes = self.bytes.saturating_sub(old).saturating_add(new);
            let weight = self.weight(new);
            self.policy.reweigh(&mut self.slab, id, weight);
            self.settle(id, turn.grant);
        }
        if let Some(entry) = self.slab.get_mut(id) {
            let body = Body::new(entry.body.key(), value);
            turn.dead.bury(core::mem::replace(&mut entry.body, body));
            self.policy.hit(&entry.rank);
        }
        Ok(())
    }

    /// Treats a large value that was requested before it was stored as one that was used.
    fn settle(&mut self, id: Id, grant: Grant) {
        if grant == Grant::Wanted {
            self.policy.promote(&mut self.slab, id);
        }
    }

    fn uses(&self, id: Id) -> u8 {
        self.slab.get(id).map_or(0, |entry| entry.rank.uses())
    }

    fn remove_entry(&mut self, id: Id, cause: Cause, dead: &mut Graveyard) {
        self.remove_sparing(id, Id::NONE, cause, dead);
    }

    /// Removes an entry. Afterwards a few other entries may have new numbers, but not `spared`.
    fn remove_sparing(&mut self, id: Id, spared: Id, cause: Cause, dead: &mut Graveyard) {
        self.wheel.stop(&mut self.slab, id);
        self.policy.remove(&mut self.slab, id);
        let Some(entry) = self.slab.remove(id) else { return };
        self.table.remove(Print(entry.rank.hash), id, print_of(&self.slab));
        if cause != Cause::Evicted {
            self.policy.forget(entry.rank.hash);
        }
        self.changes.went(1, cause);
        let bytes = entry.size();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.room.give(Footprint { entries: 1, bytes });
        dead.bury(entry.body);
        self.tighten(spared, dead);
    }

    /// Shrinks the tables along with the number of entries, by a few steps.
    fn tighten(&mut self, spared: Id, dead: &mut Graveyard) {
        for _ in 0..MOVES_PER_REMOVAL {
            if !self.slab.is_sparse() || self.slab.last() == spared {
                break;
            }
            let Some(Moved { from, to }) = self.slab.shrink() else { continue };
            let print = print_of(&self.slab)(to);
            self.table.rename(print, from, to);
            self.policy.moved(&mut self.slab, to);
            self.wheel.moved(&mut self.slab, to);
        }
        if let Some(slots) = self.slab.trim() {
            dead.bury_slots(slots);
        }
        if let Some(buckets) = self.table.trim() {
            dead.bury_buckets(buckets);
        }
    }

    fn hand_out_storage(&mut self, dead: &mut Graveyard) {
        let table = core::mem::replace(&mut self.table, Table::new());
        dead.bury_storage(table, core::mem::replace(&mut self.slab, Slab::new()));
    }

    fn start_timer(&mut self, id: Id, expiry: Expiry) {
        let at = match expiry {
            Expiry::Never => Instant::MAX,
            // A timeout past the end of time is cut to it, and stays a timeout.
            Expiry::Millis(millis) => {
                (self.now + Duration::from_millis(millis.get())).min(LAST_DEADLINE)
            }
        };
        self.wheel.start(&mut self.slab, id, at);
    }

    /// Takes room for `load`, and evicts entries for it, other than `spared`. Of its bytes
    /// `unproven` are of a value that was not requested yet.
    fn take_room(
        &mut self,
        load: Footprint,
        spared: Id,
        unproven: u64,
        turn: &mut WriteContext<'_>,
    ) -> Result<(), NoRoom> {
        let WriteContext { yields, grant, ref mut dead, .. } = *turn;
        let mut steps = STEPS_PER_OPERATION;
        while !self.take(load) {
            if grant == Grant::NotYet && self.room.is_large(unproven) {
                return Err(NoRoom::Unweighed(unproven));
            }
            if self.expires(&mut steps, spared, dead) {
                continue;
            }
            if (yields == Yield::Fully || self.makes_way(load))
                && let Some(id) = self.victim(load, spared)
            {
                self.remove_sparing(id, spared, Cause::Evicted, dead);
            } else {
                return Err(NoRoom::Crowded(load));
            }
        }
        Ok(())
    }

    /// Does one step of the wheel's work, and takes it off `steps` unless it removed an expired
    /// entry. Returns `false` if no steps are left.
    fn expires(&mut self, steps: &mut u32, spared: Id, dead: &mut Graveyard) -> bool {
        if *steps == 0 {
            return false;
        }
        match self.wheel.step(&mut self.slab, self.now) {
            Step::Expired(id) => self.remove_sparing(id, spared, Cause::Expired, dead),
            Step::Moved => *steps -= 1,
            Step::Idle => *steps = 0,
        }
        true
    }

    fn victim(&mut self, load: Footprint, spared: Id) -> Option<Id> {
        let weight = self.weight(load.bytes);
        self.policy.victim(&mut self.slab, spared, weight)
    }

    #[inline]
    fn take(&self, load: Footprint) -> bool {
        let is_full = self.slab.len().saturating_add(load.entries) > Id::LIMIT;
        !is_full && self.room.take(load)
    }

    /// Whether the shard should make room by itself: if it holds its part of what is short, or as
    /// many entries as it can number.
    fn makes_way(&self, load: Footprint) -> bool {
        self.slab.len() >= Id::LIMIT || self.room.makes_way(self.of_its_part(), load)
    }

    /// The shard's whole load.
    fn held(&self) -> Footprint {
        Footprint { entries: self.slab.len(), bytes: self.bytes }
    }

    /// Whether an entry of `size` would fit into an empty store.
    fn fits(&self, size: u64) -> bool {
        self.room.fits(size)
    }

    fn weight(&self, size: u64) -> u64 {
        if self.room.bounds_bytes() { size.div_ceil(GRAIN) } else { 1 }
    }

    /// The load that counts towards the shard's part of the room. Large proven entries do not
    /// count, as they would make it evict all others.
    fn of_its_part(&self) -> Footprint {
        let proven = self.policy.proven().saturating_mul(GRAIN);
        Footprint { entries: self.slab.len(), bytes: self.bytes.saturating_sub(proven) }
    }

    fn reclaim(&mut self, steps: u32, dead: &mut Graveyard) {
        for _ in 0..steps {
            match self.wheel.step(&mut self.slab, self.now) {
                Step::Idle => return,
                Step::Moved => {}
                Step::Expired(id) => self.remove_entry(id, Cause::Expired, dead),
            }
        }
    }
}

/// The weight from which on an entry takes a large part of a shard's room: half of it.
fn outsized(room: &Room) -> u64 {
    room.bytes_of_a_shard().map_or(u64::MAX, |bytes| bytes / 2 / GRAIN)
}

/// The prints of the entries of a slab, by their numbers.
fn print_of(slab: &Slab<Entry>) -> impl Fn(Id) -> Print {
    |id| Print(slab.get(id).map_or(0, |entry| entry.rank.hash))
}

/// The context of an operation that may evict entries.
#[derive(Debug)]
pub(super) struct WriteContext<'a> {
    pub(super) now: Instant,
    pub(super) yields: Yield,
    pub(super) grant: Grant,
    pub(super) dead: &'a mut Graveyard,
}

/// How much of the wheel's work an operation does on the side: twice what one timer can make.
const STEPS_PER_OPERATION: u32 = 16;
/// So few that no caller waits for long: a step may touch half a dozen cache lines.
const SWEEP_STEPS: u32 = 64;
/// One step of a scan ends after this many buckets or entries, whichever is first.
const SCAN_BUCKETS: u32 = 64;
const SCAN_ENTRIES: u32 = 256;
/// How many numbers of entries are given up per removal, from tables that have become too large:
/// more than two, so that they keep up.
const MOVES_PER_REMOVAL: u32 = 4;
/// The number of bytes per unit of weight, if bytes are bounded.
const GRAIN: u64 = 64;
const LAST_DEADLINE: Instant = Instant::from_nanos(u64::MAX - 1);
