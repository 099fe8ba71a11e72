//! ConsumerGroupDescribe.

use crate::{
    ConsumerDescribed, ConsumerDescribedMember, Context, GroupId, GroupSettings, MemberId, Text, TopicName,
    TopicPartitions,
};

use super::{ConsumerGroup, Member, Partitions};

impl ConsumerGroup {
    pub fn describe(&self, id: &GroupId, settings: &GroupSettings, context: Context<'_>) -> ConsumerDescribed {
        let wanted = self.wanted_assignors.iter().max_by_key(|(_, count)| **count).map(|(name, _)| name.clone());
        let default = settings.group_consumer_assignors.first().map(|assignor| Text::new(assignor.name()));
        ConsumerDescribed {
            group: id.clone(),
            state: self.state(),
            epoch: self.epoch,
            assignment_epoch: self.target_epoch,
            assignor: wanted.or(default).unwrap_or_default(),
            members: self.members.iter().map(|(id, member)| self.described(id, member, context)).collect(),
        }
    }

    fn described(&self, id: &MemberId, member: &Member, context: Context<'_>) -> ConsumerDescribedMember {
        ConsumerDescribedMember {
            member: id.clone(),
            instance: member.wish.instance.clone(),
            rack: member.wish.rack.clone(),
            epoch: member.current.epoch,
            client_id: member.wish.client_id.clone(),
            client_host: member.wish.client_host.clone(),
            subscribed: member.wish.subscribed.clone(),
            regex: member.wish.regex.clone(),
            assignment: named(&member.current.assigned, context),
            target: named(&self.target_of(id), context),
            classic: member.wish.classic.is_some(),
        }
    }
}

/// With the topics' names; topics that are gone have none and are left out.
fn named(partitions: &Partitions, context: Context<'_>) -> Vec<(TopicName, TopicPartitions)> {
    partitions.to_list().into_iter().filter_map(|item| Some((context.topics.by_id(item.topic)?.0, item))).collect()
}
