//! What operators ask: which groups there are, what they do, and that they go.

use std::collections::BTreeSet;

use heddle_model::Ticket;

use crate::{
    Answer, Described, DescribedMember, GroupId, GroupKind, GroupState, List, Listed, MemberId, Refusal, Soft, Text,
    classic::{ClassicGroup, Phase},
    consumer::CONSUMER,
    decide::Turn,
    hard::{Body, Group},
    schema::Key,
};

impl Turn<'_> {
    pub fn list(&self, filter: &List) -> Vec<Listed> {
        self.hard
            .groups
            .iter()
            .map(|(id, group)| self.listed(id, group))
            .filter(|group| matches(filter, group))
            .collect()
    }

    fn listed(&self, id: &GroupId, group: &Group) -> Listed {
        let (kind, state, protocol_type) = state_of(id, group, self.soft);
        Listed { group: id.clone(), protocol_type, state, kind }
    }

    /// DescribeGroups: classic groups only.
    pub fn describe(&mut self, id: &GroupId) -> Result<Described, Refusal> {
        let group = self.group(id).ok_or(Refusal::GroupNotFound)?;
        if matches!(group.body, Body::Consumer(_)) {
            return Err(Refusal::GroupNotFound);
        }
        Ok(self.with_classic(id, |classic| described(classic.group)))
    }

    /// DeleteGroups, one group: at once, unless there is too much of it, or others were asked for before.
    pub fn delete(&mut self, id: GroupId, ticket: Ticket) {
        self.soft.deletions.push_back((id, ticket));
        if self.soft.deletions.len() == 1 {
            self.go_on_deleting();
        }
    }

    pub fn go_on_deleting(&mut self) {
        let mut gone = BTreeSet::new();
        while !self.is_full() {
            let Some((id, ticket)) = self.soft.deletions.pop_front() else { return };
            // What this decision removes is still to be seen until its records are replayed.
            let outcome = if gone.contains(&id) { Err(Refusal::GroupNotFound) } else { self.delete_some(&id) };
            match outcome {
                Ok(true) => self.answer(ticket, Answer::Deleted),
                Ok(false) => return self.soft.deletions.push_front((id, ticket)),
                Err(refusal) => self.answer(ticket, Answer::Refused(refusal)),
            }
            gone.insert(id);
        }
    }

    /// As much as this turn takes. True if that was all, and the group is gone.
    fn delete_some(&mut self, id: &GroupId) -> Result<bool, Refusal> {
        let group = self.group(id).ok_or(Refusal::GroupNotFound)?;
        let at_work = self.soft.live.get(id).is_some_and(|live| live.phase != Phase::Empty);
        let has_members = matches!(&group.body, Body::Consumer(consumer) if !consumer.members.is_empty());
        if at_work || has_members {
            return Err(Refusal::NonEmptyGroup);
        }
        let all = self.forget_offsets(id);
        if all {
            self.end_group(id, group);
        }
        Ok(all)
    }

    /// Writes the tombstones of a group without members.
    pub fn end_group(&mut self, id: &GroupId, group: &Group) {
        match &group.body {
            Body::Simple => {}
            Body::Classic(_) => self.write(Key::Group(id.clone()), None),
            Body::Consumer(consumer) => self.end_consumer_group(id, consumer),
        }
        self.soft.live.remove(id);
    }
}

/// Kind, state and protocol type, as they are shown.
pub(crate) fn state_of(id: &GroupId, group: &Group, soft: &Soft) -> (GroupKind, GroupState, Text) {
    match (&group.body, soft.live.get(id)) {
        (_, Some(live)) => (GroupKind::Classic, live.state(), live.protocol_type.clone()),
        (Body::Classic(stored), None) => (GroupKind::Classic, GroupState::Empty, stored.protocol_type.clone()),
        (Body::Consumer(consumer), None) => (GroupKind::Consumer, consumer.state(), Text::new(CONSUMER)),
        (Body::Simple, None) => (GroupKind::Classic, GroupState::Empty, Text::default()),
    }
}

fn matches(filter: &List, group: &Listed) -> bool {
    let any = |wanted: &[Text], name: &str| {
        wanted.is_empty() || wanted.iter().any(|text| text.as_str().eq_ignore_ascii_case(name))
    };
    any(&filter.states, group.state.name()) && any(&filter.kinds, group.kind.name())
}

fn described(group: &ClassicGroup) -> Described {
    let is_stable = group.phase == Phase::Stable;
    let protocol = if is_stable { group.protocol.clone().unwrap_or_default() } else { Text::default() };
    let members = group.members.keys().filter_map(|id| described_member(group, id, is_stable)).collect();
    Described {
        group: group.id.clone(),
        state: group.state(),
        protocol_type: group.protocol_type.clone(),
        protocol,
        members,
    }
}

fn described_member(group: &ClassicGroup, id: &MemberId, is_stable: bool) -> Option<DescribedMember> {
    let member = group.members.get(id)?;
    let protocol = group.protocol.clone().unwrap_or_default();
    Some(DescribedMember {
        member: id.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: if is_stable { member.metadata(&protocol) } else { Default::default() },
        assignment: if is_stable { member.assignment.clone() } else { Default::default() },
    })
}
