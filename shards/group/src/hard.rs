//! What is equal on every replica: groups and committed offsets, changed by `replay` and nothing else.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_model::{PartitionIndex, ProducerId};

use crate::{
    GroupId, GroupSettings, Malformed, TopicName,
    consumer::ConsumerGroup,
    schema::{GroupMetadata, Key, StoredOffset},
};

/// One partition of `__consumer_offsets`.
#[derive(Clone, PartialEq, Debug)]
pub struct Groups {
    pub(crate) settings: GroupSettings,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    /// Commits of open transactions, by producer.
    pub(crate) pending: BTreeMap<ProducerId, Pending>,
    /// Records replayed so far.
    replayed: u64,
}

pub(crate) type Pending = BTreeMap<(GroupId, TopicName, PartitionIndex), StoredOffset>;

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Group {
    pub offsets: BTreeMap<TopicName, BTreeMap<PartitionIndex, StoredOffset>>,
    /// How many commits of open transactions name this group.
    pub pending: usize,
    pub body: Body,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) enum Body {
    /// Known by its commits only: nobody ever joined it ("simple" group).
    #[default]
    Simple,
    Classic(GroupMetadata),
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    fn is_nothing(&self) -> bool {
        self.offsets.is_empty() && self.pending == 0 && self.body == Body::Simple
    }

    pub fn offset(&self, topic: &TopicName, partition: PartitionIndex) -> Option<&StoredOffset> {
        self.offsets.get(topic)?.get(&partition)
    }

    pub fn forget_offset(&mut self, topic: &TopicName, partition: PartitionIndex) {
        if let Some(partitions) = self.offsets.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.offsets.remove(topic);
            }
        }
    }
}

impl Groups {
    pub fn new(settings: GroupSettings) -> Groups {
        Groups { settings, groups: BTreeMap::new(), pending: BTreeMap::new(), replayed: 0 }
    }

    /// Configuration may change while running; it is no part of what replicas agree on.
    pub fn configure(&mut self, settings: GroupSettings) {
        self.settings = settings;
    }

