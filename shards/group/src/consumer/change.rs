//! One decision's changes to a group, before they are records that have been replayed; and the two steps that follow from
//! any change: the group's epoch, and the target assignment for it.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::TopicId;

use crate::{
    Assignor, MemberId, Text, TopicName,
    schema::{
        Key,
        consumer::{EpochValue, MemberValue, RegexValue, encode_target, encode_target_epoch},
    },
    timers::Timer,
};

use super::{
    Consumer, ConsumerGroup, Member, Partitions,
    assignor::{Sizes, Subscriber, Subscribers, assign},
};

/// The group as it will be. Only what differs from `base` is held.
pub(super) struct Draft<'a> {
    base: &'a ConsumerGroup,
    /// The member that is new or changed.
    pub put: Option<(MemberId, Member)>,
    pub gone: BTreeSet<MemberId>,
    /// Expressions resolved in this decision.
    pub regexes: BTreeMap<Text, RegexValue>,
    /// Targets written in this decision.
    pub targets: BTreeMap<MemberId, Partitions>,
    pub epoch: i32,
    pub metadata_hash: i64,
    pub target_epoch: i32,
}

impl<'a> Draft<'a> {
    pub fn of(base: &'a ConsumerGroup) -> Draft<'a> {
        Draft {
            base,
            put: None,
            gone: BTreeSet::new(),
            regexes: BTreeMap::new(),
            targets: BTreeMap::new(),
            epoch: base.epoch,
            metadata_hash: base.metadata_hash,
            target_epoch: base.target_epoch,
        }
    }

    pub fn target_of(&self, member: &MemberId) -> Partitions {
        self.targets.get(member).cloned().unwrap_or_else(|| self.base.target_of(member))
    }

    pub fn regex(&self, regex: &Text) -> Option<&RegexValue> {
        self.regexes.get(regex).or_else(|| self.base.regexes.get(regex))
    }

    /// Wishes that no longer count.
    fn dropped(&self) -> impl Iterator<Item = &MemberValue> {
        let replaced = self.put.iter().map(|(id, _)| id).filter(|id| !self.gone.contains(*id));
        self.gone.iter().chain(replaced).filter_map(|id| self.base.members.get(id)).map(|member| &member.wish)
    }

    fn added(&self) -> Option<&MemberValue> {
        self.put.as_ref().map(|(_, member)| &member.wish)
    }

    fn members(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        let put = self.put.as_ref().map(|(id, member)| (id, member));
        let replaced = put.map(|(id, _)| id);
        let kept = self.base.members.iter().filter(move |(id, _)| !self.gone.contains(*id) && replaced != Some(*id));
        kept.chain(put)
    }

    /// What is left of the counted things when some wishes go and one comes.
    fn recount<'k, K: Ord + 'k>(
        &'k self,
        counts: &'k BTreeMap<K, usize>,
        of: impl Fn(&'k MemberValue) -> Vec<&'k K>,
    ) -> BTreeMap<&'k K, usize> {
        let mut left: BTreeMap<&K, usize> = counts.iter().map(|(key, count)| (key, *count)).collect();
        for key in self.dropped().flat_map(&of) {
            if let Some(count) = left.get_mut(key) {
                *count = count.saturating_sub(1);
            }
        }
        for key in self.added().into_iter().flat_map(&of) {
            *left.entry(key).or_insert(0) += 1;
        }
        left.retain(|_, count| *count > 0);
        left
    }

    pub fn used_regexes(&self) -> BTreeSet<&Text> {
        self.recount(&self.base.used_regexes, |wish| wish.regex.iter().collect()).into_keys().collect()
    }

    /// Every topic that any member subscribes to.
    pub fn subscribed(&self) -> BTreeSet<TopicName> {
        let named = self.recount(&self.base.named, |wish| wish.subscribed.iter().collect());
        let mut topics: BTreeSet<TopicName> = named.into_keys().cloned().collect();
        for regex in self.used_regexes() {
            topics.extend(self.regex(regex).into_iter().flat_map(|value| value.topics.iter().cloned()));
        }
        topics
    }

    /// The assignor that most members ask for.
    fn assignor(&self, known: &[Assignor]) -> Assignor {
        let wanted = self.recount(&self.base.wanted_assignors, |wish| wish.assignor.iter().collect());
        let by_name = |name: &Text| known.iter().copied().find(|assignor| assignor.name() == name.as_str());
        let best = wanted.into_iter().filter_map(|(name, count)| Some((count, by_name(name)?))).max_by_key(|(n, _)| *n);
        best.map(|(_, assignor)| assignor).or(known.first().copied()).unwrap_or(Assignor::Uniform)
    }

    fn topics_of(&self, wish: &MemberValue) -> impl Iterator<Item = &TopicName> {
        let matched = wish.regex.as_ref().and_then(|regex| self.regex(regex));
        matched.into_iter().flat_map(|value| value.topics.iter())
    }
}

impl Consumer<'_> {
    /// A new epoch, if members changed or the subscribed topics did.
    pub(super) fn settle(&mut self, draft: &mut Draft<'_>, members_changed: bool) {
        let hash = self.hash_topics(&draft.subscribed());
        if !members_changed && hash == draft.metadata_hash {
            return;
        }
        draft.metadata_hash = hash;
        draft.epoch = draft.epoch.saturating_add(1);
        let value = EpochValue { epoch: draft.epoch, metadata_hash: hash };
        self.write(Key::Epoch(self.id.clone()), Some(value.encode()));
    }

