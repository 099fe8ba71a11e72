//! Who leads: standing for election, voting, winning (RULES B, Election).
//!
//! A vote needs: the candidate's log end not below the own, its configuration not older, no other vote in the term, no
//! live leader heard. A pre-vote asks the same without binding anyone.

use crate::quorum::majority;
use crate::roles::{Candidate, Leader, PreCandidate, Seat};
use crate::{Fault, Group, Instruction, Message, Progress, TransferRefusal, VoteReply, VoteRequest};
use heddle_model::{Offset, Term, Voter};
use std::collections::BTreeMap;

impl Group {
    /// No leader was heard for an election timeout (drawn at random by the house), or this is the start of a group of
    /// one. Nothing happens if this replica may not lead.
    pub fn campaign(&mut self, todo: &mut Vec<Instruction>) {
        if !self.may_vote || !self.config.is_voter(self.me) || matches!(self.seat, Seat::Leader(_)) {
            return;
        }
        if self.config.voters.len() == 1 {
            self.become_candidate(false, todo);
        } else {
            self.become_pre_candidate(todo);
        }
        self.check();
    }

    /// The leader was not heard for the shortest election timeout: from now on others may get this replica's vote.
    pub fn on_leader_silent(&mut self) {
        if let Seat::Follower(f) = &mut self.seat {
            f.heard = false;
        }
    }

    /// Gives up leadership: the disk fails, or a majority was not heard for an election timeout.
    pub fn resign(&mut self, todo: &mut Vec<Instruction>) {
        if let Seat::Leader(_) = self.seat {
            self.become_follower(None, todo);
        }
        self.check();
    }

    /// Hands leadership to another voter, as soon as it has the whole log. Writes should be held back meanwhile, else
    /// the new leader may have to wait for an election. Ends with `Became`, or not at all: the house tries again.
    pub fn transfer_leadership(&mut self, to: Voter, todo: &mut Vec<Instruction>) -> Result<(), TransferRefusal> {
        if to == self.me || !self.config.is_voter(to) {
            return Err(TransferRefusal::NotVoter);
        }
        let leader = self.lead().ok_or(TransferRefusal::NotLeader)?;
        leader.transfer_to = Some(to);
        self.hand_over(todo);
        self.check();
        Ok(())
    }

    /// Tells the heir to stand, once it holds everything.
    pub(crate) fn hand_over(&mut self, todo: &mut Vec<Instruction>) {
        let (term, end) = (self.term, self.end());
        let Some(leader) = self.lead() else { return };
        let Some(heir) = leader.transfer_to else { return };
        if leader.peers.get(&heir).is_some_and(|p| p.acked == Some(end)) {
            leader.transfer_to = None;
            self.send(heir, Message::StandNow { term }, todo);
        }
    }

    pub(crate) fn on_stand_now(&mut self, from: Voter, term: Term, todo: &mut Vec<Instruction>) {
        if term == self.term && self.leader() == Some(from) && self.may_vote && self.config.is_voter(self.me) {
            self.become_candidate(true, todo);
        }
    }

    fn become_pre_candidate(&mut self, todo: &mut Vec<Instruction>) {
        let Some(term) = self.next_term(todo) else { return };
        self.seat = Seat::PreCandidate(PreCandidate { granted: [self.me].into() });
        todo.push(Instruction::Became(self.role()));
        let request = self.vote_request(term, false);
        for voter in self.other_voters() {
            self.send(voter, Message::PreVote(request), todo);
        }
    }

    /// Takes a term and votes for itself. Nobody is asked before that vote is durable.
    fn become_candidate(&mut self, handed_over: bool, todo: &mut Vec<Instruction>) {
        let Some(term) = self.next_term(todo) else { return };
        (self.term, self.vote) = (term, Some(self.me));
        self.seat = Seat::Candidate(Candidate { granted: Default::default(), handed_over, log_start: self.log_start });
        todo.push(Instruction::PersistState { term, vote: self.vote });
        todo.push(Instruction::Became(self.role()));
    }

    /// The candidate's own vote is durable, and with it, the journal being ordered, the log that it stands with.
    pub(crate) fn solicit(&mut self, todo: &mut Vec<Instruction>) {
        let (me, term) = (self.me, self.term);
        let Some(candidate) = self.candidate() else { return };
        candidate.granted.insert(me);
        let handed_over = candidate.handed_over;
        let request = self.vote_request(term, handed_over);
        for voter in self.other_voters() {
            self.send(voter, Message::Vote(request), todo);
        }
        self.count_votes(todo);
    }

    pub(crate) fn on_pre_vote(&mut self, from: Voter, m: VoteRequest, todo: &mut Vec<Instruction>) {
        let granted = m.term > self.term && self.would_vote(&m);
        let reply = if granted { self.grant(m.term) } else { self.refusal(&m) };
        self.send(from, Message::PreVoteReply(reply), todo);
    }

    pub(crate) fn on_pre_vote_reply(&mut self, from: Voter, m: VoteReply, todo: &mut Vec<Instruction>) {
        if !m.granted {
            return self.on_refused(m, todo);
        }
        let Seat::PreCandidate(candidate) = &mut self.seat else { return };
        if m.term.0 - 1 != self.term.0 {
            return;
        }
        candidate.granted.insert(from);
        let granted = candidate.granted.iter().filter(|v| self.config.is_voter(**v)).count();
        if granted >= majority(self.config.voters.len()) {
            self.become_candidate(false, todo);
        }
    }

