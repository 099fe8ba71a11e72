//! What a replica puts into the journal, and the small state that the journal keeps of it.

use bytes::Bytes;
use heddle_model::{Mark, Offset, Point, TailBatch, Term, Voter};

/// Numbers the records of one replica: 1, 2, 3, without gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ordinal(pub u64);

impl Ordinal {
    pub(crate) fn next(self) -> Ordinal {
        Ordinal(self.0 + 1)
    }
}

/// One change of a replica's durable state.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A batch after the end of the tail, and the commit offset as known then (a hint that speeds recovery up).
    Append(TailBatch, Offset),
    /// What the replica promised.
    State { term: Term, vote: Option<Voter> },
    /// A leader's term begins at `start`.
    Line { term: Term, start: Offset },
    /// The tail is cut to end at `to`, the history to its first `lines` lines.
    Truncate { to: Offset, lines: usize },
    /// Membership and identity, opaque here.
    Config(Bytes),
    /// The log start rose.
    LogStart(Offset),
    /// Everything below the mark is settled in segments: its batches are not needed here any more.
    Mark(Mark),
}

/// The small state of a replica: all that it must know after a restart but its batches.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    /// Highest wins if several journals know the replica.
    pub placement: u32,
    pub term: Term,
    pub vote: Option<Voter>,
    /// One line per leader's term: where it starts.
    pub history: Vec<(Term, Offset)>,
    /// The partition's membership and identity, opaque here.
    pub config: Bytes,
    pub log_start: Offset,
    /// A lower bound of the committed offset.
    pub commit: Offset,
    pub mark: Option<Mark>,
    /// Where the (possibly reset) log begins.
    pub start: Point,
}

impl ReplicaState {
    /// The one rule by which records change the state, live and in replay.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Append(_, commit) => self.commit = self.commit.max(*commit),
            Record::State { term, vote } => {
                self.term = *term;
                self.vote = *vote;
            }
            Record::Line { term, start } => self.history.push((*term, *start)),
            Record::Truncate { lines, .. } => self.history.truncate(*lines),
            Record::Config(config) => self.config = config.clone(),
            Record::LogStart(offset) => self.log_start = self.log_start.max(*offset),
            Record::Mark(mark) => self.mark = Some(mark.clone()),
        }
    }
}

/// What one frame entry carries: a record of a replica, or a part of the journal's own bookkeeping.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Record(Record),
    /// The replica begins anew with this state; `batches` bodies `Batch` follow, and then it is valid.
    Restate {
        state: Box<ReplicaState>,
        batches: u32,
        /// What it lost stays lost: a restatement that only moves the replica's bytes.
        damaged: bool,
    },
    Batch(TailBatch),
    /// The replica was removed, or moved to another journal.
    Gone,
    /// In a checkpoint: an encoded `Shadow`.
    Shadow(Bytes),
    /// In a checkpoint that carries tails: the next batch of the replica named before.
    ShadowBatch(TailBatch),
}

/// One entry of a frame's directory with its payload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub replica: heddle_model::ReplicaNumber,
    pub ordinal: Ordinal,
    pub body: Body,
}
