//! last-batches-kept: in a compacted topic the last batch of each idempotent producer is there, if need be without records:
//! whoever reads the log learns from it how far the producer came (RULES B, and Kafka's `LogCleaner`).

use std::collections::{BTreeMap, BTreeSet};

use super::{ByPart, Checker, Part, Seen, Verdict};

/// A producer in a partition.
type Writer = (Part, u64);

#[derive(Default)]
pub struct LastBatches {
    compacted: BTreeSet<usize>,
    /// Who sent a record.
    writers: BTreeMap<u64, u64>,
    /// Sent, and never acknowledged: the last batch may be one of these.
    doubtful: BTreeMap<Writer, BTreeSet<u64>>,
    /// The highest batch that was acknowledged: where it begins, and what follows it.
    last: BTreeMap<Writer, (i64, i64)>,
    /// What the scan under way has read: of each batch where it begins, what follows it, and whose it is.
    scanned: ByPart<BTreeSet<(i64, i64, u64)>>,
}

impl Checker for LastBatches {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicCompacted { topic, .. } => _ = self.compacted.insert(*topic),
            Seen::Sent { part, numbers, writer: Some(writer), .. } if self.compacted.contains(&part.topic) => {
                let doubtful = self.doubtful.entry((*part, *writer)).or_default();
                for number in *numbers {
                    self.writers.insert(*number, *writer);
                    doubtful.insert(*number);
                }
            }
            Seen::Acked { part, base, numbers } => {
                let Some(writer) = numbers.first().and_then(|number| self.writers.get(number)) else { return Ok(()) };
                let doubtful = self.doubtful.entry((*part, *writer)).or_default();
                numbers.iter().for_each(|number| _ = doubtful.remove(number));
                let batch = (*base, base + numbers.len() as i64);
                let last = self.last.entry((*part, *writer)).or_insert(batch);
                *last = batch.max(*last);
            }
            Seen::ScanBegins { part } => _ = self.scanned.insert(*part, BTreeSet::new()),
            Seen::Read { part, batches, .. } => {
                let Some(scanned) = self.scanned.get_mut(part) else { return Ok(()) };
                let stamped = batches.iter().filter_map(|batch| Some((batch.base, batch.next, batch.stamp?.0 as u64)));
                scanned.extend(stamped);
            }
            Seen::Scanned { part, start } => {
                let scanned = self.scanned.remove(part).unwrap_or_default();
                for ((_, writer), (base, next)) in self.last.range((*part, 0)..=(*part, u64::MAX)) {
                    let is_last = self.doubtful.get(&(*part, *writer)).is_none_or(BTreeSet::is_empty);
                    if is_last && base >= start && !scanned.contains(&(*base, *next, *writer)) {
                        return Err(format!("{part:?}: the last batch of producer {writer}, {base}..{next}, is gone"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
