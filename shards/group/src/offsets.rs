//! Committed offsets: commit, fetch, delete. What was never committed is never answered with 0 (trap 12).

use heddle_model::PartitionIndex;

use crate::{
    Answer, CommitOffsets, CommittedOffset, DeleteOffsets, FetchOffsets, FetchedOffset, GroupId, OffsetOutcome,
    OffsetToCommit, Refusal, TopicName,
    classic::Phase,
    consumer::CONSUMER,
    decide::Turn,
    hard::{Body, Group},
    schema::{Key, StoredOffset},
};
use heddle_model::limits;

/// What the records of one commit may take together. Bytes.
const COMMIT_BYTES_MAX: usize = limits::BATCH_BYTES_MAX / 2;

impl Turn<'_> {
    pub fn commit_offsets(&mut self, ask: CommitOffsets) -> Result<Answer, Refusal> {
        self.admit_commit(&ask)?;
        let size: usize = ask.offsets.iter().map(|offset| record_bytes(&ask.group, offset)).sum();
        if size > COMMIT_BYTES_MAX {
            return Err(Refusal::CommitTooLarge);
        }
        let mut outcomes = Vec::with_capacity(ask.offsets.len());
        for offset in ask.offsets {
            let outcome = self.commit_offset(&ask.group, &offset, ask.retention_ms);
            outcomes.push((offset.topic, offset.partition, outcome.err()));
        }
        if !self.out.records.is_empty() {
            self.out.producer = ask.producer;
        }
        Ok(Answer::Committed(outcomes))
    }

    fn admit_commit(&mut self, ask: &CommitOffsets) -> Result<(), Refusal> {
        match self.group(&ask.group).map(|group| &group.body) {
            // Nobody ever joined, or nobody knows it: free for whoever does not claim to be a member.
            None | Some(Body::Simple) if ask.generation < 0 && !self.soft.live.contains_key(&ask.group) => Ok(()),
            None if ask.producer.is_none() && ask.knows_epochs => Err(Refusal::GroupNotFound),
            None => Err(Refusal::IllegalGeneration),
            Some(Body::Simple | Body::Classic(_)) => self.with_classic(&ask.group, |classic| classic.admit_commit(ask)),
            Some(Body::Consumer(group)) => group.admit_commit(ask),
        }
    }

    fn commit_offset(
        &mut self,
        group: &GroupId,
        offset: &OffsetToCommit,
        retention_ms: Option<i64>,
    ) -> Result<(), Refusal> {
        let max = self.hard.settings.offset_metadata_max_bytes;
        let metadata = offset.metadata.as_str();
        // Kafka counts as Java does.
        if metadata.len() > max && metadata.encode_utf16().count() > max {
            return Err(Refusal::MetadataTooLarge);
        }
        crate::door::fits(metadata).map_err(|_| Refusal::MetadataTooLarge)?;
        let committed = CommittedOffset {
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata: offset.metadata.clone(),
            committed_at: self.context.now.wall.0,
        };
        let known = self.context.topics.by_name(offset.topic.as_str()).map(|(id, _)| id);
        if offset.topic_id.is_some() && known != offset.topic_id {
            return Err(Refusal::UnknownTopicOrPartition);
        }
        let key = Key::Offset { group: group.clone(), topic: offset.topic.clone(), partition: offset.partition };
        let expires_at = retention_ms.map(|ms| committed.committed_at.saturating_add(ms).max(0));
        self.write(key, Some(committed.encode(expires_at, offset.topic_id)));
        Ok(())
    }

    pub fn fetch_offsets(&mut self, ask: FetchOffsets) -> Result<Answer, Refusal> {
        let group = self.group(&ask.group);
        if let Some(Body::Consumer(consumer)) = group.map(|group| &group.body) {
            consumer.admit_fetch(ask.member.as_ref(), ask.epoch)?;
        }
        let topics = match ask.topics {
            Some(topics) => topics,
            None => group.map(all_partitions).unwrap_or_default(),
        };
        let outcome = |topic: &TopicName, partition: PartitionIndex| {
            if ask.require_stable && self.is_pending(&ask.group, topic, partition) {
                return OffsetOutcome::Pending;
            }
            match group.and_then(|group| group.offset(topic, partition)) {
                Some(stored) => OffsetOutcome::Known(stored.committed.clone()),
                None => OffsetOutcome::Nothing,
            }
        };
        let fetched = topics
            .into_iter()
            .map(|(topic, partitions)| {
                let offsets = partitions
                    .into_iter()
                    .map(|partition| FetchedOffset { partition, outcome: outcome(&topic, partition) })
                    .collect();
                (topic, offsets)
            })
            .collect();
        Ok(Answer::Fetched(fetched))
    }

    /// Whether an open transaction has committed here.
    pub fn is_pending(&self, group: &GroupId, topic: &TopicName, partition: PartitionIndex) -> bool {
        if self.group(group).is_none_or(|group| group.pending == 0) {
            return false;
        }
        let place = (group.clone(), topic.clone(), partition);
        self.hard.pending.values().any(|pending| pending.contains_key(&place))
    }

    pub fn delete_offsets(&mut self, ask: DeleteOffsets) -> Result<Answer, Refusal> {
        let group = self.group(&ask.group).ok_or(Refusal::GroupNotFound)?;
        let subscribed = self.subscriptions_of(group, &ask)?;
        let mut outcomes = Vec::with_capacity(ask.partitions.len());
        for ((topic, partition), subscribed) in ask.partitions.into_iter().zip(subscribed) {
            if subscribed {
                outcomes.push((topic, partition, Some(Refusal::SubscribedToTopic)));
                continue;
            }
            if group.offset(&topic, partition).is_some() || self.is_pending(&ask.group, &topic, partition) {
                self.forget_offset(&ask.group, &topic, partition);
            }
            outcomes.push((topic, partition, None));
        }
        Ok(Answer::OffsetsDeleted(outcomes))
    }

    /// Which of the partitions a member reads.
    fn subscriptions_of(&mut self, group: &Group, ask: &DeleteOffsets) -> Result<Vec<bool>, Refusal> {
        if let Body::Consumer(consumer) = &group.body {
            return Ok(ask.partitions.iter().map(|(topic, _)| consumer.is_subscribed(topic)).collect());
        }
        self.with_classic(&ask.group, |classic| {
            let is_consumer = classic.group.protocol_type.as_str() == CONSUMER;
            if classic.group.phase != Phase::Empty && !is_consumer {
                return Err(Refusal::NonEmptyGroup);
            }
            let is_empty = classic.group.phase == Phase::Empty;
            Ok(ask.partitions.iter().map(|(topic, _)| !is_empty && classic.group.is_subscribed(topic)).collect())
        })
    }

    /// Writes the tombstone of one committed offset.
    pub fn forget_offset(&mut self, group: &GroupId, topic: &TopicName, partition: PartitionIndex) {
        self.write(Key::Offset { group: group.clone(), topic: topic.clone(), partition }, None);
    }

    /// Writes the tombstones of what is committed, or about to be, in a group, as many as this turn takes. True if these
    /// were all. Once they are replayed the rest is there to be asked for.
    pub fn forget_offsets(&mut self, id: &GroupId) -> bool {
        let Some(group) = self.group(id) else { return true };
        for (topic, partitions) in &group.offsets {
            for partition in partitions.keys() {
                if self.is_full() {
                    return false;
                }
                self.forget_offset(id, topic, *partition);
            }
        }
        if group.pending > 0 {
            let hard = self.hard;
            for (pending_group, topic, partition) in hard.pending.values().flat_map(|pending| pending.keys()) {
                if pending_group == id && group.offset(topic, *partition).is_none() {
                    if self.is_full() {
                        return false;
                    }
                    self.forget_offset(id, topic, *partition);
                }
            }
        }
        true
    }
}

fn all_partitions(group: &Group) -> Vec<(TopicName, Vec<PartitionIndex>)> {
    let partitions = |(topic, stored): (&TopicName, &std::collections::BTreeMap<PartitionIndex, StoredOffset>)| {
        (topic.clone(), stored.keys().copied().collect())
    };
    group.offsets.iter().map(partitions).collect()
}

/// What a commit's record takes, roughly and at most.
fn record_bytes(group: &GroupId, offset: &OffsetToCommit) -> usize {
    96 + group.as_str().len() + offset.topic.as_str().len() + offset.metadata.as_str().len()
}
