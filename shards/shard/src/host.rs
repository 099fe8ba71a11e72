//! Gives a coordinator a partition (RULES F): appends its records, replays them at once, holds answers until what they
//! rest on is committed, drops everything when leadership ends, and loads the state when it begins.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_model::limits::BATCH_BYTES_MAX;
use heddle_model::{Mono, Now, Offset, PartitionId, ShardId, Ticket};
use heddle_partition as partition;
use heddle_records::{BatchBuilder, HEADER_BYTES, Header};

/// A partition that could not be read is read again after this. Milliseconds.
const RETRY_MS: u64 = 1_000;

/// A deterministic state machine whose records live in a partition.
pub trait Coordinator {
    type Ask;
    type Answer;

    /// The answer while the state is loading; when this replica does not lead, so that nothing was decided; and when
    /// leadership ended after the decision, which may or may not survive.
    fn loading() -> Self::Answer;
    fn not_coordinator() -> Self::Answer;
    fn interrupted() -> Self::Answer;

    /// Decides, changing nothing that `replay` changes.
    fn decide(&mut self, now: Now, ask: Self::Ask, ticket: Ticket, entropy: u128) -> Decided<Self::Answer>;
    fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String>;
    /// Called after the records of a decision were replayed: something for the house, at the commit of those records.
    fn after_replay(&mut self) -> Option<Self::Answer>;
    /// Work that time brings.
    fn tick(&mut self, now: Now, entropy: u128) -> Decided<Self::Answer>;
    fn next_deadline(&self) -> Option<Mono>;
    /// State anew, as before the first record. Gives the tickets that still wait for an answer.
    fn clear(&mut self) -> Vec<Ticket>;
    /// All records are replayed; deadlines start now.
    fn on_loaded(&mut self, now: Now);
    /// Nobody could be heard for a while: deadlines start anew.
    fn on_resumed(&mut self, now: Now);
}

pub struct Decided<A> {
    pub records: Vec<(Bytes, Option<Bytes>)>,
    pub answers: Vec<(Ticket, A)>,
}

/// An ask of the host to the partition under it, to be given to the replica by the house.
pub struct PartitionAsk {
    pub sequence: u64,
    pub ask: partition::Ask,
}

enum Stage {
    /// This replica does not lead.
    Down,
    /// It leads; the state is to be loaded, again from then on if that was refused.
    Leading {
        retry_at: Option<Mono>,
    },
    Loading {
        next: Offset,
    },
    Up,
    /// A record cannot be read: guessing would make replicas differ.
    Quarantined(String),
}

pub struct Host<C: Coordinator> {
    pub partition: PartitionId,
    pub coordinator: C,
    stage: Stage,
    /// Sequence of the newest append or read under way.
    sequence: u64,
    /// The newest append, and the newest that committed.
    appended: u64,
    committed: u64,
    /// Asks that the partition has not answered.
    under_way: usize,
    held: VecDeque<Held<C::Answer>>,
    /// Those that the coordinator waits for could not be heard.
    suspended: bool,
}

struct Held<A> {
    /// Leaves when this append has committed.
    after: u64,
    answers: Vec<(Ticket, A)>,
}

