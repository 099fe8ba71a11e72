//! The digest of a span: all that compaction's map needs of it, at a small part of its bytes. It is made when the span is
//! written and kept in the segment's `.keys` file (`pages.rs`), so that a round need not read a whole log to learn which
//! keys stand where. What has no digest is read.
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

use crate::clean::{BatchKeys, Mapped, Rules, each_batch};
use crate::keymap::{BESIDE_MAX, HASHED_BYTES, Hashed, KeyMap};
use crate::segment::Span;

const BATCH_BYTES: usize = 12;
const IS_PARTIAL: u32 = 1 << 31;

/// The digest of a span whose bytes these are. `None`: it takes more than `max` bytes, or offsets lie too far apart.
pub(crate) fn digest(bytes: &Bytes, span: &Span, max: usize) -> Option<Vec<u8>> {
    let mut out = Some(Vec::new());
    let enough = Mapped::Upto(span.base);
    let read = each_batch(bytes, span, Offset(i64::MIN), |keys| {
        out = out.take().filter(|out| out.len() <= max).and_then(|out| with_batch(out, keys, span));
        if out.is_some() { Mapped::All } else { enough }
    });
    out.filter(|out| read == Ok(Mapped::All) && out.len() <= max)
}

fn with_batch(mut out: Vec<u8>, batch: &BatchKeys, span: &Span) -> Option<Vec<u8>> {
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

/// Note the keys of the span's records from `from` on, as `map_span` does with its bytes.
pub(crate) fn map_digest(map: &mut KeyMap, digest: &[u8], span: &Span, rules: &Rules, from: Offset) -> Mapped {
    map.begin_span(span.base, span.next);
    let (mut left, mut keys) = (digest, BatchKeys::default());
    while !left.is_empty() {
        let Some(rest) = read_batch(left, span, &mut keys) else {
            // What the map does not know stays.
            map.keep_span();
            return Mapped::All;
        };
        left = rest;
        let mapped = keys.note(map, rules, from);
        if mapped != Mapped::All {
            return mapped;
        }
    }
    Mapped::All
}

/// The first batch's keys; what follows it. `None`: this is no digest.
fn read_batch<'a>(digest: &'a [u8], span: &Span, keys: &mut BatchKeys) -> Option<&'a [u8]> {
    let (head, rest) = digest.split_at_checked(BATCH_BYTES)?;
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let base = Offset(span.base.0.checked_add(i64::from(word(0)))?);
    let next = Offset(base.0.checked_add(i64::from(word(4)))?);
    keys.begin(base, next, word(8) & IS_PARTIAL != 0);
    let (records, rest) = rest.split_at_checked((word(8) & !IS_PARTIAL) as usize * HASHED_BYTES)?;
    let mut offset = base;
    for record in records.chunks_exact(HASHED_BYTES) {
        let (key, beyond) = Hashed::from_bytes(record.try_into().expect("a chunk is as long"));
        offset = Offset(offset.0.checked_add(i64::try_from(beyond).ok()?)?);
        keys.keys.push(key);
        keys.offsets.push(offset);
    }
    Some(rest)
}
