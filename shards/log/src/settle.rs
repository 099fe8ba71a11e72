//! The way down: tail batches become spans of a segment and entries of its side file.
//!
//! ```text
//! settle      -> plan_round: whole batches into spans, the companion advanced
//! prepare     -> directories, files, names made durable (first round of a segment)
//! pump        -> space allocated ahead, then all writes of the round in parallel
//! on_round_written, all of this round and of those before it -> Output::Settled(mark)
//! on_marked   -> the tail's memory is free
//! ```
//!
//! A round that fails stops the rounds behind it. Once none of their writes is under way, the next `settle` forgets
//! them and plans one round that covers everything the companion has seen, with a snapshot.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_border::{Blocks, Effect, Fault};
use heddle_model::limits::SPAN_BYTES;
use heddle_model::{Now, Offset, TopicSettings};
use heddle_records::Header;

use crate::Log;
use crate::ask::{Companion, Output};
use crate::plan::Draft;
use crate::prepare::Stage;
use crate::segment::{Segment, SegmentKey, SpanKey};
use crate::side::Record;
use crate::tail::Tailed;

/// Spans that are written together with one side record, and marked by one mark.
pub(crate) struct Round {
    pub(crate) number: u64,
    pub(crate) record: Record,
    /// Taken when the writes start; a finished write brings its buffer back as shared bytes.
    pub(crate) buffers: Vec<Blocks>,
    pub(crate) written: Vec<(SpanKey, Bytes)>,
    pub(crate) end: Offset,
    pub(crate) log_end: u64,
    pub(crate) side_end: u64,
    pub(crate) chain: u32,
    pub(crate) issued: bool,
    pub(crate) left: usize,
    pub(crate) failed: bool,
}

/// A completed round whose mark is not known to be durable: its buffers wait to become cache.
pub(crate) struct Given {
    pub(crate) end: Offset,
    pub(crate) spans: Vec<(SpanKey, Bytes)>,
}

pub(crate) struct Settling {
    pub(crate) rounds: VecDeque<Round>,
    pub(crate) next_number: u64,
    /// Rounds cover the tail up to here.
    pub(crate) planned: Offset,
    /// The companion has seen everything below; beyond `planned` only after a failure.
    pub(crate) applied: Offset,
    /// Settled up to here, as far as this life of the process knows.
    pub(crate) given: Offset,
    pub(crate) waiting: VecDeque<Given>,
    pub(crate) failed: Option<Fault>,
    pub(crate) snapshot_due: bool,
    pub(crate) roll_due: bool,
    pub(crate) stage: Stage,
    pub(crate) preparing: bool,
    pub(crate) directory_exists: bool,
    pub(crate) allocated: u64,
    pub(crate) allocating: bool,
    /// The next allocation takes no more than is needed: a step was refused.
    pub(crate) frugal: bool,
    /// End of the rounds planned, and of the side records issued, in the segment's files.
    pub(crate) log_at: u64,
    pub(crate) side_at: u64,
    pub(crate) chain: u32,
    /// The chain behind what was given.
    pub(crate) given_chain: u32,
    /// The segment given up last: its name is not used again.
    pub(crate) abandoned: Option<SegmentKey>,
}

impl Settling {
    pub(crate) fn new(begin: Offset) -> Settling {
        Settling {
            rounds: VecDeque::new(),
            next_number: 0,
            planned: begin,
            applied: begin,
            given: begin,
            waiting: VecDeque::new(),
            failed: None,
            snapshot_due: true,
            roll_due: false,
            stage: Stage::Replicas,
            preparing: false,
            directory_exists: false,
            allocated: 0,
            allocating: false,
            frugal: false,
            log_at: 0,
            side_at: 0,
            chain: 0,
            given_chain: 0,
            abandoned: None,
        }
    }

    /// What lies below was handed to settling and is never truncated.
    pub(crate) fn end(&self) -> Offset {
        self.planned.max(self.applied)
    }

    pub(crate) fn given(&self) -> Offset {
        self.given
    }

    pub(crate) fn directory_exists(&mut self) {
        self.directory_exists = true;
    }

    /// Go on behind what the mark covers, in files that exist.
    pub(crate) fn resume(&mut self, segment: &Segment, chain: u32, allocated: u64) {
        (self.log_at, self.side_at) = (segment.bytes, segment.side_bytes);
        (self.chain, self.given_chain) = (chain, chain);
        (self.allocated, self.stage, self.snapshot_due) = (allocated, Stage::Made, false);
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.preparing || self.allocating || !self.rounds.is_empty()
    }

    pub(crate) fn take_marked(&mut self, upto: Offset) -> Vec<(SpanKey, Bytes)> {
        let mut spans = Vec::new();
        while let Some(given) = self.waiting.front()
            && given.end <= upto
        {
            spans.extend(self.waiting.pop_front().into_iter().flat_map(|given| given.spans));
        }
        spans
    }

    pub(crate) fn ask_roll(&mut self) {
        self.roll_due = true;
    }

    pub(crate) fn in_flight(&self) -> (usize, usize) {
        let spans = self.rounds.iter().flat_map(|round| &round.record.spans);
        spans.fold((0, 0), |(count, bytes), span| (count + 1, bytes + span.padded()))
    }

    /// Operations of rounds or of preparing them that a new plan would collide with.
    fn is_quiet(&self) -> bool {
        !self.preparing && !self.allocating && self.rounds.iter().all(|round| !round.issued || round.left == 0)
    }
}

