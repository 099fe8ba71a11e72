//! What is true of a group between any two events. Asserted after every transition, in release builds too.

use crate::Group;
use crate::roles::Seat;

impl Group {
    /// Aborts if an invariant does not hold: a bug of ours, never a peer's or the disk's doing.
    pub fn check(&self) {
        let (last, start) = self.history.last();
        assert!(last <= self.term && start <= self.end, "the history lies within term and log");
        assert!(self.log_start <= self.commit && self.commit <= self.end, "log start <= commit <= end");
        assert!(self.log_start_safe <= self.log_start, "no log start is safe before it is set");
        assert!(self.log_durable <= Some(self.end()), "nothing is durable that is not in the log");
        assert!(self.state_durable.0 <= self.term, "no term is durable that was not entered");
        assert!(self.config.term <= self.term, "a configuration is no newer than its term");
        match &self.seat {
            Seat::Follower(f) => {
                assert!(f.matched.is_none_or(|at| self.history.contains(at, self.end) || at.offset < self.log_start));
                assert!(f.vote_owed.is_none() || f.vote_owed == self.vote, "only the vote given is owed");
            }
            Seat::PreCandidate(_) => assert!(self.may_vote),
            Seat::Candidate(c) => {
                assert!(self.may_vote && self.vote == Some(self.me), "a candidate votes for itself");
                assert!(!c.granted.contains(&self.me) || self.state_durable == (self.term, self.vote));
            }
            Seat::Leader(l) => {
                assert!(self.state_durable == (self.term, Some(self.me)), "a leader's own vote is durable");
                assert!((last, start) == (self.term, l.start), "a leader's last line is its own");
                assert!(self.config.term == self.term && self.config.is_voter(self.me));
                assert!(!l.serving || self.commit >= l.start, "a leader serves after its own term committed");
                assert!(!l.peers.contains_key(&self.me));
            }
        }
    }
}
