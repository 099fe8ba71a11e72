//! The immutable picture of the cluster that every core reads. It is replaced whole, never edited in readers' hands.

use std::collections::BTreeMap;
use std::sync::Arc;

use heddle_model::{NodeId, PartitionId, PartitionIndex, ReplicaNumber, TopicId, TopicSettings, Voter};

use crate::broker_config::BrokerConfig;
use crate::removed::Removed;
use crate::shared_map::SharedMap;

/// Configs by Kafka's names, as texts that were judged when they were set.
pub type Overrides = BTreeMap<String, String>;

/// Equal on all nodes at one version, but for `config` and what follows from it: a broker's own start-up settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Image {
    /// Grows with each decision that changed something.
    pub version: u64,
    /// Empty until the first broker booted.
    pub cluster_id: String,
    pub(crate) brokers: BTreeMap<NodeId, Broker>,
    pub(crate) topics: SharedMap<Arc<str>, Arc<Topic>>,
    pub(crate) by_id: SharedMap<TopicId, Arc<Topic>>,
    /// Configs that groups override, by group. Broker configs bound them when they are used, not here.
    pub(crate) groups: SharedMap<Arc<str>, Arc<Overrides>>,
    /// Configs set while running for one broker, by broker. This broker's own are part of `config`.
    pub(crate) by_broker: BTreeMap<NodeId, Overrides>,
    pub(crate) removed: Arc<Removed>,
    pub(crate) config: Arc<BrokerConfig>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Topic {
    pub id: TopicId,
    pub name: Arc<str>,
    /// `__consumer_offsets` and the like.
    pub internal: bool,
    /// By partition index.
    pub partitions: Vec<Placement>,
    pub overrides: BTreeMap<String, String>,
    /// Overrides over the broker's defaults, parsed.
    pub settings: Arc<TopicSettings>,
}

/// Where one partition lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// In preference order: the first is the preferred leader.
    pub replicas: Vec<Replica>,
    /// The image version that created the partition.
    pub created: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replica {
    pub voter: Voter,
    /// Never reused; on its node, `number % shards` is its core.
    pub number: ReplicaNumber,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    pub id: NodeId,
    pub rack: Option<String>,
    /// Where clients reach it.
    pub host: String,
    pub port: u16,
}

impl Image {
    /// The picture of nothing, as this broker sees it.
    pub fn empty(config: Arc<BrokerConfig>) -> Image {
        Image {
            version: 0,
            cluster_id: String::new(),
            brokers: BTreeMap::new(),
            topics: SharedMap::default(),
            by_id: SharedMap::default(),
            groups: SharedMap::default(),
            by_broker: BTreeMap::new(),
            removed: Arc::new(Removed::default()),
            config,
        }
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// In name order.
    pub fn topics(&self) -> impl DoubleEndedIterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// In name order, beginning with `name` or what follows it.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Topic>> + use<'a> {
        self.topics.values_from(name)
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    pub fn broker(&self, id: NodeId) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// In the order of their ids.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Broker> {
        self.brokers.values()
    }

    /// This broker's settings: start-up values under those set while running.
    pub fn config(&self) -> &Arc<BrokerConfig> {
        &self.config
    }

    /// What this group overrides; nothing, for most.
    pub fn group_overrides(&self, group: &str) -> Option<&Overrides> {
        self.groups.get(group).map(|overrides| &**overrides)
    }

    /// Groups with overrides, in name order.
    pub fn configured_groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|(group, _)| &**group)
    }

    pub fn partition(&self, id: PartitionId) -> Option<&Placement> {
        self.by_id.get(&id.topic)?.partition(id.index)
    }

    /// Every partition with a replica on `node`.
    pub fn replicas_on(&self, node: NodeId) -> impl Iterator<Item = (PartitionId, &Placement)> {
        self.by_id
            .values()
            .flat_map(move |topic| topic.placements().filter(move |(_, placement)| placement.on(node).is_some()))
    }

    /// True only if the removal of this replica was decided: then, and only then, its bytes may go (trap 35).
    pub fn is_removed(&self, number: ReplicaNumber) -> bool {
        self.removed.contains(number)
    }
}

impl Topic {
    pub fn partition(&self, index: PartitionIndex) -> Option<&Placement> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    pub fn partition_id(&self, index: PartitionIndex) -> PartitionId {
        PartitionId { topic: self.id, index }
    }

    pub fn placements(&self) -> impl ExactSizeIterator<Item = (PartitionId, &Placement)> {
        let topic = self.id;
        self.partitions
            .iter()
            .enumerate()
            .map(move |(index, placement)| (PartitionId { topic, index: PartitionIndex(index as i32) }, placement))
    }
}

impl Placement {
    /// The replica on `node`, if there is one.
    pub fn on(&self, node: NodeId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.voter.node == node)
    }
}
