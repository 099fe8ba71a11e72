//! What concerns the group's other members: what they are to be sent goes to the house as news, and a tail that
//! disagrees with the leader's is cut.

use heddle_journal::Record;
use heddle_model::{Point, Voter};
use heddle_raft::{Durable, Instruction};

use crate::replica::{News, Promise, Replica, World};

impl Replica {
    /// Instructions that only a group with several members gives.
    pub(crate) fn carry_out_for_peers(&mut self, instruction: Instruction, world: &mut World<'_>) {
        let partition = self.partition;
        match instruction {
            Instruction::Truncate { to } => self.truncate(to, world),
            Instruction::Send { to, message } => world.news.push(News::Peer { partition, to, message }),
            Instruction::Replicate { to, from, until } => {
                world.news.push(News::Replicate { partition, to, from, until })
            }
            Instruction::Restate { to, at } => world.news.push(News::Restate { partition, to, at }),
            Instruction::Report { peer, fault } => self.report_peer(peer, format!("{fault:?}"), world),
            Instruction::Take { .. } | Instruction::Reset { .. } => {
                panic!("only a peer's message makes a group say this, and no peer speaks to a group of one")
            }
            Instruction::PersistState { .. }
            | Instruction::PersistLine { .. }
            | Instruction::PersistConfig(_)
            | Instruction::PersistLogStart(_)
            | Instruction::Commit(_)
            | Instruction::LogStartSafe(_)
            | Instruction::Became(_) => unreachable!("carried out by every replica itself"),
        }
    }

    fn report_peer(&self, peer: Voter, what: String, world: &mut World<'_>) {
        self.report(format!("node {} broke the rules: {what}", peer.node), world);
    }

    /// Cut the tail at the first disagreement with the leader. Segments are never cut: they hold committed bytes only.
    fn truncate(&mut self, to: Point, world: &mut World<'_>) {
        let Point { term, offset: to } = to;
        self.log.truncate(to);
        self.durable_end = self.durable_end.min(to);
        self.uncommitted.retain(|(next, _)| *next <= to);
        // What was promised beyond the cut is not in the tail any more and vouches for nothing.
        self.promised.retain(|(_, p)| !matches!(p, Promise::Group(Durable::Log(point)) if point.offset > to));
        // The journal may keep lines that the group has trimmed, so its own are counted.
        let lines = self.journaled.history.iter().take_while(|line| line.0 <= term).count();
        self.journaled.history.truncate(lines);
        world.journal.append(self.number, Record::Truncate { to, lines });
        self.retell_producers();
    }
}
