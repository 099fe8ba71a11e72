//! The leader's half: replicate, count, commit (RULES B, Commit and Log start).

use crate::progress::{News, reach};
use crate::quorum::{majority, reached};
use crate::roles::{Leader, Seat};
use crate::{Append, AppendAck, AppendReject, Fault, Group, Instruction, Progress, Reset, Role};
use heddle_model::{Offset, Point, Voter};

impl Group {
    /// As leader: batches were appended to the own log in the own term, which ends at `end` now. Not yet durable.
    pub fn appended(&mut self, end: Offset, todo: &mut Vec<Instruction>) {
        assert!(matches!(self.seat, Seat::Leader(_)), "only a leader appends");
        assert!(end >= self.end, "appending does not shrink a log");
        self.end = end;
        self.replicate_all(todo);
        self.check();
    }

    /// The header of an append to `to`, whose batches are those with offsets in `from.offset..upto`, as the log holds
    /// them now. `None` if the wish is stale; if need be another `Replicate` follows.
    pub fn append_to(&mut self, to: Voter, from: Point, upto: Offset, todo: &mut Vec<Instruction>) -> Option<Append> {
        let (news, end) = (self.news(), self.end);
        let (term, log_start) = (self.term, self.log_start);
        let Seat::Leader(leader) = &mut self.seat else { return None };
        let progress = leader.peers.get_mut(&to)?;
        if !progress.wanted {
            return None;
        }
        progress.wanted = false;
        let above = self.history.above(from.term);
        // Asked for under an earlier leadership, or overtaken by a rejection.
        let is_stale = progress.next != from || !(from.offset..=reach(above, end)).contains(&upto);
        if is_stale || from.offset < log_start || !self.history.contains(from, end) {
            self.replicate(to, todo);
            return None;
        }
        let lines: Vec<_> = above.iter().take(crate::LINES_MAX).copied().take_while(|line| line.1 <= upto).collect();
        let point = Point { term: lines.last().map_or(from.term, |line| line.0), offset: upto };
        let append = Append {
            term,
            from,
            lines,
            to: point,
            commit: news.commit,
            log_start: news.log_start,
            log_start_safe: news.log_start_safe,
            config: (progress.config != self.config.id()).then(|| self.config.clone()),
        };
        progress.on_sent(point, news);
        self.replicate(to, todo);
        self.check();
        Some(append)
    }

    /// The header of a reset of `to`. `None` if it needs none any more.
    pub fn reset_to(&mut self, to: Voter, todo: &mut Vec<Instruction>) -> Option<Reset> {
        let at = self.history.smallest_point(self.log_start);
        let line_start = self.history.lines().iter().find(|line| line.0 == at.term)?.1;
        let reset = Reset { term: self.term, at, line_start, commit: self.commit, config: self.config.clone() };
        let (news, log_start) = (self.news(), self.log_start);
        let Seat::Leader(leader) = &mut self.seat else { return None };
        let progress = leader.peers.get_mut(&to)?;
        if !progress.wanted {
            return None;
        }
        progress.wanted = false;
        if progress.next.offset >= log_start && self.history.contains(progress.next, self.end) {
            self.replicate(to, todo);
            return None;
        }
        progress.probe(at);
        progress.on_sent(at, news);
        self.check();
        Some(reset)
    }

    /// The connection to a peer began anew, or it did not answer for long: what was under way may be lost. Wishes not
    /// yet fetched stay open.
    pub fn on_link_reset(&mut self, peer: Voter, todo: &mut Vec<Instruction>) {
        let Some(leader) = self.lead() else { return };
        let Some(progress) = leader.peers.get_mut(&peer) else { return };
        let next = progress.acked.unwrap_or(progress.next);
        progress.probe(next);
        self.replicate(peer, todo);
        self.check();
    }

    /// Raises the log start (retention, DeleteRecords); not beyond the commit, never back. `LogStartSafe` follows once
    /// a majority holds it durably. False if this is not a serving leader.
    pub fn set_log_start(&mut self, offset: Offset, todo: &mut Vec<Instruction>) -> bool {
        if !self.is_serving() {
            return false;
        }
        self.log_start_wanted = self.log_start_wanted.max(offset.min(self.commit));
        self.raise_commit(self.commit, todo);
        self.replicate_all(todo);
        self.check();
        true
    }

    /// What the leader knows of each other member, in order.
    pub fn progress(&self) -> impl Iterator<Item = (Voter, &Progress)> {
        let peers = match &self.seat {
            Seat::Leader(leader) => Some(leader.peers.iter()),
            _ => None,
        };
        peers.into_iter().flatten().map(|(voter, progress)| (*voter, progress))
    }

    /// The offset that at least `count` voters hold durably in this term, the leader among those that may count. `None`
    /// if fewer do, or this is no leader.
    pub fn durable_on(&self, count: usize) -> Option<Offset> {
        let Seat::Leader(leader) = &self.seat else { return None };
        reached(self.config.voters.iter().map(|v| self.acked_in_term(leader, *v)), count)
    }

