//! targets-whole: where all members of a KIP-848 group read a topic, each of its partitions is meant for one of them.

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Targets;

impl Checker for Targets {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Grouped(Grouped::Targets { group, partitions, of }) => {
                let mut sorted = partitions.to_vec();
                sorted.sort_unstable();
                if sorted.iter().copied().eq(0..*of) {
                    return Ok(());
                }
                Err(format!("{group}: of {of} partitions {sorted:?} are meant for somebody"))
            }
            _ => Ok(()),
        }
    }
}
