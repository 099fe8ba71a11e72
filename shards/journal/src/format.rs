//! Frames as bytes: directories and payloads behind their header. The tables stand in `lib.rs`.

use bytes::Bytes;
use heddle_model::limits::BLOCK_BYTES;
use heddle_model::{Incarnation, NodeId, Offset, ReplicaNumber, TailBatch, Term, Voter};

use crate::codec::{self, MARK_BYTES, Reader};
use crate::header::SANE;
pub(crate) use crate::header::{FrameKind, HEADER_BYTES, Header};
use crate::record::{Body, Entry, Ordinal, Record, ReplicaState};

/// One entry of a frame's directory. Bytes.
pub(crate) const ENTRY_BYTES: usize = 80;
/// The part of a record batch v2 that its CRC leaves out, the CRC itself included: base offset, length, leader epoch,
/// magic, CRC. Bytes.
pub(crate) const UNSUMMED_BYTES: usize = 21;
const BATCH_CRC_AT: usize = 17;
/// Bytes that a frame of these entries takes in its file.
pub(crate) fn frame_bytes(entries: &[Entry]) -> usize {
    let bytes: usize = entries.iter().map(Entry::weight).sum();
    (HEADER_BYTES + bytes).next_multiple_of(BLOCK_BYTES)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Append = 1,
    State = 2,
    Line = 3,
    Truncate = 4,
    Config = 5,
    LogStart = 6,
    Mark = 7,
    Restate = 8,
    Batch = 9,
    Gone = 10,
    Shadow = 11,
    ShadowBatch = 12,
}

const KINDS: [Kind; 12] = [
    Kind::Append,
    Kind::State,
    Kind::Line,
    Kind::Truncate,
    Kind::Config,
    Kind::LogStart,
    Kind::Mark,
    Kind::Restate,
    Kind::Batch,
    Kind::Gone,
    Kind::Shadow,
    Kind::ShadowBatch,
];

impl Entry {
    /// Bytes of the frame that this entry takes.
    pub fn weight(&self) -> usize {
        ENTRY_BYTES + self.payload_bytes()
    }

    fn payload_bytes(&self) -> usize {
        match &self.body {
            Body::Record(Record::Append(batch, _)) | Body::Batch(batch) | Body::ShadowBatch(batch) => batch.bytes.len(),
            Body::Record(Record::Config(bytes)) | Body::Shadow(bytes) => bytes.len(),
            Body::Record(Record::Mark(_)) => MARK_BYTES,
            Body::Restate { state, .. } => state_bytes(state),
            Body::Record(_) | Body::Gone => 0,
        }
    }

    /// Client bytes in this entry, for the write amplification.
    pub fn client_bytes(&self) -> usize {
        match &self.body {
            Body::Record(Record::Append(batch, _)) => batch.bytes.len(),
            _ => 0,
        }
    }
}

fn state_bytes(state: &ReplicaState) -> usize {
    let vote = if state.vote.is_some() { 8 } else { 0 };
    let mark = if state.mark.is_some() { MARK_BYTES } else { 0 };
    8 + 1 + vote + 16 + 12 + 1 + mark + 4 + state.history.len() * 12 + 4 + state.config.len()
}

/// One row of a directory: the entry but for its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub replica: ReplicaNumber,
    pub ordinal: Ordinal,
    kind: u8,
    flag: u8,
    pub payload_bytes: u32,
    term: i32,
    sum: u32,
    a: i64,
    b: i64,
    commit: i64,
    unsummed: [u8; UNSUMMED_BYTES],
}

impl Row {
    fn new(entry: &Entry, payload: &[u8]) -> Row {
        let mut row = Row {
            replica: entry.replica,
            ordinal: entry.ordinal,
            kind: 0,
            flag: 0,
            payload_bytes: u32::try_from(payload.len()).expect("payloads are far below 4 GiB"),
            term: 0,
            sum: 0,
            a: 0,
            b: 0,
            commit: 0,
            unsummed: [0; UNSUMMED_BYTES],
        };
        row.fill(&entry.body, payload);
        row
    }

