//! A classic group in memory: its members, counted so that a join costs the same in a group of a thousand.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heddle_model::Ticket;

use crate::{
    GroupId, GroupState, InstanceId, Joined, JoinedMember, MemberId, Protocol, Text, TopicName, timers::Alarm,
};

/// What the numbers and lengths in a group's record take, once and for each member, with room to spare. Bytes.
const GROUP_FRAMING_BYTES: usize = 128;
const MEMBER_FRAMING_BYTES: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Empty,
    Preparing,
    Completing,
    Stable,
}

#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub id: GroupId,
    pub phase: Phase,
    pub generation: i32,
    /// Empty: never had members.
    pub protocol_type: Text,
    pub protocol: Option<Text>,
    pub leader: Option<MemberId>,
    pub members: BTreeMap<MemberId, Member>,
    pub statics: BTreeMap<InstanceId, MemberId>,
    /// Ids that were handed out and have not come back yet (KIP-394).
    pub promised: BTreeMap<MemberId, Alarm>,
    /// Members that were told the generation and have not asked for their assignment.
    pub unsynced: BTreeSet<MemberId>,
    /// Members whose JoinGroup is waiting.
    pub joining: usize,
    /// How many members support each protocol.
    supporters: BTreeMap<Text, usize>,
    pub join_alarm: Alarm,
    pub sync_alarm: Alarm,
    /// The first rebalance after Empty: what may still be added to its delay, and whether anybody came since.
    pub initial: Option<Initial>,
    /// What the members subscribe to; `None` if the coordinator cannot tell.
    pub subscribed: Option<BTreeSet<TopicName>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Initial {
    pub delay_ms: u64,
    pub remaining_ms: u64,
    pub somebody_came: bool,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub instance: Option<InstanceId>,
    pub client_id: Text,
    pub client_host: Text,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    pub join: Option<Ticket>,
    pub sync: Option<Ticket>,
    /// Has not been told its first generation yet: it cannot send heartbeats.
    pub is_new: bool,
    pub session: Alarm,
}

impl Member {
    /// Waiting for an answer is as good as a heartbeat.
    pub fn is_alive(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    pub fn metadata(&self, protocol: &Text) -> Bytes {
        self.protocols.iter().find(|p| p.name == *protocol).map(|p| p.metadata.clone()).unwrap_or_default()
    }
}

impl ClassicGroup {
    pub fn new(id: GroupId) -> ClassicGroup {
        ClassicGroup {
            id,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: Text::default(),
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            promised: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            joining: 0,
            supporters: BTreeMap::new(),
            join_alarm: Alarm::default(),
            sync_alarm: Alarm::default(),
            initial: None,
            subscribed: None,
        }
    }

