//! Writing: frames into the current file, files one after another, and what to do when a write fails.
//!
//! A file is opened only when all earlier frames are durable, so that its checkpoint, which states what is durable, says
//! all that counts before it, and its fence names only durable frames. The first frame of a file travels alone: whatever
//! else of that use is found later, the first frame was once there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use heddle_border::{Blocks, DiskOp, Done, Effect, Failed, Fault};
use heddle_model::limits::{
    BLOCK_BYTES, FRAME_PAYLOAD_BYTES, FRAMES_IN_FLIGHT, FRAMES_IN_FLIGHT_BYTES, JOURNAL_QUIET_MS,
};
use heddle_model::{Mono, ReplicaNumber};

use crate::asker::Purpose;
use crate::codec;
use crate::format::{self, FrameKind, HEADER_BYTES, Header};
use crate::journal::{Journal, Restating, Stage};
use crate::record::{Body, Entry, Ordinal};
use crate::report::Siblings;
use crate::ring::RETRY_MS;

/// Kept free at a file's end: one block for the empty frame that says what is durable, one for the empty frame that frees
/// older files when there is no other to write to.
const RESERVE_BYTES: u64 = 2 * BLOCK_BYTES as u64;
/// Buffers of this size are kept for the next frames. Bytes.
const BUFFER_BYTES: usize = FRAME_PAYLOAD_BYTES + 8 * BLOCK_BYTES;

/// The file being written.
#[derive(Clone, Debug)]
struct Current {
    slot: u32,
    sequence: u64,
    /// Where the next frame goes. Bytes.
    at: u64,
    first: u64,
    records_from: u64,
    fence: u64,
    previous: u64,
    /// The checkpoint is durable: the file counts.
    opened: bool,
    full: bool,
    /// The checkpoint carries the replicas' tails.
    tails: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Writing,
    Written,
    Failed(Fault),
}

struct InFlight {
    number: u64,
    kind: FrameKind,
    entries: Vec<Entry>,
    bytes: usize,
    oldest: u64,
    sum: u32,
    fate: Fate,
}

/// Nothing is written any more; after a full disk it is tried again.
#[derive(Clone, Copy, Debug)]
struct Broken {
    retry_at: Option<Mono>,
}

pub(crate) struct Writer {
    pub id: u128,
    pub run: u64,
    pub next_sequence: u64,
    pub next_number: u64,
    /// The last durable frame, and its header's sum.
    pub known: u64,
    pub known_sum: u32,
    /// The last file that counts.
    pub previous: u64,
    /// The sum of the frame written last.
    last_sum: u32,
    /// The `oldest` that the last durable frame of a file that counts told.
    oldest: u64,
    current: Option<Current>,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    /// The rest of the current file's opening.
    opening: VecDeque<Vec<Entry>>,
    /// Frames to be written again, or that did not fit, in order.
    redo: VecDeque<Vec<Entry>>,
    buffers: Vec<Blocks>,
    scratch: Vec<u8>,
    spare: Vec<Vec<Entry>>,
    failures: u32,
    broken: Option<Broken>,
    /// The file that was given up last, and why; `None` once a frame is durable in another.
    pub failed: Option<(String, Fault)>,
    durable_at: Mono,
    /// No frame says yet that the last one is durable.
    unvouched: bool,
    /// Said by every frame until the losses of a damaged journal are dealt with.
    pub misses: bool,
    /// Journals of the data directory, as the caller said.
    pub siblings: Siblings,
}