    fn fill(&mut self, body: &Body, payload: &[u8]) {
        let kind = match body {
            Body::Record(Record::Append(batch, commit)) => {
                self.commit = commit.0;
                self.fill_batch(batch);
                Kind::Append
            }
            Body::Record(Record::State { term, vote }) => {
                self.term = term.0;
                if let Some(vote) = vote {
                    (self.flag, self.a, self.b) = (1, i64::from(vote.node.0), i64::from(vote.incarnation.0));
                }
                Kind::State
            }
            Body::Record(Record::Line { term, start }) => {
                (self.term, self.a) = (term.0, start.0);
                Kind::Line
            }
            Body::Record(Record::Truncate { to, lines }) => {
                (self.a, self.b) = (to.0, i64::try_from(*lines).expect("histories are short"));
                Kind::Truncate
            }
            Body::Record(Record::Config(_)) => Kind::Config,
            Body::Record(Record::LogStart(offset)) => {
                self.a = offset.0;
                Kind::LogStart
            }
            Body::Record(Record::Mark(_)) => Kind::Mark,
            Body::Restate { batches, damaged, .. } => {
                (self.flag, self.b) = (u8::from(*damaged), i64::from(*batches));
                Kind::Restate
            }
            Body::Batch(batch) => {
                self.fill_batch(batch);
                Kind::Batch
            }
            Body::Gone => Kind::Gone,
            Body::Shadow(_) => Kind::Shadow,
            Body::ShadowBatch(batch) => {
                self.fill_batch(batch);
                Kind::ShadowBatch
            }
        };
        self.kind = kind as u8;
        if !is_batch(kind) {
            self.sum = crc32c::crc32c(payload);
        }
    }

    fn fill_batch(&mut self, batch: &TailBatch) {
        (self.term, self.a, self.b) = (batch.term.0, batch.base.0, batch.next.0);
        self.unsummed.copy_from_slice(&batch.bytes[..UNSUMMED_BYTES]);
    }

    fn encode(&self, out: &mut [u8]) {
        out[0..8].copy_from_slice(&self.replica.0.to_le_bytes());
        out[8..16].copy_from_slice(&self.ordinal.0.to_le_bytes());
        out[16..20].copy_from_slice(&[self.kind, self.flag, 0, 0]);
        out[20..24].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[24..28].copy_from_slice(&self.term.to_le_bytes());
        out[28..32].copy_from_slice(&self.sum.to_le_bytes());
        out[32..40].copy_from_slice(&self.a.to_le_bytes());
        out[40..48].copy_from_slice(&self.b.to_le_bytes());
        out[48..56].copy_from_slice(&self.commit.to_le_bytes());
        out[56..56 + UNSUMMED_BYTES].copy_from_slice(&self.unsummed);
        out[56 + UNSUMMED_BYTES..ENTRY_BYTES].fill(0);
    }

    fn decode(reader: &mut Reader) -> Option<Row> {
        let (replica, ordinal) = (ReplicaNumber(reader.u64()?), Ordinal(reader.u64()?));
        let (kind, flag) = (reader.u8()?, reader.u8()?);
        reader.take(2)?;
        let (payload_bytes, term, sum) = (reader.u32()?, reader.i32()?, reader.u32()?);
        let (a, b, commit) = (reader.i64()?, reader.i64()?, reader.i64()?);
        let unsummed = reader.take(UNSUMMED_BYTES)?.try_into().ok()?;
        reader.take(ENTRY_BYTES - 56 - UNSUMMED_BYTES)?;
        Some(Row { replica, ordinal, kind, flag, payload_bytes, term, sum, a, b, commit, unsummed })
    }

    /// Does the payload hold exactly the bytes that this row names (trap 27)?
    pub fn vouches_for(&self, payload: &[u8]) -> bool {
        if payload.len() != self.payload_bytes as usize {
            return false;
        }
        match self.kind() {
            Some(kind) if is_batch(kind) => {
                let crc = u32::from_be_bytes(self.unsummed[BATCH_CRC_AT..].try_into().expect("a CRC is 4 bytes"));
                payload.len() >= UNSUMMED_BYTES
                    && payload[..UNSUMMED_BYTES] == self.unsummed
                    && crc32c::crc32c(&payload[UNSUMMED_BYTES..]) == crc
            }
            Some(_) => crc32c::crc32c(payload) == self.sum,
            None => false,
        }
    }

    fn kind(&self) -> Option<Kind> {
        KINDS.into_iter().find(|kind| *kind as u8 == self.kind)
    }

    /// A batch after the tail's end.
    pub fn is_append(&self) -> bool {
        self.kind == Kind::Append as u8
    }

    /// A batch of a tail that a checkpoint carries.
    pub fn is_stated_batch(&self) -> bool {
        self.kind == Kind::ShadowBatch as u8
    }

    /// The offset of the batch's first record, if this is a batch.
    pub fn base(&self) -> Offset {
        Offset(self.a)
    }

