//! Whether offsets may be committed and fetched by whoever asks: members by their epoch.

use crate::{CommitOffsets, MemberId, Refusal};

use super::{ConsumerGroup, Member};

impl ConsumerGroup {
    pub fn admit_commit(&self, ask: &CommitOffsets) -> Result<(), Refusal> {
        let transactional = ask.producer.is_some();
        let claims_nothing = ask.generation < 0 && ask.member.is_empty() && ask.instance.is_none();
        if (ask.generation < 0 && self.members.is_empty()) || (transactional && claims_nothing) {
            return Ok(());
        }
        let member = self.members.get(&ask.member).ok_or(Refusal::UnknownMember)?;
        if !transactional && member.wish.classic.is_none() && !ask.knows_epochs {
            return Err(Refusal::UnsupportedVersion);
        }
        match check_epoch(member, ask.generation) {
            // TxnOffsetCommit does not know epochs.
            Err(Refusal::StaleMemberEpoch) if transactional => Err(Refusal::IllegalGeneration),
            other => other,
        }
    }

    pub fn admit_fetch(&self, member: Option<&MemberId>, epoch: Option<i32>) -> Result<(), Refusal> {
        let member = member.filter(|member| !member.is_empty());
        match (member, epoch) {
            (None, None) => Ok(()),
            (None, Some(epoch)) if epoch < 0 => Ok(()),
            (None, Some(_)) => Err(Refusal::UnknownMember),
            (Some(id), epoch) => {
                let member = self.members.get(id).ok_or(Refusal::UnknownMember)?;
                check_epoch(member, epoch.unwrap_or(-1))
            }
        }
    }
}

fn check_epoch(member: &Member, epoch: i32) -> Result<(), Refusal> {
    if epoch == member.current.epoch {
        Ok(())
    } else if member.wish.classic.is_some() {
        Err(Refusal::IllegalGeneration)
    } else {
        Err(Refusal::StaleMemberEpoch)
    }
}