impl Writer {
    pub fn new(id: u128, now: Mono) -> Writer {
        Writer {
            id,
            run: 0,
            next_sequence: 1,
            next_number: 1,
            known: 0,
            known_sum: 0,
            previous: 0,
            last_sum: 0,
            oldest: 0,
            current: None,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            opening: VecDeque::new(),
            redo: VecDeque::new(),
            buffers: Vec::new(),
            scratch: Vec::new(),
            spare: Vec::new(),
            failures: 0,
            broken: None,
            failed: None,
            durable_at: now,
            unvouched: false,
            misses: false,
            siblings: Siblings::default(),
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub fn retry_at(&self) -> Option<Mono> {
        self.broken.and_then(|broken| broken.retry_at)
    }

    pub fn durable_at(&self) -> Mono {
        self.durable_at
    }

    /// The current file's slot, and how much of it is written. Bytes.
    pub fn place(&self) -> Option<(u32, u64)> {
        self.current.as_ref().map(|current| (current.slot, current.at))
    }

    pub fn sequence(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.sequence)
    }

    pub fn is_writing(&self) -> bool {
        !self.in_flight.is_empty()
    }

    pub fn redo_bytes(&self) -> usize {
        self.redo.iter().flatten().map(Entry::weight).sum()
    }

    pub fn forget_file(&mut self) {
        self.current = None;
    }

    fn has_room(&self) -> bool {
        let failing = self.in_flight.iter().any(|frame| matches!(frame.fate, Fate::Failed(_)));
        !failing && self.in_flight.len() < FRAMES_IN_FLIGHT && self.in_flight_bytes < FRAMES_IN_FLIGHT_BYTES
    }

    fn buffer(&mut self, bytes: usize) -> Blocks {
        let mut buffer = match self.buffers.pop() {
            Some(buffer) if bytes <= buffer.capacity() => buffer,
            _ => Blocks::zeroed(bytes.max(BUFFER_BYTES)),
        };
        buffer.set_len(bytes);
        buffer
    }

    fn keep(&mut self, buffer: Option<Blocks>) {
        let usual = |buffer: &Blocks| buffer.capacity() >= BUFFER_BYTES && buffer.capacity() < 2 * BUFFER_BYTES;
        if let Some(buffer) = buffer.filter(usual)
            && self.buffers.len() < FRAMES_IN_FLIGHT
        {
            self.buffers.push(buffer);
        }
    }
}

impl Journal {
    /// Write as many frames as may be in flight.
    pub(crate) fn write(&mut self, now: Mono, out: &mut Vec<Effect>) {
        if let Some(broken) = self.writer.broken {
            if broken.retry_at.is_none_or(|at| now < at) {
                return;
            }
            self.writer.broken = None;
        }
        while self.writer.has_room() && self.write_one(out) {}
        self.write_quiet_frame(now, out);
    }

    /// Submit one frame, or open a file. False: nothing can be done now.
    fn write_one(&mut self, out: &mut Vec<Effect>) -> bool {
        let Some(current) = &self.writer.current else { return self.has_work() && self.open_file() };
        if self.writer.known < current.first && current.first < self.writer.next_number {
            // The first frame travels alone.
            return false;
        }
        if let Some(entries) = self.writer.opening.pop_front() {
            self.submit(FrameKind::Opening, entries, out);
            return true;
        }
        if !matches!(self.stage, Stage::Running) {
            return false;
        }
        if current.full {
            return self.open_file() || self.write_what_fits(out);
        }
        let entries = match self.writer.redo.pop_front() {
            Some(entries) => entries,
            None if self.lanes.is_empty() => return false,
            None => {
                let mut entries = self.writer.spare.pop().unwrap_or_default();
                self.lanes.fill(&mut entries);
                entries
            }
        };
        if self.room_left() < format::frame_bytes(&entries) as u64 + RESERVE_BYTES {
            self.writer.redo.push_front(entries);
            self.writer.current.as_mut().expect("checked above").full = true;
            return true;
        }
        self.submit(FrameKind::Records, entries, out);
        true
    }

    /// On a full disk, with no other file to go on in: of what waits, the records of those replicas that wait with the
    /// least, as far as the rest of the file takes them. Somebody's removal is small and frees space; behind what clients
    /// had written before the disk was full it would wait for ever (trap 39). Records of one replica keep their order.
    fn write_what_fits(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.ring.ready() > 0 || !self.ring.growth_fails() {
            return false;
        }
        while !self.lanes.is_empty() {
            let mut entries = self.writer.spare.pop().unwrap_or_default();
            self.lanes.fill(&mut entries);
            self.writer.redo.push_back(entries);
        }
        let mut weights: BTreeMap<ReplicaNumber, usize> = BTreeMap::new();
        for entry in self.writer.redo.iter().flatten() {
            *weights.entry(entry.replica).or_default() += entry.weight();
        }
        let mut lightest: Vec<(usize, ReplicaNumber)> = weights.into_iter().map(|(of, weight)| (weight, of)).collect();
        lightest.sort_unstable();
        let mut bytes = 0;
        let fits = |(weight, replica): (usize, ReplicaNumber)| {
            bytes += weight;
            (bytes <= FRAME_PAYLOAD_BYTES && self.fits_behind(bytes)).then_some(replica)
        };
        let chosen: BTreeSet<ReplicaNumber> = lightest.into_iter().map_while(fits).collect();
        if chosen.is_empty() {
            return false;
        }
        let mut now = Vec::new();
        for frame in &mut self.writer.redo {
            now.extend(frame.extract_if(.., |entry| chosen.contains(&entry.replica)));
        }
        self.writer.redo.retain(|frame| !frame.is_empty());
        self.submit(FrameKind::Records, now, out);
        true
    }

