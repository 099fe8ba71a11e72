//! What members of a group say to each other. Batches travel beside an append, never inside.

use crate::{Config, ConfigId};
use heddle_model::{Offset, Point, Term};

/// History lines that one append carries.
pub const LINES_MAX: usize = 1024;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Would you vote for me in that term? Changes nothing at the receiver.
    PreVote(VoteRequest),
    PreVoteReply(VoteReply),
    Vote(VoteRequest),
    VoteReply(VoteReply),
    Append(Append),
    AppendAck(AppendAck),
    AppendReject(AppendReject),
    Reset(Reset),
    /// From a leader that hands over: stand for election at once.
    StandNow {
        term: Term,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VoteRequest {
    /// The term stood for.
    pub term: Term,
    /// The end of the candidate's log.
    pub end: Point,
    pub config: ConfigId,
    /// The live leader asked for this election.
    pub handed_over: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteReply {
    /// If granted, the term stood for; else the voter's own.
    pub term: Term,
    pub granted: bool,
    /// The voter's log start; the winner takes the largest.
    pub log_start: Offset,
    /// The voter's configuration, if it refuses and the candidate's is older. Without it two voters could block each
    /// other for ever, one with the newer configuration, the other with the longer log.
    pub config: Option<Config>,
}

/// Extend your log from `from` to `to`. Without batches and lines it carries news only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    pub term: Term,
    pub from: Point,
    /// Every line of the leader's history above `from.term` that starts at or below `to.offset`.
    pub lines: Vec<(Term, Offset)>,
    pub to: Point,
    pub commit: Offset,
    pub log_start: Offset,
    /// The log start that a majority holds durably.
    pub log_start_safe: Offset,
    /// Absent if the follower is known to hold the current one.
    pub config: Option<Config>,
}

/// The follower's log contains `at`, durably; so are the configuration and the log start that it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendAck {
    pub term: Term,
    pub at: Point,
    pub config: ConfigId,
    pub log_start: Offset,
}

/// The follower lacks `from`; `hint` is its largest point whose term is not above `from`'s. Also sent to a leader of an
/// older term, which learns the newer one from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendReject {
    pub term: Term,
    pub from: Point,
    pub hint: Point,
}

/// Your log ends below my log start: begin anew, empty, at `at`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reset {
    pub term: Term,
    /// The leader's log start as a point.
    pub at: Point,
    /// Where the line of `at.term` starts.
    pub line_start: Offset,
    pub commit: Offset,
    pub config: Config,
}

impl Message {
    pub fn term(&self) -> Term {
        match self {
            Message::PreVote(m) | Message::Vote(m) => m.term,
            Message::PreVoteReply(m) | Message::VoteReply(m) => m.term,
            Message::Append(m) => m.term,
            Message::AppendAck(m) => m.term,
            Message::AppendReject(m) => m.term,
            Message::Reset(m) => m.term,
            Message::StandNow { term } => *term,
        }
    }

    /// Whether the fields agree with each other. Everything a peer sends passes this before it is looked at.
    pub fn is_sound(&self) -> bool {
        self.term().0 >= 0
            && match self {
                Message::PreVote(m) | Message::Vote(m) => {
                    is_point(m.end) && m.end.term < m.term && m.config.term.0 >= 0
                }
                Message::PreVoteReply(m) | Message::VoteReply(m) => m.log_start.0 >= 0 && is_config(&m.config, m.term),
                Message::Append(m) => m.is_sound(),
                Message::AppendAck(m) => is_point(m.at) && m.at.term <= m.term && m.log_start.0 >= 0,
                Message::AppendReject(m) => is_point(m.from) && is_point(m.hint),
                Message::Reset(m) => m.is_sound(),
                Message::StandNow { .. } => true,
            }
    }
}

impl Append {
    fn is_sound(&self) -> bool {
        let mut last = (self.from.term, self.from.offset);
        for line in &self.lines {
            if line.0 <= last.0 || line.1 < last.1 {
                return false;
            }
            last = *line;
        }
        is_point(self.from)
            && self.lines.len() <= LINES_MAX
            && last.0 == self.to.term
            && last.1 <= self.to.offset
            && self.to.term <= self.term
            && self.log_start_safe.0 >= 0
            && self.log_start_safe <= self.log_start
            && self.log_start <= self.commit
            && is_config(&self.config, self.term)
    }

    /// The range split by term: (term, from, to), oldest first, empty parts included. A batch's leader epoch must be
    /// that of the part that it lies in (`Term::epoch`).
    pub fn parts(&self) -> impl Iterator<Item = (Term, Offset, Offset)> + '_ {
        let starts = std::iter::once((self.from.term, self.from.offset)).chain(self.lines.iter().copied());
        let ends = self.lines.iter().map(|line| line.1).chain(std::iter::once(self.to.offset));
        starts.zip(ends).map(|((term, from), to)| (term, from, to))
    }
}

impl Reset {
    fn is_sound(&self) -> bool {
        is_point(self.at)
            && self.at.term <= self.term
            && self.line_start.0 >= 0
            && self.line_start <= self.at.offset
            && self.at.offset <= self.commit
            && self.config.sound().is_ok()
            && self.config.term <= self.term
    }
}

fn is_config(config: &Option<Config>, term: Term) -> bool {
    config.as_ref().is_none_or(|c| c.sound().is_ok() && c.term <= term)
}

fn is_point(point: Point) -> bool {
    point.term.0 >= 0 && point.offset.0 >= 0
}
