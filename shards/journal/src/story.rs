//! One replica's story as replay reads it: its shadow and its tail, and where either has a gap.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_model::{Offset, TailBatch};

use crate::format::Row;
use crate::record::{Body, Ordinal, Record, ReplicaState};
use crate::report::RecoveredReplica;
use crate::shadow::Shadow;

/// Batches that follow a lost one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Hole {
    /// The first batch after, or instead of, what was lost.
    from: Offset,
    /// A mark from here on shows that the lost batch is settled.
    settled_at: Offset,
}

#[derive(Debug)]
pub(crate) struct Story {
    pub shadow: Shadow,
    tail: VecDeque<TailBatch>,
    staged: Vec<TailBatch>,
    holes: Vec<Hole>,
    /// Records of it are missing, batches perhaps; the next batch shows where.
    gap: bool,
    /// Batches at the tail's front that a lost truncation may have cut.
    doubtful: usize,
    /// A frame was lost in which it may or may not have had a record.
    pub suspect: bool,
    /// Its state at the start of replay is known.
    pub based: bool,
    /// Batches at the tail's front may stand where nothing can be read: in a file before the one that replay began with,
    /// or in the part of an opening that was lost.
    pub unsure: bool,
}

impl Story {
    pub fn new(shadow: Shadow, based: bool) -> Story {
        let (tail, staged, holes) = (VecDeque::new(), Vec::new(), Vec::new());
        Story { shadow, tail, staged, holes, gap: false, doubtful: 0, suspect: false, based, unsure: false }
    }

    /// Check that a record follows the last one seen; if not, records are missing.
    pub fn expect(&mut self, ordinal: Ordinal) {
        if ordinal != self.shadow.ordinal.next() {
            self.miss();
        }
        self.suspect = false;
    }

    /// Records are missing here.
    pub fn miss(&mut self) {
        self.shadow.damaged = true;
        self.gap = true;
        self.doubtful = self.tail.len();
        self.suspect = false;
    }

    /// A record is here, but its payload is not what its row names.
    pub fn lose(&mut self, row: &Row) {
        self.shadow.damaged = true;
        self.shadow.ordinal = row.ordinal;
        if row.is_append() {
            self.holes.push(Hole { from: row.base(), settled_at: row.base().plus(1) });
        } else {
            self.gap = true;
            self.doubtful = self.tail.len();
        }
    }

    pub fn apply(&mut self, ordinal: Ordinal, body: Body, file: u64) {
        let applied = self.shadow.apply(ordinal, &body, file);
        // An unknown beginning may be told later, but not the beginning of a restatement.
        if !applied && (self.based || matches!(body, Body::Batch(_))) {
            self.shadow.damaged = true;
        }
        match body {
            Body::Record(record) => self.apply_record(record),
            Body::Restate { .. } => {
                self.staged.clear();
                self.complete_restatement();
            }
            Body::Batch(batch) => {
                self.staged.push(batch);
                self.complete_restatement();
            }
            Body::Gone | Body::Shadow(_) | Body::ShadowBatch(_) => {}
        }
    }

    fn apply_record(&mut self, record: Record) {
        match record {
            Record::Append(batch, _) => {
                if std::mem::take(&mut self.gap) {
                    // Among what is missing may be a truncation.
                    self.cut(batch.base);
                    self.holes.push(Hole { from: batch.base, settled_at: batch.base });
                }
                self.tail.push_back(batch);
            }
            Record::Truncate { to, .. } => self.cut(to),
            Record::Mark(mark) => self.on_mark(mark.offset),
            Record::State { .. } | Record::Line { .. } | Record::Config(_) | Record::LogStart(_) => {}
        }
    }

    fn cut(&mut self, to: Offset) {
        while self.tail.back().is_some_and(|last| last.base >= to) {
            self.tail.pop_back();
        }
        self.holes.retain(|hole| hole.from < to);
        self.doubtful = self.doubtful.min(self.tail.len());
    }

    /// What is settled beyond a gap need not continue what was read before it.
    fn on_mark(&mut self, offset: Offset) {
        self.tail.drain(..std::mem::take(&mut self.doubtful));
        self.settle(offset);
    }

    fn settle(&mut self, offset: Offset) {
        while self.tail.front().is_some_and(|first| first.next <= offset) {
            self.tail.pop_front();
        }
        self.holes.retain(|hole| hole.settled_at > offset);
    }

    fn complete_restatement(&mut self) {
        if self.shadow.staged.is_none() && self.shadow.state.is_some() {
            self.tail = std::mem::take(&mut self.staged).into();
            self.holes.clear();
            self.gap = false;
            self.doubtful = 0;
            self.based = true;
            self.unsure = false;
        }
    }

