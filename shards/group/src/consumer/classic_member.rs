//! Members that speak the classic protocol in a group of the new one, while it is being migrated. JoinGroup is their way
//! to reconcile, SyncGroup hands them what they have, Heartbeat tells them to join again.

use heddle_model::Ticket;

use crate::{
    Heartbeat, Join, Joined, Leaver, MemberId, Refusal, Sync, Synced, Text,
    classic::new_member_id,
    schema::{
        consumer::{ClassicValue, MemberValue},
        embedded::Subscription,
    },
    timers::Timer,
};

use super::{
    Consumer, Downgrade, Member,
    change::Draft,
    convert::{CONSUMER, assignment_for, by_id},
    group::MemberState,
    heartbeat::once_each,
};

impl<'a> Consumer<'a> {
    /// JoinGroup. Answered at once: nobody waits for the others here.
    pub fn join_classic(&mut self, ask: Join) -> Result<Joined, Refusal> {
        let is_unknown = ask.member.is_empty();
        let id = if is_unknown {
            let prefix = ask.instance.as_ref().map_or(ask.client_id.as_str(), |instance| instance.as_str());
            new_member_id(prefix, self.context.entropy)
        } else {
            ask.member.clone()
        };
        if !self.group.members.contains_key(&id) && self.group.members.len() >= self.settings.group_consumer_max_size {
            return Err(Refusal::GroupFull);
        }
        let protocol = self.common_protocol(&ask)?;
        if is_unknown && ask.instance.is_none() && ask.needs_known_id {
            return Err(Refusal::MemberIdRequired(id));
        }
        let metadata = ask.protocols.first().map(|protocol| protocol.metadata.clone()).unwrap_or_default();
        let subscription = Subscription::decode(metadata).map_err(|_| Refusal::InconsistentProtocol)?;
        let mut draft = Draft::of(self.group);
        let before = self.find_classic(&ask, &id, is_unknown, &mut draft)?;
        let mut member = before.clone();
        member.wish = wish_of(&ask, &subscription, &before.wish);
        let owned = by_id(&subscription.owned, self.context);
        self.change_member(&id, &before, &mut member, Some(&owned), &mut draft)?;
        self.watch.rejoins.remove(&id);
        self.set_session(&id, ask.session_timeout_ms.max(0) as u64);
        self.await_sync(&id, ask.rebalance_timeout_ms);
        if draft.gone.iter().any(|replaced| self.group.is_classic_without(replaced, self.settings)) {
            self.downgrade = Some(Downgrade::Replaced);
        }
        Ok(Joined {
            generation: member.current.epoch,
            protocol_type: Text::new(CONSUMER),
            protocol,
            // The coordinator assigns: no member leads.
            leader: MemberId::default(),
            member: id,
            skip_assignment: false,
            members: Vec::new(),
        })
    }

    /// A protocol that all classic members share with this one; the answer names the member's first.
    fn common_protocol(&self, ask: &Join) -> Result<Text, Refusal> {
        let others: Vec<&ClassicValue> = self
            .group
            .members
            .iter()
            .filter(|(id, _)| **id != ask.member)
            .filter_map(|(_, member)| member.wish.classic.as_ref())
            .collect();
        let shared = |name: &Text| others.iter().all(|other| other.protocols.iter().any(|p| p.name == *name));
        let fits = ask.protocol_type.as_str() == CONSUMER && ask.protocols.iter().any(|p| shared(&p.name));
        match ask.protocols.first() {
            Some(first) if fits => Ok(first.name.clone()),
            _ => Err(Refusal::InconsistentProtocol),
        }
    }

    fn find_classic(
        &mut self,
        ask: &Join,
        id: &MemberId,
        is_unknown: bool,
        draft: &mut Draft<'_>,
    ) -> Result<Member, Refusal> {
        let Some(instance) = &ask.instance else {
            return Ok(self.group.members.get(id).cloned().unwrap_or_default());
        };
        let group = self.group;
        match group.statics.get(instance).and_then(|standing| Some((standing, group.members.get(standing)?))) {
            None if is_unknown => Ok(Member::default()),
            None => Err(Refusal::UnknownMember),
            Some((standing, member)) if standing == id => Ok(member.clone()),
            Some(_) if !is_unknown => Err(Refusal::FencedInstance),
            Some((standing, member)) => Ok(self.take_over(standing, member, id, draft)),
        }
    }

    /// SyncGroup.
    pub fn sync_classic(&mut self, ask: &Sync) -> Result<Synced, Refusal> {
        let member = self.classic_member(&ask.member, ask.instance.as_ref(), Some(ask.generation))?;
        let first = member.wish.classic.as_ref().and_then(|classic| classic.protocols.first());
        let protocol = first.map(|protocol| protocol.name.clone()).unwrap_or_default();
        let differs = |asked: &Option<Text>, ours: &str| asked.as_ref().is_some_and(|asked| asked.as_str() != ours);
        if differs(&ask.protocol_type, CONSUMER) || differs(&ask.protocol, protocol.as_str()) {
            return Err(Refusal::InconsistentProtocol);
        }
        // One that still has partitions to give up has joined for it, and finishes that first.
        if self.group.epoch > member.current.epoch && member.current.state != MemberState::UnrevokedPartitions {
            self.await_rejoin(&ask.member, member.wish.rebalance_timeout_ms);
            return Err(Refusal::RebalanceInProgress);
        }
        self.watch.syncs.remove(&ask.member);
        self.renew_session(&ask.member);
        let assignment = assignment_for(&member.wish, &member.current.assigned, self.context);
        Ok(Synced { protocol_type: Text::new(CONSUMER), protocol, assignment })
    }

