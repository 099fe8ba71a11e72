//! Reading one side file from its beginning, piece by piece.

use bytes::Bytes;
use heddle_border::{Blocks, DiskOp, Done, Effect, Failed, Fault, FileId, OpenMode};

use crate::Log;
use crate::ask::Output;
use crate::disk::Op;
use crate::lists::List;
use crate::names::Part;
use crate::segment::{Segment, SegmentKey};
use crate::side::{Reader, Record, Step};

/// Side files are read in pieces of this size.
const CHUNK_BYTES: usize = 256 * 1024;
/// And in pieces of this size if only the first record is of interest.
const FIRST_CHUNK_BYTES: usize = 32 * 1024;

/// A side file being read, and what it said so far.
pub(crate) struct SideRead {
    file: FileId,
    side_bytes: u64,
    /// Bytes read from the file; `buffer` holds the last of them, from where `reader` stands.
    read: u64,
    buffer: Vec<u8>,
    pub(crate) reader: Reader,
    /// Nothing but the first record is of interest.
    first_only: bool,
    pub(crate) segment: Segment,
    pub(crate) list: List,
    pub(crate) companion: Vec<Bytes>,
    /// What a seal says of its segment.
    pub(crate) own: Option<Segment>,
}

impl SideRead {
    fn is_over(&self) -> bool {
        self.reader.is_over() || (self.first_only && self.reader.at() > 0)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.buffer.extend_from_slice(bytes);
        let mut used = 0;
        while !self.is_over() {
            let first = self.reader.at() == 0;
            match self.reader.next(&self.buffer[used..])? {
                Step::Short(_) => break,
                Step::Record(record, bytes) => {
                    used += bytes;
                    self.add(record, first)?;
                }
            }
        }
        self.buffer.drain(..used);
        Ok(())
    }

    fn add(&mut self, record: Record, first: bool) -> Result<(), String> {
        if first && record.snapshot.is_none() {
            return Err("the first side record holds no snapshot".to_owned());
        }
        self.segment.extend(&record.spans, self.reader.next_offset(), self.reader.at(), record.written_ms);
        if first {
            (self.list, self.own) = (record.list, record.own.map(|own| *own));
        }
        if let Some(snapshot) = record.snapshot {
            self.companion = vec![Bytes::from(snapshot)];
        }
        if !record.changes.is_empty() {
            self.companion.push(Bytes::from(record.changes));
        }
        Ok(())
    }
}

/// Why a side file could not be read to its end.
pub(crate) enum SideFault {
    Io(Fault),
    Damaged(String),
}

impl Log {
    /// Begin to read a side file, unless that is under way.
    pub(crate) fn read_side(&mut self, key: SegmentKey, side_bytes: u64, out: &mut Vec<Effect>) {
        self.begin_side(key, side_bytes, false, out);
    }

    pub(crate) fn begin_side(&mut self, key: SegmentKey, side_bytes: u64, first_only: bool, out: &mut Vec<Effect>) {
        if self.side_reads.contains_key(&key) {
            return;
        }
        let file = self.disk.next_file();
        let path = self.disk.path(key, Part::Side);
        self.disk.start(Op::OpenSide(key), DiskOp::Open { file, path, mode: OpenMode::ReadOnly }, out);
        let side = SideRead {
            file,
            side_bytes,
            read: 0,
            buffer: Vec::new(),
            reader: Reader::new(&self.disk.id, key, side_bytes),
            first_only,
            segment: Segment::empty(key),
            list: List::default(),
            companion: Vec::new(),
            own: None,
        };
        self.side_reads.insert(key, Box::new(side));
    }

    pub(crate) fn on_side_opened(
        &mut self,
        key: SegmentKey,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let fault = match result {
            Ok(_) => return self.read_side_on(key, out, events),
            Err(Failed { fault: Fault::NotFound, .. }) => SideFault::Damaged("the side file does not exist".to_owned()),
            Err(failed) => SideFault::Io(failed.fault),
        };
        let side = self.side_reads.remove(&key).expect("a side file stays until it is read");
        self.finish_side(key, *side, Err(fault), out, events);
    }

    /// Read the next piece, or finish.
    fn read_side_on(&mut self, key: SegmentKey, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        let side = self.side_reads.get(&key).expect("a side file stays until it is read");
        let left = side.side_bytes - side.read;
        if left == 0 || side.is_over() {
            let ended = if side.is_over() {
                Ok(())
            } else {
                Err(SideFault::Damaged("the side file ends within a record".to_owned()))
            };
            return self.end_side(key, ended, out, events);
        }
        let (file, at) = (side.file, side.read);
        let chunk = if side.first_only { FIRST_CHUNK_BYTES } else { CHUNK_BYTES };
        let buf = Blocks::zeroed(usize::try_from(left).map_or(chunk, |left| left.min(chunk)));
        self.disk.start(Op::ReadSide(key), DiskOp::Read { file, at, buf }, out);
    }

    pub(crate) fn on_side_read(
        &mut self,
        key: SegmentKey,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let side = self.side_reads.get_mut(&key).expect("a side file stays until it is read");
        let (buf, len) = match result {
            Ok(Done::Read { buf, len }) => (buf, len),
            Ok(other) => panic!("a read was answered by {other:?}"),
            Err(failed) => return self.end_side(key, Err(SideFault::Io(failed.fault)), out, events),
        };
        side.read += len as u64;
        let taken = side.take(&buf[..len]);
        match taken {
            Err(damage) => self.end_side(key, Err(SideFault::Damaged(damage)), out, events),
            Ok(()) if len < buf.len() => {
                let damage = "the side file is shorter than it must be".to_owned();
                self.end_side(key, Err(SideFault::Damaged(damage)), out, events);
            }
            Ok(()) => self.read_side_on(key, out, events),
        }
    }

    /// The file is read to its end, or cannot be: close it, which a seal waits with, and use what was read.
    fn end_side(
        &mut self,
        key: SegmentKey,
        ended: Result<(), SideFault>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let side = self.side_reads.remove(&key).expect("a side file stays until it is read");
        if ended.is_err() || !self.loading.must_sync(&side) {
            self.disk.start(Op::Close, DiskOp::Close { file: side.file }, out);
        } else {
            self.disk.start(Op::SyncSeal(side.file), DiskOp::Sync { file: side.file }, out);
        }
        self.finish_side(key, *side, ended, out, events);
    }
}
