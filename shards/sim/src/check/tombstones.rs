//! tombstones-in-time: a tombstone that nothing replaced is there for `delete.retention.ms` at least, so that whoever reads on
//! hears of it; and once compaction had time enough, it is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::{ByPart, Checker, Seen, Verdict};
use crate::record::{Keys, is_tombstone};

/// Where compaction has time enough for more rounds than it takes, tombstones that wait no longer than this must go.
/// Milliseconds.
const SOON_MS: i64 = 2_000;

#[derive(Default)]
pub struct Tombstones {
    compacted: BTreeMap<usize, (Keys, i64)>,
    /// When a record was sent first. Milliseconds since 1970.
    sent_ms: BTreeMap<u64, i64>,
    /// Sent, and not known to be anywhere: it may replace what stands before it.
    doubtful: ByPart<BTreeSet<u64>>,
    /// Of each key the newest offset that is known.
    newest: ByPart<BTreeMap<u64, i64>>,
    /// Tombstones: offset, number, and since which step they are known.
    known: ByPart<BTreeMap<i64, (u64, u64)>>,
    cleaned: ByPart<i64>,
    scanning: BTreeSet<super::Part>,
}

impl Tombstones {
    fn know(&mut self, at: u64, part: super::Part, keys: Keys, offset: i64, number: u64) {
        self.doubtful.entry(part).or_default().remove(&number);
        let newest = self.newest.entry(part).or_default().entry(keys.key_of(number)).or_insert(offset);
        *newest = offset.max(*newest);
        if is_tombstone(number) {
            self.known.entry(part).or_default().entry(offset).or_insert((number, at));
        }
    }

    /// Whether something may stand behind it that has its key.
    fn may_be_replaced(&self, part: super::Part, keys: Keys, offset: i64, number: u64) -> bool {
        let key = keys.key_of(number);
        self.newest[&part].get(&key).is_some_and(|newest| *newest > offset)
            || self.doubtful.get(&part).is_some_and(|all| all.iter().any(|other| keys.key_of(*other) == key))
    }
}

impl Checker for Tombstones {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicCompacted { topic, keys, delete_retention_ms: Some(wait_ms) } => {
                self.compacted.insert(*topic, (*keys, *wait_ms));
            }
            Seen::Sent { part, numbers, at_ms, .. } if self.compacted.contains_key(&part.topic) => {
                for number in *numbers {
                    // What is sent again may be known already; then it stays where it is.
                    if *self.sent_ms.entry(*number).or_insert(*at_ms) == *at_ms {
                        self.doubtful.entry(*part).or_default().insert(*number);
                    }
                }
            }
            Seen::Acked { part, base, numbers } => {
                let Some((keys, _)) = self.compacted.get(&part.topic).copied() else { return Ok(()) };
                (*base..).zip(*numbers).for_each(|(offset, number)| self.know(at, *part, keys, offset, *number));
            }
            Seen::CleanedBelow { part, offset } => _ = self.cleaned.insert(*part, *offset),
            Seen::ScanBegins { part } => _ = self.scanning.insert(*part),
            Seen::Scanned { part, .. } => _ = self.scanning.remove(part),
            Seen::Read { part, asked, at_ms, from, batches } => {
                let Some((keys, wait_ms)) = self.compacted.get(&part.topic).copied() else { return Ok(()) };
                let Some(last) = batches.last() else { return Ok(()) };
                let there: BTreeSet<i64> =
                    batches.iter().flat_map(|batch| batch.records.iter().map(|(offset, _)| *offset)).collect();
                self.known.entry(*part).or_default();
                let missing = self.known[part].range(*from..last.next).filter(|(offset, _)| !there.contains(offset));
                for (offset, (number, since)) in missing {
                    let stood_ms = at_ms - self.sent_ms.get(number).copied().unwrap_or(0);
                    if since < asked && stood_ms < wait_ms && !self.may_be_replaced(*part, keys, *offset, *number) {
                        return Err(format!(
                            "{part:?}: tombstone {number} at {offset} is gone after {stood_ms} ms, {wait_ms} ms it was to stay"
                        ));
                    }
                }
                let cleaned = self.cleaned.get(part).copied();
                let cleaned = cleaned.filter(|_| self.scanning.contains(part) && wait_ms <= SOON_MS);
                for (offset, number) in batches.iter().flat_map(|batch| &batch.records) {
                    if is_tombstone(*number) && cleaned.is_some_and(|cleaned| *offset < cleaned) {
                        return Err(format!(
                            "{part:?}: tombstone {number} is still at {offset}, where {wait_ms} ms it was to stay"
                        ));
                    }
                    self.know(at, *part, keys, *offset, *number);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
