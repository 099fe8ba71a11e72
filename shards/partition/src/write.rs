//! The write path of a leader, top to bottom: append, then the journal makes it durable (`Replica::on_durable`), the
//! group commits it, and `waiting` answers.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_border::{Effect, Product, Token};
use heddle_journal::{Ordinal, Pressure, Record, ReplicaState};
use heddle_log::COMPACTION_WORK;
use heddle_model::{LeaderEpoch, Mark, NodeId, Now, Offset, Point, TailBatch, Ticket, TimestampType};
use heddle_raft::Durable;
use heddle_records::Header;

use crate::producers::Check;
use crate::replica::{Promise, Replica, Stage, World};
use crate::validate::{self, Fit, Verdict};
use crate::{Answer, Append, Appended, Origin, Refusal};

/// Batches that wait their turn because one before them is worked on off the turn: order of arrival is order of offsets.
#[derive(Default)]
pub(crate) struct Line {
    queue: VecDeque<Queued>,
    next_work: u32,
}

struct Queued {
    ticket: Ticket,
    append: Append,
    stage: QueuedStage,
}

enum QueuedStage {
    Ready(Fit),
    /// Waits for the work with this number.
    Working(u32),
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn interrupt(
        &mut self,
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
        answers: &mut Vec<(Ticket, Answer)>,
    ) {
        for queued in self.queue.drain(..) {
            // Nothing of it was appended: the client may safely send it to the new leader.
            answers.push((queued.ticket, Answer::Refused(Refusal::NotLeader { leader, epoch })));
        }
    }
}

impl Replica {
    /// Take one batch. Answered when it is as safe as `acks` asks, or refused.
    pub(crate) fn append(&mut self, ticket: Ticket, append: Append, world: &mut World<'_>) {
        if let Err(refusal) = self.may_append(&append, world) {
            world.answers.push((ticket, Answer::Refused(refusal)));
            return;
        }
        let verdict = validate::judge(&append, &self.settings, world.now);
        match verdict {
            Err(refusal) => world.answers.push((ticket, Answer::Refused(refusal))),
            Ok(Verdict::AsIs(fit)) if self.line.is_empty() => self.append_now(ticket, &append, fit, world),
            Ok(Verdict::AsIs(fit)) => {
                self.line.queue.push_back(Queued { ticket, append, stage: QueuedStage::Ready(fit) });
            }
            Ok(Verdict::Work(run)) => {
                let work = self.line.next_work;
                self.line.next_work = (work + 1) % COMPACTION_WORK;
                world.effects.push(Effect::Work { token: Token { owner: self.owner, seq: work }, run });
                self.line.queue.push_back(Queued { ticket, append, stage: QueuedStage::Working(work) });
            }
        }
    }

    /// Work done off the turn ended: a batch was recoded or its records were looked at.
    pub(crate) fn on_prepared(&mut self, work: u32, result: Option<Product>, world: &mut World<'_>) {
        let found = self.line.queue.iter().position(|q| matches!(q.stage, QueuedStage::Working(w) if w == work));
        // Not found: leadership ended meanwhile, and the ticket was answered then.
        let Some(at) = found else { return };
        match validate::prepared(result) {
            Ok((fit, recoded)) => {
                let queued = &mut self.line.queue[at];
                queued.stage = QueuedStage::Ready(fit);
                if let Some(batch) = recoded {
                    queued.append.batch = batch;
                }
            }
            Err(refusal) => {
                let queued = self.line.queue.remove(at).expect("the position was just found");
                world.answers.push((queued.ticket, Answer::Refused(refusal)));
            }
        }
        while let Some(Queued { stage: QueuedStage::Ready(fit), .. }) = self.line.queue.front() {
            let fit = *fit;
            let queued = self.line.queue.pop_front().expect("the front was just seen");
            match self.may_append(&queued.append, world) {
                Ok(()) => self.append_now(queued.ticket, &queued.append, fit, world),
                Err(refusal) => world.answers.push((queued.ticket, Answer::Refused(refusal))),
            }
        }
    }

    fn may_append(&self, append: &Append, world: &World<'_>) -> Result<(), Refusal> {
        if self.damaged {
            return Err(Refusal::Storage);
        }
        if !self.group.is_serving() {
            return Err(self.not_serving());
        }
        match (world.journal.pressure_with(append.batch.len()), append.origin) {
            (Pressure::Broken, _) | (Pressure::ControlOnly, Origin::Client) => Err(Refusal::Storage),
            _ => Ok(()),
        }
    }

