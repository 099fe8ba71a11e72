//! The state machine: hard state, changed by `replay` alone, and the door to the decisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use heddle_model::{NodeId, Now, TopicId};

use crate::ask::{Answer, Ask};
use crate::broker_config::BrokerConfig;
use crate::draft::Draft;
use crate::image::{Image, Overrides, Placement, Topic};
use crate::record::{CHUNK, Counters, Entry, Key, Malformed, Value};
use crate::settings::topic_settings;
use crate::topic_name::{collision_name, is_internal};
use crate::{decide_configs, decide_topics};

/// Partitions a topic may have; also the bound for what a damaged record can make us allocate.
pub const TOPIC_PARTITIONS_MAX: usize = 100_000;

/// What was decided: the records that make it so, to be appended as one batch, and the answer to give once they are
/// committed. No records: nothing changes, the answer still waits for what it was read from.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    pub records: Vec<Entry>,
    pub answer: Answer,
}

pub struct Controller {
    image: Arc<Image>,
    counters: Counters,
    /// Topics by their name with `.` and `_` made one.
    collisions: BTreeMap<String, TopicId>,
}

impl Controller {
    /// Nothing known yet. `config` holds this broker's start-up settings: they stand behind topics' settings and give
    /// the counts that a creation leaves open, but are no part of what is replicated.
    pub fn new(config: Arc<BrokerConfig>) -> Controller {
        Controller {
            image: Arc::new(Image::empty(config)),
            counters: Counters { version: 0, next_replica: FIRST_REPLICA, next_producer: 0 },
            collisions: BTreeMap::new(),
        }
    }

    /// Decide an ask on the state as it is; changes nothing. `entropy` is fresh randomness, new for each call, from
    /// which ids are made. At most `DECISION_BYTES_MAX` of records.
    pub fn decide(&self, _now: Now, ask: &Ask, entropy: u128) -> Decision {
        let mut draft = Draft::new(self, entropy);
        let (answer, keep) = match ask {
            Ask::Boot { cluster_id_if_new, broker } => (draft.boot(cluster_id_if_new, broker), true),
            Ask::CreateTopics { topics, validate_only } => {
                (decide_topics::create_topics(&mut draft, topics, *validate_only), !validate_only)
            }
            Ask::DeleteTopics { topics } => (decide_topics::delete_topics(&mut draft, topics), true),
            Ask::CreatePartitions { topics, validate_only } => {
                (decide_topics::create_partitions(&mut draft, topics), !validate_only)
            }
            Ask::AlterConfigs { resources, validate_only } => {
                (decide_configs::alter_configs(&mut draft, resources), !validate_only)
            }
            Ask::ProducerIds { count } => (draft.producer_ids(*count), true),
            Ask::EnsureInternalTopic(which) => (decide_topics::ensure_internal_topic(&mut draft, *which), true),
        };
        Decision { records: if keep { draft.finish() } else { Vec::new() }, answer }
    }

