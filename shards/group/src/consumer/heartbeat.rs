//! ConsumerGroupHeartbeat: who asks, what it wants, what follows for the group, what it gets.

use std::collections::BTreeSet;

use heddle_model::PartitionId;

use crate::{
    ConsumerHeartbeat, ConsumerHeartbeatAnswer, MemberId, Refusal, Text, TopicName,
    classic::uuid_text,
    schema::{Key, consumer::MemberValue},
};

use super::{
    Consumer, Member, Partitions,
    change::Draft,
    group::{AWAY, MemberState},
    reconcile::{Goal, reconcile},
    regex,
};

/// The least time between two look-ups of a group's expressions, as in Kafka: each reads every topic's name.
const REGEX_REFRESH_MS: u64 = 10_000;

impl Consumer<'_> {
    /// A heartbeat of a member that is in, or wants to be.
    pub fn heartbeat(&mut self, mut ask: ConsumerHeartbeat) -> Result<ConsumerHeartbeatAnswer, Refusal> {
        if ask.member.is_empty() {
            ask.member = MemberId::from(uuid_text(self.context.entropy));
        }
        self.pass_by_other_topics();
        match self.group.members.get(&ask.member) {
            Some(member) if self.is_quiet(&ask, member) => {
                self.renew_session(&ask.member);
                return Ok(self.answer(&ask, member, member));
            }
            None if self.group.members.len() >= self.settings.group_consumer_max_size => {
                return Err(Refusal::GroupFull);
            }
            _ => {}
        }
        let owned = ask.owned.as_deref().map(Partitions::from_list);
        let mut draft = Draft::of(self.group);
        // First, because it may be refused.
        self.resolve_new_regex(ask.regex.as_ref(), &mut draft)?;
        let before = self.find_member(&ask, owned.as_ref(), &mut draft)?;
        let mut member = before.clone();
        update_wish(&mut member.wish, &ask);
        self.change_member(&ask.member, &before, &mut member, owned.as_ref(), &mut draft)?;
        self.set_session(&ask.member, self.new_protocol_session_ms());
        Ok(self.answer(&ask, &before, &member))
    }

    /// What follows from what a member wants now: for the group, then for the member.
    pub(super) fn change_member(
        &mut self,
        id: &MemberId,
        before: &Member,
        member: &mut Member,
        owned: Option<&Partitions>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Refusal> {
        let subscription_changed = self.write_wish(id, before, member, draft);
        draft.put = Some((id.clone(), member.clone()));
        let topics_moved = self.watch.topics_version != Some(self.context.topics.version());
        if topics_moved && self.refresh_regexes(draft) {
            self.watch.topics_version = Some(self.context.topics.version());
        }
        if subscription_changed || topics_moved {
            self.settle(draft, subscription_changed);
        }
        self.assign_when_due(draft);
        self.reconcile(id, member, owned, draft)
    }

    /// Nothing new on either side: what nearly every heartbeat is.
    fn is_quiet(&self, ask: &ConsumerHeartbeat, member: &Member) -> bool {
        ask.epoch == member.current.epoch
            && self.group.epoch == self.group.target_epoch
            && member.current.is_reconciled_to(self.group.target_epoch)
            && !self.topics_need_a_look()
            && !is_news(&member.wish, ask)
    }

    /// Topics came or went, but none that the group subscribes to: nothing follows. Found out once for each version, by
    /// whichever member comes first.
    fn pass_by_other_topics(&mut self) {
        let version = Some(self.context.topics.version());
        if self.watch.topics_version == version || self.watch.unmoved_version == version {
            return;
        }
        if self.hash_topics(&self.group.subscribed()) == self.group.metadata_hash {
            self.watch.unmoved_version = version;
            if self.group.used_regexes.is_empty() {
                self.watch.topics_version = version;
            }
        }
    }

    fn topics_need_a_look(&self) -> bool {
        let version = Some(self.context.topics.version());
        let waits = self.watch.unmoved_version == version && !self.may_refresh_regexes();
        self.watch.topics_version != version && !waits
    }

    fn may_refresh_regexes(&self) -> bool {
        self.watch.regexes_at.is_none_or(|at| at.plus_ms(REGEX_REFRESH_MS) <= self.context.now.mono)
    }

    /// The member as it is, checked; a new one if it may join.
    fn find_member(
        &mut self,
        ask: &ConsumerHeartbeat,
        owned: Option<&Partitions>,
        draft: &mut Draft<'_>,
    ) -> Result<Member, Refusal> {
        let joins = ask.epoch == 0;
        let Some(instance) = &ask.instance else {
            return match self.group.members.get(&ask.member) {
                Some(member) => check_epoch(member, ask.epoch, owned).map(|()| member.clone()),
                None if joins => Ok(Member::default()),
                None => Err(Refusal::UnknownMember),
            };
        };
        let standing = self.group.statics.get(instance).and_then(|id| Some((id, self.group.members.get(id)?)));
        match standing {
            None if joins => Ok(self.group.members.get(&ask.member).cloned().unwrap_or_default()),
            None => Err(Refusal::UnknownMember),
            Some((id, member)) if *id == ask.member => check_epoch(member, ask.epoch, owned).map(|()| member.clone()),
            Some(_) if !joins => Err(Refusal::FencedInstance),
            Some((id, member)) if member.wish.classic.is_none() && member.current.epoch != AWAY => {
                Err(Refusal::UnreleasedInstance(format!(
                    "Static member {} with instance id {instance} cannot join the group because the instance id is \
                     owned by {id} member.",
                    ask.member
                )))
            }
            Some((id, member)) => Ok(self.take_over(id, member, &ask.member, draft)),
        }
    }

    /// A static member comes back under another id: everything of the old one is now its own.
    pub(super) fn take_over(
        &mut self,
        old: &MemberId,
        member: &Member,
        new: &MemberId,
        draft: &mut Draft<'_>,
    ) -> Member {
        let mut member = member.clone();
        member.current.epoch = 0;
        member.current.previous_epoch = 0;
        let target = draft.target_of(old);
        self.remove_member(old, draft);
        let id = self.id.clone();
        self.write(Key::Member(id.clone(), new.clone()), Some(member.wish.encode()));
        let value = crate::schema::consumer::encode_target(&target.to_list());
        self.write(Key::Target(id.clone(), new.clone()), Some(value));
        self.write(Key::Current(id, new.clone()), Some(member.current.to_value().encode()));
        draft.targets.insert(new.clone(), target);
        member
    }

    /// Writes what the member wants, if that is new; true if the group's subscriptions change by it.
    fn write_wish(&mut self, id: &MemberId, before: &Member, member: &Member, draft: &Draft<'_>) -> bool {
        let is_new = !self.group.members.contains_key(id) && draft.gone.is_empty();
        if member.wish == before.wish && !is_new {
            return false;
        }
        self.write(Key::Member(self.id.clone(), id.clone()), Some(member.wish.encode()));
        let changed =
            is_new || member.wish.subscribed != before.wish.subscribed || member.wish.regex != before.wish.regex;
        if member.wish.regex != before.wish.regex {
            self.forget_regex_if_unused(before.wish.regex.as_ref(), 1);
        }
        changed
    }

    fn resolve_new_regex(&mut self, pattern: Option<&Text>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        if let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty())
            && draft.regex(pattern).is_none()
        {
            let value = regex::resolve(pattern.as_str(), self.context)?;
            self.write(Key::Regex(self.id.clone(), pattern.clone()), Some(value.encode()));
            draft.regexes.insert(pattern.clone(), value);
        }
        Ok(())
    }

    /// Topics have come or gone: what the expressions match may be different. False if it is too soon to look again,
    /// or there is too much of it.
    fn refresh_regexes(&mut self, draft: &mut Draft<'_>) -> bool {
        let unsure = draft.used_regexes().into_iter().filter(|pattern| !draft.regexes.contains_key(*pattern));
        let unsure: Vec<Text> = unsure.cloned().collect();
        let now = self.context.now.mono;
        if unsure.is_empty() {
            return true;
        }
        if !self.may_refresh_regexes() {
            return false;
        }
        self.watch.regexes_at = Some(now);
        for pattern in unsure {
            if self.out.is_full() {
                // The others when it is time again.
                return false;
            }
            // It was valid when it came; should this version think otherwise, what it matched stands.
            let Ok(value) = regex::resolve(pattern.as_str(), self.context) else { continue };
            if draft.regex(&pattern).is_none_or(|before| before.topics != value.topics) {
                self.write(Key::Regex(self.id.clone(), pattern.clone()), Some(value.encode()));
                draft.regexes.insert(pattern, value);
            }
        }
        true
    }

    /// The member's next step toward its target.
    fn reconcile(
        &mut self,
        id: &MemberId,
        member: &mut Member,
        owned: Option<&Partitions>,
        draft: &Draft<'_>,
    ) -> Result<(), Refusal> {
        let group = self.group;
        let held_by_another = |partition: PartitionId| {
            group.owners.get(&partition).is_some_and(|owner| owner != id && !draft.gone.contains(owner))
        };
        let target = draft.target_of(id);
        let goal = Goal { target: &target, target_epoch: draft.target_epoch, owned, held_by_another: &held_by_another };
        let next = reconcile(&member.current, &goal).map_err(|_| {
            let text = "The member is in a state that this coordinator does not know. It must abandon all its \
                        partitions and rejoin.";
            Refusal::FencedMemberEpoch(text.to_owned())
        })?;
        let is_new = !group.members.contains_key(id);
        if next == member.current && !is_new {
            return Ok(());
        }
        self.write(Key::Current(self.id.clone(), id.clone()), Some(next.to_value().encode()));
        // Classic members have the time to join again and to sync instead.
        if next.state == MemberState::UnrevokedPartitions && member.wish.classic.is_none() {
            self.await_release(id, next.epoch, member.wish.rebalance_timeout_ms);
        } else {
            self.watch.rebalances.remove(id);
        }
        member.current = next;
        Ok(())
    }

    fn answer(&self, ask: &ConsumerHeartbeat, before: &Member, after: &Member) -> ConsumerHeartbeatAnswer {
        let says_all = ask.rebalance_timeout_ms.is_some()
            && (ask.subscribed.is_some() || ask.regex.is_some())
            && ask.owned.is_some();
        let tell = ask.epoch == 0 || says_all || before.current.assigned != after.current.assigned;
        ConsumerHeartbeatAnswer {
            member: ask.member.clone(),
            epoch: after.current.epoch,
            interval_ms: self.heartbeat_interval_ms(),
            assignment: tell.then(|| after.current.assigned.to_list()),
        }
    }
}

