//! The roles, one type each.
//!
//! | from          | to            | when                                                             |
//! |---------------|---------------|------------------------------------------------------------------|
//! | any           | Follower      | a higher term is seen; a leader of this term speaks; resigns     |
//! | Follower      | PreCandidate  | `campaign`, with other voters                                    |
//! | Follower      | Candidate     | `campaign` as the only voter; the leader hands over              |
//! | PreCandidate  | Candidate     | a majority would vote for it                                     |
//! | Pre/Candidate | PreCandidate  | `campaign` again                                                 |
//! | Candidate     | Leader        | a majority voted for it, durably, itself included                |
//! | Leader        | Leader serving| a majority acknowledged its own term's line                      |

use crate::Progress;
use heddle_model::{Offset, Point, Voter};
use std::collections::{BTreeMap, BTreeSet};

/// What the house sees of a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Follower {
        leader: Option<Voter>,
    },
    PreCandidate,
    Candidate,
    /// Reads and writes are served only once a majority holds the line of the leader's own term.
    Leader {
        serving: bool,
    },
}

#[derive(Debug)]
pub(crate) enum Seat {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

#[derive(Debug, Default)]
pub(crate) struct Follower {
    pub leader: Option<Voter>,
    /// The leader was heard and has not been called silent since.
    pub heard: bool,
    /// The own log is known to equal the leader's up to here.
    pub matched: Option<Point>,
    /// What the leader was told last.
    pub told: Option<crate::AppendAck>,
    /// The candidate to be told of the vote as soon as the vote is durable.
    pub vote_owed: Option<Voter>,
}

#[derive(Debug, Default)]
pub(crate) struct PreCandidate {
    pub granted: BTreeSet<Voter>,
}

#[derive(Debug)]
pub(crate) struct Candidate {
    /// Voters whose vote is durable, itself among them once its own is.
    pub granted: BTreeSet<Voter>,
    pub handed_over: bool,
    /// The largest log start that came with the votes.
    pub log_start: Offset,
}

#[derive(Debug)]
pub(crate) struct Leader {
    /// Where the own term's line starts.
    pub start: Offset,
    pub serving: bool,
    /// Everyone in the configuration but the leader itself.
    pub peers: BTreeMap<Voter, Progress>,
    /// Leadership goes to this one as soon as it has the whole log.
    pub transfer_to: Option<Voter>,
}
