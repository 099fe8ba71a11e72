//! The end of journals whose core this start does not have, and of copies of replicas that live elsewhere now.

use heddle_border::DiskOp;
use heddle_model::ReplicaNumber;

use crate::mail::Mail;
use crate::turn::Shard;

use super::Holder;
use super::directory::RENAMED_JOURNAL;

/// A journal that is done with is named so before its files go: half of it must never be taken for a damaged whole.
pub(super) const DONE_WITH: &str = "removed-journal-";

impl Shard {
    pub(super) fn drop_copy(&mut self, holder: Holder, number: ReplicaNumber) {
        if holder.core == self.me {
            self.on_drop(holder.journal, number);
        } else {
            self.letters.push((holder.core, Mail::Drop { journal: holder.journal, number }));
        }
    }

    /// A copy in one of this core's journals was superseded.
    pub(crate) fn on_drop(&mut self, journal: u32, number: ReplicaNumber) {
        let at = self.start.dirs.iter().position(|dir| *dir == journal).expect("only what was offered is dropped");
        if at == 0 {
            self.journals[0].gone(number);
        } else if let Some(left) = self.start.adopted.get_mut(&at) {
            left.remove(&number);
            self.remove_emptied_journals();
        }
    }

    pub(super) fn remove_emptied_journals(&mut self) {
        let emptied: Vec<usize> =
            self.start.adopted.iter().filter(|(_, left)| left.is_empty()).map(|(at, _)| *at).collect();
        for at in emptied {
            self.start.adopted.remove(&at);
            self.journals[at].on_stop();
            self.start.ending.push(at);
        }
    }

    /// Nothing is queued or under way in any journal still in use.
    pub(crate) fn journals_are_idle(&self) -> bool {
        self.journals.iter().enumerate().all(|(at, journal)| journal.idle() || self.start.ended.contains(&at))
    }

    /// At the end of a turn: journals write what the turn brought; adopted ones that are done with go.
    pub(crate) fn flush_journals(&mut self) {
        for (at, journal) in self.journals.iter_mut().enumerate() {
            if !self.start.ended.contains(&at) {
                journal.flush(self.now, &mut self.effects);
            }
        }
        for at in std::mem::take(&mut self.start.ending) {
            // An image is published once the journal of the cluster's metadata has said, durably, which journals there
            // are now. One that goes before that would be missed by the next start.
            if self.image.version == 0 || !self.journals[at].idle() {
                self.start.ending.push(at);
                continue;
            }
            self.journals[at].close(&mut self.effects);
            self.start.ended.insert(at);
            let dir = self.start.dirs[at];
            let (from, to) = (format!("journal-{dir}"), format!("{DONE_WITH}{dir}"));
            self.house_disk(RENAMED_JOURNAL | dir, DiskOp::Rename { from, to });
        }
    }
}
