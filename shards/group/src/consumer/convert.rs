//! A group changes its protocol while members are in it (KIP-848, `group.consumer.migration.policy`): up when the first
//! member of the new protocol joins, down when the last one leaves. Its members stay, and keep what they have.

use std::collections::BTreeSet;

use heddle_model::{PartitionId, PartitionIndex};

use crate::{
    Context, Entry, GroupId, GroupSettings, Malformed, MemberId, Refusal, Text, TopicName,
    classic::{ClassicGroup, ClassicMember, GROUP_BYTES_MAX, Phase},
    schema::{
        Key,
        consumer::{ClassicValue, EpochValue, MemberValue, encode_target, encode_target_epoch},
        embedded::{Subscription, decode_assignment, encode_assignment},
    },
    timers::Alarm,
};

use super::{
    ConsumerGroup, Member, Partitions,
    group::{Current, MemberState},
};

/// The protocol type of consumers: their metadata and assignments have a known shape.
pub(crate) const CONSUMER: &str = "consumer";

type Record = (Key, Option<bytes::Bytes>);

/// What a classic group is under the new protocol: the records that make it so, and the group that they make.
pub(crate) fn upgrade(
    group: &ClassicGroup,
    settings: &GroupSettings,
    context: Context<'_>,
) -> Result<(Vec<Record>, ConsumerGroup), Refusal> {
    let allowed = settings.group_consumer_migration_policy.upgrades()
        && group.protocol_type.as_str() == CONSUMER
        && group.members.len() < settings.group_consumer_max_size;
    if !allowed {
        return Err(Refusal::GroupNotFound);
    }
    // Members that speak something else under that name cannot be led by the new protocol.
    let members = upgraded_members(group, context).map_err(|_| Refusal::GroupNotFound)?;
    let id = &group.id;
    let mut records: Vec<Record> = vec![(Key::Group(id.clone()), None)];
    let mut written = Vec::new();
    for (member, wish, current) in &members {
        written.push((Key::Member(id.clone(), member.clone()), wish.encode()));
        let target = encode_target(&current.assigned.to_list());
        written.push((Key::Target(id.clone(), member.clone()), target));
        written.push((Key::Current(id.clone(), member.clone()), current.to_value().encode()));
    }
    let epoch = EpochValue { epoch: group.generation, metadata_hash: 0 };
    written.push((Key::Epoch(id.clone()), epoch.encode()));
    written.push((Key::TargetEpoch(id.clone()), encode_target_epoch(group.generation)));
    let made = replayed(&written).expect("records that were just made can be read");
    records.extend(written.into_iter().map(|(key, value)| (key, Some(value))));
    Ok((records, made))
}

fn replayed(records: &[(Key, bytes::Bytes)]) -> Result<ConsumerGroup, Malformed> {
    let mut group = ConsumerGroup::default();
    for (key, value) in records {
        group.replay(key, Some(value.clone()))?;
    }
    Ok(group)
}

fn upgraded_members(
    group: &ClassicGroup,
    context: Context<'_>,
) -> Result<Vec<(MemberId, MemberValue, Current)>, Malformed> {
    let mut taken = BTreeSet::new();
    let mut members = Vec::with_capacity(group.members.len());
    for (id, member) in &group.members {
        // A group in its first rebalance has no protocol yet.
        let protocol = group.protocol.clone().or_else(|| member.protocols.first().map(|p| p.name.clone()));
        let subscription = Subscription::decode(member.metadata(&protocol.unwrap_or_default()))?;
        let assigned = by_id(&decode_assignment(member.assignment.clone())?, context);
        let current = Current {
            epoch: group.generation,
            previous_epoch: group.generation,
            state: MemberState::Stable,
            // An assignor of the clients may have given one partition twice; here it has one owner.
            assigned: assigned.iter().filter(|partition| taken.insert(*partition)).collect(),
            revoking: Partitions::default(),
        };
        members.push((id.clone(), wish_of(member, &subscription), current));
    }
    Ok(members)
}

