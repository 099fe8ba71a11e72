//! committed-offsets-kept: an offset that is fetched is one that was committed, and none that was overwritten or deleted
//! before the question left: none goes back but by a commit that says so, none that was acknowledged is lost, what was
//! deleted stays so (trap 32), and what nobody committed is not there, not even as 0 (trap 12).

use std::collections::BTreeMap;

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

struct Write {
    offset: Option<i64>,
    asked: u64,
    /// From then on it happens no more, if it did not; `None`: it still may.
    end: Option<u64>,
    acked: bool,
}

type Place = (String, i32);

#[derive(Default)]
pub struct OffsetsKept {
    writes: BTreeMap<u64, Write>,
    places: BTreeMap<Place, Vec<u64>>,
    /// Losses were accepted: what was committed before is not known.
    blind: bool,
}

impl OffsetsKept {
    /// Whether a write that was acknowledged lies wholly behind `end` and before `asked`.
    fn is_overwritten(&self, writes: &[u64], end: u64, asked: u64) -> bool {
        let later = |write: &Write| write.acked && write.asked > end && write.end.is_some_and(|at| at < asked);
        writes.iter().any(|number| self.writes.get(number).is_some_and(later))
    }

    fn judge(&self, place: &Place, offset: Option<i64>, asked: u64) -> Verdict {
        let none = Vec::new();
        let writes = self.places.get(place).unwrap_or(&none);
        let initial = offset.is_none() && !self.is_overwritten(writes, 0, asked);
        let sources = writes.iter().filter_map(|number| self.writes.get(number)).filter(|w| w.offset == offset);
        let mut written = offset.is_none();
        for source in sources {
            written = true;
            if source.end.is_none_or(|end| !self.is_overwritten(writes, end, asked)) {
                return Ok(());
            }
        }
        match (initial, written) {
            (true, _) => Ok(()),
            (_, false) => Err(format!("{place:?}: {offset:?} is fetched, which nobody committed")),
            _ => {
                let acked = writes.iter().rev().filter_map(|number| self.writes.get(number)).find(|write| write.acked);
                let acked = acked.map(|write| write.offset);
                Err(format!("{place:?}: {offset:?} is fetched, which was overwritten; acknowledged last: {acked:?}"))
            }
        }
    }
}

impl Checker for OffsetsKept {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::LossAccepted => self.blind = true,
            Seen::LifeEnded => {
                // What a dead process did not do it never does.
                self.writes.values_mut().filter(|write| write.end.is_none()).for_each(|write| write.end = Some(at));
            }
            Seen::Grouped(Grouped::OffsetAsked { write, group, partition, offset }) => {
                self.writes.insert(*write, Write { offset: *offset, asked: at, end: None, acked: false });
                self.places.entry((group.to_string(), *partition)).or_default().push(*write);
            }
            Seen::Grouped(Grouped::OffsetSettled { write, applied: true }) => {
                if let Some(write) = self.writes.get_mut(write) {
                    (write.end, write.acked) = (Some(at), true);
                }
            }
            Seen::Grouped(Grouped::OffsetSettled { write, applied: false }) => drop(self.writes.remove(write)),
            Seen::Grouped(Grouped::OffsetFound { group, partition, asked, offset }) if !self.blind => {
                return self.judge(&(group.to_string(), *partition), *offset, *asked);
            }
            _ => {}
        }
        Ok(())
    }
}
