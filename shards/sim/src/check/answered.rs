//! answered-once: each request is answered once, in order, or its connection ends.

use std::collections::{BTreeMap, VecDeque};

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Answered {
    waiting: BTreeMap<u64, VecDeque<i32>>,
}

impl Checker for Answered {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Request { conn, correlation } => self.waiting.entry(*conn).or_default().push_back(*correlation),
            Seen::Response { conn, correlation } => {
                let expected = self.waiting.get_mut(conn).and_then(VecDeque::pop_front);
                if expected != Some(*correlation) {
                    return Err(format!("connection {conn}: answer {correlation} where {expected:?} is next"));
                }
            }
            Seen::Hangup { conn } => {
                self.waiting.remove(conn);
            }
            Seen::Quiet => {
                if let Some((conn, waiting)) = self.waiting.iter().find(|(_, waiting)| !waiting.is_empty()) {
                    return Err(format!("connection {conn}: no answer ever to {waiting:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
