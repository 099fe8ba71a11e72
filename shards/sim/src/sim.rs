//! One run: lives of a node one after the other, clients around it, and at the end a look at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use heddle_api::ApiConfig;
use heddle_border::ConnId;
use heddle_controller::{Broker, BrokerConfig};
use heddle_fakedisk::Dice;
use heddle_model::NodeId;
use heddle_shard::ShardConfig;

use crate::catalog::Catalog;
use crate::check::{Checkers, Seen};
use crate::client::admin::Admin;
use crate::client::committer::Committer;
use crate::client::consumer::Consumer;
use crate::client::members;
use crate::client::producer::Producer;
use crate::client::scanner::Scanner;
use crate::client::{Client, Cx, Role};
use crate::lies::Lie;
use crate::node::{Node, true_wall_ms};
use crate::plan::{End, Life, Plan, Trouble};
use crate::trace::Trace;
use crate::troubles;

/// Steps in which a healthy node must have done what is waited for.
const STEPS_TO_SERVE: u64 = 30_000;
const STEPS_TO_DRAIN: u64 = 60_000;
const STEPS_TO_SCAN: u64 = 120_000;
const STEPS_TO_STOP: u64 = 200_000;
const STEPS_TO_REST: u64 = 60_000;
/// A node at rest leaves its disk alone for this long. Microseconds.
const REST_US: u64 = 100_000;
/// In this much of its own time a node that is asked to stop has stopped. Microseconds.
const TIME_TO_STOP_US: u64 = 10_000_000;
/// How often the directories of replicas are looked at. Steps.
const LOOK_EVERY: u64 = 64;

pub struct Sim {
    plan: Plan,
    dice: Dice,
    node: Node,
    clients: Vec<Client>,
    conns: BTreeMap<ConnId, usize>,
    catalog: Catalog,
    pub checkers: Checkers,
    pub trace: Trace,
    lie: Option<Lie>,
    next_number: u64,
    at: u64,
    now_us: u64,
    draining: bool,
    dirs: BTreeSet<String>,
    rotted: bool,
    /// The present life's number.
    boot: u32,
}

impl Sim {
    pub fn new(plan: Plan, lie: Option<Lie>, only: Option<&str>, aloud: bool) -> Sim {
        let mut roles: Vec<Box<dyn Role>> = vec![Box::<Admin>::default(), Box::<Committer>::default()];
        for at in 0..plan.producers {
            let acks = [-1, 1, -1, 0][(plan.seed as usize + at) % 4];
            roles.push(Box::new(if at % 3 < 2 { Producer::new(true, -1) } else { Producer::new(false, acks) }));
        }
        roles.extend((0..plan.consumers).map(|_| Box::<Consumer>::default() as Box<dyn Role>));
        roles.extend(members::roles(&plan));
        Sim {
            dice: Dice::new(plan.seed),
            node: Node::new(plan.seed ^ 0xd15c, lie),
            clients: roles.into_iter().map(Client::new).collect(),
            conns: BTreeMap::new(),
            catalog: Catalog::default(),
            checkers: Checkers::new(only),
            trace: Trace::new(aloud),
            lie,
            next_number: 1,
            at: 0,
            now_us: 0,
            draining: false,
            dirs: BTreeSet::new(),
            rotted: false,
            boot: 0,
            plan,
        }
    }

    /// The whole run. Ends early once something was found.
    pub fn run(&mut self) {
        let lives = self.plan.lives.clone();
        for life in &lives {
            self.live(life);
            if self.is_over() {
                return;
            }
        }
        self.look_at_everything(false);
        // Whoever was told of damage accepts the loss; then everything must work again.
        if self.checkers.loss_reported && !self.is_over() {
            self.die(End::Crash);
            self.checkers.begin_again();
            for at in 0..self.catalog.topics.len() {
                self.catalog.describe(at).into_iter().for_each(|seen| self.checkers.see(self.at, seen));
            }
            self.checkers.see(self.at, Seen::LossAccepted);
            self.look_at_everything(true);
        }
    }

    fn is_over(&self) -> bool {
        self.checkers.found.is_some()
    }

    // ---- lives ----