/// Whether the member is where the coordinator thinks it is. The answer with its newest epoch may have been lost, so the
/// one before is accepted as long as it owns nothing else; and a member may always start over with 0.
fn check_epoch(member: &Member, received: i32, owned: Option<&Partitions>) -> Result<(), Refusal> {
    let current = &member.current;
    let lost_answer =
        received == current.previous_epoch && owned.is_some_and(|owned| owned.is_subset(&current.assigned));
    if received == current.epoch || received == 0 || (received < current.epoch && lost_answer) {
        return Ok(());
    }
    let relation = if received > current.epoch { "greater" } else { "smaller" };
    Err(Refusal::FencedMemberEpoch(format!(
        "The consumer group member has a {relation} member epoch ({received}) than the one known by the group coordinator \
         ({}). The member must abandon all its partitions and rejoin.",
        current.epoch
    )))
}

/// Fields that are not sent are unchanged.
fn update_wish(wish: &mut MemberValue, ask: &ConsumerHeartbeat) {
    if let Some(instance) = &ask.instance {
        wish.instance = Some(instance.clone());
    }
    if let Some(rack) = &ask.rack {
        wish.rack = Some(rack.clone());
    }
    if let Some(timeout_ms) = ask.rebalance_timeout_ms {
        wish.rebalance_timeout_ms = timeout_ms;
    }
    if let Some(assignor) = &ask.assignor {
        wish.assignor = Some(assignor.clone());
    }
    if let Some(subscribed) = &ask.subscribed {
        wish.subscribed = once_each(subscribed);
    }
    if let Some(regex) = &ask.regex {
        wish.regex = (!regex.is_empty()).then(|| regex.clone());
    }
    wish.client_id = ask.client_id.clone();
    wish.client_host = ask.client_host.clone();
    wish.classic = None;
}

/// Whether the request says anything that `update_wish` would change.
fn is_news(wish: &MemberValue, ask: &ConsumerHeartbeat) -> bool {
    let regex = |regex: &Text| wish.regex.as_ref() != Some(regex) && (wish.regex.is_some() || !regex.is_empty());
    ask.instance.as_ref().is_some_and(|instance| wish.instance.as_ref() != Some(instance))
        || ask.rack.as_ref().is_some_and(|rack| wish.rack.as_ref() != Some(rack))
        || ask.rebalance_timeout_ms.is_some_and(|timeout_ms| wish.rebalance_timeout_ms != timeout_ms)
        || ask.assignor.as_ref().is_some_and(|assignor| wish.assignor.as_ref() != Some(assignor))
        || ask.subscribed.as_ref().is_some_and(|subscribed| wish.subscribed != once_each(subscribed))
        || ask.regex.as_ref().is_some_and(regex)
        || wish.client_id != ask.client_id
        || wish.client_host != ask.client_host
        || wish.classic.is_some()
}

/// In order: equal subscriptions are equal values.
pub(super) fn once_each(topics: &[TopicName]) -> Vec<TopicName> {
    topics.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}
