//! group-offsets-forward: a committed offset that was acknowledged, or fetched once, never goes back.

use super::{Checker, Highest, Seen, Verdict};

#[derive(Default)]
pub struct Groups {
    /// The highest offset that was ever sent.
    asked: Option<i64>,
    known: Highest,
}

impl Checker for Groups {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::CommitAsked { offset } => self.asked = self.asked.max(Some(*offset)),
            Seen::Committed { offset } => self.known.raise(at, *offset),
            Seen::CommittedFound { asked, offset } => {
                if let Some(known) = self.known.before(*asked).filter(|known| known > offset) {
                    return Err(format!("offset {known} was committed, {offset} is fetched"));
                }
                if let Some(asked) = self.asked.filter(|asked| offset > asked) {
                    return Err(format!("offset {offset} is fetched, at most {asked} was committed"));
                }
                self.known.raise(at, *offset);
            }
            _ => {}
        }
        Ok(())
    }
}
