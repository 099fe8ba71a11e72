//! What is seen of consumer groups.

/// A topic, and since which step it is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matching {
    pub name: String,
    pub partitions: i32,
    pub since: u64,
}

/// Committed offsets are registers that several clients write; a deletion writes `None`.
#[derive(Debug)]
pub enum Grouped<'a> {
    /// A commit or a deletion left under this number.
    OffsetAsked {
        write: u64,
        group: &'a str,
        partition: i32,
        offset: Option<i64>,
    },
    /// It was acknowledged, or refused by an error which promises that nothing happened. Others may have happened.
    OffsetSettled {
        write: u64,
        applied: bool,
    },
    OffsetFound {
        group: &'a str,
        partition: i32,
        asked: u64,
        offset: Option<i64>,
    },
    /// JoinGroup made this member the leader of a generation.
    Led {
        group: &'a str,
        generation: i32,
        boot: u32,
        member: &'a str,
    },
    /// SyncGroup told what is whose. The owner is a member, or the instance of a static one, whose member ids change.
    Synced {
        group: &'a str,
        generation: i32,
        owner: &'a str,
        partitions: &'a [i32],
    },
    /// A commit in the name of a generation was acknowledged.
    CommittedAs {
        group: &'a str,
        generation: i32,
        asked: u64,
    },
    /// KIP-848: all that a member holds from now on, and until when at most the coordinator lets it: its session ends
    /// not before that.
    Claims {
        group: &'a str,
        member: &'a str,
        partitions: &'a [i32],
        now_us: u64,
        until_us: u64,
    },
    /// KIP-848: the partitions of a topic that its members, who all read it, are to have.
    Targets {
        group: &'a str,
        partitions: &'a [i32],
        of: i32,
    },
    /// What the coordinator says of a group follows from no prefix of its log that it can stand on.
    LiveDiffers {
        text: String,
    },
    /// A commit that is left alone was acknowledged; one left, and it is not known what became of it.
    Resting {
        sent_us: u64,
        acked_us: u64,
    },
    RestingUnsure,
    /// Whether it is there. `boot`: the life that says so.
    RestingFound {
        sent_us: u64,
        now_us: u64,
        boot: u32,
        is_there: bool,
    },
    /// A commit for a topic that comes and goes left under this number, which is its offset; it was acknowledged, or
    /// refused by an error which promises that nothing happened.
    RenewedAsked {
        write: u64,
    },
    RenewedSettled {
        write: u64,
    },
    /// What is there for the topic that was asked for in step `born`, and is there for certain. `boot`: the life that says
    /// so.
    RenewedFound {
        write: Option<u64>,
        born: u64,
        boot: u32,
    },
    /// KIP-848: a heartbeat was answered in a group that subscribes by expression.
    Heard,
    /// The targets of that group, and the topics that are there for certain and whose names match.
    Matched {
        asked: u64,
        targets: &'a [(String, i32)],
        matching: &'a [Matching],
    },
    ProducerIdGiven {
        id: i64,
        epoch: i16,
    },
}
