//! one-per-key: once compaction had time enough, no record stands in a compacted topic that a later one of its key replaced,
//! as far as the log was to be cleaned. A round that overlooked keys says of its segments that they are clean, and nobody
//! comes back for what it left.

use std::collections::BTreeMap;

use super::{ByPart, Checker, Seen, Verdict};
use crate::record::Keys;

#[derive(Default)]
pub struct OnePerKey {
    compacted: BTreeMap<usize, Keys>,
    /// Everything below is to be clean.
    cleaned: ByPart<i64>,
    /// Of each key the highest offset that the scan under way has read below that.
    scanned: ByPart<BTreeMap<u64, i64>>,
}

impl Checker for OnePerKey {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicCompacted { topic, keys, .. } => _ = self.compacted.insert(*topic, *keys),
            Seen::CleanedBelow { part, offset } => _ = self.cleaned.insert(*part, *offset),
            Seen::ScanBegins { part } => _ = self.scanned.insert(*part, BTreeMap::new()),
            Seen::Scanned { part, .. } => _ = self.scanned.remove(part),
            Seen::Read { part, batches, .. } => {
                let (Some(keys), Some(cleaned)) = (self.compacted.get(&part.topic), self.cleaned.get(part)) else {
                    return Ok(());
                };
                let Some(scanned) = self.scanned.get_mut(part) else { return Ok(()) };
                let records = batches.iter().flat_map(|batch| &batch.records);
                for (offset, number) in records.filter(|(offset, _)| offset < cleaned) {
                    let key = keys.key_of(*number);
                    if let Some(older) = scanned.insert(key, *offset) {
                        return Err(format!(
                            "{part:?}: key {key} stands at {older} and at {offset}, and all below {cleaned} was to be clean"
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
