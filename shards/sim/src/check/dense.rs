//! dense: a read begins with the batch that holds its position, and offsets follow each other without gap or overlap. Of a
//! compacted topic batches and records may be missing, but nothing is out of order.

use std::collections::BTreeSet;

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Dense {
    compacted: BTreeSet<usize>,
}

impl Checker for Dense {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        if let Seen::TopicCompacted { topic, .. } = seen {
            self.compacted.insert(*topic);
        }
        let Seen::Read { part, from, batches, .. } = seen else { return Ok(()) };
        let has_gaps = self.compacted.contains(&part.topic);
        let mut expected = None;
        for batch in *batches {
            let fits = match expected {
                None => (has_gaps || batch.base <= *from) && *from < batch.next,
                Some(next) => batch.base == next || (has_gaps && batch.base > next),
            };
            if !fits {
                let (base, next) = (batch.base, batch.next);
                return Err(format!("{part:?}: read from {from}, a batch {base}..{next} where {expected:?} is next"));
            }
            let offsets = batch.records.iter().map(|(offset, _)| *offset);
            let is_sound = if has_gaps {
                offsets.clone().is_sorted_by(|one, next| one < next)
                    && offsets.clone().all(|offset| (batch.base..batch.next).contains(&offset))
            } else {
                offsets.eq(batch.base..batch.next)
            };
            if !is_sound {
                return Err(format!("{part:?}: the records of the batch at {} have other offsets", batch.base));
            }
            expected = Some(batch.next);
        }
        Ok(())
    }
}
