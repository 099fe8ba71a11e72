//! The log's side of the disk: operations under way and open files.

use std::collections::BTreeMap;

use heddle_border::{Blocks, DiskOp, Effect, FileId, OpenMode, Token};

use crate::Identity;
use crate::names::{self, Part};
use crate::segment::{SegmentKey, Span, SpanKey};

/// What an operation under way is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    /// A step of making the segment that is written.
    Prepare,
    Allocate {
        upto: u64,
    },
    /// One write of a round, `part` of it: the spans in order, then the side record.
    Write {
        round: u64,
        part: usize,
    },
    Open(FileKey),
    Close,
    ReadSpan(SegmentKey, Span),
    List,
    OpenSide(SegmentKey),
    ReadSide(SegmentKey),
    SyncSeal(FileId),
    /// A file of a segment that is no longer needed.
    Remove,
    RemoveTree,
    SyncReplicas,
    /// Of `.keys` files.
    OpenKeys(FileKey),
    WriteKeys {
        key: SegmentKey,
        end: u64,
    },
    /// Compaction's.
    CompactOpen(FileKey),
    CompactRead(SpanKey),
    CompactPage {
        key: SegmentKey,
        at: u64,
    },
    CompactWrite,
    CompactSync,
    CompactNames,
    CompactSeal,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FileKey {
    pub(crate) segment: SegmentKey,
    pub(crate) part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Opening,
    Open,
}

struct Handle {
    file: FileId,
    state: State,
    /// Operations under way.
    uses: u32,
    /// Used since `close_idle` last looked.
    touched: bool,
}

struct UnderWay {
    op: Op,
    file: Option<FileKey>,
}

pub(crate) struct Disk {
    pub(crate) id: Identity,
    next: u32,
    under_way: BTreeMap<u32, UnderWay>,
    files: BTreeMap<FileKey, Handle>,
}

impl Disk {
    pub(crate) fn new(id: Identity) -> Disk {
        Disk { id, next: 0, under_way: BTreeMap::new(), files: BTreeMap::new() }
    }

    pub(crate) fn busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether an operation of this kind is under way.
    pub(crate) fn has(&self, wanted: impl Fn(Op) -> bool) -> bool {
        self.under_way.values().any(|under_way| wanted(under_way.op))
    }

    pub(crate) fn path(&self, segment: SegmentKey, part: Part) -> String {
        names::path(&self.id, segment, part)
    }

    fn next_seq(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    pub(crate) fn next_file(&mut self) -> FileId {
        FileId { owner: self.id.owner, seq: self.next_seq() }
    }

    fn start_with(&mut self, op: Op, file: Option<FileKey>, disk: DiskOp, out: &mut Vec<Effect>) {
        let seq = self.next_seq();
        let clash = self.under_way.insert(seq, UnderWay { op, file });
        assert!(clash.is_none(), "four billion operations ago one is still under way");
        out.push(Effect::Disk { token: Token { owner: self.id.owner, seq }, op: disk });
    }

    /// Start an operation that needs no open file of `files`.
    pub(crate) fn start(&mut self, op: Op, disk: DiskOp, out: &mut Vec<Effect>) {
        self.start_with(op, None, disk, out);
    }

    /// An operation ended: what it was for. `None`: it is not one of ours.
    pub(crate) fn end(&mut self, seq: u32) -> Option<Op> {
        let UnderWay { op, file } = self.under_way.remove(&seq)?;
        if let Some(handle) = file.and_then(|key| self.files.get_mut(&key)) {
            handle.uses -= 1;
        }
        Some(op)
    }

    /// Open a file and keep it open. `op` is what the answer is for.
    pub(crate) fn open(&mut self, op: Op, key: FileKey, mode: OpenMode, out: &mut Vec<Effect>) {
        let file = self.next_file();
        let clash = self.files.insert(key, Handle { file, state: State::Opening, uses: 0, touched: true });
        assert!(clash.is_none(), "{key:?} is open already");
        self.start(op, DiskOp::Open { file, path: self.path(key.segment, key.part), mode }, out);
    }

    pub(crate) fn on_opened(&mut self, key: FileKey, well: bool) {
        if well {
            self.files.get_mut(&key).expect("files being opened are not forgotten").state = State::Open;
        } else {
            self.files.remove(&key);
        }
    }

    pub(crate) fn is_known(&self, key: FileKey) -> bool {
        self.files.contains_key(&key)
    }

    pub(crate) fn is_open(&self, key: FileKey) -> bool {
        self.files.get(&key).is_some_and(|handle| handle.state == State::Open)
    }

    /// Start an operation on an open file.
    pub(crate) fn start_on(
        &mut self,
        op: Op,
        key: FileKey,
        make: impl FnOnce(FileId) -> DiskOp,
        out: &mut Vec<Effect>,
    ) {
        let handle = self.files.get_mut(&key).expect("asked of an open file");
        assert_eq!(handle.state, State::Open, "asked of an open file");
        handle.uses += 1;
        handle.touched = true;
        let disk = make(handle.file);
        self.start_with(op, Some(key), disk, out);
    }

    pub(crate) fn read_span(&mut self, segment: SegmentKey, span: &Span, out: &mut Vec<Effect>) {
        let (at, buf) = (span.at, Blocks::zeroed(span.padded()));
        let key = FileKey { segment, part: Part::Log };
        self.start_on(Op::ReadSpan(segment, *span), key, |file| DiskOp::Read { file, at, buf }, out);
    }

    /// Whether anything is under way on the segment's files.
    pub(crate) fn in_use(&self, segment: SegmentKey) -> bool {
        Part::ALL
            .iter()
            .filter_map(|part| self.files.get(&FileKey { segment, part: *part }))
            .any(|handle| handle.uses > 0 || handle.state == State::Opening)
    }

    /// Close the segment's files that are not in use.
    pub(crate) fn close(&mut self, segment: SegmentKey, out: &mut Vec<Effect>) {
        for part in Part::ALL {
            let key = FileKey { segment, part };
            let quiet = |handle: &&Handle| handle.uses == 0 && handle.state == State::Open;
            if let Some(file) = self.files.get(&key).filter(quiet).map(|handle| handle.file) {
                self.files.remove(&key);
                self.start(Op::Close, DiskOp::Close { file }, out);
            }
        }
    }

    /// Close what was not used since the last call, except files that `spares` names.
    pub(crate) fn close_idle(&mut self, spares: impl Fn(SegmentKey) -> bool, out: &mut Vec<Effect>) {
        let mut idle = Vec::new();
        for (key, handle) in &mut self.files {
            let quiet = handle.uses == 0 && handle.state == State::Open && !spares(key.segment);
            if quiet && !handle.touched {
                idle.push((*key, handle.file));
            }
            handle.touched = false;
        }
        for (key, file) in idle {
            self.files.remove(&key);
            self.start(Op::Close, DiskOp::Close { file }, out);
        }
    }

    /// Close everything; nothing is under way.
    pub(crate) fn close_all(&mut self, out: &mut Vec<Effect>) {
        let segments: Vec<SegmentKey> = self.files.keys().map(|key| key.segment).collect();
        segments.into_iter().for_each(|segment| self.close(segment, out));
    }
}