fn wish_of(member: &ClassicMember, subscription: &Subscription) -> MemberValue {
    MemberValue {
        instance: member.instance.clone(),
        rack: subscription.rack.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed: super::heartbeat::once_each(&subscription.topics),
        regex: None,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicValue {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    }
}

/// Topics that are gone, and partitions that never were, are left out.
pub(super) fn by_id(named: &[(TopicName, Vec<PartitionIndex>)], context: Context<'_>) -> Partitions {
    let mut partitions = Partitions::default();
    for (name, indexes) in named {
        let Some((topic, count)) = context.topics.by_name(name.as_str()) else { continue };
        for index in indexes.iter().filter(|index| (0..count).contains(&index.0)) {
            partitions.insert(PartitionId { topic, index: *index });
        }
    }
    partitions
}

/// A member's partitions as its own protocol says them.
pub(super) fn assignment_for(member: &MemberValue, partitions: &Partitions, context: Context<'_>) -> bytes::Bytes {
    let first = member.classic.as_ref().and_then(|classic| classic.protocols.first());
    let version =
        first.and_then(|protocol| Subscription::decode(protocol.metadata.clone()).ok()).map_or(0, |s| s.version);
    let list = partitions.to_list();
    let named: Vec<_> =
        list.into_iter().filter_map(|item| Some((context.topics.by_id(item.topic)?.0, item.partitions))).collect();
    encode_assignment(version, &named)
}

impl ConsumerGroup {
    /// Whether the group is one of classic members only, or empty, once this one is gone.
    pub(super) fn is_classic_without(&self, leaving: &MemberId, settings: &GroupSettings) -> bool {
        let left = self.members.len().saturating_sub(1);
        let leaves_last_of_new = self.members.get(leaving).is_some_and(|member| member.wish.classic.is_none())
            && self.members.values().filter(|member| member.wish.classic.is_some()).count() == left;
        leaves_last_of_new
            && left <= settings.group_max_size
            && self.classic_record_bytes() <= GROUP_BYTES_MAX
            && settings.group_consumer_migration_policy.downgrades()
    }

    /// What the group's record under the classic protocol takes, at most. Bytes.
    fn classic_record_bytes(&self) -> usize {
        let member_bytes = |(id, member): (&MemberId, &Member)| {
            let texts = [id.as_str(), member.wish.client_id.as_str(), member.wish.client_host.as_str()];
            let instance = member.wish.instance.as_ref().map_or(0, |instance| instance.as_str().len());
            let protocols = member.wish.classic.iter().flat_map(|classic| &classic.protocols);
            let metadata = protocols.map(|protocol| protocol.metadata.len()).max().unwrap_or(0);
            // A name takes as much as Kafka lets it.
            let topics = self.target_of(id).to_list();
            let assignment: usize = topics.iter().map(|topic| 256 + 4 * topic.partitions.len()).sum();
            texts.iter().map(|text| text.len()).sum::<usize>() + instance + metadata + assignment + 128
        };
        self.members.iter().map(member_bytes).sum()
    }

    /// The group as it will be when these records of its have been replayed.
    pub(crate) fn after(&self, records: &[Entry]) -> Result<ConsumerGroup, Malformed> {
        let mut group = self.clone();
        for entry in records {
            group.replay(&Key::decode(entry.key.clone())?, entry.value.clone())?;
        }
        Ok(group)
    }

    /// The tombstones of all that the group is.
    pub(crate) fn tombstones(&self, id: &GroupId) -> Vec<Key> {
        let mut keys = Vec::new();
        for member in self.members.keys() {
            keys.push(Key::Current(id.clone(), member.clone()));
            keys.push(Key::Target(id.clone(), member.clone()));
            keys.push(Key::Member(id.clone(), member.clone()));
        }
        keys.extend(self.regexes.keys().map(|regex| Key::Regex(id.clone(), regex.clone())));
        keys.push(Key::TargetEpoch(id.clone()));
        keys.push(Key::Epoch(id.clone()));
        keys
    }

    /// The group under the classic protocol, without the member that leaves: stable, with the targets as assignments.
    pub(crate) fn downgraded(&self, id: &GroupId, leaving: Option<&MemberId>, context: Context<'_>) -> ClassicGroup {
        let mut group = ClassicGroup::new(id.clone());
        group.generation = self.epoch;
        group.protocol_type = Text::new(CONSUMER);
        for (member_id, member) in self.members.iter().filter(|(member_id, _)| Some(*member_id) != leaving) {
            let Some(classic) = &member.wish.classic else { continue };
            let assignment = assignment_for(&member.wish, &self.target_of(member_id), context);
            group.add_replayed(
                member_id.clone(),
                ClassicMember {
                    instance: member.wish.instance.clone(),
                    client_id: member.wish.client_id.clone(),
                    client_host: member.wish.client_host.clone(),
                    session_timeout_ms: classic.session_timeout_ms,
                    rebalance_timeout_ms: member.wish.rebalance_timeout_ms,
                    protocols: classic.protocols.clone(),
                    assignment,
                    join: None,
                    sync: None,
                    is_new: false,
                    session: Alarm::default(),
                },
            );
        }
        group.protocol = group.vote();
        group.phase = Phase::Stable;
        group.learn_subscriptions();
        group
    }

    /// What the members of the group that this one became hold until they join again: the targets, which its record names
    /// as in Apache Kafka, they have not heard of. A member of the new protocol that comes before they do waits until they
    /// have given that up. Kafka takes the targets for what they hold, so that for a while two hold a partition.
    pub(crate) fn note_what_is_held(&self, downgraded: &mut ClassicGroup, context: Context<'_>) {
        for (id, member) in &mut downgraded.members {
            let Some(Member { wish, current }) = self.members.get(id) else { continue };
            let held: Partitions = current.assigned.iter().chain(current.revoking.iter()).collect();
            member.assignment = assignment_for(wish, &held, context);
        }
    }
}