impl Log {
    /// Whether `settle` with `force` would do something that arriving records alone do not ask for: start a new
    /// segment so that an expired one can go, or try again after trouble.
    pub fn wants_settle(&self) -> bool {
        self.settling.roll_due || self.settling.failed.is_some() || self.settling.applied > self.settling.planned
    }

    /// The last try to settle failed, and none was made since.
    pub fn has_trouble(&self) -> bool {
        self.settling.failed.is_some()
    }

    /// Write committed and locally durable batches below `upto` to the segment: full spans and what a segment ends with
    /// only, or with `force` all.
    /// Returns whether something was started; more may be possible after the next `Output::Settled`.
    pub fn settle(
        &mut self,
        now: Now,
        upto: Offset,
        force: bool,
        settings: &TopicSettings,
        companion: &mut dyn Companion,
        out: &mut Vec<Effect>,
    ) -> bool {
        if !self.is_loaded() || self.removal.is_asked() || !self.recover_from_failure(out) {
            return false;
        }
        let planned = self.settling.planned;
        let is_again = self.settling.applied > planned;
        let roll_due = self.settling.roll_due || (!is_again && self.rolling.ends_at(planned));
        let something = force || roll_due || is_again || self.rolling.ends_between(planned, upto);
        if !something && self.tail.bytes_between(self.settling.planned, upto) < SPAN_BYTES {
            return false;
        }
        let now_ms = self.clock.read(now).wall.0;
        let mut plan = self.plan(upto, force, settings);
        if roll_due || plan.roll || (self.active.is_none() && !plan.drafts.is_empty()) {
            if !self.settling.rounds.is_empty() {
                return false;
            }
            self.begin_segment();
            plan = self.plan(upto, force, settings);
        }
        if plan.drafts.is_empty() && !roll_due {
            return false;
        }
        self.plan_round(now_ms, &plan.drafts, companion);
        self.pump(out);
        true
    }

    /// Close the segment being written and begin the next at the settled end.
    fn begin_segment(&mut self) {
        let settling = &mut self.settling;
        let base = settling.given;
        assert_eq!(base, settling.planned, "a segment begins when all before it is settled");
        let old = self.active.as_ref().map(|active| active.key).or(settling.abandoned);
        let generation = old.filter(|old| old.base == base).map_or(0, |old| old.generation + 1);
        if let Some(closed) = self.active.take().filter(|active| active.side_bytes > 0) {
            self.sealed.push(closed);
        }
        self.active = Some(Segment::empty(SegmentKey { base, generation }));
        settling.stage = if settling.directory_exists { Stage::CreateLog } else { Stage::Replicas };
        (settling.log_at, settling.side_at, settling.chain, settling.allocated) = (0, 0, 0, 0);
        (settling.given_chain, settling.snapshot_due, settling.roll_due) = (0, true, false);
        self.rolling.begun(base);
    }

    fn plan_round(&mut self, now_ms: i64, drafts: &[Draft], companion: &mut dyn Companion) {
        let settling = &mut self.settling;
        let mut end = settling.planned;
        let mut record = Record { written_ms: now_ms, ..Record::default() };
        let mut buffers = Vec::with_capacity(drafts.len() + 1);
        for draft in drafts {
            for Tailed { batch, .. } in draft.batches(&self.tail) {
                if batch.base >= settling.applied {
                    let header = Header::read(&batch.bytes).expect("the tail read it when the batch was appended");
                    companion.apply(&header, &batch.bytes);
                }
            }
            let (span, blocks) = draft.build(&self.tail, settling.log_at);
            (settling.log_at, end) = (span.end(), span.next);
            record.spans.push(span);
            buffers.push(blocks);
        }
        if settling.snapshot_due {
            record.snapshot = Some(companion.snapshot());
        } else {
            record.changes = companion.changes();
        }
        settling.snapshot_due = false;
        assert!(end >= settling.applied, "one round covers everything the companion has seen");
        (settling.planned, settling.applied) = (end, end);
        settling.next_number += 1;
        settling.rounds.push_back(Round {
            number: settling.next_number,
            record,
            left: buffers.len() + 1,
            buffers,
            written: Vec::new(),
            end,
            log_end: settling.log_at,
            side_end: 0,
            chain: 0,
            issued: false,
            failed: false,
        });
    }

    /// Remember that settling failed; said once per failure, however many writes it hits.
    pub(crate) fn fail_settling(&mut self, fault: Fault, events: &mut Vec<Output>) {
        let known = self.settling.failed;
        if known.is_none() {
            events.push(Output::Trouble(fault));
        }
        if known.is_none_or(|known| known == Fault::NoSpace) {
            self.settling.failed = Some(fault);
        }
    }

    /// After a failure: forget the rounds that did not complete, and the segment with them unless only space was
    /// missing. Returns whether a plan can be made; not while old writes are under way, which could land on top of
    /// new ones.
    fn recover_from_failure(&mut self, out: &mut Vec<Effect>) -> bool {
        let Some(fault) = self.settling.failed else { return true };
        if !self.settling.is_quiet() {
            return false;
        }
        let settling = &mut self.settling;
        settling.rounds.clear();
        settling.failed = None;
        settling.frugal = false;
        settling.planned = settling.given;
        settling.snapshot_due = true;
        if fault == Fault::NoSpace && settling.stage == Stage::Made {
            let active = self.active.as_ref().expect("rounds fail in a segment");
            (settling.log_at, settling.side_at) = (active.bytes, active.side_bytes);
            settling.chain = settling.given_chain;
            return true;
        }
        self.abandon_segment(out);
        true
    }
}
