//! SyncGroup: the leader's assignment, persisted, then handed to each member.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_model::Ticket;

use crate::{Answer, MemberId, Refusal, Sync, Synced, Text};

use super::{Classic, GROUP_BYTES_MAX, group::Phase};

impl Classic<'_> {
    pub fn sync(&mut self, ask: Sync, ticket: Ticket) {
        if let Err(refusal) = self.validate_sync(&ask) {
            return self.refuse(ticket, refusal);
        }
        match self.group.phase {
            Phase::Empty => self.refuse(ticket, Refusal::UnknownMember),
            Phase::Preparing => self.refuse(ticket, Refusal::RebalanceInProgress),
            Phase::Completing => self.sync_completing(ask, ticket),
            Phase::Stable => {
                self.mark_synced(&ask.member);
                let synced = self.synced(&ask.member);
                self.answer(ticket, Answer::Synced(synced));
            }
        }
    }

    fn validate_sync(&self, ask: &Sync) -> Result<(), Refusal> {
        self.validate_in_generation(&ask.member, ask.instance.as_ref(), ask.generation)?;
        let differs = |asked: &Option<Text>, ours: &Text| asked.as_ref().is_some_and(|asked| asked != ours);
        let protocol = self.group.protocol.clone().unwrap_or_default();
        if differs(&ask.protocol_type, &self.group.protocol_type) || differs(&ask.protocol, &protocol) {
            return Err(Refusal::InconsistentProtocol);
        }
        Ok(())
    }

    fn sync_completing(&mut self, ask: Sync, ticket: Ticket) {
        let earlier = self.group.members.get_mut(&ask.member).and_then(|member| member.sync.replace(ticket));
        if let Some(earlier) = earlier {
            self.refuse(earlier, Refusal::RebalanceInProgress);
        }
        self.mark_synced(&ask.member);
        if self.group.is_leader(&ask.member) {
            self.assign(ask.assignments);
        }
    }

    /// The leader's word: the generation is complete. Members it left out get nothing to read.
    fn assign(&mut self, assignments: Vec<(MemberId, Bytes)>) {
        let mut assignments: BTreeMap<MemberId, Bytes> = assignments.into_iter().collect();
        for (id, member) in &mut self.group.members {
            let assignment = assignments.remove(id).unwrap_or_default();
            member.assignment = Bytes::copy_from_slice(&assignment);
        }
        if self.group.record_bytes() > GROUP_BYTES_MAX {
            return self.reject_assignment();
        }
        self.persist();
        self.group.phase = Phase::Stable;
        self.hand_out();
        self.group.check();
    }

    /// Too large to be stored: everybody hears of it, and the members gather again.
    fn reject_assignment(&mut self) {
        self.refuse_syncs_with(Refusal::GroupTooLarge);
        self.prepare_rebalance();
    }

    /// Those that wait for an assignment get none. While they waited their sessions may have passed unnoticed: they begin
    /// anew.
    pub(super) fn refuse_syncs_with(&mut self, refusal: Refusal) {
        for (id, ticket) in self.take_syncs() {
            self.refuse(ticket, refusal.clone());
            self.renew_session(&id);
        }
    }

    fn take_syncs(&mut self) -> Vec<(MemberId, Ticket)> {
        let members = self.group.members.iter_mut();
        members.filter_map(|(id, member)| member.sync.take().map(|ticket| (id.clone(), ticket))).collect()
    }

    fn hand_out(&mut self) {
        for (id, ticket) in self.take_syncs() {
            let synced = self.synced(&id);
            self.answer(ticket, Answer::Synced(synced));
            self.renew_session(&id);
        }
    }

    fn synced(&self, member: &MemberId) -> Synced {
        Synced {
            protocol_type: self.group.protocol_type.clone(),
            protocol: self.group.protocol.clone().unwrap_or_default(),
            assignment: self.group.members.get(member).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    fn mark_synced(&mut self, member: &MemberId) {
        self.group.unsynced.remove(member);
        if self.group.unsynced.is_empty() {
            self.group.sync_alarm.stop();
        }
    }
}
