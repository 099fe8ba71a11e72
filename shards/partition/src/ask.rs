//! What a replica can be asked, and what it answers. This is the room's contract; everything else is private.

use bytes::Bytes;
use heddle_model::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Sequence, Term};

/// How much a produce waits for (Kafka's `acks`). `acks=0` is `Leader` whose answer nobody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// The leader's own durable write.
    Leader,
    /// Committed, and durable on `min.insync.replicas`.
    All,
}

/// Whose records a reader may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visibility {
    /// Up to the high watermark (isolation level 0).
    HighWatermark,
    /// Up to the last stable offset (isolation level 1).
    LastStable,
}

/// `ListOffsets`' question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetQuery {
    /// Timestamp -1.
    Latest,
    /// Timestamps -2 and -4 (no tiering: the local start is the start).
    Earliest,
    /// Timestamp -3: the offset of the record with the largest timestamp.
    MaxTimestamp,
    /// The first offset whose timestamp is at least this. Milliseconds since 1970.
    AtOrAfter(i64),
}

#[derive(Clone, Debug)]
pub enum Ask {
    Append(Append),
    Read(Read),
    /// Answered as soon as `min_bytes` beyond `from` are visible, or when something happens that a read should report
    /// (new leader epoch, loss of leadership, damage). Holds no data. The house cancels it when its time is over.
    Watch {
        from: Offset,
        visibility: Visibility,
        min_bytes: usize,
        epoch: Option<LeaderEpoch>,
    },
    /// ListOffsets. `epoch` as in `Read`.
    FindOffset {
        query: OffsetQuery,
        visibility: Visibility,
        epoch: Option<LeaderEpoch>,
    },
    /// OffsetForLeaderEpoch: the end of the largest epoch not above `asked`.
    EpochEnd {
        asked: LeaderEpoch,
        epoch: Option<LeaderEpoch>,
    },
    /// DeleteRecords: raise the log start; `None` means to the high watermark (offset -1).
    DeleteRecords {
        before: Option<Offset>,
    },
    /// For DescribeLogDirs and metrics.
    Describe,
    /// DescribeProducers.
    Producers,
}

/// One record batch to append.
#[derive(Clone, Debug)]
pub struct Append {
    pub acks: Acks,
    /// Exactly one record batch v2 as it came from the wire: base offset and leader epoch are still the client's. The
    /// replica checks size, CRC, sequence and timestamps, and copies it. Foreign memory is not kept beyond the turn,
    /// except while a batch is being looked through or recoded off the turn.
    pub batch: Bytes,
    /// Refuse zstd (produce requests below version 7).
    pub zstd_allowed: bool,
    /// What a client may do and an internal writer (a coordinator) may not, and the reverse.
    pub origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Checked in full; control batches are refused.
    Client,
    /// A coordinator of this broker: trusted, may append where clients may not.
    Coordinator,
}

/// One fetch from one partition.
#[derive(Clone, Debug)]
pub struct Read {
    pub from: Offset,
    /// Soft limit, bytes. If `at_least_one`, the first batch is returned whole even if larger.
    pub max_bytes: usize,
    pub at_least_one: bool,
    pub visibility: Visibility,
    /// The reader's current leader epoch: below ours is `FencedEpoch`, above is `UnknownEpoch`; `None`: no check.
    pub epoch: Option<LeaderEpoch>,
    /// The epoch of the last record the reader has (`last_fetched_epoch`); a mismatch is answered by `diverging`,
    /// one that is larger than all epochs by `OffsetOutOfRange`.
    pub last_fetched: Option<LeaderEpoch>,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Appended(Appended),
    Read(Records),
    /// A watch ended: read again.
    Ready,
    FoundOffset(FoundOffset),
    EpochEnd {
        epoch: LeaderEpoch,
        end: Offset,
    },
    /// `None`: no known epoch is that small (-1/-1 on the wire).
    NoEpochEnd,
    /// DeleteRecords: the log start now.
    LowWatermark(Offset),
    Described(Described),
    Producers(Vec<ActiveProducer>),
    Refused(Refusal),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    pub base: Offset,
    /// Set if the topic stamps append times. Milliseconds since 1970.
    pub append_time: Option<i64>,
    pub log_start: Offset,
}

#[derive(Clone, Debug)]
pub struct Records {
    /// Whole batches, the first containing `from`; may be empty.
    pub parts: Vec<Bytes>,
    pub high_watermark: Offset,
    pub last_stable: Offset,
    pub log_start: Offset,
    /// Transactions aborted within the returned range: producer and first offset.
    pub aborted: Vec<(ProducerId, Offset)>,
    /// The reader's log departs from ours: the largest epoch not above its own, and that epoch's end. No data then.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    /// `None`: no record is that young (offset -1, timestamp -1 on the wire).
    pub offset: Option<Offset>,
    /// -1 for `Latest` and `Earliest`. Milliseconds since 1970.
    pub timestamp: i64,
    pub epoch: LeaderEpoch,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Described {
    /// Bytes in segments and tail.
    pub bytes: u64,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub end: Offset,
    /// KRaft's leader epoch of the controller's log is the term itself: its first leader leads in epoch 1.
    pub term: Term,
    pub leader: Option<NodeId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub last_sequence: Sequence,
    /// Milliseconds since 1970.
    pub last_timestamp: i64,
    pub transaction_start: Option<Offset>,
    pub coordinator_epoch: i32,
}

/// Why not. Each is mapped to Kafka's error codes in one place, `api`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// This node has no such partition (deleted, or the asker's image is newer than ours).
    UnknownPartition,
    NotLeader {
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
    },
    /// A leader that may not serve yet: its own term, the one of this epoch, has not committed.
    NotServing {
        epoch: LeaderEpoch,
    },
    FencedEpoch {
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
    },
    UnknownEpoch,
    OffsetOutOfRange {
        log_start: Offset,
        high_watermark: Offset,
    },
    /// Batch larger than `max.message.bytes`.
    BatchTooLarge {
        bytes: usize,
        max: usize,
    },
    /// Batch larger than `segment.bytes`.
    BatchBeyondSegment {
        bytes: usize,
        max: usize,
    },
    /// CRC or structure.
    Corrupt(String),
    /// Well-formed, but not acceptable: magic, count, offsets, control flag, or (with indexes) single records.
    InvalidRecord {
        message: String,
        records: Vec<(i32, String)>,
    },
    InvalidTimestamp {
        message: String,
        records: Vec<(i32, String)>,
    },
    UnsupportedCompression,
    OutOfOrderSequence,
    /// The producer id is known with a newer epoch.
    StaleProducerEpoch,
    /// A transactional batch for a transaction that this partition is not part of.
    NotInTransaction,
    /// Fewer replicas are in sync than `min.insync.replicas`: nothing was appended.
    NotEnoughReplicas,
    /// The disk is full or failing, or the replica is damaged there. Nothing was appended, or nothing can be read there.
    Storage,
    /// DeleteRecords on a topic that is only compacted.
    PolicyViolation,
    /// Leadership ended, or the core stopped, while the answer waited: the append may or may not survive.
    Interrupted {
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
    },
}
