//! What the controller can be asked, and what it answers. This is the room's contract.
//!
//! Requests with several items are answered item by item: a refused topic does not stop the others. Numbers that a
//! client sends stay as they came (-1 for "the default"), because judging them is the controller's part.

use std::collections::BTreeMap;

use heddle_model::{NodeId, ProducerId, TopicId};

use crate::image::Broker;

#[derive(Clone, PartialEq, Debug)]
pub enum Ask {
    /// The first thing a starting broker says: register, or refresh what is known of it. The first broker of all
    /// gives the cluster its id.
    Boot {
        cluster_id_if_new: String,
        broker: Broker,
    },
    CreateTopics {
        topics: Vec<NewTopic>,
        validate_only: bool,
    },
    DeleteTopics {
        topics: Vec<TopicRef>,
    },
    CreatePartitions {
        topics: Vec<MorePartitions>,
        validate_only: bool,
    },
    /// AlterConfigs and IncrementalAlterConfigs, of topics, brokers and groups alike.
    AlterConfigs {
        resources: Vec<ConfigChange>,
        validate_only: bool,
    },
    /// A block of `count` producer ids that nobody else ever gets.
    ProducerIds {
        count: u32,
    },
    /// Create this internal topic with the broker's settings for it, unless it exists.
    EnsureInternalTopic(InternalTopic),
}

/// One topic of CreateTopics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    pub name: String,
    /// -1: `num.partitions`, or what `assignments` says.
    pub partitions: i32,
    /// -1: `default.replication.factor`, or what `assignments` says.
    pub replication_factor: i16,
    /// By hand: (partition index, brokers in preference order). Empty: the controller places.
    pub assignments: Vec<(i32, Vec<NodeId>)>,
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the broker's default counts and no overrides (auto-creation).
    pub fn with_defaults(name: impl Into<String>) -> NewTopic {
        NewTopic {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

/// One topic of CreatePartitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MorePartitions {
    pub topic: String,
    /// The total wished for, not the increase.
    pub count: i32,
    /// By hand, one list of brokers for each added partition.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum InternalTopic {
    /// `__consumer_offsets`
    Offsets,
    /// `__transaction_state`
    Transactions,
}

impl InternalTopic {
    pub fn name(self) -> &'static str {
        match self {
            InternalTopic::Offsets => "__consumer_offsets",
            InternalTopic::Transactions => "__transaction_state",
        }
    }
}

/// Whose configs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Resource {
    Topic(String),
    /// `None`: the default of all brokers (an empty resource name on the wire).
    Broker(Option<NodeId>),
    /// A consumer group by its id; it need not exist.
    Group(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigChange {
    pub resource: Resource,
    pub change: Change,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// AlterConfigs: these are all overrides from now on.
    Replace(Vec<(String, Option<String>)>),
    /// IncrementalAlterConfigs.
    Edit(Vec<Edit>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    pub name: String,
    pub op: EditOp,
    pub value: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EditOp {
    Set,
    Delete,
    /// Lists only.
    Append,
    /// Lists only.
    Subtract,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Booted {
        cluster_id: String,
    },
    /// One for each different name, in the order asked.
    CreatedTopics(Vec<TopicResult<CreatedTopic>>),
    /// One for each different reference, in the order asked.
    DeletedTopics(Vec<DeletedTopic>),
    /// One for each different name, in the order asked.
    CreatedPartitions(Vec<TopicResult<()>>),
    /// One for each different resource, in the order asked.
    AlteredConfigs(Vec<(Resource, Result<(), Refused>)>),
    ProducerIds {
        first: ProducerId,
        count: u32,
    },
    /// The internal topic exists.
    Ensured {
        id: TopicId,
        partitions: i32,
    },
    /// The whole ask was refused.
    Refused(Refused),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicResult<T> {
    pub name: String,
    pub result: Result<T, Refused>,
}

/// What was, or with `validate_only` would be, created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    /// `TopicId::NONE` with `validate_only`.
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    /// The overrides; `Image::describe_overrides` makes the full list of effective configs of them.
    pub overrides: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedTopic {
    /// As it was asked for.
    pub topic: TopicRef,
    /// What it resolved to, if it did.
    pub found: Option<(TopicId, String)>,
    pub result: Result<(), Refused>,
}

/// Why not, and a sentence for the person who asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub why: Refusal,
    pub text: String,
}

/// Each is mapped to Kafka's error codes in one place, `api`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Refusal {
    /// Said by the house: this node does not lead the controller's log. Nothing was decided.
    NotController,
    /// Said by the house: leadership ended, or the core stopped, while the answer waited for its commit: what was
    /// decided may or may not survive.
    Interrupted,
    /// Said by the house: the controller's log is still loading, or refuses writes at the moment. Ask again.
    NotReady,
    InvalidTopicName,
    TopicExists,
    UnknownTopicName,
    UnknownTopicId,
    InvalidPartitions,
    InvalidReplicationFactor,
    InvalidReplicaAssignment,
    InvalidConfig,
    /// Contradictory or repeated items.
    InvalidRequest,
    /// `delete.topic.enable=false`
    TopicDeletionDisabled,
    /// The operation on this topic (an internal one) is not allowed to clients.
    PolicyViolation,
    /// Broker ids beside the registered ones.
    UnknownBroker,
}

impl Refusal {
    pub const ALL: &'static [Refusal] = &[
        Refusal::NotController,
        Refusal::Interrupted,
        Refusal::NotReady,
        Refusal::InvalidTopicName,
        Refusal::TopicExists,
        Refusal::UnknownTopicName,
        Refusal::UnknownTopicId,
        Refusal::InvalidPartitions,
        Refusal::InvalidReplicationFactor,
        Refusal::InvalidReplicaAssignment,
        Refusal::InvalidConfig,
        Refusal::InvalidRequest,
        Refusal::TopicDeletionDisabled,
        Refusal::PolicyViolation,
        Refusal::UnknownBroker,
    ];

    pub fn because(self, text: impl Into<String>) -> Refused {
        Refused { why: self, text: text.into() }
    }
}
