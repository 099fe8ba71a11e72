//! Reading side records, which may be anything: nothing counts before its checksum, its place and its content agree.

use heddle_model::limits::{BATCH_BYTES_MAX, BLOCK_BYTES};
use heddle_model::{LeaderEpoch, Offset, ReplicaNumber};

use super::{
    COMPACTED, FIRST, HEADER_BYTES, LINKED, MAGIC, Place, Record, SEALED_ENTRY_BYTES, SNAPSHOT, SPAN_ENTRY_BYTES,
    VERSION, VERSION_LINKED,
};
use crate::Identity;
use crate::lists::List;
use crate::segment::{Index, Segment, SegmentKey, Span};

/// Takes fixed fields from the front of bytes whose length was checked.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("lengths are checked before fields are read");
        self.0 = rest;
        *field
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(super) fn u32(&mut self) -> u32 {
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
        let (version, flags) = (fields.u16(), fields.u16());
        if version != if flags & LINKED == 0 { VERSION } else { VERSION_LINKED } {
            return Err("has a version that is not known");
        }
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
        let is_linked = header.flags & LINKED != 0;
        if is_linked && (self.place.at != 0 || sealed.first().is_none_or(|link| link.key >= self.place.key)) {
            return Err("names no older segment that knows more");
        }
        let list = List { segments: sealed, is_linked };
        let (snapshot, changes) = fields.0.split_at(header.snapshot);
        let snapshot = (header.flags & SNAPSHOT != 0).then(|| snapshot.to_vec());
        Ok(Record { written_ms: header.written_ms, spans, list, own: None, snapshot, changes: changes.to_vec() })
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
        epoch: LeaderEpoch(fields.i32()),
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