    pub(crate) fn on_vote(&mut self, from: Voter, m: VoteRequest, todo: &mut Vec<Instruction>) {
        if m.term < self.term {
            return self.send(from, Message::VoteReply(self.refusal(&m)), todo);
        }
        if !m.handed_over && self.hears_leader() {
            return;
        }
        let free =
            m.term > self.term || (self.vote.is_none_or(|v| v == from) && matches!(self.seat, Seat::Follower(_)));
        let granted = free && self.may_vote && self.is_fresh(&m);
        if m.term > self.term {
            (self.term, self.vote) = (m.term, granted.then_some(from));
            todo.push(Instruction::PersistState { term: self.term, vote: self.vote });
            self.become_follower(None, todo);
        } else if granted && self.vote.is_none() {
            self.vote = Some(from);
            todo.push(Instruction::PersistState { term: self.term, vote: self.vote });
        }
        if !granted {
            return self.send(from, Message::VoteReply(self.refusal(&m)), todo);
        }
        if self.state_durable == (self.term, Some(from)) {
            self.tell_vote(from, todo);
        } else if let Seat::Follower(f) = &mut self.seat {
            f.vote_owed = Some(from);
        }
    }

    pub(crate) fn tell_vote(&self, candidate: Voter, todo: &mut Vec<Instruction>) {
        self.send(candidate, Message::VoteReply(self.grant(self.term)), todo);
    }

    fn grant(&self, term: Term) -> VoteReply {
        VoteReply { term, granted: true, log_start: self.log_start, config: None }
    }

    fn refusal(&self, m: &VoteRequest) -> VoteReply {
        let config = (m.config < self.config.id()).then(|| self.config.clone());
        VoteReply { term: self.term, granted: false, log_start: self.log_start, config }
    }

    /// A refusal may teach a newer term, and a newer configuration. The next attempt stands on both.
    fn on_refused(&mut self, m: VoteReply, todo: &mut Vec<Instruction>) {
        if m.term > self.term {
            self.enter_term(m.term, todo);
        }
        let Some(config) = m.config.filter(|c| c.id() > self.config.id()) else { return };
        // A leader's configuration is the newest of its term, and it has just entered any higher one.
        if !matches!(self.seat, Seat::Leader(_)) {
            self.install(&config, todo);
            if !matches!(self.seat, Seat::Follower(_)) {
                self.become_follower(None, todo);
            }
        }
    }

    pub(crate) fn on_vote_reply(&mut self, from: Voter, m: VoteReply, todo: &mut Vec<Instruction>) {
        if !m.granted {
            return self.on_refused(m, todo);
        }
        if m.term > self.term {
            return self.enter_term(m.term, todo);
        }
        if m.term < self.term {
            return;
        }
        let Some(candidate) = self.candidate() else { return };
        candidate.granted.insert(from);
        candidate.log_start = candidate.log_start.max(m.log_start);
        self.count_votes(todo);
    }

    fn count_votes(&mut self, todo: &mut Vec<Instruction>) {
        let me = self.me;
        let Seat::Candidate(candidate) = &self.seat else { return };
        let granted = candidate.granted.iter().filter(|v| self.config.is_voter(**v)).count();
        if candidate.granted.contains(&me) && granted >= majority(self.config.voters.len()) {
            let log_start = candidate.log_start;
            self.become_leader(log_start, todo);
        }
    }

    /// The own term gets its line, and the configuration is rewritten under it, which replaces any of older terms.
    fn become_leader(&mut self, log_start: Offset, todo: &mut Vec<Instruction>) {
        let before = self.end();
        let peers = self.config.members().filter(|m| *m != self.me).map(|m| (m, Progress::new(before)));
        let peers: BTreeMap<Voter, Progress> = peers.collect();
        self.seat = Seat::Leader(Leader { start: self.end, serving: false, peers, transfer_to: None });
        self.config.term = self.term;
        todo.push(Instruction::Became(self.role()));
        todo.push(Instruction::PersistConfig(self.config.clone()));
        self.history.push(self.term, self.end);
        todo.push(Instruction::PersistLine { term: self.term, start: self.end });
        self.adopt_log_start(log_start);
        self.replicate_all(todo);
    }

    /// A live leader stands against an election: one that was heard, or this replica itself.
    fn hears_leader(&self) -> bool {
        match &self.seat {
            Seat::Follower(f) => f.heard,
            Seat::Leader(_) => true,
            Seat::PreCandidate(_) | Seat::Candidate(_) => false,
        }
    }

    fn would_vote(&self, m: &VoteRequest) -> bool {
        self.may_vote && !self.hears_leader() && self.is_fresh(m)
    }

    fn is_fresh(&self, m: &VoteRequest) -> bool {
        m.end >= self.end() && m.config >= self.config.id()
    }

    fn vote_request(&self, term: Term, handed_over: bool) -> VoteRequest {
        VoteRequest { term, end: self.end(), config: self.config.id(), handed_over }
    }

    fn other_voters(&self) -> Vec<Voter> {
        self.config.voters.iter().copied().filter(|v| *v != self.me).collect()
    }

    fn next_term(&self, todo: &mut Vec<Instruction>) -> Option<Term> {
        let next = self.term.0.checked_add(1).map(Term);
        if next.is_none() {
            todo.push(Instruction::Report { peer: self.me, fault: Fault::TermsExhausted });
        }
        next
    }
}
