//! producer-ids-once: no producer id is given twice (trap 31).

use std::collections::BTreeSet;

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct ProducerIds {
    given: BTreeSet<(i64, i16)>,
}

impl Checker for ProducerIds {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Grouped(Grouped::ProducerIdGiven { id, epoch }) if !self.given.insert((*id, *epoch)) => {
                Err(format!("producer id {id} with epoch {epoch} is given twice"))
            }
            _ => Ok(()),
        }
    }
}
