//! A KIP-848 group as replay builds it. Everything below `members` and `target` follows from them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heddle_model::PartitionId;

use crate::{
    GroupState, InstanceId, Malformed, MemberId, Text, TopicName,
    schema::{
        Key,
        consumer::{CurrentValue, EpochValue, MemberValue, RegexValue, decode_target, decode_target_epoch},
    },
};

use super::Partitions;

/// A static member that left for a while has this epoch.
pub(crate) const AWAY: i32 = -2;

/// Where a group begins, in Kafka: its first member's coming makes it 2.
const FIRST_EPOCH: i32 = 1;

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ConsumerGroup {
    /// Grows with every change of subscriptions, members or subscribed topics.
    pub epoch: i32,
    pub metadata_hash: i64,
    /// The epoch that `target` was made for.
    pub target_epoch: i32,
    pub members: BTreeMap<MemberId, Member>,
    pub target: BTreeMap<MemberId, Partitions>,
    pub regexes: BTreeMap<Text, RegexValue>,
    pub statics: BTreeMap<InstanceId, MemberId>,
    /// Who holds each partition, until its release is confirmed.
    pub owners: BTreeMap<PartitionId, MemberId>,
    /// How many members name each topic, and use each expression.
    pub named: BTreeMap<TopicName, usize>,
    pub used_regexes: BTreeMap<Text, usize>,
    /// How many members ask for each assignor.
    pub wanted_assignors: BTreeMap<Text, usize>,
}

impl Default for ConsumerGroup {
    fn default() -> ConsumerGroup {
        ConsumerGroup {
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            target_epoch: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            regexes: BTreeMap::new(),
            statics: BTreeMap::new(),
            owners: BTreeMap::new(),
            named: BTreeMap::new(),
            used_regexes: BTreeMap::new(),
            wanted_assignors: BTreeMap::new(),
        }
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Member {
    pub wish: MemberValue,
    pub current: Current,
}

/// What a member has, and how far it is.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Current {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: Partitions,
    pub revoking: Partitions,
}

/// The numbers are the record's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum MemberState {
    #[default]
    Stable = 0,
    /// Has been told to give partitions up, and has not confirmed it.
    UnrevokedPartitions = 1,
    /// Waits for partitions that others still hold.
    UnreleasedPartitions = 2,
    /// Written by a version that knows more states.
    Unknown = 127,
}

impl MemberState {
    fn from_number(number: i8) -> MemberState {
        match number {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }
}

impl Current {
    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    pub fn to_value(&self) -> CurrentValue {
        CurrentValue {
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            state: self.state as i8,
            assigned: self.assigned.to_list(),
            revoking: self.revoking.to_list(),
        }
    }

    fn from_value(value: &CurrentValue) -> Current {
        Current {
            epoch: value.epoch,
            previous_epoch: value.previous_epoch,
            state: MemberState::from_number(value.state),
            assigned: Partitions::from_list(&value.assigned),
            revoking: Partitions::from_list(&value.revoking),
        }
    }
}

impl ConsumerGroup {
    pub fn state(&self) -> GroupState {
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.target_epoch {
            GroupState::Assigning
        } else if self.members.values().any(|member| !member.current.is_reconciled_to(self.target_epoch)) {
            GroupState::Reconciling
        } else {
            GroupState::Stable
        }
    }

    /// Every topic that any member subscribes to.
    pub fn subscribed(&self) -> BTreeSet<TopicName> {
        let matched = self.used_regexes.keys().filter_map(|regex| self.regexes.get(regex));
        self.named.keys().chain(matched.flat_map(|value| value.topics.iter())).cloned().collect()
    }

    pub fn is_subscribed(&self, topic: &TopicName) -> bool {
        self.named.contains_key(topic)
            || self
                .used_regexes
                .keys()
                .any(|regex| self.regexes.get(regex).is_some_and(|value| value.topics.binary_search(topic).is_ok()))
    }

    /// Asserts that nobody holds what another holds, and that what is derived follows from the members.
    pub fn check(&self) {
        let held: usize =
            self.members.values().map(|member| member.current.assigned.len() + member.current.revoking.len()).sum();
        assert_eq!(held, self.owners.len(), "each partition is held once");
        for (partition, owner) in &self.owners {
            let current = &self.members[owner].current;
            assert!(current.assigned.contains(*partition) || current.revoking.contains(*partition));
        }
        let names: usize = self.members.values().map(|member| member.wish.subscribed.len()).sum();
        assert_eq!(names, self.named.values().sum::<usize>());
        assert!(self.target_epoch <= self.epoch, "a target is made for an epoch that was");
        assert!(self.target.keys().all(|member| self.members.contains_key(member)));
        let targets: usize = self.target.values().map(Partitions::len).sum();
        let distinct: BTreeSet<PartitionId> = self.target.values().flat_map(Partitions::iter).collect();
        assert_eq!(targets, distinct.len(), "each partition is meant for one member");
    }