impl<C: Coordinator> Host<C> {
    pub fn new(partition: PartitionId, coordinator: C) -> Host<C> {
        Host {
            partition,
            coordinator,
            stage: Stage::Down,
            sequence: 0,
            appended: 0,
            committed: 0,
            under_way: 0,
            held: VecDeque::new(),
            suspended: false,
        }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    pub fn is_loading(&self) -> bool {
        matches!(self.stage, Stage::Loading { .. })
    }

    /// Whether the state stands here, or is on its way.
    pub fn is_leading(&self) -> bool {
        matches!(self.stage, Stage::Leading { .. } | Stage::Loading { .. } | Stage::Up)
    }

    /// Those that the coordinator waits for cannot be heard, or could not until now: what is due is not done. With the
    /// next ask or tick deadlines start anew, as they do with a new leader.
    pub fn suspend(&mut self) {
        self.suspended = self.is_up();
    }

    #[cfg(test)]
    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    fn resume(&mut self, now: Now) {
        if std::mem::take(&mut self.suspended) {
            self.coordinator.on_resumed(now);
        }
    }

    pub fn quarantine(&self) -> Option<&str> {
        match &self.stage {
            Stage::Quarantined(why) => Some(why),
            _ => None,
        }
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        match self.stage {
            Stage::Up => self.coordinator.next_deadline(),
            Stage::Leading { retry_at } => retry_at,
            Stage::Down | Stage::Loading { .. } | Stage::Quarantined(_) => None,
        }
    }

    /// The replica under this host began to lead and serves.
    pub fn on_leading(&mut self, answers: &mut Vec<(Ticket, C::Answer)>) {
        self.on_lost(answers);
        self.stage = Stage::Leading { retry_at: None };
    }

    /// Leadership ended: the state is dropped, everybody who waits is told.
    pub fn on_lost(&mut self, answers: &mut Vec<(Ticket, C::Answer)>) {
        for held in self.held.drain(..) {
            answers.extend(held.answers.into_iter().map(|(ticket, _)| (ticket, C::interrupted())));
        }
        answers.extend(self.coordinator.clear().into_iter().map(|ticket| (ticket, C::interrupted())));
        self.stage = Stage::Down;
        self.suspended = false;
        // What is still under way belongs to the past: its answers carry older sequences.
        self.sequence += 1;
        self.appended = self.sequence;
        self.committed = self.sequence;
    }

    /// Start replaying the partition from its beginning, if this was not done yet.
    pub fn load(&mut self, now: Now, log_start: Offset) -> Option<PartitionAsk> {
        if !matches!(self.stage, Stage::Leading { .. }) {
            return None;
        }
        if self.under_way > 0 {
            // What was appended before may still commit, and a replay must not miss it.
            self.load_later(now);
            return None;
        }
        self.stage = Stage::Loading { next: log_start };
        Some(self.read(log_start))
    }

    fn load_later(&mut self, now: Now) {
        self.stage = Stage::Leading { retry_at: Some(now.mono.plus_ms(RETRY_MS)) };
    }

    pub fn ask(
        &mut self,
        now: Now,
        ticket: Ticket,
        ask: C::Ask,
        entropy: u128,
        answers: &mut Vec<(Ticket, C::Answer)>,
    ) -> Option<PartitionAsk> {
        match self.stage {
            Stage::Up => {
                self.resume(now);
                let decided = self.coordinator.decide(now, ask, ticket, entropy);
                self.take(now, decided, answers)
            }
            Stage::Leading { .. } | Stage::Loading { .. } => {
                answers.push((ticket, C::loading()));
                None
            }
            Stage::Down | Stage::Quarantined(_) => {
                answers.push((ticket, C::not_coordinator()));
                None
            }
        }
    }

    /// Time has come: for the coordinator, or to load what could not be loaded.
    pub fn tick(
        &mut self,
        now: Now,
        log_start: Offset,
        entropy: u128,
        answers: &mut Vec<(Ticket, C::Answer)>,
    ) -> Option<PartitionAsk> {
        if !self.is_up() {
            return self.load(now, log_start);
        }
        self.resume(now);
        let decided = self.coordinator.tick(now, entropy);
        self.take(now, decided, answers)
    }

    /// Replay what was decided, hold its answers, and give the batch to append. A batch that no log takes is a decision
    /// that was not made: what the coordinator keeps beside its records may rest on it, so the state is loaded anew.
    fn take(
        &mut self,
        now: Now,
        decided: Decided<C::Answer>,
        answers: &mut Vec<(Ticket, C::Answer)>,
    ) -> Option<PartitionAsk> {
        let mut append = None;
        if !decided.records.is_empty() {
            let mut batch = BatchBuilder::new(now.wall.0);
            for (key, value) in &decided.records {
                batch.push(now.wall.0, Some(key), value.as_deref(), &[]);
            }
            let batch = batch.build();
            if batch.len() > BATCH_BYTES_MAX {
                answers.extend(decided.answers.into_iter().map(|(ticket, _)| (ticket, C::interrupted())));
                self.on_lost(answers);
                self.load_later(now);
                return None;
            }
            for (key, value) in &decided.records {
                if let Err(why) = self.coordinator.replay(key, value.as_deref()) {
                    panic!("a coordinator does not read what it decided itself: {why}");
                }
            }
            self.sequence += 1;
            self.appended = self.sequence;
            if let Some(news) = self.coordinator.after_replay() {
                let ticket = Ticket { home: ShardId::OUTSIDE, slot: 0, generation: 0, part: 0 };
                self.held.push_back(Held { after: self.appended, answers: vec![(ticket, news)] });
            }
            self.under_way += 1;
            append = Some(PartitionAsk {
                sequence: self.sequence,
                ask: partition::Ask::Append(partition::Append {
                    acks: partition::Acks::All,
                    batch,
                    zstd_allowed: true,
                    origin: partition::Origin::Coordinator,
                }),
            });
        }
        if !decided.answers.is_empty() {
            if self.committed == self.appended {
                answers.extend(decided.answers);
            } else {
                self.held.push_back(Held { after: self.appended, answers: decided.answers });
            }
        }
        append
    }

    /// The partition answered. Appends are answered in order, since the partition commits in order.
    pub fn on_answer(
        &mut self,
        now: Now,
        sequence: u64,
        answer: partition::Answer,
        answers: &mut Vec<(Ticket, C::Answer)>,
    ) -> Option<PartitionAsk> {
        self.under_way = self.under_way.checked_sub(1).expect("an ask is answered once");
        match (answer, &self.stage) {
            (partition::Answer::Appended(_), Stage::Up) if sequence > self.committed => {
                self.committed = sequence;
                while self.held.front().is_some_and(|held| held.after <= sequence) {
                    answers.extend(self.held.pop_front().expect("the front was just seen").answers);
                }
                None
            }
            (partition::Answer::Read(records), Stage::Loading { next }) if sequence == self.sequence => {
                let next = *next;
                self.on_records(now, next, records)
            }
            (partition::Answer::Refused(refusal), Stage::Up) if sequence > self.committed => {
                // The records are in our state but not in the log: the state is wrong, so it is loaded anew.
                self.on_lost(answers);
                if !matches!(refusal, partition::Refusal::Interrupted { .. } | partition::Refusal::NotLeader { .. }) {
                    self.load_later(now);
                }
                None
            }
            (partition::Answer::Refused(_), Stage::Loading { .. }) if sequence == self.sequence => {
                self.load_later(now);
                None
            }
            // An answer from before leadership changed.
            _ => None,
        }
    }

    fn on_records(&mut self, now: Now, from: Offset, records: partition::Records) -> Option<PartitionAsk> {
        let mut next = from;
        for part in &records.parts {
            for batch in heddle_records::batches(part) {
                match batch.map_err(|malformed| malformed.to_string()).and_then(|(h, b)| self.replay_batch(&h, b)) {
                    Ok(end) => next = end,
                    Err(why) => {
                        self.stage = Stage::Quarantined(format!("{why}, at or behind offset {next}"));
                        return None;
                    }
                }
            }
        }
        if next >= records.high_watermark || records.parts.is_empty() {
            self.stage = Stage::Up;
            self.coordinator.on_loaded(now);
            return None;
        }
        self.stage = Stage::Loading { next };
        Some(self.read(next))
    }

    fn replay_batch(&mut self, header: &Header, batch: &[u8]) -> Result<Offset, String> {
        if !header.is_control() {
            // Coordinators write their batches uncompressed.
            for record in heddle_records::records(&batch[HEADER_BYTES..], header.count) {
                let record = record.map_err(|malformed| malformed.to_string())?;
                let key = record.key.ok_or("a coordinator's record has no key")?;
                self.coordinator.replay(key, record.value)?;
            }
        }
        Ok(header.next_offset())
    }

    fn read(&mut self, from: Offset) -> PartitionAsk {
        self.sequence += 1;
        self.under_way += 1;
        self.appended = self.sequence;
        self.committed = self.sequence;
        PartitionAsk {
            sequence: self.sequence,
            ask: partition::Ask::Read(partition::Read {
                from,
                max_bytes: 1024 * 1024,
                at_least_one: true,
                visibility: partition::Visibility::HighWatermark,
                epoch: None,
                last_fetched: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
