//! Planted faults: lies that a driver, a disk or a network tells. Each must trip its checkers, or nobody should believe
//! them. The rooms have no hooks for this; every lie is told at the border.

/// What is told wrongly, now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// A durable write is reported before it happened: what RWF_DSYNC promises is not kept.
    EarlyDurable,
    /// Durable writes are written, but not flushed (trap 42): a crash takes them back.
    NotFlushed,
    /// After a crash the disk is as it was at the crash before.
    RolledBack,
    /// An answer reaches the client twice.
    AnsweredTwice,
    /// An answer never reaches the client.
    AnswerLost,
    /// Two answers in a row reach the client in the other order.
    AnswersSwapped,
    /// The first batch of a fetch's answer is missing.
    BatchMissing,
    /// A retried batch arrives without its producer id.
    RetryUnmarked,
    /// A fetch's answer says less than the high watermark.
    LowWatermark,
    /// A directory of a replica is removed though nobody asked (trap 35).
    FilesRemoved,
    /// Bytes of an answer change on the way, checksums included.
    BytesChanged,
    /// A core's mail is dropped.
    MailLost,
    /// What a core has to say at the end of its offers overtakes them: who hears it begins to serve, and takes the replicas
    /// still on their way for new ones when the image names them.
    OffersLate,
    /// What ends a watch overtakes the ask that begins it, and so ends nothing: the watch holds its answer slot for ever.
    CancelsEarly,
    /// A connection that moves to another core leaves behind what came in and nobody began.
    MoveForgetful,
    /// Tickets have no generations: a late answer reaches whoever uses its slot now (trap 34).
    GenerationsForgotten,
    /// Packed batches are unpacked within turns (trap 41).
    WorkWithinTurns,
    /// A full disk refuses also writes to space that files have already: not even a removal can be recorded (trap 39).
    FullForAll,
    /// The journal forgets terms: batches of a later life carry an earlier life's epoch (trap 29).
    EpochReused,
    /// The log start moves though nobody deleted records (trap 40).
    StartMoved,
    /// An assignment names a partition that is another member's.
    AssignmentCrossed,
    /// A member of the classic protocol is not told that its group rebalances, as it does when a member of the other comes.
    RebalanceUntold,
    /// A committed offset is not found before its time.
    ExpiredEarly,
    /// What was committed for a topic is found again when there is another of its name.
    OffsetsOutlive,
    /// The wall clock stands still: nothing gets older.
    ClockStopped,
    /// The expression that members subscribe by reaches the coordinator as one that matches less.
    ExpressionCut,
    /// Two joins are decided on the same state: each member is told that it leads (trap 31).
    TwoLeaders,
    /// Two asks for a producer id are decided on the same state (trap 31).
    IdGivenTwice,
    /// A commit that is refused, because its member was replaced, is acknowledged.
    FenceForgotten,
    /// Where nothing is committed, 0 is fetched (trap 12).
    ZeroForNothing,
    /// What a coordinator says of a group lacks what its log has (trap 11).
    StateDiffers,
    /// Tombstones are gone from the log before the values that they delete (trap 32).
    TombstoneDropped,
    /// A record that nothing replaced is missing.
    RecordMissing,
    /// What compaction wrote is reported as synced, and is not: its seal is durable before its bytes.
    CopyNotSynced,
    /// The seal of what compaction wrote is reported as durable, and is not: a crash leaves segments that nobody can read,
    /// or brings back what was replaced.
    SealNotFlushed,
    /// Whenever compaction makes a file, the disk has no space: nothing is ever compacted.
    NothingCompacted,
    /// Batches without records are missing: the last of a producer, of which compaction took the records.
    LastBatchDropped,
}

impl Lie {
    pub const ALL: &[Lie] = &[
        Lie::EarlyDurable,
        Lie::NotFlushed,
        Lie::RolledBack,
        Lie::AnsweredTwice,
        Lie::AnswerLost,
        Lie::AnswersSwapped,
        Lie::BatchMissing,
        Lie::RetryUnmarked,
        Lie::LowWatermark,
        Lie::FilesRemoved,
        Lie::BytesChanged,
        Lie::MailLost,
        Lie::OffersLate,
        Lie::CancelsEarly,
        Lie::MoveForgetful,
        Lie::GenerationsForgotten,
        Lie::WorkWithinTurns,
        Lie::FullForAll,
        Lie::EpochReused,
        Lie::StartMoved,
        Lie::AssignmentCrossed,
        Lie::RebalanceUntold,
        Lie::ExpiredEarly,
        Lie::OffsetsOutlive,
        Lie::ClockStopped,
        Lie::ExpressionCut,
        Lie::TwoLeaders,
        Lie::IdGivenTwice,
        Lie::FenceForgotten,
        Lie::ZeroForNothing,
        Lie::StateDiffers,
        Lie::TombstoneDropped,
        Lie::RecordMissing,
        Lie::CopyNotSynced,
        Lie::SealNotFlushed,
        Lie::NothingCompacted,
        Lie::LastBatchDropped,
    ];
}
