//! log-start-as-asked: records go only where DeleteRecords asked for it; a clock that jumps ten days deletes nothing
//! (trap 40).

use super::{ByPart, Checker, Seen, Verdict};

#[derive(Default)]
pub struct LogStart {
    cut: ByPart<i64>,
}

impl Checker for LogStart {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::CutAsked { part, before } => {
                let cut = self.cut.entry(*part).or_default();
                *cut = (*cut).max(*before);
            }
            Seen::Watermarks { part, start, .. } => {
                let cut = self.cut.get(part).copied().unwrap_or(0);
                if *start > cut {
                    return Err(format!("{part:?}: the log starts at {start}, deleted was only below {cut}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
