//! acknowledged-present: what was acknowledged stands at the offset that was said, until records are deleted on request. Of
//! a compacted topic nothing else stands there; what must be there at all `latest.rs` judges.

use std::collections::{BTreeMap, BTreeSet};

use super::{ByPart, Checker, Seen, Verdict};

#[derive(Default)]
pub struct Acknowledged {
    acked: ByPart<BTreeMap<i64, u64>>,
    /// What the scan under way has read.
    scanned: ByPart<BTreeMap<i64, u64>>,
    compacted: BTreeSet<usize>,
}

impl Checker for Acknowledged {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicCompacted { topic, .. } => _ = self.compacted.insert(*topic),
            Seen::Acked { part, base, numbers } => {
                let acked = self.acked.entry(*part).or_default();
                for (offset, number) in (*base..).zip(*numbers) {
                    if let Some(other) = acked.insert(offset, *number).filter(|other| other != number) {
                        return Err(format!("{part:?} offset {offset} was given to records {other} and {number}"));
                    }
                }
            }
            Seen::Read { part, batches, .. } => {
                let acked = self.acked.entry(*part).or_default();
                for (offset, number) in batches.iter().flat_map(|batch| &batch.records) {
                    if let Some(other) = acked.get(offset).filter(|other| *other != number) {
                        return Err(format!("{part:?} offset {offset}: {other} was acknowledged, {number} is read"));
                    }
                    if let Some(scanned) = self.scanned.get_mut(part) {
                        scanned.insert(*offset, *number);
                    }
                }
            }
            Seen::ScanBegins { part } => {
                self.scanned.insert(*part, BTreeMap::new());
            }
            Seen::Scanned { part, start, .. } if !self.compacted.contains(&part.topic) => {
                let scanned = self.scanned.remove(part).unwrap_or_default();
                let acked = self.acked.entry(*part).or_default();
                let lost: Vec<_> = acked.range(start..).filter(|(offset, _)| !scanned.contains_key(offset)).collect();
                if let Some((offset, number)) = lost.first() {
                    let many = lost.len();
                    return Err(format!("{part:?}: {many} acknowledged records lost, from {number} at {offset}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
