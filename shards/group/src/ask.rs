//! What the coordinator can be asked, and what it answers. This is the room's contract; everything else is private.

use std::collections::BTreeSet;

use bytes::Bytes;
use heddle_model::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

use crate::{GroupId, InstanceId, MemberId, Text, TopicName};

#[derive(Clone, Debug)]
pub enum Ask {
    /// JoinGroup. Answered when the rebalance that it starts or takes part in has gathered its members.
    Join(Join),
    /// SyncGroup. Answered when the group's leader has brought the assignment.
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
    CommitOffsets(CommitOffsets),
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// ListGroups: every partition of `__consumer_offsets` is asked.
    List(List),
    /// DescribeGroups, one group.
    Describe(GroupId),
    /// DeleteGroups, one group.
    Delete(GroupId),
    /// ConsumerGroupHeartbeat (KIP-848).
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// ConsumerGroupDescribe, one group.
    ConsumerDescribe(GroupId),
    /// Topics are gone: the offsets committed for them until now go too. Every partition of `__consumer_offsets` is told.
    TopicsDeleted(BTreeSet<TopicName>),
}

#[derive(Clone, Debug)]
pub struct Join {
    pub group: GroupId,
    /// Empty: not known yet.
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub client_id: Text,
    pub client_host: Text,
    pub session_timeout_ms: i32,
    /// v0 has none: the session timeout stands in for it.
    pub rebalance_timeout_ms: i32,
    pub protocol_type: Text,
    /// In the order of the client's preference.
    pub protocols: Vec<Protocol>,
    /// v4+: a dynamic member without an id first gets one, and joins again with it (KIP-394).
    pub needs_known_id: bool,
    /// v9+: a returning static leader may be told that the assignment stands (KIP-814).
    pub can_skip_assignment: bool,
    pub reason: Option<Text>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    pub name: Text,
    /// Opaque to the coordinator, but for what KIP-848 migration and OffsetDelete read in it.
    pub metadata: Bytes,
}

#[derive(Clone, Debug)]
pub struct Sync {
    pub group: GroupId,
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub generation: i32,
    /// v5+.
    pub protocol_type: Option<Text>,
    /// v5+.
    pub protocol: Option<Text>,
    /// Only the leader's counts.
    pub assignments: Vec<(MemberId, Bytes)>,
}

#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub group: GroupId,
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub generation: i32,
}

#[derive(Clone, Debug)]
pub struct Leave {
    pub group: GroupId,
    pub members: Vec<Leaver>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaver {
    /// May be empty if `instance` names a static member.
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub reason: Option<Text>,
}

#[derive(Clone, Debug)]
pub struct CommitOffsets {
    pub group: GroupId,
    /// Empty with generation -1: a commit from outside the group's membership.
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    /// Generation of a classic member, epoch of a KIP-848 member, or -1.
    pub generation: i32,
    /// v9+: the client understands GROUP_ID_NOT_FOUND and STALE_MEMBER_EPOCH.
    pub knows_epochs: bool,
    /// Set by TxnOffsetCommit: the offsets stay pending until this producer's transaction ends.
    pub producer: Option<(ProducerId, ProducerEpoch)>,
    /// v2 to v4: how long the offsets live, whatever the group does. Milliseconds.
    pub retention_ms: Option<i64>,
    /// Topics are resolved (unknown ones refused) before; the answer keeps this order.
    pub offsets: Vec<OffsetToCommit>,
}

#[derive(Clone, Debug)]
pub struct OffsetToCommit {
    pub topic: TopicName,
    /// Which topic whoever asks takes that name for. If whoever decides takes it for another, one of the two has not seen a
    /// removal yet, and the commit is refused as Kafka's coordinator does with topics that it does not know: nobody would
    /// forget the offset with its topic.
    pub topic_id: Option<TopicId>,
    pub partition: PartitionIndex,
    pub offset: Offset,
    /// `None`: -1 on the wire.
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Text,
}

#[derive(Clone, Debug)]
pub struct FetchOffsets {
    pub group: GroupId,
    /// v9+ from a KIP-848 member.
    pub member: Option<MemberId>,
    /// v9+; -1 or `None`: not checked.
    pub epoch: Option<i32>,
    /// `None`: all.
    pub topics: Option<Vec<(TopicName, Vec<PartitionIndex>)>>,
    /// Refuse partitions whose commit is still part of an open transaction.
    pub require_stable: bool,
}

#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    pub group: GroupId,
    pub partitions: Vec<(TopicName, PartitionIndex)>,
}

/// Empty filters match everything. Names compare without regard to case.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub states: Vec<Text>,
    pub kinds: Vec<Text>,
}

