//! How large the data directory's file system is, asked of the system each time somebody wants to know.

use std::collections::BTreeMap;

use heddle_api::Answer;
use heddle_border::{DiskOp, Done, Effect, Failed, Token};
use heddle_model::Ticket;

use crate::owners::SPACE;
use crate::turn::Shard;

/// Who waits for an answer of the disk.
#[derive(Default)]
pub struct Space {
    next: u32,
    waiting: BTreeMap<u32, Ticket>,
}

impl Shard {
    pub(crate) fn ask_space(&mut self, ticket: Ticket) {
        let seq = self.space.next;
        self.space.next = seq.wrapping_add(1);
        self.space.waiting.insert(seq, ticket);
        self.effects.push(Effect::Disk { token: Token { owner: SPACE, seq }, op: DiskOp::Space });
    }

    pub(crate) fn on_space(&mut self, seq: u32, result: Result<Done, Failed>) {
        let Some(ticket) = self.space.waiting.remove(&seq) else { return };
        let answer = match result {
            Ok(Done::Space { total, free }) => Answer::Space { total, free },
            // Whoever asked does without.
            Ok(_) | Err(_) => Answer::Unreachable,
        };
        self.replies.push((ticket, answer));
    }
}
