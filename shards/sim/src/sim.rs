//! One run: lives of a node one after the other, clients around it, and at the end a look at everything.

mod ending;
mod lives;

use std::collections::{BTreeMap, BTreeSet};

use heddle_border::ConnId;
use heddle_fakedisk::Dice;

use crate::catalog::Catalog;
use crate::check::{Checkers, Seen};
use crate::client::admin::Admin;
use crate::client::committer::Committer;
use crate::client::consumer::Consumer;
use crate::client::members;
use crate::client::producer::Producer;
use crate::client::{Client, Cx, Role};
use crate::lies::Lie;
use crate::node::{Node, true_wall_ms};
use crate::plan::{End, Plan};
use crate::trace::Trace;

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
        let mut roles: Vec<Box<dyn Role>> = vec![Box::<Admin>::default()];
        // What it commits is to stay.
        roles.extend((!plan.expires).then(|| Box::<Committer>::default() as Box<dyn Role>));
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
            4 => self.work_step(),
            _ => self.client_step(),
        }
    }

    fn work_step(&mut self) -> bool {
        let worked = self.node.work_step(&mut self.dice, &mut self.trace);
        if worked {
            self.checkers.see(self.at, Seen::Works { done: self.node.works_done });
        }
        worked
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

    /// After rot the node must say what it lost; then it is not held to it. Without, there is nothing to tell of.
    fn hear_of_damage(&mut self) {
        const WORDS: &[&str] = &["damaged", "cannot be opened", "a read failed", "not opened", "cannot be served"];
        for line in std::mem::take(&mut self.node.logs) {
            if self.rotted {
                self.checkers.loss_reported |= WORDS.iter().any(|word| line.contains(word));
            } else if line.contains("damaged") {
                self.checkers.fail("no-false-alarm", format!("nothing was harmed, and it is said: {line}"));
            }
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
