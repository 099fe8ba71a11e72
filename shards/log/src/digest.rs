//! The digest of a span: all that compaction's map needs of it, at a small part of its bytes. It is made when the span is
//! written and kept in the segment's `.keys` file (`pages.rs`), so that a round need not read a whole log to learn which
//! keys stand where. What has no digest is read, and so is what would have one that is not much shorter than itself.
//!
//! Integers are little-endian. Of each batch:
//!
//! | at | bytes | field |
//! |---:|------:|-------|
//! |  0 | 4 | by how much its base offset lies beyond the span's |
//! |  4 | 4 | offsets that it covers |
//! |  8 | 4 | number of keyed records; the highest bit: it holds others, which stay as they are |
//! | 12 | 16 each | hash of the key, and in its low 17 of the last 64 bits by how much the record's offset lies beyond that of the one before, of the first beyond the batch's base |

use bytes::Bytes;
use heddle_model::Offset;
use heddle_records::batches;

use crate::clean::{BatchKeys, Mapped, Rules, each_batch};
use crate::keymap::{BESIDE_MAX, HASHED_BYTES, Hashed, KeyMap};
use crate::segment::Span;

const BATCH_BYTES: usize = 12;
const IS_PARTIAL: u32 = 1 << 31;

/// A digest is at most this part of its span.
const SPAN_PART_MAX: usize = 2;

/// The digest of a span whose bytes these are. `None`: it would take too many bytes to be of use, or more than `max`, or
/// offsets lie too far apart.
pub(crate) fn digest(bytes: &Bytes, span: &Span, max: usize) -> Option<Vec<u8>> {
    let max = max.min(bytes.len() / SPAN_PART_MAX);
    // Before anything is unpacked.
    if bytes_at_most(bytes, span)? > max {
        return None;
    }
    let mut out = Some(Vec::new());
    let enough = Mapped::Upto(span.base);
    let read = each_batch(bytes, span, Offset(i64::MIN), |keys| {
        out = out.take().and_then(|out| with_batch(out, keys, span));
        if out.is_some() { Mapped::All } else { enough }
    });
    out.filter(|_| read == Ok(Mapped::All))
}

/// What the digest takes if all records have keys.
fn bytes_at_most(bytes: &Bytes, span: &Span) -> Option<usize> {
    let mut sum = 0;
    for batch in batches(bytes.get(..span.len as usize)?) {
        let (header, _) = batch.ok()?;
        sum += BATCH_BYTES + usize::try_from(header.count).ok()? * HASHED_BYTES;
    }
    Some(sum)
}

/// Whether these are batches in order that begin and end where the span does: the digest of all of it.
pub(crate) fn is_whole(digest: &[u8], span: &Span) -> bool {
    let (mut left, mut end) = (digest, None);
    while let Some((head, rest)) = left.split_at_checked(BATCH_BYTES) {
        let (base, next, count) = read_head(head, span);
        let follows = end.map_or(base == span.base, |end| base >= end);
        if !follows || next <= base {
            return false;
        }
        let Some(rest) = rest.get(count * HASHED_BYTES..) else { return false };
        (left, end) = (rest, Some(next));
    }
    left.is_empty() && end == Some(span.next)
}

/// Base, end and number of keyed records of a batch.
fn read_head(head: &[u8], span: &Span) -> (Offset, Offset, usize) {
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let base = beyond(span.base, word(0).into());
    (base, beyond(base, word(4).into()), (word(8) & !IS_PARTIAL) as usize)
}

/// The digest with another batch. `None`: its offsets lie too far apart.
pub(crate) fn with_batch(mut out: Vec<u8>, batch: &BatchKeys, span: &Span) -> Option<Vec<u8>> {
    let distance = |from: Offset, to: Offset| u64::try_from(to.0.checked_sub(from.0)?).ok();
    let count = u32::try_from(batch.keys.len()).ok().filter(|count| count & IS_PARTIAL == 0)?;
    out.extend_from_slice(&u32::try_from(distance(span.base, batch.base)?).ok()?.to_le_bytes());
    out.extend_from_slice(&u32::try_from(distance(batch.base, batch.next)?).ok()?.to_le_bytes());
    out.extend_from_slice(&(count | if batch.is_partial { IS_PARTIAL } else { 0 }).to_le_bytes());
    let mut before = batch.base;
    for (key, offset) in batch.keys.iter().zip(&batch.offsets) {
        let beyond = distance(before, *offset).filter(|beyond| *beyond <= BESIDE_MAX)?;
        out.extend_from_slice(&key.to_bytes(beyond));
        before = *offset;
    }
    Some(out)
}

/// Note the keys of the span's records from `from` on, as `map_span` does with its bytes. The digest is a whole one.
pub(crate) fn map_digest(map: &mut KeyMap, digest: &[u8], span: &Span, rules: &Rules, from: Offset) -> Mapped {
    map.begin_span(span.base, span.next);
    let (mut left, mut keys) = (digest, BatchKeys::default());
    while !left.is_empty() {
        left = read_batch(left, span, &mut keys);
        let mapped = keys.note(map, rules, from);
        if mapped != Mapped::All {
            return mapped;
        }
    }
    Mapped::All
}

fn beyond(offset: Offset, by: u64) -> Offset {
    Offset(offset.0.saturating_add_unsigned(by))
}

/// The first batch's keys; what follows it.
fn read_batch<'a>(digest: &'a [u8], span: &Span, keys: &mut BatchKeys) -> &'a [u8] {
    let (head, rest) = digest.split_at(BATCH_BYTES);
    let (base, next, count) = read_head(head, span);
    keys.begin(base, next, head[BATCH_BYTES - 1] & (IS_PARTIAL >> 24) as u8 != 0);
    let (records, rest) = rest.split_at(count * HASHED_BYTES);
    let mut offset = base;
    for record in records.chunks_exact(HASHED_BYTES) {
        let (key, distance) = Hashed::from_bytes(record.try_into().expect("a chunk is as long"));
        offset = beyond(offset, distance);
        keys.keys.push(key);
        keys.offsets.push(offset);
    }
    rest
}