    /// A batch of a checkpoint that carries tails. If replay began before that checkpoint, the tail may hold it already.
    pub fn add(&mut self, batch: TailBatch, file: u64) {
        let at = self.tail.partition_point(|known| known.base < batch.base);
        if self.tail.get(at).is_some_and(|known| known.base == batch.base) {
            return;
        }
        self.doubtful += usize::from(at < self.doubtful);
        self.shadow.add_extent(&batch, file);
        self.tail.insert(at, batch);
    }

    /// A batch of a checkpoint that carries tails cannot be read.
    pub fn lose_stated(&mut self, row: &Row) {
        if !self.tail.iter().any(|known| known.base == row.base()) {
            self.shadow.damaged = true;
            self.holes.push(Hole { from: row.base(), settled_at: row.base().plus(1) });
        }
    }

    /// A checkpoint states this. Disagreement means that records are missing.
    pub fn compare(&mut self, stated: Shadow) {
        if self.based && self.shadow.agrees(&stated) {
            self.shadow.damaged |= stated.damaged;
            if stated.staged.is_none() {
                // A later run does not continue a restatement that was incomplete at its start.
                self.shadow.staged = None;
                self.staged.clear();
            }
        } else {
            if self.based || self.shadow.ordinal != stated.ordinal {
                self.miss();
            }
            let before = self.shadow.mark();
            self.shadow.adopt(stated);
            if let Some(mark) = self.shadow.mark().filter(|mark| before != Some(*mark)) {
                self.on_mark(mark);
            }
            self.based = true;
        }
        self.suspect = false;
    }

    /// Own the memory of all batches that lie in `image`, so that it can be dropped.
    pub fn detach(&mut self, image: &Bytes) {
        let range = image.as_ptr_range();
        for batch in self.tail.iter_mut().chain(&mut self.staged) {
            if range.contains(&batch.bytes.as_ptr()) {
                batch.bytes = Bytes::copy_from_slice(&batch.bytes);
            }
        }
    }

    /// The end. A restatement that is incomplete now stays so: it never happened. `doubt`: something in this journal could
    /// not be read, so that a tail that does not begin at the settled end, or has a gap, has lost batches.
    pub fn finish(mut self, doubt: bool) -> Finished {
        self.shadow.damaged |= self.suspect || !self.based;
        self.shadow.staged = None;
        let Some(mut state) = self.shadow.state.clone() else {
            self.shadow.forget_extents();
            return if self.shadow.damaged { Finished::Unknown(Box::new(self.shadow)) } else { Finished::Never };
        };
        let settled = state.mark.as_ref().map_or(state.start.offset, |mark| mark.offset);
        self.settle(settled);
        self.shadow.damaged |= self.unsure && self.tail.is_empty();
        let gap = self.first_gap(settled).filter(|_| doubt || self.shadow.damaged);
        self.shadow.damaged |= gap.is_some();
        let cut = self.holes.iter().map(|hole| hole.from).chain(gap).min();
        let cut = cut.filter(|from| self.tail.iter().any(|batch| batch.base >= *from));
        self.tail.retain(|batch| cut.is_none_or(|from| batch.base < from));
        if self.shadow.damaged {
            let end = self.tail.back().map_or(settled, |last| last.next.max(settled));
            fit(&mut state, end);
        }
        let damaged = self.shadow.damaged;
        let recovered = Box::new(RecoveredReplica { state, tail: self.tail.into(), damaged });
        Finished::Known { shadow: Box::new(self.shadow), recovered, cut }
    }

    /// Where the batches do not follow the settled end, or each other, without a gap.
    fn first_gap(&self, settled: Offset) -> Option<Offset> {
        let mut end = settled;
        for batch in &self.tail {
            if batch.base > end {
                return Some(end);
            }
            end = end.max(batch.next);
        }
        None
    }
}

/// Make the state of a damaged replica fit what is left of its log, which ends at `end`: later lines of its history name
/// terms of which nothing is left, and whoever wrote a line was in its term.
fn fit(state: &mut ReplicaState, end: Offset) {
    let end = end.max(state.log_start);
    let lines = state.history.iter().take_while(|(_, start)| *start <= end).count();
    state.history.truncate(lines.max(1));
    if let Some((term, _)) = state.history.last()
        && *term > state.term
    {
        // What it promised in that term is lost.
        (state.term, state.vote) = (*term, None);
    }
}

/// How a replica's story ends.
pub(crate) enum Finished {
    /// `cut`: batches from here on follow a lost one and are not given back.
    Known { shadow: Box<Shadow>, recovered: Box<RecoveredReplica>, cut: Option<Offset> },
    /// Damage left nothing of its state.
    Unknown(Box<Shadow>),
    /// Its first statement was never complete.
    Never,
}
