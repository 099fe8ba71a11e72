//! Replicas, the network between them, and the steps that can be taken.

use crate::Planted;
use crate::checkers::{Checkers, Violation};
use crate::replica::{Data, Record, Replica, Value, voter};
use crate::script;
use heddle_model::{Offset, Point, Voter};
use heddle_raft::{Config, Instruction, Message};

pub struct Packet {
    pub from: Voter,
    pub to: Voter,
    pub message: Message,
    pub values: Vec<Value>,
}

pub struct World {
    pub replicas: Vec<Replica>,
    pub net: Vec<Packet>,
    pub checkers: Checkers,
    pub planted: Option<Planted>,
    /// Every instruction as a line, if someone reads it.
    pub trace: Option<Trace>,
    written: u32,
}

pub enum Trace {
    Kept(Vec<String>),
    Printed,
}

impl Trace {
    pub fn push(&mut self, line: String) {
        match self {
            Trace::Kept(lines) => lines.push(line),
            Trace::Printed => println!("{line}"),
        }
    }
}

pub type Step = Result<(), Violation>;

impl World {
    /// Replicas 1 to `nodes`, of which the first `voters` are voters; the rest have not joined yet.
    pub fn new(nodes: i32, voters: i32, planted: Option<Planted>) -> World {
        let config = Config { voters: (1..=voters).map(voter).collect(), ..Config::default() };
        let replicas: Vec<Replica> = (1..=nodes).map(|n| Replica::new(voter(n), config.clone())).collect();
        World { replicas, net: vec![], checkers: Checkers::default(), planted, trace: None, written: 0 }
    }

    pub fn at(&self, who: Voter) -> Option<usize> {
        self.replicas.iter().position(|r| r.me == who)
    }

    pub fn campaign(&mut self, n: usize) -> Step {
        self.act(n, &[], |r, todo| r.group.campaign(todo))
    }

    /// A leader appends `count` records.
    pub fn write(&mut self, n: usize, count: u32) -> Step {
        let replica = &mut self.replicas[n];
        let values: Vec<Value> = (1..=count).map(|i| (replica.group.term(), self.written + i)).collect();
        self.written += count;
        let from = Offset(replica.data.end());
        replica.data.write(from.0, &values);
        replica.journal.push_back(Record::Append(from, values));
        let end = Offset(replica.data.end());
        self.act(n, &[], |r, todo| r.group.appended(end, todo))
    }

    /// Makes the oldest `count` journal records of a replica durable.
    pub fn flush(&mut self, n: usize, count: usize) -> Step {
        let early = self.planted == Some(Planted::PromiseEarly);
        let replica = &mut self.replicas[n];
        let durable = if early { replica.flush_early(count) } else { replica.flush(count) };
        self.act(n, &[], |r, todo| r.group.on_all_durable(durable, todo))
    }

    pub fn deliver(&mut self, packet: usize) -> Step {
        let Packet { from, to, mut message, values } = self.net.remove(packet);
        match self.at(to) {
            Some(n) if self.replicas[n].up => {
                self.tamper(n, &mut message);
                self.act(n, &values, |r, todo| r.group.on_message(from, message, todo))
            }
            _ => Ok(()),
        }
    }

    /// Plants a fault by what the receiver is made to believe.
    fn tamper(&self, n: usize, message: &mut Message) {
        let group = &self.replicas[n].group;
        match (self.planted, message) {
            (Some(Planted::VoteByOffset), Message::Vote(m) | Message::PreVote(m)) => {
                let longer = m.end.offset >= group.end().offset && group.end().term < m.term;
                m.end.term = if longer { group.end().term.max(m.end.term) } else { m.end.term };
            }
            (Some(Planted::VoteOldConfig), Message::Vote(m) | Message::PreVote(m)) => {
                m.config = m.config.max(group.config().id());
            }
            (Some(Planted::CommitOldTerm), Message::Append(m)) if m.lines.last() == Some(&(m.term, m.to.offset)) => {
                m.lines.pop();
                m.to.term = m.lines.last().map_or(m.from.term, |line| line.0);
            }
            (Some(Planted::CommitOldTerm), Message::AppendAck(m)) => {
                let (term, start) = group.history().last();
                if m.at.offset == start && m.term == term {
                    m.at = Point { term, offset: start };
                }
            }
            (Some(Planted::EarlyChange), Message::AppendAck(m)) => m.config = group.config().id(),
            (Some(Planted::ForgetLogStart), Message::VoteReply(m)) => m.log_start = Offset(0),
            (Some(Planted::ForgetLogStart), Message::AppendAck(m)) => m.log_start = m.log_start.min(group.log_start()),
            _ => {}
        }
    }