    pub fn target_of(&self, member: &MemberId) -> Partitions {
        self.target.get(member).cloned().unwrap_or_default()
    }

    /// Applies any of the records that make such a group.
    pub fn replay(&mut self, key: &Key, value: Option<Bytes>) -> Result<(), Malformed> {
        match key {
            Key::Epoch(_) => self.replay_epoch(value),
            Key::Member(_, member) => self.replay_member(member.clone(), value),
            Key::TargetEpoch(_) => self.replay_target_epoch(value),
            Key::Target(_, member) => self.replay_target(member.clone(), value),
            Key::Current(_, member) => self.replay_current(member.clone(), value),
            Key::Regex(_, regex) => self.replay_regex(regex.clone(), value),
            Key::Offset { .. } | Key::Group(_) | Key::Unknown(_) => Ok(()),
        }
    }

    fn replay_epoch(&mut self, value: Option<Bytes>) -> Result<(), Malformed> {
        let Some(value) = value else { return Ok(()) };
        let EpochValue { epoch, metadata_hash } = EpochValue::decode(value)?;
        (self.epoch, self.metadata_hash) = (epoch, metadata_hash);
        Ok(())
    }

    fn replay_target_epoch(&mut self, value: Option<Bytes>) -> Result<(), Malformed> {
        self.target_epoch = value.map_or(Ok(0), decode_target_epoch)?;
        Ok(())
    }

    fn replay_member(&mut self, id: MemberId, value: Option<Bytes>) -> Result<(), Malformed> {
        let Some(value) = value else {
            self.forget_wish(&id);
            if let Some(gone) = self.members.remove(&id) {
                self.release(&id, &gone.current);
            }
            return Ok(());
        };
        let mut wish = MemberValue::decode(value)?;
        wish.subscribed.sort();
        wish.subscribed.dedup();
        self.forget_wish(&id);
        wish.subscribed.iter().for_each(|topic| count(&mut self.named, topic));
        wish.regex.iter().for_each(|regex| count(&mut self.used_regexes, regex));
        wish.assignor.iter().for_each(|assignor| count(&mut self.wanted_assignors, assignor));
        if let Some(instance) = &wish.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.members.entry(id).or_default().wish = wish;
        Ok(())
    }

    fn forget_wish(&mut self, id: &MemberId) {
        let Some(member) = self.members.get(id) else { return };
        member.wish.subscribed.iter().for_each(|topic| discount(&mut self.named, topic));
        member.wish.regex.iter().for_each(|regex| discount(&mut self.used_regexes, regex));
        member.wish.assignor.iter().for_each(|assignor| discount(&mut self.wanted_assignors, assignor));
        if let Some(instance) = &member.wish.instance
            && self.statics.get(instance) == Some(id)
        {
            self.statics.remove(instance);
        }
    }

    fn replay_target(&mut self, id: MemberId, value: Option<Bytes>) -> Result<(), Malformed> {
        match value {
            Some(value) => {
                self.target.insert(id, Partitions::from_list(&decode_target(value)?));
            }
            None => {
                self.target.remove(&id);
            }
        }
        Ok(())
    }

    /// Compaction may leave this record before the member's own.
    fn replay_current(&mut self, id: MemberId, value: Option<Bytes>) -> Result<(), Malformed> {
        let current = match value {
            Some(value) => Current::from_value(&CurrentValue::decode(value)?),
            None if self.members.contains_key(&id) => Current::default(),
            None => return Ok(()),
        };
        let member = self.members.entry(id.clone()).or_default();
        let before = std::mem::replace(&mut member.current, current.clone());
        self.release(&id, &before);
        for partition in current.assigned.iter().chain(current.revoking.iter()) {
            self.owners.insert(partition, id.clone());
        }
        Ok(())
    }

    fn release(&mut self, id: &MemberId, current: &Current) {
        for partition in current.assigned.iter().chain(current.revoking.iter()) {
            if self.owners.get(&partition) == Some(id) {
                self.owners.remove(&partition);
            }
        }
    }

    fn replay_regex(&mut self, regex: Text, value: Option<Bytes>) -> Result<(), Malformed> {
        match value {
            Some(value) => {
                let mut value = RegexValue::decode(value)?;
                value.topics.sort();
                self.regexes.insert(regex, value);
            }
            None => {
                self.regexes.remove(&regex);
            }
        }
        Ok(())
    }
}

fn count<K: Ord + Clone>(counts: &mut BTreeMap<K, usize>, key: &K) {
    *counts.entry(key.clone()).or_insert(0) += 1;
}

fn discount<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
