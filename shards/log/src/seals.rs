//! Loading, its last stage: segments that compaction published and no list names yet. What such a seal says counts once it
//! is durable.

use std::collections::BTreeSet;

use heddle_border::{DiskOp, Done, Effect, Failed, Fault, FileId};
use heddle_model::Mark;
use heddle_model::limits::BLOCK_BYTES;

use crate::Log;
use crate::ask::{LoadFault, Output};
use crate::disk::Op;
use crate::load::{Linking, Listed, Loading};
use crate::names::Part;
use crate::segment::{Segment, SegmentKey};
use crate::side_file::{SideFault, SideRead};

/// Looking for segments that compaction published.
pub(crate) struct Sealing {
    pub(crate) mark: Mark,
    pub(crate) files: Vec<Listed>,
    pub(crate) active: Box<SideRead>,
    pub(crate) chain: Vec<SegmentKey>,
    /// Still to be looked into, with the length of their side files.
    unread: Vec<(SegmentKey, u64)>,
    pub(crate) found: Vec<Segment>,
    /// Seals that were found and are being made durable.
    syncing: usize,
    /// Why loading fails, once none of them is any more.
    fault: Option<Fault>,
}

/// Seals being made durable at once.
const SYNCS_AT_ONCE: usize = 16;

impl Loading {
    /// Whether what a side file says may be there by a write that nobody waited for: a process that was killed wrote the
    /// seal, and the machine went on. What is read must be durable before anything is removed because of it. If so, it is
    /// counted, and `on_seal_synced` must follow.
    pub(crate) fn must_sync(&mut self, side: &SideRead) -> bool {
        match self {
            Loading::Sealing(sealing) if side.own.is_some() => {
                sealing.syncing += 1;
                true
            }
            _ => false,
        }
    }
}

impl Log {
    /// Lists may be older than what compaction did since.
    pub(crate) fn look_for_seals(&mut self, linking: Linking, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        let Linking { mark, files, active, chain } = linking;
        let listed: BTreeSet<SegmentKey> = active.list.segments.iter().map(|segment| segment.key).collect();
        let logs: BTreeSet<SegmentKey> =
            files.iter().filter(|file| file.part == Part::Log).map(|file| file.key).collect();
        let newest = active.segment.key;
        let is_named = |key| key >= newest || listed.contains(&key);
        let unread = files
            .iter()
            .filter(|file| file.part == Part::Side && !is_named(file.key) && logs.contains(&file.key))
            .filter(|file| file.len > 0 && file.len % BLOCK_BYTES as u64 == 0)
            .map(|file| (file.key, file.len))
            .collect();
        let sealing = Sealing { mark, files, active, chain, unread, found: Vec::new(), syncing: 0, fault: None };
        self.look_into_next(Box::new(sealing), out, events);
    }

    fn look_into_next(&mut self, mut sealing: Box<Sealing>, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        if sealing.fault.is_some() {
            sealing.unread.clear();
        }
        let next = if sealing.syncing < SYNCS_AT_ONCE { sealing.unread.pop() } else { None };
        match (next, sealing.fault) {
            (None, None) if sealing.syncing == 0 => self.finish_load(*sealing, out, events),
            (None, Some(fault)) if sealing.syncing == 0 => {
                self.fail_load(sealing.mark, LoadFault::Io(fault), out, events);
            }
            (next, _) => {
                self.loading = Loading::Sealing(sealing);
                if let Some((key, side_bytes)) = next {
                    self.read_side(key, side_bytes, out);
                }
            }
        }
    }

    pub(crate) fn on_seal_synced(
        &mut self,
        file: FileId,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        self.disk.start(Op::Close, DiskOp::Close { file }, out);
        match std::mem::replace(&mut self.loading, Loading::Loaded) {
            Loading::Sealing(mut sealing) => {
                sealing.syncing -= 1;
                sealing.fault = sealing.fault.or(result.err().map(|failed| failed.fault));
                if self.side_reads.is_empty() {
                    self.look_into_next(sealing, out, events);
                } else {
                    self.loading = Loading::Sealing(sealing);
                }
            }
            _ => unreachable!("loading ends when all seals are durable"),
        }
    }

    /// A side file without a whole seal never was part of the log.
    pub(crate) fn on_seal_read(
        &mut self,
        mut sealing: Box<Sealing>,
        side: SideRead,
        ended: Result<(), SideFault>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        if let Err(SideFault::Io(fault)) = ended {
            sealing.fault = Some(fault);
            return self.look_into_next(sealing, out, events);
        }
        let end = sealing.active.segment.key.base;
        sealing.found.extend(side.own.filter(|own| ended.is_ok() && own.next <= end));
        self.look_into_next(sealing, out, events);
    }
}