    /// Take one record of the log. Decides nothing.
    ///
    /// # Errors
    /// The record is not one that any version up to this one writes. The state is then not to be used further.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Malformed> {
        let key = Key::decode(key)?;
        match value {
            Some(value) => {
                let value = Value::decode(&key, value)?;
                self.set(key, value)
            }
            None => self.unset(key),
        }
    }

    pub fn image(&self) -> Arc<Image> {
        self.image.clone()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn picture(&self) -> &Image {
        &self.image
    }

    pub(crate) fn colliding(&self, name: &str) -> Option<TopicId> {
        self.collisions.get(&collision_name(name)).copied()
    }

    fn set(&mut self, key: Key, value: Value) -> Result<(), Malformed> {
        match (key, value) {
            (Key::Cluster, Value::Cluster(id)) => self.edit().cluster_id = id,
            (Key::Counters, Value::Counters(counters)) => {
                self.counters = counters;
                if self.image.version != counters.version {
                    self.edit().version = counters.version;
                }
            }
            (Key::Broker(id), Value::Broker(broker)) => {
                self.edit().brokers.insert(id, broker);
            }
            (Key::Topic(id), Value::Topic { name }) => self.set_topic(id, name)?,
            (Key::Placements { topic, chunk }, Value::Placements(placements)) => {
                self.set_placements(topic, chunk, placements)?;
            }
            (Key::TopicConfigs(id), Value::Configs(configs)) => {
                self.set_overrides(id, configs.into_iter().collect())?;
            }
            (Key::Removed(_), Value::Removed(ranges)) => {
                let removed = Arc::make_mut(&mut self.edit().removed);
                ranges.iter().for_each(|&(first, end)| removed.add(first, end));
            }
            (Key::BrokerConfigs, Value::Configs(configs)) => self.set_for_all(configs.into_iter().collect())?,
            (Key::OneBrokerConfigs(id), Value::Configs(configs)) => {
                self.set_for_one(id, configs.into_iter().collect())?;
            }
            (Key::GroupConfigs(group), Value::Configs(configs)) => {
                let overrides = Arc::new(configs.into_iter().collect());
                self.edit().groups.insert(group.into(), overrides);
            }
            (key, value) => unreachable!("a value is decoded by its key: {key:?}, {value:?}"),
        }
        Ok(())
    }

    fn unset(&mut self, key: Key) -> Result<(), Malformed> {
        match key {
            Key::Cluster | Key::Counters => return Err(Malformed("the removal of what always stands")),
            Key::Removed(_) => return Err(Malformed("a removal taken back")),
            Key::Broker(id) => {
                self.edit().brokers.remove(&id);
            }
            Key::Topic(id) => self.unset_topic(id),
            // The topic's own removal follows, or was its cause: placements vanish with their topic.
            Key::Placements { .. } => {}
            Key::TopicConfigs(id) => self.set_overrides(id, BTreeMap::new())?,
            Key::BrokerConfigs => self.set_for_all(BTreeMap::new())?,
            Key::OneBrokerConfigs(id) => self.set_for_one(id, BTreeMap::new())?,
            Key::GroupConfigs(group) => {
                self.edit().groups.remove(group.as_str());
            }
        }
        Ok(())
    }

    fn edit(&mut self) -> &mut Image {
        Arc::make_mut(&mut self.image)
    }

    fn set_topic(&mut self, id: TopicId, name: String) -> Result<(), Malformed> {
        match self.image.topic(&name) {
            Some(topic) if topic.id == id => return Ok(()),
            Some(_) => return Err(Malformed("two topics of one name")),
            None if self.image.topic_by_id(id).is_some() => return Err(Malformed("one topic of two names")),
            None => {}
        }
        let settings = topic_settings(self.image.config(), &BTreeMap::new())
            .map_err(|_| Malformed("broker configs that cannot be read"))?;
        self.collisions.insert(collision_name(&name), id);
        let topic = Topic {
            id,
            internal: is_internal(&name),
            name: name.into(),
            partitions: Vec::new(),
            overrides: BTreeMap::new(),
            settings: Arc::new(settings),
        };
        self.put(Arc::new(topic));
        Ok(())
    }

    fn unset_topic(&mut self, id: TopicId) {
        let image = self.edit();
        if let Some(topic) = image.by_id.remove(&id) {
            image.topics.remove(&*topic.name);
            self.collisions.remove(&collision_name(&topic.name));
        }
    }

    /// Chunks may come in any order: compaction keeps only the last of each.
    fn set_placements(&mut self, id: TopicId, chunk: u32, placements: Vec<Placement>) -> Result<(), Malformed> {
        let start = (chunk as usize).saturating_mul(CHUNK);
        let end = start.saturating_add(placements.len());
        if end > TOPIC_PARTITIONS_MAX {
            return Err(Malformed("a partition beyond the most a topic may have"));
        }
        // Out of both maps, so that one topic's many chunks change it in place.
        let image = self.edit();
        let Some(mut topic) = image.by_id.remove(&id) else { return Ok(()) };
        image.topics.remove(&*topic.name);
        let partitions = &mut Arc::make_mut(&mut topic).partitions;
        if partitions.len() < end {
            partitions.resize(end, Placement { replicas: Vec::new(), created: 0 });
        }
        for (at, placement) in placements.into_iter().enumerate() {
            partitions[start + at] = placement;
        }
        self.put(topic);
        Ok(())
    }

    fn set_overrides(&mut self, id: TopicId, overrides: BTreeMap<String, String>) -> Result<(), Malformed> {
        let Some(topic) = self.image.topic_by_id(id) else { return Ok(()) };
        let settings = topic_settings(self.image.config(), &overrides)
            .map_err(|_| Malformed("a topic config that cannot be read"))?;
        let topic = Topic { overrides, settings: Arc::new(settings), ..Topic::clone(topic) };
        self.put(Arc::new(topic));
        Ok(())
    }

    fn set_for_all(&mut self, configs: Overrides) -> Result<(), Malformed> {
        let config = self.image.config();
        self.set_config(config.with_dynamic(configs, config.for_this().clone()))
    }

    /// What is set for another broker is kept, and acts there.
    fn set_for_one(&mut self, id: NodeId, configs: Overrides) -> Result<(), Malformed> {
        let config = self.image.config();
        if config.node() == Some(id) {
            self.set_config(config.with_dynamic(config.for_all().clone(), configs.clone()))?;
        }
        let by_broker = &mut self.edit().by_broker;
        if configs.is_empty() {
            by_broker.remove(&id)
        } else {
            by_broker.insert(id, configs)
        };
        Ok(())
    }

    /// New defaults reach every topic that does not override them.
    fn set_config(&mut self, config: BrokerConfig) -> Result<(), Malformed> {
        let topics: Vec<Arc<Topic>> = self.image.topics().cloned().collect();
        for topic in topics {
            let settings = topic_settings(&config, &topic.overrides)
                .map_err(|_| Malformed("a broker config that cannot be read"))?;
            if settings != *topic.settings {
                self.put(Arc::new(Topic { settings: Arc::new(settings), ..Topic::clone(&topic) }));
            }
        }
        self.edit().config = Arc::new(config);
        Ok(())
    }

    fn put(&mut self, topic: Arc<Topic>) {
        let image = self.edit();
        image.topics.insert(topic.name.clone(), topic.clone());
        image.by_id.insert(topic.id, topic);
    }

    /// Assert the invariants. Walks everything: for tests and the simulator.
    pub fn check(&self) {
        let image = &self.image;
        assert_eq!(image.version, self.counters.version);
        assert_eq!(image.topics.len(), image.by_id.len());
        assert_eq!(image.topics.len(), self.collisions.len());
        let mut numbers = std::collections::BTreeSet::new();
        for topic in image.topics() {
            assert!(image.topic_by_id(topic.id).is_some_and(|same| Arc::ptr_eq(same, topic)));
            assert!(!topic.partitions.is_empty(), "{} has no partitions", topic.name);
            for placement in &topic.partitions {
                assert!(!placement.replicas.is_empty() && placement.created <= image.version);
                for replica in &placement.replicas {
                    assert!(numbers.insert(replica.number), "replica number {} is used twice", replica.number);
                    assert!(replica.number.0 >= FIRST_REPLICA && replica.number.0 < self.counters.next_replica);
                    assert!(!image.is_removed(replica.number));
                }
            }
        }
    }
}

/// Number 0 is the replica of the controller's own log, on every node that has one.
const FIRST_REPLICA: u64 = 1;
