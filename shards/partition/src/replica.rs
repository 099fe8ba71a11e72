//! A replica and how its parts are joined: instructions of the group are carried out on log and journal, durability of
//! journal records is told to the group, and what became committed is told to those who wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use heddle_border::Effect;
use heddle_journal::{Journal, Ordinal, Record};
use heddle_log::{Identity, Log};
use heddle_model::{
    LeaderEpoch, Mark, NodeId, Now, Offset, PartitionId, Point, ReplicaNumber, Term, Ticket, TopicSettings, Voter,
};
use heddle_raft::{Durable, Group, Instruction, Message, Role};

use crate::companion::Settled;
use crate::looks::Looks;
use crate::producers::Producers;
use crate::read::Reads;
use crate::waiting::Waiting;
use crate::write::{Line, refuse};
use crate::{Answer, Ask, Described, Refusal, Visibility};

/// What a replica acts on besides itself, lent to it for one call.
pub struct World<'a> {
    pub now: Now,
    pub journal: &'a mut Journal,
    pub effects: &'a mut Vec<Effect>,
    pub answers: &'a mut Vec<(Ticket, Answer)>,
    pub news: &'a mut Vec<News>,
}

/// What the house should know of a replica without asking.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// Who leads the partition, as this replica sees it. `serving`: it is this replica, and it may answer clients.
    Leader { partition: PartitionId, leader: Option<NodeId>, epoch: LeaderEpoch, serving: bool },
    /// A message for another member of the group.
    Peer { partition: PartitionId, to: Voter, message: Message },
    /// A disk refused something; the partition goes on as far as it can.
    Trouble { partition: PartitionId, what: String },
    /// The replica's files are gone.
    Removed { replica: ReplicaNumber },
    /// Another member shall be sent what follows `from`.
    Replicate { partition: PartitionId, to: Voter, from: Point, until: Offset },
    /// Another member ends below the log start and shall begin anew at `at`.
    Restate { partition: PartitionId, to: Voter, at: Point },
}

/// What becomes true when a journal record is durable.
#[derive(Debug)]
pub(crate) enum Promise {
    Group(Durable),
    Mark(Mark),
}

/// Whether the part of the state that lies beside the segments is in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Nothing but the journal's part is known. The first ask that needs more starts the load.
    Unloaded,
    Loading,
    Ready,
    /// Being deleted.
    Leaving,
}

/// What the journal was last given, durable or not, beside what the group knows: a restatement repeats it.
#[derive(Debug)]
pub(crate) struct Journaled {
    pub(crate) placement: u32,
    pub(crate) mark: Option<Mark>,
    pub(crate) start: Point,
    /// The history with the lines that the group has trimmed.
    pub(crate) history: Vec<(Term, Offset)>,
}

/// What went through a replica since the process started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Bytes and records of batches that were appended as the leader.
    pub received_bytes: u64,
    pub received_records: u64,
    /// Bytes of batches that fetches were answered with.
    pub sent_bytes: u64,
}

pub struct Replica {
    pub(crate) partition: PartitionId,
    pub(crate) number: ReplicaNumber,
    pub(crate) owner: u32,
    pub(crate) me: Voter,
    pub(crate) settings: Arc<TopicSettings>,
    pub(crate) group: Group,
    pub(crate) log: Log,
    pub(crate) producers: Producers,
    pub(crate) settled: Settled,
    pub(crate) settled_through: Offset,
    pub(crate) waiting: Waiting,
    pub(crate) line: Line,
    pub(crate) reads: Reads,
    pub(crate) stage: Stage,
    /// What lies beside the segments could not be read when it was last tried.
    pub(crate) load_failed: bool,
    /// When retention comes by.
    pub(crate) looks: Looks,
    pub(crate) parked: Vec<(Ticket, Ask)>,
    pub(crate) promised: VecDeque<(Ordinal, Promise)>,
    /// Batches not yet committed: where each ends, and its bytes.
    pub(crate) uncommitted: VecDeque<(Offset, usize)>,
    pub(crate) durable_end: Offset,
    /// Transactions whose marker is in the log but not committed: first offset to the offset behind the marker.
    pub(crate) ending: BTreeMap<Offset, Offset>,
    /// What readers of committed transactions were last told.
    pub(crate) stable_told: Offset,
    pub(crate) deletions: Vec<(Ticket, Offset)>,
    pub(crate) damaged: bool,
    pub(crate) examined: bool,
    pub(crate) journaled: Journaled,
    pub(crate) traffic: Traffic,
    pub(crate) todo: Vec<Instruction>,
}

impl Replica {
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    pub fn owner(&self) -> u32 {
        self.owner
    }

    pub fn number(&self) -> ReplicaNumber {
        self.number
    }

