//! A coordinator, its log, a clock and some topics, driven by commands.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use heddle_model::{Mono, Now, ProducerId, ShardId, Ticket, TopicId, Wall};

use crate::{
    Bookmark, Commit, Context, Decision, Entry, GroupId, GroupOverrides, GroupSettings, Groups, Soft, TopicName,
    Topics, hard::Body,
};

use super::{command, trace};

/// Who waits in the place of a client that is gone.
const NOBODY: u32 = 0;

pub struct World {
    pub groups: Groups,
    pub soft: Soft,
    pub now: Now,
    pub topics: FakeTopics,
    log: Vec<Logged>,
    is_damaged: bool,
}

#[derive(Default)]
pub struct FakeTopics {
    pub known: BTreeMap<TopicName, (TopicId, i32)>,
    created: BTreeMap<TopicName, u64>,
    pub overrides: GroupOverrides,
    version: u64,
    named: usize,
    /// How often a topic was looked up, and all were.
    pub lookups: Cell<usize>,
    pub walks: Cell<usize>,
}

enum Logged {
    Plain(Entry),
    Pending(ProducerId, Entry),
    End(ProducerId, bool),
}

impl FakeTopics {
    pub fn set(&mut self, name: &str, partitions: i32) {
        let next = self.named as u128 + 0x70;
        self.named += usize::from(!self.known.contains_key(name));
        let entry = self.known.entry(TopicName::new(name)).or_insert((TopicId(next), partitions));
        entry.1 = partitions;
        self.version += 1;
        self.created.entry(TopicName::new(name)).or_insert(self.version);
    }

    pub fn remove(&mut self, name: &str) {
        self.known.remove(name);
        self.created.remove(name);
        self.version += 1;
    }
}

impl Topics for FakeTopics {
    fn version(&self) -> u64 {
        self.version
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        self.lookups.set(self.lookups.get() + 1);
        self.known.get(name).copied()
    }

    fn by_id(&self, id: TopicId) -> Option<(TopicName, i32)> {
        self.known.iter().find(|(_, known)| known.0 == id).map(|(name, known)| (name.clone(), known.1))
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.walks.set(self.walks.get() + 1);
        self.known.keys().for_each(|name| visit(name.as_str()));
    }

    fn created(&self, name: &str) -> Option<(u64, TopicId)> {
        self.lookups.set(self.lookups.get() + 1);
        Some((*self.created.get(name)?, self.known.get(name)?.0))
    }

    fn overrides(&self, _group: &GroupId) -> GroupOverrides {
        self.overrides
    }
}