    /// The body, once the row vouched for the payload. `None`: no body is like this.
    pub fn body(&self, payload: Bytes) -> Option<Body> {
        let record = match self.kind()? {
            Kind::Append => Record::Append(self.batch(payload)?, Offset(self.commit)),
            Kind::State => Record::State { term: Term(self.term), vote: self.vote()? },
            Kind::Line => Record::Line { term: Term(self.term), start: Offset(self.a) },
            Kind::Truncate => Record::Truncate { to: Offset(self.a), lines: usize::try_from(self.b).ok()? },
            Kind::Config => Record::Config(Bytes::copy_from_slice(&payload)),
            Kind::LogStart => Record::LogStart(Offset(self.a)),
            Kind::Mark => {
                let mut reader = Reader::new(&payload);
                let mark = codec::get_mark(&mut reader)?;
                reader.end()?;
                Record::Mark(mark)
            }
            Kind::Restate => {
                let mut reader = Reader::new(&payload);
                let state = Box::new(codec::get_state(&mut reader)?);
                reader.end()?;
                return Some(Body::Restate { state, batches: u32::try_from(self.b).ok()?, damaged: self.flag == 1 });
            }
            Kind::Batch => return Some(Body::Batch(self.batch(payload)?)),
            Kind::Gone => return Some(Body::Gone),
            Kind::Shadow => return Some(Body::Shadow(payload)),
            Kind::ShadowBatch => return Some(Body::ShadowBatch(self.batch(payload)?)),
        };
        Some(Body::Record(record))
    }

    fn batch(&self, bytes: Bytes) -> Option<TailBatch> {
        let batch = TailBatch { term: Term(self.term), base: Offset(self.a), next: Offset(self.b), bytes };
        (batch.base <= batch.next).then_some(batch)
    }

    fn vote(&self) -> Option<Option<Voter>> {
        if self.flag == 0 {
            return Some(None);
        }
        let (node, incarnation) = (i32::try_from(self.a).ok()?, u32::try_from(self.b).ok()?);
        Some(Some(Voter { node: NodeId(node), incarnation: Incarnation(incarnation) }))
    }
}

fn is_batch(kind: Kind) -> bool {
    matches!(kind, Kind::Append | Kind::Batch | Kind::ShadowBatch)
}

/// Writes directory, payload and padding, then the header, of which only places and kind are given; entries, sizes and
/// sums are filled in. The header's sum is returned. `scratch` is working memory.
pub(crate) fn encode_frame(mut header: Header, entries: &[Entry], out: &mut [u8], scratch: &mut Vec<u8>) -> u32 {
    header.entries = u32::try_from(entries.len()).expect("a frame's entries are few");
    let mut row_at = HEADER_BYTES;
    let payload_at = HEADER_BYTES + header.directory_bytes();
    let mut at = payload_at;
    for entry in entries {
        scratch.clear();
        let payload = payload_of(entry, scratch);
        out[at..at + payload.len()].copy_from_slice(payload);
        Row::new(entry, payload).encode(&mut out[row_at..row_at + ENTRY_BYTES]);
        row_at += ENTRY_BYTES;
        at += payload.len();
    }
    out[at..].fill(0);
    header.payload_bytes = (at - payload_at) as u64;
    header.directory_sum = crc32c::crc32c(&out[HEADER_BYTES..payload_at]);
    assert_eq!(header.frame_bytes(), out.len(), "the frame fills its buffer");
    header.encode(out)
}

fn payload_of<'a>(entry: &'a Entry, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    match &entry.body {
        Body::Record(Record::Append(batch, _)) | Body::Batch(batch) | Body::ShadowBatch(batch) => &batch.bytes,
        Body::Record(Record::Config(bytes)) | Body::Shadow(bytes) => bytes,
        Body::Record(Record::Mark(mark)) => {
            codec::put_mark(mark, scratch);
            scratch
        }
        Body::Restate { state, .. } => {
            codec::put_state(state, scratch);
            scratch
        }
        Body::Record(_) | Body::Gone => &[],
    }
}

/// The directory of a frame whose header is good, each row with where in `frame` its payload stands. `None`: the
/// directory is damaged or not all there. `frame` begins with the header and may be longer than the frame.
pub(crate) fn decode_directory(header: &Header, frame: &[u8]) -> Option<Vec<(Row, std::ops::Range<usize>)>> {
    let payload_at = HEADER_BYTES + header.directory_bytes();
    let frame = frame.get(..header.frame_bytes())?;
    let directory = &frame[HEADER_BYTES..payload_at];
    if crc32c::crc32c(directory) != header.directory_sum {
        return None;
    }
    let mut reader = Reader::new(directory);
    let mut rows = Vec::with_capacity(header.entries as usize);
    let mut at = payload_at;
    for _ in 0..header.entries {
        let row = Row::decode(&mut reader).filter(|row| row.ordinal.0 < SANE)?;
        let end = at.checked_add(row.payload_bytes as usize)?;
        frame.get(at..end)?;
        rows.push((row, at..end));
        at = end;
    }
    (at - payload_at == header.payload_bytes as usize).then_some(rows)
}

