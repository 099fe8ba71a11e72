//! What operators watch: how many groups are in which state, and what they have committed. Told in pages, because a
//! partition of `__consumer_offsets` may hold more than one turn should walk.

use std::collections::BTreeMap;

use heddle_model::{Offset, PartitionIndex};

use crate::{
    CommittedOffset, GroupId, GroupKind, GroupState, Groups, Soft, TopicName,
    admin::state_of,
    hard::{Body, Group},
};

/// One page of a survey.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GroupsPage {
    /// How many of the page's groups are in which state. A group is counted once, on the page that ends it.
    pub states: BTreeMap<(GroupKind, GroupState), usize>,
    /// In the order of group, topic and partition.
    pub committed: Vec<Commit>,
    /// Where the next page begins; `None`: all is told.
    pub next: Option<Bookmark>,
}

/// What a group has committed in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    pub group: GroupId,
    pub topic: TopicName,
    pub partition: PartitionIndex,
    pub offset: Offset,
}

/// Where a survey goes on. Groups that end in between are left out, new ones behind it are told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Bookmark {
    group: GroupId,
    /// The last of the group's offsets that was told.
    told: Option<(TopicName, PartitionIndex)>,
}

impl Groups {
    /// The page that begins at `from`, of about `items_max` (at least one) groups, members and committed offsets.
    pub fn survey(&self, soft: &Soft, from: &Bookmark, items_max: usize) -> GroupsPage {
        let mut page = GroupsPage::default();
        let mut left = items_max.max(1);
        for (id, group) in self.groups.range(from.group.clone()..) {
            let mut told = from.told.clone().filter(|_| *id == from.group);
            for (topic, partition, committed) in offsets_behind(group, told.clone()) {
                if left == 0 {
                    break;
                }
                left -= 1;
                told = Some((topic.clone(), partition));
                let (group, topic) = (id.clone(), topic.clone());
                page.committed.push(Commit { group, topic, partition, offset: committed.offset });
            }
            if left == 0 {
                page.next = Some(Bookmark { group: id.clone(), told });
                return page;
            }
            let (kind, state, _) = state_of(id, group, soft);
            *page.states.entry((kind, state)).or_insert(0) += 1;
            left = left.saturating_sub(1 + members_of(group));
        }
        page
    }

    /// Every committed offset, by group, topic and partition.
    pub fn committed(&self) -> impl Iterator<Item = (&GroupId, &TopicName, PartitionIndex, &CommittedOffset)> {
        self.groups.iter().flat_map(|(id, group)| {
            offsets_behind(group, None).map(move |(topic, partition, committed)| (id, topic, partition, committed))
        })
    }
}

/// The group's offsets after the one that was told last.
fn offsets_behind(
    group: &Group,
    told: Option<(TopicName, PartitionIndex)>,
) -> impl Iterator<Item = (&TopicName, PartitionIndex, &CommittedOffset)> {
    let first = told.as_ref().map(|(topic, _)| topic.clone()).unwrap_or_default();
    group.offsets.range(first..).flat_map(move |(topic, partitions)| {
        let after = told.as_ref().filter(|(last, _)| last == topic).map(|(_, index)| *index);
        let behind = partitions.iter().filter(move |(index, _)| after.is_none_or(|after| **index > after));
        behind.map(move |(index, stored)| (topic, *index, &stored.committed))
    })
}

/// Whom finding the group's state may have to look at.
fn members_of(group: &Group) -> usize {
    match &group.body {
        Body::Consumer(consumer) => consumer.members.len(),
        Body::Simple | Body::Classic(_) => 0,
    }
}
