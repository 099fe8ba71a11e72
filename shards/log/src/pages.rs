//! `.keys` files: digests of spans, a page at a time. Nothing in them is needed: what a page says of a span counts only if
//! the page's checksum holds and the span is still the one that it speaks of, by its place and checksum; what no page
//! speaks of is read itself. So they are written without flushes, and what a crash leaves of them does no harm.
//!
//! A page begins at a multiple of `PAGE_BYTES`. Integers are little-endian.
//!
//! | at | bytes | field |
//! |---:|------:|-------|
//! |  0 | 4 | magic `HKEY` |
//! |  4 | 2 | format version, 1 |
//! |  6 | 2 | zero |
//! |  8 | 8 | replica number |
//! | 16 | 4 | store |
//! | 20 | 4 | generation of the segment |
//! | 24 | 8 | base offset of the segment |
//! | 32 | 4 | bytes of its entries |
//! | 36 | 4 | CRC32C of the entries |
//! | 40 | 4 | CRC32C of the 40 bytes before |
//! | 44 |   | entries, each: the span's base 8, next 8, position 8, CRC32C 4, bytes of its digest 4, the digest (`digest.rs`) |

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_border::Blocks;
use heddle_model::Offset;
use heddle_model::limits::BLOCK_BYTES;

use crate::Identity;
use crate::digest::is_whole;
use crate::segment::{SegmentKey, Span};

pub(crate) const PAGE_BYTES: usize = 64 * 1024;
const MAGIC: u32 = u32::from_le_bytes(*b"HKEY");
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 44;
const ENTRY_BYTES: usize = 32;
/// The longest digest that a page takes.
pub(crate) const DIGEST_BYTES_MAX: usize = PAGE_BYTES - HEADER_BYTES - ENTRY_BYTES;

/// A page that is being filled.
#[derive(Default)]
pub(crate) struct Page {
    entries: Vec<u8>,
}

impl Page {
    pub(crate) fn has_room(&self, digest: &[u8]) -> bool {
        HEADER_BYTES + self.entries.len() + ENTRY_BYTES + digest.len() <= PAGE_BYTES
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity()
    }

    /// `has_room` was asked.
    pub(crate) fn add(&mut self, span: &Span, digest: &[u8]) {
        self.entries.extend_from_slice(&span.base.0.to_le_bytes());
        self.entries.extend_from_slice(&span.next.0.to_le_bytes());
        self.entries.extend_from_slice(&span.at.to_le_bytes());
        self.entries.extend_from_slice(&span.crc.to_le_bytes());
        self.entries.extend_from_slice(&word(digest.len()).to_le_bytes());
        self.entries.extend_from_slice(digest);
    }

    pub(crate) fn encode(&self, id: &Identity, key: SegmentKey) -> Blocks {
        let end = HEADER_BYTES + self.entries.len();
        let mut blocks = Blocks::zeroed(end);
        blocks[..HEADER_BYTES - 4].copy_from_slice(&header(id, key, &self.entries));
        let sum = crc32c::crc32c(&blocks[..HEADER_BYTES - 4]);
        blocks[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        blocks[HEADER_BYTES..end].copy_from_slice(&self.entries);
        assert!(blocks.len() <= PAGE_BYTES && blocks.len().is_multiple_of(BLOCK_BYTES), "a page is whole blocks");
        blocks
    }
}

fn word(len: usize) -> u32 {
    u32::try_from(len).expect("a page is far below 4 GiB")
}

/// All of the header but its own checksum.
fn header(id: &Identity, key: SegmentKey, entries: &[u8]) -> [u8; HEADER_BYTES - 4] {
    let mut header = [0; HEADER_BYTES - 4];
    header[..4].copy_from_slice(&MAGIC.to_le_bytes());
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    header[8..16].copy_from_slice(&id.replica.0.to_le_bytes());
    header[16..20].copy_from_slice(&id.store.to_le_bytes());
    header[20..24].copy_from_slice(&key.generation.to_le_bytes());
    header[24..32].copy_from_slice(&key.base.0.to_le_bytes());
    header[32..36].copy_from_slice(&word(entries.len()).to_le_bytes());
    header[36..].copy_from_slice(&crc32c::crc32c(entries).to_le_bytes());
    header
}

/// What a page says of one span.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    base: Offset,
    next: Offset,
    at: u64,
    crc: u32,
    digest: Bytes,
}

