//! Side records as bytes: writing, and reading what may be anything. The format stands in `lib.rs`.

use heddle_border::Blocks;
use heddle_model::limits::{BATCH_BYTES_MAX, BLOCK_BYTES};
use heddle_model::{Offset, ReplicaNumber, Term};

use crate::Identity;
use crate::segment::{Index, Segment, SegmentKey, Span};

const MAGIC: u32 = u32::from_le_bytes(*b"HSID");
const VERSION: u16 = 1;
const FIRST: u16 = 1;
const SNAPSHOT: u16 = 2;
const COMPACTED: u16 = 4;
const HEADER_BYTES: usize = 80;
const SPAN_ENTRY_BYTES: usize = 48;
const SEALED_ENTRY_BYTES: usize = 56;

/// Where a record stands: everything that must agree before its content counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) replica: ReplicaNumber,
    pub(crate) store: u32,
    pub(crate) key: SegmentKey,
    /// Position in the side file.
    pub(crate) at: u64,
    /// Header checksum of the record before it.
    pub(crate) chain: u32,
}

impl Place {
    /// Of a segment's first side record.
    pub(crate) fn first(id: &Identity, key: SegmentKey) -> Place {
        Place { replica: id.replica, store: id.store, key, at: 0, chain: 0 }
    }
}

/// What one side record says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Record {
    pub(crate) written_ms: i64,
    pub(crate) spans: Vec<Span>,
    /// Older segments of the log; in the first record of a file only. Their indexes are absent.
    pub(crate) sealed: Vec<Segment>,
    /// The segment itself, if compaction wrote it: this is then the file's only record, and its seal.
    pub(crate) own: Option<Box<Segment>>,
    pub(crate) snapshot: Option<Vec<u8>>,
    pub(crate) changes: Vec<u8>,
}

impl Record {
    fn content_bytes(&self) -> usize {
        self.spans.len() * SPAN_ENTRY_BYTES
            + (self.sealed.len() + usize::from(self.own.is_some())) * SEALED_ENTRY_BYTES
            + self.snapshot.as_ref().map_or(0, Vec::len)
            + self.changes.len()
    }

    /// What the record takes in the file, with its filling.
    pub(crate) fn padded_bytes(&self) -> usize {
        (HEADER_BYTES + self.content_bytes()).next_multiple_of(BLOCK_BYTES)
    }

    /// The record's blocks, and its header checksum for the next record's chain.
    pub(crate) fn encode(&self, place: &Place) -> (Blocks, u32) {
        assert!(self.sealed.is_empty() || place.at == 0, "older segments are listed in the first record only");
        assert!(self.own.is_none() || (place.at == 0 && self.sealed.is_empty()), "a seal stands alone");
        let len = HEADER_BYTES + self.content_bytes();
        let mut content = Vec::with_capacity(self.content_bytes());
        self.spans.iter().for_each(|span| write_span(span, &mut content));
        self.sealed.iter().chain(self.own.as_deref()).for_each(|segment| write_sealed(segment, &mut content));
        content.extend_from_slice(self.snapshot.as_deref().unwrap_or_default());
        content.extend_from_slice(&self.changes);

        let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
        let flags =
            flag(place.at == 0, FIRST) | flag(self.snapshot.is_some(), SNAPSHOT) | flag(self.own.is_some(), COMPACTED);
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC.to_le_bytes());
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&flags.to_le_bytes());
        header.extend_from_slice(&place.replica.0.to_le_bytes());
        header.extend_from_slice(&place.store.to_le_bytes());
        header.extend_from_slice(&place.key.generation.to_le_bytes());
        header.extend_from_slice(&place.key.base.0.to_le_bytes());
        header.extend_from_slice(&place.at.to_le_bytes());
        header.extend_from_slice(&place.chain.to_le_bytes());
        header.extend_from_slice(&count(self.spans.len()).to_le_bytes());
        header.extend_from_slice(&count(self.sealed.len() + usize::from(self.own.is_some())).to_le_bytes());
        header.extend_from_slice(&count(self.snapshot.as_ref().map_or(0, Vec::len)).to_le_bytes());
        header.extend_from_slice(&count(self.changes.len()).to_le_bytes());
        header.extend_from_slice(&0u32.to_le_bytes());
        header.extend_from_slice(&self.written_ms.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
        let chain = crc32c::crc32c(&header);
        header.extend_from_slice(&chain.to_le_bytes());
        assert_eq!(header.len(), HEADER_BYTES, "the header is as long as the format says");

        let mut blocks = Blocks::zeroed(len);
        blocks[..HEADER_BYTES].copy_from_slice(&header);
        blocks[HEADER_BYTES..len].copy_from_slice(&content);
        (blocks, chain)
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("a side record is far below 4 GiB")
}

