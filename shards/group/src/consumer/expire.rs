//! What happens to a KIP-848 group when a deadline passes.

use heddle_model::Mono;

use crate::{
    MemberId,
    timers::{Alarm, Timer},
};

use super::{
    Consumer,
    change::Draft,
    group::{AWAY, MemberState},
};

impl Consumer<'_> {
    /// Starts the deadlines of a group that was found in the log, at their full length.
    pub fn start_deadlines(&mut self) {
        let group = self.group;
        for (id, member) in &group.members {
            self.renew_session(id);
            let gives_up = member.current.state == MemberState::UnrevokedPartitions && member.current.epoch != AWAY;
            if gives_up && member.wish.classic.is_none() {
                self.await_release(id, member.current.epoch, member.wish.rebalance_timeout_ms);
            }
        }
        if group.epoch > group.target_epoch && !group.members.is_empty() {
            let (now, id) = (self.context.now.mono, self.id);
            self.timers.set(&mut self.watch.assign, now, || Timer::Assign(id.clone()));
        }
    }

    /// Gives every member that is still here, though its session has ended, another one.
    pub fn renew_ended_sessions(&mut self) {
        let group = self.group;
        for id in group.members.keys() {
            if !self.watch.sessions.get(id).is_some_and(Alarm::is_set) {
                self.renew_session(id);
            }
        }
    }

    pub fn on_session_entry(&mut self, member: &MemberId, at: Mono) {
        let (now, id) = (self.context.now.mono, self.id);
        let Some(alarm) = self.watch.sessions.get_mut(member) else { return };
        if self.timers.ring(alarm, at, now, || Timer::Session(id.clone(), member.clone())) {
            self.remove_if_in(member);
        }
    }

    /// A member was told to give partitions up, and others may be waiting for them.
    pub fn on_release_entry(&mut self, member: &MemberId, at: Mono) {
        let (now, id) = (self.context.now.mono, self.id);
        let Some((alarm, epoch)) = self.watch.rebalances.get_mut(member) else { return };
        let epoch = *epoch;
        if self.timers.ring(alarm, at, now, || Timer::Release(id.clone(), member.clone()))
            && self.group.members.get(member).is_some_and(|known| known.current.epoch == epoch)
        {
            self.remove_if_in(member);
        }
    }

    pub fn on_rejoin_entry(&mut self, member: &MemberId, at: Mono) {
        let (now, id) = (self.context.now.mono, self.id);
        let Some(alarm) = self.watch.rejoins.get_mut(member) else { return };
        if self.timers.ring(alarm, at, now, || Timer::Rejoin(id.clone(), member.clone())) {
            self.remove_if_in(member);
        }
    }

    pub fn on_member_sync_entry(&mut self, member: &MemberId, at: Mono) {
        let (now, id) = (self.context.now.mono, self.id);
        let Some(alarm) = self.watch.syncs.get_mut(member) else { return };
        if self.timers.ring(alarm, at, now, || Timer::MemberSync(id.clone(), member.clone())) {
            self.remove_if_in(member);
        }
    }

    fn remove_if_in(&mut self, member: &MemberId) {
        if self.group.members.contains_key(member) {
            self.remove([member.clone()]);
        } else {
            self.forget_deadlines(member);
        }
    }

    pub fn on_assign_entry(&mut self, at: Mono) {
        let (now, id) = (self.context.now.mono, self.id);
        if self.timers.ring(&mut self.watch.assign, at, now, || Timer::Assign(id.clone()))
            && self.group.epoch > self.group.target_epoch
        {
            self.assign_when_due(&mut Draft::of(self.group));
        }
    }
}
