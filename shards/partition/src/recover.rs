//! How a replica comes to be: new, or from what the journal kept. State beside the segments is loaded on first use, so
//! that a start costs the journal's bytes and not the partitions' (RULES A, "Side file").

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use heddle_border::{Done, Failed};
use heddle_journal::{RecoveredReplica, ReplicaState};
use heddle_log::{Log, Output};
use heddle_model::{Offset, PartitionId, Point, ReplicaNumber, Term, TopicSettings, Voter};
use heddle_raft::{Config, Group, Restored};
use heddle_records::Header;

use crate::companion::{self, Settled};
use crate::looks::Looks;
use crate::producers::Producers;
use crate::read::Reads;
use crate::replica::{Journaled, News, Replica, Stage, Traffic, World, identity_of};
use crate::waiting::Waiting;
use crate::write::{Line, refuse};
use crate::{Refusal, identity};

/// Who a replica is, in its node and its group.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    pub partition: PartitionId,
    pub number: ReplicaNumber,
    /// The core's name for it in tokens and file ids.
    pub owner: u32,
    pub me: Voter,
}

impl Replica {
    /// A new, empty replica whose group has these voters. Its journal record is on its way when this returns.
    pub fn create(seat: Seat, voters: Vec<Voter>, settings: Arc<TopicSettings>, world: &mut World<'_>) -> Replica {
        Replica::begin(seat, voters, settings, false, world)
    }

    /// A replica that the journal should know and does not: empty and damaged, so that nobody takes it for an empty
    /// partition (RULES C).
    pub fn create_lost(seat: Seat, voters: Vec<Voter>, settings: Arc<TopicSettings>, world: &mut World<'_>) -> Replica {
        Replica::begin(seat, voters, settings, true, world)
    }

    fn begin(
        seat: Seat,
        voters: Vec<Voter>,
        settings: Arc<TopicSettings>,
        damaged: bool,
        world: &mut World<'_>,
    ) -> Replica {
        let config = Config { term: Term(0), version: 0, voters, learners: Vec::new() };
        let state = ReplicaState {
            placement: 0,
            term: Term(0),
            vote: None,
            history: vec![(Term(0), Offset::ZERO)],
            config: identity::write(seat.partition, &config),
            log_start: Offset::ZERO,
            commit: Offset::ZERO,
            mark: None,
            start: Point::default(),
        };
        if damaged {
            world.journal.restate_damaged(seat.number, state.clone(), Vec::new());
        } else {
            world.journal.create(seat.number, state.clone());
        }
        let log = Log::create(identity_of(seat.owner, seat.number, 0), Offset::ZERO);
        Replica::assemble(seat, &state, config, settings, log, damaged).expect("a new replica contradicts nothing")
    }

    /// A replica as the journal knows it. It takes part in its group at once, and loads the rest when asked for it.
    ///
    /// # Errors
    /// If the journal's opaque bytes are not what this room wrote: nothing is then known of whose replica it is.
    pub fn recover(seat: Seat, found: &RecoveredReplica, settings: Arc<TopicSettings>) -> Result<Replica, String> {
        let state = &found.state;
        let Some((partition, config)) = identity::read(state.config.clone()) else {
            return Err(format!("replica {}: its journal record does not say which partition it is", seat.number));
        };
        if partition != seat.partition {
            return Err(format!("replica {} belongs to {partition:?}, not to {:?}", seat.number, seat.partition));
        }
        let store = state.mark.as_ref().map_or(0, |mark| mark.store);
        let id = identity_of(seat.owner, seat.number, store);
        let log = Log::recover(id, state.log_start, state.mark.clone(), found.tail.clone());
        let mut replica = Replica::assemble(seat, state, config, settings, log, found.damaged)?;
        if replica.log.is_loaded() {
            replica.become_ready(Producers::default());
        }
        Ok(replica)
    }

    fn assemble(
        seat: Seat,
        state: &ReplicaState,
        config: Config,
        settings: Arc<TopicSettings>,
        log: Log,
        damaged: bool,
    ) -> Result<Replica, String> {
        // A damaged replica may have lost the record of its newest term; its membership names one.
        let term = if damaged { state.term.max(config.term) } else { state.term };
        let group = Group::restore(Restored {
            me: seat.me,
            term,
            vote: state.vote,
            history: state.history.clone(),
            config,
            commit: state.commit.min(log.end()).max(log.settled()),
            end: log.end(),
            log_start: state.log_start,
            may_vote: !damaged,
        })
        .map_err(|unsound| {
            format!("replica {}: what the journal holds of it contradicts itself: {unsound:?}", seat.number)
        })?;
        let stage = if log.is_loaded() { Stage::Ready } else { Stage::Unloaded };
        Ok(Replica {
            partition: seat.partition,
            number: seat.number,
            owner: seat.owner,
            me: seat.me,
            settings,
            durable_end: log.end(),
            stable_told: log.start(),
            settled_through: log.settled(),
            group,
            log,
            producers: Producers::default(),
            settled: Settled::default(),
            waiting: Waiting::default(),
            line: Line::default(),
            reads: Reads::default(),
            stage,
            load_failed: false,
            looks: Looks::default(),
            parked: Vec::new(),
            promised: VecDeque::new(),
            uncommitted: VecDeque::new(),
            ending: BTreeMap::new(),
            deletions: Vec::new(),
            damaged,
            examined: false,
            journaled: Journaled {
                placement: state.placement,
                mark: state.mark.clone(),
                start: state.start,
                history: state.history.clone(),
            },
            traffic: Traffic::default(),
            todo: Vec::new(),
        })
    }