    fn has_work(&self) -> bool {
        matches!(self.stage, Stage::Starting) || !self.lanes.is_empty() || !self.writer.redo.is_empty()
    }

    fn room_left(&self) -> u64 {
        self.writer.current.as_ref().map_or(0, |current| self.ring.len(current.slot) - current.at)
    }

    /// Whether so many bytes more go into the current file, in one frame.
    pub(crate) fn fits_behind(&self, bytes: usize) -> bool {
        (bytes + BLOCK_BYTES).next_multiple_of(BLOCK_BYTES) as u64 + RESERVE_BYTES <= self.room_left()
    }

    /// The oldest file that replay would need, were a crash to come now.
    fn oldest_needed(&self, current: u64) -> u64 {
        self.pins.first_key_value().map_or(current, |(file, _)| (*file).min(current))
    }

    /// Go on in another file, once all that was written is durable. False: not yet.
    fn open_file(&mut self) -> bool {
        if !self.writer.in_flight.is_empty() {
            return false;
        }
        let sequence = self.writer.next_sequence;
        let opening = self.plan_opening();
        let bytes: usize = opening.iter().map(|entries| format::frame_bytes(entries)).sum();
        let next = self.writer.redo.front().map_or(0, |entries| format::frame_bytes(entries));
        let need = (bytes + next.max(BLOCK_BYTES)) as u64 + RESERVE_BYTES;
        let Some(slot) = self.ring.take(need, sequence) else {
            self.stats.stalls += 1;
            // On a full disk, tails that do not fit the file there is stay where they are.
            let retry = self.ring.growth_fails() && self.restating == Restating::ToSaveSpace;
            if retry {
                self.restating = Restating::No;
            }
            return retry;
        };
        let tails = self.is_restating();
        let writer = &mut self.writer;
        writer.next_sequence += 1;
        writer.last_sum = writer.known_sum;
        writer.current = Some(Current {
            slot,
            sequence,
            at: 0,
            first: writer.next_number,
            records_from: writer.next_number + opening.len() as u64,
            fence: writer.known,
            previous: writer.previous,
            opened: false,
            full: false,
            tails,
        });
        writer.opening = opening.into();
        self.stats.files_opened += 1;
        self.state_tails(sequence);
        true
    }

    /// The checkpoint that opens a file: every replica as it is durably known, in frames.
    fn plan_opening(&self) -> Vec<Vec<Entry>> {
        let mut replicas: Vec<ReplicaNumber> = self.shadows.keys().copied().collect();
        replicas.sort_unstable();
        let (mut frames, mut bytes) = (vec![Vec::new()], 0);
        for replica in replicas {
            let shadow = &self.shadows[&replica];
            let mut stated = Vec::new();
            codec::put_shadow(shadow, &mut stated);
            let bodies = std::iter::once(Body::Shadow(stated.into())).chain(self.tail_to_state(replica));
            for body in bodies {
                let entry = Entry { replica, ordinal: shadow.ordinal, body };
                if bytes > 0 && bytes + entry.weight() > FRAME_PAYLOAD_BYTES {
                    frames.push(Vec::new());
                    bytes = 0;
                }
                bytes += entry.weight();
                frames.last_mut().expect("there is one at least").push(entry);
            }
        }
        frames
    }

