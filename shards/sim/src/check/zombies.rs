//! zombies-fenced: once a member was told what is its own in a generation, no commit in an older one's name is taken.

use std::collections::BTreeMap;

use super::grouped::Grouped;
use super::{Checker, Highest, Seen, Verdict};

#[derive(Default)]
pub struct Zombies {
    newest: BTreeMap<String, Highest>,
}

impl Checker for Zombies {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Grouped(Grouped::Synced { group, generation, .. }) => {
                self.newest.entry(group.to_string()).or_default().raise(at, i64::from(*generation));
            }
            Seen::Grouped(Grouped::CommittedAs { group, generation, asked }) => {
                let newest = self.newest.get(*group).and_then(|newest| newest.before(*asked));
                if let Some(newest) = newest.filter(|newest| *newest > i64::from(*generation)) {
                    return Err(format!("{group}: a commit of generation {generation} is taken, {newest} was there"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
