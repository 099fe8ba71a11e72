//! A replica as its durable records tell it: changed by `apply` only, which live operation and replay share.

use std::collections::VecDeque;

use heddle_model::{Offset, TailBatch};

use crate::record::{Body, Ordinal, Record, ReplicaState};

/// Unsettled batches of one replica in one file of the ring: they pin it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    /// The file's sequence.
    pub file: u64,
    /// Offset of the first of them, and after the last.
    pub base: Offset,
    pub next: Offset,
}

/// A restatement whose tail is not complete yet.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Staged {
    pub state: Box<ReplicaState>,
    /// Batches still to come.
    pub missing: u32,
    /// The replica stays damaged with it.
    pub damaged: bool,
    extents: VecDeque<Extent>,
    /// The file in which it, or this knowledge of it, begins.
    file: u64,
}

impl Staged {
    pub fn new(state: ReplicaState, missing: u32, damaged: bool, file: u64) -> Staged {
        Staged { state: Box::new(state), missing, damaged, extents: VecDeque::new(), file }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shadow {
    /// The last record that is applied.
    pub ordinal: Ordinal,
    /// `None` until the first restatement is complete.
    pub state: Option<ReplicaState>,
    pub staged: Option<Staged>,
    /// It lost records: what it promised is not known for certain. Only a restatement ends this, if it says so.
    pub damaged: bool,
    extents: VecDeque<Extent>,
}

impl Shadow {
    pub fn empty(ordinal: Ordinal) -> Shadow {
        Shadow::stated(ordinal, None, None, false)
    }

    /// As a checkpoint states it, where its batches stand not yet known.
    pub fn stated(ordinal: Ordinal, state: Option<ReplicaState>, staged: Option<Staged>, damaged: bool) -> Shadow {
        Shadow { ordinal, state, staged, damaged, extents: VecDeque::new() }
    }

    /// Take one record that stands in file `file`. False: it cannot follow what came before, which is damage in replay
    /// and our bug live.
    #[must_use]
    pub fn apply(&mut self, ordinal: Ordinal, body: &Body, file: u64) -> bool {
        self.ordinal = ordinal;
        match body {
            Body::Record(record) => self.apply_record(record, file),
            Body::Restate { state, batches, damaged } => {
                self.staged = Some(Staged::new((**state).clone(), *batches, *damaged, file));
                self.complete_restatement();
                true
            }
            Body::Batch(batch) => self.apply_staged(batch, file),
            // The owner of the shadows drops this one.
            Body::Gone => true,
            Body::Shadow(_) | Body::ShadowBatch(_) => false,
        }
    }

    fn apply_record(&mut self, record: &Record, file: u64) -> bool {
        if let Some(state) = &mut self.state {
            state.apply(record);
        }
        match record {
            Record::Append(batch, _) => extend(&mut self.extents, batch, file),
            Record::Truncate { to, .. } => self.cut(*to),
            Record::Mark(mark) => self.settle(mark.offset),
            Record::State { .. } | Record::Line { .. } | Record::Config(_) | Record::LogStart(_) => {}
        }
        self.state.is_some()
    }

    fn apply_staged(&mut self, batch: &TailBatch, file: u64) -> bool {
        let Some(staged) = &mut self.staged else { return false };
        let Some(missing) = staged.missing.checked_sub(1) else { return false };
        staged.missing = missing;
        extend(&mut staged.extents, batch, file);
        self.complete_restatement();
        true
    }

    fn complete_restatement(&mut self) {
        if let Some(staged) = self.staged.take_if(|staged| staged.missing == 0) {
            self.state = Some(*staged.state);
            self.extents = staged.extents;
            self.damaged = staged.damaged;
        }
    }

    fn cut(&mut self, to: Offset) {
        while self.extents.back().is_some_and(|last| last.base >= to) {
            self.extents.pop_back();
        }
        if let Some(last) = self.extents.back_mut() {
            last.next = last.next.min(to);
        }
    }

    fn settle(&mut self, offset: Offset) {
        while self.extents.front().is_some_and(|first| first.next <= offset) {
            self.extents.pop_front();
        }
    }

    /// Everything below is settled.
    pub fn mark(&self) -> Option<Offset> {
        Some(self.state.as_ref()?.mark.as_ref()?.offset)
    }

    /// A batch of the tail that stands in file `file` of a checkpoint.
    pub fn add_extent(&mut self, batch: &TailBatch, file: u64) {
        extend(&mut self.extents, batch, file);
    }

    /// Forget where the tail stands: a checkpoint that carries tails says it anew.
    pub fn forget_extents(&mut self) {
        self.extents.clear();
    }

    /// The oldest file that this replica still needs.
    pub fn pins(&self) -> Option<u64> {
        let tail = self.extents.front().map(|extent| extent.file);
        let staged = self.staged.as_ref().map(|staged| staged.file);
        tail.into_iter().chain(staged).min()
    }

    /// Believe what a checkpoint states; where the batches stand is known here only.
    pub fn adopt(&mut self, stated: Shadow) {
        self.ordinal = stated.ordinal;
        self.state = stated.state;
        self.damaged |= stated.damaged;
        if self.staged.as_ref().map(|staged| staged.missing) != stated.staged.as_ref().map(|staged| staged.missing) {
            self.staged = stated.staged;
        }
    }

    /// Does a checkpoint state the same? Where the batches stand is not compared, and a checkpoint may leave an incomplete
    /// restatement out.
    pub fn agrees(&self, stated: &Shadow) -> bool {
        let staged = |shadow: &Shadow| shadow.staged.as_ref().map(|staged| (staged.state.clone(), staged.missing));
        self.ordinal == stated.ordinal
            && self.state == stated.state
            && (stated.staged.is_none() || staged(self) == staged(stated))
    }
}

fn extend(extents: &mut VecDeque<Extent>, batch: &TailBatch, file: u64) {
    match extents.back_mut() {
        Some(last) if last.file == file => last.next = last.next.max(batch.next),
        _ => extents.push_back(Extent { file, base: batch.base, next: batch.next }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use heddle_model::{Mark, Point, Term};

    use super::*;

    fn state() -> ReplicaState {
        ReplicaState {
            placement: 1,
            term: Term(1),
            vote: None,
            history: vec![(Term(1), Offset(0))],
            config: Bytes::from_static(b"c"),
            log_start: Offset(0),
            commit: Offset(0),
            mark: None,
            start: Point::default(),
        }
    }

    fn batch(base: i64, next: i64) -> TailBatch {
        TailBatch { term: Term(1), base: Offset(base), next: Offset(next), bytes: Bytes::new() }
    }

    fn append(base: i64, next: i64) -> Body {
        Body::Record(Record::Append(batch(base, next), Offset(base)))
    }

    fn mark(offset: i64) -> Body {
        let segment = Offset(0);
        let mark = Mark { offset: Offset(offset), store: 0, segment, generation: 0, segment_bytes: 0, side_bytes: 0 };
        Body::Record(Record::Mark(mark))
    }

    fn run(bodies: &[(Body, u64)]) -> Shadow {
        let mut shadow = Shadow::empty(Ordinal(0));
        let create = Body::Restate { state: Box::new(state()), batches: 0, damaged: false };
        assert!(shadow.apply(Ordinal(1), &create, 1));
        for (at, (body, file)) in bodies.iter().enumerate() {
            assert!(shadow.apply(Ordinal(at as u64 + 2), body, *file));
        }
        shadow
    }

    #[test]
    fn an_empty_tail_pins_nothing() {
        assert_eq!(run(&[]).pins(), None);
    }

    #[test]
    fn files_are_pinned_until_their_batches_are_marked() {
        let appends = [(append(0, 10), 1), (append(10, 20), 1), (append(20, 30), 2)];
        assert_eq!(run(&appends).pins(), Some(1));
        assert_eq!(run(&[&appends[..], &[(mark(19), 2)]].concat()).pins(), Some(1));
        assert_eq!(run(&[&appends[..], &[(mark(20), 2)]].concat()).pins(), Some(2));
        assert_eq!(run(&[&appends[..], &[(mark(30), 2)]].concat()).pins(), None);
    }

    #[test]
    fn a_truncation_frees_what_it_cuts_and_later_batches_pin_again() {
        let cut = |to| Body::Record(Record::Truncate { to: Offset(to), lines: 1 });
        let steps = [(append(0, 10), 1), (append(10, 20), 2), (cut(5), 2)];
        assert_eq!(run(&[&steps[..], &[(mark(5), 2)]].concat()).pins(), None);
        assert_eq!(run(&[&steps[..], &[(append(5, 9), 3), (mark(5), 3)]].concat()).pins(), Some(3));
        assert_eq!(run(&[(append(0, 10), 1), (cut(0), 1)]).pins(), None);
    }

    #[test]
    fn a_restatement_counts_when_complete() {
        let restate =
            Body::Restate { state: Box::new(ReplicaState { term: Term(5), ..state() }), batches: 2, damaged: false };
        let steps = [(append(0, 10), 1), (restate, 3), (Body::Batch(batch(0, 10)), 3)];
        let half = run(&steps);
        assert_eq!((half.pins(), half.state.as_ref().unwrap().term), (Some(1), Term(1)));
        let whole = run(&[&steps[..], &[(Body::Batch(batch(10, 12)), 4)]].concat());
        assert_eq!((whole.pins(), whole.state.as_ref().unwrap().term), (Some(3), Term(5)));
    }

    #[test]
    fn damage_outlives_a_restatement_that_only_moves_bytes() {
        let mut shadow = run(&[]);
        for damaged in [true, false] {
            let restate = Body::Restate { state: Box::new(state()), batches: 0, damaged };
            shadow.damaged = true;
            assert!(shadow.apply(Ordinal(2), &restate, 2));
            assert_eq!(shadow.damaged, damaged);
        }
    }

    #[test]
    fn what_cannot_follow_is_refused() {
        let mut shadow = Shadow::empty(Ordinal(0));
        assert!(!shadow.apply(Ordinal(1), &append(0, 1), 1));
        assert!(!shadow.apply(Ordinal(2), &Body::Batch(batch(0, 1)), 1));
    }
}
