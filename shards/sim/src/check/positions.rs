//! positions-stay-valid: a position that was handed out is out of range only once its records were deleted (trap 19).

use super::{ByPart, Checker, Highest, Seen, Verdict};

#[derive(Default)]
pub struct Positions {
    high: ByPart<Highest>,
    cut: ByPart<i64>,
}

impl Checker for Positions {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Watermarks { part, high, .. } => self.high.entry(*part).or_default().raise(at, *high),
            Seen::CutAsked { part, before } => {
                let cut = self.cut.entry(*part).or_default();
                *cut = (*cut).max(*before);
            }
            Seen::OutOfRange { part, asked, position } => {
                let high = self.high.entry(*part).or_default().before(*asked).unwrap_or(0);
                let cut = self.cut.get(part).copied().unwrap_or(0);
                if *position >= cut && *position <= high {
                    return Err(format!("{part:?}: position {position} is out of range, {cut}..={high} was there"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