    fn submit(&mut self, kind: FrameKind, entries: Vec<Entry>, out: &mut Vec<Effect>) {
        let bytes = format::frame_bytes(&entries);
        let current = self.writer.current.as_ref().expect("frames are written to a file");
        let (slot, at, oldest) = (current.slot, current.at, self.oldest_needed(current.sequence));
        assert!(at + bytes as u64 <= self.ring.len(slot), "a frame of {bytes} at {at} fits its file");
        let header = Header {
            kind,
            misses: self.writer.misses,
            tails: current.tails,
            entries: entries.len() as u32,
            id: self.writer.id,
            run: self.writer.run,
            file: current.sequence,
            number: self.writer.next_number,
            known: self.writer.known,
            oldest,
            fence: current.fence,
            previous: current.previous,
            records_from: current.records_from,
            payload_bytes: 0,
            directory_sum: 0,
            previous_sum: self.writer.last_sum,
            siblings: self.writer.siblings,
            sum: 0,
        };
        let number = header.number;
        let mut buf = self.writer.buffer(bytes);
        let sum = format::encode_frame(header, &entries, &mut buf, &mut self.writer.scratch);
        self.count(&entries, bytes);
        let frame = InFlight { number, kind, entries, bytes, oldest, sum, fate: Fate::Writing };
        let writer = &mut self.writer;
        writer.in_flight.push_back(frame);
        writer.in_flight_bytes += bytes;
        writer.last_sum = sum;
        writer.next_number += 1;
        writer.current.as_mut().expect("checked above").at += bytes as u64;
        let op = DiskOp::Write { file: self.ring.file(slot), at, buf, durable: self.config.sync };
        self.asker.ask(Purpose::Frame(number), op, out);
    }

    fn count(&mut self, entries: &[Entry], bytes: usize) {
        self.stats.frames += 1;
        self.stats.frame_bytes += bytes as u64;
        self.stats.records += entries.len() as u64;
        self.stats.payload_bytes += entries.iter().map(Entry::client_bytes).sum::<usize>() as u64;
    }

    /// A frame's write ended.
    pub(crate) fn on_frame(&mut self, now: Mono, number: u64, result: Result<Done, Failed>, out: &mut Vec<Effect>) {
        let frame = self.writer.in_flight.iter_mut().find(|frame| frame.number == number);
        let frame = frame.expect("only frames in flight end");
        let bytes = frame.bytes;
        let buffer = match result {
            Ok(done) => {
                frame.fate = Fate::Written;
                if let Done::Written { buf } = done { Some(buf) } else { None }
            }
            Err(failed) => {
                frame.fate = Fate::Failed(failed.fault);
                self.stats.write_failures += 1;
                failed.buf
            }
        };
        self.writer.keep(buffer);
        self.writer.in_flight_bytes -= bytes;
        while let Some(frame) = self.writer.in_flight.pop_front_written() {
            self.on_durable(frame, now, out);
        }
        self.retire_if_failed(now);
    }

    /// A frame and all before it are durable.
    fn on_durable(&mut self, mut frame: InFlight, now: Mono, out: &mut Vec<Effect>) {
        let writer = &mut self.writer;
        assert!(frame.number > writer.known, "frames become durable in order");
        writer.known = frame.number;
        writer.known_sum = frame.sum;
        writer.failures = 0;
        writer.failed = None;
        writer.durable_at = now;
        writer.unvouched = !frame.entries.is_empty() || frame.kind == FrameKind::Opening;
        let current = writer.current.as_mut().expect("frames in flight have a file");
        let sequence = current.sequence;
        if frame.number + 1 == current.records_from {
            current.opened = true;
            writer.previous = sequence;
            self.on_opened();
        }
        if frame.kind == FrameKind::Records {
            for entry in &frame.entries {
                self.apply(entry, sequence);
            }
        }
        frame.entries.clear();
        if self.writer.spare.len() < FRAMES_IN_FLIGHT {
            self.writer.spare.push(frame.entries);
        }
        let opened = self.writer.current.as_ref().is_some_and(|current| current.opened);
        if opened && frame.oldest > self.writer.oldest {
            self.writer.oldest = frame.oldest;
            self.ring.free_below(frame.oldest, &mut self.asker, out);
        }
    }

