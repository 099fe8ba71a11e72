//! Lives of a node, one after the other: how each begins, what goes wrong in it, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use heddle_api::ApiConfig;
use heddle_controller::{Broker, BrokerConfig};
use heddle_model::NodeId;
use heddle_shard::ShardConfig;

use super::Sim;
use crate::check::Seen;
use crate::client::{Client, members};
use crate::plan::{End, Life, Trouble};
use crate::troubles;

/// Steps in which a node that was asked to stop has stopped, and the time. Microseconds.
const STEPS_TO_STOP: u64 = 200_000;
const TIME_TO_STOP_US: u64 = 10_000_000;

impl Sim {
    pub(super) fn boot(&mut self, shards: u16, memory: usize, accept_loss: bool) {
        let given = members::SETTINGS.iter().chain(self.plan.settings());
        let given = given.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let kafka = BrokerConfig::parse(given).expect("the simulator's settings are sound");
        // Connections follow their records early, so that many do.
        let follow_answers = 2 + self.dice.below(20) as u32;
        let api = ApiConfig { follow_answers, follow_ms: 0, ..ApiConfig::of(&kafka, usize::from(shards)) };
        let config = ShardConfig {
            shards,
            node: NodeId(1),
            broker: Broker { id: NodeId(1), rack: None, host: "node-1".into(), port: 9092 },
            kafka_addr: SocketAddr::from(([127, 0, 0, 1], 9092)),
            api,
            settings: Arc::new(kafka),
            memory,
            journal_files: self.plan.journal_files,
            journal_file_bytes: self.plan.journal_file_bytes,
            seed: u128::from(self.dice.roll()),
            accept_loss,
            repair_only: false,
        };
        self.node.boot(&config, &mut self.dice);
        self.dirs = self.replica_dirs();
        self.boot = self.node.boots;
        let boot = self.boot;
        self.trace.say(|| format!("life {boot}: {shards} shards, {memory} bytes of memory each"));
    }

    pub(super) fn live(&mut self, life: &Life) {
        self.boot(life.shards, life.memory, false);
        let began = self.at;
        for step in 0..life.steps {
            self.look_at_space(life, step);
            troubles::due(life, step, &mut self.node, &mut self.dice, &mut self.trace);
            self.step();
            if self.is_over() {
                return;
            }
            if let Some(text) = self.node.failed.clone() {
                self.on_failed(life.trouble, &text);
                break;
            }
            if life.after_compacting.is_some_and(|many| self.node.compacting.operations >= many) {
                break;
            }
            let deleting = self.catalog.deleting.filter(|asked| *asked > began);
            if deleting.zip(life.after_deleting).is_some_and(|(asked, steps)| self.at >= asked + steps) {
                break;
            }
            if life.trouble == Some(Trouble::ClockJump) && step == life.steps / 2 {
                self.pass_a_minute();
            }
            if self.plan.expires && life.steps >= 200 && step == life.steps / 2 {
                // One for the offset to go, one to see that it is gone.
                (0..2).for_each(|_| self.pass_a_minute());
            }
        }
        if let Some(trouble @ (Trouble::Rot | Trouble::JournalLost)) = life.trouble {
            self.go_quiet();
            self.die(life.end);
            let (node, dice, trace) = (&mut self.node, &mut self.dice, &mut self.trace);
            match trouble {
                Trouble::JournalLost => troubles::lose_journal(node, dice, trace),
                _ => troubles::rot(node, dice, trace),
            }
            self.rotted = true;
            self.draining = false;
        } else {
            self.die(life.end);
        }
        // A full disk may outlast its life.
        if life.trouble != Some(Trouble::Full) {
            self.node.disk.heal();
        }
        self.node.wall_off_ms = 0;
    }

    fn look_at_space(&mut self, life: &Life, step: u64) {
        if life.trouble != Some(Trouble::Full) {
            return;
        }
        let (begins, ends) = troubles::period(life);
        if step == begins {
            self.checkers.see(self.at, Seen::DiskFull);
        } else if step == ends {
            self.checkers.see(self.at, Seen::DiskFree);
        }
    }

    /// The node says that it cannot start or go on.
    fn on_failed(&mut self, trouble: Option<Trouble>, text: &str) {
        let excused = self.rotted || trouble.is_some() || self.plan.has(Trouble::Full);
        if !excused {
            self.checkers.fail("no-stall", format!("a healthy node gives up: {text}"));
        }
    }

    /// Retention comes around in this time.
    fn pass_a_minute(&mut self) {
        for _ in 0..60 {
            self.now_us += 1_000_000;
            for _ in 0..30 {
                self.step();
            }
        }
    }

    /// All clients rest, and the node has time to record that everything is durable.
    fn go_quiet(&mut self) {
        self.draining = true;
        for _ in 0..5_000 {
            self.step();
            if self.is_over() || self.clients.iter().all(Client::is_done) {
                break;
            }
        }
        let until = self.now_us + 100_000;
        for _ in 0..2_000 {
            self.step();
            if self.now_us > until {
                break;
            }
        }
    }

    pub(super) fn die(&mut self, end: End) {
        self.look_at_dirs();
        let boot = self.boot;
        let compacting = self.node.compacting.operations;
        self.trace.say(|| format!("life {boot} ends: {end:?}, {compacting} operations of compaction"));
        if end == End::Stop && self.node.failed.is_none() {
            self.stop();
        }
        self.node.die();
        self.deliver();
        self.checkers.see(self.at, Seen::LifeEnded);
        match end {
            End::Crash => self.node.disk.crash(),
            End::HardCrash | End::Stop => self.node.disk.crash_hard(),
            End::Kill => self.node.disk.kill(),
        }
        self.node.on_crashed(&mut self.dice);
    }

    pub(super) fn stop(&mut self) {
        self.node.stop();
        let until = self.now_us + TIME_TO_STOP_US;
        for _ in 0..STEPS_TO_STOP {
            if self.node.all_halted() {
                return;
            }
            self.step();
            if self.now_us > until {
                break;
            }
        }
        self.checkers.fail("no-stall", "a node that was asked to stop does not".into());
    }
}