    /// Carries out one wanted append; at most `count` records, if that is less than all.
    pub fn replicate(&mut self, n: usize, wanted: usize, count: i64) -> Step {
        let instruction = self.replicas[n].wanted.remove(wanted);
        let mut todo = vec![];
        let replica = &mut self.replicas[n];
        let sent = match instruction {
            Instruction::Replicate { to, from, until } => {
                let upto = Offset(until.0.min(from.offset.0.saturating_add(count)));
                let header = replica.group.append_to(to, from, upto, &mut todo);
                header.map(|h| (to, Message::Append(h), replica.data.range(from.offset.0, upto.0)))
            }
            Instruction::Restate { to, .. } => {
                replica.group.reset_to(to, &mut todo).map(|h| (to, Message::Reset(h), vec![]))
            }
            other => unreachable!("{other:?} is not wanted"),
        };
        let from = replica.me;
        if let Some((to, message, values)) = sent {
            self.note(n, || format!("{} -> {}: {}", from.node, to.node, script::show(&message)));
            self.net.push(Packet { from, to, message, values });
        }
        self.carry_out(n, todo, &[])
    }

    pub fn restart(&mut self, n: usize) {
        self.replicas[n].restart();
    }

    /// Lets one group act, carries out what it says, and checks everything.
    pub fn act(&mut self, n: usize, values: &[Value], act: impl FnOnce(&mut Replica, &mut Vec<Instruction>)) -> Step {
        let mut todo = vec![];
        act(&mut self.replicas[n], &mut todo);
        self.carry_out(n, todo, values)?;
        self.checkers.check(&self.replicas, n)
    }

    fn note(&mut self, n: usize, line: impl FnOnce() -> String) {
        let up = self.replicas[n].up;
        if let Some(trace) = self.trace.as_mut().filter(|_| up) {
            trace.push(line());
        }
    }

    /// `values` are the records that came with the message acted on; the range they belong to is that of the `Take`s.
    fn carry_out(&mut self, n: usize, todo: Vec<Instruction>, values: &[Value]) -> Step {
        let taken: i64 =
            todo.iter().map(|i| if let Instruction::Take { to, .. } = i { to.0 } else { 0 }).max().unwrap_or(0);
        for instruction in todo {
            let node = self.replicas[n].me.node;
            if let Some(line) = script::show_instruction(&instruction) {
                self.note(n, || format!("{node}: {line}"));
            }
            let replica = &mut self.replicas[n];
            match instruction {
                Instruction::PersistState { term, vote } => replica.journal.push_back(Record::State(term, vote)),
                Instruction::PersistLine { term, start } => replica.journal.push_back(Record::Line(term, start)),
                Instruction::PersistConfig(config) => replica.journal.push_back(Record::Config(config)),
                Instruction::PersistLogStart(offset) => replica.journal.push_back(Record::LogStart(offset)),
                Instruction::Truncate { to } => {
                    replica.data.write(to.offset.0, &[]);
                    if self.planted != Some(Planted::NoCut) {
                        replica.journal.push_back(Record::Truncate(to));
                    }
                }
                Instruction::Take { term, from, to } => {
                    let first = taken - values.len() as i64;
                    let part = &values[(from.0 - first) as usize..(to.0 - first) as usize];
                    if part.iter().any(|value| value.0 != term) || replica.data.end() != from.0 {
                        return Err(format!("batches lie in their term's part: {node} takes {from}..{to}"));
                    }
                    replica.data.write(from.0, part);
                    replica.journal.push_back(Record::Append(from, part.to_vec()));
                }
                Instruction::Reset { at, line, config } => {
                    replica.data = Data { base: at.offset.0, values: vec![] };
                    replica.journal.push_back(Record::Reset(at, line, config));
                }
                Instruction::Send { to, message } => {
                    let from = replica.me;
                    self.net.push(Packet { from, to, message, values: vec![] });
                }
                Instruction::Replicate { .. } | Instruction::Restate { .. } => replica.wanted.push(instruction),
                Instruction::Commit(offset) => {
                    replica.journal.push_back(Record::Commit(offset));
                    self.checkers.on_commit(&self.replicas[n], offset)?;
                }
                Instruction::LogStartSafe(offset) => self.checkers.on_log_start_safe(offset),
                Instruction::Became(role) => self.checkers.on_role(&self.replicas[n], role)?,
                Instruction::Report { fault, .. } => self.checkers.on_report(&self.replicas[n], fault)?,
            }
        }
        Ok(())
    }
}
