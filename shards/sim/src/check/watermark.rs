//! watermark-forward: the high watermark and the log start never go back, across restarts too (trap 19).

use super::{ByPart, Checker, Highest, Seen, Verdict};

#[derive(Default)]
pub struct Watermark {
    marks: ByPart<(Highest, Highest)>,
}

impl Checker for Watermark {
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Watermarks { part, asked, high, start } => {
                let (highs, starts) = self.marks.entry(*part).or_default();
                for (what, known, now) in [("high watermark", highs, *high), ("log start", starts, *start)] {
                    if let Some(before) = known.before(*asked).filter(|before| *before > now) {
                        return Err(format!("{part:?}: the {what} went from {before} back to {now}"));
                    }
                    known.raise(at, now);
                }
            }
            Seen::Acked { part, base, numbers } => {
                self.marks.entry(*part).or_default().0.raise(at, base + numbers.len() as i64);
            }
            Seen::Cut { part, low } => self.marks.entry(*part).or_default().1.raise(at, *low),
            _ => {}
        }
        Ok(())
    }
}