    /// The newest leader epoch that this replica knows of.
    pub fn epoch(&self) -> LeaderEpoch {
        self.group.term().epoch()
    }

    pub fn is_serving(&self) -> bool {
        self.group.is_serving() || self.damaged
    }

    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    pub fn high_watermark(&self) -> Offset {
        if self.damaged || self.examined { self.log.end() } else { self.group.commit() }
    }

    /// Where the log begins, for everybody who asks: a start that is not safe yet is told to nobody, since a crash would
    /// take it back.
    pub fn log_start(&self) -> Offset {
        self.log.start()
    }

    /// The last stable offset, exclusive: everything below it belongs to no transaction that may still abort.
    pub fn last_stable(&self) -> Offset {
        let open = self.producers.first_open().into_iter().chain(self.ending.keys().next().copied()).min();
        open.map_or(self.high_watermark(), |first| first.min(self.high_watermark()))
    }

    /// Bytes that only memory and the journal hold.
    pub fn tail_bytes(&self) -> usize {
        self.log.tail_bytes()
    }

    /// Whether spans are on their way to segments, or their mark to the journal.
    pub fn is_settling(&self) -> bool {
        self.log.is_settling()
    }

    /// Whether what lies beside the segments is being read: until then nothing can be settled.
    pub fn is_loading(&self) -> bool {
        self.stage == Stage::Loading
    }

    pub fn cached_bytes(&self) -> usize {
        self.log.cached_bytes()
    }

    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bytes of the log, as far as it reaches back.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Files of segments that could not be removed since the replica was loaded.
    pub fn failed_removals(&self) -> u64 {
        self.log.failed_removals()
    }

    pub fn evict(&mut self, bytes: usize) -> usize {
        self.log.evict(bytes)
    }

    pub fn set_settings(&mut self, settings: Arc<TopicSettings>) {
        self.settings = settings;
    }

    pub fn described(&self) -> Described {
        Described {
            bytes: self.log.bytes(),
            log_start: self.log_start(),
            high_watermark: self.high_watermark(),
            end: self.log.end(),
            term: self.group.term(),
            leader: self.leader(),
        }
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.group.leader().map(|voter| voter.node)
    }

    /// Stand for election: at start, and when no leader was heard of for an election timeout.
    pub fn campaign(&mut self, world: &mut World<'_>) {
        if self.damaged || self.examined || self.stage == Stage::Leaving {
            return;
        }
        let mut todo = std::mem::take(&mut self.todo);
        self.group.campaign(&mut todo);
        self.carry_out(todo, world);
    }

    /// For a repair: all that recovery found may be read, though nobody leads. The replica takes part in nothing.
    pub fn examine(&mut self) {
        self.examined = true;
    }

    /// Take a question. It is answered once, now or later, by `world.answers`.
    pub fn ask(&mut self, ticket: Ticket, ask: Ask, world: &mut World<'_>) {
        if self.stage == Stage::Leaving {
            world.answers.push((ticket, Answer::Refused(Refusal::UnknownPartition)));
            return;
        }
        if let Ask::Describe = ask {
            world.answers.push((ticket, Answer::Described(self.described())));
            return;
        }
        if self.stage != Stage::Ready {
            self.parked.push((ticket, ask));
            self.load(world);
            return;
        }
        match ask {
            Ask::Append(append) => self.append(ticket, append, world),
            Ask::Read(read) => self.read(ticket, read, world),
            Ask::Watch { from, visibility, min_bytes, epoch } => {
                self.watch(ticket, from, visibility, min_bytes, epoch, world)
            }
            Ask::FindOffset { query, visibility, epoch } => self.find_offset(ticket, query, visibility, epoch, world),
            Ask::EpochEnd { asked, epoch } => self.epoch_end(ticket, asked, epoch, world),
            Ask::DeleteRecords { before } => self.delete_records(ticket, before, world),
            Ask::Describe => unreachable!("answered above"),
            Ask::Producers => world.answers.push((ticket, Answer::Producers(self.producers.active()))),
        }
    }

    /// The asker gave up waiting; the ticket is still answered once.
    pub fn cancel(&mut self, ticket: Ticket, world: &mut World<'_>) {
        if let Some(at) = self.parked.iter().position(|(parked, _)| *parked == ticket) {
            self.parked.remove(at);
            return world.answers.push((ticket, Answer::Ready));
        }
        self.waiting.cancel(ticket, world.answers);
    }

