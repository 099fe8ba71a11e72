//! Who belongs: one voter at a time, beside the log (log-less reconfiguration, arXiv 2102.11960; RULES B, Membership).

use crate::quorum::majority;
use crate::roles::{Leader, Seat};
use crate::{ChangeRefusal, Config, Group, Instruction, Progress};
use heddle_model::Voter;

impl Group {
    /// Installs the next configuration, at most one voter different. Learners may differ freely. It takes effect at
    /// once; the next change is possible when a majority of it holds it.
    pub fn change_voters(
        &mut self,
        mut voters: Vec<Voter>,
        mut learners: Vec<Voter>,
        todo: &mut Vec<Instruction>,
    ) -> Result<(), ChangeRefusal> {
        voters.sort_unstable();
        learners.sort_unstable();
        let version = self.config.version.checked_add(1).ok_or(ChangeRefusal::Unsound)?;
        let next = Config { term: self.term, version, voters, learners };
        self.may_change(&next)?;
        self.config = next;
        todo.push(Instruction::PersistConfig(self.config.clone()));
        let (end, me) = (self.end(), self.me);
        let config = self.config.clone();
        if let Some(leader) = self.lead() {
            leader.peers.retain(|peer, _| config.is_member(*peer));
            for member in config.members().filter(|m| *m != me) {
                leader.peers.entry(member).or_insert_with(|| Progress::new(end));
            }
            leader.transfer_to = leader.transfer_to.filter(|heir| config.is_voter(*heir));
        }
        self.advance(todo);
        self.replicate_all(todo);
        self.check();
        Ok(())
    }

    fn may_change(&self, next: &Config) -> Result<(), ChangeRefusal> {
        let Seat::Leader(leader) = &self.seat else { return Err(ChangeRefusal::NotLeader) };
        if next.sound().is_err() || next.voters.is_empty() {
            return Err(ChangeRefusal::Unsound);
        }
        if !next.is_voter(self.me) {
            return Err(ChangeRefusal::RemovesLeader);
        }
        let added: Vec<Voter> = next.voters.iter().copied().filter(|v| !self.config.is_voter(*v)).collect();
        let removed = self.config.voters.iter().filter(|v| !next.is_voter(**v)).count();
        if added.len() + removed > 1 {
            return Err(ChangeRefusal::TooDifferent);
        }
        if !leader.serving || !self.majority_of_voters(|v| self.holds_own_commit(leader, v)) {
            return Err(ChangeRefusal::NotServing);
        }
        if !self.majority_of_voters(|v| self.holds_config_and_log_start(leader, v)) {
            return Err(ChangeRefusal::Busy);
        }
        if added.iter().any(|v| leader.peers.get(v).and_then(|p| p.acked).is_none_or(|at| at.term != self.term)) {
            return Err(ChangeRefusal::NotCaughtUp);
        }
        Ok(())
    }

    fn majority_of_voters(&self, holds: impl Fn(Voter) -> bool) -> bool {
        let voters = &self.config.voters;
        voters.iter().filter(|v| holds(**v)).count() >= majority(voters.len())
    }

    /// In this term, with everything committed.
    fn holds_own_commit(&self, leader: &Leader, voter: Voter) -> bool {
        self.acked_in_term(leader, voter).is_some_and(|at| at >= self.commit.max(leader.start))
    }

    fn holds_config_and_log_start(&self, leader: &Leader, voter: Voter) -> bool {
        let (config, log_start) = match leader.peers.get(&voter) {
            Some(progress) => (progress.config, progress.log_start),
            None => (self.config_durable, self.log_start_durable),
        };
        config == self.config.id() && log_start >= self.log_start
    }
}
