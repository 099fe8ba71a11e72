//! A core's end: no new connections, answer what is in flight, wait for the other cores' clients, then for the journal.

use std::collections::BTreeSet;

use heddle_border::Effect;
use heddle_journal::Journal;
use heddle_model::{Mono, ShardId};

use crate::mail::{Mail, Notice};
use crate::turn::Shard;

/// Clients that do not take their answers by then are cut off. Milliseconds.
const DRAIN_MS: u64 = 3_000;

#[derive(Default)]
pub struct Stop {
    asked_at: Option<Mono>,
    said_drained: bool,
    drained: BTreeSet<ShardId>,
    halted: bool,
}

impl Stop {
    pub fn is_asked(&self) -> bool {
        self.asked_at.is_some()
    }

    /// When patience ends next: first with clients, then with the journal.
    pub fn deadline(&self) -> Option<Mono> {
        let patience = if self.said_drained { 2 * DRAIN_MS } else { DRAIN_MS };
        if self.halted { None } else { self.asked_at.map(|at| at.plus_ms(patience)) }
    }
}

impl Shard {
    pub(crate) fn on_stop(&mut self) {
        if self.stop.is_asked() {
            return;
        }
        self.stop.asked_at = Some(self.now.mono);
        self.unlisten();
        self.journals.iter_mut().for_each(Journal::on_stop);
        self.with_api(|api, view, wish| api.drain(view, wish));
    }

    pub(crate) fn on_drained(&mut self, from: ShardId) {
        self.stop.drained.insert(from);
    }

    pub(crate) fn advance_stop(&mut self) {
        let Some(asked_at) = self.stop.asked_at.filter(|_| !self.stop.halted) else { return };
        let late = self.now.mono >= asked_at.plus_ms(DRAIN_MS);
        if !self.stop.said_drained && (self.api.is_drained() || late) {
            self.stop.said_drained = true;
            self.stop.drained.insert(self.me);
            self.tell_all(|| Mail::Drained);
        }
        let all = self.stop.drained.len() == usize::from(self.config.shards);
        // Nobody was promised anything before the start is over: to end then is no worse than to be killed.
        let quiet = self.start.is_under_way() || self.journals_are_idle();
        if (all && quiet && self.stop.said_drained) || self.now.mono >= asked_at.plus_ms(2 * DRAIN_MS) {
            self.stop.halted = true;
            self.notice(Notice::Halted);
            self.effects.push(Effect::Halt);
        }
    }
}
