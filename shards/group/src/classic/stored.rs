//! Between the group at work and the record that persists it.

use std::collections::BTreeSet;

use crate::{
    GroupId, MemberId, Protocol, Text, TopicName,
    consumer::CONSUMER,
    schema::{GroupMetadata, StoredMember, embedded::subscribed_topics},
    timers::Alarm,
};

use super::group::{ClassicGroup, Member, Phase};

impl ClassicGroup {
    /// The group as a new leader finds it: the last completed generation, nobody waiting.
    pub fn from_stored(id: &GroupId, stored: &GroupMetadata) -> ClassicGroup {
        let mut group = ClassicGroup::new(id.clone());
        group.generation = stored.generation;
        group.protocol_type = stored.protocol_type.clone();
        group.protocol = stored.protocol.clone();
        for member in &stored.members {
            group.add_replayed(member.member.clone(), Member::from_stored(member, stored.protocol.as_ref()));
        }
        if let Some(leader) = &stored.leader
            && group.members.contains_key(leader)
        {
            group.leader = Some(leader.clone());
        }
        group.phase = if group.members.is_empty() { Phase::Empty } else { Phase::Stable };
        group.learn_subscriptions();
        group
    }

    pub fn to_stored(&self, since: i64) -> GroupMetadata {
        let protocol = self.protocol.clone().unwrap_or_default();
        GroupMetadata {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since,
            members: self.members.iter().map(|(id, member)| member.to_stored(id, &protocol)).collect(),
        }
    }

    /// What the members subscribe to under the chosen protocol.
    pub fn learn_subscriptions(&mut self) {
        self.subscribed = self.subscriptions();
    }

    fn subscriptions(&self) -> Option<BTreeSet<TopicName>> {
        if self.protocol_type.as_str() != CONSUMER {
            return None;
        }
        let mut topics = BTreeSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol = self.protocol.as_ref()?;
        for member in self.members.values() {
            topics.extend(subscribed_topics(member.metadata(protocol))?);
        }
        Some(topics)
    }

    /// Whether a member reads this topic; if the coordinator cannot tell, consumers are taken to.
    pub fn is_subscribed(&self, topic: &TopicName) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.protocol_type.as_str() == CONSUMER,
        }
    }
}

impl Member {
    fn from_stored(stored: &StoredMember, protocol: Option<&Text>) -> Member {
        let name = protocol.cloned().unwrap_or_default();
        Member {
            instance: stored.instance.clone(),
            client_id: stored.client_id.clone(),
            client_host: stored.client_host.clone(),
            session_timeout_ms: stored.session_timeout_ms,
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            protocols: vec![Protocol { name, metadata: stored.subscription.clone() }],
            assignment: stored.assignment.clone(),
            join: None,
            sync: None,
            is_new: false,
            session: Alarm::default(),
        }
    }

    fn to_stored(&self, id: &MemberId, protocol: &Text) -> StoredMember {
        StoredMember {
            member: id.clone(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }
}