/// Optional fields are `None` when unchanged since the last heartbeat.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeat {
    pub group: GroupId,
    /// Empty in v0 with epoch 0: the coordinator makes one.
    pub member: MemberId,
    /// 0 joins, -1 leaves, -2 leaves for a while (static members).
    pub epoch: i32,
    pub instance: Option<InstanceId>,
    pub rack: Option<Text>,
    pub rebalance_timeout_ms: Option<i32>,
    pub subscribed: Option<Vec<TopicName>>,
    /// v1+. Empty text removes the expression.
    pub regex: Option<Text>,
    pub assignor: Option<Text>,
    pub owned: Option<Vec<TopicPartitions>>,
    pub client_id: Text,
    pub client_host: Text,
}

/// Partitions of one topic, ascending.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartitions {
    pub topic: TopicId,
    pub partitions: Vec<PartitionIndex>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Joined(Joined),
    Synced(Synced),
    Alive,
    /// In the order of the request; `None`: left.
    Left(Vec<(Leaver, Option<Refusal>)>),
    /// In the order of the request; `None`: committed.
    Committed(Vec<(TopicName, PartitionIndex, Option<Refusal>)>),
    Fetched(Vec<(TopicName, Vec<FetchedOffset>)>),
    /// In the order of the request; `None`: deleted, or there was nothing.
    OffsetsDeleted(Vec<(TopicName, PartitionIndex, Option<Refusal>)>),
    Listed(Vec<Listed>),
    Described(Described),
    Deleted,
    ConsumerHeartbeat(ConsumerHeartbeatAnswer),
    ConsumerDescribed(ConsumerDescribed),
    /// To `TopicsDeleted`: how many committed offsets went.
    Forgotten(usize),
    Refused(Refusal),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: Text,
    pub protocol: Text,
    pub leader: MemberId,
    pub member: MemberId,
    pub skip_assignment: bool,
    /// Filled for the leader only.
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub metadata: Bytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synced {
    pub protocol_type: Text,
    pub protocol: Text,
    pub assignment: Bytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedOffset {
    pub partition: PartitionIndex,
    pub outcome: OffsetOutcome,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OffsetOutcome {
    Known(CommittedOffset),
    /// Offset -1, leader epoch -1, empty metadata and no error on the wire. Never 0 (trap 12).
    Nothing,
    /// UNSTABLE_OFFSET_COMMIT.
    Pending,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    pub offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Text,
    /// Milliseconds since 1970.
    pub committed_at: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub group: GroupId,
    pub protocol_type: Text,
    pub state: GroupState,
    pub kind: GroupKind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GroupKind {
    Classic,
    Consumer,
}

impl GroupKind {
    /// As tools print it (KIP-848).
    pub fn name(self) -> &'static str {
        match self {
            GroupKind::Classic => "Classic",
            GroupKind::Consumer => "Consumer",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Assigning,
    Reconciling,
    Stable,
    Dead,
}

impl GroupState {
    /// As tools compare it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    pub group: GroupId,
    pub state: GroupState,
    pub protocol_type: Text,
    /// Empty unless stable.
    pub protocol: Text,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub client_id: Text,
    pub client_host: Text,
    /// Empty unless stable.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerHeartbeatAnswer {
    pub member: MemberId,
    pub epoch: i32,
    pub interval_ms: i32,
    /// Only when the member has to learn it.
    pub assignment: Option<Vec<TopicPartitions>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerDescribed {
    pub group: GroupId,
    pub state: GroupState,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: Text,
    pub members: Vec<ConsumerDescribedMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerDescribedMember {
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub rack: Option<Text>,
    pub epoch: i32,
    pub client_id: Text,
    pub client_host: Text,
    pub subscribed: Vec<TopicName>,
    pub regex: Option<Text>,
    /// What it owns or is told to own, with the topics' names.
    pub assignment: Vec<(TopicName, TopicPartitions)>,
    pub target: Vec<(TopicName, TopicPartitions)>,
    /// Speaks the classic protocol (a group under migration).
    pub classic: bool,
}

/// Why not. Each is mapped to Kafka's error codes in one place, `api`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The partition is being loaded.
    Loading,
    /// This node does not, or no longer does, coordinate the group. What was asked may or may not survive.
    NotCoordinator,
    /// No coordinator yet: `__consumer_offsets` is being created.
    NotAvailable,
    InvalidGroupId,
    InvalidSessionTimeout,
    UnknownMember,
    IllegalGeneration,
    RebalanceInProgress,
    InconsistentProtocol,
    GroupFull,
    /// What the group would be does not fit one record, or one batch: nothing of it counts.
    GroupTooLarge,
    /// Join again with this id (KIP-394).
    MemberIdRequired(MemberId),
    FencedInstance,
    GroupNotFound,
    NonEmptyGroup,
    SubscribedToTopic,
    MetadataTooLarge,
    UnknownTopicOrPartition,
    /// The offsets to commit would not fit one batch.
    CommitTooLarge,
    FencedMemberEpoch(String),
    StaleMemberEpoch,
    UnreleasedInstance(String),
    UnsupportedAssignor(String),
    InvalidRegex(String),
    InvalidRequest(String),
    /// Commit below v9 by a member of the new protocol.
    UnsupportedVersion,
    /// The new protocol is switched off.
    ProtocolDisabled,
}
