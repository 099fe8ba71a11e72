//! files-kept: no more directories of replicas go than deleted topics had partitions (trap 35).

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Files {
    allowed: i32,
    gone: i32,
}

impl Checker for Files {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicDeleteAsked { partitions, .. } => self.allowed += partitions,
            Seen::DirsGone { names } => {
                self.gone += names.len() as i32;
                if self.gone > self.allowed {
                    return Err(format!("{names:?} went; deleted were {} partitions", self.allowed));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