    /// Heartbeat.
    pub fn heartbeat_classic(&mut self, ask: &Heartbeat) -> Result<(), Refusal> {
        let member = self.classic_member(&ask.member, ask.instance.as_ref(), Some(ask.generation))?;
        self.renew_session(&ask.member);
        let must_rejoin = match member.current.state {
            _ if member.current.epoch < self.group.epoch => true,
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits_for_others(&ask.member, member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        if must_rejoin {
            self.await_rejoin(&ask.member, member.wish.rebalance_timeout_ms);
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }

    fn waits_for_others(&self, id: &MemberId, member: &Member) -> bool {
        let missing = self.group.target_of(id).without(&member.current.assigned);
        missing.iter().any(|partition| self.group.owners.contains_key(&partition))
    }

    /// LeaveGroup.
    pub fn leave_classic(&mut self, leavers: Vec<Leaver>) -> Vec<(Leaver, Option<Refusal>)> {
        let mut gone = Vec::new();
        let mut answers = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            let found = match (&leaver.instance, leaver.member.is_empty()) {
                // An administrator names the instance alone.
                (Some(instance), true) => match self.group.statics.get(instance).cloned() {
                    Some(id) => self.classic_member(&id, None, None).map(|_| id),
                    None => Err(Refusal::UnknownMember),
                },
                (instance, _) => {
                    self.classic_member(&leaver.member, instance.as_ref(), None).map(|_| leaver.member.clone())
                }
            };
            let found = found.and_then(|id| if gone.contains(&id) { Err(Refusal::UnknownMember) } else { Ok(id) });
            match found {
                Ok(id) => {
                    gone.push(id);
                    answers.push((leaver, None));
                }
                Err(refusal) => answers.push((leaver, Some(refusal))),
            }
        }
        self.remove(gone);
        answers
    }

    /// A member that is who it says, and speaks the classic protocol.
    fn classic_member(
        &self,
        id: &MemberId,
        instance: Option<&crate::InstanceId>,
        generation: Option<i32>,
    ) -> Result<&'a Member, Refusal> {
        let group = self.group;
        if let Some(instance) = instance {
            match group.statics.get(instance) {
                None => return Err(Refusal::UnknownMember),
                Some(standing) if standing != id => return Err(Refusal::FencedInstance),
                Some(_) => {}
            }
        }
        let member = group.members.get(id).ok_or(Refusal::UnknownMember)?;
        if member.wish.classic.is_none() {
            return Err(Refusal::UnknownMember);
        }
        match generation {
            Some(generation) if generation != member.current.epoch => Err(Refusal::IllegalGeneration),
            _ => Ok(member),
        }
    }

    /// It was told to join again; it has its rebalance timeout from the first time that it was.
    fn await_rejoin(&mut self, member: &MemberId, timeout_ms: i32) {
        let at = self.context.now.mono.plus_ms(timeout_ms.max(0) as u64);
        let alarm = self.watch.rejoins.entry(member.clone()).or_default();
        if !alarm.is_set() {
            self.timers.set(alarm, at, || Timer::Rejoin(self.id.clone(), member.clone()));
        }
    }

    fn await_sync(&mut self, member: &MemberId, timeout_ms: i32) {
        let at = self.context.now.mono.plus_ms(timeout_ms.max(0) as u64);
        let alarm = self.watch.syncs.entry(member.clone()).or_default();
        self.timers.set(alarm, at, || Timer::MemberSync(self.id.clone(), member.clone()));
    }
}

fn wish_of(ask: &Join, subscription: &Subscription, before: &MemberValue) -> MemberValue {
    let mut protocols = ask.protocols.clone();
    for protocol in &mut protocols {
        // The group outlives the request.
        protocol.metadata = bytes::Bytes::copy_from_slice(&protocol.metadata);
    }
    MemberValue {
        instance: ask.instance.clone().or_else(|| before.instance.clone()),
        rack: subscription.rack.clone().or_else(|| before.rack.clone()),
        client_id: ask.client_id.clone(),
        client_host: ask.client_host.clone(),
        subscribed: once_each(&subscription.topics),
        regex: None,
        rebalance_timeout_ms: ask.rebalance_timeout_ms,
        assignor: before.assignor.clone(),
        classic: Some(ClassicValue { session_timeout_ms: ask.session_timeout_ms, protocols }),
    }
}

/// Those of a classic group that wait when it is upgraded: they have to join again.
pub(crate) fn waiting(group: &crate::classic::ClassicGroup) -> Vec<Ticket> {
    group.members.values().flat_map(|member| member.join.into_iter().chain(member.sync)).collect()
}