    pub(crate) fn on_append_ack(&mut self, from: Voter, m: AppendAck, todo: &mut Vec<Instruction>) {
        if m.term > self.term {
            return self.enter_term(m.term, todo);
        }
        let holds = self.history.contains(m.at, self.end) || m.at.offset < self.log_start;
        let Seat::Leader(leader) = &mut self.seat else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        if m.term < self.term {
            return;
        }
        if !holds {
            return todo.push(Instruction::Report { peer: from, fault: Fault::Malformed });
        }
        progress.on_ack(m.at);
        progress.config = progress.config.max(m.config);
        progress.log_start = progress.log_start.max(m.log_start);
        self.adopt_log_start(m.log_start);
        self.advance(todo);
        self.replicate(from, todo);
        self.hand_over(todo);
    }

    /// Starts over at the largest point both can share: one round per differing term.
    pub(crate) fn on_append_reject(&mut self, from: Voter, m: AppendReject, todo: &mut Vec<Instruction>) {
        if m.term > self.term {
            return self.enter_term(m.term, todo);
        }
        let Seat::Leader(leader) = &mut self.seat else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        if m.term < self.term || !progress.is_rejection_current(m.from) {
            return;
        }
        let shared = match self.history.largest_not_above(m.hint.term, self.end) {
            Some(own) if own.term == m.hint.term => Point { term: own.term, offset: own.offset.min(m.hint.offset) },
            Some(own) => own,
            // Lines that old are trimmed: below the log start.
            None => m.hint,
        };
        match progress.acked {
            // Sent before the acknowledgement, come after it.
            Some(acked) if shared < acked && m.from > acked => progress.probe(acked),
            Some(acked) if shared < acked => {
                progress.probe(shared);
                todo.push(Instruction::Report { peer: from, fault: Fault::LostAcknowledged(m) });
            }
            _ => progress.probe(shared),
        }
        self.replicate(from, todo);
    }

    /// Counts what is durable where: commit, serving, log start.
    pub(crate) fn advance(&mut self, todo: &mut Vec<Instruction>) {
        let Seat::Leader(leader) = &self.seat else { return };
        let voters = &self.config.voters;
        let count = majority(voters.len());
        let log_start = reached(voters.iter().map(|v| self.acked_log_start(leader, *v)), count);
        let before = self.news();
        if let Some(offset) = self.durable_on(count) {
            self.raise_commit(offset.max(self.commit), todo);
            self.serve(todo);
        }
        if let Some(offset) = log_start {
            self.learn_log_start_safe(offset, todo);
        }
        if self.news() != before {
            self.replicate_all(todo);
        }
    }

    fn serve(&mut self, todo: &mut Vec<Instruction>) {
        let Some(leader) = self.lead() else { return };
        if !leader.serving {
            leader.serving = true;
            todo.push(Instruction::Became(Role::Leader { serving: true }));
        }
    }

    pub(crate) fn learn_log_start_safe(&mut self, offset: Offset, todo: &mut Vec<Instruction>) {
        let offset = offset.min(self.log_start_durable);
        if offset > self.log_start_safe {
            self.log_start_safe = offset;
            todo.push(Instruction::LogStartSafe(offset));
        }
    }

    /// A log start that an older leader had moved, told by a vote or an acknowledgement. It is committed, so an honest one
    /// lies within the own log.
    pub(crate) fn adopt_log_start(&mut self, offset: Offset) {
        if offset <= self.end {
            self.log_start_wanted = self.log_start_wanted.max(offset);
        }
    }

    /// How far a voter holds the log durably, if it holds the own term's line: older terms commit only through it.
    pub(crate) fn acked_in_term(&self, leader: &Leader, voter: Voter) -> Option<Offset> {
        let acked = if voter == self.me { self.log_durable } else { leader.peers.get(&voter)?.acked };
        acked.filter(|at| at.term == self.term).map(|at| at.offset)
    }

    fn acked_log_start(&self, leader: &Leader, voter: Voter) -> Option<Offset> {
        if voter == self.me { Some(self.log_start_durable) } else { leader.peers.get(&voter).map(|p| p.log_start) }
    }

    pub(crate) fn replicate_all(&mut self, todo: &mut Vec<Instruction>) {
        let Seat::Leader(leader) = &self.seat else { return };
        for peer in leader.peers.keys().copied().collect::<Vec<_>>() {
            self.replicate(peer, todo);
        }
    }

    /// Asks the replica for an append to `peer`, if one is due.
    pub(crate) fn replicate(&mut self, peer: Voter, todo: &mut Vec<Instruction>) {
        let (end, news, log_start) = (self.end(), self.news(), self.log_start);
        let Seat::Leader(leader) = &mut self.seat else { return };
        let Some(progress) = leader.peers.get_mut(&peer) else { return };
        if !progress.is_due(end, news) {
            return;
        }
        progress.wanted = true;
        let from = progress.next;
        if from.offset < log_start || !self.history.contains(from, self.end) {
            let at = self.history.smallest_point(log_start);
            todo.push(Instruction::Restate { to: peer, at });
        } else {
            let until = reach(self.history.above(from.term), self.end);
            todo.push(Instruction::Replicate { to: peer, from, until });
        }
    }

    fn news(&self) -> News {
        News {
            commit: self.commit,
            config: self.config.id(),
            log_start: self.log_start,
            log_start_safe: self.log_start_safe,
        }
    }
}
