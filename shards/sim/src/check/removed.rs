//! removed-though-full: a full disk keeps nobody from deleting a topic, which is how it gets space again (trap 39).

use super::{Checker, Seen, Verdict};

/// In so many steps a topic is deleted.
const STEPS_TO_DELETE: u64 = 3_000;

#[derive(Default)]
pub struct Removed {
    full: bool,
    /// When a deletion was first asked for since the disk is full, and none was answered since.
    asked: Option<u64>,
    done: bool,
}

impl Checker for Removed {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::DiskFull => *self = Removed { full: true, ..Removed::default() },
            Seen::TopicDeleteAsked { .. } if self.full => self.asked = self.asked.or(Some(at)),
            Seen::TopicDeleted { .. } => self.done = true,
            Seen::LifeEnded => self.full = false,
            Seen::DiskFree if self.full => {
                self.full = false;
                if let Some(asked) = self.asked.filter(|asked| at - asked > STEPS_TO_DELETE && !self.done) {
                    return Err(format!(
                        "a topic that was to be deleted in step {asked}, on a full disk, is still there"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
