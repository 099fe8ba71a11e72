//! Offsets of topics that are gone: they go too, in bounded pieces. A topic of the same name that is created meanwhile is
//! another topic: what is committed for it after the sweep was asked for stays. If the process dies before a sweep is over,
//! the next leader finds what is left of it by the topic ids that stand beside the offsets.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

use heddle_model::{PartitionIndex, Ticket, TopicId};

use crate::{Answer, Context, GroupId, Groups, Soft, TopicName, decide::Turn, schema::StoredOffset};

/// Groups, and topics of groups, that one turn looks at.
const GROUPS_PER_TURN: usize = 200;
const TOPICS_PER_TURN: usize = 2_000;
/// To look at so many partitions of a topic takes as long as to look at a topic.
const PARTITIONS_AS_A_TOPIC: usize = 16;

#[derive(Debug)]
pub(crate) struct Sweep {
    gone: Gone,
    /// What was committed up to here, in the order of replay, was for the topics that are gone.
    until: u64,
    /// Behind which group it goes on, or behind which topic of the group that comes next.
    behind: Option<GroupId>,
    behind_topic: Option<TopicName>,
    removed: usize,
    /// Who asked.
    pub ticket: Option<Ticket>,
}

#[derive(Debug)]
enum Gone {
    Named(BTreeSet<TopicName>),
    /// Those that nobody knows, and those that came after this version of the topics: whatever had their names before
    /// is not what has them now. Of the others, what was committed for another topic of the name.
    UnknownAt(u64),
}

impl Groups {
    /// For a new leader, which may not have been told of every topic that went: forget what is committed for topics that
    /// are not there.
    pub fn sweep_unknown_topics(&self, context: Context<'_>, soft: &mut Soft) {
        let gone = Gone::UnknownAt(context.topics.version());
        soft.sweeps.push_back(Sweep::of(gone, self.replayed()));
    }
}

impl Sweep {
    fn of(gone: Gone, until: u64) -> Sweep {
        Sweep { gone, until, behind: None, behind_topic: None, removed: 0, ticket: None }
    }

    fn takes(&self, topic: &TopicName, context: Context<'_>) -> Taken {
        match &self.gone {
            Gone::Named(topics) if topics.contains(topic) => Taken::All,
            Gone::Named(_) => Taken::Nothing,
            Gone::UnknownAt(version) => match context.topics.created(topic.as_str()) {
                Some((created, id)) if created <= *version => Taken::NotOf(id),
                _ => Taken::All,
            },
        }
    }
}

/// What a sweep takes of what is committed under a topic's name.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    All,
    /// What says that it was committed for another topic than this.
    NotOf(TopicId),
}

impl Taken {
    fn includes(self, stored: &StoredOffset) -> bool {
        match self {
            Taken::Nothing => false,
            Taken::All => true,
            Taken::NotOf(topic) => stored.topic_id.is_some_and(|id| id != topic),
        }
    }
}

impl Turn<'_> {
    pub fn sweep_topics(&mut self, topics: BTreeSet<TopicName>, ticket: Ticket) {
        let sweep = Sweep::of(Gone::Named(topics), self.hard.replayed());
        self.soft.sweeps.push_back(Sweep { ticket: Some(ticket), ..sweep });
    }

    pub fn go_on_sweeping(&mut self) {
        let (mut groups_left, mut topics_left) = (GROUPS_PER_TURN, TOPICS_PER_TURN);
        while !self.is_full() && groups_left > 0 && topics_left > 0 {
            let Some(mut sweep) = self.soft.sweeps.pop_front() else { return };
            match self.next_group(sweep.behind.as_ref()) {
                Some(id) => {
                    groups_left -= 1;
                    if self.sweep_group(&mut sweep, &id, &mut topics_left) {
                        (sweep.behind, sweep.behind_topic) = (Some(id), None);
                    }
                    self.soft.sweeps.push_front(sweep);
                }
                None => {
                    if let Some(ticket) = sweep.ticket {
                        self.answer(ticket, Answer::Forgotten(sweep.removed));
                    }
                }
            }
        }
    }

    /// Writes tombstones of what the sweep takes of a group, as many as this turn takes. True if these were all.
    fn sweep_group(&mut self, sweep: &mut Sweep, id: &GroupId, topics_left: &mut usize) -> bool {
        let Some(group) = self.group(id) else { return true };
        let before = self.out.records.len();
        let behind = sweep.behind_topic.clone().map_or(Unbounded, Excluded);
        for (topic, partitions) in group.offsets.range::<TopicName, _>((behind, Unbounded)) {
            if *topics_left == 0 {
                return false;
            }
            *topics_left = topics_left.saturating_sub(1 + partitions.len() / PARTITIONS_AS_A_TOPIC);
            let taken = sweep.takes(topic, self.context);
            if !self.sweep_topic(sweep.until, id, topic, taken, partitions) {
                sweep.removed += self.out.records.len() - before;
                return false;
            }
            sweep.behind_topic = Some(topic.clone());
        }
        let all = group.pending == 0 || self.sweep_pending(sweep, id);
        sweep.removed += self.out.records.len() - before;
        all
    }

    fn sweep_topic<'a>(
        &mut self,
        until: u64,
        id: &GroupId,
        topic: &TopicName,
        taken: Taken,
        partitions: impl IntoIterator<Item = (&'a PartitionIndex, &'a StoredOffset)>,
    ) -> bool {
        for (partition, stored) in partitions {
            if !taken.includes(stored)
                || stored.order > until
                || self.is_pending_beyond(until, taken, id, topic, *partition)
            {
                continue;
            }
            if self.is_full() {
                return false;
            }
            self.forget_offset(id, topic, *partition);
        }
        true
    }

    /// What open transactions would bring back.
    fn sweep_pending(&mut self, sweep: &Sweep, id: &GroupId) -> bool {
        let (hard, context) = (self.hard, self.context);
        for ((group, topic, partition), stored) in hard.pending.values().flatten() {
            if group != id {
                continue;
            }
            let taken = sweep.takes(topic, context);
            let is_old = stored.order <= sweep.until && taken.includes(stored);
            // Beside an offset that stands: its tombstone takes both, and one that stays is newer and wins.
            let is_alone = || self.group(id).is_some_and(|group| group.offset(topic, *partition).is_none());
            if is_old && is_alone() && !self.is_pending_beyond(sweep.until, taken, id, topic, *partition) {
                if self.is_full() {
                    return false;
                }
                self.forget_offset(id, topic, *partition);
            }
        }
        true
    }

    /// Whether an open transaction has committed here what the sweep does not take: a tombstone would take that too.
    fn is_pending_beyond(
        &self,
        until: u64,
        taken: Taken,
        id: &GroupId,
        topic: &TopicName,
        partition: PartitionIndex,
    ) -> bool {
        if self.group(id).is_none_or(|group| group.pending == 0) {
            return false;
        }
        let place = (id.clone(), topic.clone(), partition);
        self.hard
            .pending
            .values()
            .filter_map(|pending| pending.get(&place))
            .any(|stored| stored.order > until || !taken.includes(stored))
    }
}
