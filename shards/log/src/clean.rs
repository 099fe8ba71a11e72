//! What compaction does to the batches of one span. Runs off the turn, as packed batches may cost any time to unpack.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use heddle_model::limits::BATCH_BYTES_MAX;
use heddle_model::{Codec, LeaderEpoch, Offset};
use heddle_records::{Header, Record, batches, payload, records, retain};

use crate::keymap::{Hashed, KeyMap};
use crate::segment::{NO_TIMESTAMP, Span};

/// What holds for a whole round.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// What ends at or below it does not exist any more.
    pub(crate) start: Offset,
    /// Bases of the last batches of live producers, which stay, emptied.
    pub(crate) live: Arc<BTreeSet<Offset>>,
}

/// A batch that stays, as it stays.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) bytes: Bytes,
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    pub(crate) epoch: LeaderEpoch,
    /// `NO_TIMESTAMP` if no record is left.
    pub(crate) max_timestamp: i64,
}

/// A span is not what it must be; in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unreadable(pub(crate) &'static str);

const NO_BATCHES: Unreadable = Unreadable("are no batches");

/// The bytes of a span's batches, if they are those that were written.
fn content<'a>(bytes: &'a Bytes, span: &Span) -> Result<&'a [u8], Unreadable> {
    if crc32c::crc32c(bytes) != span.crc {
        return Err(Unreadable("fail their checksum"));
    }
    bytes.get(..span.len as usize).ok_or(NO_BATCHES)
}

/// How much of a span the map took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mapped {
    All,
    /// The map is full: nothing from this offset on is in it.
    Upto(Offset),
}

/// Transactions may have been aborted, so their records neither replace others nor are replaced: they stay as they are.
fn is_opaque(header: &Header) -> bool {
    header.is_control() || header.is_transactional()
}

/// What the map is told of one batch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct BatchKeys {
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    /// It holds records that are not told of, and that stay as they are.
    pub(crate) is_partial: bool,
    /// The keys of the others, and where these stand, in order.
    pub(crate) keys: Vec<Hashed>,
    pub(crate) offsets: Vec<Offset>,
}

impl BatchKeys {
    /// Of another batch, of which nothing is told yet.
    pub(crate) fn begin(&mut self, base: Offset, next: Offset, is_partial: bool) {
        (self.base, self.next, self.is_partial) = (base, next, is_partial);
        self.keys.clear();
        self.offsets.clear();
    }

    /// What stands in a batch whose header was given to `begin`.
    fn read(&mut self, header: &Header, batch: &Bytes) {
        let Ok(unpacked) = payload(batch, BATCH_BYTES_MAX) else {
            self.is_partial = true;
            return;
        };
        for record in records(&unpacked, header.count) {
            let Ok(record) = record else {
                self.is_partial = true;
                return;
            };
            if let Some(key) = record.key {
                self.keys.push(Hashed::of(key));
                self.offsets.push(header.base_offset.plus(i64::from(record.offset_delta)));
            }
        }
    }

    /// Note the keys of the records from `from` on.
    pub(crate) fn note(&self, map: &mut KeyMap, rules: &Rules, from: Offset) -> Mapped {
        if self.base < from || self.is_partial || rules.live.contains(&self.base) {
            map.keep_span();
        }
        let first = self.offsets.partition_point(|offset| *offset < from);
        map.fetch(&self.keys[first..]);
        for (key, offset) in self.keys.iter().zip(&self.offsets).skip(first) {
            if !map.note(*key, *offset) {
                map.keep_span();
                return Mapped::Upto(*offset);
            }
        }
        Mapped::All
    }
}

/// Have `act` look at the keys of each of a span's batches that ends beyond `from`, until it has seen enough.
pub(crate) fn each_batch(
    bytes: &Bytes,
    span: &Span,
    from: Offset,
    mut act: impl FnMut(&BatchKeys) -> Mapped,
) -> Result<Mapped, Unreadable> {
    let mut keys = BatchKeys::default();
    for batch in batches(content(bytes, span)?) {
        let (header, batch) = batch.map_err(|_| NO_BATCHES)?;
        keys.begin(header.base_offset, header.next_offset(), is_opaque(&header));
        if keys.next > from && !keys.is_partial {
            keys.read(&header, &bytes.slice_ref(batch));
        }
        let mapped = act(&keys);
        if mapped != Mapped::All {
            return Ok(mapped);
        }
    }
    Ok(Mapped::All)
}

/// Note the keys of a span's records from `from` on.
pub(crate) fn map_span(
    map: &mut KeyMap,
    bytes: &Bytes,
    span: &Span,
    rules: &Rules,
    from: Offset,
) -> Result<Mapped, Unreadable> {
    map.begin_span(span.base, span.next);
    each_batch(bytes, span, from, |keys| keys.note(map, rules, from))
}

/// What stays of a span. `drop_tombstones`: everything that they deleted went long ago. `opaque` is set once a batch was
/// met that may hold older records of any key: tombstones behind it stay.
pub(crate) fn retain_span(
    map: &KeyMap,
    bytes: &Bytes,
    span: &Span,
    rules: &Rules,
    drop_tombstones: bool,
    opaque: &mut bool,
) -> Result<Vec<Kept>, Unreadable> {
    let mut kept = Vec::new();
    for batch in batches(content(bytes, span)?) {
        let (header, batch) = batch.map_err(|_| NO_BATCHES)?;
        if header.next_offset() <= rules.start {
            continue;
        }
        let batch = bytes.slice_ref(batch);
        let left = if is_opaque(&header) {
            None
        } else {
            let drop_tombstones = drop_tombstones && !*opaque;
            let stays = |all: &[Record<'_>]| what_stays(map, &header, all, drop_tombstones);
            retain(&batch, level_of(&header), BATCH_BYTES_MAX, stays).ok()
        };
        *opaque |= left.is_none();
        let bytes = left.unwrap_or(batch);
        let left = Header::read(&bytes).map_err(|_| NO_BATCHES)?;
        if left.count > 0 || is_opaque(&header) || rules.live.contains(&header.base_offset) {
            kept.push(Kept {
                bytes,
                base: header.base_offset,
                next: header.next_offset(),
                epoch: header.leader_epoch,
                max_timestamp: if left.count > 0 { left.max_timestamp } else { NO_TIMESTAMP },
            });
        }
    }
    Ok(kept)
}

/// Of each record, whether it is the newest of its key, and no tombstone that is to go.
fn what_stays(map: &KeyMap, header: &Header, all: &[Record<'_>], drop_tombstones: bool) -> Vec<bool> {
    let is_candidate = |record: &Record<'_>| !(drop_tombstones && record.value.is_none());
    let key_of = |record: &Record<'_>| record.key.filter(|_| is_candidate(record)).map(Hashed::of);
    let keys: Vec<Option<Hashed>> = all.iter().map(key_of).collect();
    map.fetch(keys.iter().flatten());
    let offset_of = |record: &Record<'_>| header.base_offset.plus(i64::from(record.offset_delta));
    let is_newest =
        |(key, record): (Option<Hashed>, &Record<'_>)| key.is_some_and(|key| !map.replaces(key, offset_of(record)));
    keys.into_iter().zip(all).map(is_newest).collect()
}

/// Each codec's own default.
fn level_of(header: &Header) -> i32 {
    if header.codec() == Some(Codec::Gzip) { -1 } else { 0 }
}
