//! The classic protocol: members gather (JoinGroup), one of them assigns (SyncGroup), all keep alive (Heartbeat).
//!
//! | from               | to                 | when                                                              |
//! |--------------------|--------------------|-------------------------------------------------------------------|
//! | Empty              | PreparingRebalance | a member is added                                                 |
//! | PreparingRebalance | CompletingRebalance| all known members have joined, or time is up                      |
//! | PreparingRebalance | Empty              | the same, and nobody is left                                      |
//! | CompletingRebalance| Stable             | the leader brought the assignment: the generation is persisted    |
//! | Completing, Stable | PreparingRebalance | a member is added, changed, left, or failed; the leader rejoins   |
//!
//! A rebalance lives in soft state only. What a new leader finds is the last generation that was completed; a member
//! that it does not know starts over.

mod expire;
mod group;
mod join;
mod leave;
mod stored;
mod sync;

pub(crate) use group::{ClassicGroup, Member as ClassicMember, Phase};
pub(crate) use join::{new_member_id, uuid_text};

use heddle_model::{Ticket, limits};

use crate::{
    Answer, Context, Decision, GroupSettings, InstanceId, MemberId, Refusal,
    schema::Key,
    timers::{Timer, Timers},
};

use group::Member;

/// A group's record must fit one batch, with room for what is around it. Bytes.
pub(crate) const GROUP_BYTES_MAX: usize = limits::BATCH_BYTES_MAX / 2;

/// One classic group at work: its rebalance, and what a decision about it needs.
pub(crate) struct Classic<'a> {
    pub group: &'a mut ClassicGroup,
    pub timers: &'a mut Timers,
    pub settings: &'a GroupSettings,
    pub context: Context<'a>,
    pub out: &'a mut Decision,
}

impl Classic<'_> {
    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.out.answers.push((ticket, answer));
    }

    fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.answer(ticket, Answer::Refused(refusal));
    }

    /// Whether the member, static or not, is who it says.
    fn validate(&self, member: &MemberId, instance: Option<&InstanceId>) -> Result<(), Refusal> {
        if let Some(instance) = instance {
            match self.group.statics.get(instance) {
                None => return Err(Refusal::UnknownMember),
                Some(known) if known != member => return Err(Refusal::FencedInstance),
                Some(_) => {}
            }
        }
        if self.group.members.contains_key(member) { Ok(()) } else { Err(Refusal::UnknownMember) }
    }

    /// A member, its generation right.
    fn validate_in_generation(
        &self,
        member: &MemberId,
        instance: Option<&InstanceId>,
        generation: i32,
    ) -> Result<(), Refusal> {
        self.validate(member, instance)?;
        if generation == self.group.generation { Ok(()) } else { Err(Refusal::IllegalGeneration) }
    }

    /// Heartbeat.
    pub fn heartbeat(&mut self, ask: &crate::Heartbeat) -> Result<(), Refusal> {
        self.validate_in_generation(&ask.member, ask.instance.as_ref(), ask.generation)?;
        match self.group.phase {
            Phase::Empty => Err(Refusal::UnknownMember),
            Phase::Preparing => {
                self.renew_session(&ask.member);
                Err(Refusal::RebalanceInProgress)
            }
            Phase::Completing | Phase::Stable => {
                self.renew_session(&ask.member);
                Ok(())
            }
        }
    }

    /// Whether offsets may be committed by whoever asks. A member's commit also keeps its session.
    pub fn admit_commit(&mut self, ask: &crate::CommitOffsets) -> Result<(), Refusal> {
        let transactional = ask.producer.is_some();
        if ask.generation < 0 && self.group.phase == Phase::Empty {
            return Ok(());
        }
        if ask.generation >= 0 || !ask.member.is_empty() || ask.instance.is_some() {
            self.validate_in_generation(&ask.member, ask.instance.as_ref(), ask.generation)?;
        } else if !transactional && self.group.phase != Phase::Empty {
            return Err(Refusal::UnknownMember);
        }
        if !transactional && self.group.phase == Phase::Completing {
            return Err(Refusal::RebalanceInProgress);
        }
        if !transactional && matches!(self.group.phase, Phase::Stable | Phase::Preparing) {
            self.renew_session(&ask.member);
        }
        Ok(())
    }

    /// Gives a member its whole session timeout from now.
    fn renew_session(&mut self, member: &MemberId) {
        if let Some(known) = self.group.members.get(member) {
            self.set_session(member, known.session_timeout_ms.max(0) as u64);
        }
    }

    fn set_session(&mut self, member: &MemberId, timeout_ms: u64) {
        let at = self.context.now.mono.plus_ms(timeout_ms);
        let id = &self.group.id;
        if let Some(known) = self.group.members.get_mut(member) {
            self.timers.set(&mut known.session, at, || Timer::Session(id.clone(), member.clone()));
        }
    }

    fn set_join_alarm(&mut self, delay_ms: u64) {
        let (id, at) = (self.group.id.clone(), self.context.now.mono.plus_ms(delay_ms));
        self.timers.set(&mut self.group.join_alarm, at, || Timer::Join(id));
    }

    fn set_sync_alarm(&mut self, delay_ms: u64) {
        let (id, at) = (self.group.id.clone(), self.context.now.mono.plus_ms(delay_ms));
        self.timers.set(&mut self.group.sync_alarm, at, || Timer::Sync(id));
    }

    /// Takes a member out. Whatever it was waiting for is answered: it has to start over.
    fn remove_member(&mut self, member: &MemberId) {
        if let Some(Member { join, sync, .. }) = self.group.remove(member) {
            for ticket in join.into_iter().chain(sync) {
                self.refuse(ticket, Refusal::UnknownMember);
            }
        }
    }

    /// Writes the group as it stands.
    pub fn persist(&mut self) {
        let value = self.group.to_stored(self.context.now.wall.0).encode();
        self.out.write(&Key::Group(self.group.id.clone()), Some(value));
    }
}
