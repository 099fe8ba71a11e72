//! unpacked-between-turns: whatever has to be unpacked before it is written is worked on between turns (trap 41).

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Unpacked {
    needed: u64,
    done: u64,
}

impl Checker for Unpacked {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Works { done } => self.done = *done,
            Seen::Unpacked => {
                self.needed += 1;
                if self.needed > self.done {
                    return Err(format!("{} batches were unpacked, {} between turns", self.needed, self.done));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