impl World {
    pub fn new() -> World {
        let groups = Groups::new(GroupSettings::default());
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_000_000) };
        let topics = FakeTopics::default();
        let soft = groups.lead(Context { now, topics: &topics, entropy: 0 });
        World { groups, soft, now, topics, log: Vec::new(), is_damaged: false }
    }

    /// Runs one command; gives the lines of its trace.
    pub fn run(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first().expect("a command");
        match (*verb, rest) {
            ("topic", [name, partitions]) => {
                self.topics.set(name, partitions.parse().expect("a number"));
                Vec::new()
            }
            ("drop-topic", [name]) => {
                self.topics.remove(name);
                Vec::new()
            }
            ("set", [name, value]) => {
                command::configure(&mut self.groups, &mut self.topics.overrides, name, value);
                Vec::new()
            }
            ("wait", [ms]) => self.wait(ms.parse().expect("milliseconds")),
            ("count", []) => self.count(),
            ("failover", []) => self.fail_over(),
            ("pause", [ms]) => {
                self.pass(self.now.mono.plus_ms(ms.parse().expect("milliseconds")));
                Vec::new()
            }
            ("resume", []) => {
                let context = Context { now: self.now, topics: &self.topics, entropy: 0 };
                self.groups.resume(context, &mut self.soft);
                Vec::new()
            }
            ("cancel", [group, ticket]) => {
                let ticket = ticket_of(ticket.parse().expect("a ticket's number"));
                self.soft.cancel(GroupId::new(group), ticket, ticket_of(NOBODY));
                self.wait(0)
            }
            ("end-transaction", [producer, outcome]) => {
                let (producer, committed) =
                    (ProducerId(producer.parse().expect("a producer id")), *outcome == "commit");
                self.groups.end_transaction(producer, committed);
                self.log.push(Logged::End(producer, committed));
                Vec::new()
            }
            (verb, [ticket, arguments @ ..]) => {
                let ask = command::parse(verb, arguments, &self.topics);
                let ticket = ticket_of(ticket.parse().expect("a ticket's number"));
                let context = Context { now: self.now, topics: &self.topics, entropy: ticket.slot.into() };
                let decision = self.groups.decide(context, ask, ticket, &mut self.soft);
                self.apply(decision)
            }
            _ => panic!("no such command: {line}"),
        }
    }

    /// Lets time pass, stopping at every deadline.
    fn wait(&mut self, ms: u64) -> Vec<String> {
        let end = self.now.mono.plus_ms(ms);
        let mut lines = Vec::new();
        loop {
            let next = self.soft.next_deadline().filter(|next| *next <= end);
            let at = next.unwrap_or(end).max(self.now.mono);
            self.pass(at);
            if next.is_none() {
                return lines;
            }
            let context = Context { now: self.now, topics: &self.topics, entropy: 0 };
            let decision = self.groups.tick(context, &mut self.soft);
            lines.extend(self.apply(decision).into_iter().map(|line| format!("@{} {line}", self.now.wall.0)));
        }
    }

    fn pass(&mut self, at: Mono) {
        self.now.wall.0 += (at.since_us(self.now.mono) / 1000) as i64;
        self.now.mono = at;
    }

    /// The survey's lines, the same whatever its pages hold.
    fn count(&self) -> Vec<String> {
        let all = self.count_by(usize::MAX);
        for items in 1..=7 {
            assert_eq!(self.count_by(items), all, "in pages of {items}");
        }
        all
    }

    fn count_by(&self, items_max: usize) -> Vec<String> {
        let (mut states, mut committed) = (BTreeMap::new(), Vec::new());
        let mut from = Some(Bookmark::default());
        while let Some(at) = from {
            let page = self.groups.survey(&self.soft, &at, items_max);
            assert!(page.committed.len() <= items_max);
            for (state, count) in page.states {
                *states.entry(state).or_insert(0) += count;
            }
            committed.extend(page.committed);
            from = page.next;
        }
        let states = states.iter().map(|((kind, state), count)| format!("{} {state:?} {count}", kind.name()));
        let line = |at: &Commit| format!("{} {}-{} {}", at.group, at.topic, at.partition, at.offset);
        states.chain(committed.iter().map(line)).collect()
    }

    pub fn apply(&mut self, decision: Decision) -> Vec<String> {
        let lines = trace::decision(&decision);
        for entry in decision.records {
            match decision.producer {
                Some((producer, _)) => {
                    let value = entry.value.as_deref();
                    self.groups.replay_pending(producer, &entry.key, value).expect("our own record");
                    self.log.push(Logged::Pending(producer, entry));
                }
                None => {
                    self.groups.replay(&entry.key, entry.value.as_deref()).expect("our own record");
                    self.log.push(Logged::Plain(entry));
                }
            }
        }
        self.soft.live.values().for_each(|group| group.check());
        if !self.is_damaged {
            self.groups.check();
            let is_consumer =
                |id: &GroupId| matches!(self.groups.groups.get(id).map(|g| &g.body), Some(Body::Consumer(_)));
            assert!(self.soft.watches.keys().all(is_consumer), "only groups of the new protocol are watched");
        }
        lines
    }

    /// What a node finds that has only the log.
    fn replayed(&self) -> Groups {
        let mut groups = Groups::new(self.groups.settings.clone());
        for logged in &self.log {
            match logged {
                Logged::Plain(entry) => groups.replay(&entry.key, entry.value.as_deref()).expect("our own record"),
                Logged::Pending(producer, entry) => {
                    groups.replay_pending(*producer, &entry.key, entry.value.as_deref()).expect("our own record");
                }
                Logged::End(producer, committed) => groups.end_transaction(*producer, *committed),
            }
        }
        groups
    }

    /// Trap 11: live state is what the log gives.
    pub fn check_replay(&self) {
        if self.is_damaged {
            return;
        }
        assert_eq!(self.groups, self.replayed());
    }

    /// What a node finds whose log was compacted: the last record of each key, in the order of their offsets, with or
    /// without the tombstones.
    pub fn check_compaction(&self) {
        if self.log.iter().any(|logged| !matches!(logged, Logged::Plain(_))) {
            return;
        }
        for keep_tombstones in [true, false] {
            let mut seen = BTreeSet::new();
            let plain = self.log.iter().rev().filter_map(|logged| match logged {
                Logged::Plain(entry) => seen.insert(entry.key.clone()).then_some(entry),
                Logged::Pending(..) | Logged::End(..) => None,
            });
            let mut kept: Vec<&Entry> = plain.filter(|entry| keep_tombstones || entry.value.is_some()).collect();
            kept.reverse();
            let mut groups = Groups::new(self.groups.settings.clone());
            for entry in kept {
                groups.replay(&entry.key, entry.value.as_deref()).expect("our own record");
            }
            assert_eq!(groups.without_order(), self.groups.without_order(), "tombstones: {keep_tombstones}");
        }
    }

    /// A log that nobody should find: records missing, doubled, out of order, with a byte changed. Those that cannot be
    /// read are left out, as a quarantined replica would stop before them.
    pub fn damage(&mut self, picks: &[(usize, usize, u8)]) {
        let plain = self.log.iter().filter_map(|logged| match logged {
            Logged::Plain(entry) => Some(entry),
            Logged::Pending(..) | Logged::End(..) => None,
        });
        let plain: Vec<&Entry> = plain.collect();
        let mut groups = Groups::new(self.groups.settings.clone());
        for (at, place, flip) in picks {
            let Some(entry) = plain.get(at % plain.len().max(1)) else { continue };
            let mut value = entry.value.as_ref().map(|value| value.to_vec());
            if let Some(value) = &mut value
                && !value.is_empty()
            {
                let place = place % value.len();
                value[place] ^= flip;
            }
            let _malformed = groups.replay(&entry.key, value.as_deref());
        }
        self.groups = groups;
        self.is_damaged = true;
        self.soft = self.groups.lead(Context { now: self.now, topics: &self.topics, entropy: 0 });
    }

    fn fail_over(&mut self) -> Vec<String> {
        self.check_replay();
        if !self.is_damaged {
            self.groups = self.replayed();
        }
        let soft = self.groups.lead(Context { now: self.now, topics: &self.topics, entropy: 0 });
        let waiting = std::mem::replace(&mut self.soft, soft).abandon();
        waiting.into_iter().map(|ticket| format!("{}: NotCoordinator", ticket.slot)).collect()
    }
}

pub fn ticket_of(number: u32) -> Ticket {
    Ticket { home: ShardId(0), slot: number, generation: 0, part: 0 }
}
