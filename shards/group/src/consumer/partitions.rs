//! Sets of partitions by topic id: assignments, and what is to be given up.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::{PartitionId, PartitionIndex, TopicId};

use crate::TopicPartitions;

/// Never holds a topic without partitions, so that equal sets are equal values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Partitions {
    topics: BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
}

impl Partitions {
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub fn len(&self) -> usize {
        self.topics.values().map(BTreeSet::len).sum()
    }

    pub fn contains(&self, partition: PartitionId) -> bool {
        self.topics.get(&partition.topic).is_some_and(|indexes| indexes.contains(&partition.index))
    }

    pub fn insert(&mut self, partition: PartitionId) {
        self.topics.entry(partition.topic).or_default().insert(partition.index);
    }

    pub fn iter(&self) -> impl Iterator<Item = PartitionId> + '_ {
        self.topics
            .iter()
            .flat_map(|(topic, indexes)| indexes.iter().map(|index| PartitionId { topic: *topic, index: *index }))
    }

    pub fn without(&self, other: &Partitions) -> Partitions {
        self.iter().filter(|partition| !other.contains(*partition)).collect()
    }

    pub fn is_subset(&self, other: &Partitions) -> bool {
        self.iter().all(|partition| other.contains(partition))
    }

    pub fn meets(&self, other: &Partitions) -> bool {
        self.iter().any(|partition| other.contains(partition))
    }

    pub fn to_list(&self) -> Vec<TopicPartitions> {
        self.topics
            .iter()
            .map(|(topic, indexes)| TopicPartitions { topic: *topic, partitions: indexes.iter().copied().collect() })
            .collect()
    }

    pub fn from_list(list: &[TopicPartitions]) -> Partitions {
        list.iter()
            .flat_map(|item| item.partitions.iter().map(|index| PartitionId { topic: item.topic, index: *index }))
            .collect()
    }
}

impl FromIterator<PartitionId> for Partitions {
    fn from_iter<I: IntoIterator<Item = PartitionId>>(partitions: I) -> Partitions {
        let mut out = Partitions::default();
        partitions.into_iter().for_each(|partition| out.insert(partition));
        out
    }
}