#[cfg(test)]
mod tests {
    use heddle_model::{Mark, Point};

    use super::*;
    use crate::report::Siblings;
    use crate::testing::batch;

    fn header() -> Header {
        Header {
            kind: FrameKind::Records,
            misses: true,
            tails: false,
            entries: 0,
            id: 77,
            run: 2,
            file: 3,
            number: 9,
            known: 7,
            oldest: 1,
            fence: 4,
            previous: 2,
            records_from: 6,
            payload_bytes: 0,
            directory_sum: 0,
            previous_sum: 5,
            siblings: Siblings { count: 3, sum: 99 },
            sum: 0,
        }
    }

    fn bodies() -> Vec<Body> {
        let mark = Mark {
            offset: Offset(3),
            store: 1,
            segment: Offset(2),
            generation: 4,
            segment_bytes: 8192,
            side_bytes: 4096,
        };
        let vote = Some(Voter { node: NodeId(-3), incarnation: Incarnation(u32::MAX) });
        let state = ReplicaState {
            placement: 9,
            term: Term(4),
            vote,
            history: vec![(Term(1), Offset(0)), (Term(4), Offset(8))],
            config: Bytes::from_static(b"members"),
            log_start: Offset(1),
            commit: Offset(2),
            mark: Some(mark.clone()),
            start: Point { term: Term(1), offset: Offset(1) },
        };
        vec![
            Body::Record(Record::Append(batch(Term(4), 5, 3, 100, 1), Offset(4))),
            Body::Record(Record::State { term: Term(5), vote }),
            Body::Record(Record::State { term: Term(6), vote: None }),
            Body::Record(Record::Line { term: Term(6), start: Offset(8) }),
            Body::Record(Record::Truncate { to: Offset(6), lines: 3 }),
            Body::Record(Record::Config(Bytes::from_static(b"abc"))),
            Body::Record(Record::LogStart(Offset(4))),
            Body::Record(Record::Mark(mark)),
            Body::Restate { state: Box::new(state.clone()), batches: 1, damaged: false },
            Body::Restate { state: Box::new(state), batches: 1, damaged: true },
            Body::Batch(batch(Term(4), 8, 1, 70, 2)),
            Body::Gone,
            Body::Shadow(Bytes::from_static(b"xyz")),
            Body::ShadowBatch(batch(Term(4), 8, 1, 61, 3)),
        ]
    }

    fn entries() -> Vec<Entry> {
        let number = |(at, body)| Entry { replica: ReplicaNumber(40 + at as u64), ordinal: Ordinal(at as u64), body };
        bodies().into_iter().enumerate().map(number).collect()
    }

    fn frame() -> Vec<u8> {
        let mut out = vec![0xaa; frame_bytes(&entries())];
        encode_frame(header(), &entries(), &mut out, &mut Vec::new());
        out
    }

    #[test]
    fn every_kind_of_entry_comes_back() {
        let frame = Bytes::from(frame());
        let read = Header::decode(&frame).unwrap();
        assert_eq!((read.number, read.entries, read.frame_bytes()), (9, 14, frame.len()));
        let rows = decode_directory(&read, &frame).unwrap();
        let back = rows.into_iter().map(|(row, place)| {
            assert!(row.vouches_for(&frame[place.clone()]));
            Entry { replica: row.replica, ordinal: row.ordinal, body: row.body(frame.slice(place)).unwrap() }
        });
        assert_eq!(back.collect::<Vec<_>>(), entries());
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let good = frame();
        let end = good.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in 0..end {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let whole = Header::decode(&bad).is_some_and(|header| {
                decode_directory(&header, &bad)
                    .is_some_and(|rows| rows.iter().all(|(row, place)| row.vouches_for(&bad[place.clone()])))
            });
            assert!(!whole, "byte {at}");
        }
    }

    #[test]
    fn another_batch_of_the_same_size_does_not_pass() {
        let mut frame = frame();
        let header = Header::decode(&frame).unwrap();
        let rows = decode_directory(&header, &frame).unwrap();
        let (row, place) = &rows[0];
        for other in [batch(Term(4), 5, 3, 100, 9), batch(Term(4), 6, 3, 100, 1), batch(Term(3), 5, 3, 100, 1)] {
            frame[place.clone()].copy_from_slice(&other.bytes);
            assert!(!row.vouches_for(&frame[place.clone()]));
        }
    }

    #[test]
    fn sizes_are_known_before_writing() {
        for entry in entries() {
            let mut scratch = Vec::new();
            assert_eq!(entry.payload_bytes(), payload_of(&entry, &mut scratch).len(), "{:?}", entry.body);
        }
    }
}
