//! What the data directory holds: journals, replicas, and what an earlier process left behind.

use heddle_border::{DiskOp, Done, Effect, Failed, Token};
use heddle_model::ReplicaNumber;

use crate::mail::{Level, Notice};
use crate::owners::HOUSE;
use crate::reconcile::CONTROLLER_REPLICA;
use crate::turn::Shard;

use super::Sign;
use super::adopted::DONE_WITH;

const LIST_ROOT: u32 = 1;
pub(super) const MADE_REPLICAS: u32 = 2;
const SYNCED_ROOT: u32 = 3;
const REMOVED_JOURNAL: u32 = 4;
const LIST_REPLICAS: u32 = 5;
const REMOVED_LITTER: u32 = 6;
pub(super) const MADE_SIGN: u32 = 7;
const SYNCED_SIGN: u32 = 8;
/// Stages of an adopted journal's end, each with the journal's directory number in the low bits.
pub(super) const RENAMED_JOURNAL: u32 = 1 << 16;
const SYNCED_RENAME: u32 = 2 << 16;
const STAGE: u32 = !0 << 16;

impl Shard {
    pub(super) fn house_disk(&mut self, seq: u32, op: DiskOp) {
        self.effects.push(Effect::Disk { token: Token { owner: HOUSE, seq }, op });
    }

    pub(crate) fn on_house_disk(&mut self, seq: u32, result: Result<Done, Failed>) {
        let done = match result {
            Ok(done) => done,
            Err(failed) => {
                let what = match (seq & STAGE, seq) {
                    (RENAMED_JOURNAL | SYNCED_RENAME, _) | (_, REMOVED_JOURNAL) => {
                        return self
                            .log(Level::Warn, format!("an adopted journal could not be removed: {}", failed.fault));
                    }
                    (_, REMOVED_LITTER) => {
                        return self
                            .log(Level::Warn, format!("files of a removed partition stay behind: {}", failed.fault));
                    }
                    // A full disk, most likely: who reads is served all the same, and the next start tries again.
                    (_, MADE_SIGN | SYNCED_SIGN) => {
                        self.start.sign = Sign::There;
                        return self.listen();
                    }
                    _ => "the data directory cannot be used",
                };
                return self.notice(Notice::Failed(format!("{what}: {}", failed.fault)));
            }
        };
        match (seq, done) {
            (MADE_REPLICAS, _) => self.house_disk(SYNCED_ROOT, DiskOp::SyncDir { path: String::new() }),
            (SYNCED_ROOT, _) => self.house_disk(LIST_REPLICAS, DiskOp::List { path: "replicas".into() }),
            (LIST_REPLICAS, Done::Listed(entries)) => {
                for entry in entries {
                    // `<replica>-<store>`; whatever else is there is not ours.
                    let number = entry.name.split_once('-').and_then(|(number, _)| number.parse().ok());
                    if let Some(number) = number.map(ReplicaNumber) {
                        if number == CONTROLLER_REPLICA {
                            self.start.sign = Sign::There;
                        }
                        self.start.directories.entry(number).or_default().push(entry.name);
                    }
                }
                self.house_disk(LIST_ROOT, DiskOp::List { path: String::new() });
            }
            (LIST_ROOT, Done::Listed(entries)) => {
                let number = |name: &str| Some(u32::from(name.strip_prefix("journal-")?.parse::<u16>().ok()?));
                let mut dirs: Vec<u32> = entries.iter().filter_map(|entry| number(&entry.name)).collect();
                if self.core_of(CONTROLLER_REPLICA) == self.me {
                    for done_with in entries.iter().filter(|entry| entry.name.starts_with(DONE_WITH)) {
                        self.house_disk(REMOVED_JOURNAL, DiskOp::RemoveTree { path: done_with.name.clone() });
                    }
                }
                dirs.sort();
                self.open_journals(&dirs);
            }
            (MADE_SIGN, _) => self.house_disk(SYNCED_SIGN, DiskOp::SyncDir { path: "replicas".into() }),
            (SYNCED_SIGN, _) => {
                self.start.sign = Sign::There;
                self.listen();
            }
            (seq, _) if seq & STAGE == RENAMED_JOURNAL => {
                self.house_disk(SYNCED_RENAME | seq & !STAGE, DiskOp::SyncDir { path: String::new() });
            }
            (seq, _) if seq & STAGE == SYNCED_RENAME => {
                self.house_disk(REMOVED_JOURNAL, DiskOp::RemoveTree { path: format!("{DONE_WITH}{}", seq & !STAGE) });
            }
            _ => {}
        }
    }

    /// Directories of replicas that were removed, left behind by a process that ended before it had removed them.
    pub(crate) fn remove_litter(&mut self) {
        for (number, names) in std::mem::take(&mut self.start.directories) {
            let known = self.by_number.contains_key(&number) || self.start.dormant.contains_key(&number);
            if self.core_of(number) == self.me && !known && self.image.is_removed(number) {
                for name in names {
                    self.house_disk(REMOVED_LITTER, DiskOp::RemoveTree { path: format!("replicas/{name}") });
                }
            }
        }
    }
}
