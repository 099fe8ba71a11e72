//! Making the files of a segment: directories, names, and the names made durable, one step after the other.

use heddle_border::{DiskOp, Done, Effect, Failed, Fault, OpenMode};

use crate::Log;
use crate::ask::Output;
use crate::disk::{FileKey, Op};
use crate::names::{self, Part, REPLICAS};

/// What is done next before the segment can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Replicas,
    Store,
    SyncRoot,
    SyncReplicas,
    CreateLog,
    CreateSide,
    SyncNames,
    Made,
}

impl Stage {
    fn next(self) -> Stage {
        match self {
            Stage::Replicas => Stage::Store,
            Stage::Store => Stage::SyncRoot,
            Stage::SyncRoot => Stage::SyncReplicas,
            Stage::SyncReplicas => Stage::CreateLog,
            Stage::CreateLog => Stage::CreateSide,
            Stage::CreateSide => Stage::SyncNames,
            Stage::SyncNames | Stage::Made => Stage::Made,
        }
    }

    /// The files that exist for certain.
    fn created(self) -> &'static [Part] {
        match self {
            Stage::Replicas | Stage::Store | Stage::SyncRoot | Stage::SyncReplicas | Stage::CreateLog => &[],
            Stage::CreateSide => &[Part::Log],
            Stage::SyncNames | Stage::Made => &[Part::Log, Part::Side],
        }
    }
}

impl Log {
    /// Whether the segment's files are there and open; if not, one step is taken.
    pub(crate) fn is_prepared(&mut self, out: &mut Vec<Effect>) -> bool {
        let key = self.active.as_ref().expect("rounds are planned for a segment").key;
        if self.settling.preparing {
            return false;
        }
        let (log, side) = (FileKey { segment: key, part: Part::Log }, FileKey { segment: key, part: Part::Side });
        if self.settling.stage == Stage::Made {
            for file in [log, side] {
                if !self.disk.is_known(file) {
                    self.disk.open(Op::Open(file), file, OpenMode::Existing, out);
                }
            }
            return self.disk.is_open(log) && self.disk.is_open(side);
        }
        self.settling.preparing = true;
        let store = names::directory(&self.disk.id);
        match self.settling.stage {
            Stage::Replicas => self.disk.start(Op::Prepare, DiskOp::MakeDir { path: REPLICAS.to_owned() }, out),
            Stage::Store => self.disk.start(Op::Prepare, DiskOp::MakeDir { path: store }, out),
            Stage::SyncRoot => self.disk.start(Op::Prepare, DiskOp::SyncDir { path: String::new() }, out),
            Stage::SyncReplicas => self.disk.start(Op::Prepare, DiskOp::SyncDir { path: REPLICAS.to_owned() }, out),
            Stage::CreateLog => self.disk.open(Op::Prepare, log, OpenMode::Create, out),
            Stage::CreateSide => self.disk.open(Op::Prepare, side, OpenMode::Create, out),
            Stage::SyncNames => self.disk.start(Op::Prepare, DiskOp::SyncDir { path: store }, out),
            Stage::Made => unreachable!("handled above"),
        }
        false
    }

    pub(crate) fn on_prepared(
        &mut self,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let key = self.active.as_ref().expect("preparing ends before its segment").key;
        let settling = &mut self.settling;
        settling.preparing = false;
        let created = match settling.stage {
            Stage::CreateLog => Some(Part::Log),
            Stage::CreateSide => Some(Part::Side),
            _ => None,
        };
        if let Some(part) = created {
            self.disk.on_opened(FileKey { segment: key, part }, result.is_ok());
        }
        match (result, created) {
            (Ok(_), _) => self.next_stage(),
            (Err(Failed { fault: Fault::AlreadyExists, .. }), Some(part)) => self.take_next_generation(part, out),
            (Err(failed), _) => self.fail_settling(failed.fault, events),
        }
        self.pump(out);
    }

    fn next_stage(&mut self) {
        let settling = &mut self.settling;
        settling.stage = settling.stage.next();
        if settling.stage == Stage::CreateLog {
            settling.directory_exists = true;
        }
    }

    /// A file of that name is left over from a life that never marked it.
    fn take_next_generation(&mut self, part: Part, out: &mut Vec<Effect>) {
        let active = self.active.as_mut().expect("preparing ends before its segment");
        let old = active.key;
        active.key.generation = old.generation.checked_add(1).expect("generations do not run out");
        self.disk.close(old, out);
        let mut paths = vec![self.disk.path(old, part)];
        if part == Part::Side {
            paths.push(self.disk.path(old, Part::Log));
        }
        self.removal.add_stray(paths);
        self.settling.stage = Stage::CreateLog;
    }

    /// Give up the segment being written: closed for ever at what was given of it, or gone if nothing was.
    pub(crate) fn abandon_segment(&mut self, out: &mut Vec<Effect>) {
        let Some(active) = self.active.take() else { return };
        self.forget_segment_ends();
        self.settling.abandoned = Some(active.key);
        if active.side_bytes > 0 {
            self.sealed.push(active);
            return;
        }
        self.disk.close(active.key, out);
        let created = self.settling.stage.created();
        self.removal.add_stray(created.iter().map(|part| self.disk.path(active.key, *part)).collect());
    }
}
