//! expressions-matched: a group that subscribes by expression has in its targets every partition of every topic that was
//! there before this life began and whose name matches, once a member was heard in this life.

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Matched {
    /// When the last life ended; when a member was first heard in this one.
    ended: Option<u64>,
    heard: Option<u64>,
}

impl Checker for Matched {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::LifeEnded => (self.ended, self.heard) = (Some(at), None),
            Seen::Grouped(Grouped::Heard) => {
                self.heard.get_or_insert(at);
            }
            Seen::Grouped(Grouped::Matched { asked, targets, matching }) => {
                let (Some(ended), Some(heard)) = (self.ended, self.heard) else { return Ok(()) };
                let due = matching.iter().filter(|matching| matching.since < ended && heard < *asked);
                for topic in due {
                    let is_meant = |index: i32| targets.iter().any(|(name, at)| *name == topic.name && *at == index);
                    if let Some(index) = (0..topic.partitions).find(|index| !is_meant(*index)) {
                        return Err(format!("{}-{index} matches, and is meant for nobody: {targets:?}", topic.name));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
