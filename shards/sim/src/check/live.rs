//! live-equals-replayed: what a coordinator says of its groups is what its log makes of them (trap 11). The comparison
//! is the auditor's.

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Live;

impl Checker for Live {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Grouped(Grouped::LiveDiffers { text }) => Err(text.clone()),
            _ => Ok(()),
        }
    }
}
