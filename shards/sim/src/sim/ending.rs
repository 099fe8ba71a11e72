//! The end of a run: a last life without trouble, in which everything is read, and the node comes to rest.

use super::Sim;
use crate::check::Seen;
use crate::client::Client;
use crate::client::scanner::Scanner;
use crate::plan::End;

/// Steps in which a healthy node must have done what is waited for.
const STEPS_TO_SERVE: u64 = 30_000;
const STEPS_BUSY: u64 = 500;
const STEPS_TO_DRAIN: u64 = 60_000;
const STEPS_TO_SCAN: u64 = 120_000;
const STEPS_TO_REST: u64 = 60_000;
const STEPS_TO_COMPACT: u64 = 60_000;
/// Records that follow each other after the time below: the second ends the segment of all before the first, the third closes
/// it, so that it is compacted; the fourth closes what the second began, so that there is another round, in which tombstones
/// go; and the fifth is for those of the rest.
const TOUCHES: u32 = 5;
/// Longer than what any topic here waits for: `segment.ms`, the cleaner's pause, what is short of `delete.retention.ms`.
/// Microseconds.
const COMPACT_US: u64 = 4_000_000;
/// A cleaner that asked nothing of the disk for so long has nothing to do. Microseconds.
const CLEANER_RESTS_US: u64 = 2_500_000;
/// A node at rest leaves its disk alone for this long. Microseconds.
const REST_US: u64 = 100_000;

impl Sim {
    pub(super) fn look_at_everything(&mut self, accept_loss: bool) {
        self.node.disk.heal();
        let shards = 1 + self.dice.below(4) as u16;
        self.boot(shards, 64 << 20, accept_loss);
        self.draining = true;
        if !self.wait(STEPS_TO_SERVE, "serve", |sim| sim.node.serving) {
            return;
        }
        if !accept_loss {
            // Once more everybody is busy, so that there is something to end.
            self.draining = false;
            let until = self.at + STEPS_BUSY;
            if !self.wait(STEPS_BUSY + 1, "be busy", |sim| sim.at >= until) {
                return;
            }
            self.draining = true;
        }
        if !self.wait(STEPS_TO_DRAIN, "answer", |sim| sim.clients.iter().all(Client::is_done)) {
            return;
        }
        self.checkers.see(self.at, Seen::Quiet);
        if accept_loss {
            // What was lost is lost; what is left must be sound.
            self.checkers.loss_reported = true;
        }
        if !accept_loss && !self.let_compact() {
            return;
        }
        self.clients.push(Client::new(Box::<Scanner>::default()));
        if self.wait(STEPS_TO_SCAN, "show all", |sim| sim.clients.iter().all(Client::is_done)) {
            self.checkers.see(self.at, Seen::Quiet);
            self.look_at_dirs();
            self.come_to_rest();
            self.look_at_slots();
        }
        if accept_loss && !self.is_over() {
            self.stop();
        }
    }

    /// All that stands in compacted topics now is compacted, as often as it takes; then the process dies, and the next one
    /// has only what is on the disk. Not after damage: a segment that cannot be read is not compacted.
    fn let_compact(&mut self) -> bool {
        if self.plan.keys.is_none() || self.rotted || self.checkers.loss_reported {
            return true;
        }
        for touch in 0..TOUCHES {
            self.clients.push(Client::new(Box::new(Scanner::touching(touch == 0))));
            if !self.wait(STEPS_TO_SCAN, "take a record", |sim| sim.clients.iter().all(Client::is_done)) {
                return false;
            }
            let began = self.now_us;
            let (mut since, mut operations) = (began, self.node.compacting.operations);
            let is_over = move |sim: &Sim| {
                if sim.node.compacting.operations != operations {
                    (since, operations) = (sim.now_us, sim.node.compacting.operations);
                }
                sim.now_us > began + COMPACT_US && sim.now_us > since + CLEANER_RESTS_US
            };
            if !self.wait(STEPS_TO_COMPACT, "have compacted all", is_over) {
                return false;
            }
        }
        if self.dice.chance(50) {
            self.die(End::HardCrash);
            self.boot(1 + (self.at % 3) as u16, 64 << 20, false);
            return self.wait(STEPS_TO_SERVE, "serve", |sim| sim.node.serving);
        }
        true
    }

    /// Nobody asks anything any more: then the disk must be left alone before long. A journal that restates what it holds
    /// for ever would not.
    fn come_to_rest(&mut self) {
        let (mut since, mut operations) = (self.now_us, self.node.disk_operations);
        for _ in 0..STEPS_TO_REST {
            self.step();
            if self.is_over() || self.node.failed.is_some() || self.now_us > since + REST_US {
                return;
            }
            if self.node.disk_operations != operations {
                (since, operations) = (self.now_us, self.node.disk_operations);
            }
        }
        self.checkers.fail(
            "no-stall",
            format!("a node of which nobody asks anything never rests: {operations} disk operations so far"),
        );
    }

    /// At rest nothing is left of what was asked.
    fn look_at_slots(&mut self) {
        if self.is_over() || self.node.failed.is_some() {
            return;
        }
        self.node.scrape();
        if self.wait(STEPS_TO_REST, "tell how it is", |sim| sim.node.has_told()) {
            for told in std::mem::take(&mut self.node.told) {
                let (asks, requests) = (told.api.asks, told.api.in_flight);
                self.checkers.see(self.at, Seen::Slots { core: told.shard, asks, requests });
            }
        }
    }

    /// Step until something holds. A node that gives up because of damage it told of is excused.
    fn wait(&mut self, steps: u64, what: &str, mut holds: impl FnMut(&Sim) -> bool) -> bool {
        for _ in 0..steps {
            if holds(self) {
                return true;
            }
            self.step();
            if self.is_over() {
                return false;
            }
            if let Some(text) = self.node.failed.clone() {
                if !self.rotted {
                    self.checkers.fail("no-stall", format!("a healthy node gives up: {text}"));
                }
                self.checkers.loss_reported |= self.rotted;
                return false;
            }
        }
        let undone: Vec<usize> = (0..self.clients.len()).filter(|at| !self.clients[*at].is_done()).collect();
        let excused = self.checkers.loss_reported;
        if !excused {
            let text = format!("a healthy node does not {what} within {steps} steps; clients waiting: {undone:?}");
            self.checkers.fail("no-stall", text);
        }
        false
    }
}