    /// Everything this replica gave the journal up to `ordinal` is durable.
    pub fn on_durable(&mut self, ordinal: Ordinal, world: &mut World<'_>) {
        let mut log_end = None;
        while self.promised.front().is_some_and(|(o, _)| *o <= ordinal) {
            let (_, promise) = self.promised.pop_front().expect("the front was just seen");
            if let Promise::Group(Durable::Log(point)) = promise {
                log_end = Some(point);
                continue;
            }
            if let Some(point) = log_end.take() {
                self.on_log_durable(point, world);
            }
            match promise {
                Promise::Group(what) => self.tell_group(what, world),
                Promise::Mark(mark) => self.log.on_marked(&mark),
            }
        }
        if let Some(point) = log_end {
            self.on_log_durable(point, world);
        }
    }

    fn on_log_durable(&mut self, point: Point, world: &mut World<'_>) {
        self.durable_end = self.durable_end.max(point.offset);
        self.waiting.on_durable(self.durable_end, world.answers);
        self.tell_group(Durable::Log(point), world);
    }

    fn tell_group(&mut self, what: Durable, world: &mut World<'_>) {
        let mut todo = std::mem::take(&mut self.todo);
        self.group.on_durable(what, &mut todo);
        self.carry_out(todo, world);
    }

    /// Carry out what the group decided. Gives the emptied list back for reuse.
    pub(crate) fn carry_out(&mut self, mut todo: Vec<Instruction>, world: &mut World<'_>) {
        for instruction in todo.drain(..) {
            match instruction {
                Instruction::PersistState { term, vote } => {
                    self.persist(Record::State { term, vote }, Durable::State { term, vote }, world)
                }
                Instruction::PersistLine { term, start } => {
                    let point = Point { term, offset: start };
                    self.journaled.history.push((term, start));
                    self.persist(Record::Line { term, start }, Durable::Log(point), world)
                }
                Instruction::PersistConfig(config) => {
                    let what = Durable::Config { term: config.term, version: config.version };
                    let record = Record::Config(crate::identity::write(self.partition, &config));
                    self.persist(record, what, world)
                }
                Instruction::PersistLogStart(start) => {
                    self.persist(Record::LogStart(start), Durable::LogStart(start), world)
                }
                Instruction::LogStartSafe(start) => self.on_log_start_safe(start, world),
                Instruction::Commit(offset) => self.on_commit(offset, world),
                Instruction::Became(role) => self.on_role(role, world),
                peers => self.carry_out_for_peers(peers, world),
            }
        }
        self.todo = todo;
    }

    fn persist(&mut self, record: Record, what: Durable, world: &mut World<'_>) {
        let ordinal = world.journal.append(self.number, record);
        self.promised.push_back((ordinal, Promise::Group(what)));
    }

    /// The high watermark moved.
    fn on_commit(&mut self, high_watermark: Offset, world: &mut World<'_>) {
        let mut bytes = 0;
        while self.uncommitted.front().is_some_and(|(next, _)| *next <= high_watermark) {
            bytes += self.uncommitted.pop_front().expect("the front was just seen").1;
        }
        self.ending.retain(|_, behind_marker| *behind_marker > high_watermark);
        self.waiting.on_commit(high_watermark, world.answers);
        self.waiting.on_visible(Visibility::HighWatermark, high_watermark, bytes, world.answers);
        let stable = self.last_stable();
        if stable > self.stable_told {
            // After a marker more becomes visible at once than was just committed; readers are then simply woken.
            let jumped = if stable == high_watermark { bytes } else { usize::MAX };
            self.stable_told = stable;
            self.waiting.on_visible(Visibility::LastStable, stable, jumped, world.answers);
        }
    }

    fn on_role(&mut self, role: Role, world: &mut World<'_>) {
        let serving = matches!(role, Role::Leader { serving: true });
        if !matches!(role, Role::Leader { .. }) {
            self.waiting.interrupt(self.leader(), self.epoch(), world.answers);
            self.line.interrupt(self.leader(), self.epoch(), world.answers);
            let interrupted = Refusal::Interrupted { leader: self.leader(), epoch: self.epoch() };
            for (ticket, _) in std::mem::take(&mut self.deletions) {
                refuse(ticket, interrupted.clone(), world);
            }
        }
        world.news.push(News::Leader {
            partition: self.partition,
            leader: self.leader(),
            epoch: self.epoch(),
            serving,
        });
    }

    /// Assert what must hold between the parts. Called after transitions in tests and by the simulator.
    pub fn check(&self) {
        self.group.check();
        assert!(self.group.commit() <= self.log.end(), "committed beyond the log's end");
        assert!(self.log.settled() <= self.group.commit() || self.damaged, "settled before it was committed");
        assert!(self.group.log_start() <= self.log.end(), "the log starts behind its end");
        assert!(self.last_stable() <= self.high_watermark());
    }
}

/// How a log is named on disk.
pub(crate) fn identity_of(owner: u32, replica: ReplicaNumber, store: u32) -> Identity {
    Identity { owner, replica, store }
}