    fn append_now(&mut self, ticket: Ticket, append: &Append, fit: Fit, world: &mut World<'_>) {
        let header = Header::read(&append.batch).expect("its header was judged");
        if header.has_producer() && !header.is_control() {
            match self.producers.check(&header) {
                Check::Next => {}
                Check::Duplicate(first) => {
                    let answer = Appended {
                        base: first.base,
                        append_time: self.append_time(first.timestamp),
                        ..self.appended()
                    };
                    // A duplicate is not answered before its first copy is safe (trap 33).
                    self.await_safety(ticket, append, first.next, answer, world);
                    return;
                }
                Check::OutOfOrder => return refuse(ticket, Refusal::OutOfOrderSequence, world),
                Check::StaleEpoch => return refuse(ticket, Refusal::StaleProducerEpoch, world),
            }
        }
        let base = self.log.end();
        let next = base.plus(i64::from(header.last_offset_delta) + 1);
        let term = self.group.term();
        let batch = self.stamp(append, fit, base, term.epoch(), world);
        let header = Header::read(&batch).expect("a batch that was just stamped reads back");
        self.take_into_producers(&header, &batch);

        let bytes = batch.len();
        self.traffic.received_bytes += bytes as u64;
        self.traffic.received_records += u64::try_from(header.count).unwrap_or(0);
        let batch = TailBatch { term, base, next, bytes: batch };
        self.log.append(batch.clone());
        let ordinal = world.journal.append(self.number, Record::Append(batch, self.group.commit()));
        self.promised.push_back((ordinal, Promise::Group(Durable::Log(Point { term, offset: next }))));
        self.uncommitted.push_back((next, bytes));

        let answer = Appended { base, append_time: self.append_time(header.max_timestamp), ..self.appended() };
        self.await_safety(ticket, append, next, answer, world);
        let mut todo = std::mem::take(&mut self.todo);
        self.group.appended(next, &mut todo);
        self.carry_out(todo, world);
    }

    /// The broker's own copy of the batch, with everything the broker writes into it.
    fn stamp(&self, append: &Append, fit: Fit, base: Offset, epoch: LeaderEpoch, world: &World<'_>) -> Bytes {
        let mut batch = append.batch.to_vec();
        heddle_records::set_base_offset(&mut batch, base);
        heddle_records::set_leader_epoch(&mut batch, epoch);
        match (append.origin, self.settings.timestamp_type) {
            (Origin::Coordinator, _) => {}
            (Origin::Client, TimestampType::LogAppendTime) => {
                heddle_records::set_append_time(&mut batch, world.now.wall.0);
            }
            (Origin::Client, TimestampType::CreateTime) => {
                heddle_records::set_create_time(&mut batch, fit.max_timestamp);
            }
        }
        Bytes::from(batch)
    }

    pub(crate) fn take_into_producers(&mut self, header: &Header, batch: &[u8]) {
        if !header.has_producer() {
            return;
        }
        let marker = if header.is_control() { heddle_records::marker_kind(batch) } else { None };
        let open = self.producers.get(header.producer_id).and_then(|p| p.transaction_start);
        if let (Some(_), Some(start)) = (&marker, open) {
            self.ending.insert(start, header.next_offset());
        }
        self.producers.apply(header, marker);
    }

    fn await_safety(&mut self, ticket: Ticket, append: &Append, next: Offset, answer: Appended, world: &mut World<'_>) {
        self.waiting.produce(ticket, append.acks, next, answer);
        // A duplicate may find its first copy long safe.
        if next <= self.durable_end {
            self.waiting.on_durable(self.durable_end, world.answers);
        }
        if next <= self.group.commit() {
            self.waiting.on_commit(self.group.commit(), world.answers);
        }
    }

    fn appended(&self) -> Appended {
        Appended { base: Offset(-1), append_time: None, log_start: self.log_start() }
    }

    fn append_time(&self, timestamp: i64) -> Option<i64> {
        (self.settings.timestamp_type == TimestampType::LogAppendTime).then_some(timestamp)
    }

    pub(crate) fn not_serving(&self) -> Refusal {
        match self.group.leader() {
            Some(leader) if leader == self.me => Refusal::NotServing { epoch: self.epoch() },
            leader => Refusal::NotLeader { leader: leader.map(|voter| voter.node), epoch: self.epoch() },
        }
    }

    /// Write the oldest committed batches behind the journal. `force`: also less than a full span.
    /// Returns whether something was started.
    pub fn settle(&mut self, force: bool, world: &mut World<'_>) -> bool {
        if self.stage != Stage::Ready {
            if self.stage == Stage::Unloaded && force {
                self.load(world);
            }
            return false;
        }
        let upto = if self.damaged { return false } else { self.group.commit().min(self.durable_end) };
        let before = self.log.settling();
        self.log.want_digests(self.settings.cleanup_compact && self.is_alone());
        let started = self.log.settle(world.now, upto, force, &self.settings, &mut self.settled, world.effects);
        self.settled_through = self.settled_through.max(self.log.settling());
        debug_assert!(self.log.settling() >= before);
        started
    }

