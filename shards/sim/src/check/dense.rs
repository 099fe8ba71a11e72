//! dense: a read begins with the batch that holds its position, and offsets follow each other without gap or overlap.

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Dense;

impl Checker for Dense {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        let Seen::Read { part, from, batches } = seen else { return Ok(()) };
        let mut expected = None;
        for batch in *batches {
            let fits = match expected {
                None => batch.base <= *from && *from < batch.next,
                Some(next) => batch.base == next,
            };
            if !fits {
                let (base, next) = (batch.base, batch.next);
                return Err(format!("{part:?}: read from {from}, a batch {base}..{next} where {expected:?} is next"));
            }
            let offsets = batch.records.iter().map(|(offset, _)| *offset);
            if !offsets.eq(batch.base..batch.next) {
                return Err(format!("{part:?}: the records of the batch at {} have other offsets", batch.base));
            }
            expected = Some(batch.next);
        }
        Ok(())
    }
}
