//! The follower's half: take what the leader sends, cut what disagrees, acknowledge what is durable (RULES B, Append).

use crate::roles::Seat;
use crate::{Append, AppendAck, AppendReject, Config, Fault, Group, Instruction, Message, Reset};
use heddle_model::{Offset, Point, Term, Voter};

impl Group {
    pub(crate) fn on_append(&mut self, leader: Voter, m: Append, todo: &mut Vec<Instruction>) {
        if !self.accept_leader(leader, m.term, m.from, todo) {
            return;
        }
        if !self.history.contains(m.from, self.end) {
            let hint = self.hint(m.from.term);
            return self.reject(leader, m.from, hint, todo);
        }
        let (agreed, cut) = self.disagreement(&m);
        if let Some(to) = cut {
            if to < self.commit {
                let fault = Fault::CutBelowCommit { to, commit: self.commit };
                return todo.push(Instruction::Report { peer: leader, fault });
            }
            self.cut(Point { term: agreed, offset: to.min(self.end) }, todo);
        }
        if let Some(config) = m.config.as_ref() {
            self.install(config, todo);
        }
        self.take(&m, todo);
        self.log_start_wanted = self.log_start_wanted.max(m.log_start);
        self.raise_commit(m.commit.min(m.to.offset).max(self.commit), todo);
        self.learn_log_start_safe(m.log_start_safe, todo);
        self.on_matched(m.to, todo);
    }

    /// The follower's log ends below the leader's log start: everything is replaced by an empty log at `at`.
    pub(crate) fn on_reset(&mut self, leader: Voter, m: Reset, todo: &mut Vec<Instruction>) {
        if !self.accept_leader(leader, m.term, m.at, todo) {
            return;
        }
        if self.history.contains(m.at, self.end) {
            return self.on_matched(m.at, todo);
        }
        if self.commit > m.at.offset {
            let fault = Fault::CutBelowCommit { to: m.at.offset, commit: self.commit };
            return todo.push(Instruction::Report { peer: leader, fault });
        }
        let line = (m.at.term, m.line_start);
        self.history = crate::History::new(Point { term: line.0, offset: line.1 });
        self.end = m.at.offset;
        self.log_durable = None;
        self.log_start = m.at.offset;
        self.log_start_wanted = self.log_start_wanted.max(self.log_start);
        if m.config.id() > self.config.id() {
            self.config = m.config;
        }
        todo.push(Instruction::Reset { at: m.at, line, config: self.config.clone() });
        self.raise_commit(m.at.offset, todo);
        self.on_matched(m.at, todo);
    }

    /// Follows the sender, if its term allows it; else it is told the newer term, or reported.
    fn accept_leader(&mut self, leader: Voter, term: Term, from: Point, todo: &mut Vec<Instruction>) -> bool {
        if term < self.term {
            let hint = self.end();
            self.reject(leader, from, hint, todo);
            return false;
        }
        if term > self.term {
            self.enter_term(term, todo);
        }
        match &mut self.seat {
            Seat::Leader(_) => {
                todo.push(Instruction::Report { peer: leader, fault: Fault::SecondLeader { term } });
                return false;
            }
            Seat::Follower(f) if f.leader.is_some_and(|l| l != leader) => {
                todo.push(Instruction::Report { peer: leader, fault: Fault::SecondLeader { term } });
                return false;
            }
            Seat::Follower(f) if f.leader.is_some() => f.heard = true,
            Seat::Follower(_) | Seat::PreCandidate(_) | Seat::Candidate(_) => self.become_follower(Some(leader), todo),
        }
        true
    }

    fn reject(&self, leader: Voter, from: Point, hint: Point, todo: &mut Vec<Instruction>) {
        self.send(leader, Message::AppendReject(AppendReject { term: self.term, from, hint }), todo);
    }

    /// The largest own point whose term is not above `term`. If trimming left only newer lines, the smallest one kept:
    /// what was trimmed is committed, so a leader contains it and what follows.
    fn hint(&self, term: Term) -> Point {
        self.history.largest_not_above(term, self.end).unwrap_or_else(|| {
            let first = self.history.first();
            Point { term: first.0, offset: first.1.max(self.log_start) }
        })
    }

    /// Compares the histories over the append's range: the last term that agrees, and where to cut, if at all.
    fn disagreement(&self, m: &Append) -> (Term, Option<Offset>) {
        let mine = self.history.above(m.from.term);
        let agreed = mine.iter().zip(&m.lines).take_while(|(a, b)| a == b).count();
        let cut = match (mine.get(agreed), m.lines.get(agreed)) {
            (None, None) => None,
            (Some(own), Some(theirs)) => Some(own.1.min(theirs.1)),
            (None, Some(theirs)) => (self.end > theirs.1).then_some(theirs.1),
            (Some(own), None) => (own.1 < m.to.offset).then_some(own.1),
        };
        (m.lines[..agreed].last().map_or(m.from.term, |line| line.0), cut)
    }

    fn cut(&mut self, to: Point, todo: &mut Vec<Instruction>) {
        self.history.cut(to.term);
        self.end = to.offset;
        self.log_durable = self.log_durable.map(|durable| durable.min(to));
        todo.push(Instruction::Truncate { to });
    }

    /// Appends what is missing of the range: lines and batches in log order.
    fn take(&mut self, m: &Append, todo: &mut Vec<Instruction>) {
        for (term, from, to) in m.parts() {
            if term > self.history.last().0 {
                self.history.push(term, from);
                todo.push(Instruction::PersistLine { term, start: from });
            }
            let from = from.max(self.end);
            if from < to {
                self.end = to;
                todo.push(Instruction::Take { term, from, to });
            }
        }
        assert!(self.history.contains(m.to, self.end), "what was taken reaches the append's end");
    }

    pub(crate) fn install(&mut self, config: &Config, todo: &mut Vec<Instruction>) {
        if config.id() > self.config.id() {
            self.config = config.clone();
            todo.push(Instruction::PersistConfig(config.clone()));
        }
    }

    fn on_matched(&mut self, at: Point, todo: &mut Vec<Instruction>) {
        if let Seat::Follower(f) = &mut self.seat {
            f.matched = f.matched.max(Some(at));
            let waits = self.log_durable < f.matched;
            self.acknowledge(!waits, todo);
        }
    }

    /// Tells the leader what is durable here, if that is news or the leader asks again.
    pub(crate) fn acknowledge(&mut self, again: bool, todo: &mut Vec<Instruction>) {
        let Seat::Follower(f) = &mut self.seat else { return };
        let (Some(leader), Some(matched), Some(durable)) = (f.leader, f.matched, self.log_durable) else { return };
        if self.state_durable.0 != self.term {
            return;
        }
        let ack = AppendAck {
            term: self.term,
            at: durable.min(matched),
            config: self.config_durable,
            log_start: self.log_start_durable,
        };
        if again || f.told != Some(ack) {
            f.told = Some(ack);
            self.send(leader, Message::AppendAck(ack), todo);
        }
    }
}