    fn boot(&mut self, shards: u16, memory: usize, accept_loss: bool) {
        let given = members::SETTINGS.iter().chain(self.plan.settings());
        let given = given.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let kafka = BrokerConfig::parse(given).expect("the simulator's settings are sound");
        let config = ShardConfig {
            shards,
            node: NodeId(1),
            broker: Broker { id: NodeId(1), rack: None, host: "node-1".into(), port: 9092 },
            kafka_addr: SocketAddr::from(([127, 0, 0, 1], 9092)),
            api: ApiConfig::of(&kafka, usize::from(shards)),
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

    fn live(&mut self, life: &Life) {
        self.boot(life.shards, life.memory, false);
        for step in 0..life.steps {
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
            if life.trouble == Some(Trouble::ClockJump) && step == life.steps / 2 {
                self.pass_a_minute();
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

    fn die(&mut self, end: End) {
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

    fn stop(&mut self) {
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

    // ---- the end of a run ----

    fn look_at_everything(&mut self, accept_loss: bool) {
        self.node.disk.heal();
        let shards = 1 + self.dice.below(4) as u16;
        self.boot(shards, 64 << 20, accept_loss);
        self.draining = true;
        if !self.wait(STEPS_TO_SERVE, "serve", |sim| sim.node.serving) {
            return;
        }
        if !self.wait(STEPS_TO_DRAIN, "answer", |sim| sim.clients.iter().all(Client::is_done)) {
            return;
        }
        self.checkers.see(self.at, Seen::Quiet);
        if accept_loss {
            // What was lost is lost; what is left must be sound.
            self.checkers.loss_reported = true;
        }
        self.clients.push(Client::new(Box::<Scanner>::default()));
        if self.wait(STEPS_TO_SCAN, "show all", |sim| sim.clients.iter().all(Client::is_done)) {
            self.checkers.see(self.at, Seen::Quiet);
            self.look_at_dirs();
            self.come_to_rest();
        }
        if accept_loss && !self.is_over() {
            self.stop();
        }
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

    /// Step until something holds. A node that gives up because of damage it told of is excused.
    fn wait(&mut self, steps: u64, what: &str, holds: impl Fn(&Sim) -> bool) -> bool {
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

    // ---- steps ----

    fn step(&mut self) {
        self.at += 1;
        self.now_us += (1 + self.dice.below(30)) * self.plan.pace;
        if self.at.is_multiple_of(LOOK_EVERY) {
            self.look_at_dirs();
        }
        let mood = self.plan.mood;
        let weights = [mood.turn, mood.disk, mood.mail, mood.net, mood.work, mood.client];
        let mut pick = self.dice.below(weights.iter().sum());
        let mut first = 0;
        while pick >= weights[first] {
            pick -= weights[first];
            first += 1;
        }
        let done = (0..weights.len()).any(|at| self.act((first + at) % weights.len()));
        // A core that wakes again and again for nothing does not stop the clock.
        if std::mem::take(&mut self.node.idle_turn) {
            self.now_us += 100;
        }
        if !done && let Some(wake) = self.node.next_wake() {
            self.now_us = self.now_us.max(wake);
        }
        self.deliver();
        self.hear_of_damage();
    }

    fn act(&mut self, what: usize) -> bool {
        let (dice, trace) = (&mut self.dice, &mut self.trace);
        match what {
            0 => self.node.turn(self.now_us, dice, trace),
            1 => self.node.disk_step(dice, trace),
            2 => self.node.mail_step(dice, trace),
            3 => self.node.net_step(dice, trace),
            4 => self.node.work_step(dice, trace),
            _ => self.client_step(),
        }
    }

    fn client_step(&mut self) -> bool {
        let first = self.dice.below(self.clients.len() as u64) as usize;
        // At the end nobody waits for luck: whoever can act does.
        let tries = if self.draining { self.clients.len() } else { 1 };
        (0..tries).any(|next| self.let_act((first + next) % self.clients.len()))
    }

    fn let_act(&mut self, at: usize) -> bool {
        let mut clients = std::mem::take(&mut self.clients);
        let mut node = std::mem::replace(&mut self.node, Node::new(0, None));
        let done = clients[at].step(&mut node, &mut self.cx());
        if let Some(conn) = clients[at].conn {
            self.conns.insert(conn, at);
        }
        (self.clients, self.node) = (clients, node);
        if done {
            self.trace.add(9 << 32 | at as u64);
        }
        done
    }

    fn deliver(&mut self) {
        for (conn, heard) in std::mem::take(&mut self.node.heard) {
            let Some(at) = self.conns.get(&conn).copied() else { continue };
            let mut clients = std::mem::take(&mut self.clients);
            clients[at].hear(conn, heard, &mut self.cx());
            self.clients = clients;
        }
    }

    fn cx(&mut self) -> Cx<'_> {
        Cx {
            plan: &self.plan,
            dice: &mut self.dice,
            catalog: &mut self.catalog,
            checkers: &mut self.checkers,
            trace: &mut self.trace,
            next_number: &mut self.next_number,
            lie: self.lie,
            at: self.at,
            boot: self.boot,
            wall_ms: true_wall_ms(self.now_us),
            now_us: self.now_us,
            rest_ms: 0,
            draining: self.draining,
        }
    }

    /// After rot the node must say what it lost; then it is not held to it.
    fn hear_of_damage(&mut self) {
        const WORDS: &[&str] = &["damaged", "cannot be opened", "a read failed", "not opened", "cannot be served"];
        if !self.rotted || self.node.logs.is_empty() {
            return;
        }
        for line in std::mem::take(&mut self.node.logs) {
            self.checkers.loss_reported |= WORDS.iter().any(|word| line.contains(word));
        }
    }

    // ---- directories of replicas ----

    fn replica_dirs(&self) -> BTreeSet<String> {
        let of = |path: &str| {
            let rest = path.strip_prefix("replicas/")?;
            Some(rest.split('/').next().unwrap_or(rest).to_string())
        };
        self.node.disk.paths().iter().filter_map(|(path, _)| of(path)).collect()
    }

    fn look_at_dirs(&mut self) {
        let now = self.replica_dirs();
        if self.lie == Some(Lie::FilesRemoved)
            && self.dice.chance(10)
            && let Some(dir) = now.first()
        {
            self.node.remove_tree(format!("replicas/{dir}"));
        }
        let gone: Vec<String> = self.dirs.difference(&now).cloned().collect();
        if !gone.is_empty() {
            self.checkers.see(self.at, Seen::DirsGone { names: &gone });
        }
        self.dirs = now;
    }
}
