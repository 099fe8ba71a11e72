//! What compaction asks of a disk, known by the names of the files that it writes: so that a life can end in the middle of
//! a round, and so that planted faults can hit it.

use std::collections::BTreeSet;

use heddle_border::{DiskOp, FileId, OpenMode};

/// What an operation is to a round of compaction, if anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A file is made or written.
    Write,
    /// The bytes are synced.
    Sync,
    /// The names are.
    Names,
    /// The side file is written, which makes it count.
    Seal,
    /// Something is removed.
    Remove,
}

#[derive(Default)]
pub struct Compacting {
    files: BTreeSet<FileId>,
    /// Bytes were synced, and the next directory synced is that of their names.
    names_next: bool,
    /// Operations so far.
    pub operations: u64,
}

impl Compacting {
    pub fn note(&mut self, op: &DiskOp) -> Option<Step> {
        let step = match op {
            DiskOp::Open { file, path, mode: OpenMode::Create } if is_written_anew(path) => {
                self.files.insert(*file);
                Step::Write
            }
            DiskOp::Write { file, durable: true, .. } if self.files.contains(file) => Step::Seal,
            DiskOp::Write { file, .. } if self.files.contains(file) => Step::Write,
            DiskOp::Sync { file } if self.files.contains(file) => {
                self.names_next = true;
                Step::Sync
            }
            DiskOp::SyncDir { path } if path.starts_with("replicas/") && std::mem::take(&mut self.names_next) => {
                Step::Names
            }
            DiskOp::Remove { path } if path.starts_with("replicas/") => Step::Remove,
            _ => return None,
        };
        self.operations += 1;
        Some(step)
    }
}

/// A segment's file with a generation above 0: a range that was written before.
fn is_written_anew(path: &str) -> bool {
    let generation = path.strip_prefix("replicas/").and_then(|rest| rest.split('/').nth(1)?.split('-').nth(1));
    generation.is_some_and(|generation| !generation.starts_with("0."))
}
