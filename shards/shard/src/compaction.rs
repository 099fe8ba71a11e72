//! Whose segments are compacted next: one replica of a core at a time, the one in the deepest debt first (trap 21).

use std::collections::BTreeMap;

use heddle_model::Mono;

use crate::turn::Shard;

/// A round that failed, or could not begin, is tried again after this. Milliseconds.
const RETRY_MS: u64 = 60_000;
/// The map of keys takes at most this part of the core's memory, and never more than this. Bytes.
const MEMORY_PART: usize = 16;
const MAP_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What a core with so much memory gives to a map of keys.
pub fn map_bytes_limit(memory: usize) -> usize {
    (memory / MEMORY_PART).min(MAP_BYTES_MAX)
}

#[derive(Default)]
pub struct Compaction {
    /// Slot of the replica whose round is under way.
    running: Option<usize>,
    seats: BTreeMap<usize, Seat>,
    rounds: u64,
    failures: u64,
    /// Memory of the map of keys, and the most that one took so far. Bytes.
    map_bytes: usize,
    map_bytes_max: usize,
}

/// A replica that has something to compact, as of its last visit.
#[derive(Clone, Copy, Default)]
struct Seat {
    dirty_bytes: u64,
    ratio: f64,
    is_due: bool,
    not_before: Mono,
}

impl Compaction {
    /// Bytes of closed segments that wait.
    pub fn dirty_bytes(&self) -> u64 {
        self.seats.values().map(|seat| seat.dirty_bytes).sum()
    }

    /// Rounds ended, and how many of them failed.
    pub fn rounds(&self) -> (u64, u64) {
        (self.rounds, self.failures)
    }

    /// Memory that the map of keys takes now.
    pub fn map_bytes(&self) -> usize {
        self.map_bytes
    }

    /// The most that a map of keys took so far.
    pub fn map_bytes_max(&self) -> usize {
        self.map_bytes_max
    }

    /// Whoever sat there is removed.
    pub fn forget(&mut self, slot: usize) {
        self.seats.remove(&slot);
        if self.running == Some(slot) {
            (self.running, self.map_bytes) = (None, 0);
        }
    }

    fn next(&self, now: Mono) -> Option<usize> {
        let due = self.seats.iter().filter(|(_, seat)| seat.is_due && seat.not_before <= now);
        due.max_by(|(_, one), (_, other)| one.ratio.total_cmp(&other.ratio)).map(|(slot, _)| *slot)
    }
}

impl Shard {
    /// A replica's housekeeping came around: ask what it has to compact.
    pub(crate) fn weigh_compaction(&mut self, slot: usize) {
        let now = self.now;
        let debt = self.replicas[slot].as_deref_mut().map(|replica| replica.compaction_debt(now)).unwrap_or_default();
        if debt.dirty_bytes == 0 {
            self.compaction.seats.remove(&slot);
            return;
        }
        let seat = self.compaction.seats.entry(slot).or_default();
        (seat.dirty_bytes, seat.ratio, seat.is_due) = (debt.dirty_bytes, debt.ratio(), debt.is_due);
    }

    /// Take note of a round that has ended, and give its memory back to the cache. Called when work comes back, which ends a
    /// round with a large map, and with the housekeeping.
    pub(crate) fn end_compaction(&mut self) {
        let Some(slot) = self.compaction.running else { return };
        if self.replicas[slot].as_ref().is_some_and(|replica| replica.is_compacting()) {
            return;
        }
        let failed = self.replicas[slot].as_ref().is_some_and(|replica| replica.compaction_failed());
        self.compaction.running = None;
        self.compaction.map_bytes = 0;
        self.compaction.rounds += 1;
        self.compaction.failures += u64::from(failed);
        self.weigh_compaction(slot);
        if failed {
            self.put_off_compaction(slot);
        }
    }

    /// Begin the next round once the one before has ended. Called with the housekeeping, about once a second.
    pub(crate) fn advance_compaction(&mut self) {
        self.end_compaction();
        if self.compaction.running.is_some() || self.stop.is_asked() {
            return;
        }
        let Some(slot) = self.compaction.next(self.now.mono) else { return };
        let map_bytes = map_bytes_limit(self.config.memory);
        let mut began = false;
        self.with_replica(slot, |replica, world| began = replica.compact(map_bytes, world));
        if began {
            let taken = self.replicas[slot].as_ref().map_or(0, |replica| replica.key_map_bytes());
            self.compaction.running = Some(slot);
            self.compaction.map_bytes = taken;
            self.compaction.map_bytes_max = self.compaction.map_bytes_max.max(taken);
            self.budget.touch(slot);
        } else {
            self.weigh_compaction(slot);
            self.put_off_compaction(slot);
        }
    }

    fn put_off_compaction(&mut self, slot: usize) {
        if let Some(seat) = self.compaction.seats.get_mut(&slot) {
            seat.not_before = self.now.mono.plus_ms(RETRY_MS);
        }
    }
}
