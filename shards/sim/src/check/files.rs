//! files-kept: no more directories of replicas go than deleted topics had partitions (trap 35).

use std::collections::BTreeSet;

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Files {
    allowed: usize,
    /// By name: a removal that a crash takes back comes again, and no two replicas have one name.
    gone: BTreeSet<String>,
}

impl Checker for Files {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicDeleteAsked { partitions, .. } => self.allowed += *partitions as usize,
            Seen::DirsGone { names } => {
                self.gone.extend(names.iter().cloned());
                if self.gone.len() > self.allowed {
                    return Err(format!("{names:?} went; deleted were {} partitions", self.allowed));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
