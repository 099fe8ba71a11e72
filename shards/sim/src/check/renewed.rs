//! offsets-go-with-topics: what was committed for a topic goes with it. A topic that is created again under the same name
//! begins with nothing, as soon as the coordinator had time to look.

use std::collections::BTreeMap;

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

/// So many looks in a row, in one life.
const LOOKS: usize = 30;

#[derive(Default)]
pub struct Renewed {
    /// By commit: from which step on it happens no more, if it did not; `None`: it still may.
    ends: BTreeMap<u64, Option<u64>>,
    /// The life, and how often in a row something was found in it that was over before the topic began.
    stale: (u32, usize),
}

impl Checker for Renewed {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::LifeEnded => self.ends.values_mut().filter(|end| end.is_none()).for_each(|end| *end = Some(at)),
            Seen::Grouped(Grouped::RenewedAsked { write }) => drop(self.ends.insert(*write, None)),
            Seen::Grouped(Grouped::RenewedSettled { write }) => drop(self.ends.insert(*write, Some(at))),
            Seen::Grouped(Grouped::RenewedFound { write, born, boot }) => {
                let end = write.and_then(|write| self.ends.get(&write).copied().flatten());
                let before = if self.stale.0 == *boot { self.stale.1 } else { 0 };
                let looks = if end.is_some_and(|end| end < *born) { before + 1 } else { 0 };
                self.stale = (*boot, looks);
                if looks > LOOKS {
                    return Err(format!(
                        "the topic was asked for in step {born}, and the offset of commit {write:?}, over in step \
                         {end:?}, is still there"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
