//! slots-returned: when nobody asks anything any more, no answer slot is held, on no core.

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Slots;

impl Checker for Slots {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Slots { core, asks, requests } if asks + requests > 0 => {
                Err(format!("core {core} holds {asks} answer slots and {requests} requests at rest"))
            }
            _ => Ok(()),
        }
    }
}