    pub fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::Preparing => GroupState::PreparingRebalance,
            Phase::Completing => GroupState::CompletingRebalance,
            Phase::Stable => GroupState::Stable,
        }
    }

    /// Nothing here that replay would not give again.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Empty && self.members.is_empty() && self.promised.is_empty()
    }

    pub fn is_leader(&self, member: &MemberId) -> bool {
        self.leader.as_ref() == Some(member)
    }

    pub fn add(&mut self, id: MemberId, member: Member) {
        self.promised.remove(&id);
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.joining += usize::from(member.join.is_some());
        self.count_protocols(&member.protocols, true);
        let before = self.members.insert(id, member);
        assert!(before.is_none(), "a member is added once");
    }

    /// Add a member that the log tells of. Tools, and damage, may have written anything there: who comes under an id or an
    /// instance that is taken does not count.
    pub fn add_replayed(&mut self, id: MemberId, member: Member) {
        let is_taken = self.members.contains_key(&id)
            || member.instance.as_ref().is_some_and(|instance| self.statics.contains_key(instance));
        if !is_taken {
            self.add(id, member);
        }
    }

    pub fn remove(&mut self, id: &MemberId) -> Option<Member> {
        self.promised.remove(id);
        self.unsynced.remove(id);
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.instance
            && self.statics.get(instance) == Some(id)
        {
            self.statics.remove(instance);
        }
        self.joining -= usize::from(member.join.is_some());
        self.count_protocols(&member.protocols, false);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// The same static member under a new id. The old id is unknown from now on.
    pub fn rename(&mut self, instance: &InstanceId, old: &MemberId, new: &MemberId) {
        let Some(member) = self.members.remove(old) else { return };
        self.members.insert(new.clone(), member);
        self.statics.insert(instance.clone(), new.clone());
        if self.unsynced.remove(old) {
            self.unsynced.insert(new.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
    }

    pub fn set_protocols(&mut self, id: &MemberId, protocols: Vec<Protocol>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let before = std::mem::replace(&mut member.protocols, protocols);
        let after = member.protocols.clone();
        self.count_protocols(&before, false);
        self.count_protocols(&after, true);
    }

    /// Sets or clears what a member's JoinGroup waits with; gives back what waited before.
    pub fn set_join(&mut self, id: &MemberId, ticket: Option<Ticket>) -> Option<Ticket> {
        let member = self.members.get_mut(id)?;
        self.joining += usize::from(ticket.is_some());
        self.joining -= usize::from(member.join.is_some());
        std::mem::replace(&mut member.join, ticket)
    }

    fn count_protocols(&mut self, protocols: &[Protocol], up: bool) {
        for protocol in protocols {
            let count = self.supporters.entry(protocol.name.clone()).or_insert(0);
            *count = if up { *count + 1 } else { *count - 1 };
            if *count == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
    }

    /// Whether a member of this type and with these protocols fits in.
    pub fn supports(&self, protocol_type: &Text, protocols: &[Protocol]) -> bool {
        if self.phase == Phase::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        // While the last members are leaving, none are left to disagree with.
        self.protocol_type == *protocol_type
            && (self.members.is_empty() && !protocols.is_empty()
                || protocols.iter().any(|p| self.supporters.get(&p.name) == Some(&self.members.len())))
    }

    /// Each member votes for the protocol it prefers among those that all support.
    pub fn vote(&self) -> Option<Text> {
        let mut votes: BTreeMap<&Text, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().find(|p| self.supporters.get(&p.name) == Some(&self.members.len()));
            if let Some(choice) = choice {
                *votes.entry(&choice.name).or_insert(0) += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
    }

    /// What the group's record takes, at most. Bytes.
    pub fn record_bytes(&self) -> usize {
        let protocol = self.protocol.clone().unwrap_or_default();
        let member_bytes = |(id, member): (&MemberId, &Member)| {
            let texts = id.as_str().len() + member.client_id.as_str().len() + member.client_host.as_str().len();
            let instance = member.instance.as_ref().map_or(0, |instance| instance.as_str().len());
            MEMBER_FRAMING_BYTES + texts + instance + member.metadata(&protocol).len() + member.assignment.len()
        };
        let texts = [self.id.as_str(), self.protocol_type.as_str(), protocol.as_str()];
        let leader = self.leader.as_ref().map_or(0, |leader| leader.as_str().len());
        let group: usize = texts.iter().map(|text| text.len()).sum::<usize>() + leader + GROUP_FRAMING_BYTES;
        group + self.members.iter().map(member_bytes).sum::<usize>()
    }

    /// The longest that any member asks to wait.
    pub fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(|member| member.rebalance_timeout_ms.max(0) as u64).max().unwrap_or(0)
    }

    pub fn all_have_joined(&self) -> bool {
        self.joining == self.members.len() && self.promised.is_empty()
    }

    /// What a member learns of the current generation.
    pub fn joined(&self, member: &MemberId, with_members: bool) -> Joined {
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
            member: member.clone(),
            skip_assignment: false,
            members: if with_members { self.joined_members() } else { Vec::new() },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.clone().unwrap_or_default();
        self.members
            .iter()
            .map(|(id, member)| JoinedMember {
                member: id.clone(),
                instance: member.instance.clone(),
                metadata: member.metadata(&protocol),
            })
            .collect()
    }

    /// Asserts what must hold between decisions.
    pub fn check(&self) {
        assert_eq!(self.joining, self.members.values().filter(|member| member.join.is_some()).count());
        assert_eq!(self.statics.len(), self.members.values().filter(|member| member.instance.is_some()).count());
        assert_eq!(self.leader.is_some(), !self.members.is_empty(), "a group with members has a leader");
        assert!(self.leader.as_ref().is_none_or(|leader| self.members.contains_key(leader)));
        assert!(self.unsynced.iter().all(|member| self.members.contains_key(member)));
        match self.phase {
            Phase::Empty => assert!(self.members.is_empty(), "an empty group has no members"),
            Phase::Preparing => assert!(self.unsynced.is_empty() && !self.sync_alarm.is_set()),
            Phase::Completing | Phase::Stable => assert_eq!(self.joining, 0, "a generation answers its joins"),
        }
        if self.phase != Phase::Completing {
            assert!(self.members.values().all(|member| member.sync.is_none()));
        }
    }
}
