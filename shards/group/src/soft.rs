//! What only a leader has: groups at work, deadlines, waiting tickets. A new leader starts without.

use std::collections::{BTreeMap, VecDeque};

use heddle_model::{Mono, Ticket};

use crate::{
    Answer, Context, Decision, GroupId, Groups, Refusal,
    classic::ClassicGroup,
    consumer::Watch,
    decide::Turn,
    hard::Body,
    sweep::Sweep,
    timers::{Alarm, Timer, Timers},
};

#[derive(Debug, Default)]
pub struct Soft {
    pub(crate) live: BTreeMap<GroupId, ClassicGroup>,
    pub(crate) watches: BTreeMap<GroupId, Watch>,
    pub(crate) timers: Timers,
    pub(crate) retention: Alarm,
    /// Behind which group the present round of offset expiry goes on; `None`: no round is under way.
    pub(crate) expiring_from: Option<Option<GroupId>>,
    /// Of offsets whose topics are gone, in pieces.
    pub(crate) sweeps: VecDeque<Sweep>,
    /// Groups whose offsets are being removed, in pieces, before the group goes itself.
    pub(crate) deletions: VecDeque<(GroupId, Ticket)>,
    /// Tickets that nobody waits with any more, each with the one that is to wait in its place.
    pub(crate) let_go: BTreeMap<GroupId, BTreeMap<Ticket, Ticket>>,
}

impl Groups {
    /// What a new leader begins with: every member that is known has its whole session timeout to be heard of.
    pub fn lead(&self, context: Context<'_>) -> Soft {
        let mut soft = Soft::default();
        let mut turn = Turn::new(self, &mut soft, context);
        for (id, group) in &self.groups {
            match &group.body {
                Body::Simple => {}
                // Having none at work yet, the group is made from its record, and its sessions start.
                Body::Classic(stored) if stored.members.is_empty() => {}
                Body::Classic(_) => turn.with_classic(id, |_| ()),
                Body::Consumer(_) => turn.with_consumer(id, |_| ()),
            }
        }
        assert!(turn.out == Decision::default(), "nothing is decided by becoming leader");
        let interval_ms = self.settings.offsets_retention_check_interval_ms.max(1) as u64;
        let at = context.now.mono.plus_ms(interval_ms);
        soft.timers.set(&mut soft.retention, at, || Timer::Retention);
        soft
    }

    /// For a coordinator that could hear nobody for a while, because it was stopped or could not write: every deadline
    /// that members are held to starts anew, as with a new leader. Who waits goes on waiting.
    pub fn resume(&self, context: Context<'_>, soft: &mut Soft) {
        let mut turn = Turn::new(self, soft, context);
        let live: Vec<GroupId> = turn.soft.live.keys().cloned().collect();
        for id in &live {
            turn.with_classic(id, |classic| classic.restart_deadlines());
        }
        let watched: Vec<GroupId> = std::mem::take(&mut turn.soft.watches).into_keys().collect();
        for id in &watched {
            if turn.is_consumer_group(id) {
                turn.with_consumer(id, |_| ());
            }
        }
        assert!(turn.out == Decision::default(), "nothing is decided by going on");
    }
}

impl Turn<'_> {
    /// Answers those that nobody waits with any more. Their members stay, and go with their sessions.
    pub fn let_go(&mut self) {
        for (id, tickets) in std::mem::take(&mut self.soft.let_go) {
            let Some(group) = self.soft.live.get_mut(&id) else { continue };
            let waiting = group.members.values_mut().flat_map(|member| [&mut member.join, &mut member.sync]).flatten();
            for ticket in waiting {
                if let Some(instead) = tickets.get(ticket) {
                    let gone = std::mem::replace(ticket, *instead);
                    self.out.answers.push((gone, Answer::Refused(Refusal::RebalanceInProgress)));
                }
            }
        }
    }
}

impl Soft {
    /// The client that waits with this ticket for a rebalance is gone. The ticket is answered with the next tick, if it
    /// still waits; its member, as in Kafka, takes part until its session ends, with `instead` to be answered.
    pub fn cancel(&mut self, group: GroupId, ticket: Ticket, instead: Ticket) {
        if self.live.contains_key(&group) {
            self.let_go.entry(group).or_default().insert(ticket, instead);
        }
    }

    /// When `tick` has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.has_work() {
            return Some(Mono(0));
        }
        self.timers.next()
    }

    /// Work that was begun and goes on at once.
    pub(crate) fn has_work(&self) -> bool {
        self.expiring_from.is_some() || !self.sweeps.is_empty() || !self.deletions.is_empty() || !self.let_go.is_empty()
    }

    /// Only the first deletion may have been begun.
    pub(crate) fn is_being_deleted(&self, group: &GroupId) -> bool {
        self.deletions.front().is_some_and(|(id, _)| id == group)
    }

    /// Leadership is over: the tickets that still wait, each to be refused with `NotCoordinator`.
    pub fn abandon(self) -> Vec<Ticket> {
        let members = self.live.into_values().flat_map(|group| group.members.into_values());
        let waiting = members.flat_map(|member| member.join.into_iter().chain(member.sync));
        let deletions = self.deletions.into_iter().map(|(_, ticket)| ticket);
        waiting.chain(self.sweeps.into_iter().filter_map(|sweep| sweep.ticket)).chain(deletions).collect()
    }
}