impl Entry {
    /// Whether it speaks of this span, and not of one that stood there before a crash, and of all of it.
    fn is_of(&self, span: &Span) -> bool {
        (self.base, self.next, self.at, self.crc) == (span.base, span.next, span.at, span.crc)
            && is_whole(&self.digest, span)
    }
}

/// The entries of a page, none if these bytes are no whole page of this segment.
fn entries(page: &Bytes, id: &Identity, key: SegmentKey) -> VecDeque<Entry> {
    let mut found = VecDeque::new();
    let Some((head, rest)) = page.split_at_checked(HEADER_BYTES) else { return found };
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let long = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let Some(content) = rest.get(..word(&head[32..36]) as usize) else { return found };
    let known = header(id, key, content);
    if head[..HEADER_BYTES - 4] != known || word(&head[HEADER_BYTES - 4..]) != crc32c::crc32c(&known) {
        return found;
    }
    let mut left = page.slice_ref(content);
    while left.len() >= ENTRY_BYTES {
        let head = left.split_to(ENTRY_BYTES);
        let len = word(&head[28..]) as usize;
        if len > left.len() {
            break;
        }
        found.push_back(Entry {
            base: Offset(long(&head[..8]) as i64),
            next: Offset(long(&head[8..16]) as i64),
            at: long(&head[16..24]),
            crc: word(&head[24..28]),
            digest: left.split_to(len),
        });
    }
    found
}

/// Reading the pages of one segment, in order, a few ahead.
pub(crate) struct Pages {
    /// Bytes of the file, and from where on nothing was asked for.
    bytes: u64,
    at: u64,
    /// Those that were asked for: where they stand, and what came.
    ahead: VecDeque<(u64, Option<VecDeque<Entry>>)>,
}

/// Pages in memory or on their way.
pub(crate) const PAGES_AHEAD: usize = 3;

/// What pages say of a span.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Digest(Bytes),
    /// A page that may speak of it is not here yet.
    NotYet,
    Nothing,
}

impl Pages {
    pub(crate) fn new(bytes: u64) -> Pages {
        Pages { bytes, at: 0, ahead: VecDeque::new() }
    }

    /// The next page to be read: its place, and how many bytes it is at most.
    pub(crate) fn next_read(&mut self) -> Option<(u64, usize)> {
        if self.at >= self.bytes || self.ahead.len() >= PAGES_AHEAD {
            return None;
        }
        let (at, left) = (self.at, self.bytes - self.at);
        self.ahead.push_back((at, None));
        self.at += PAGE_BYTES as u64;
        Some((at, usize::try_from(left).map_or(PAGE_BYTES, |left| left.min(PAGE_BYTES))))
    }

    /// There is a page to be read, and room for it.
    pub(crate) fn wants_read(&self) -> bool {
        self.at < self.bytes && self.ahead.len() < PAGES_AHEAD
    }

    /// A page came, or, as an empty one, did not.
    pub(crate) fn came(&mut self, at: u64, page: &[u8], id: &Identity, key: SegmentKey) {
        if let Some((_, page_entries)) = self.ahead.iter_mut().find(|(other, _)| *other == at) {
            *page_entries = Some(entries(&Bytes::copy_from_slice(page), id, key));
        }
    }

    /// What they say of a span. Spans are asked for in order.
    pub(crate) fn said_of(&mut self, span: &Span) -> Said {
        while let Some((_, page)) = self.ahead.front_mut() {
            let Some(entries) = page else { return Said::NotYet };
            while let Some(entry) = entries.front() {
                if entry.is_of(span) {
                    return entries.pop_front().map_or(Said::Nothing, |entry| Said::Digest(entry.digest));
                }
                if entry.base > span.base {
                    return Said::Nothing;
                }
                entries.pop_front();
            }
            self.ahead.pop_front();
        }
        if self.at < self.bytes { Said::NotYet } else { Said::Nothing }
    }
}
