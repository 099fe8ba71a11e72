//! none-twice: no record of an idempotent producer stands at two offsets, however often its batch was sent.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Part, Seen, Verdict};

#[derive(Default)]
pub struct Twice {
    idempotent: BTreeSet<u64>,
    read: BTreeMap<u64, (Part, i64)>,
}

impl Checker for Twice {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Sent { numbers, writer: Some(_), .. } => self.idempotent.extend(*numbers),
            Seen::Read { part, batches, .. } => {
                for (offset, number) in batches.iter().flat_map(|batch| &batch.records) {
                    let place = (*part, *offset);
                    let before = *self.read.entry(*number).or_insert(place);
                    if before != place && self.idempotent.contains(number) {
                        return Err(format!("record {number} stands at {before:?} and at {place:?}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
