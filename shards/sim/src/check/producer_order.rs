//! producer-order: the records of one idempotent producer stand in a partition in the order in which it wrote them.

use std::collections::BTreeMap;

use super::{ByPart, Checker, Seen, Verdict};

#[derive(Default)]
pub struct ProducerOrder {
    /// Numbers rise as a producer writes.
    writers: BTreeMap<u64, u64>,
    newest: ByPart<BTreeMap<u64, u64>>,
}

impl Checker for ProducerOrder {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Sent { numbers, writer: Some(writer), .. } => {
                self.writers.extend(numbers.iter().map(|number| (*number, *writer)));
            }
            Seen::ScanBegins { part } => {
                self.newest.insert(*part, BTreeMap::new());
            }
            Seen::Scanned { part, .. } => {
                self.newest.remove(part);
            }
            Seen::Read { part, batches, .. } => {
                let Some(newest) = self.newest.get_mut(part) else { return Ok(()) };
                for (offset, number) in batches.iter().flat_map(|batch| &batch.records) {
                    let Some(writer) = self.writers.get(number) else { continue };
                    if let Some(before) = newest.insert(*writer, *number).filter(|before| before > number) {
                        return Err(format!("{part:?} offset {offset}: record {number} stands behind {before}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
