//! What cores tell each other. Mail between two cores arrives once and in order.

use std::net::SocketAddr;
use std::sync::Arc;

use heddle_api::{Answer, Ask, Target};
use heddle_controller::Image;
use heddle_journal::{RecoveredReplica, Siblings};
use heddle_model::{LeaderEpoch, NodeId, PartitionId, ReplicaNumber, ShardId, Ticket};

use crate::{Metrics, Survey, SurveyPage};

pub enum Mail {
    /// Questions to rooms of the receiving core. `image` is the version the asker acts on: a younger receiver first
    /// waits until it has seen it.
    Asks { image: u64, asks: Vec<(Ticket, Target, Ask)> },
    /// `is_calm`: the sender has time to spare.
    Answers { answers: Vec<(Ticket, Answer)>, is_calm: bool },
    /// Watches whose time is over; waiting members of groups whose clients are gone.
    Cancels(Vec<(Ticket, Target)>),
    /// The picture of the cluster changed.
    Image(Arc<Image>),
    /// Every replica that this image places on the sender serves, or cannot.
    Reconciled { version: u64 },
    /// Who leads these partitions.
    Leaders(Vec<(PartitionId, Option<NodeId>, LeaderEpoch)>),
    /// Start: a replica found in a journal of the sender, which belongs to the receiver.
    Offer { journal: u32, number: ReplicaNumber, replica: Box<RecoveredReplica> },
    /// Start: the sender has offered all it found.
    Offered(Found),
    /// Start: the receiver's copy in this journal is superseded, durably.
    Drop { journal: u32, number: ReplicaNumber },
    /// Start: the sender has set apart, durably, what its part of the first image names and no journal knows.
    LossesSetApart,
    /// Start: every core has.
    LossesSettled,
    /// Stop: the sender's clients have their answers.
    Drained,
    /// From outside: say how you are. Answered by `Notice::Metrics`.
    Scrape { id: u64 },
    /// From outside: a page of what the groups have committed, or of where partitions end. Answered by
    /// `Notice::Surveyed`.
    Survey { id: u64, from: Survey },
    /// To outside.
    Notice(Notice),
}

/// What a core found in the journals it reads.
#[derive(Clone, Default)]
pub struct Found {
    /// Replicas in all of them.
    pub replicas: usize,
    /// Their directory numbers and identities, and whether they held anything.
    pub journals: Vec<(u32, u128, bool)>,
    /// One of them may have lost replicas altogether.
    pub misses: bool,
    /// Which journals there were, as the journal of the cluster's metadata says.
    pub expected: Siblings,
    /// Another journal, or the directory of the controller's replica, says that there was one of the cluster's metadata.
    pub had_metadata: bool,
}

/// What the process around the cores is told.
#[derive(Debug)]
pub enum Notice {
    /// The broker answers clients at this address.
    Serving(SocketAddr),
    /// It cannot start, or cannot go on; the text is for the person who reads it.
    Failed(String),
    /// Worth a line in the log.
    Log {
        level: Level,
        text: String,
    },
    Metrics {
        id: u64,
        metrics: Box<Metrics>,
    },
    Surveyed {
        id: u64,
        shard: ShardId,
        page: Box<SurveyPage>,
    },
    /// This core's part is over.
    Halted,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Somebody should act: something is lost, or refused until the cause is gone.
    Error,
    /// Something went wrong, and the broker goes on without help.
    Warn,
    /// What happens in the course of things.
    Info,
}
