//! A replica as a group sees it: records, and a journal that remembers only what was flushed.

use heddle_model::{Incarnation, NodeId, Offset, Point, Term, Voter};
use heddle_raft::{Config, Durable, Group, Instruction, Restored};
use std::collections::VecDeque;

/// A record: the term that wrote it, and a number that no other record has.
pub type Value = (Term, u32);

/// Records from `base` on.
#[derive(Clone, Default, Debug)]
pub struct Data {
    pub base: i64,
    pub values: Vec<Value>,
}

impl Data {
    pub fn get(&self, at: i64) -> Option<Value> {
        self.values.get(usize::try_from(at - self.base).ok()?).copied()
    }

    pub fn end(&self) -> i64 {
        self.base + self.values.len() as i64
    }

    pub fn range(&self, from: i64, to: i64) -> Vec<Value> {
        (from..to).filter_map(|at| self.get(at)).collect()
    }

    /// Writes at `from`; what lay there and beyond is overwritten, as on a disk.
    pub fn write(&mut self, from: i64, values: &[Value]) {
        self.values.truncate((from - self.base).max(0) as usize);
        self.values.extend(values);
    }
}

/// What the journal is asked to keep, in order.
#[derive(Clone, Debug)]
pub enum Record {
    State(Term, Option<Voter>),
    Line(Term, Offset),
    Config(Config),
    LogStart(Offset),
    Truncate(Point),
    /// Values at an offset.
    Append(Offset, Vec<Value>),
    Reset(Point, (Term, Offset), Config),
    Commit(Offset),
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub struct Disk {
    restored: Restored,
    data: Data,
}

pub struct Replica {
    pub me: Voter,
    pub group: Group,
    pub data: Data,
    pub journal: VecDeque<Record>,
    /// Reported durable by a disk that lies, and not durable yet.
    early: Vec<Record>,
    pub disk: Disk,
    /// `Replicate` and `Restate` not yet carried out.
    pub wanted: Vec<Instruction>,
    /// A stopped node hears and says nothing.
    pub up: bool,
}

pub fn voter(node: i32) -> Voter {
    Voter { node: NodeId(node), incarnation: Incarnation(0) }
}

impl Replica {
    pub fn new(me: Voter, config: Config) -> Replica {
        let restored = Restored {
            me,
            term: Term(0),
            vote: None,
            history: vec![(Term(0), Offset(0))],
            config,
            commit: Offset(0),
            end: Offset(0),
            log_start: Offset(0),
            may_vote: true,
        };
        let group = Group::restore(restored.clone()).expect("a new replica is sound");
        let disk = Disk { restored, data: Data::default() };
        Replica {
            me,
            group,
            data: Data::default(),
            journal: VecDeque::new(),
            early: vec![],
            disk,
            wanted: vec![],
            up: true,
        }
    }

    /// Makes the oldest `count` records durable, and lists what to report of them. A point is reported only if no cut
    /// is still to come.
    pub fn flush(&mut self, count: usize) -> Vec<Durable> {
        let flushed: Vec<Record> = self.journal.drain(..count.min(self.journal.len())).collect();
        let cut_to_come = self.journal.iter().any(|r| matches!(r, Record::Truncate(_) | Record::Reset(..)));
        let mut durable = vec![];
        for record in flushed {
            let reported = self.disk.apply(record);
            durable.extend(reported.into_iter().filter(|d| !cut_to_come || !matches!(d, Durable::Log(_))));
        }
        durable
    }

    /// As `flush`, by a disk that reports one flush ahead of what it did.
    pub fn flush_early(&mut self, count: usize) -> Vec<Durable> {
        for record in self.early.drain(..) {
            self.disk.apply(record);
        }
        let disk = self.disk.clone();
        self.early = self.journal.iter().take(count).cloned().collect();
        let durable = self.flush(count);
        self.disk = disk;
        durable
    }

    /// Loses what was not flushed, and starts again.
    pub fn restart(&mut self) {
        self.journal.clear();
        self.early.clear();
        self.wanted.clear();
        self.data = self.disk.data.clone();
        self.group = Group::restore(self.disk.restored.clone()).expect("what was flushed is sound");
    }
}

impl Disk {
    fn end(&self) -> Point {
        Point { term: self.restored.history.last().expect("never empty").0, offset: self.restored.end }
    }

    fn apply(&mut self, record: Record) -> Vec<Durable> {
        let r = &mut self.restored;
        match record {
            Record::State(term, vote) => {
                (r.term, r.vote) = (term, vote);
                return vec![Durable::State { term, vote }];
            }
            Record::Config(config) => {
                let what = Durable::Config { term: config.term, version: config.version };
                r.config = config;
                return vec![what];
            }
            Record::LogStart(offset) => {
                r.log_start = offset;
                return vec![Durable::LogStart(offset)];
            }
            Record::Commit(offset) => {
                r.commit = offset;
                return vec![];
            }
            Record::Truncate(to) => {
                r.history.retain(|line| line.0 <= to.term);
                r.end = to.offset;
                self.data.write(to.offset.0, &[]);
                return vec![];
            }
            Record::Line(term, start) => r.history.push((term, start)),
            Record::Append(from, values) => {
                self.data.write(from.0, &values);
                r.end = Offset(self.data.end());
            }
            Record::Reset(at, line, config) => {
                let what = Durable::Config { term: config.term, version: config.version };
                (r.history, r.end, r.log_start, r.commit, r.config) =
                    (vec![line], at.offset, at.offset, at.offset, config);
                self.data = Data { base: at.offset.0, values: vec![] };
                return vec![Durable::Log(at), Durable::LogStart(at.offset), what];
            }
        }
        vec![Durable::Log(self.end())]
    }
}