    /// Changes whenever a subscribed topic appears, disappears, or gets partitions. FNV-1a: the same on every node.
    pub(super) fn hash_topics(&self, topics: &BTreeSet<TopicName>) -> i64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut feed = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for name in topics {
            if let Some((id, partitions)) = self.context.topics.by_name(name.as_str()) {
                feed(name.as_str().as_bytes());
                feed(&id.0.to_be_bytes());
                feed(&partitions.to_be_bytes());
            }
        }
        hash as i64
    }

    /// A target for the epoch, now or when the interval since the last one is over.
    pub(super) fn assign_when_due(&mut self, draft: &mut Draft<'_>) {
        // Nobody to assign to: whoever joins next raises the epoch again.
        if draft.epoch <= draft.target_epoch || draft.members().next().is_none() {
            return;
        }
        let now = self.context.now.mono;
        let interval_ms = self.assignment_interval_ms();
        let due = self.watch.assigned_at.map(|at| at.plus_ms(interval_ms)).filter(|due| *due > now);
        match due {
            // A member needs an epoch above 0 at once.
            Some(due) if draft.target_epoch > 0 => {
                let id = self.id;
                self.timers.set(&mut self.watch.assign, due, || Timer::Assign(id.clone()));
            }
            _ => self.make_target(draft),
        }
    }

    pub(super) fn make_target(&mut self, draft: &mut Draft<'_>) {
        self.watch.assigned_at = Some(self.context.now.mono);
        self.watch.assign.stop();
        let assignor = draft.assignor(&self.settings.group_consumer_assignors);
        let (members, sizes) = self.assignor_input(draft);
        for (member, share) in assign(assignor, &members, &sizes) {
            if draft.target_of(&member) != share || !draft.base.target.contains_key(&member) {
                let value = encode_target(&share.to_list());
                self.write(Key::Target(self.id.clone(), member.clone()), Some(value));
                draft.targets.insert(member, share);
            }
        }
        draft.target_epoch = draft.epoch;
        self.write(Key::TargetEpoch(self.id.clone()), Some(encode_target_epoch(draft.epoch)));
    }

    fn assignor_input(&self, draft: &Draft<'_>) -> (Subscribers, Sizes) {
        let mut known: BTreeMap<TopicName, TopicId> = BTreeMap::new();
        let mut sizes = Sizes::new();
        for name in draft.subscribed() {
            if let Some((id, partitions)) = self.context.topics.by_name(name.as_str()) {
                sizes.insert(id, partitions);
                known.insert(name, id);
            }
        }
        let subscriber = |id: &MemberId, member: &Member| {
            let names = member.wish.subscribed.iter().chain(draft.topics_of(&member.wish));
            Subscriber {
                instance: member.wish.instance.clone(),
                topics: names.filter_map(|name| known.get(name).copied()).collect(),
                before: draft.target_of(id),
            }
        };
        let members = draft.members().map(|(id, member)| (id.clone(), subscriber(id, member))).collect();
        (members, sizes)
    }
}
