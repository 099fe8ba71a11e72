//! Side records: what they say, and how they are written. Reading them is `reader.rs`; the format stands in `lib.rs`.

mod reader;
#[cfg(test)]
mod tests;

use heddle_border::Blocks;
use heddle_model::ReplicaNumber;
use heddle_model::limits::BLOCK_BYTES;

use crate::Identity;
use crate::lists::List;
use crate::segment::{Segment, SegmentKey, Span};

pub(crate) use reader::{Reader, Step};

const MAGIC: u32 = u32::from_le_bytes(*b"HSID");
const VERSION: u16 = 3;
/// Of a record whose list begins with a link. Who does not know links must not take such a list for all there is.
const VERSION_LINKED: u16 = 4;
const FIRST: u16 = 1;
const SNAPSHOT: u16 = 2;
const COMPACTED: u16 = 4;
const LINKED: u16 = 8;
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
    pub(crate) list: List,
    /// The segment itself, if compaction wrote it: this is then the file's only record, and its seal.
    pub(crate) own: Option<Box<Segment>>,
    pub(crate) snapshot: Option<Vec<u8>>,
    pub(crate) changes: Vec<u8>,
}

impl Record {
    fn content_bytes(&self) -> usize {
        self.spans.len() * SPAN_ENTRY_BYTES
            + (self.list.segments.len() + usize::from(self.own.is_some())) * SEALED_ENTRY_BYTES
            + self.snapshot.as_ref().map_or(0, Vec::len)
            + self.changes.len()
    }

    /// What the record takes in the file, with its filling.
    pub(crate) fn padded_bytes(&self) -> usize {
        (HEADER_BYTES + self.content_bytes()).next_multiple_of(BLOCK_BYTES)
    }

    /// The record's blocks, and its header checksum for the next record's chain.
    pub(crate) fn encode(&self, place: &Place) -> (Blocks, u32) {
        let List { segments: older, is_linked } = &self.list;
        assert!(older.is_empty() || place.at == 0, "older segments are listed in the first record only");
        assert!(self.own.is_none() || (place.at == 0 && older.is_empty()), "a seal stands alone");
        assert!(!is_linked || older.first().is_some_and(|link| link.key < place.key), "a link is older");
        let len = HEADER_BYTES + self.content_bytes();
        let mut content = Vec::with_capacity(self.content_bytes());
        self.spans.iter().for_each(|span| write_span(span, &mut content));
        older.iter().chain(self.own.as_deref()).for_each(|segment| write_sealed(segment, &mut content));
        content.extend_from_slice(self.snapshot.as_deref().unwrap_or_default());
        content.extend_from_slice(&self.changes);

        let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
        let flags = flag(place.at == 0, FIRST)
            | flag(self.snapshot.is_some(), SNAPSHOT)
            | flag(self.own.is_some(), COMPACTED)
            | flag(*is_linked, LINKED);
        let version = if *is_linked { VERSION_LINKED } else { VERSION };
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC.to_le_bytes());
        header.extend_from_slice(&version.to_le_bytes());
        header.extend_from_slice(&flags.to_le_bytes());
        header.extend_from_slice(&place.replica.0.to_le_bytes());
        header.extend_from_slice(&place.store.to_le_bytes());
        header.extend_from_slice(&place.key.generation.to_le_bytes());
        header.extend_from_slice(&place.key.base.0.to_le_bytes());
        header.extend_from_slice(&place.at.to_le_bytes());
        header.extend_from_slice(&place.chain.to_le_bytes());
        header.extend_from_slice(&count(self.spans.len()).to_le_bytes());
        header.extend_from_slice(&count(older.len() + usize::from(self.own.is_some())).to_le_bytes());
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
    out.extend_from_slice(&span.epoch.0.to_le_bytes());
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
