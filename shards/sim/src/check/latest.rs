//! latest-kept: in a compacted topic the newest acknowledged record of each key is there, or one that was written behind
//! it. If that is a tombstone it may have gone, but then nothing of its key is there.

use std::collections::{BTreeMap, BTreeSet};

use super::{ByPart, Checker, Seen, Verdict};
use crate::record::{Keys, is_tombstone};

#[derive(Default)]
pub struct Latest {
    compacted: BTreeMap<usize, Keys>,
    /// Number of each acknowledged record.
    acked: ByPart<BTreeMap<i64, u64>>,
    /// Sent and not acknowledged: it may be there.
    doubtful: ByPart<BTreeSet<u64>>,
    /// Number of each record that the scan under way has read.
    scanned: ByPart<BTreeMap<i64, u64>>,
}

/// The highest offset of each key, and the number of the record there.
fn newest(records: &BTreeMap<i64, u64>, keys: Keys) -> BTreeMap<u64, (i64, u64)> {
    records.iter().map(|(offset, number)| (keys.key_of(*number), (*offset, *number))).collect()
}

impl Checker for Latest {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicCompacted { topic, keys, .. } => _ = self.compacted.insert(*topic, *keys),
            Seen::Sent { part, numbers, .. } => self.doubtful.entry(*part).or_default().extend(*numbers),
            Seen::Acked { part, base, numbers } => {
                self.acked.entry(*part).or_default().extend((*base..).zip(numbers.iter().copied()));
                let doubtful = self.doubtful.entry(*part).or_default();
                numbers.iter().for_each(|number| _ = doubtful.remove(number));
            }
            Seen::ScanBegins { part } => _ = self.scanned.insert(*part, BTreeMap::new()),
            Seen::Read { part, batches, .. } => {
                if let Some(scanned) = self.scanned.get_mut(part) {
                    scanned.extend(batches.iter().flat_map(|batch| batch.records.iter().copied()));
                }
            }
            Seen::Scanned { part, start } => {
                let scanned = self.scanned.remove(part).unwrap_or_default();
                let Some(keys) = self.compacted.get(&part.topic).copied() else { return Ok(()) };
                let doubtful = self.doubtful.entry(*part).or_default();
                let deleted: BTreeSet<u64> = doubtful
                    .iter()
                    .filter(|number| is_tombstone(**number))
                    .map(|number| keys.key_of(*number))
                    .collect();
                let found = newest(&scanned, keys);
                for (key, (offset, number)) in newest(self.acked.entry(*part).or_default(), keys) {
                    let there = found.get(&key).map(|(offset, _)| *offset);
                    let may_be_gone = offset < *start || is_tombstone(number) || deleted.contains(&key);
                    let is_kept = there.map_or(may_be_gone, |there| there >= offset);
                    if !is_kept {
                        let what = if is_tombstone(number) { "tombstone" } else { "value" };
                        return Err(format!(
                            "{part:?}: the newest {what} of key {key}, record {number} at {offset}, is gone; newest is {there:?}"
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
