//! durable-before-seen: a consumer is shown nothing that a crash can take back: what was read stays below the high
//! watermark, whatever happens.

use super::{ByPart, Checker, Highest, Seen, Verdict};

#[derive(Default)]
pub struct DurableBeforeSeen {
    read: ByPart<Highest>,
}

impl Checker for DurableBeforeSeen {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Read { part, batches, .. } => {
                if let Some(last) = batches.last() {
                    self.read.entry(*part).or_default().raise(at, last.next);
                }
            }
            Seen::Watermarks { part, asked, high, .. } => {
                let read = self.read.entry(*part).or_default().before(*asked);
                if let Some(read) = read.filter(|read| read > high) {
                    return Err(format!("{part:?}: offsets up to {read} were read, the high watermark is {high}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