    /// Find where segments end in what was appended since the last call.
    pub fn find_segment_ends(&mut self, now: Now) {
        self.log.find_segment_ends(now, &self.settings);
    }

    /// Whether a settle without force would find something to write: a full span, or the end of a segment.
    pub fn has_full_span(&self) -> bool {
        self.log.unsettled_bytes() >= heddle_model::limits::SPAN_BYTES || self.log.is_roll_waiting()
    }

    /// Whether a forced settle is due though no record asks for it: after trouble, or to close a segment that may go.
    pub fn wants_settle(&self) -> bool {
        match self.stage {
            Stage::Ready => !self.damaged && self.log.wants_settle(),
            // The tail waits for a load that failed: that is tried again, but paced.
            Stage::Unloaded | Stage::Loading => self.load_failed && !self.damaged && self.log.tail_bytes() > 0,
            Stage::Leaving => false,
        }
    }

    /// The last try to settle failed.
    pub fn has_trouble(&self) -> bool {
        self.log.has_trouble()
    }

    /// Write the whole state and tail into the journal anew, so that its oldest file can be reused. Everything given to
    /// the journal so far is repeated, also what is not durable yet: the restatement supersedes it.
    /// Gives the ordinal at which that is durable; nothing is written for a replica that leaves.
    pub fn restate(&mut self, world: &mut World<'_>) -> Option<Ordinal> {
        if self.stage == Stage::Leaving {
            return None;
        }
        let state = ReplicaState {
            placement: self.journaled.placement,
            term: self.group.term(),
            vote: self.group.vote(),
            history: self.journaled.history.clone(),
            config: crate::identity::write(self.partition, self.group.config()),
            log_start: self.group.log_start(),
            commit: self.group.commit(),
            mark: self.journaled.mark.clone(),
            start: self.journaled.start,
        };
        let settled = state.mark.as_ref().map_or(Offset::ZERO, |mark| mark.offset);
        let tail: Vec<TailBatch> = self.log.tail().filter(|batch| batch.base >= settled).cloned().collect();
        Some(if self.damaged {
            world.journal.restate_damaged(self.number, state, tail)
        } else {
            world.journal.restate(self.number, state, tail)
        })
    }

    pub(crate) fn on_settled(&mut self, mark: Mark, world: &mut World<'_>) {
        if self.stage == Stage::Leaving {
            // The journal has been told that the replica is gone; what was settled goes with its files.
            return;
        }
        self.journaled.mark = Some(mark.clone());
        let ordinal = world.journal.append(self.number, Record::Mark(mark.clone()));
        self.promised.push_back((ordinal, Promise::Mark(mark)));
    }

    /// DeleteRecords and retention: raise the log start. `None` is the high watermark.
    pub(crate) fn delete_records(&mut self, ticket: Ticket, before: Option<Offset>, world: &mut World<'_>) {
        let high_watermark = self.high_watermark();
        let refusal = if self.damaged {
            Some(Refusal::Storage)
        } else if !self.group.is_serving() {
            Some(self.not_serving())
        } else if self.settings.cleanup_compact && !self.settings.cleanup_delete {
            Some(Refusal::PolicyViolation)
        } else if before.is_some_and(|o| o > high_watermark || o < Offset::ZERO) {
            Some(Refusal::OffsetOutOfRange { log_start: self.log_start(), high_watermark })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return refuse(ticket, refusal, world);
        }
        let start = before.unwrap_or(high_watermark);
        self.deletions.push((ticket, start));
        self.raise_log_start(start, world);
        self.answer_deletions(world);
    }

    pub(crate) fn raise_log_start(&mut self, start: Offset, world: &mut World<'_>) {
        let mut todo = std::mem::take(&mut self.todo);
        self.group.set_log_start(start, &mut todo);
        self.carry_out(todo, world);
    }

    /// The log start is durable on a majority: only now it is answered, and files below it may go.
    pub(crate) fn on_log_start_safe(&mut self, start: Offset, world: &mut World<'_>) {
        self.log.set_start(start);
        self.answer_deletions(world);
    }

    fn answer_deletions(&mut self, world: &mut World<'_>) {
        let durable = self.log.start();
        let low = Answer::LowWatermark(durable);
        self.deletions.retain(|(ticket, start)| {
            if *start <= durable {
                world.answers.push((*ticket, low.clone()));
            }
            *start > durable
        });
    }
}

pub(crate) fn refuse(ticket: Ticket, refusal: Refusal, world: &mut World<'_>) {
    world.answers.push((ticket, Answer::Refused(refusal)));
}
