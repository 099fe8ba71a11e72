//! What recovery found, for its caller, the log lines and `heddle repair`.

use std::collections::BTreeMap;

use heddle_model::{ReplicaNumber, TailBatch};

use crate::record::ReplicaState;

/// Everything that a journal's directory knew.
#[derive(Debug)]
pub struct Recovered {
    /// The journal's identity; another one than registered means another disk.
    pub id: u128,
    pub replicas: BTreeMap<ReplicaNumber, RecoveredReplica>,
    pub report: Report,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecoveredReplica {
    pub state: ReplicaState,
    /// The batches from the mark on, without those that follow a damaged one.
    pub tail: Vec<TailBatch>,
    /// It lost records: this incarnation never acts again (RULES C). Stays so until the replica is restated.
    pub damaged: bool,
}

/// The journals of a data directory, numbered from 0: what the caller had this one remember.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Siblings {
    /// How many; 0: nobody said.
    pub count: u16,
    /// Their identities in one number.
    pub sum: u64,
}

/// Why a journal does not open. Nothing in it is changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stuck {
    /// The disk refuses to be read, again and again; it is tried on. Where, and how.
    Unreadable(String),
    /// A file was written in another format than `FORMAT_VERSION`.
    OtherFormat { file: String, version: u16 },
}

/// What was read, dropped and found damaged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Files that were read, and their bytes.
    pub files: usize,
    pub bytes: u64,
    /// Frames that count, and their entries.
    pub frames: u64,
    pub entries: u64,
    /// Frames after a torn one, in the same run: never acknowledged, dropped.
    pub frames_dropped: u64,
    pub damage: Vec<Damage>,
    /// Replicas whose state is not known at all; they are not among the recovered. Reported until restated or gone.
    pub unknown: Vec<ReplicaNumber>,
    /// Damage may have hidden the creation of replicas of which nothing else is known: whoever should be here and is
    /// not must be treated as damaged. Reported until `Journal::accept_losses`.
    pub may_miss_replicas: bool,
    /// The journals of the data directory, as the last frame that counts says.
    pub siblings: Siblings,
    /// Files of another journal; they are left alone.
    pub foreign: Vec<String>,
}

/// Frames that were durable once and cannot be read in full any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Path of the file, empty if the whole file is missing.
    pub file: String,
    /// Where the first of them begins. Bytes.
    pub at: u64,
    /// Numbers of the first and the last of them.
    pub first: u64,
    pub last: u64,
    /// Replicas whose records failed their sum; empty if the directory itself cannot be read, or only a checkpoint,
    /// which repeats what is known, was hit.
    pub hit: Vec<ReplicaNumber>,
}
