//! Looking through the records of one batch, packed or not, without holding them: what unpacks is seen once and let go,
//! so that memory is bounded by the largest record. CPU cost is bounded by the caller's limit on unpacked bytes; packed
//! batches belong off the turn nevertheless (trap 41).

use std::ops::ControlFlow;

use bytes::Bytes;
use heddle_model::limits::BATCH_BYTES_MAX;
use heddle_model::{Codec, Offset, TimestampType};

use crate::codec::Unpacker;
use crate::payload::{codec_of, split};
use crate::record::read_body;
use crate::{Header, Malformed, PayloadError, Record, records, varint};

/// Bytes of one packed record, and of one block of snappy: what is held at once.
const HELD_BYTES_MAX: usize = BATCH_BYTES_MAX;

/// What `validate_header` leaves out: walks the records of exactly one batch, which unpack to at most `limit` bytes, and
/// whose offset deltas must run 0, 1, 2, … Each is shown to `see` with its own timestamp (ms since 1970), whatever the
/// header says of append time. Gives the largest of these timestamps.
pub fn inspect(batch: &Bytes, limit: usize, mut see: impl FnMut(&Record<'_>, i64)) -> Result<i64, PayloadError> {
    let (header, mut expected, mut largest) = (Header::read(batch)?, 0, i64::MIN);
    let stopped = walk(batch, limit, |record| {
        let found = record.offset_delta;
        if found != expected {
            return ControlFlow::Break(Malformed::OffsetDelta { expected, found });
        }
        // The count has no room for more than 2^31-1 records.
        expected = expected.wrapping_add(1);
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        largest = largest.max(timestamp);
        see(record, timestamp);
        ControlFlow::Continue(())
    })?;
    match stopped {
        Some(malformed) => Err(malformed.into()),
        None => Ok(largest),
    }
}

/// The first record at or beyond `start` whose timestamp is at least `at_or_after`: its offset and timestamp (ms since
/// 1970). In a whole batch of append time that is the first such record, and nothing is unpacked.
pub fn find_timestamp(
    batch: &Bytes,
    at_or_after: i64,
    start: Offset,
    limit: usize,
) -> Result<Option<(Offset, i64)>, PayloadError> {
    let header = Header::read(batch)?;
    if header.max_timestamp < at_or_after {
        return Ok(None);
    }
    if let Some(found) = first_of_append_time(&header, start) {
        return Ok(Some(found));
    }
    walk(batch, limit, |record| match place_of(&header, record) {
        (offset, timestamp) if offset >= start && timestamp >= at_or_after => ControlFlow::Break((offset, timestamp)),
        _ => ControlFlow::Continue(()),
    })
}

/// The first record at or beyond `start` with the largest timestamp of those: its offset and timestamp (ms since 1970).
/// `None` if no record is there.
pub fn max_timestamp_record(batch: &Bytes, start: Offset, limit: usize) -> Result<Option<(Offset, i64)>, PayloadError> {
    let header = Header::read(batch)?;
    if let Some(found) = first_of_append_time(&header, start) {
        return Ok(Some(found));
    }
    let mut best = None;
    let whole: Option<()> = walk(batch, limit, |record| {
        let (offset, timestamp) = place_of(&header, record);
        if offset >= start && best.is_none_or(|(_, largest)| timestamp > largest) {
            best = Some((offset, timestamp));
        }
        ControlFlow::Continue(())
    })?;
    debug_assert!(whole.is_none(), "the walk is never left early");
    Ok(best)
}

/// All records share the append time; only compaction can have removed some, and then the batch must be walked.
fn first_of_append_time(header: &Header, start: Offset) -> Option<(Offset, i64)> {
    let whole = header.count > 0 && header.last_offset_delta == header.count - 1;
    let first = header.base_offset.max(start);
    (header.timestamp_type() == TimestampType::LogAppendTime && whole && first < header.next_offset())
        .then_some((first, header.max_timestamp))
}

fn place_of(header: &Header, record: &Record<'_>) -> (Offset, i64) {
    let offset = header.base_offset.0.saturating_add(i64::from(record.offset_delta));
    (Offset(offset), header.timestamp_of(record.timestamp_delta))
}

/// Walks all records of exactly one batch, or until `see` breaks off, and gives what it broke off with.
fn walk<B>(
    batch: &Bytes,
    limit: usize,
    mut see: impl FnMut(&Record<'_>) -> ControlFlow<B>,
) -> Result<Option<B>, PayloadError> {
    let (header, packed) = split(batch)?;
    let codec = codec_of(&header)?;
    if codec == Codec::None {
        for record in records(&packed, header.count) {
            if let ControlFlow::Break(found) = see(&record?) {
                return Ok(Some(found));
            }
        }
        return Ok(None);
    }
    // Compaction may leave a header alone, and no codec packs nothing into nothing.
    if header.count == 0 && packed.is_empty() {
        return Ok(None);
    }
    let source = Unpacker::new(&packed, codec)?;
    let mut stream = Stream { source, held: Vec::new(), at: 0, unpacked: 0, limit };
    for _ in 0..header.count {
        if let ControlFlow::Break(found) = see(&read_body(stream.body()?)?) {
            return Ok(Some(found));
        }
    }
    if stream.is_at_end()? { Ok(None) } else { Err(Malformed::Trailing.into()) }
}

/// Packed records, unpacked as they are asked for.
struct Stream<'a> {
    source: Unpacker<'a>,
    held: Vec<u8>,
    /// What is held before this has been seen.
    at: usize,
    unpacked: usize,
    limit: usize,
}

impl Stream<'_> {
    /// The next record's bytes after its length.
    fn body(&mut self) -> Result<&[u8], PayloadError> {
        loop {
            let mut rest = &self.held[self.at..];
            match varint::read(&mut rest) {
                Ok(length) => {
                    let length = usize::try_from(length).map_err(|_| Malformed::Record)?;
                    if length > HELD_BYTES_MAX {
                        return Err(PayloadError::TooLarge { limit: HELD_BYTES_MAX });
                    }
                    if length <= rest.len() {
                        let from = self.held.len() - rest.len();
                        self.at = from + length;
                        return Ok(&self.held[from..self.at]);
                    }
                }
                Err(Malformed::Truncated) => {}
                Err(malformed) => return Err(malformed.into()),
            }
            if !self.fill()? {
                return Err(Malformed::Truncated.into());
            }
        }
    }

    fn is_at_end(&mut self) -> Result<bool, PayloadError> {
        Ok(self.at == self.held.len() && !self.fill()?)
    }

    /// Let go of what was seen, and unpack some more. Whether there was any.
    fn fill(&mut self) -> Result<bool, PayloadError> {
        self.held.drain(..self.at);
        self.at = 0;
        let before = self.held.len();
        let room = (self.limit - self.unpacked).min(HELD_BYTES_MAX);
        let more = self.source.more(&mut self.held, room).map_err(|error| match error {
            PayloadError::TooLarge { .. } => PayloadError::TooLarge { limit: self.limit },
            other => other,
        })?;
        self.unpacked += self.held.len() - before;
        if self.unpacked > self.limit {
            return Err(PayloadError::TooLarge { limit: self.limit });
        }
        Ok(more)
    }
}