fn write_span(span: &Span, out: &mut Vec<u8>) {
    out.extend_from_slice(&span.base.0.to_le_bytes());
    out.extend_from_slice(&span.next.0.to_le_bytes());
    out.extend_from_slice(&span.at.to_le_bytes());
    out.extend_from_slice(&span.len.to_le_bytes());
    out.extend_from_slice(&span.crc.to_le_bytes());
    out.extend_from_slice(&span.max_timestamp.to_le_bytes());
    out.extend_from_slice(&span.term.0.to_le_bytes());
    out.extend_from_slice(&span.first_below_ms.to_le_bytes());
}

fn write_sealed(segment: &Segment, out: &mut Vec<u8>) {
    out.extend_from_slice(&segment.key.base.0.to_le_bytes());
    out.extend_from_slice(&segment.next.0.to_le_bytes());
    out.extend_from_slice(&segment.bytes.to_le_bytes());
    out.extend_from_slice(&segment.side_bytes.to_le_bytes());
    out.extend_from_slice(&segment.max_timestamp.to_le_bytes());
    out.extend_from_slice(&segment.written_ms.to_le_bytes());
    out.extend_from_slice(&segment.key.generation.to_le_bytes());
    out.extend_from_slice(&segment.cleaned_s.to_le_bytes());
}

/// Takes fixed fields from the front of bytes whose length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("lengths are checked before fields are read");
        self.0 = rest;
        *field
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }
}

struct Header {
    flags: u16,
    spans: usize,
    sealed: usize,
    snapshot: usize,
    changes: usize,
    written_ms: i64,
    content_crc: u32,
    chain: u32,
}

impl Header {
    fn read(bytes: &[u8; HEADER_BYTES], place: &Place) -> Result<Header, &'static str> {
        let mut fields = Fields(bytes);
        if fields.u32() != MAGIC {
            return Err("is no side record");
        }
        let chain = u32::from_le_bytes([bytes[76], bytes[77], bytes[78], bytes[79]]);
        if crc32c::crc32c(&bytes[..76]) != chain {
            return Err("has a header that fails its checksum");
        }
        if fields.u16() != VERSION {
            return Err("has a version that is not known");
        }
        let flags = fields.u16();
        let (replica, store, generation) = (ReplicaNumber(fields.u64()), fields.u32(), fields.u32());
        let key = SegmentKey { base: Offset(fields.i64()), generation };
        let stated = Place { replica, store, key, at: fields.u64(), chain: fields.u32() };
        if stated != *place || (flags & FIRST != 0) != (place.at == 0) {
            return Err("belongs elsewhere");
        }
        let [spans, sealed, snapshot, changes] = [(); 4].map(|()| fields.u32() as usize);
        fields.u32();
        let (written_ms, content_crc) = (fields.i64(), fields.u32());
        Ok(Header { flags, spans, sealed, snapshot, changes, written_ms, content_crc, chain })
    }

    /// Bytes of the record without filling. Four 32-bit counts cannot overflow it.
    fn len(&self) -> u64 {
        let entries = self.spans as u64 * SPAN_ENTRY_BYTES as u64 + self.sealed as u64 * SEALED_ENTRY_BYTES as u64;
        HEADER_BYTES as u64 + entries + self.snapshot as u64 + self.changes as u64
    }
}

