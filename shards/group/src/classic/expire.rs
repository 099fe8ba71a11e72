//! What happens when a deadline passes.

use heddle_model::Mono;

use crate::{MemberId, timers::Timer};

use super::{Classic, ClassicGroup, group::Phase, join::NEW_MEMBER_TIMEOUT_MS};

impl ClassicGroup {
    /// Starts the sessions of a group that was found in the log, at their full length.
    pub(crate) fn start_sessions(&mut self, timers: &mut crate::timers::Timers, now: Mono) {
        let id = self.id.clone();
        for (member_id, member) in &mut self.members {
            let at = now.plus_ms(member.session_timeout_ms.max(0) as u64);
            timers.set(&mut member.session, at, || Timer::Session(id.clone(), member_id.clone()));
        }
    }
}

impl Classic<'_> {
    /// Gives everybody who is waited for the whole time again: nobody could be heard for a while.
    pub fn restart_deadlines(&mut self) {
        let members: Vec<(MemberId, bool)> = self.group.members.iter().map(|(id, m)| (id.clone(), m.is_new)).collect();
        for (id, is_new) in &members {
            if *is_new { self.set_session(id, NEW_MEMBER_TIMEOUT_MS) } else { self.renew_session(id) }
        }
        // What they asked for is not kept.
        let at = self.context.now.mono.plus_ms(self.settings.group_min_session_timeout_ms.max(0) as u64);
        let id = &self.group.id;
        for (member, alarm) in &mut self.group.promised {
            self.timers.set(alarm, at, || Timer::Session(id.clone(), member.clone()));
        }
        let timeout_ms = self.group.rebalance_timeout_ms();
        if self.group.join_alarm.is_set() && self.group.initial.is_none() {
            self.set_join_alarm(timeout_ms);
        }
        if self.group.sync_alarm.is_set() {
            self.set_sync_alarm(timeout_ms);
        }
    }

    /// An entry of a member's session, or of a promised id, came up.
    pub fn on_session_entry(&mut self, member: &MemberId, at: Mono) {
        let now = self.context.now.mono;
        let id = self.group.id.clone();
        let timer = || Timer::Session(id.clone(), member.clone());
        if let Some(alarm) = self.group.promised.get_mut(member) {
            if self.timers.ring(alarm, at, now, timer) {
                self.group.promised.remove(member);
                self.complete_join_if_all();
            }
        } else if let Some(known) = self.group.members.get_mut(member)
            && self.timers.ring(&mut known.session, at, now, timer)
            && !known.is_alive()
        {
            self.expire_member(member);
        }
    }

    fn expire_member(&mut self, member: &MemberId) {
        self.remove_member(member);
        match self.group.phase {
            Phase::Stable | Phase::Completing => self.prepare_rebalance(),
            Phase::Preparing if self.group.all_have_joined() => self.complete_early(),
            Phase::Preparing | Phase::Empty => {}
        }
    }

    /// Nobody is missing any more. A group that has just begun still waits for its delay, unless nobody is left.
    fn complete_early(&mut self) {
        if self.group.initial.is_none() || self.group.members.is_empty() {
            self.complete_join();
        }
    }

    /// The time to gather is over, unless it is the first time and members keep coming.
    pub fn on_join_entry(&mut self, at: Mono) {
        let (now, id) = (self.context.now.mono, self.group.id.clone());
        if !self.timers.ring(&mut self.group.join_alarm, at, now, || Timer::Join(id)) {
            return;
        }
        if self.group.phase != Phase::Preparing {
            return;
        }
        match &mut self.group.initial {
            Some(initial) if initial.somebody_came && initial.remaining_ms > 0 => {
                let delay_ms = initial.delay_ms.min(initial.remaining_ms);
                initial.remaining_ms -= delay_ms;
                initial.somebody_came = false;
                self.set_join_alarm(delay_ms);
            }
            _ => self.complete_join(),
        }
    }

    /// Members that know their generation and never asked what is theirs are out.
    pub fn on_sync_entry(&mut self, at: Mono) {
        let (now, id) = (self.context.now.mono, self.group.id.clone());
        if !self.timers.ring(&mut self.group.sync_alarm, at, now, || Timer::Sync(id)) {
            return;
        }
        if !matches!(self.group.phase, Phase::Completing | Phase::Stable) {
            return;
        }
        let silent = std::mem::take(&mut self.group.unsynced);
        if silent.is_empty() {
            return;
        }
        for member in &silent {
            self.remove_member(member);
        }
        self.prepare_rebalance();
    }
}
