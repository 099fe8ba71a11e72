//! From replay to a new run: what the ring's files are now, and the first checkpoint, after which the run counts.

use std::collections::BTreeMap;

use heddle_model::ReplicaNumber;

use crate::format::ENTRY_BYTES;
use crate::journal::{Journal, Restating, Stage};
use crate::record::{Body, Record};
use crate::replay::Replay;
use crate::report::Recovered;
use crate::ring::{Ring, Slot, SlotState};
use crate::story::Finished;

/// Numbers that a run leaves unused after the highest frame seen: more than can have been in flight unseen.
const NUMBERS_SKIPPED: u64 = 64;

impl Journal {
    /// Replay is done.
    pub(crate) fn start(&mut self, mut replay: Replay, slots: BTreeMap<u32, Slot>, sync_failed: bool) {
        if let Some(id) = replay.id() {
            self.writer.id = id;
        }
        self.writer.run = replay.highest.run + 1;
        self.writer.next_sequence = replay.highest.file + 1;
        let (fence, sum) = replay.last.unwrap_or((0, None));
        let highest = replay.highest.frame.max(fence);
        self.writer.next_number = if highest == 0 { 1 } else { highest + NUMBERS_SKIPPED };
        self.writer.known = fence;
        self.writer.known_sum = sum.unwrap_or(0);
        self.writer.previous = replay.newest;
        self.ring = Ring::new(&self.config, self.sort_slots(&replay, slots));
        self.take_stories(&mut replay);
        self.decide_restating(sync_failed);
        self.stage = Stage::Starting;
    }

    /// Files that replay needed stay until the new run counts; all other files of this journal may be overwritten.
    fn sort_slots(&self, replay: &Replay, mut slots: BTreeMap<u32, Slot>) -> BTreeMap<u32, Slot> {
        let uses: BTreeMap<u32, u64> = replay.uses().collect();
        for (number, slot) in &mut slots {
            let needed = uses.get(number).filter(|file| replay.chain.contains(file));
            slot.state = match needed {
                Some(file) => SlotState::Live(*file),
                None if replay.foreign.contains(number) => SlotState::Foreign,
                // Removed when the new run counts, which remembers the damage.
                None if replay.hidden.contains(number) => SlotState::Retired(0),
                None if slot.len == 0 || replay.blank.contains(number) => SlotState::Unready,
                None => SlotState::Ready,
            };
        }
        slots
    }

    fn take_stories(&mut self, replay: &mut Replay) {
        let mut recovered =
            Recovered { id: self.writer.id, replicas: BTreeMap::new(), report: std::mem::take(&mut replay.report) };
        let doubt = !recovered.report.damage.is_empty();
        for (replica, mut story) in std::mem::take(&mut replay.stories) {
            story.shadow.damaged |= !replay.hidden.is_empty();
            match story.finish(doubt) {
                Finished::Known { shadow, recovered: found, cut } => {
                    self.lanes.open(replica, shadow.ordinal);
                    self.repin(replica, None, shadow.pins());
                    self.shadows.insert(replica, *shadow);
                    if let Some(to) = cut {
                        // Batches behind a hole do not come back, whatever replay starts from next time.
                        let lines = found.state.history.len();
                        self.lanes.push(replica, Body::Record(Record::Truncate { to, lines }));
                    }
                    recovered.replicas.insert(replica, *found);
                }
                Finished::Unknown(shadow) => {
                    // It stays unknown, in later lives too, until it is restated or gone.
                    self.lanes.open(replica, shadow.ordinal);
                    self.shadows.insert(replica, *shadow);
                    recovered.report.unknown.push(replica);
                }
                Finished::Never => {}
            }
        }
        self.writer.misses = recovered.report.may_miss_replicas;
        self.writer.siblings = recovered.report.siblings;
        self.recovered = Some(recovered);
    }

    /// With little of the ring free, and if they fit, all tails are stated anew in the first file: then every other file
    /// is free, and restarts, each of which begins a file, do not use the ring up. Likewise if the newest file could not
    /// be synced.
    fn decide_restating(&mut self, sync_failed: bool) {
        if sync_failed {
            self.restating = Restating::Must;
            return;
        }
        let scarce = self.ring.ready() <= 1 && self.ring.is_full_grown();
        let Some(recovered) = self.recovered.as_ref().filter(|_| scarce) else { return };
        let batches = recovered.replicas.values().flat_map(|replica| &replica.tail);
        let bytes: usize = batches.map(|batch| batch.bytes.len() + ENTRY_BYTES).sum();
        if (bytes as u64) < self.config.file_bytes / 2 {
            self.restating = Restating::ToSaveSpace;
        }
    }

    /// The batches that the opening states for a replica.
    pub(crate) fn tail_to_state(&self, replica: ReplicaNumber) -> impl Iterator<Item = Body> {
        let found = self.recovered.as_ref().filter(|_| self.is_restating());
        let tail = found.and_then(|recovered| recovered.replicas.get(&replica)).map(|found| found.tail.as_slice());
        tail.unwrap_or_default().iter().cloned().map(Body::ShadowBatch)
    }

    pub(crate) fn is_restating(&self) -> bool {
        self.restating != Restating::No && matches!(self.stage, Stage::Starting)
    }

    /// The opening of file `sequence` was planned; if it states all tails, they stand there and nowhere else.
    pub(crate) fn state_tails(&mut self, sequence: u64) {
        if !self.is_restating() {
            return;
        }
        let Some(recovered) = &self.recovered else { return };
        self.pins.clear();
        for (replica, shadow) in &mut self.shadows {
            shadow.forget_extents();
            for batch in recovered.replicas.get(replica).map_or(&[][..], |found| &found.tail) {
                shadow.add_extent(batch, sequence);
            }
            if let Some(file) = shadow.pins() {
                self.pins.entry(file).or_default().insert(*replica);
            }
        }
    }

    /// The current file counts now; if it is the run's first, the run does.
    pub(crate) fn on_opened(&mut self) {
        if matches!(self.stage, Stage::Starting) {
            self.stage = Stage::Running;
            self.ring.starting = false;
        }
    }
}
