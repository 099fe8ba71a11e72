//! When a partition's closed segments may be compacted, and with what. The log does it, the house says whose turn it is.

use std::collections::BTreeSet;

use heddle_border::Product;
use heddle_log::{Debt, Output};
use heddle_model::{Now, Offset};

use crate::replica::{Replica, Stage, World};

impl Replica {
    /// Bytes that wait to be compacted, and whether it is time. Nothing while the replica is not loaded.
    pub fn compaction_debt(&mut self, now: Now) -> Debt {
        if !self.may_compact() {
            return Debt::default();
        }
        let (upto, settings) = (self.final_end(), self.settings.clone());
        self.log.compaction_debt(now, upto, &settings)
    }

    /// Begin a round with `map_bytes` of memory for the map of keys. Returns whether one began.
    pub fn compact(&mut self, map_bytes: usize, world: &mut World<'_>) -> bool {
        if !self.may_compact() || !self.settings.cleanup_compact {
            return false;
        }
        let live: BTreeSet<Offset> =
            self.producers.iter_sorted().filter_map(|(_, producer)| producer.batches.back().map(|b| b.base)).collect();
        let (upto, settings) = (self.final_end(), self.settings.clone());
        let mut outputs = Vec::new();
        let began = self.log.compact(world.now, upto, &settings, live, map_bytes, world.effects, &mut outputs);
        self.take_outputs(outputs, world);
        began
    }

    pub fn is_compacting(&self) -> bool {
        self.log.is_compacting()
    }

    /// Memory that the round under way holds for its map of keys. Bytes.
    pub fn key_map_bytes(&self) -> usize {
        self.log.key_map_bytes()
    }

    /// The last round failed; another may do better.
    pub fn compaction_failed(&self) -> bool {
        self.log.compaction_failed()
    }

    fn may_compact(&self) -> bool {
        self.stage == Stage::Ready && !self.damaged && self.is_alone()
    }

    /// With other members tombstones would have to wait until all have cleaned past them (trap 32).
    pub(crate) fn is_alone(&self) -> bool {
        let config = self.group.config();
        config.voters.len() == 1 && config.learners.is_empty()
    }

    /// Committed, and of no transaction that may still abort.
    fn final_end(&self) -> Offset {
        self.last_stable().min(self.group.commit())
    }

    pub(crate) fn on_log_worked(&mut self, work: u32, result: Option<Product>, world: &mut World<'_>) {
        let mut outputs: Vec<Output> = Vec::new();
        self.log.on_worked(work, result, world.effects, &mut outputs);
        self.take_outputs(outputs, world);
    }
}
