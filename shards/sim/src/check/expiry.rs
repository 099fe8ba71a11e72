//! offsets-expire: an offset that nobody commits again is there for `offsets.retention.minutes`, and then goes.

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};
use crate::plan::{OFFSETS_CHECK_MS, OFFSETS_RETENTION_MS};

/// A round of expiry goes on in the turns behind its time. Microseconds.
const PATIENCE_US: u64 = 10_000_000;

#[derive(Default)]
pub struct Expiry {
    /// Between these times the offset that stands was committed.
    standing: Option<(u64, u64)>,
    /// It was first found too late in this life, then.
    overdue: Option<(u32, u64)>,
}

impl Checker for Expiry {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Grouped(Grouped::RestingUnsure) => (self.standing, self.overdue) = (None, None),
            Seen::Grouped(Grouped::Resting { sent_us, acked_us }) => {
                (self.standing, self.overdue) = (Some((*sent_us, *acked_us)), None);
            }
            Seen::Grouped(Grouped::RestingFound { now_us, is_there: false, .. }) => {
                if let Some((committed_us, _)) = self.standing.take()
                    && *now_us < committed_us + OFFSETS_RETENTION_MS * 1_000
                {
                    let age_ms = (now_us - committed_us) / 1_000;
                    return Err(format!("an offset is gone that is not older than {age_ms} ms"));
                }
            }
            Seen::Grouped(Grouped::RestingFound { sent_us, boot, is_there: true, .. }) => {
                let Some((_, acked_us)) = self.standing else { return Ok(()) };
                if *sent_us <= acked_us + (OFFSETS_RETENTION_MS + OFFSETS_CHECK_MS) * 1_000 {
                    return Ok(());
                }
                match self.overdue {
                    Some((life, since)) if life == *boot => {
                        if *sent_us > since + PATIENCE_US {
                            return Err(format!(
                                "an offset is there {} ms after its commit",
                                (sent_us - acked_us) / 1_000
                            ));
                        }
                    }
                    _ => self.overdue = Some((*boot, *sent_us)),
                }
            }
            _ => {}
        }
        Ok(())
    }
}
