//! dead-stay-dead: once a record of a compacted topic is gone, neither it nor an older one of its key is read again: what
//! replaced it, or what a tombstone hid, does not return, whatever crashes in between.

use std::collections::BTreeMap;

use super::{ByPart, Checker, Highest, Seen, Verdict};
use crate::record::Keys;

#[derive(Default)]
pub struct Dead {
    compacted: BTreeMap<usize, Keys>,
    /// Number of each record that is known to have been there, and since which step.
    known: ByPart<BTreeMap<i64, (u64, u64)>>,
    /// Of each key the highest offset that was seen empty.
    dead: ByPart<BTreeMap<u64, Highest>>,
}

impl Checker for Dead {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicCompacted { topic, keys, .. } => _ = self.compacted.insert(*topic, *keys),
            Seen::Acked { part, base, numbers } if self.compacted.contains_key(&part.topic) => {
                let known = self.known.entry(*part).or_default();
                for (offset, number) in (*base..).zip(*numbers) {
                    known.entry(offset).or_insert((*number, at));
                }
            }
            Seen::Read { part, asked, from, batches, .. } => {
                let Some(keys) = self.compacted.get(&part.topic).copied() else { return Ok(()) };
                let Some(last) = batches.last() else { return Ok(()) };
                let known = self.known.entry(*part).or_default();
                let dead = self.dead.entry(*part).or_default();
                let there: BTreeMap<i64, u64> =
                    batches.iter().flat_map(|batch| batch.records.iter().copied()).collect();
                for (offset, number) in &there {
                    let key = keys.key_of(*number);
                    let gone = dead.get(&key).and_then(|gone| gone.before(*asked));
                    if let Some(gone) = gone.filter(|gone| gone >= offset) {
                        return Err(format!(
                            "{part:?}: record {number} of key {key} is read at {offset}; what stood at {gone} was gone before"
                        ));
                    }
                }
                for (offset, (number, since)) in known.range(*from..last.next) {
                    if since < asked && !there.contains_key(offset) {
                        dead.entry(keys.key_of(*number)).or_default().raise(at, *offset);
                    }
                }
                for (offset, number) in there {
                    known.entry(offset).or_insert((number, at));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