    fn apply(&mut self, entry: &Entry, file: u64) {
        self.durable.push((entry.replica, entry.ordinal));
        let shadow = self.shadows.entry(entry.replica).or_insert_with(|| crate::shadow::Shadow::empty(Ordinal(0)));
        assert!(shadow.ordinal.next() == entry.ordinal, "ordinals have no gaps");
        let before = shadow.pins();
        let applied = shadow.apply(entry.ordinal, &entry.body, file);
        assert!(applied, "replica {} put {:?} where it cannot stand", entry.replica, entry.ordinal);
        let gone = entry.body == Body::Gone;
        let after = shadow.pins().filter(|_| !gone);
        if gone {
            self.shadows.remove(&entry.replica);
            self.lanes.close(entry.replica);
        }
        self.repin(entry.replica, before, after);
    }

    pub(crate) fn repin(&mut self, replica: ReplicaNumber, before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(file) = before {
            let pinned = self.pins.get_mut(&file).expect("what pins is listed");
            pinned.remove(&replica);
            if pinned.is_empty() {
                self.pins.remove(&file);
            }
        }
        if let Some(file) = after {
            self.pins.entry(file).or_default().insert(replica);
        }
    }

    /// If a write failed and none is under way any more: give the file up, and write what is not durable to the next.
    fn retire_if_failed(&mut self, now: Mono) {
        let failed = self.writer.in_flight.iter().find_map(|frame| match frame.fate {
            Fate::Failed(fault) => Some(fault),
            Fate::Writing | Fate::Written => None,
        });
        let Some(fault) = failed else { return };
        if self.writer.in_flight.iter().any(|frame| frame.fate == Fate::Writing) {
            return;
        }
        let writer = &mut self.writer;
        while let Some(frame) = writer.in_flight.pop_back() {
            if frame.kind == FrameKind::Records && !frame.entries.is_empty() {
                writer.redo.push_front(frame.entries);
            }
        }
        writer.opening.clear();
        let current = writer.current.take().expect("frames in flight have a file");
        writer.failures += 1;
        if writer.failures >= 2 {
            // EIO twice is final for this life; a full disk empties again (trap 18).
            let retry_at = (fault == Fault::NoSpace).then(|| now.plus_ms(RETRY_MS));
            writer.broken = Some(Broken { retry_at });
        }
        writer.failed = Some((self.ring.path(current.slot).to_owned(), fault));
        self.ring.retire(current.slot);
        self.stats.files_retired += 1;
    }

    /// Would an empty frame be of use: to say that the last one is durable, or that older files are not needed?
    pub(crate) fn wants_quiet_frame(&self) -> bool {
        let Some(current) = self.writer.current.as_ref().filter(|current| current.opened) else { return false };
        let writer = &self.writer;
        let idle = writer.in_flight.is_empty() && writer.opening.is_empty() && writer.broken.is_none();
        if !idle || !matches!(self.stage, Stage::Running) {
            return false;
        }
        let frees = self.frees(current.sequence);
        if writer.redo.is_empty() && self.lanes.is_empty() {
            let room = self.room_left() / BLOCK_BYTES as u64;
            (writer.unvouched && room >= 2) || (frees && room >= 1)
        } else {
            current.full && frees && self.room_left() >= BLOCK_BYTES as u64
        }
    }

    fn frees(&self, current: u64) -> bool {
        let oldest = self.oldest_needed(current);
        oldest > self.writer.oldest && self.ring.would_free(oldest) > 0
    }

    fn write_quiet_frame(&mut self, now: Mono, out: &mut Vec<Effect>) {
        if !self.wants_quiet_frame() {
            return;
        }
        let waited = now >= self.writer.durable_at.plus_ms(JOURNAL_QUIET_MS);
        let stuck = self.writer.current.as_ref().is_some_and(|current| current.full);
        if waited || stuck || self.stopping {
            self.submit(FrameKind::Records, Vec::new(), out);
        }
    }
}

trait PopWritten {
    fn pop_front_written(&mut self) -> Option<InFlight>;
}

impl PopWritten for VecDeque<InFlight> {
    fn pop_front_written(&mut self) -> Option<InFlight> {
        let written = self.front().is_some_and(|frame| frame.fate == Fate::Written);
        if written { self.pop_front() } else { None }
    }
}

const _: () = assert!(HEADER_BYTES <= BLOCK_BYTES);