    /// Read what lies beside the segments, if that was not done yet.
    pub fn load(&mut self, world: &mut World<'_>) {
        if self.stage == Stage::Unloaded {
            self.stage = Stage::Loading;
            self.log.load(world.effects);
        }
    }

    fn on_loaded(&mut self, parts: &[Bytes], world: &mut World<'_>) {
        if self.stage == Stage::Leaving {
            return;
        }
        match companion::read_all(parts) {
            Ok(producers) => {
                self.become_ready(producers);
                for (ticket, ask) in std::mem::take(&mut self.parked) {
                    self.ask(ticket, ask, world);
                }
            }
            Err(malformed) => self.on_load_failed(malformed.0.to_string(), world),
        }
    }

    fn on_load_failed(&mut self, why: String, world: &mut World<'_>) {
        if self.stage == Stage::Leaving {
            return;
        }
        self.stage = Stage::Unloaded;
        self.load_failed = true;
        self.report(format!("its segments cannot be opened: {why}"), world);
        for (ticket, _) in std::mem::take(&mut self.parked) {
            refuse(ticket, Refusal::Storage, world);
        }
    }

    /// `producers` is the state at the settled end; the tail's batches follow.
    fn become_ready(&mut self, producers: Producers) {
        self.stage = Stage::Ready;
        self.load_failed = false;
        self.settled = Settled::new(producers);
        self.settled_through = self.log.settled();
        self.retell_producers();
    }

    /// Producer state at the log's end, anew: state at the settled end, then the headers of the tail.
    pub(crate) fn retell_producers(&mut self) {
        self.producers = self.settled.producers().clone();
        self.ending.clear();
        let through = self.settled_through;
        let tail: Vec<Bytes> = self.log.tail().filter(|b| b.base >= through).map(|b| b.bytes.clone()).collect();
        for batch in tail {
            let header = Header::read(&batch).expect("the tail holds batches that were checked on their way in");
            self.take_into_producers(&header, &batch);
        }
    }

    /// A disk operation of this replica's log ended.
    pub fn on_disk(&mut self, seq: u32, result: Result<Done, Failed>, world: &mut World<'_>) {
        let mut outputs = Vec::new();
        self.log.on_disk(world.now, seq, result, world.effects, &mut outputs);
        self.take_outputs(outputs, world);
    }

    pub(crate) fn take_outputs(&mut self, outputs: Vec<Output>, world: &mut World<'_>) {
        for output in outputs {
            match output {
                Output::Loaded { companion } => self.on_loaded(&companion, world),
                Output::LoadFailed(why) => self.on_load_failed(why.to_string(), world),
                Output::Settled(mark) => self.on_settled(mark, world),
                Output::Read { id, result } => self.on_read(id, result, world),
                Output::Found { id, result } => self.on_found(id, result, world),
                Output::Trouble(fault) => self.report(format!("settling failed: {fault}{}", fault.remedy()), world),
                Output::Compacted => {}
                Output::CompactionFailed(why) => self.report(format!("compaction failed: {why}"), world),
                Output::Removed => world.news.push(News::Removed { replica: self.number }),
            }
        }
    }

    pub(crate) fn report(&self, what: String, world: &mut World<'_>) {
        world.news.push(News::Trouble { partition: self.partition, what });
    }

    /// Bounded housekeeping, a step a call: retention, removal of files below the start, forgotten producers.
    /// `retention_check_ms`: the least time between two looks of retention; 0: at each call.
    pub fn maintain(&mut self, retention_check_ms: u64, world: &mut World<'_>) {
        if self.stage == Stage::Leaving {
            // Under way, unless the disk refused it.
            return self.log.remove(world.effects);
        }
        if self.damaged {
            return;
        }
        if self.stage == Stage::Unloaded && (self.settings.cleanup_delete || self.settings.cleanup_compact) {
            // Retention and compaction also hold for partitions that nobody asks for.
            self.load(world);
        }
        if self.stage != Stage::Ready {
            return;
        }
        let gone = self.producers.expire(world.now.wall.0, self.settings.producer_id_expiration_ms);
        self.settled.forget(&gone);
        // Of compacted topics Kafka's cleaner deletes, too, at its own pace.
        let every_ms = if self.settings.cleanup_compact { 0 } else { retention_check_ms };
        if self.group.is_serving()
            && self.settings.cleanup_delete
            && self.looks.is_due(self.number, every_ms, world.now.mono)
            && let Some(start) = self.log.retention(world.now, &self.settings)
        {
            self.raise_log_start(start.min(self.group.commit()), world);
        }
        self.log.delete_below_start(world.now, &self.settings, world.effects);
        self.log.close_idle(world.effects);
    }

    /// The partition was deleted: answer everybody, leave the journal, remove the files.
    pub fn leave(&mut self, world: &mut World<'_>) {
        self.stage = Stage::Leaving;
        for (ticket, _) in std::mem::take(&mut self.parked) {
            refuse(ticket, Refusal::UnknownPartition, world);
        }
        for (ticket, _) in std::mem::take(&mut self.deletions) {
            refuse(ticket, Refusal::UnknownPartition, world);
        }
        self.waiting.interrupt(None, self.epoch(), world.answers);
        self.line.interrupt(None, self.epoch(), world.answers);
        self.refuse_searches(world);
        self.promised.clear();
        world.journal.gone(self.number);
        self.log.remove(world.effects);
    }
}
