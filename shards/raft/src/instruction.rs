//! What a group tells its replica to do, and what the replica reports back. Instructions are carried out in the order
//! given; everything persisted goes into one ordered journal, so a later write is never durable before an earlier one.

use crate::{AppendReject, Config, Message, Role};
use heddle_model::{Offset, Point, Term, Voter};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Instruction {
    /// Answered by `Durable::State` with the same values.
    PersistState {
        term: Term,
        vote: Option<Voter>,
    },
    /// A history line of the own log. Answered by `Durable::Log` at or beyond the point (term, start).
    PersistLine {
        term: Term,
        start: Offset,
    },
    /// Answered by `Durable::Config` with its term and version.
    PersistConfig(Config),
    /// Answered by `Durable::LogStart`. Reads below it are refused from now on; nothing is deleted yet.
    PersistLogStart(Offset),
    /// Cut the own log to end at this point: batches at its offset and beyond go, and so do lines of later terms.
    Truncate {
        to: Point,
    },
    /// Append, from the batches that came with the message just given to `on_message`, those with offsets in
    /// `from..to`; all were written in `term`. The log's end is `to` afterwards, also if compaction left a gap there.
    /// Answered by `Durable::Log` at or beyond (term, to).
    Take {
        term: Term,
        from: Offset,
        to: Offset,
    },
    /// Follower: replace the whole replica by an empty log at `at`, in one record: history `line`, log start at
    /// `at.offset`, `config`. Answered by `Durable::Log(at)`, `Durable::LogStart` and `Durable::Config`.
    Reset {
        at: Point,
        line: (Term, Offset),
        config: Config,
    },
    /// May leave at once: what it promises is durable already.
    Send {
        to: Voter,
        message: Message,
    },
    /// Leader: `to` wants an append. At the end of the turn (or when a disk read is done) read batches after `from`, as
    /// many as suit, not beyond `until`, and fetch the header from `Group::append_to`. Not repeated until then.
    Replicate {
        to: Voter,
        from: Point,
        until: Offset,
    },
    /// Leader: `to` ends below the log start. Gather the producers last seen below `at`, and fetch the header from
    /// `Group::reset_to`. Not repeated until then.
    Restate {
        to: Voter,
        at: Point,
    },
    /// The high watermark rose to this offset.
    Commit(Offset),
    /// A majority holds this log start durably: DeleteRecords may be answered, files below it may go.
    LogStartSafe(Offset),
    Became(Role),
    /// A peer broke the rules; its message was ignored. For log and metrics.
    Report {
        peer: Voter,
        fault: Fault,
    },
}

/// Something persisted is durable now, and with it everything persisted before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durable {
    State {
        term: Term,
        vote: Option<Voter>,
    },
    /// The own log up to this point. Counts only what was appended since the last cut: bytes that were cut and then
    /// appended again are durable by their new write.
    Log(Point),
    Config {
        term: Term,
        version: u32,
    },
    LogStart(Offset),
}

/// How a peer broke the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A field contradicts another one, or lies outside its bounds.
    Malformed,
    /// It would have cut what is committed here.
    CutBelowCommit { to: Offset, commit: Offset },
    /// A second leader in one term.
    SecondLeader { term: Term },
    /// It rejects a point that it acknowledged before: its disk forgot, unless this is an old message come late.
    LostAcknowledged(AppendReject),
    /// No term is left (2^31 - 1 is reached).
    TermsExhausted,
}

/// Why a membership change is not possible now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeRefusal {
    NotLeader,
    /// The own term has not committed yet, or not on a majority of the current voters.
    NotServing,
    /// The last change has not reached a majority yet.
    Busy,
    /// No voter left, a node named twice, or too many.
    Unsound,
    /// More than one voter differs.
    TooDifferent,
    /// The leader would remove itself; leadership is transferred first.
    RemovesLeader,
    /// A new voter must be a learner first, and follow in this term.
    NotCaughtUp,
}

/// Why leadership cannot be handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferRefusal {
    NotLeader,
    NotVoter,
}