    /// Applies one record that is not part of a transaction. `None` as value: a tombstone.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Malformed> {
        self.replayed += 1;
        let value = value.map(Bytes::copy_from_slice);
        match Key::decode(Bytes::copy_from_slice(key))? {
            Key::Offset { group, topic, partition } => self.replay_offset(group, topic, partition, value),
            Key::Group(group) => self.replay_group(group, value),
            Key::Epoch(group) if value.is_none() => {
                self.end_consumer_group(&group);
                Ok(())
            }
            ref key @ (Key::Epoch(ref group)
            | Key::Member(ref group, _)
            | Key::TargetEpoch(ref group)
            | Key::Target(ref group, _)
            | Key::Current(ref group, _)
            | Key::Regex(ref group, _)) => self.replay_in_consumer_group(group, key, value),
            Key::Unknown(_) => Ok(()),
        }
    }

    /// Applies one record of a transactional batch: a commit that counts once its producer's transaction commits.
    pub fn replay_pending(&mut self, producer: ProducerId, key: &[u8], value: Option<&[u8]>) -> Result<(), Malformed> {
        self.replayed += 1;
        let Key::Offset { group, topic, partition } = Key::decode(Bytes::copy_from_slice(key))? else {
            return Err(Malformed("only offsets are committed in transactions"));
        };
        let value = value.ok_or(Malformed("a transaction does not delete offsets"))?;
        let stored = StoredOffset::decode(Bytes::copy_from_slice(value), self.replayed)?;
        let pending = self.pending.entry(producer).or_default();
        if pending.insert((group.clone(), topic, partition), stored).is_none() {
            self.groups.entry(group).or_default().pending += 1;
        }
        Ok(())
    }

    /// Applies the marker that ends a producer's transaction.
    pub fn end_transaction(&mut self, producer: ProducerId, committed: bool) {
        self.replayed += 1;
        for ((group, topic, partition), stored) in self.pending.remove(&producer).unwrap_or_default() {
            let entry = self.groups.entry(group.clone()).or_default();
            entry.pending -= 1;
            let newer = entry.offset(&topic, partition).is_none_or(|standing| stored.order > standing.order);
            if committed && newer {
                entry.offsets.entry(topic).or_default().insert(partition, stored);
            }
            self.drop_if_nothing(&group);
        }
    }

    /// Whether any open transaction has committed offsets here: then it has to be told of the transaction's end.
    pub fn is_in_transaction(&self, producer: ProducerId) -> bool {
        self.pending.contains_key(&producer)
    }

    /// How many records were replayed: later ones have a higher place in the order.
    pub(crate) fn replayed(&self) -> u64 {
        self.replayed
    }

    /// Number of groups, for metrics and tests.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Asserts what must hold after every record of a decision has been replayed. Costs as much as there is; for tests
    /// and the simulator.
    pub fn check(&self) {
        let pending: usize = self.pending.values().map(BTreeMap::len).sum();
        assert_eq!(pending, self.groups.values().map(|group| group.pending).sum::<usize>());
        for group in self.groups.values() {
            assert!(!group.is_nothing(), "what is nothing is not kept");
            if let Body::Consumer(consumer) = &group.body {
                consumer.check();
            }
        }
    }

    fn replay_offset(
        &mut self,
        group: GroupId,
        topic: TopicName,
        partition: PartitionIndex,
        value: Option<Bytes>,
    ) -> Result<(), Malformed> {
        match value {
            Some(value) => {
                let stored = StoredOffset::decode(value, self.replayed)?;
                self.groups.entry(group).or_default().offsets.entry(topic).or_default().insert(partition, stored);
            }
            None => {
                if let Some(entry) = self.groups.get_mut(&group) {
                    entry.forget_offset(&topic, partition);
                    self.forget_pending(&group, &topic, partition);
                }
                self.drop_if_nothing(&group);
            }
        }
        Ok(())
    }

    /// A deletion also takes what open transactions would bring back.
    fn forget_pending(&mut self, group: &GroupId, topic: &TopicName, partition: PartitionIndex) {
        let Some(entry) = self.groups.get_mut(group).filter(|entry| entry.pending > 0) else { return };
        let place = (group.clone(), topic.clone(), partition);
        for pending in self.pending.values_mut() {
            if pending.remove(&place).is_some() {
                entry.pending -= 1;
            }
        }
        self.pending.retain(|_, pending| !pending.is_empty());
    }

    fn replay_group(&mut self, group: GroupId, value: Option<Bytes>) -> Result<(), Malformed> {
        match value {
            Some(value) => {
                let metadata = GroupMetadata::decode(value)?;
                self.groups.entry(group).or_default().body = Body::Classic(metadata);
            }
            None => {
                if let Some(entry) = self.groups.get_mut(&group)
                    && matches!(entry.body, Body::Classic(_))
                {
                    entry.body = Body::Simple;
                }
                self.drop_if_nothing(&group);
            }
        }
        Ok(())
    }

    /// The epoch's tombstone is the end of a KIP-848 group.
    fn end_consumer_group(&mut self, id: &GroupId) {
        if let Some(entry) = self.groups.get_mut(id)
            && matches!(entry.body, Body::Consumer(_))
        {
            entry.body = Body::Simple;
        }
        self.drop_if_nothing(id);
    }

    /// Any value may be the first that compaction left of a group; a tombstone makes no group.
    fn replay_in_consumer_group(&mut self, id: &GroupId, key: &Key, value: Option<Bytes>) -> Result<(), Malformed> {
        let known = self.groups.get(id).is_some_and(|entry| matches!(entry.body, Body::Consumer(_)));
        if value.is_none() && !known {
            return Ok(());
        }
        let body = &mut self.groups.entry(id.clone()).or_default().body;
        if !known {
            *body = Body::Consumer(Box::default());
        }
        match body {
            Body::Consumer(group) => group.replay(key, value),
            Body::Simple | Body::Classic(_) => unreachable!("it was just made one"),
        }
    }

    fn drop_if_nothing(&mut self, group: &GroupId) {
        if self.groups.get(group).is_some_and(Group::is_nothing) {
            self.groups.remove(group);
        }
    }

    /// The same, but for how many records it took.
    #[cfg(test)]
    pub(crate) fn without_order(&self) -> Groups {
        let mut same = self.clone();
        same.replayed = 0;
        let stored = same.groups.values_mut().flat_map(|group| group.offsets.values_mut());
        stored.flat_map(BTreeMap::values_mut).for_each(|stored| stored.order = 0);
        same
    }
}
