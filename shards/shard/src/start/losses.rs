//! What was lost: said, and set apart durably on every core before anybody forgets it.

use heddle_model::ShardId;

use crate::mail::{Level, Mail};
use crate::reconcile::CONTROLLER_REPLICA;
use crate::turn::Shard;

impl Shard {
    /// All that was found is known: is a journal missing, or a new one in the place of another? What is then not found
    /// anywhere was lost with it. The cluster's metadata names replicas only after its journal has said, durably, which
    /// journals there are.
    pub(super) fn judge_losses(&mut self) {
        let found = &mut self.start.found;
        found.had_metadata |= self.start.directories.contains_key(&CONTROLLER_REPLICA);
        let mut lost: Vec<String> = Vec::new();
        for dir in 0..u32::from(found.expected.count.max(u16::from(found.had_metadata))) {
            if !found.journals.iter().any(|(other, _, held)| *other == dir && *held) {
                lost.push(format!("damaged: journal-{dir} is missing, or nothing in it can be read"));
            }
        }
        if lost.is_empty() && found.siblings(found.expected.count) != found.expected {
            lost.push("damaged: a journal of this data directory was lost, and another stands in its place".into());
        }
        if !self.config.accept_loss {
            found.misses |= !lost.is_empty();
            if found.misses {
                // Said until every core has dealt with it: a start that does not get so far must not be the last to know.
                self.start.losses_open = true;
                self.journals[0].suspect_losses();
            }
        }
        self.journals[0].set_siblings(self.start.found.siblings(self.config.shards));
        if self.core_of(CONTROLLER_REPLICA) == self.me {
            lost.into_iter().for_each(|line| self.log(Level::Error, line));
        }
    }

    /// Tell once the first image is carried out: replicas that should be here and are not were set apart, each as damaged,
    /// and that is durable.
    pub(crate) fn report_losses(&mut self) {
        let due = self.start.losses_open && !self.start.set_apart;
        if due && self.image.version > 0 && self.journals[0].idle() {
            self.start.set_apart = true;
            let controller = self.core_of(CONTROLLER_REPLICA);
            if controller == self.me {
                self.on_losses_set_apart(self.me);
            } else {
                self.letters.push((controller, Mail::LossesSetApart));
            }
        }
    }

    pub(crate) fn on_losses_set_apart(&mut self, from: ShardId) {
        self.start.set_apart_by.insert(from);
        if self.start.set_apart_by.len() == usize::from(self.config.shards) {
            self.tell_all(|| Mail::LossesSettled);
            self.on_losses_settled();
        }
    }

    /// Every core has set apart what was lost: from now on no journal needs to tell of it.
    pub(crate) fn on_losses_settled(&mut self) {
        if std::mem::take(&mut self.start.losses_open) {
            self.journals[0].accept_losses();
        }
    }
}

/// What an operator should know of a recovery; nothing, if all was well.
pub(super) fn lines_of(report: &heddle_journal::Report) -> Vec<(Level, String)> {
    let mut lines = Vec::new();
    for damage in &report.damage {
        let place =
            if damage.file.is_empty() { "a missing file".into() } else { format!("{} at {}", damage.file, damage.at) };
        let hit: Vec<String> = damage.hit.iter().map(|number| number.to_string()).collect();
        let hit = if hit.is_empty() { "no replica by name".into() } else { format!("replicas {}", hit.join(", ")) };
        let line = format!("damaged: frames {} to {} in {place} cannot be read; hit: {hit}", damage.first, damage.last);
        lines.push((Level::Error, line));
    }
    if !report.unknown.is_empty() {
        let unknown: Vec<String> = report.unknown.iter().map(|number| number.to_string()).collect();
        lines.push((Level::Error, format!("damaged: nothing is known of replicas {}", unknown.join(", "))));
    }
    if report.may_miss_replicas {
        lines.push((Level::Error, "damaged: replicas may have been created of which nothing is known".into()));
    }
    for file in &report.foreign {
        lines.push((Level::Warn, format!("{file} belongs to another journal and is left alone")));
    }
    lines
}