/// What `Reader::next` found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The record is not all there: this many bytes are needed from where it begins.
    Short(u64),
    /// The record, and the bytes it takes with its filling.
    Record(Record, usize),
}

/// Reads the side records of one segment in order, trusting nothing.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    place: Place,
    /// What counts of the file.
    side_bytes: u64,
    /// Where the next span must begin in the segment, and its lowest offset.
    log_at: u64,
    next: Offset,
}

impl Reader {
    pub(crate) fn new(id: &Identity, key: SegmentKey, side_bytes: u64) -> Reader {
        Reader { place: Place::first(id, key), side_bytes, log_at: 0, next: key.base }
    }

    /// Where the next record begins.
    pub(crate) fn at(&self) -> u64 {
        self.place.at
    }

    pub(crate) fn chain(&self) -> u32 {
        self.place.chain
    }

    /// The offset up to which everything is known.
    pub(crate) fn next_offset(&self) -> Offset {
        self.next
    }

    pub(crate) fn is_over(&self) -> bool {
        self.place.at >= self.side_bytes
    }

    /// Read one record from the front of `bytes`, which begin at `at()`. The error says in words what is wrong.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Step, String> {
        let found = self.parse(bytes);
        found.map_err(|what| {
            let SegmentKey { base, generation } = self.place.key;
            format!("side record at {} of segment {base}-{generation} {what}", self.place.at)
        })
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Step, &'static str> {
        let Some((header, content)) = bytes.split_first_chunk() else {
            return Ok(Step::Short(BLOCK_BYTES as u64));
        };
        let header = Header::read(header, &self.place)?;
        let padded = header.len().next_multiple_of(BLOCK_BYTES as u64);
        if padded > self.side_bytes - self.place.at {
            return Err("reaches beyond the mark");
        }
        let whole = usize::try_from(padded).map_err(|_| "is larger than memory")?;
        if bytes.len() < whole {
            return Ok(Step::Short(padded));
        }
        let content = &content[..header.len() as usize - HEADER_BYTES];
        if crc32c::crc32c(content) != header.content_crc {
            return Err("has content that fails its checksum");
        }
        let record = self.read_content(&header, content)?;
        if let Some(last) = record.spans.last() {
            (self.log_at, self.next) = (last.end(), last.next);
        }
        if let Some(own) = &record.own {
            // Its last batches may have vanished.
            self.next = own.next;
        }
        (self.place.at, self.place.chain) = (self.place.at + padded, header.chain);
        Ok(Step::Record(record, whole))
    }

    /// The checksums agree, so what does not fit here is our own writing; it is refused all the same.
    fn read_content(&self, header: &Header, content: &[u8]) -> Result<Record, &'static str> {
        let mut fields = Fields(content);
        let (mut log_at, mut next) = (self.log_at, self.next);
        let mut spans = Vec::with_capacity(header.spans);
        for _ in 0..header.spans {
            let span = read_span(&mut fields);
            let fits = span.len > 0 && span.len as usize <= BATCH_BYTES_MAX && span.base < span.next;
            if !fits || span.at != log_at || span.base < next {
                return Err("names a span that does not fit");
            }
            (log_at, next) = (span.end(), span.next);
            spans.push(span);
        }
        if header.flags & COMPACTED != 0 {
            return self.read_seal(header, fields, spans);
        }
        let mut sealed: Vec<Segment> = Vec::with_capacity(header.sealed);
        for _ in 0..header.sealed {
            let segment = read_sealed(&mut fields);
            let follows = sealed.last().is_none_or(|last| last.next <= segment.key.base);
            if segment.key.base > segment.next || segment.next > self.place.key.base || !follows {
                return Err("names an older segment that does not fit");
            }
            sealed.push(segment);
        }
        let (snapshot, changes) = fields.0.split_at(header.snapshot);
        let snapshot = (header.flags & SNAPSHOT != 0).then(|| snapshot.to_vec());
        Ok(Record { written_ms: header.written_ms, spans, sealed, own: None, snapshot, changes: changes.to_vec() })
    }

    /// The one record of a compacted segment says what the segment is as a whole.
    fn read_seal(&self, header: &Header, mut fields: Fields<'_>, spans: Vec<Span>) -> Result<Record, &'static str> {
        if header.sealed != 1 || self.place.at != 0 {
            return Err("is a seal where none can stand");
        }
        let own = read_sealed(&mut fields);
        let (bytes, next) = spans.last().map_or((0, own.key.base), |last| (last.end(), last.next));
        let fits = own.key == self.place.key && own.bytes == bytes && own.next >= next;
        if !fits || own.side_bytes != header.len().next_multiple_of(BLOCK_BYTES as u64) {
            return Err("is a seal of another segment");
        }
        let (written_ms, own) = (header.written_ms, Some(Box::new(own)));
        Ok(Record { written_ms, spans, own, snapshot: Some(Vec::new()), ..Record::default() })
    }
}

