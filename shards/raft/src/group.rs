//! One group: events in, instructions out. The halves of its work stand in `election`, `follow`, `lead`, `membership`.

use crate::roles::{Candidate, Follower, Leader, Seat};
use crate::{Config, ConfigId, Durable, Fault, History, Instruction, Message, Role};
use heddle_model::{Offset, Point, Term, Voter};

/// What the disk remembers of a group.
#[derive(Clone, Debug)]
pub struct Restored {
    pub me: Voter,
    pub term: Term,
    pub vote: Option<Voter>,
    pub history: Vec<(Term, Offset)>,
    pub config: Config,
    /// Commit as last recorded; it may lag.
    pub commit: Offset,
    pub end: Offset,
    pub log_start: Offset,
    /// False if the disk may have forgotten votes or acknowledgements (RULES C): it follows, but neither votes nor leads.
    pub may_vote: bool,
}

/// What the disk remembers contradicts itself: the replica is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsound {
    History,
    Config,
    Term,
    Commit,
}

#[derive(Debug)]
pub struct Group {
    pub(crate) me: Voter,
    pub(crate) may_vote: bool,
    pub(crate) term: Term,
    pub(crate) vote: Option<Voter>,
    /// The newest (term, vote) known durable.
    pub(crate) state_durable: (Term, Option<Voter>),
    pub(crate) history: History,
    pub(crate) end: Offset,
    /// The own log is durable up to here; `None` while a reset is under way.
    pub(crate) log_durable: Option<Point>,
    pub(crate) config: Config,
    pub(crate) config_durable: ConfigId,
    pub(crate) commit: Offset,
    pub(crate) log_start: Offset,
    pub(crate) log_start_durable: Offset,
    /// Known committed elsewhere, taken over as soon as the own commit reaches it.
    pub(crate) log_start_wanted: Offset,
    /// A majority holds this log start durably.
    pub(crate) log_start_safe: Offset,
    pub(crate) seat: Seat,
}

impl Group {
    /// A group as it stands after a start: a follower that has heard nobody.
    pub fn restore(r: Restored) -> Result<Group, Unsound> {
        let history = History::from_lines(r.history).ok_or(Unsound::History)?;
        let last = history.last();
        if last.1 > r.end {
            return Err(Unsound::History);
        }
        if r.term < last.0 || r.config.term > r.term {
            return Err(Unsound::Term);
        }
        r.config.sound().map_err(|_| Unsound::Config)?;
        let commit = r.commit.max(r.log_start);
        if r.log_start.0 < 0 || commit > r.end {
            return Err(Unsound::Commit);
        }
        let group = Group {
            me: r.me,
            may_vote: r.may_vote,
            term: r.term,
            vote: r.vote,
            state_durable: (r.term, r.vote),
            log_durable: Some(Point { term: last.0, offset: r.end }),
            history,
            end: r.end,
            config_durable: r.config.id(),
            config: r.config,
            commit,
            log_start: r.log_start,
            log_start_durable: r.log_start,
            log_start_wanted: r.log_start,
            log_start_safe: Offset::ZERO,
            seat: Seat::Follower(Follower::default()),
        };
        group.check();
        Ok(group)
    }

    pub fn me(&self) -> Voter {
        self.me
    }

    pub fn term(&self) -> Term {
        self.term
    }

    /// Whom this replica voted for in the current term.
    pub fn vote(&self) -> Option<Voter> {
        self.vote
    }

    pub fn role(&self) -> Role {
        match &self.seat {
            Seat::Follower(f) => Role::Follower { leader: f.leader },
            Seat::PreCandidate(_) => Role::PreCandidate,
            Seat::Candidate(_) => Role::Candidate,
            Seat::Leader(l) => Role::Leader { serving: l.serving },
        }
    }

    pub fn leader(&self) -> Option<Voter> {
        match &self.seat {
            Seat::Follower(f) => f.leader,
            Seat::Leader(_) => Some(self.me),
            Seat::PreCandidate(_) | Seat::Candidate(_) => None,
        }
    }

    pub fn is_serving(&self) -> bool {
        matches!(&self.seat, Seat::Leader(l) if l.serving)
    }

