//! group-offsets-forward: a committed offset that was acknowledged, or fetched once, never goes back.

use super::{Checker, Highest, Seen, Verdict};

#[derive(Default)]
pub struct Groups {
    asked: i64,
    known: Highest,
}

impl Checker for Groups {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::CommitAsked { offset } => self.asked = self.asked.max(*offset),
            Seen::Committed { offset } => self.known.raise(at, *offset),
            Seen::CommittedSeen { asked, offset } => {
                if let Some(known) = self.known.before(*asked).filter(|known| known > offset) {
                    return Err(format!("offset {known} was committed, {offset} is fetched"));
                }
                if *offset > self.asked {
                    return Err(format!("offset {offset} is fetched, at most {} was committed", self.asked));
                }
                self.known.raise(at, *offset);
            }
            _ => {}
        }
        Ok(())
    }
}
