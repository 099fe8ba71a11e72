//! reads-stable: what was once read at an offset is read there for ever, by everybody, with the same epoch.

use std::collections::BTreeMap;

use super::{ByPart, Checker, Seen, Verdict};

#[derive(Default)]
pub struct ReadsStable {
    read: ByPart<BTreeMap<i64, (u64, i32)>>,
}

impl Checker for ReadsStable {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        let Seen::Read { part, batches, .. } = seen else { return Ok(()) };
        let read = self.read.entry(*part).or_default();
        for batch in *batches {
            for (offset, number) in &batch.records {
                let now = (*number, batch.epoch);
                let before = *read.entry(*offset).or_insert(now);
                if before != now {
                    return Err(format!("{part:?} offset {offset}: (record, epoch) was {before:?}, is {now:?}"));
                }
            }
        }
        Ok(())
    }
}
