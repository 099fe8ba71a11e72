//! LeaveGroup: members, pending ones, and static ones by their instance (also on an administrator's word).

use crate::{Leaver, Refusal};

use super::{Classic, group::Phase};

impl Classic<'_> {
    /// Answers for each member; what the absence means for the others follows once, at the end.
    pub fn leave(&mut self, members: Vec<Leaver>) -> Vec<(Leaver, Option<Refusal>)> {
        let mut answers = Vec::with_capacity(members.len());
        let mut somebody_left = false;
        for leaver in members {
            let outcome = self.leave_one(&leaver);
            somebody_left |= outcome.is_ok();
            answers.push((leaver, outcome.err()));
        }
        if somebody_left {
            match self.group.phase {
                Phase::Stable | Phase::Completing => self.prepare_rebalance(),
                Phase::Preparing => self.complete_join_if_all(),
                Phase::Empty => {}
            }
        }
        answers
    }

    fn leave_one(&mut self, leaver: &Leaver) -> Result<(), Refusal> {
        let member = if leaver.member.is_empty() {
            let instance = leaver.instance.as_ref().ok_or(Refusal::UnknownMember)?;
            self.group.statics.get(instance).cloned().ok_or(Refusal::UnknownMember)?
        } else {
            leaver.member.clone()
        };
        if self.group.promised.remove(&member).is_some() {
            return Ok(());
        }
        self.validate(&member, leaver.instance.as_ref())?;
        self.remove_member(&member);
        Ok(())
    }
}