    /// The high watermark, exclusive.
    pub fn commit(&self) -> Offset {
        self.commit
    }

    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The own log's end, durable or not.
    pub fn end(&self) -> Point {
        Point { term: self.history.last().0, offset: self.end }
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A member speaks. The batches that came with an append must be verified already: whole, checksums right, and
    /// each one's epoch that of its part (`Append::parts`). If they are not, drop the message instead.
    pub fn on_message(&mut self, from: Voter, message: Message, todo: &mut Vec<Instruction>) {
        if !message.is_sound() || from == self.me {
            todo.push(Instruction::Report { peer: from, fault: Fault::Malformed });
            return;
        }
        match message {
            Message::PreVote(m) => self.on_pre_vote(from, m, todo),
            Message::PreVoteReply(m) => self.on_pre_vote_reply(from, m, todo),
            Message::Vote(m) => self.on_vote(from, m, todo),
            Message::VoteReply(m) => self.on_vote_reply(from, m, todo),
            Message::Append(m) => self.on_append(from, m, todo),
            Message::AppendAck(m) => self.on_append_ack(from, m, todo),
            Message::AppendReject(m) => self.on_append_reject(from, m, todo),
            Message::Reset(m) => self.on_reset(from, m, todo),
            Message::StandNow { term } => self.on_stand_now(from, term, todo),
        }
        self.check();
    }

    /// Something this group had persisted is durable.
    pub fn on_durable(&mut self, what: Durable, todo: &mut Vec<Instruction>) {
        self.on_all_durable([what], todo);
    }

    /// Several things became durable by one write, in the order they were persisted: they are acknowledged together. Of
    /// the log, the furthest point is enough.
    pub fn on_all_durable(&mut self, what: impl IntoIterator<Item = Durable>, todo: &mut Vec<Instruction>) {
        for what in what {
            self.note_durable(what, todo);
        }
        match self.seat {
            Seat::Follower(_) => self.acknowledge(false, todo),
            Seat::Leader(_) => self.advance(todo),
            Seat::PreCandidate(_) | Seat::Candidate(_) => {}
        }
        self.check();
    }

    fn note_durable(&mut self, what: Durable, todo: &mut Vec<Instruction>) {
        match what {
            Durable::State { term, vote } => self.on_state_durable(term, vote, todo),
            // Stale if the point was cut meanwhile.
            Durable::Log(at) if self.history.contains(at, self.end) => {
                self.log_durable = self.log_durable.max(Some(at));
            }
            Durable::Log(_) => {}
            Durable::Config { term, version } => {
                self.config_durable = self.config_durable.max(ConfigId { term, version });
            }
            Durable::LogStart(offset) => self.log_start_durable = self.log_start_durable.max(offset),
        }
    }

    fn on_state_durable(&mut self, term: Term, vote: Option<Voter>, todo: &mut Vec<Instruction>) {
        self.state_durable = (term, vote);
        if self.state_durable != (self.term, self.vote) {
            return;
        }
        match &mut self.seat {
            Seat::Candidate(_) => self.solicit(todo),
            Seat::Follower(f) => {
                if let Some(candidate) = f.vote_owed.take() {
                    self.tell_vote(candidate, todo);
                }
            }
            Seat::PreCandidate(_) | Seat::Leader(_) => {}
        }
    }

    /// Steps into a higher term without a vote.
    pub(crate) fn enter_term(&mut self, term: Term, todo: &mut Vec<Instruction>) {
        assert!(term > self.term, "terms only rise");
        (self.term, self.vote) = (term, None);
        todo.push(Instruction::PersistState { term, vote: None });
        self.become_follower(None, todo);
    }

    pub(crate) fn become_follower(&mut self, leader: Option<Voter>, todo: &mut Vec<Instruction>) {
        let before = self.role();
        self.seat = Seat::Follower(Follower { leader, heard: leader.is_some(), ..Follower::default() });
        if self.role() != before {
            todo.push(Instruction::Became(self.role()));
        }
    }

    /// The commit rises to `commit`, if it is above; a log start that waited for it is taken over.
    pub(crate) fn raise_commit(&mut self, commit: Offset, todo: &mut Vec<Instruction>) {
        assert!(commit <= self.end, "nothing beyond the end of the log is committed");
        if commit > self.commit {
            self.commit = commit;
            todo.push(Instruction::Commit(commit));
        }
        if self.log_start_wanted > self.log_start && self.log_start_wanted <= self.commit {
            self.log_start = self.log_start_wanted;
            self.history.trim(self.log_start);
            todo.push(Instruction::PersistLogStart(self.log_start));
        }
    }

    /// The one door for messages: here it is asserted that what they promise is durable.
    pub(crate) fn send(&self, to: Voter, message: Message, todo: &mut Vec<Instruction>) {
        match &message {
            Message::Vote(m) => assert!(
                self.state_durable == (m.term, Some(self.me)),
                "a candidate asks for votes after its own is durable"
            ),
            Message::VoteReply(m) if m.granted => {
                assert!(self.state_durable == (m.term, Some(to)), "a vote leaves after it is durable");
            }
            Message::AppendAck(m) => assert!(
                self.state_durable.0 == m.term
                    && Some(m.at) <= self.log_durable
                    && m.config <= self.config_durable
                    && m.log_start <= self.log_start_durable,
                "an acknowledgement leaves after what it names is durable"
            ),
            _ => {}
        }
        todo.push(Instruction::Send { to, message });
    }

    pub(crate) fn candidate(&mut self) -> Option<&mut Candidate> {
        match &mut self.seat {
            Seat::Candidate(c) => Some(c),
            _ => None,
        }
    }

    pub(crate) fn lead(&mut self) -> Option<&mut Leader> {
        match &mut self.seat {
            Seat::Leader(l) => Some(l),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_model::{Incarnation, NodeId};

    fn voter(node: i32) -> Voter {
        Voter { node: NodeId(node), incarnation: Incarnation(0) }
    }

    fn fresh(voters: &[i32]) -> Restored {
        Restored {
            me: voter(1),
            term: Term(0),
            vote: None,
            history: vec![(Term(0), Offset(0))],
            config: Config { voters: voters.iter().map(|v| voter(*v)).collect(), ..Config::default() },
            commit: Offset(0),
            end: Offset(0),
            log_start: Offset(0),
            may_vote: true,
        }
    }

    fn point(term: i32, offset: i64) -> Point {
        Point { term: Term(term), offset: Offset(offset) }
    }

    #[test]
    fn a_group_of_one_leads_commits_and_serves_only_when_durable() {
        let mut group = Group::restore(fresh(&[1])).unwrap();
        let mut todo = vec![];
        group.campaign(&mut todo);
        let state = Instruction::PersistState { term: Term(1), vote: Some(voter(1)) };
        assert_eq!(todo, [state, Instruction::Became(Role::Candidate)]);

        todo.clear();
        group.on_durable(Durable::State { term: Term(1), vote: Some(voter(1)) }, &mut todo);
        let config = Config { term: Term(1), voters: vec![voter(1)], ..Config::default() };
        let line = Instruction::PersistLine { term: Term(1), start: Offset(0) };
        let leads = Instruction::Became(Role::Leader { serving: false });
        assert_eq!(todo, [leads, Instruction::PersistConfig(config), line]);

        todo.clear();
        group.appended(Offset(5), &mut todo);
        assert_eq!(todo, []);
        group.on_durable(Durable::Log(point(1, 0)), &mut todo);
        assert_eq!(todo, [Instruction::Became(Role::Leader { serving: true })]);

        todo.clear();
        group.on_durable(Durable::Log(point(1, 5)), &mut todo);
        assert_eq!(todo, [Instruction::Commit(Offset(5))]);
        assert_eq!(group.durable_on(1), Some(Offset(5)));
        assert_eq!(group.durable_on(2), None);
    }

    #[test]
    fn what_the_disk_contradicts_is_an_error() {
        assert_eq!(Group::restore(Restored { history: vec![], ..fresh(&[1]) }).err(), Some(Unsound::History));
        assert_eq!(Group::restore(Restored { end: Offset(-1), ..fresh(&[1]) }).err(), Some(Unsound::History));
        assert_eq!(Group::restore(Restored { term: Term(-1), ..fresh(&[1]) }).err(), Some(Unsound::Term));
        assert_eq!(Group::restore(Restored { commit: Offset(1), ..fresh(&[1]) }).err(), Some(Unsound::Commit));
        assert_eq!(Group::restore(fresh(&[1, 1])).err(), Some(Unsound::Config));
    }
}