fn read_span(fields: &mut Fields<'_>) -> Span {
    Span {
        base: Offset(fields.i64()),
        next: Offset(fields.i64()),
        at: fields.u64(),
        len: fields.u32(),
        crc: fields.u32(),
        max_timestamp: fields.i64(),
        term: Term(fields.i32()),
        first_below_ms: fields.u32(),
    }
}

fn read_sealed(fields: &mut Fields<'_>) -> Segment {
    let (base, next) = (Offset(fields.i64()), Offset(fields.i64()));
    let (bytes, side_bytes) = (fields.u64(), fields.u64());
    let (max_timestamp, written_ms) = (fields.i64(), fields.i64());
    let key = SegmentKey { base, generation: fields.u32() };
    let (cleaned_s, index) = (fields.u32(), Index::Absent);
    Segment { key, next, bytes, side_bytes, max_timestamp, created_ms: 0, written_ms, cleaned_s, index }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: Identity = Identity { owner: 1, replica: ReplicaNumber(5), store: 2 };

    fn key(base: i64) -> SegmentKey {
        SegmentKey { base: Offset(base), generation: 1 }
    }

    fn span(base: i64, next: i64, at: u64, len: u32) -> Span {
        let (base, next, term) = (Offset(base), Offset(next), Term(3));
        Span { base, next, at, len, crc: 7, max_timestamp: 11, term, first_below_ms: 5 }
    }

    fn first() -> Record {
        let mut older = Segment::empty(key(0)).without_index();
        (older.next, older.bytes, older.side_bytes, older.max_timestamp) = (Offset(100), 8192, 4096, 55);
        Record {
            written_ms: 1234,
            spans: vec![span(100, 110, 0, 5000), span(115, 120, 8192, 10)],
            sealed: vec![older],
            own: None,
            snapshot: Some(b"everything".to_vec()),
            changes: Vec::new(),
        }
    }

    fn second() -> Record {
        Record { spans: vec![span(120, 121, 12288, 4096)], changes: vec![9; 10_000], ..Record::default() }
    }

    /// Two records as they follow each other in a file.
    fn file() -> Vec<u8> {
        let place = Place::first(&ID, key(100));
        let (one, chain) = first().encode(&place);
        let (two, _) = second().encode(&Place { at: one.len() as u64, chain, ..place });
        [&one[..], &two[..]].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Record>, String> {
        let mut reader = Reader::new(&ID, key(100), bytes.len() as u64);
        let (mut records, mut at) = (Vec::new(), 0);
        while !reader.is_over() {
            match reader.next(&bytes[at..])? {
                Step::Short(_) => return Err("short".to_owned()),
                Step::Record(record, len) => {
                    at += len;
                    records.push(record);
                }
            }
        }
        Ok(records)
    }

    #[test]
    fn records_come_back_as_written() {
        assert_eq!(read(&file()), Ok(vec![first(), second()]));
    }

    #[test]
    fn a_record_that_is_not_all_there_is_waited_for() {
        let file = file();
        let mut reader = Reader::new(&ID, key(100), file.len() as u64);
        for len in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, BLOCK_BYTES - 1] {
            assert!(matches!(reader.next(&file[..len]), Ok(Step::Short(_))), "{len}");
        }
        assert!(matches!(reader.next(&file), Ok(Step::Record(_, BLOCK_BYTES))));
        assert_eq!(reader.next(&file[BLOCK_BYTES..][..BLOCK_BYTES]), Ok(Step::Short(3 * BLOCK_BYTES as u64)));
    }

    #[test]
    fn a_record_counts_only_in_its_place() {
        let file = file();
        for wrong in [
            Reader::new(&Identity { replica: ReplicaNumber(6), ..ID }, key(100), file.len() as u64),
            Reader::new(&Identity { store: 3, ..ID }, key(100), file.len() as u64),
            Reader::new(&ID, key(99), file.len() as u64),
            Reader::new(&ID, SegmentKey { generation: 2, ..key(100) }, file.len() as u64),
        ] {
            assert!(wrong.clone().next(&file).is_err());
        }
        let mut second_first = Reader::new(&ID, key(100), file.len() as u64);
        assert!(second_first.next(&file[BLOCK_BYTES..]).is_err(), "not at the position of the first");
    }

    #[test]
    fn a_record_of_another_chain_does_not_follow() {
        let mut file = file();
        let place = Place { at: BLOCK_BYTES as u64, chain: 99, ..Place::first(&ID, key(100)) };
        let (stale, _) = second().encode(&place);
        file[BLOCK_BYTES..].copy_from_slice(&stale);
        assert!(read(&file).is_err());
    }

    #[test]
    fn a_record_does_not_reach_beyond_the_mark() {
        let file = file();
        let mut reader = Reader::new(&ID, key(100), 2 * BLOCK_BYTES as u64);
        assert!(matches!(reader.next(&file), Ok(Step::Record(..))));
        assert!(reader.next(&file[BLOCK_BYTES..]).is_err());
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let whole = file();
        let counted = (HEADER_BYTES + first().content_bytes()) * 8;
        for bit in 0..counted {
            let mut file = whole.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&file).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            prop_assert!(bytes.is_empty() || read(&bytes).is_err());
        }

        #[test]
        fn right_checksums_over_wrong_content_never_panic(
            patches in proptest::collection::vec((4usize..72, any::<u8>()), 0..6),
            content in proptest::collection::vec((HEADER_BYTES..BLOCK_BYTES, any::<u8>()), 0..20),
        ) {
            let mut file = file();
            for (at, byte) in patches.into_iter().chain(content) {
                file[at] = byte;
            }
            let mut fields = Fields(&file[44..60]);
            let [spans, sealed, snapshot, changes] = [(); 4].map(|()| fields.u32() as usize);
            let len = spans * SPAN_ENTRY_BYTES + sealed * SEALED_ENTRY_BYTES + snapshot + changes;
            if let Some(content) = file.get(HEADER_BYTES..HEADER_BYTES + len) {
                let crc = crc32c::crc32c(content);
                file[72..76].copy_from_slice(&crc.to_le_bytes());
            }
            let crc = crc32c::crc32c(&file[..76]);
            file[76..80].copy_from_slice(&crc.to_le_bytes());
            if let Ok(records) = read(&file) {
                prop_assert!(records.iter().all(|record| record.spans.iter().all(|span| span.base < span.next)));
            }
        }
    }
}
